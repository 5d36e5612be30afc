"""The notes of one voice in one bar as MusicXML: pitches or drums, values, ties, accidentals, beams, tuplets.

Source: MusicXML 4.0, W3C Music Notation Community Group, 2021. The lines of drums are those of N. Weinberg, "Guide to Standardized
Drumset Notation" (1998): bass drum in the lowest space, snare in the third, cymbals as crosses above.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from symbolic.midi.engraving import VALUES, Piece
from symbolic.midi.notation_grid import Measure
from symbolic.midi.spelling import Name

FORTE = 90
DRUM_STEPS = {
    35: "F4", 36: "F4", 41: "A4", 43: "A4", 45: "B4", 47: "D5", 48: "D5", 50: "E5", 44: "D4", 42: "G5", 46: "G5", 51: "F5",
    53: "F5", 59: "F5", 49: "A5", 55: "A5", 57: "A5", 52: "B5", 54: "E5", 56: "E5",
}  # fmt: skip
CROSSES = {42, 44, 46, 49, 51, 52, 53, 55, 57, 59}
ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
BEAMS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}


@dataclass(frozen=True)
class Hand:
    """What writes a part: its id, whether it is drums, the name of each (onset, pitch), and how many units are one division."""

    part: str
    is_drum: bool
    names: dict[tuple[int, int], Name]
    grain: int


def accidentals_of(hand: Hand, voices: list[list[Piece]], fifths: int) -> set[tuple[int, int]]:
    """Where in this bar of a staff accidentals are printed: (units after the bar line, pitch)."""
    if hand.is_drum:
        return set()
    in_key = {step: (fifths + 6 - place) // 7 for place, step in enumerate("FCGDAEB")}
    heads = []
    for pieces in voices:
        place = 0
        for piece in pieces:
            if not piece.tied_from:
                heads += [(place, note.start, note.pitch) for note in piece.notes]
            place += piece.duration
    heads.sort()
    now: dict[tuple[str, int], int] = {}
    shown: set[tuple[int, int]] = set()
    for place, start, pitch in heads:
        step, alteration, octave = hand.names[start, pitch]
        if now.get((step, octave), in_key[step]) != alteration:
            shown.add((place, pitch))
        now[step, octave] = alteration
    return shown


def voice_text(
    hand: Hand, pieces: list[Piece], measure: Measure, accidentals: set[tuple[int, int]], place: tuple[str, str], hides_rests: bool
) -> Iterator[str]:
    """The notes and rests of one voice in one measure; `place` is its `<voice>` and `<staff>`, in that order."""
    number, on_staff = place
    beams = _beams(pieces, measure)
    offset = 0
    for piece, beam in zip(pieces, beams, strict=True):
        name, dots = VALUES[piece.value]
        value = f"<type>{name}</type>{'<dot/>' * dots}"
        timing = ""
        if piece.tuplet:
            actual, normal = piece.tuplet
            timing = f"<time-modification><actual-notes>{actual}</actual-notes><normal-notes>{normal}</normal-notes></time-modification>"
        bracket = "".join(
            f'<tuplet type="{kind}" number="1"/>' for kind, is_here in (("start", piece.opens), ("stop", piece.closes)) if is_here
        )
        duration = f"<duration>{piece.duration // hand.grain}</duration>"
        if not piece.notes:
            hidden = ' print-object="no"' if hides_rests else ""
            notations = f"<notations>{bracket}</notations>" if bracket else ""
            yield f"<note{hidden}><rest/>{duration}{number}{value}{timing}{on_staff}{notations}</note>\n"
        kinds = [kind for kind, is_here in (("stop", piece.tied_from), ("start", piece.tied_to)) if is_here]
        ties = "".join(f'<tie type="{kind}"/>' for kind in kinds)
        tied = "".join(f'<tied type="{kind}"/>' for kind in kinds)
        for count, note in enumerate(piece.notes):
            chord = "<chord/>" if count else ""
            accidental = instrument = notehead = ""
            if hand.is_drum:
                step = DRUM_STEPS.get(note.pitch, "C5")
                what = f"<unpitched><display-step>{step[0]}</display-step><display-octave>{step[1]}</display-octave></unpitched>"
                instrument = f'<instrument id="{hand.part}-I{note.pitch}"/>'
                notehead = "<notehead>x</notehead>" if note.pitch in CROSSES else ""
            else:
                letter, alteration, octave = hand.names[note.start, note.pitch]
                altered = f"<alter>{alteration}</alter>" if alteration else ""
                what = f"<pitch><step>{letter}</step>{altered}<octave>{octave}</octave></pitch>"
                if (offset, note.pitch) in accidentals:
                    accidental = f"<accidental>{ACCIDENTALS[alteration]}</accidental>"
            inside = tied + (bracket if not count else "")
            notations = f"<notations>{inside}</notations>" if inside else ""
            loudness = f"{note.velocity / FORTE * 100:.2f}".rstrip("0").rstrip(".")
            yield (
                f'<note dynamics="{loudness}">{chord}{what}{duration}{ties}{instrument}{number}{value}{accidental}{timing}'
                f"{notehead}{on_staff}{beam if not count else ''}{notations}</note>\n"
            )
        offset += piece.duration


def _beams(pieces: list[Piece], measure: Measure) -> list[str]:
    """The beams of each piece: notes with flags that stand together in one beat."""
    groups: list[list[int]] = []
    place = 0
    last = -1
    for index, piece in enumerate(pieces):
        beat = place // measure.beat
        place += piece.duration
        if not piece.notes or VALUES[piece.value][0] not in BEAMS:
            last = -1
            continue
        if beat == last:
            groups[-1].append(index)
        else:
            groups.append([index])
        last = beat if place <= (beat + 1) * measure.beat else -1
    found = [""] * len(pieces)
    for group in groups:
        counts = [BEAMS[VALUES[pieces[index].value][0]] for index in group]
        for at, index in enumerate(group if len(group) > 1 else ()):
            for level in range(1, counts[at] + 1):
                left, right = at > 0 and counts[at - 1] >= level, at + 1 < len(group) and counts[at + 1] >= level
                kind = {(True, True): "continue", (True, False): "end", (False, True): "begin"}.get((left, right), "")
                kind = kind or ("forward hook" if at + 1 < len(group) and not at else "backward hook")
                found[index] += f'<beam number="{level}">{kind}</beam>'
    return found

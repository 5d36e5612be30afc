"""A score as MusicXML 4.0, the way a notation program wants it: bars, voices, ties, tuplets, keys, clefs, and parts with their programs.

Every bar of every voice is full; rests of the second to fourth voice of a staff are there but not shown.
Voices 1 to 4 are those of the first staff, 5 to 8 those of the second. Tempo marks that hold for less than a bar sound and are not printed.
Velocities are `dynamics` of notes, in percent of 90. Pedal, bends, controllers and lyrics are left out.
Source: MusicXML 4.0, W3C Music Notation Community Group, 2021.
"""

import io
import math
import re
import zipfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from symusic.core import ScoreTick, TempoTick, TrackTick

from symbolic.errors import InputError
from symbolic.midi.engraving import MOST_VOICES, VALUES, Piece, chords_of, engraved, rests, voices_of
from symbolic.midi.notation_grid import UNITS, Measure, measures_of, on_grid
from symbolic.midi.programs import DRUM_NAMES, PROGRAM_NAMES
from symbolic.midi.spelling import Name, key_changes, spelled_notes
from symbolic.midi.staves import PERCUSSION, Clef, clef_of, staves_of

MOST_MEASURES = 1_000_000  # bars times staves: a gigabyte of text
FORTE = 90
DRUM_CHANNEL = 10
DRUM_STEPS = {
    35: "F4", 36: "F4", 41: "A4", 43: "A4", 45: "B4", 47: "D5", 48: "D5", 50: "E5", 44: "D4", 42: "G5", 46: "G5", 51: "F5",
    53: "F5", 59: "F5", 49: "A5", 55: "A5", 57: "A5", 52: "B5", 54: "E5", 56: "E5",
}  # fmt: skip
CROSSES = {42, 44, 46, 49, 51, 52, 53, 55, 57, 59}
ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
BEAMS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="4.0">
"""
CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container><rootfiles><rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>
"""


@dataclass
class _Part:
    """One track, engraved: pieces by staff, voice and measure."""

    name: str
    program: int
    is_drum: bool
    drums: list[int]
    names: dict[tuple[int, int], Name]
    clefs: list[Clef]
    staves: list[list[list[list[Piece]]]]


def musicxml(score: ScoreTick, title: str = "") -> str:
    """The score as the text of a MusicXML file, the same for the same score.

    Tracks without notes are left out; an empty score is one bar of rest. Raises `InputError` for more than `MOST_MEASURES` bars.
    """
    measures = measures_of(score)
    keys = _keys(score, measures)
    tracks = [track for track in score.tracks if len(track.notes)] or [TrackTick("Piano", 0, False)]
    if len(measures) * len(tracks) > MOST_MEASURES:
        raise InputError(f"{len(measures):,} bars of {len(tracks)} tracks; as MusicXML at most {MOST_MEASURES:,} in all are written")
    parts = [_part(track, measures, keys, score.ticks_per_quarter) for track in tracks]
    tempos = _tempos(score, measures)
    offsets = [offset for marks in tempos.values() for offset, _, _ in marks]
    durations = {piece.duration for part in parts for staff in part.staves for voice in staff for pieces in voice for piece in pieces}
    grain = math.gcd(UNITS, *durations, *(measure.length for measure in measures), *offsets)
    channels = _channels(parts)
    text = [HEAD]
    if title:
        text.append(f"<work><work-title>{_said(title)}</work-title></work>\n")
    text.append("<identification><encoding><software>symbolic</software>")
    text.append(
        '<supports element="accidental" type="yes"/><supports element="beam" type="yes"/></encoding></identification>\n<part-list>\n'
    )
    for number, part in enumerate(parts, 1):
        text.append(_score_part(part, f"P{number}", channels[number - 1]))
    text.append("</part-list>\n")
    for number, part in enumerate(parts, 1):
        text.append(f'<part id="P{number}">\n')
        text += _measures(part, f"P{number}", measures, keys, tempos if number == 1 else {}, grain)
        text.append("</part>\n")
    text.append("</score-partwise>\n")
    return "".join(text)


def compressed(content: bytes) -> bytes:
    """A MusicXML file as compressed MusicXML (.mxl), the same for the same content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        members = (("META-INF/container.xml", CONTAINER.encode()), ("score.musicxml", content))
        for name, data in (("mimetype", b"application/vnd.recordare.musicxml"), *members):
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, kind)
    return packed.getvalue()


def _part(track: TrackTick, measures: list[Measure], keys: list[tuple[int, bool]], ticks_per_quarter: int) -> _Part:
    notes = on_grid(track, measures, ticks_per_quarter)
    drums = sorted({note.pitch for note in notes}) if track.is_drum else []
    program = track.program if 0 <= track.program < len(PROGRAM_NAMES) else 0
    name = _said(track.name) or ("Drums" if track.is_drum else PROGRAM_NAMES[program])
    chords = staves_of(notes, 0 if track.is_drum else program, measures) if notes and not track.is_drum else [chords_of(notes)]
    clefs = [
        PERCUSSION if track.is_drum else clef_of([note for chord in staff for note in chord.notes], program) if staff else ("G", 2, 0)
        for staff in chords
    ]
    starts = [measure.start for measure in measures]
    fifths = [keys[bisect_right(starts, note.start) - 1] for note in notes]
    names = {} if track.is_drum else spelled_notes([(note.start, note.pitch) for note in notes], fifths)
    staves = [[engraved(voice, measures) for voice in voices_of(staff)] or [[[] for _ in measures]] for staff in chords]
    return _Part(name, program, track.is_drum, drums, names, clefs, staves)


def _keys(score: ScoreTick, measures: list[Measure]) -> list[tuple[int, bool]]:
    """The key (fifths, minor) of each bar; a change inside a bar is moved to the nearer bar line."""
    ticks = [measure.tick for measure in measures]
    keys: list[tuple[int, bool] | None] = [None] * len(measures)
    for tick, fifths, minor in key_changes(score):
        index = bisect_right(ticks, tick) - 1
        if index + 1 < len(ticks) and ticks[index + 1] - tick < tick - ticks[index]:
            index += 1
        keys[index] = (fifths, minor)
    current = (0, False)
    return [current := key if key is not None else current for key in keys]


def _tempos(score: ScoreTick, measures: list[Measure]) -> dict[int, list[tuple[int, float, bool]]]:
    """By measure the tempo marks: offset in units, quarters a minute, whether it is printed. The first stands at the beginning."""
    last: dict[int, TempoTick] = {
        max(tempo.time, 0): tempo for tempo in sorted(score.tempos, key=lambda tempo: tempo.time) if tempo.qpm > 0
    }
    changes = [
        tempo for before, tempo in zip([None, *last.values()], last.values(), strict=False) if before is None or before.qpm != tempo.qpm
    ]
    ticks = [measure.tick for measure in measures]
    placed: dict[int, dict[int, tuple[float, bool]]] = defaultdict(dict)
    for tempo, following in zip(changes, [*changes[1:], None], strict=False):
        index = max(bisect_right(ticks, tempo.time) - 1, 0)
        measure = measures[index]
        offset = round((tempo.time - measure.tick) * UNITS / score.ticks_per_quarter)
        if offset >= measure.length and index + 1 < len(measures):
            index, offset = index + 1, 0
        held = math.inf if following is None else (following.time - tempo.time) * UNITS / score.ticks_per_quarter
        if offset < measure.length:
            placed[index][offset] = (tempo.qpm, held >= measure.length)
    return {index: [(offset, *mark) for offset, mark in sorted(marks.items())] for index, marks in placed.items()}


def _channels(parts: list[_Part]) -> list[tuple[int, int]]:
    """A port and a channel (from 1) for each part: 15 parts to a port, drums on channel 10."""
    found = []
    pitched = 0
    for part in parts:
        if part.is_drum:
            found.append((1, DRUM_CHANNEL))
            continue
        port, channel = divmod(pitched, 15)
        found.append((port + 1, channel + 1 if channel + 1 < DRUM_CHANNEL else channel + 2))
        pitched += 1
    return found


def _score_part(part: _Part, number: str, channel: tuple[int, int]) -> str:
    """The part's name and instruments; of drums one instrument for each."""
    text = [f'<score-part id="{number}"><part-name>{part.name}</part-name>\n']
    sounds = [
        (f"{number}-I{drum}", DRUM_NAMES.get(drum, f"Drum {drum}"), f"<midi-unpitched>{drum + 1}</midi-unpitched>") for drum in part.drums
    ]
    sounds = sounds or [(f"{number}-I1", PROGRAM_NAMES[part.program], "")]
    for identifier, name, _ in sounds:
        text.append(f'<score-instrument id="{identifier}"><instrument-name>{escape(name)}</instrument-name></score-instrument>\n')
    played = f"<midi-channel>{channel[1]}</midi-channel><midi-program>{part.program + 1}</midi-program>"
    for identifier, _, drum in sounds:
        text.append(
            f'<midi-device id="{identifier}" port="{channel[0]}"/><midi-instrument id="{identifier}">{played}{drum}</midi-instrument>\n'
        )
    return "".join([*text, "</score-part>\n"])


def _measures(
    part: _Part,
    number: str,
    measures: list[Measure],
    keys: list[tuple[int, bool]],
    tempos: dict[int, list[tuple[int, float, bool]]],
    grain: int,
) -> Iterator[str]:
    """The measures of a part."""
    shift = 0 if measures[0].pickup else 1
    for index, measure in enumerate(measures):
        before = index - 1
        attributes = ""
        if not index:
            attributes += f"<divisions>{UNITS // grain}</divisions>"
        if not index or keys[index] != keys[before]:
            fifths, minor = keys[index]
            if not part.is_drum:
                attributes += f"<key><fifths>{fifths}</fifths><mode>{'minor' if minor else 'major'}</mode></key>"
        if not index or measure.meter != measures[before].meter:
            attributes += f"<time><beats>{measure.meter[0]}</beats><beat-type>{measure.meter[1]}</beat-type></time>"
        if not index:
            attributes += f"<staves>{len(part.staves)}</staves>" if len(part.staves) > 1 else ""
            attributes += "".join(_clef(clef, staff, len(part.staves)) for staff, clef in enumerate(part.clefs, 1))
        yield f'<measure number="{index + shift}"{"" if measure.is_full else _IMPLICIT}>\n'
        if attributes:
            yield f"<attributes>{attributes}</attributes>\n"
        for offset, qpm, printed in tempos.get(index, ()):
            yield _tempo(offset // grain, qpm, printed, measure)
        first = True
        for staff, voices in enumerate(part.staves):
            accidentals = _accidentals(part, [voice[index] for voice in voices], keys[index][0])
            for voice, written in enumerate(voices):
                if voice and not written[index]:
                    continue
                if not first:
                    yield f"<backup><duration>{measure.length // grain}</duration></backup>\n"
                first = False
                place = f"<voice>{staff * MOST_VOICES + voice + 1}</voice>"
                on_staff = f"<staff>{staff + 1}</staff>" if len(part.staves) > 1 else ""
                pieces = written[index] or ([] if measure.is_full else rests(measure))
                if pieces:
                    yield from _voice(part, number, pieces, measure, accidentals, place, on_staff, voice > 0, grain)
                else:
                    yield f'<note><rest measure="yes"/><duration>{measure.length // grain}</duration>{place}{on_staff}</note>\n'
        yield "</measure>\n"


_IMPLICIT = ' implicit="yes"'


def _clef(clef: Clef, staff: int, staves: int) -> str:
    sign, line, octaves = clef
    change = f"<clef-octave-change>{octaves}</clef-octave-change>" if octaves else ""
    which = f' number="{staff}"' if staves > 1 else ""
    return (
        f"<clef{which}><sign>{sign}</sign><line>{line}</line>{change}</clef>"
        if sign != "percussion"
        else f"<clef{which}><sign>percussion</sign></clef>"
    )


def _tempo(offset: int, qpm: float, printed: bool, measure: Measure) -> str:
    """A metronome mark, of dotted quarters in 6/8, or a tempo that only sounds."""
    moved = f"<offset>{offset}</offset>" if offset else ""
    if not printed:
        return f'<sound tempo="{_number(qpm)}">{moved}</sound>\n'
    dot, counted = ("<beat-unit-dot/>", qpm / 1.5) if measure.beat == 3 * UNITS // 2 else ("", qpm)
    mark = f"<beat-unit>quarter</beat-unit>{dot}<per-minute>{_number(counted)}</per-minute>"
    return (
        f'<direction placement="above"><direction-type><metronome parentheses="no">{mark}</metronome></direction-type>'
        f'{moved}<staff>1</staff><sound tempo="{_number(qpm)}"/></direction>\n'
    )


def _number(value: float) -> str:
    """With as few decimals as keep it to a hundred-thousandth: 72.9999 is 73."""
    for decimals in range(5):
        if abs(round(value, decimals) / value - 1) < 1e-5:
            break
    return f"{value:.{decimals}f}"


def _accidentals(part: _Part, voices: list[list[Piece]], fifths: int) -> set[tuple[int, int]]:
    """Where in this bar of a staff accidentals are printed: (units after the bar line, pitch)."""
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
        step, alteration, octave = part.names.get((start, pitch), ("C", 0, 0))
        if now.get((step, octave), in_key[step]) != alteration:
            shown.add((place, pitch))
        now[step, octave] = alteration
    return shown


def _voice(
    part: _Part,
    number: str,
    pieces: list[Piece],
    measure: Measure,
    accidentals: set[tuple[int, int]],
    place: str,
    on_staff: str,
    hides_rests: bool,
    grain: int,
) -> Iterator[str]:
    """The notes and rests of one voice in one measure."""
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
        duration = f"<duration>{piece.duration // grain}</duration>"
        if not piece.notes:
            hidden = ' print-object="no"' if hides_rests else ""
            notations = f"<notations>{bracket}</notations>" if bracket else ""
            yield f"<note{hidden}><rest/>{duration}{place}{value}{timing}{on_staff}{notations}</note>\n"
        kinds = [kind for kind, is_here in (("stop", piece.tied_from), ("start", piece.tied_to)) if is_here]
        ties = "".join(f'<tie type="{kind}"/>' for kind in kinds)
        tied = "".join(f'<tied type="{kind}"/>' for kind in kinds)
        for count, note in enumerate(piece.notes):
            chord = "<chord/>" if count else ""
            accidental = instrument = notehead = ""
            if part.is_drum:
                step = DRUM_STEPS.get(note.pitch, "C5")
                what = f"<unpitched><display-step>{step[0]}</display-step><display-octave>{step[1]}</display-octave></unpitched>"
                instrument = f'<instrument id="{number}-I{note.pitch}"/>'
                notehead = "<notehead>x</notehead>" if note.pitch in CROSSES else ""
            else:
                letter, alteration, octave = part.names[note.start, note.pitch]
                altered = f"<alter>{alteration}</alter>" if alteration else ""
                what = f"<pitch><step>{letter}</step>{altered}<octave>{octave}</octave></pitch>"
                if (offset, note.pitch) in accidentals:
                    accidental = f"<accidental>{ACCIDENTALS[alteration]}</accidental>"
            inside = tied + (bracket if not count else "")
            notations = f"<notations>{inside}</notations>" if inside else ""
            loudness = f"{note.velocity / FORTE * 100:.2f}".rstrip("0").rstrip(".")
            yield (
                f'<note dynamics="{loudness}">{chord}{what}{duration}{ties}{instrument}{place}{value}{accidental}{timing}'
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


def _said(text: str) -> str:
    """A name as XML text: without what XML cannot hold, in one line."""
    return escape(" ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]", " ", text).split()))

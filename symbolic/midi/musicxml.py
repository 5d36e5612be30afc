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
from symbolic.midi.engraving import MOST_VOICES, Piece, chords_of, engraved, rests, voices_of
from symbolic.midi.musicxml_voice import Hand, accidentals_of, voice_text
from symbolic.midi.notation_grid import UNITS, Measure, WrittenNote, measures_of, on_grid
from symbolic.midi.programs import DRUM_NAMES, PROGRAM_NAMES
from symbolic.midi.spelling import Name, key_changes, spelled_notes
from symbolic.midi.staves import PERCUSSION, Clef, clef_of, staves_of

MOST_MEASURES = 1_000_000  # bars times staves: a gigabyte of text
DRUM_CHANNEL = 10
IMPLICIT = ' implicit="yes"'
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
    notes = [on_grid(track, measures, score.ticks_per_quarter) for track in tracks]
    parts = [_part(track, written, measures) for track, written in zip(tracks, notes, strict=True)]
    names = _names([note for track, written in zip(tracks, notes, strict=True) for note in written if not track.is_drum], measures, keys)
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
        text += _measures(part, Hand(f"P{number}", part.is_drum, names, grain), measures, keys, tempos if number == 1 else {})
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


def _part(track: TrackTick, notes: list[WrittenNote], measures: list[Measure]) -> _Part:
    drums = sorted({note.pitch for note in notes}) if track.is_drum else []
    program = track.program if 0 <= track.program < len(PROGRAM_NAMES) else 0
    name = _said(track.name) or ("Drums" if track.is_drum else PROGRAM_NAMES[program])
    chords = staves_of(notes, 0 if track.is_drum else program, measures) if notes and not track.is_drum else [chords_of(notes)]
    clefs = [
        PERCUSSION if track.is_drum else clef_of([note for chord in staff for note in chord.notes], program) if staff else ("G", 2, 0)
        for staff in chords
    ]
    staves = [[engraved(voice, measures) for voice in voices_of(staff)] or [[[] for _ in measures]] for staff in chords]
    return _Part(name, program, track.is_drum, drums, clefs, staves)


def _names(notes: list[WrittenNote], measures: list[Measure], keys: list[tuple[int, bool]]) -> dict[tuple[int, int], Name]:
    """A name for each (onset in units, pitch), the same in all parts."""
    starts = [measure.start for measure in measures]
    places = sorted({(note.start, note.pitch) for note in notes})
    return spelled_notes(places, [keys[bisect_right(starts, start) - 1] for start, _ in places])


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
    part: _Part, hand: Hand, measures: list[Measure], keys: list[tuple[int, bool]], tempos: dict[int, list[tuple[int, float, bool]]]
) -> Iterator[str]:
    """The measures of a part, with the tempo marks that it carries."""
    shift = 0 if measures[0].pickup else 1
    for index, measure in enumerate(measures):
        attributes = "" if index else f"<divisions>{UNITS // hand.grain}</divisions>"
        if not part.is_drum and (not index or keys[index] != keys[index - 1]):
            fifths, minor = keys[index]
            attributes += f"<key><fifths>{fifths}</fifths><mode>{'minor' if minor else 'major'}</mode></key>"
        if not index or measure.meter != measures[index - 1].meter:
            attributes += f"<time><beats>{measure.meter[0]}</beats><beat-type>{measure.meter[1]}</beat-type></time>"
        if not index:
            attributes += f"<staves>{len(part.staves)}</staves>" if len(part.staves) > 1 else ""
            attributes += "".join(_clef(clef, staff if len(part.staves) > 1 else 0) for staff, clef in enumerate(part.clefs, 1))
        yield f'<measure number="{index + shift}"{"" if measure.is_full else IMPLICIT}>\n'
        yield f"<attributes>{attributes}</attributes>\n" if attributes else ""
        for offset, qpm, printed in tempos.get(index, ()):
            yield _tempo(offset // hand.grain, qpm, printed, measure)
        yield from _staves(part, hand, index, measure, keys[index][0])
        yield "</measure>\n"


def _staves(part: _Part, hand: Hand, index: int, measure: Measure, fifths: int) -> Iterator[str]:
    """The voices of all staves in one measure, one after the other."""
    duration = f"<duration>{measure.length // hand.grain}</duration>"
    backup = ""
    for staff, voices in enumerate(part.staves):
        accidentals = accidentals_of(hand, [voice[index] for voice in voices], fifths)
        on_staff = f"<staff>{staff + 1}</staff>" if len(part.staves) > 1 else ""
        for voice, written in enumerate(voices):
            if voice and not written[index]:
                continue
            yield backup
            backup = f"<backup>{duration}</backup>\n"
            number = f"<voice>{staff * MOST_VOICES + voice + 1}</voice>"
            pieces = written[index] or ([] if measure.is_full else rests(measure))
            if pieces:
                yield from voice_text(hand, pieces, measure, accidentals, (number, on_staff), voice > 0)
            else:
                yield f'<note><rest measure="yes"/>{duration}{number}{on_staff}</note>\n'


def _clef(clef: Clef, staff: int) -> str:
    """A clef, of a numbered staff unless `staff` is 0."""
    sign, line, octaves = clef
    lines = "" if clef == PERCUSSION else f"<line>{line}</line>"
    change = f"<clef-octave-change>{octaves}</clef-octave-change>" if octaves else ""
    number = f' number="{staff}"' if staff else ""
    return f"<clef{number}><sign>{sign}</sign>{lines}{change}</clef>"


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


def _said(text: str) -> str:
    """A name as XML text: without what XML cannot hold, in one line."""
    return escape(" ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]", " ", text).split()))

"""MusicXML as a score, through music21: what is played, in the order in which it is played.

Times inside are quarters. Kept: notes, ties, bars with their meters, keys, tempo marks, dynamics as velocities, programs,
percussion; transposing instruments sound as they sound, repeats are unfolded, grace notes are thirty-seconds before the beat.
Ornaments, lyrics and articulation are left out.
music21 is slow and can be led astray by a file, so `symbolic.midi.reading` calls this in another process (`isolation`).
"""

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.bars import GRACE, VELOCITIES, Bar, Quarters, Sound, before, score_of_bars
from symbolic.midi.repeat_signs import signs_in_musicxml
from symbolic.midi.seeds import DEFAULT_DYNAMIC
from symbolic.midi.unfolding import Signs, playing_order

DRUM_OCTAVE = 1000  # drum 38 is told as octave 1038
DEFAULT_DRUM = 38  # a snare drum, for percussion that does not say what it is


@dataclass
class _State:
    """What holds in a part from the last sign on."""

    program: int = 0
    percussion: bool = False
    drum: int = DEFAULT_DRUM
    semitones: int = 0
    velocity: int = VELOCITIES[DEFAULT_DYNAMIC]


def read_musicxml(text: str) -> tuple[ScoreTick, list[str]]:
    """The score, and plain phrases for what could not be taken as it is written.

    Raises `InputError` without a name in front, or any of music21's exceptions.
    """
    from music21.musicxml import xmlToM21

    root = _partwise(ElementTree.fromstring(text))
    _tell_instruments(root)
    importer = xmlToM21.MusicXMLImporter()
    importer.xmlRoot = root
    importer.xmlRootToScore(root, importer.stream)
    parts = list(importer.stream.parts)
    if not parts:
        raise InputError("MusicXML without a part in it")
    remarks: list[str] = []
    bars = _bars(parts, remarks)
    signs = signs_in_musicxml(root)[: len(bars)]
    order, remark = playing_order(signs + [Signs()] * (len(bars) - len(signs)))
    if remark:
        remarks.append(remark)
    score, left_out = score_of_bars([bars[index] for index in order], [_name(part) for part in parts])
    return score, remarks + left_out


def _partwise(root: ElementTree.Element) -> ElementTree.Element:
    """MusicXML by parts; the other order, by bars, is turned around, as music21 reads only the first."""
    if root.tag != "score-timewise":
        return root
    turned = ElementTree.Element("score-partwise", root.attrib)
    parts: dict[str, ElementTree.Element] = {}
    for child in root:
        if child.tag != "measure":
            turned.append(child)
            continue
        for part in child:
            name = part.get("id", "")
            measure = ElementTree.SubElement(parts.setdefault(name, ElementTree.Element("part", {"id": name})), "measure", child.attrib)
            measure.extend(list(part))
    turned.extend(parts.values())
    return turned


def _tell_instruments(root: ElementTree.Element) -> None:
    """Say where music21 looks what it would not see.

    It takes the first instrument of a part for all its drums: each is told as an octave. It believes the name of a keyboard
    more than its program: where there is a program the name is left out.
    """
    played = {sound.get("id"): sound.findtext("midi-unpitched", "").strip() for sound in root.iter("midi-instrument")}
    for note in root.iter("note"):
        instrument, octave = note.find("instrument"), note.find("unpitched/display-octave")
        number = played.get(instrument.get("id"), "") if instrument is not None else ""
        if number.isdecimal() and octave is not None:
            octave.text = str(DRUM_OCTAVE + int(number) - 1)
    for part in root.iter("score-part"):
        if part.findtext("midi-instrument/midi-program", "").strip().isdecimal():
            for name in part.iterfind("score-instrument/instrument-name"):
                name.text = ""


def _name(part: Any) -> str:
    return " ".join(str(part.partName or "").split())


def _bars(parts: list[Any], remarks: list[str]) -> list[Bar]:
    """The written bars. Parts with unequal numbers of bars are put together by count, the shorter ones resting at the end."""
    from music21 import stream

    measures = [list(part.getElementsByClass(stream.Measure)) or [part] for part in parts]
    count = max(map(len, measures))
    if min(map(len, measures)) < count:
        remarks.append("the parts have unequal numbers of bars")
    bars = [Bar([[] for _ in parts]) for _ in range(count)]
    shared: dict[str, list[tuple[Quarters, int]]] = defaultdict(list)  # dynamics of all staves of one player
    for part, own in zip(parts, measures, strict=True):
        for measure in own:
            shared[_player(part)] += [(measure.offset + offset, value) for offset, value in _dynamics(measure)]
    for number, (part, own) in enumerate(zip(parts, measures, strict=True)):
        marks = sorted(shared[_player(part)], key=lambda mark: mark[0])
        state = _State(program=_named_program(part))
        _apply_instruments(part, part, state)
        for index, measure in enumerate(own):
            bar = bars[index]
            bar.length = max(bar.length, own[index + 1].offset - measure.offset if index + 1 < len(own) else measure.highestTime)
            _signs(measure, bar, part)
            bar.sounds[number] = list(_sounds(measure, part, state, marks))
    meter = key = None
    for bar in bars:
        meter, key = bar.meter or meter, bar.key or key
        bar.meter, bar.key = meter, key
    return bars


def _player(part: Any) -> str:
    """One name for the staves of one player, whose dynamics are written once: "P1-Staff2" is "P1"."""
    return str(part.id).rpartition("-Staff")[0] or str(part.id)


def _signs(measure: Any, bar: Bar, part: Any) -> None:
    """Meter, key and tempo of a bar, the first part that says something deciding."""
    from music21 import key as keys
    from music21 import meter, tempo

    for element in measure.getElementsByClass((meter.TimeSignature, keys.KeySignature, tempo.MetronomeMark)):
        if isinstance(element, keys.KeySignature):
            fifths = element.sharps or 0
            if bar.key is None and _sounds_as_written(part) and -7 <= fifths <= 7:
                bar.key = (fifths, int(getattr(element, "mode", None) == "minor"))
        elif isinstance(element, meter.TimeSignature):
            if bar.meter is None and 0 < element.numerator < 256 and 0 < element.denominator <= 64:
                bar.meter = (element.numerator, element.denominator)
        else:
            quarters = element.getQuarterBPM()
            if quarters is not None and 4 <= quarters <= 2000 and all(offset != element.offset for offset, _ in bar.tempos):
                bar.tempos.append((element.offset, float(quarters)))


def _sounds_as_written(part: Any) -> bool:
    return getattr(part, "atSoundingPitch", True) is not False


def _dynamics(measure: Any) -> Iterator[tuple[Any, int]]:
    from music21 import dynamics

    for element in measure.getElementsByClass(dynamics.Dynamic):
        if element.value in VELOCITIES:
            yield element.offset, VELOCITIES[element.value]


def _named_program(part: Any) -> int:
    """The program that the part's name tells, in any of the languages that music21 knows; a piano otherwise."""
    from music21 import instrument

    for name in (part.partName, part.partAbbreviation):
        if name:
            try:
                return int(instrument.fromString(str(name)).midiProgram or 0)
            except Exception:  # no instrument of this name: several types are raised
                continue
    return 0


def _apply_instruments(container: Any, part: Any, state: _State) -> None:
    """What an instrument sign changes."""
    from music21 import instrument

    for element in container.getElementsByClass(instrument.Instrument):
        unheard = element.midiChannel is None and isinstance(element, instrument.UnpitchedPercussion)
        state.percussion = element.midiChannel == 9 or unheard
        state.drum = getattr(element, "percMapPitch", None) or state.drum
        if element.midiProgram is not None and 0 <= element.midiProgram <= 127:
            state.program = element.midiProgram
        transposition = None if _sounds_as_written(part) else element.transposition
        state.semitones = int(transposition.semitones) if transposition is not None else 0


def _sounds(measure: Any, part: Any, state: _State, marks: list[tuple[Quarters, int]]) -> Iterator[Sound]:
    """The notes of one bar of one part, voice by voice; a run of grace notes ends where the note it belongs to begins."""
    from music21 import stream

    _apply_instruments(measure, part, state)
    end = measure.offset + measure.highestTime
    inside = [(time - measure.offset, velocity) for time, velocity in marks if measure.offset <= time < end]
    at_bar_line = state.velocity
    for voice in [measure, *measure.getElementsByClass(stream.Voice)]:
        shift = 0 if voice is measure else voice.offset
        graces: list[list[Sound]] = []
        for element in voice.notes:
            onset = shift + element.offset
            state.velocity = next((velocity for time, velocity in reversed(inside) if time <= onset), at_bar_line)
            sounds = list(_of_element(element, onset, state))
            if element.duration.isGrace:
                graces.append(sounds)
            else:
                yield from before(graces, onset)
                graces = []
                yield from sounds
        yield from before(graces, shift + voice.highestTime)
    state.velocity = inside[-1][1] if inside else at_bar_line


def _of_element(element: Any, onset: Quarters, state: _State) -> Iterator[Sound]:
    """Every pitch of a note or chord; nothing of a chord symbol."""
    from music21 import chord, harmony, note

    grace = bool(element.duration.isGrace)
    if isinstance(element, harmony.Harmony) or (element.quarterLength <= 0 and not grace):
        return
    members: tuple[Any, ...] = element.notes if isinstance(element, chord.ChordBase) else (element,)
    for member in members:
        tie = member.tie or element.tie
        kind = tie.type if tie is not None and not grace else ""
        if isinstance(member, note.Unpitched):
            pitch, program = member.displayOctave - DRUM_OCTAVE if member.displayOctave >= DRUM_OCTAVE else state.drum, -1
        else:
            pitch, program = int(member.pitch.midi) + state.semitones, -1 if state.percussion else state.program
        if 0 <= pitch <= 127:
            duration = GRACE if grace else element.quarterLength
            yield Sound(onset, duration, pitch, state.velocity, program, kind in ("start", "continue"), kind in ("stop", "continue"), grace)

"""A part given to learned voices: which voice plays which note, as phrases; and one line about notes that lie outside a voice.

A part of a struck instrument has one voice for all its notes, and no phrases: each stroke is for itself.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from symbolic.dsp.units import hz_to_midi
from symbolic.models.voices.bundled import bundled_struck, bundled_voices, voice_folder
from symbolic.models.voices.drums import DrumKit
from symbolic.models.voices.struck import StruckVoice, load_struck
from symbolic.rendering.drum_kits import kit_of
from symbolic.rendering.expression import bundled_expression
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.phrase_player import decoder_of
from symbolic.rendering.phrases import Phrase, phrases_of
from symbolic.rendering.programs import LearnedProgram, learned_programs, struck_programs

BEYOND = 1.5  # semitones beyond its recordings that a voice is still told the truth about the pitch


@dataclass(frozen=True)
class LearnedPart:
    """Pairs of a voice's name and a phrase, in order of their beginnings; or the voice or the drum kit that each note is
    struck on.

    `remark` is "" or a line for a person.
    """

    phrases: tuple[tuple[str, Phrase], ...] = ()
    remark: str = ""
    struck: StruckVoice | None = None
    kit: DrumKit | None = None


def learned_parts(parts: Sequence[Part]) -> dict[int, LearnedPart]:
    """The parts, by index, whose program has learned voices, all of them there for the notes it plays; and drums with a measured key."""
    programs, there, strings = learned_programs(), set(bundled_voices()), set(bundled_struck())
    found = {}
    for part in parts:
        if part.is_drum:
            kit = kit_of(part.program)
            if kit is not None and any(note.pitch in kit.measured for note in part.notes):
                found[part.index] = LearnedPart(kit=kit)
            continue
        if struck_programs().get(part.program) in strings:
            found[part.index] = LearnedPart(struck=struck_voice(struck_programs()[part.program]))
            continue
        program = programs.get(part.program)
        if program is not None and {program.voice_of(note.pitch) for note in part.notes} <= there:
            found[part.index] = _learned(part, program)
    return found


@functools.cache
def struck_voice(name: str) -> StruckVoice:
    """A bundled struck voice, loaded once."""
    return load_struck(voice_folder(name))


def _learned(part: Part, program: LearnedProgram) -> LearnedPart:
    by_voice: dict[str, list[PlayedNote]] = {}
    for note in part.notes:
        by_voice.setdefault(program.voice_of(note.pitch), []).append(note)
    found: list[tuple[str, Phrase]] = []
    outside: list[int] = []
    for voice, notes in by_voice.items():
        config = decoder_of(voice).config
        compass = (float(hz_to_midi(config.lowest_pitch)) - BEYOND, float(hz_to_midi(config.highest_pitch)) + BEYOND)
        outside += [note.pitch for note in notes if not compass[0] <= note.pitch <= compass[1]]
        found += [(voice, phrase) for phrase in phrases_of(part, notes, voice, compass, program, bundled_expression())]
    remark = ""
    if outside:
        where = f"track {part.index + 1}{f' ({part.name})' if part.name else ''}"
        count = f"{len(outside)} of {len(part.notes)} notes"
        remark = f"{where}: {count} lie outside the compass of {_listed(list(by_voice))}; they have the tone of the nearest note inside"
    return LearnedPart(tuple(sorted(found, key=lambda pair: pair[1].begin)), remark)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

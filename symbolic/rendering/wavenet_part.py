"""Parts given to WaveNet voices: which voice plays which part, and every note of a song made before it is mixed, each once.

A note is told the nearest pitch of the voice's compass, a velocity in steps of `VELOCITY_STEP`, and a length in whole codes; what is
left of the pitch, bends and the wheel's vibrato are the speed at which its sound is read, as in a sampler. Samples are at the voice's rate.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symbolic.dsp.a_weighting import FRAME_SIZE, loudness_of_frames
from symbolic.errors import InputError
from symbolic.models.wavenet.bundled import bundled_wavenets, wavenet_folder
from symbolic.rendering.controls import MODULATION_CENTS, velocity_gain
from symbolic.rendering.note_cache import NoteCache
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.phrases import HIDDEN, HIDDEN_PITCHES, PLAYED_AT

if TYPE_CHECKING:
    from symbolic.rendering import in_tune


NAME = "wavenet"
RELEASE = 0.15  # seconds after the key goes up in which a note dies away
SHORTEST, LONGEST = 0.05, 60.0  # seconds from key-down to key-up
VELOCITY_STEP = 8
MOST_MOVED = 12.0  # semitones outside its compass at which a voice is still used
VIBRATO_RATE = 5.5  # hertz, of the wheel's
CURVE_RATE = 250  # points a second of a bend
TUNED = 0.5  # semitones: a note off by less is brought to its pitch
LOWEST_GAIN, HIGHEST_GAIN = -40.0, 30.0  # decibels
TEMPERATURE, TRIES = 0.7, 3

Wanted = tuple[float, float, int]
"""Pitch and velocity told, and samples."""


@dataclass(frozen=True)
class Made:
    """One note made: µ-law codes (S,), how many semitones it is to be raised to be in tune (None: it is too far off), decibels (A)."""

    codes: np.ndarray
    tuning: float | None
    level: float


class WavenetNotes:
    """A voice with the notes of a song, made once `make` was called. `lowest` and `highest` are MIDI pitches."""

    def __init__(self, name: str, folder: Path, cache: NoteCache | None, threads: int) -> None:
        from symbolic.rendering.wavenet_voice import WavenetVoice

        self.name = name
        self.voice = WavenetVoice(folder, cache, temperature=TEMPERATURE, tries=TRIES, threads=threads)
        facts = _facts(folder)
        self.lowest, self.highest = float(facts.get("lowest_pitch", 0.0)), float(facts.get("highest_pitch", 127.0))
        self._made: dict[Wanted, Made] = {}

    def reaches(self, part: Part) -> bool:
        """Whether the notes of a part lie near enough to its compass, and are not too long."""
        pitches = [note.pitch for note in part.notes]
        longest = max(note.release - note.start for note in part.notes)
        near = self.lowest - MOST_MOVED <= min(pitches) and max(pitches) <= self.highest + MOST_MOVED
        return near and longest <= LONGEST

    def wanted(self, note: PlayedNote, part: Part) -> Wanted:
        """What the voice is asked for, to play a note of a part."""
        told = min(max(float(note.pitch), self.lowest), self.highest)
        velocity = float(np.clip(VELOCITY_STEP * round(note.velocity / VELOCITY_STEP), VELOCITY_STEP, 127))
        speeds, _ = reading(note, part, note.pitch - told)
        size = self.voice.model.config.code_samples
        seconds = float(speeds.mean()) * heard_seconds(note) + 2 / CURVE_RATE
        return told, velocity, math.ceil(seconds * self.voice.sample_rate / size) * size

    def make(self, wanted: Sequence[Wanted], progress: Callable[[int, int], None] | None = None) -> None:
        """Make what is not made yet."""
        missing = [one for one in dict.fromkeys(wanted) if one not in self._made]
        for one, played in zip(missing, self.voice.play(missing, progress), strict=True):
            self._made[one] = self._judged(one, played)

    def made(self, wanted: Wanted) -> Made:
        """A note that was made."""
        return self._made[wanted]

    def remarks(self) -> list[str]:
        """A line where notes are off."""
        off = sum(one.tuning is None for one in self._made.values())
        found = f"WaveNet {self.name}: {off} of the {len(self._made)} notes made are not at the pitch told, or at none"
        return [found + "; the network needs more training"] if off else []

    def gain(self, note: PlayedNote, made: Made) -> float:
        """The amplitude factor that brings a note to the loudness that the learned voices have at its velocity."""
        hidden = float(np.interp(note.pitch, HIDDEN_PITCHES, HIDDEN))
        decibels = PLAYED_AT + 20 * math.log10(velocity_gain(note.velocity)) - hidden - made.level
        return float(10 ** (np.clip(decibels, LOWEST_GAIN, HIGHEST_GAIN) / 20))

    def _judged(self, wanted: Wanted, played: "in_tune.PlayedNote") -> Made:
        """A note with its tuning and its level."""
        from symbolic.rendering.in_tune import sound_of

        off = math.inf if played.heard is None else wanted[0] - played.heard
        sound = np.pad(sound_of(played.codes, self.voice.model), FRAME_SIZE // 2)
        frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME_SIZE)[:: FRAME_SIZE // 4]
        level = float(np.percentile(loudness_of_frames(frames, self.voice.sample_rate), 90))
        return Made(played.codes, off if abs(off) <= TUNED else None, level)


@dataclass(frozen=True)
class WavenetPart:
    """A part played by the notes of a WaveNet voice."""

    notes: WavenetNotes


def wavenet_parts(
    parts: Sequence[Part], voices: str = NAME, cache: NoteCache | None = None, threads: int = 1,
    progress: Callable[[float, float], object] | None = None,
) -> tuple[dict[int, WavenetPart], list[str]]:  # fmt: skip
    """The parts, by index, that WaveNet voices play, all their notes made; and lines for a person.

    `voices` is "wavenet" for the voices that come with the package, or "wavenet:FOLDER" for one's own, which then plays every part that
    is no drums. Raises `InputError` when there is no such voice.
    """
    chosen = _chosen(parts, voices)
    opened = {name: WavenetNotes(name, wavenet_folder(name), cache, threads) for name in dict.fromkeys(chosen.values())}
    found = {part.index: WavenetPart(opened[chosen[part.index]]) for part in parts
             if part.index in chosen and opened[chosen[part.index]].reaches(part)}  # fmt: skip
    wanted = {notes: [notes.wanted(note, part) for part in parts if part.index in found and found[part.index].notes is notes
                      for note in part.notes] for notes in opened.values()}  # fmt: skip
    total = sum(one[2] for every in wanted.values() for one in set(every))
    before = 0
    for notes, every in wanted.items():
        size = sum(one[2] for one in set(every))

        def tell(done: int, missing: int, before: int = before, size: int = size) -> None:
            if progress:
                progress(before + size - missing + done, total)  # what the cache had is done

        notes.make(every, tell)
        before += size
    return found, [*_lines(parts, found), *(line for notes in opened.values() for line in notes.remarks())]


def reading(note: PlayedNote, part: Part, semitones: float) -> tuple[np.ndarray, bool]:
    """The speed at which a note's sound is read, at `CURVE_RATE` from its beginning on, and whether it changes."""
    time = note.start + np.arange(max(1, math.ceil(heard_seconds(note) * CURVE_RATE))) / CURVE_RATE
    moved = np.full(len(time), semitones)
    if part.bend is not None:
        moved += part.bend.at(time)
    if part.modulation is not None:
        wheel = part.modulation.at(time)
        moved += wheel * MODULATION_CENTS / 100 * np.sin(math.tau * VIBRATO_RATE * (time - note.start))
    return 2 ** (moved / 12), bool(np.ptp(moved) > 0)


def heard_seconds(note: PlayedNote) -> float:
    """From key-down until the note has died away."""
    return min(max(note.release - note.start, SHORTEST), LONGEST) + RELEASE


@functools.cache
def wavenet_programs() -> dict[int, list[str]]:
    """The table: names of voices for a program, the nearest first. Raises `InputError` for a table that is none."""
    import yaml

    path = Path(str(resources.files("symbolic.pretrained"))) / "wavenet" / "programs.yaml"
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error}); install the package again") from error
    return {int(number): [str(name) for name in names] for number, names in table.items()}


def _chosen(parts: Sequence[Part], voices: str) -> dict[int, str]:
    """The voice of each part that has one."""
    melodic = [part for part in parts if not part.is_drum]
    _, _, folder = voices.partition(":")
    if folder:
        return {part.index: folder for part in melodic}
    there = bundled_wavenets()
    if not there:
        raise InputError("voices wavenet: none is bundled; give one's own as wavenet:FOLDER, or choose learned or synthesized")
    named = {part.index: [name for name in wavenet_programs().get(part.program, []) if name in there] for part in melodic}
    return {index: names[0] for index, names in named.items() if names}


def _lines(parts: Sequence[Part], found: Mapping[int, WavenetPart]) -> list[str]:
    """Who plays what, in one line."""
    by_voice: dict[str, list[int]] = {}
    for index, part in found.items():
        by_voice.setdefault(part.notes.name, []).append(index + 1)
    played = [f"WaveNet {name} plays {_tracks(tracks)}" for name, tracks in by_voice.items()]
    others = [part.index + 1 for part in parts if part.index not in found]
    left = [f"no WaveNet plays {_tracks(others)}, left to learned voices and the synthesizer"] if others else []
    return ["; ".join([*played, *left])]


def _tracks(tracks: Sequence[int]) -> str:
    return f"track{'s' * (len(tracks) > 1)} {', '.join(map(str, tracks))}"


def _facts(folder: Path) -> dict[str, Any]:
    """What voice.json tells; {} where there is none."""
    try:
        content = json.loads((folder / "voice.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

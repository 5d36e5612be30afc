"""From one note to another in steps, or one note at another length and pitch: temporal codes put together and played.

Attack and release keep their lengths, what is between them is stretched. Pitch is told to the decoder and length is counted in samples,
so that the codes need not be right about either. Where the pitch that came out is off, the note is drawn again with other random numbers.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.errors import UsageError
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.sampling import Note, play_notes
from symbolic.models.wavenet.temporal_codes import blended, sustained
from symbolic.rendering.blending.hearing import LONGEST, SHORTEST, Material, heard_pitch

TEMPERATURE = 0.9
FADE = 0.005  # seconds at the end, so that no click ends it
MOST_STEPS = 99
LOWEST_PITCH, HIGHEST_PITCH = 21.0, 108.0
WITHIN = 0.3  # semitones that the pitch may be off
TRIES = 3


@dataclass(frozen=True)
class BlendedNote:
    """`sound` (S,) float32 at the model's rate; `share` 0 … 1 of the second note; `pitch` asked for and `heard` (None: none), MIDI."""

    sound: np.ndarray
    share: float
    pitch: float
    heard: float | None
    velocity: float


def blend(
    model: Wavenet, first: Material, second: Material | None = None, *, steps: int = 5, pitch: float | None = None,
    seconds: float | None = None, temperature: float = TEMPERATURE, random_seed: int = 0, tries: int = TRIES,
    progress: Callable[[float, float], object] | None = None,
) -> list[BlendedNote]:  # fmt: skip
    """The steps from the first note to the second, both of them included; or of one note alone a single one, changed.

    `pitch` and `seconds` default to lines between those of the notes. `progress` is told what is done and is to be done.
    Raises `InputError` for lengths, pitches, numbers of steps and temperatures that cannot be.
    """
    check_blend(steps, pitch, seconds, temperature)
    shares = [0.0] if second is None else [0.5] if steps == 1 else [float(share) for share in np.linspace(0.0, 1.0, steps)]
    notes = [put_together(model, first, second, share, pitch, seconds, random_seed * 1009 + place) for place, share in enumerate(shares)]
    played = play_in_tune(model, notes, temperature=temperature, tries=tries, progress=progress)
    return [
        BlendedNote(sound, share, float(note.pitch), heard, note.velocity)
        for note, share, (sound, heard) in zip(notes, shares, played, strict=True)
    ]


def put_together(
    model: Wavenet, first: Material, second: Material | None = None, share: float = 0.0, pitch: float | None = None,
    seconds: float | None = None, random_seed: int = 0,
) -> Note:  # fmt: skip
    """What is to be played: `share` of the second note, the rest of the first; what is not given lies on lines between the two."""
    other = first if second is None else second
    asked = _between(first.pitch, other.pitch, share) if pitch is None else pitch
    samples = round(_between(first.samples, other.samples, share) if seconds is None else seconds * model.config.sample_rate)
    count = -(-samples // model.config.code_samples)
    codes = sustained(first.codes_at(model, asked), count)
    if second is not None:
        codes = blended(codes, sustained(second.codes_at(model, asked), count), share)
    return Note(codes, asked, _between(first.velocity, other.velocity, share), samples, random_seed)


def check_blend(steps: int, pitch: float | None, seconds: float | None, temperature: float) -> None:
    """Raise `UsageError` for what cannot be asked for."""
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"steps {steps}: 1 to {MOST_STEPS} are wanted")
    if pitch is not None and not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
        raise UsageError(f"pitch {pitch:g}: a MIDI number from {LOWEST_PITCH:.0f} (A0) to {HIGHEST_PITCH:.0f} (C8) is wanted")
    if seconds is not None and not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"length {seconds:g}: {SHORTEST:g} to {LONGEST:.0f} seconds are wanted")
    if not 0 <= temperature <= 2:
        raise UsageError(f"temperature {temperature:g}: 0 (the likeliest samples) to 2 is wanted; 1 is as learned")


@torch.no_grad()
def play_in_tune(
    model: Wavenet, notes: Sequence[Note], *, temperature: float = TEMPERATURE, tries: int = TRIES,
    progress: Callable[[float, float], object] | None = None,
) -> list[tuple[np.ndarray, float | None]]:  # fmt: skip
    """Sound and pitch of each note; those whose pitch is off are drawn again, and the nearest draw is kept."""
    best: list[tuple[np.ndarray, float | None]] = []
    left = list(range(len(notes)))
    for turn in range(max(1, tries)):
        drawn = [_drawn(notes[place], turn) for place in left]
        done, total = 0, sum(note.samples for note in drawn)

        def count(samples: int, turn: int = turn, total: int = total) -> None:
            nonlocal done
            done += samples
            if progress and not turn:
                progress(done, total)

        made = play_notes(model, drawn, temperature=temperature, threads=min(8, os.cpu_count() or 1), progress=count)
        for place, codes in zip(left, made, strict=True):
            sound = _sound(codes, model)
            heard = heard_pitch(sound, model.config.sample_rate)
            found = (sound, None if heard is None else heard[0])
            if turn == 0:
                best.append(found)
            elif _off(found[1], notes[place]) < _off(best[place][1], notes[place]):
                best[place] = found
        left = [place for place in left if _off(best[place][1], notes[place]) > WITHIN]
        if not left:
            break
    return best


def _drawn(note: Note, turn: int) -> Note:
    return Note(note.codes, note.pitch, note.velocity, note.samples, note.random_seed + 7919 * turn)


def _off(heard: float | None, note: Note) -> float:
    return float("inf") if heard is None else abs(heard - float(note.pitch))


def _sound(codes: np.ndarray, model: Wavenet) -> np.ndarray:
    sound = mu_law_decode(codes, model.config.levels)
    fade = min(len(sound), round(FADE * model.config.sample_rate))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def _between(first: float, second: float, share: float) -> float:
    return float(first + (second - first) * share)

"""Notes of a WaveNet that have the pitch they were told: each is heard when it is made, and drawn again where it is off.

Sampling is chance, and now and then a draw falls into another pitch, or into none. Pitch is a MIDI number; sound is (S,) float32 at the
model's rate.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.dsp.pitch_tracking import PERIODIC, track_pitch
from symbolic.dsp.units import hz_to_midi
from symbolic.models.wavenet.autoencoder import Autoencoder
from symbolic.models.wavenet.sampling import Note, play_notes

WITHIN = 0.3  # semitones that the pitch may be off
TRIES = 3
FADE = 0.005  # seconds at the end of a note, so that no click ends it
HOP_SECONDS = 0.004
LOUD = 20.0  # dB below the loudest frame: frames that tell the pitch
LOWEST, HIGHEST = 30.0, 4200.0  # hertz


@dataclass(frozen=True)
class PlayedNote:
    """µ-law codes (S,) uint8, and the pitch heard in them (None: none)."""

    codes: np.ndarray
    heard: float | None


def play_in_tune(
    model: Autoencoder, notes: Sequence[Note], *, temperature: float = 1.0, tries: int = TRIES, threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[PlayedNote]:  # fmt: skip
    """Each note, the nearest to its pitch of up to `tries` draws; the first is that of its own random seed.

    `progress` is called with samples done of the first draws, from any thread. `threads`: as many as there are processors, up to 8.
    """
    best: list[PlayedNote] = []
    left = list(range(len(notes)))
    for turn in range(max(1, tries)):
        drawn = [replace(notes[place], random_seed=notes[place].random_seed + 7919 * turn) for place in left]
        count = progress if progress and not turn else None
        made = play_notes(model, drawn, temperature=temperature, threads=threads or min(8, os.cpu_count() or 1), progress=count)
        for place, codes in zip(left, made, strict=True):
            heard = heard_pitch(sound_of(codes, model), model.config.sample_rate)
            found = PlayedNote(codes, None if heard is None else heard[0])
            if turn == 0:
                best.append(found)
            elif _off(found, notes[place]) < _off(best[place], notes[place]):
                best[place] = found
        left = [place for place in left if _off(best[place], notes[place]) > WITHIN and len(best[place].codes)]
        if not left:
            break
    return best


def heard_pitch(sound: np.ndarray, sample_rate: int) -> tuple[float, float, float] | None:
    """MIDI pitch of a sound: the middle of its loud frames, and where a tenth and nine tenths of them lie; None where there is none."""
    hop = round(HOP_SECONDS * sample_rate)
    frames = len(sound) // hop
    if frames < 2:
        return None
    track = track_pitch(sound, sample_rate, hop, LOWEST, min(HIGHEST, 0.4 * sample_rate))
    energy = np.square(sound[: frames * hop].reshape(frames, hop)).sum(1)
    sure = (energy > energy.max() * 10 ** (-LOUD / 10)) & (track.periodicity >= PERIODIC)
    if not sure.any():
        return None
    low, middle, high = np.percentile(hz_to_midi(track.pitch[sure]), (10, 50, 90))
    return float(middle), float(low), float(high)


def sound_of(codes: np.ndarray, model: Autoencoder) -> np.ndarray:
    """The sound of µ-law codes, its end faded."""
    sound = mu_law_decode(codes, model.config.levels)
    fade = min(len(sound), round(FADE * model.config.sample_rate))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def _off(played: PlayedNote, note: Note) -> float:
    return float("inf") if played.heard is None else abs(played.heard - float(note.pitch))

"""The shape of a note in a few numbers, and the curve of loudness they stand for.

A note of a sustained instrument rises to its level, holds while it changes slowly, and dies away when it is let go:

    level     decibels, A-weighted, as a voice hears them
    attack    seconds from the first sound (`FLOOR` under the level) until the loudness passes each of `ATTACK_LEVELS`
    body      decibels against the level at each of `BODY_PLACES`, parts of the time between the attack's end and the release
    release   seconds from being let go until the loudness has fallen by each of `RELEASE_LEVELS`
    vibrato   cents to either side, its rate in hertz, and how far the loudness swings with it in decibels

Curves are functions of the time since the note began, so that any stretch of a note can be computed alone.
"""

from dataclasses import dataclass

import numpy as np

FLOOR = -40.0
ATTACK_LEVELS = (-30.0, -20.0, -10.0, -4.0)
BODY_PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
RELEASE_LEVELS = (-6.0, -15.0, -30.0)
SILENT = -80.0  # decibels under the level where a curve ends
ONSET = 1  # which of the attack's levels is where a note is heard to begin: 20 dB under its top
NUMBERS = 1 + len(ATTACK_LEVELS) + len(BODY_PLACES) + len(RELEASE_LEVELS) + 3


@dataclass(frozen=True)
class NoteShape:
    """The numbers, in the units of this module."""

    level: float
    attack: tuple[float, ...]
    body: tuple[float, ...]
    release: tuple[float, ...]
    vibrato_cents: float
    vibrato_rate: float
    tremolo: float

    def numbers(self) -> np.ndarray:
        """As (NUMBERS,) that a network can learn: times and depths as logarithms of what each adds to the one before."""
        attack = np.log(np.maximum(np.diff(self.attack, prepend=0.0), 0.001))
        release = np.log(np.maximum(np.diff(self.release, prepend=0.0), 0.002))
        motion = [np.log(max(self.vibrato_cents, 0.5)), self.vibrato_rate, np.log(max(self.tremolo, 0.05))]
        return np.concatenate([[self.level], attack, self.body, release, motion]).astype(np.float64)


def shape_of(numbers: np.ndarray) -> NoteShape:
    """The inverse of `numbers`."""
    ends = np.cumsum([1, len(ATTACK_LEVELS), len(BODY_PLACES), len(RELEASE_LEVELS)])
    _, attack, body, release, motion = np.split(numbers, ends)
    return NoteShape(
        float(numbers[0]), tuple(np.cumsum(np.exp(attack))), tuple(body), tuple(np.cumsum(np.exp(release))),
        float(np.exp(motion[0])), float(motion[1]), float(np.exp(motion[2])),
    )  # fmt: skip

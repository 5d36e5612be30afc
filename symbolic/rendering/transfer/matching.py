"""What was heard, brought to what a voice can play: loudness to the voice's own, pitch into its compass.

Loudness: the median of what sings goes to the median of the voice's recordings, and the spread around it (between the quartiles) is
widened or narrowed towards theirs, by 0.6 to 1.25 at most, so that dynamics stay the player's; towards the voice's loudest it is held
back smoothly. The map rises everywhere: louder in is louder out.

Pitch: as many octaves, the same for the whole sound, as bring it into the compass; an octave more must be worth a tenth of what sounds.
What still lies outside is folded by octaves, a note at a time: one that begins within the compass may leave it by a whole tone, and one
that was folded must lie four semitones inside before it is no more. So what glides over the bound breaks once and does not flutter.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.dsp.a_weighting import RANGE_DB
from symbolic.dsp.compiled import compiled
from symbolic.models.voices.configuration import VoiceConfig

STEEPEST, FLATTEST = 1.25, 0.6
USUAL_QUARTILES = (-21.0, -12.0, -5.0)  # decibels, of a voice that does not tell its own
USUAL_LOUDEST = (0.0, 6.0)  # its 95th percentile and its loudest
BELOW_LOUDEST = 50.0  # decibels: what is softer than the loudest by so much is silence
EDGE = 0.5 / 12  # octaves around the compass that belong to it: instruments are tuned higher and lower
LEEWAY, INSIDE = 2 / 12, 4 / 12  # octaves beyond which a sounding note is folded, and within which it is no more
LEAP = 0.5 / 12  # octaves from frame to frame that begin another note
MOST_OCTAVES = 6
OCTAVE_COST = 0.1
DECIBELS = np.arange(-80.0, 60.0, 0.25)  # cells of what was heard
NOTES = np.arange(0.0, 140.0, 0.25)  # MIDI numbers


class Hearsay:
    """How loud and how high what sings is, as counts of frames: bounded however long it lasts."""

    def __init__(self) -> None:
        self.decibels, self.notes = np.zeros(len(DECIBELS)), np.zeros(len(NOTES))
        self.frames = 0

    def add(self, pitch: np.ndarray, loudness: np.ndarray, gate: np.ndarray) -> None:
        """The next frames (F,); those whose gate is shut do not count."""
        sings = gate > 0
        np.add.at(self.decibels, np.clip(((loudness[sings] + RANGE_DB) * 4).astype(np.int64), 0, len(DECIBELS) - 1), 1)
        note = 69 + 12 * np.log2(pitch[sings] / 440)
        np.add.at(self.notes, np.clip((note * 4).astype(np.int64), 0, len(NOTES) - 1), 1)
        self.frames += int(sings.sum())

    def expect(self, middle: float, spread: float, frames: float) -> None:
        """Begin as if so many frames had been heard around `middle` decibels: what is played live must begin with something."""
        self.decibels += frames * (weight := np.exp(-0.5 * ((DECIBELS - middle) / spread) ** 2)) / weight.sum()

    def loudest(self) -> float:
        """Decibels that one frame in a hundred exceeds."""
        return self._quantile(0.99)

    def quartiles(self) -> tuple[float, float, float]:
        """Decibels."""
        return self._quantile(0.25), self._quantile(0.5), self._quantile(0.75)

    def _quantile(self, share: float) -> float:
        total = np.cumsum(self.decibels)
        place = int(np.searchsorted(total, share * total[-1]))
        before = total[place - 1] if place else 0.0
        return float(DECIBELS[place] + 0.25 * (share * total[-1] - before) / max(total[place] - before, 1e-12))


def octaves_to_compass(hearsay: Hearsay, config: VoiceConfig) -> int:
    """The octaves up (or, negative, down) after which the least lies outside the compass, where each costs as much as a tenth outside."""
    heard = hearsay.notes > 0
    notes, counts = NOTES[heard] + 0.125, hearsay.notes[heard]
    low, high = (69 + 12 * np.log2(hertz / 440) for hertz in (config.lowest_pitch, config.highest_pitch))
    low, high = low - 12 * EDGE, high + 12 * EDGE

    def cost(octaves: int) -> float:
        moved = notes + 12 * octaves
        return float(counts[(moved < low) | (moved > high)].sum()) + OCTAVE_COST * float(counts.sum()) * abs(octaves)

    return min(range(-MOST_OCTAVES, MOST_OCTAVES + 1), key=lambda octaves: (cost(octaves), abs(octaves), octaves))


@dataclass
class LoudnessMap:
    """Decibels heard → decibels that the voice is told. `floor` and what is below it is silence."""

    middle: float
    slope: float
    target: float
    knee: float
    loudest: float
    floor: float

    def __call__(self, loudness: np.ndarray, gate: np.ndarray) -> np.ndarray:
        """Loudness (F,) of frames whose gate (F,) may be shut: towards −80 as it shuts."""
        told = self.target + self.slope * (loudness - self.middle)
        room = max(self.loudest - self.knee, 0.1)
        beyond = np.maximum(told - self.knee, 0.0)
        told = np.minimum(told, self.knee) + beyond / (1.0 + beyond / room)
        told = np.maximum(told, -RANGE_DB)
        fade = np.clip((loudness - self.floor) / 3.0, 0.0, 1.0)  # over three decibels, so that nothing is cut off
        return -RANGE_DB + (told + RANGE_DB) * fade * gate

    def moved(self, other: "LoudnessMap", share: float) -> "LoudnessMap":
        """The map that lies between this and another."""
        return LoudnessMap(*(one + share * (two - one) for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))


def loudness_map(hearsay: Hearsay, config: VoiceConfig) -> LoudnessMap:
    """The map from what was heard to the voice's own loudness."""
    quantiles = config.loudness_quantiles
    if len(quantiles) >= 2:
        places = np.linspace(0, 1, len(quantiles))
        first, target, third, knee, loudest = np.interp((0.25, 0.5, 0.75, 0.95, 1.0), places, quantiles).tolist()
    else:
        (first, target, third), (knee, loudest) = USUAL_QUARTILES, USUAL_LOUDEST
    low, middle, high = hearsay.quartiles()
    slope = float(np.clip((third - first) / max(high - low, 1e-3), FLATTEST, STEEPEST))
    return LoudnessMap(middle, slope, target, knee, loudest, hearsay.loudest() - BELOW_LOUDEST)


class Folding:
    """Pitches in octaves moved, and folded where they leave the compass; the state of the note that sounds goes from block to block."""

    def __init__(self, config: VoiceConfig) -> None:
        self._low, self._high = float(np.log2(config.lowest_pitch)), float(np.log2(config.highest_pitch))
        self._state = np.zeros(3)  # the octaves of this note, whether the gate was open, and the octave before
        self.folded = 0  # frames that were

    def __call__(self, pitch: np.ndarray, gate: np.ndarray, octaves: int) -> np.ndarray:
        """Hertz (F,), moved by `octaves` and folded."""
        moved = np.log2(pitch) + octaves
        before = moved.copy()
        _fold_loop(moved, np.asarray(gate > 0), self._low, self._high, self._state)
        self.folded += int(((moved != before) & (gate > 0)).sum())
        return np.asarray(2**moved)


@compiled
def _fold_loop(moved: np.ndarray, sings: np.ndarray, low: float, high: float, state: np.ndarray) -> None:
    fold = state[0]
    for frame in range(moved.shape[0]):
        octave = moved[frame]
        fresh = state[1] == 0.0 or not sings[frame] or abs(octave - state[2]) > LEAP
        state[1] = 1.0 if sings[frame] else 0.0
        state[2] = octave
        if fresh or low + INSIDE <= octave <= high - INSIDE:
            fold = 0.0
        room = EDGE if fresh else LEEWAY
        # A compass of less than an octave may have no place for a note, which then stays beside it.
        while octave + fold < low - room and octave + fold + 1.0 <= high + LEEWAY:
            fold += 1.0
        while octave + fold > high + room and octave + fold - 1.0 >= low - LEEWAY:
            fold -= 1.0
        moved[frame] = octave + fold
    state[0] = fold

"""Controls to signal: one note, rendered in segments that follow on without a seam.

A voice keeps the phases of its oscillators and the memories of its filters between segments, so memory does not grow with the
note's length. Sound is (2, S) float32, left and right.
"""

import math

import numpy as np

from symbolic.dsp.noise import filtered_noise
from symbolic.dsp.oscillators import INAUDIBLE, add_oscillators
from symbolic.rendering.controls import NoteControls, hop_of

SEGMENT_FRAMES = 256


class NotePlayer:
    """One note that begins at `start` seconds and lasts `seconds`; `next_segment` gives its sound piece by piece until `done`."""

    def __init__(self, start: float, seconds: float, sample_rate: int) -> None:
        self.sample_rate, self.hop = sample_rate, hop_of(sample_rate)
        self.start = round(start * sample_rate)
        self.frames = max(1, math.ceil(seconds * sample_rate / self.hop))
        self.frame = 0

    def next_segment(self) -> np.ndarray:
        """The next (2, S) samples."""
        raise NotImplementedError

    @property
    def position(self) -> int:
        """The sample of the song at which the next segment starts."""
        return self.start + self.frame * self.hop

    @property
    def end(self) -> int:
        """The sample of the song at which the note is over."""
        return self.start + self.frames * self.hop

    @property
    def done(self) -> bool:
        """Whether the note has ended."""
        return self.frame >= self.frames


class Voice(NotePlayer):
    """Renders one note of the synthesizer from its controls."""

    def __init__(self, controls: NoteControls, sample_rate: int) -> None:
        super().__init__(controls.start, controls.seconds, sample_rate)
        self.controls = controls
        self._phases = controls.phases.copy()
        self._filters = np.zeros((len(controls.seeds), 2))
        self._seeds = controls.seeds.copy()

    def next_segment(self) -> np.ndarray:
        """The next (2, S) samples."""
        first, last = self.frame, min(self.frame + SEGMENT_FRAMES, self.frames)
        self.frame = last
        controls, hop, rate = self.controls, self.hop, self.sample_rate
        sound = np.zeros((2, (last - first) * hop), np.float32)
        for copy, tone in enumerate(controls.tones(first, last)):
            gains, ratios, phases = sides(tone.place), controls.spectrum.ratios, self._phases[copy]
            add_oscillators(sound, gains, tone.frequency, ratios, tone.shared, tone.level, phases, hop, rate)
        self._add_noise(sound, first, last)
        return sound

    def _add_noise(self, sound: np.ndarray, first: int, last: int) -> None:
        """Add the noises at the frame borders first … last to the segment's sound (2, S)."""
        controls, hop, rate = self.controls, self.hop, self.sample_rate
        middle = sum(controls.places) / len(controls.places)
        for index, hiss in enumerate(controls.hisses(first, last)):
            if hiss is None or not (heard := np.flatnonzero(hiss.level > INAUDIBLE)).size:
                continue
            points = min(int(heard[-1]) + 2, len(hiss.level))  # a short attack noise is not computed to the segment's end
            noise, memory, seed = controls.preset.noises[index], self._filters[index], self._seeds[index : index + 1]
            centre, level = hiss.centre[:points], hiss.level[:points]
            mono = filtered_noise(noise.kind, centre, noise.sharpness, level, memory, seed, hop, rate)
            place_in(sound[:, : len(mono)], mono, middle)


def pan_gains(place: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right gains of a place −1 … 1, of constant power; the middle → (1, 1), the left → (1.414, 0)."""
    angle = (np.asarray(place) + 1) * (math.pi / 4)
    return math.sqrt(2) * np.cos(angle), math.sqrt(2) * np.sin(angle)


def place_in(sound: np.ndarray, mono: np.ndarray, place: float) -> None:
    """Add mono sound (S,) to stereo sound (2, S) at a place −1 … 1."""
    if place == 0.0:
        sound += mono
        return
    left, right = sides(place)
    sound[0] += mono * np.float32(left)
    sound[1] += mono * np.float32(right)


def sides(place: float) -> tuple[float, float]:
    """`pan_gains` of one place, as numbers."""
    angle = (place + 1) * (math.pi / 4)
    return math.sqrt(2) * math.cos(angle), math.sqrt(2) * math.sin(angle)

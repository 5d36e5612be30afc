"""How loud a voice really is when it is told to be so loud, and the gain that makes it true.

A voice learned to be as loud as it is told; how well depends on its recordings and its training. Here it is asked for steady tones over
its compass, the A-weighted loudness of what it answers is summed over partials and noise, and what is missing becomes a gain, so that
neighbouring notes and velocities are even. Pitch is in hertz, loudness in decibels, in the units of `symbolic.dsp.a_weighting`.
"""

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from symbolic.dsp.a_weighting import SAMPLE_RATE, a_weighting

if TYPE_CHECKING:
    from symbolic.models.voices.native import NativeDecoder

SEMITONES, DECIBELS = 1.0, 6.0  # between the tones that are asked for
SOFTEST, LOUDEST = -42.0, 6.0
FRAMES = 20  # of each tone, the last of which is heard
MOST = 6.0  # decibels that are put right
SINE_DB = 19.8  # the loudness of a sine of amplitude 1 at 1 kHz


class VoiceResponse:
    """The gains of a voice, on a grid of pitches and levels."""

    def __init__(self, decoder: "NativeDecoder") -> None:
        config = decoder.config
        low, high = (12 * math.log2(hertz / 440) for hertz in (config.lowest_pitch, config.highest_pitch))
        self._pitches = np.arange(low, high + SEMITONES, SEMITONES)
        self._levels = np.arange(SOFTEST, LOUDEST + 1, DECIBELS)
        pitch, level = (grid.ravel() for grid in np.meshgrid(440 * 2 ** (self._pitches / 12), self._levels, indexing="ij"))
        told = [np.repeat(one.astype(np.float32)[:, None], FRAMES // config.stride * config.stride, 1) for one in (pitch, level)]
        amplitudes, gains, _ = decoder(*told)
        partials = pitch[:, None] * np.arange(1, config.partials + 1)
        bands = np.linspace(0, config.sample_rate / 2, config.noise_bands)
        tone = (np.square(amplitudes[:, -1], dtype=np.float64) * _weight(partials)).sum(1)
        noise = 2 * (np.square(gains[:, -1], dtype=np.float64) * _weight(bands)).sum(1) / config.noise_bands
        heard = 10 * np.log10(np.maximum(tone + noise, 1e-12)) + SINE_DB
        self._missing = np.clip(level - heard, -MOST, MOST).reshape(len(self._pitches), len(self._levels))

    def gain(self, pitch: np.ndarray, loudness: np.ndarray) -> np.ndarray:
        """Amplitude factors (F,) for pitch (F,) in hertz and loudness (F,), as the voice is told them."""
        across = _place(12 * np.log2(pitch / 440), self._pitches)
        along = _place(loudness, self._levels)
        (row, part), (column, share) = across, along
        table = self._missing
        lower = table[row, column] * (1 - share) + table[row, column + 1] * share
        upper = table[row + 1, column] * (1 - share) + table[row + 1, column + 1] * share
        return np.asarray(10 ** ((lower * (1 - part) + upper * part) / 20))


def _weight(hertz: np.ndarray) -> np.ndarray:
    """The A weighting as a factor of power; nothing above half the rate at which loudness is measured."""
    return 10 ** (a_weighting(hertz) / 10) * (hertz < SAMPLE_RATE / 2)


def _place(values: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each value and where in it the value lies, 0 … 1."""
    place = np.clip((values - grid[0]) / (grid[1] - grid[0]), 0, len(grid) - 1.001)
    cell = place.astype(np.int64)
    return cell, place - cell


@functools.cache
def response_of(voice: str) -> VoiceResponse:
    """The response of a bundled voice, measured once in a process."""
    from symbolic.rendering.phrase_player import decoder_of

    return VoiceResponse(decoder_of(voice))

"""Peaks between the samples: measuring them, and a limiter that holds them down without clipping.

Sound is (2, S); true peaks are read from the sound at four times its rate, as ITU-R BS.1770-4 annex 2 asks.
"""

import numpy as np
import soxr

from symbolic.dsp.units import gain_to_db

OVERSAMPLING = 4


class TruePeakMeter:
    """Feed it sound in blocks of any sizes; `decibels()` is the true peak so far, in dBTP."""

    def __init__(self, sample_rate: int, channels: int = 2) -> None:
        self._resampler = soxr.ResampleStream(sample_rate, OVERSAMPLING * sample_rate, channels, dtype="float32")
        self._peak = 0.0
        self._channels = channels

    def add(self, block: np.ndarray) -> None:
        """Measure the next samples (channels, S)."""
        frames = np.ascontiguousarray(block.T, np.float32)
        self._note(frames)
        self._note(self._resampler.resample_chunk(frames))

    def decibels(self) -> float:
        """The true peak in dBTP; no more sound can be added after this."""
        self._note(self._resampler.resample_chunk(np.zeros((0, self._channels), np.float32), last=True))
        return float(gain_to_db(self._peak))

    def _note(self, frames: np.ndarray) -> None:
        if len(frames):
            self._peak = max(self._peak, float(frames.max()), -float(frames.min()))


class Limiter:
    """Turns the sound down around peaks above `ceiling`, smoothly and ahead of time; elsewhere the sound is untouched.

    The gain is a sliding minimum of what each sample needs, smoothed by a window of the same length: the smoothed gain is never
    above the needed one, so nothing overshoots. The output lags by `delay` samples; `flush` gives the last ones.
    """

    def __init__(self, sample_rate: int, ceiling: float, look_ahead: float = 0.008) -> None:
        self.ceiling = ceiling
        self.reach = max(8, round(look_ahead * sample_rate))
        self.delay = 2 * self.reach + _HALF_TAPS
        window = np.hanning(2 * self.reach + 3)[1:-1]
        self._window = (window / window.sum()).astype(np.float64)
        self._recent = np.zeros((2, 2 * self.delay), np.float32)

    def gains(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For the next samples (2, S): the gain (S,) for, and the sound (2, S) of, the samples `delay` ago."""
        from scipy import ndimage, signal  # takes a second to import: not before sound is limited

        sound = np.concatenate([self._recent, block], axis=1)
        keep = 2 * self.delay
        self._recent = sound[:, -keep:].copy()
        late = sound[:, self.delay : -self.delay]
        if np.abs(sound).max() <= 0.5 * self.ceiling:  # no peak between samples is twice as high as its neighbours
            return np.ones(late.shape[1], np.float32), late
        needed = np.minimum(1.0, self.ceiling / np.maximum(peaks_between_samples(sound), 1e-9))
        if needed[_HALF_TAPS:-_HALF_TAPS].min() == 1.0:
            return np.ones(late.shape[1], np.float32), late
        lowest = ndimage.minimum_filter1d(needed, 2 * self.reach + 1, mode="nearest")
        smooth = 1.0 - signal.oaconvolve(1.0 - lowest, self._window, mode="same")
        return np.clip(smooth[self.delay : -self.delay], 0.0, 1.0).astype(np.float32), late


def peaks_between_samples(sound: np.ndarray) -> np.ndarray:
    """Highest magnitude (S,) over both channels at each sample and at the three quarter steps up to the next one."""
    from scipy import signal

    peak = np.abs(sound).max(0)
    for quarter in range(1, OVERSAMPLING):
        between = np.abs(signal.oaconvolve(sound, _fraction(quarter / OVERSAMPLING)[None, :], mode="same", axes=1)).max(0)
        np.maximum(peak, between, out=peak)
        np.maximum(peak[1:], between[:-1], out=peak[1:])
    return peak


_HALF_TAPS = 16


def _fraction(delay: float) -> np.ndarray:
    """Taps (33,) of a windowed sinc that reads the sound `delay` of a sample later."""
    place = np.arange(-_HALF_TAPS, _HALF_TAPS + 1) + delay
    return (np.sinc(place) * np.kaiser(2 * _HALF_TAPS + 1, 7.0)).astype(np.float32)

"""Peaks between the samples: measuring them, and a limiter that holds them down without clipping.

Sound is (2, S); true peaks are read from the sound at four times its rate, as ITU-R BS.1770-4 annex 2 asks.
"""

import functools

import numpy as np
import soxr

from symbolic.dsp.compiled import compiled
from symbolic.dsp.units import gain_to_db

OVERSAMPLING = 4


class TruePeakMeter:
    """Feed it sound in blocks of any sizes; `decibels()` is the true peak so far, in dBTP.

    The samples and how they bend, and then a short filter, tell where a peak may be, and only there the sound is resampled by a long one.
    """

    def __init__(self, sample_rate: int, channels: int = 2) -> None:
        self._rate = sample_rate
        self._recent = np.zeros((channels, 2 * MARGIN), np.float32)
        self._peak = 0.0

    def add(self, block: np.ndarray) -> None:
        """Measure the next samples (channels, S)."""
        sound = np.concatenate([self._recent, block], axis=1, dtype=np.float32)
        self._recent = sound[:, -2 * MARGIN :].copy()
        # What is nearer than the margin to either end was looked at before, or will be when what follows is known.
        most = np.empty(-(-block.shape[1] // STRETCH), np.float32)
        _bounds_loop(sound, MARGIN, most)
        if not (most > self._peak).any():
            return
        rough = peaks_between_samples(sound, NEAR * self._peak)[MARGIN:-MARGIN]
        rough = np.maximum.reduceat(rough, np.arange(0, len(rough), STRETCH))
        most = np.minimum(most, rough / np.float32(NEAR))
        self._look(sound, [int(rough.argmax())])
        near = np.flatnonzero(most > self._peak)
        for run in np.split(near, np.flatnonzero(np.diff(near) > 1) + 1):
            self._look(sound, run)

    def _look(self, sound: np.ndarray, run: "np.ndarray | list[int]") -> None:
        """Measure stretches that lie side by side."""
        if len(run):
            self._peak = max(self._peak, self._exact(sound[:, run[0] * STRETCH : (run[-1] + 1) * STRETCH + 2 * MARGIN]))

    def decibels(self) -> float:
        """The true peak in dBTP; no more sound can be added after this."""
        self.add(np.zeros(self._recent.shape, np.float32))
        return float(gain_to_db(self._peak))

    def _exact(self, sound: np.ndarray) -> float:
        """The peak of a stretch, a margin at either end left out."""
        fine = soxr.resample(np.ascontiguousarray(sound.T), self._rate, OVERSAMPLING * self._rate, "HQ")
        return float(np.abs(fine[OVERSAMPLING * MARGIN : -OVERSAMPLING * MARGIN]).max(initial=0.0))


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
        needed = np.minimum(1.0, self.ceiling / np.maximum(peaks_between_samples(sound, self.ceiling), 1e-9))
        if needed[_HALF_TAPS:-_HALF_TAPS].min() == 1.0:
            return np.ones(late.shape[1], np.float32), late
        lowest = ndimage.minimum_filter1d(needed, 2 * self.reach + 1, mode="nearest")
        smooth = 1.0 - signal.oaconvolve(1.0 - lowest, self._window, mode="same")
        return np.clip(smooth[self.delay : -self.delay], 0.0, 1.0).astype(np.float32), late


def peaks_between_samples(sound: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Highest magnitude (S,) over all channels (C, S) at each sample and at the quarter steps around it; what is outside is silence.

    Where no peak can be above `least` the samples alone are looked at.
    """
    padded = np.pad(np.asarray(sound, np.float32), ((0, 0), (_HALF_TAPS, _HALF_TAPS)))
    taps = np.stack([_fraction(quarter / OVERSAMPLING) for quarter in range(1, OVERSAMPLING)])
    highest, most = np.zeros(sound.shape[1], np.float32), np.empty(-(-sound.shape[1] // STRETCH), np.float32)
    _bounds_loop(padded, _HALF_TAPS, most)
    _between_loop(padded, taps[:, ::-1].copy(), most > least, highest)
    return highest


@compiled
def _bounds_loop(sound: np.ndarray, first: int, most: np.ndarray) -> None:
    """What the true peak is at most in each stretch (N,) of a sound (C, S), counted from its sample `first`.

    The sound begins and ends with two samples, or more, that are not asked about: where it ends at once is a bend as well.

    Magnitudes are compared as whole numbers, whose order is the same: unlike that of numbers with a point, their maximum is vectorised.
    """
    tops, bends = np.zeros(len(most), np.uint32), np.zeros(len(most) + 2, np.uint32)  # bends from the stretch before the first
    bent = np.empty(STRETCH + 2, np.float32)
    for channel in range(sound.shape[0]):
        for place in range(len(most) + 2):
            begin = first + (place - 1) * STRETCH
            left = sound[channel, max(0, begin - 1) : max(0, begin + STRETCH + 1)]
            middle, right = left[1:], left[2:]
            for n in range(len(right)):
                bent[n] = left[n] - np.float32(2.0) * middle[n] + right[n]
            bits, largest = bent[: len(right)].view(np.uint32), np.uint32(0)
            for n in range(len(bits)):
                value = np.uint32(bits[n] << np.uint32(1))
                if value > largest:
                    largest = value
            bends[place] = max(bends[place], largest)
        for place in range(len(most)):
            bits, largest = sound[channel, first + place * STRETCH : first + (place + 1) * STRETCH + 1].view(np.uint32), np.uint32(0)
            for n in range(len(bits)):
                value = np.uint32(bits[n] << np.uint32(1))
                if value > largest:
                    largest = value
            tops[place] = max(tops[place], largest)
    for place in range(len(most)):
        bends[place] = max(bends[place], bends[place + 1], bends[place + 2])
    highest, steepest = (tops >> np.uint32(1)).view(np.float32), (bends >> np.uint32(1)).view(np.float32)
    for place in range(len(most)):
        most[place] = np.float32(OF_TOP) * highest[place] + np.float32(OF_BEND) * steepest[place]


@compiled
def _between_loop(padded: np.ndarray, taps: np.ndarray, looked_at: np.ndarray, highest: np.ndarray) -> None:
    """Highest magnitude of samples and of each filter (3, 33) over the channels, filters in the stretches that are looked at."""
    reach, samples = taps.shape[1] - 1, len(highest)
    heard, between = np.empty(STRETCH, np.float32), np.empty(STRETCH, np.float32)
    for begin in range(0, samples, STRETCH):
        target = highest[begin : begin + STRETCH]
        for channel in range(padded.shape[0]):
            plain = padded[channel, begin + reach // 2 : begin + reach // 2 + len(target)]
            for n in range(len(target)):
                target[n] = max(target[n], abs(plain[n]))
        if not looked_at[begin // STRETCH]:
            continue
        between[:] = 0.0
        for channel in range(padded.shape[0]):
            own = padded[channel, begin : begin + len(target) + reach]
            last = own[reach:]
            for quarter in range(taps.shape[0]):
                h = taps[quarter]
                for n in range(len(target)):
                    heard[n] = h[reach] * last[n]
                for k in range(0, reach, 8):
                    h0, h1, h2, h3, h4, h5, h6, h7 = h[k], h[k + 1], h[k + 2], h[k + 3], h[k + 4], h[k + 5], h[k + 6], h[k + 7]
                    s0, s1, s2, s3 = own[k:], own[k + 1 :], own[k + 2 :], own[k + 3 :]
                    s4, s5, s6, s7 = own[k + 4 :], own[k + 5 :], own[k + 6 :], own[k + 7 :]
                    for n in range(len(target)):
                        lower = h0 * s0[n] + h1 * s1[n] + h2 * s2[n] + h3 * s3[n]
                        heard[n] += lower + h4 * s4[n] + h5 * s5[n] + h6 * s6[n] + h7 * s7[n]
                for n in range(len(target)):
                    between[n] = max(between[n], abs(heard[n]))
        # What is between two samples counts for both of them.
        following = highest[begin + 1 : begin + 1 + len(target)]
        for n in range(len(target)):
            target[n] = max(target[n], between[n])
        for n in range(len(following)):
            following[n] = max(following[n], between[n])


_HALF_TAPS = 16
STRETCH = 256  # samples looked at together
MARGIN = 256  # samples to either side that the long filter is told
# Between two samples a filter gives what a straight line gives, and a sum of second differences: in magnitude at most the larger sample
# and so much of the largest second difference as their weights are together, 0.46 for the short filter and 0.55 for the long one; the
# straight line itself comes out 0.8 % too high or less.
OF_TOP, OF_BEND = 1.01, 0.57
NEAR = 0.8  # of the peak so far: the short filter errs by less, up to the highest frequencies


@functools.cache
def _fraction(delay: float) -> np.ndarray:
    """Taps (33,) of a windowed sinc that reads the sound `delay` of a sample later."""
    place = np.arange(-_HALF_TAPS, _HALF_TAPS + 1) + delay
    window = np.i0(7.0 * np.sqrt(1 - (place / (_HALF_TAPS + 1)) ** 2)) / np.i0(7.0)  # Kaiser's, its middle where the sinc has its own
    return (np.sinc(place) * window).astype(np.float32)

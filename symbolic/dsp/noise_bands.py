"""White noise through a filter that changes with every frame, given by the gains of its bands: the other half of a learned voice.

Shapes: B rows, F frames of `hop` samples, M bands evenly spaced from 0 to half the sample rate, S = F · hop samples. The gain g in all
bands makes noise of root mean square g. The gains are a zero-phase frequency response; as taps under a Hann window it is a symmetric
filter of 2 (M − 1) taps, whose delay of M − 1 samples is taken back. Each frame of noise goes through its own taps, and the tails overlap.

Idea: Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020, section 3.3. Here the delay is exactly M − 1, and the
noise has variance 1. For filters with a centre and a sharpness see `noise`.
"""

import functools
from typing import TYPE_CHECKING

import numpy as np

from symbolic.dsp.compiled import compiled

if TYPE_CHECKING:
    import torch

DEVIATION = 3.0**0.5  # of uniform noise of variance 1: −√3 … √3


def noise_bands(gains: "torch.Tensor", hop: int, noise: "torch.Tensor | None" = None) -> "torch.Tensor":
    """Noise (B, S) filtered by gains (B, F, M), differentiable; `noise` (B, S) is drawn from torch's generator unless given."""
    import torch
    from scipy import fft

    rows, frames, bands = gains.shape
    if noise is None:
        noise = (2 * torch.rand(rows, frames * hop, dtype=gains.dtype, device=gains.device) - 1) * DEVIATION
    taps = gains @ torch.from_numpy(_taps_of_bands(bands)).to(gains)
    length = hop + taps.shape[2] - 1
    size = fft.next_fast_len(length, real=True)
    spectrum = torch.fft.rfft(noise.reshape(rows, frames, hop), size) * torch.fft.rfft(taps, size)
    pieces = torch.fft.irfft(spectrum, size)[..., :length]
    spans = -(-length // hop)
    pieces = torch.nn.functional.pad(pieces, (0, spans * hop - length)).reshape(rows, frames, spans, hop)
    whole = pieces.new_zeros(rows, frames + spans - 1, hop)
    for span in range(spans):
        whole = whole + torch.nn.functional.pad(pieces[:, :, span], (0, 0, span, spans - 1 - span))
    return whole.reshape(rows, -1)[:, bands - 1 : bands - 1 + frames * hop]


class NoiseVoice:
    """The same for one voice in NumPy, block by block: blocks of any sizes give the sound of the whole."""

    def __init__(self, bands: int, hop: int, seed: int = 0) -> None:
        self.bands, self.hop = bands, hop
        taps = 2 * (bands - 1)
        self._window = np.append(_window(taps)[bands - 1 :] / taps, 0.0).astype(np.float32)  # from the filter's middle to its end
        self._generator = np.random.default_rng(seed)
        self._pending = np.zeros(taps - 1, np.float32)
        self._early = bands - 1  # samples before the first one, still to be dropped

    def process(self, gains: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """Sound float32 that is final after gains (F, M): it lags M − 1 samples behind them, which `flush` gives.

        `noise` (F · hop,) replaces the voice's own. Raises `ValueError` when the number of bands is another.
        """
        from scipy import fft  # takes a second to import: not before sound is made

        if gains.ndim != 2 or gains.shape[1] != self.bands:
            raise ValueError(f"gains are {gains.shape}: (frames, {self.bands}) is needed")
        samples = len(gains) * self.hop
        if noise is None:
            noise = (2 * self._generator.random(samples, np.float32) - 1) * np.float32(DEVIATION)
        # The same taps as by a matrix of the bands, which a linear algebra library would split among threads that wait for each other.
        taps = fft.dct(np.asarray(gains, np.float32), 1)
        sound = np.zeros(samples + len(self._pending), np.float32)
        sound[: len(self._pending)] = self._pending
        _filter_loop(np.ascontiguousarray(noise, np.float32), taps, self._window, self.hop, sound)
        self._pending = sound[samples:].copy()
        dropped = min(self._early, samples)
        self._early -= dropped
        return sound[dropped:samples]

    def flush(self) -> np.ndarray:
        """The last M − 1 samples; after this the voice begins anew."""
        last = self._pending[self._early : self.bands - 1].copy()
        self._pending[:] = 0.0
        self._early = self.bands - 1
        return last


@compiled
def _filter_loop(noise: np.ndarray, taps: np.ndarray, window: np.ndarray, hop: int, sound: np.ndarray) -> None:
    """Add to the sound each frame of noise through its symmetric filter, of which taps (F, M), under the window (M,), are one half.

    Filters of some hundred taps are cheaper so than by transforms. Eight samples of noise go through all taps at once: what is read
    and written of the sound is then one part in nine of the work.
    """
    last = taps.shape[1] - 1
    own = np.zeros(2 * last + 14, np.float32)  # with seven zeros at either end, so that eight shifted copies have the same length
    padded = np.zeros(-(-hop // 8) * 8, np.float32)
    for frame in range(taps.shape[0]):
        for k in range(last):
            own[7 + last - k] = own[7 + last + k] = taps[frame, k] * window[k]
        for t in range(hop):
            padded[t] = noise[frame * hop + t]
        for t in range(0, hop, 8):
            x0, x1, x2, x3 = padded[t], padded[t + 1], padded[t + 2], padded[t + 3]
            x4, x5, x6, x7 = padded[t + 4], padded[t + 5], padded[t + 6], padded[t + 7]
            here = sound[frame * hop + t : frame * hop + t + 2 * last + 7]  # plain indices from here on: others are not vectorised
            reach = len(here)
            h0, h1, h2, h3 = own[7 : 7 + reach], own[6 : 6 + reach], own[5 : 5 + reach], own[4 : 4 + reach]
            h4, h5, h6, h7 = own[3 : 3 + reach], own[2 : 2 + reach], own[1 : 1 + reach], own[:reach]
            for k in range(reach):
                lower = x0 * h0[k] + x1 * h1[k] + x2 * h2[k] + x3 * h3[k]
                here[k] += lower + x4 * h4[k] + x5 * h5[k] + x6 * h6[k] + x7 * h7[k]


@functools.cache
def _taps_of_bands(bands: int) -> np.ndarray:
    """The taps that one unit of each band adds: (M, 2 (M − 1)) float64, the middle of the filter at tap M − 1."""
    if bands < 2:
        raise ValueError(f"bands ({bands}) must be at least 2")
    taps = 2 * (bands - 1)
    return np.roll(np.fft.irfft(np.eye(bands), taps), bands - 1, axis=1) * _window(taps)


def _window(taps: int) -> np.ndarray:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps))

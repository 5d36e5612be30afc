"""Another sample rate: with the anti-alias filter of soxr, or without any, to hear what it is for.

Time is the last axis. soxr at its highest quality holds what would alias 120 dB down and more; `PointSampler` reads the signal between
its samples at the new instants and lets everything above half the new rate fold down, as a converter without a filter does.
Both streaming classes give for blocks of any sizes what they give for the whole.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import soxr

from symbolic.dsp.sampling import ZEROS, gather

if TYPE_CHECKING:
    import torch

Sound = TypeVar("Sound", "np.ndarray", "torch.Tensor")
QUALITY = "VHQ"


def resample(sound: Sound, from_rate: float, to_rate: float, quality: str = QUALITY) -> Sound:
    """Sound (…, S) at another rate, of the same kind and floating type: round(S · to / from) samples.

    Tensors may lie on any device and pass through the processor; a tensor that wants a gradient raises `ValueError`, because soxr gives
    none (a FIR filter of `symbolic.dsp.filters` and every k-th sample does). Raises `ValueError` for a rate that is not above zero.
    """
    if not (from_rate > 0 and to_rate > 0):
        raise ValueError(f"from {from_rate} to {to_rate} samples a second: both must be above zero")
    if isinstance(sound, np.ndarray):
        kind = sound.dtype if sound.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        if from_rate == to_rate or not sound.size:
            return sound[..., : sound.shape[-1] if sound.size else 0].astype(kind)
        flat = np.ascontiguousarray(sound.reshape(-1, sound.shape[-1]).T, kind)
        length = round(sound.shape[-1] * to_rate / from_rate)
        given = soxr.resample(flat, from_rate, to_rate, quality=quality)[:length]
        given = np.pad(given, ((0, length - len(given)), (0, 0)))
        return np.ascontiguousarray(given.T).reshape(*sound.shape[:-1], length)
    import torch

    if sound.requires_grad:
        raise ValueError("soxr gives no gradient; detach the sound, or filter it with symbolic.dsp.filters")
    given = resample(sound.double().cpu().numpy(), from_rate, to_rate, quality)
    return torch.from_numpy(given).to(sound.device, sound.dtype if sound.is_floating_point() else torch.float32)


class Resampler:
    """Feed it (C, S) in blocks of any sizes; what comes back, and `flush` at the end, joins to what `resample` gives for the whole."""

    def __init__(self, from_rate: int, to_rate: int, channels: int, quality: str = QUALITY) -> None:
        self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float64", quality=quality)
        self._rates = (from_rate, to_rate)
        self._channels = channels
        self._taken = self._given = 0

    def process(self, block: np.ndarray) -> np.ndarray:
        """The samples (C, N) float64 that are ready after the next block (C, S)."""
        self._taken += block.shape[1]
        if self._rates[0] == self._rates[1]:
            return np.asarray(block, np.float64)
        return self._counted(self._stream.resample_chunk(np.ascontiguousarray(block.T, np.float64)))

    def flush(self) -> np.ndarray:
        """The last samples; nothing can be fed after this."""
        if self._rates[0] == self._rates[1]:
            return np.zeros((self._channels, 0))
        length = round(self._taken * self._rates[1] / self._rates[0]) - self._given
        given = self._counted(self._stream.resample_chunk(np.zeros((0, self._channels)), last=True))[:, :length]
        return np.pad(given, ((0, 0), (0, length - given.shape[1])))

    def _counted(self, frames: np.ndarray) -> np.ndarray:
        self._given += len(frames)
        return np.ascontiguousarray(frames.T)


class PointSampler:
    """The same without a filter: sample n of the new rate is the band-limited sound read at n / to_rate seconds."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._rates = (from_rate, to_rate)
        # The sound from sample `_start` on that is still needed; what is before the first sample is silence.
        self._held = np.zeros((channels, ZEROS))
        self._start = -ZEROS
        self._given = self._taken = 0

    def process(self, block: np.ndarray) -> np.ndarray:
        """The samples (C, N) float64 that are ready after the next block (C, S)."""
        self._held = np.concatenate([self._held, np.asarray(block, np.float64)], axis=1)
        self._taken += block.shape[1]
        ready = self._taken - ZEROS  # places below this have all their neighbours
        return self._read(max(0, -(-ready * self._rates[1] // self._rates[0])))

    def flush(self) -> np.ndarray:
        """The last samples; nothing can be fed after this."""
        self._held = np.pad(self._held, ((0, 0), (0, 2 * ZEROS)))
        return self._read(round(self._taken * self._rates[1] / self._rates[0]))

    def _read(self, until: int) -> np.ndarray:
        numbers = np.arange(self._given, max(self._given, until), dtype=np.int64)
        base, rest = np.divmod(numbers * self._rates[0], self._rates[1])
        given = gather(self._held, base - self._start, rest / self._rates[1])
        self._given += len(numbers)
        drop = self._given * self._rates[0] // self._rates[1] - ZEROS - self._start
        if drop > 0:
            self._held, self._start = self._held[:, drop:], self._start + drop
        return given

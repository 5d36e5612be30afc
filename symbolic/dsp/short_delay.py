"""Another sample rate with a delay of a millisecond or two: for listening to a sound while it is played, not for hearing it.

Sound is (C, S) and comes in blocks of any sizes, which change no bit of the result. A windowed sinc of some thirty samples of the lower
rate holds what would alias 60 dB down, and 40 dB between 0.95 and 1.05 of half the lower rate; `resampling` has the sharp filters, whose
delay is ten to a hundred times as long.
"""

import math

import numpy as np

ATTENUATION_DB = 60.0
TRANSITION = 0.25  # of half the lower rate, around it
MOST_PHASES = 512
AT_ONCE = 4096  # outputs


class ShortDelayResampler:
    """Sample n of the new rate is the filtered sound at n / to_rate seconds. `delay` is in samples of the old rate."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        """Raises `ValueError` for a rate that is not above zero."""
        if not (from_rate > 0 and to_rate > 0):
            raise ValueError(f"from {from_rate} to {to_rate} samples a second: both must be above zero")
        self._rates = (from_rate, to_rate)
        half = min(from_rate, to_rate) / 2
        beta = 0.1102 * (ATTENUATION_DB - 8.7)
        reach = (ATTENUATION_DB - 7.95) / (14.36 * TRANSITION * half) * from_rate / 2  # J. Kaiser's length, halved, in old samples
        self.delay = math.ceil(reach)
        # Where the phases are too many for a table, the nearest stands for each: within 1 / 1024 of a sample.
        self._phases = min(to_rate // math.gcd(from_rate, to_rate), MOST_PHASES)
        taps = np.arange(-self.delay + 1, self.delay + 1)
        place = taps[None, :] - np.arange(self._phases + 1)[:, None] / self._phases
        window = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (place / self.delay) ** 2))) / np.i0(beta)
        table = np.sinc(2 * half / from_rate * place) * window
        self._table = table / table.sum(1, keepdims=True)
        self._held = np.zeros((channels, self.delay - 1))  # from old sample _start on
        self._start = -(self.delay - 1)
        self._taken = self._given = 0

    def process(self, block: np.ndarray) -> np.ndarray:
        """The samples (C, N) float64 that are ready after the next block (C, S)."""
        self._taken += block.shape[1]
        if self._rates[0] == self._rates[1]:
            return np.asarray(block, np.float64)
        self._held = np.concatenate([self._held, block], axis=1)
        ready = self._taken - self.delay  # samples of the new rate that lie before this old one
        return self._read(max(0, -(-ready * self._rates[1] // self._rates[0])))

    def flush(self) -> np.ndarray:
        """The last samples, round(S · to / from) in all; nothing can be fed after this."""
        if self._rates[0] == self._rates[1]:
            return np.zeros((len(self._held), 0))
        self._held = np.pad(self._held, ((0, 0), (0, 2 * self.delay)))
        return self._read(round(self._taken * self._rates[1] / self._rates[0]))

    def _read(self, until: int) -> np.ndarray:
        pieces = [np.zeros((len(self._held), 0))]
        for first in range(self._given, until, AT_ONCE):
            numbers = np.arange(first, min(until, first + AT_ONCE), dtype=np.int64)
            base, rest = np.divmod(numbers * self._rates[0], self._rates[1])
            weights = self._table[(rest * self._phases + self._rates[1] // 2) // self._rates[1]]
            windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * self.delay, axis=1)
            pieces.append(np.einsum("cnk,nk->cn", windows[:, base - self.delay + 1 - self._start], weights))
        self._given = max(self._given, until)
        drop = self._given * self._rates[0] // self._rates[1] - self.delay + 1 - self._start
        if drop > 0:
            self._held, self._start = self._held[:, drop:], self._start + drop
        return np.concatenate(pieces, axis=1)

"""Convolution with a long impulse response block by block, without delay and at an even cost.

Shapes: C channels, blocks of `block` samples. The response is cut into parts of one block each; spectra of the past blocks wait in a
line and meet the part that is as old as they are, so a block costs two transforms of twice its length and one product for each part,
however long the response is. (Overlap-save with a frequency-domain delay line: W. Gardner, "Efficient Convolution without Input-Output
Delay", 1995; P. Garcia, "Optimal Filter Partition", 2002.) `reverb.StreamingConvolution` takes blocks of any sizes instead.
"""

import numpy as np

from symbolic.dsp.compiled import compiled


class PartitionedConvolution:
    """Convolves blocks (C, n · block) with a response (C, L) or (L,); the blocks joined are the convolution of the whole."""

    def __init__(self, response: np.ndarray, block: int) -> None:
        from scipy import fft  # takes a second to import: not before sound is made

        if block < 1:
            raise ValueError(f"block ({block}) must be at least one sample")
        self.block, self._size = block, fft.next_fast_len(2 * block, real=True)
        response = np.atleast_2d(np.asarray(response, np.float32))
        parts = -(-response.shape[1] // block)
        padded = np.zeros((len(response), parts * block), np.float32)
        padded[:, : response.shape[1]] = response
        self.tail = response.shape[1] - 1  # samples that ring on after the last sound
        self._parts = fft.rfft(padded.reshape(len(response), parts, block), self._size)
        self._line = np.zeros_like(self._parts)  # spectra of past blocks, the newest at `_newest`, older ones after it
        self._newest = 0
        self._previous = np.zeros((len(response), block), np.float32)

    def process(self, block: np.ndarray) -> np.ndarray:
        """The next samples (C, n · block) for as many of sound; raises `ValueError` for another length."""
        if block.ndim != 2 or len(block) != len(self._previous) or not block.shape[1] or block.shape[1] % self.block:
            raise ValueError(f"block is {block.shape}: {self._previous.shape} is needed, or a multiple of that length")
        pieces = [self._next(block[:, first : first + self.block]) for first in range(0, block.shape[1], self.block)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def _next(self, block: np.ndarray) -> np.ndarray:
        from scipy import fft

        block = np.asarray(block, np.float32)
        self._newest = (self._newest - 1) % self._parts.shape[1]
        self._line[:, self._newest] = fft.rfft(np.concatenate([self._previous, block], axis=1), self._size)
        self._previous = block.copy()
        total = np.zeros_like(self._line[:, 0])
        _meeting_loop(self._line, self._parts, self._newest, total)
        return fft.irfft(total, self._size)[:, self.block : 2 * self.block]


@compiled
def _meeting_loop(line: np.ndarray, parts: np.ndarray, newest: int, total: np.ndarray) -> None:
    """Add to the total (C, N) each spectrum of the line (C, parts, N), the newest first, times its part."""
    for channel in range(parts.shape[0]):
        for age in range(parts.shape[1]):
            own, part, here = line[channel, (newest + age) % parts.shape[1]], parts[channel, age], total[channel]
            for n in range(len(here)):
                here[n] += own[n] * part[n]

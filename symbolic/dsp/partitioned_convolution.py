"""Convolution with a long impulse response block by block, without delay and at an even cost.

Shapes: C channels, blocks of `block` samples. The response is cut into parts of one block each; spectra of the past blocks wait in a
line and meet the part that is as old as they are, so a block costs two transforms of twice its length and one product for each part,
however long the response is. (Overlap-save with a frequency-domain delay line: W. Gardner, "Efficient Convolution without Input-Output
Delay", 1995; P. Garcia, "Optimal Filter Partition", 2002.) `reverb.StreamingConvolution` takes blocks of any sizes instead and is the
cheaper one where a block is as long as the response.
"""

import numpy as np


class PartitionedConvolution:
    """Convolves blocks (C, block) with a response (C, L) or (L,); the blocks joined are the convolution of the whole."""

    def __init__(self, response: np.ndarray, block: int) -> None:
        from scipy import fft  # takes a second to import: not before sound is made

        if block < 1:
            raise ValueError(f"block ({block}) must be at least one sample")
        self.block = block
        response = np.atleast_2d(np.asarray(response, np.float32))
        parts = -(-response.shape[1] // block)
        padded = np.zeros((len(response), parts * block), np.float32)
        padded[:, : response.shape[1]] = response
        self.tail = response.shape[1] - 1  # samples that ring on after the last sound
        self._parts = fft.rfft(padded.reshape(len(response), parts, block), 2 * block)
        self._line = np.zeros_like(self._parts)  # spectra of past blocks, the newest at `_newest`, older ones after it
        self._newest = 0
        self._previous = np.zeros((len(response), block), np.float32)

    def process(self, block: np.ndarray) -> np.ndarray:
        """The next samples (C, block) for the next samples (C, block) of sound; raises `ValueError` for another length."""
        from scipy import fft

        if block.shape != self._previous.shape:
            raise ValueError(f"block is {block.shape}: {self._previous.shape} is needed")
        block = np.asarray(block, np.float32)
        self._newest = (self._newest - 1) % self._parts.shape[1]
        self._line[:, self._newest] = fft.rfft(np.concatenate([self._previous, block], axis=1))
        self._previous = block.copy()
        split = self._parts.shape[1] - self._newest
        total = (self._line[:, self._newest :] * self._parts[:, :split]).sum(1)
        total += (self._line[:, : self._newest] * self._parts[:, split:]).sum(1)
        return fft.irfft(total, 2 * self.block)[:, self.block :]

"""Convolution with a long impulse response block by block, without delay and at an even cost.

Shapes: C channels, blocks of `block` samples. The response is cut into parts of one block each; spectra of the past blocks wait in a
line and meet the part that is as old as they are, so a block costs two transforms of twice its length and one product for each part,
however long the response is. (Overlap-save with a frequency-domain delay line: W. Gardner, "Efficient Convolution without Input-Output
Delay", 1995; P. Garcia, "Optimal Filter Partition", 2002.) `reverb.StreamingConvolution` takes blocks of any sizes instead.
"""

import numpy as np

from symbolic.dsp.compiled import compiled

TOGETHER = 256  # frequencies


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
        from scipy import fft

        channels, samples = block.shape if block.ndim == 2 else (0, 0)
        if channels != len(self._previous) or not samples or samples % self.block:
            raise ValueError(f"block is {block.shape}: {self._previous.shape} is needed, or a multiple of that length")
        sound = np.concatenate([self._previous, block], axis=1, dtype=np.float32)
        self._previous = sound[:, samples:].copy()
        # All blocks are transformed in one call: four at a time then share the processor's wide registers.
        pairs = np.lib.stride_tricks.sliding_window_view(sound, 2 * self.block, axis=1)[:, :: self.block]
        spectra = fft.rfft(pairs, self._size)
        total = np.empty_like(spectra)
        _meeting_loop(spectra, self._line, self._parts, self._newest, total)
        self._remember(spectra)
        return fft.irfft(total, self._size)[:, :, self.block : 2 * self.block].reshape(channels, samples)

    def _remember(self, spectra: np.ndarray) -> None:
        """Put new spectra (C, n, N) in the line, as many as it holds."""
        held = self._line.shape[1]
        for place in range(max(0, spectra.shape[1] - held), spectra.shape[1]):
            self._newest = (self._newest - 1) % held
            self._line[:, self._newest] = spectra[:, place]


@compiled
def _meeting_loop(spectra: np.ndarray, line: np.ndarray, parts: np.ndarray, newest: int, total: np.ndarray) -> None:
    """To each place of the total (C, n, N): the spectrum at that place of the new ones, and those before it down the line, times the
    part that is as old. In stretches of frequencies that stay in the nearest cache."""
    held = line.shape[1]
    for channel in range(parts.shape[0]):
        for low in range(0, total.shape[2], TOGETHER):
            high = min(low + TOGETHER, total.shape[2])
            for place in range(total.shape[1]):
                here = total[channel, place, low:high]
                here[:] = 0.0
                for age in range(parts.shape[1]):
                    part = parts[channel, age, low:high]
                    if age <= place:
                        own = spectra[channel, place - age, low:high]
                    else:
                        own = line[channel, (newest + age - place - 1) % held, low:high]
                    for n in range(len(here)):
                        here[n] += own[n] * part[n]

"""A room made from noise, and convolution with it block by block.

Shapes: (2, S) float32 for stereo sound. The impulse response is a few early reflections and then noise whose decay is faster at
high frequencies, as air and walls make it; left and right are independent, so the room surrounds.
Sources: J. A. Moorer, "About This Reverberation Business", 1979 (a hall is decaying noise); overlap-add is Stockham 1966.
"""

import functools

import numpy as np

# Octave band edges in hertz and the decay of each band relative to the middle one.
BAND_CENTRES = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
BAND_DECAYS = (1.05, 1.08, 1.05, 1.0, 0.86, 0.62, 0.4, 0.25)
REFLECTIONS = ((0.0113, 0.7, -0.5), (0.0171, 0.6, 0.6), (0.0237, 0.5, -0.2), (0.0309, 0.42, 0.35), (0.0387, 0.36, -0.7), (0.0463, 0.3, 0.8))


@functools.lru_cache(maxsize=4)
def room_response(sample_rate: int, t60: float = 1.7, predelay: float = 0.018, seed: int = 1) -> np.ndarray:
    """Impulse response (2, S) float32 of a hall: T60 in seconds at 1 kHz; each side has the energy 1. Made once, not to be written to."""
    length = round((predelay + 1.15 * t60) * sample_rate)
    start = round(predelay * sample_rate)
    # The noise is drawn at one rate per second of sound in every band, so that two sample rates have the same room in kind.
    generator = np.random.default_rng(seed)
    time = np.arange(length - start) / sample_rate
    frequencies = np.fft.rfftfreq(length - start, 1 / sample_rate)
    response = np.zeros((2, length))
    spectrum = np.fft.rfft(generator.standard_normal((2, length - start)))
    octave = np.log2(np.maximum(frequencies, 1.0) / BAND_CENTRES[0])
    for index, relative in enumerate(BAND_DECAYS):
        # Raised-cosine bands an octave wide add up to one; the lowest and the highest reach to the ends, less the rumble.
        weight = np.clip(1 - np.abs(octave - index), 0, 1)
        if index == 0:
            weight = np.where(octave < 0, np.clip(1 + octave / 1.5, 0, 1), weight)
        if index == len(BAND_DECAYS) - 1:
            weight = np.where(octave > index, 1.0, weight)
        tilt = 2.0 ** (-0.18 * abs(index - 2))  # darker and less boomy than white noise
        band = np.fft.irfft(spectrum * np.sin(0.5 * np.pi * weight) * tilt, length - start)
        response[:, start:] += band * np.exp(-6.9078 * time / (t60 * relative))
    response[:, start:] *= np.clip(time / 0.02, 0.15, 1.0)  # the field builds up, it does not start at once
    response /= np.sqrt((response**2).sum(1, keepdims=True))
    for delay, gain, side in REFLECTIONS:
        place = round(delay * sample_rate)
        response[:, place] += 0.28 * gain * np.array([1 - side, 1 + side]) / 2
    fade = round(0.05 * sample_rate)
    response[:, -fade:] *= np.linspace(1, 0, fade)
    response = (response / np.sqrt((response**2).sum(1, keepdims=True))).astype(np.float32)
    response.flags.writeable = False
    return response


class StreamingConvolution:
    """Convolves stereo sound with a stereo response, block by block; blocks of any sizes give the same sound."""

    def __init__(self, response: np.ndarray) -> None:
        self.response = np.asarray(response, np.float32)
        self._spectra: dict[int, np.ndarray] = {}
        self._pending = np.zeros((2, self.response.shape[1] - 1), np.float32)

    def process(self, block: np.ndarray) -> np.ndarray:
        """The next samples (2, S) of the convolution for the next samples (2, S) of sound."""
        from scipy import fft  # imported when sound is made, so that the package imports quickly

        samples, tail = block.shape[1], self._pending.shape[1]
        size = fft.next_fast_len(samples + tail, real=True)
        if size not in self._spectra:
            self._spectra = {size: fft.rfft(self.response, size)}
        full = fft.irfft(fft.rfft(np.asarray(block, np.float32), size) * self._spectra[size], size)[:, : samples + tail]
        full[:, :tail] += self._pending
        self._pending = full[:, samples:].copy()
        return full[:, :samples]

    @property
    def tail(self) -> int:
        """Samples that ring on after the last sound."""
        return self._pending.shape[1]

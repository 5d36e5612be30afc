"""Harmonics and noise of a voice as one sound, block by block: what both have ready is summed, the rest waits."""

import numpy as np

from symbolic.dsp.harmonics_native import HarmonicVoice
from symbolic.dsp.noise_bands import NoiseVoice


class HarmonicsAndNoise:
    """Sound lags behind the frames by one of them and by the noise filter's half length; `flush` gives what is left."""

    def __init__(self, partials: int, noise_bands: int, hop: int, sample_rate: int, random_seed: int = 0) -> None:
        self._harmonics, self._noise = HarmonicVoice(partials, hop, sample_rate), NoiseVoice(noise_bands, hop, random_seed)
        self._waiting = [np.zeros(0, np.float32), np.zeros(0, np.float32)]

    def process(self, pitch: np.ndarray, amplitudes: np.ndarray, gains: np.ndarray, starts: np.ndarray | None = None) -> np.ndarray:
        """Sound (S,) float32 that is ready after frames of pitch (F,) in hertz, amplitudes (F, partials) and gains (F, bands).

        `starts` (F,) are phases with which frames begin anew, negative for those that go on, as in `HarmonicVoice`.
        """
        return self._joined(self._harmonics.process(pitch, amplitudes, None, starts), self._noise.process(gains))

    def flush(self) -> np.ndarray:
        """The last samples."""
        return self._joined(self._harmonics.flush(), self._noise.flush())

    def _joined(self, *parts: np.ndarray) -> np.ndarray:
        self._waiting = [np.concatenate([old, new]) for old, new in zip(self._waiting, parts, strict=True)]
        ready = min(map(len, self._waiting))
        sound = self._waiting[0][:ready] + self._waiting[1][:ready]
        self._waiting = [one[ready:] for one in self._waiting]
        return sound

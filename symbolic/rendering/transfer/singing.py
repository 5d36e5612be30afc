"""A learned voice that plays a pitch and a loudness frame by frame, without torch: 250 frames a second in, mono sound out.

Sound is (S,) float32 at the voice's rate. It lags behind the frames by one of them and by the noise filter's half length.
"""

from pathlib import Path

import numpy as np

from symbolic.dsp.harmonics_and_noise import HarmonicsAndNoise
from symbolic.errors import InputError
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.native import load_native_decoder
from symbolic.rendering.transfer.listening import FRAME_RATE


class Singer:
    """A voice by name or folder. Raises `InputError`, one line, when there is none, or it has another number of frames a second."""

    def __init__(self, voice: str | Path, random_seed: int = 0) -> None:
        self._decoder = load_native_decoder(voice_folder(voice))
        config = self.config = self._decoder.config
        if config.sample_rate != FRAME_RATE * config.hop:
            frames = config.sample_rate / config.hop
            raise InputError(f"{voice}: a voice of {frames:g} frames a second; for a transfer voices of {FRAME_RATE} are wanted")
        self._sound = HarmonicsAndNoise(config.partials, config.noise_bands, config.hop, config.sample_rate, random_seed)
        self._state: np.ndarray | None = None
        self._controls = np.zeros((2, 0))  # fewer than a stride

    def process(self, pitch: np.ndarray, loudness: np.ndarray) -> np.ndarray:
        """What is ready after pitch (F,) in hertz and loudness (F,) in decibels."""
        held = np.concatenate([self._controls, np.stack([pitch, loudness])], axis=1)
        whole = held.shape[1] // self.config.stride * self.config.stride
        self._controls = held[:, whole:]
        return self._played(held[:, :whole], whole)

    def flush(self) -> np.ndarray:
        """The last samples; nothing can be sung after this."""
        kept = self._controls.shape[1]
        missing = -kept % self.config.stride
        last = self._played(np.pad(self._controls, ((0, 0), (0, missing)), mode="edge"), kept) if kept else np.zeros(0, np.float32)
        return np.concatenate([last, self._sound.flush()])

    def _played(self, controls: np.ndarray, frames: int) -> np.ndarray:
        if not frames:
            return np.zeros(0, np.float32)
        pitch, loudness = controls
        # The network is told no pitch that it has not learned from; what sounds is the pitch itself.
        told = np.clip(pitch, self.config.lowest_pitch, self.config.highest_pitch)
        amplitudes, gains, self._state = self._decoder(told[None], loudness[None], self._state)
        return self._sound.process(pitch[:frames], amplitudes[0, :frames], gains[0, :frames])

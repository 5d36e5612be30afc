"""A learned voice: a decoder and its banks of oscillators and noise; saved as a folder, played whole or block by block.

VOICE/config.json        kind, version, shape, facts (see configuration)
VOICE/voice.safetensors  the decoder's weights, and after `encoder.` those of the timbre encoder

Controls come at frame rate: pitch (F,) in hertz, loudness (F,) A-weighted in decibels, and, if wanted, a timbre code (F, D); without one
it is all zeros. Sound is (F · hop,) float32 at the voice's rate.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from symbolic.dsp.harmonics import harmonic_bank
from symbolic.dsp.harmonics_and_noise import HarmonicsAndNoise
from symbolic.dsp.noise_bands import noise_bands
from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import VoiceConfig, read_config, write_config
from symbolic.models.voices.decoder import Controls, VoiceDecoder

WEIGHTS = "voice.safetensors"


def synthesise(pitch: torch.Tensor, controls: Controls, config: VoiceConfig, noise: torch.Tensor | None = None) -> torch.Tensor:
    """Sound (B, F · hop) with a gradient to the controls; `noise` (B, F · hop) is drawn from torch's generator unless given."""
    tones = harmonic_bank(pitch, controls.amplitudes, config.hop, config.sample_rate)
    return tones + noise_bands(controls.gains, config.hop, noise)


def save_voice(folder: Path, voice: VoiceAutoencoder, facts: dict[str, Any], half: bool = False) -> None:
    """Write config and weights, in half precision on request. Raises `OSError` when they cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder / "config.json", voice.config, facts)
    weights = {name: (part.half() if half else part).contiguous() for name, part in voice.named_weights().items()}
    try:
        save_file(weights, str(folder / WEIGHTS))
    except SafetensorError as error:
        raise OSError(str(error)) from error
    (folder / WEIGHTS).chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_autoencoder(folder: str | Path) -> tuple[VoiceAutoencoder, dict[str, Any]]:
    """Decoder and encoder of a voice's folder, ready to play, and its facts.

    Raises `InputError`, one line, when no voice is there, it is damaged, or of another version.
    """
    folder = Path(folder)
    config, facts = read_config(folder / "config.json")
    voice = VoiceAutoencoder(config)
    try:
        weights = load_file(str(folder / WEIGHTS))
        voice.load_named_weights({name: part.float() for name, part in weights.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = "its weights do not fit its config.json" if isinstance(error, RuntimeError) else error
        raise InputError(f"{folder / WEIGHTS}: cannot be loaded ({reason}); copy the voice again, or train it again") from error
    return voice.eval(), facts


def load_decoder(folder: str | Path) -> tuple[VoiceDecoder, dict[str, Any]]:
    """The decoder alone, as `load_autoencoder`."""
    voice, facts = load_autoencoder(folder)
    return voice.decoder, facts


class VoicePlayer:
    """A voice that sounds block by block, in constant memory: blocks of any sizes give the sound of the whole.

    Sound lags behind the controls by a frame and by the noise filter's half length; `flush` gives what is left.
    """

    def __init__(self, decoder: VoiceDecoder, random_seed: int = 0) -> None:
        self.decoder, config = decoder.eval(), decoder.config
        self._sound = HarmonicsAndNoise(config.partials, config.noise_bands, config.hop, config.sample_rate, random_seed)
        self._state: torch.Tensor | None = None
        self._controls = np.zeros((2 + config.code, 0), np.float32)  # fewer than a stride

    def process(self, pitch: np.ndarray, loudness: np.ndarray, code: np.ndarray | None = None) -> np.ndarray:
        """Sound (S,) float32 that is ready after pitch (F,), loudness (F,) and code (F, D). Raises `ValueError` for other shapes."""
        if pitch.shape != loudness.shape or pitch.ndim != 1:
            raise ValueError(f"pitch is {pitch.shape} and loudness {loudness.shape}: both must be (frames,)")
        wanted = (len(pitch), len(self._controls) - 2)
        code = np.zeros(wanted, np.float32) if code is None else code
        if code.shape != wanted:
            raise ValueError(f"the code is {code.shape}, it must be (frames, numbers of this voice's code), {wanted}")
        held = np.concatenate([self._controls, np.vstack([pitch, loudness, code.T]).astype(np.float32)], axis=1)
        whole = held.shape[1] // self.decoder.config.stride * self.decoder.config.stride
        self._controls = held[:, whole:]
        return self._sounded(held[:, :whole])

    def flush(self) -> np.ndarray:
        """The last samples; after this the voice begins anew."""
        kept = self._controls.shape[1]
        last = np.zeros(0, np.float32)
        if kept:
            filled = np.pad(self._controls, ((0, 0), (0, self.decoder.config.stride - kept)), mode="edge")
            last = self._sounded(filled, kept)
        last = np.concatenate([last, self._sound.flush()])
        self._state, self._controls = None, self._controls[:, :0]
        return last

    @torch.inference_mode()
    def _sounded(self, held: np.ndarray, frames: int | None = None) -> np.ndarray:
        """What is ready after the first `frames` of pitch, loudness and code (2 + D, F), F whole strides."""
        if not held.shape[1]:
            return np.zeros(0, np.float32)
        hertz, decibels, code = (torch.from_numpy(one)[None] for one in (held[0], held[1], held[2:].T))
        controls, self._state = self.decoder(hertz, decibels, self._state, code)
        return self._sound.process(held[0, :frames], controls.amplitudes[0, :frames].numpy(), controls.gains[0, :frames].numpy())


def play(
    decoder: VoiceDecoder, pitch: np.ndarray, loudness: np.ndarray, random_seed: int = 0, code: np.ndarray | None = None
) -> np.ndarray:
    """The whole sound (F · hop,) float32 of pitch (F,), loudness (F,) and code (F, D)."""
    player = VoicePlayer(decoder, random_seed)
    return np.concatenate([player.process(pitch, loudness, code), player.flush()])

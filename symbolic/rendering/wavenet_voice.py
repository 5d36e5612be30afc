"""A trained WaveNet as a voice: notes in, sound out, each note made once.

Notes are MIDI pitch (fractions too), velocity 0 … 127 and length in samples; sound is (samples,) float32 at the model's rate, full scale
−1 … 1. What a note sounds like depends on these three, the voice, the temperature and the random seed only: not on the notes around it.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.models.wavenet.sampling import Note, play_notes
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.rendering.note_cache import NoteCache, NoteKey

FADE = 0.005  # seconds at the end of a note, so that no click ends it


class WavenetVoice:
    """The voice in a folder. Notes go through `cache`, if there is one. Raises `InputError` where `load_wavenet` does."""

    def __init__(
        self, folder: str | Path, cache: NoteCache | None = None, *, temperature: float = 1.0, random_seed: int = 0, threads: int = 1
    ) -> None:
        self.model = load_wavenet(folder)
        self.cache, self.temperature, self.random_seed, self.threads = cache, temperature, random_seed, threads
        digest = hashlib.sha256((Path(folder) / "config.json").read_bytes())
        digest.update((Path(folder) / "model.safetensors").read_bytes())
        self.fingerprint = digest.hexdigest()[:32]

    @property
    def sample_rate(self) -> int:
        """Of the sound, in hertz."""
        return self.model.config.sample_rate

    def render(self, notes: Sequence[tuple[float, float, int]], progress: Callable[[int, int], None] | None = None) -> list[np.ndarray]:
        """The sound of each note (pitch, velocity, samples). `progress` is called with samples made and to be made, from any thread."""
        keys = [self._key(*note) for note in notes]
        made = {key: self.cache.get(key) if self.cache else None for key in keys}
        missing = [key for key, codes in made.items() if codes is None]
        total, done = sum(key.samples for key in missing), 0

        def count(samples: int) -> None:
            nonlocal done
            done += samples
            if progress:
                progress(done, total)

        played = play_notes(
            self.model, [self._note(key) for key in missing], temperature=self.temperature, threads=self.threads, progress=count
        )
        for key, codes in zip(missing, played, strict=True):
            made[key] = codes
            if self.cache:
                self.cache.put(key, codes)
        return [self._sound(made[key]) for key in keys]

    def _key(self, pitch: float, velocity: float, samples: int) -> NoteKey:
        return NoteKey(self.fingerprint, float(pitch), float(velocity), max(0, int(samples)), f"{self.temperature} {self.random_seed}")

    def _note(self, key: NoteKey) -> Note:
        """Its codes are made up by the voice; its random numbers are its own."""
        told = (torch.tensor([value], dtype=torch.float32) for value in (key.pitch, key.velocity))
        with torch.no_grad():
            codes = self.model.writer(*told, torch.tensor([max(1, key.samples)]))[0]
        seed = zlib.crc32(f"{key.pitch:.4f} {key.velocity:.4f} {key.samples} {self.random_seed}".encode())
        return Note(codes, key.pitch, key.velocity, key.samples, seed)

    def _sound(self, codes: np.ndarray | None) -> np.ndarray:
        assert codes is not None
        sound = mu_law_decode(codes, self.model.config.levels)
        fade = min(len(sound), round(FADE * self.sample_rate))
        sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        return sound

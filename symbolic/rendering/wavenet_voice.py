"""A trained WaveNet or SampleRNN as a voice: notes in, sound out, each note made once.

Notes are MIDI pitch (fractions too), velocity 0 … 127 and length in samples; sound is (samples,) float32 at the model's rate, full scale
−1 … 1. What a note sounds like depends on these three, the voice, the temperature and the random seed only: not on the notes around it.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from symbolic.models.wavenet.sampling import Note
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.rendering.in_tune import PlayedNote, play_in_tune, sound_of
from symbolic.rendering.note_cache import NoteCache, NoteKey


class WavenetVoice:
    """The voice in a folder. Notes go through `cache`, if there is one; each is the best in tune of `tries` draws.

    Raises `InputError` where `load_wavenet` does.
    """

    def __init__(
        self, folder: str | Path, cache: NoteCache | None = None, *, temperature: float = 1.0, random_seed: int = 0, threads: int = 1,
        tries: int = 1,
    ) -> None:  # fmt: skip
        self.model = load_wavenet(folder)
        self.cache, self.temperature, self.random_seed, self.threads, self.tries = cache, temperature, random_seed, threads, tries
        digest = hashlib.sha256((Path(folder) / "config.json").read_bytes())
        digest.update((Path(folder) / "model.safetensors").read_bytes())
        self.fingerprint = digest.hexdigest()[:32]

    @property
    def sample_rate(self) -> int:
        """Of the sound, in hertz."""
        return self.model.config.sample_rate

    def render(self, notes: Sequence[tuple[float, float, int]], progress: Callable[[int, int], None] | None = None) -> list[np.ndarray]:
        """The sound of each note (pitch, velocity, samples). `progress` is called with samples made and to be made, from any thread."""
        return [sound_of(played.codes, self.model) for played in self.play(notes, progress)]

    def play(self, notes: Sequence[tuple[float, float, int]], progress: Callable[[int, int], None] | None = None) -> list[PlayedNote]:
        """The same as µ-law codes, and with the pitch that is heard in each."""
        keys = [self._key(*note) for note in notes]
        made = {key: self._kept(key) for key in keys}
        missing = [key for key, played in made.items() if played is None]
        total, done = sum(key.samples for key in missing), 0

        def count(samples: int) -> None:
            nonlocal done
            done += samples
            if progress:
                progress(done, total)

        new = play_in_tune(
            self.model, [self._note(key) for key in missing], temperature=self.temperature, tries=self.tries, threads=self.threads,
            progress=count,
        )  # fmt: skip
        for key, played in zip(missing, new, strict=True):
            made[key] = played
            if self.cache:
                self.cache.put(key, played.codes)
                self.cache.put(_heard(key), np.array([np.nan if played.heard is None else played.heard], dtype=np.float32))
        return [found for key in keys if (found := made[key]) is not None]

    def _kept(self, key: NoteKey) -> PlayedNote | None:
        """What the cache has of a note."""
        codes, heard = (self.cache.get(key), self.cache.get(_heard(key))) if self.cache else (None, None)
        if codes is None or heard is None:
            return None
        return PlayedNote(codes, None if np.isnan(heard[0]) else float(heard[0]))

    def _key(self, pitch: float, velocity: float, samples: int) -> NoteKey:
        return NoteKey(
            self.fingerprint, float(pitch), float(velocity), max(0, int(samples)), f"{self.temperature} {self.random_seed} {self.tries}"
        )

    def _note(self, key: NoteKey) -> Note:
        """Its codes are made up by the voice; its random numbers are its own."""
        told = (torch.tensor([value], dtype=torch.float32) for value in (key.pitch, key.velocity))
        with torch.no_grad():
            codes = self.model.writer(*told, torch.tensor([max(1, key.samples)]))[0]
        seed = zlib.crc32(f"{key.pitch:.4f} {key.velocity:.4f} {key.samples} {self.random_seed}".encode())
        return Note(codes, key.pitch, key.velocity, key.samples, seed)


def _heard(key: NoteKey) -> NoteKey:
    """Where the pitch of a note is kept."""
    return replace(key, more=f"{key.more} heard")

"""Notes through the decoder: many at once, in lanes, each note with a length and random numbers of its own.

When a note ends, the next one begins in its lane; when none is left, lanes are dropped. A note sounds the same whatever is played beside
it, in whatever order and on however many threads (bit for bit in machine code; PyTorch's products depend on the batch in the last digits).
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symbolic.models.wavenet.autoencoder import Autoencoder, Player
from symbolic.models.wavenet.excitation import counted

LANES = 16  # in a thread: more are no faster, and each has 1.6 MB of queues
FRAMES = 8  # conditioning vectors played in one call: 256 samples
PIECE = 64  # codes whose conditioning is made at once: two seconds


@dataclass(frozen=True)
class Note:
    """Temporal codes (F, `code_size`), MIDI pitch (one, or (J,) for each conditioning vector), velocity 0 … 127, length in samples.

    Codes that end before the note does are held at its end. Notes with equal `random_seed` draw equal random numbers.
    """

    codes: Tensor
    pitch: float | Tensor
    velocity: float
    samples: int
    random_seed: int = 0


@torch.no_grad()
def play_notes(
    model: Autoencoder, notes: Sequence[Note], *, temperature: float = 1.0, threads: int = 1, native: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """µ-law codes (samples,) uint8 of each note. `progress` is called with samples done, from any thread.

    `native`: in machine code; None: where that fits. Raises `ValueError` for a temperature below 0, and for codes of another width.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; 0 or more is wanted")
    for note in notes:
        if note.codes.ndim != 2 or note.codes.shape[1] != model.config.code_size or not len(note.codes):
            raise ValueError(f"codes have the shape {tuple(note.codes.shape)}; this model wants (1 or more, {model.config.code_size})")
    decoder = model.player(native)
    voices = [_Voice(model, note) for note in notes]
    waiting = deque(sorted((voice for voice in voices if voice.note.samples > 0), key=lambda voice: -voice.note.samples))
    workers = max(1, min(threads, len(waiting)))
    count = min(LANES, -(-len(waiting) // workers))
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_work, decoder, waiting, count, temperature, stop, progress) for _ in range(workers) if waiting]
        try:
            for job in jobs:
                job.result()
        finally:
            stop.set()
    return [voice.made for voice in voices]


class _Voice:
    """One note being played."""

    def __init__(self, model: Autoencoder, note: Note) -> None:
        self.model, self.note = model, note
        self.made = np.empty(max(0, note.samples), dtype=np.uint8)
        self.done = 0
        self.random = np.random.default_rng([11, note.random_seed])
        pitch = note.pitch.numpy() if isinstance(note.pitch, Tensor) else note.pitch
        vectors = -(-len(self.made) // model.config.hold) + FRAMES
        self.waves = counted(pitch, vectors, model.config, self.random.random())
        self.piece: np.ndarray | None = None
        self.start = 0  # of the piece, in codes

    def conditioning(self) -> np.ndarray:
        """The next `FRAMES` vectors (FRAMES, W)."""
        config = self.model.config
        steps = config.code_samples // config.hold
        frame = self.done // config.hold
        wanted = np.arange(frame, frame + FRAMES) - self.start * steps
        if self.piece is None or wanted[-1] >= len(self.piece):
            self.start = frame // steps
            self.piece = self._made(self.start)
            wanted = np.arange(frame, frame + FRAMES) - self.start * steps
        return self.piece[wanted]

    def cycles(self) -> np.ndarray:
        """Waves counted (FRAMES + 1,) at the beginnings of the same vectors, and at the end."""
        frame = self.done // self.model.config.hold
        return self.waves[frame : frame + FRAMES + 1]

    def _made(self, start: int) -> np.ndarray:
        """Vectors of `PIECE` codes from `start` on, with a code more at both ends, which only lends its value."""
        config, note = self.model.config, self.note
        steps = config.code_samples // config.hold
        device = self.model.decoder.embedding.device
        index = torch.arange(start - 1, start + PIECE + 2).clamp(0, len(note.codes) - 1)
        codes = note.codes.to(device)[index.to(device)][None]
        if isinstance(note.pitch, Tensor):
            places = torch.arange((start - 1) * steps, (start + PIECE + 2) * steps).clamp(0, len(note.pitch) - 1)
            pitch = note.pitch[places].float().to(device)[None]
        else:
            pitch = torch.tensor([note.pitch], dtype=torch.float32, device=device)
        velocity = torch.tensor([note.velocity], dtype=torch.float32, device=device)
        return self.model.conditioning(codes, pitch, velocity)[0, steps:-steps].cpu().numpy()

    def take(self, codes: np.ndarray) -> int:
        """Keep what belongs to the note; gives how many."""
        count = min(len(codes), len(self.made) - self.done)
        self.made[self.done : self.done + count] = codes[:count]
        self.done += count
        return count


@torch.no_grad()
def _work(
    decoder: Player, waiting: deque[_Voice], count: int, temperature: float, stop: threading.Event, progress: Callable[[int], None] | None
) -> None:
    """Play notes from `waiting` in at most `count` lanes until none is left."""
    active: list[_Voice] = []
    while len(active) < count and (voice := _next(waiting)):
        active.append(voice)
    lanes = decoder.lanes(len(active))
    hold = decoder.config.hold
    while active and not stop.is_set():
        conditioning = np.stack([voice.conditioning() for voice in active], 1)
        random = np.stack([voice.random.random(FRAMES * hold, dtype=np.float32) for voice in active])
        cycles = np.stack([voice.cycles() for voice in active])
        codes = decoder.play(lanes, conditioning, cycles, random, np.full(len(active), temperature))
        done = sum(voice.take(row) for voice, row in zip(active, codes, strict=True))
        if progress:
            progress(done)
        ended = [place for place, voice in enumerate(active) if voice.done == len(voice.made)]
        for place in ended:
            if voice := _next(waiting):
                active[place] = voice
                decoder.silence(lanes, place)
        kept = [place for place, voice in enumerate(active) if voice.done < len(voice.made)]
        if len(kept) < len(active):
            active = [active[place] for place in kept]
            lanes = decoder.chosen(lanes, np.array(kept, dtype=np.int64))


def _next(waiting: deque[_Voice]) -> _Voice | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None

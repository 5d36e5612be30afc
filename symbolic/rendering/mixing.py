"""Parts to a stereo mix, block by block: voices started and advanced, volume and pan, one room for all.

Shapes: blocks are (2, S) float32. Only the notes that sound now, one block of each part and the room's tail are in memory, so
memory does not grow with the song. Notes are computed in a pool of threads and added in the order of their onsets, so the sum
does not depend on which thread was faster.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.reverb import StreamingConvolution, room_response
from symbolic.rendering.controls import NoteControls
from symbolic.rendering.drums import choke_times, drum_preset
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.performance import Curve, Part, PlayedNote, volume_gain
from symbolic.rendering.presets import Preset
from symbolic.rendering.voices import Voice, pan_gains

BLOCK_SECONDS = 1.0
DEFAULT_GAIN = float(volume_gain(100))  # General MIDI: volume 100, expression 127
DEFAULT_REVERB = 40 / 127  # where controller 91 stands for the preset's own amount
DRUM_REVERB = 0.12
ROOM_LEVEL = 0.9
CROSS = 0.3  # how much of each side enters the room on the other: a room is heard on both sides
BATCH = 64  # voices in flight at once, so that any polyphony fits in memory
STAGE = (-0.3, 0.3, -0.15, 0.15, -0.45, 0.45, 0.0)  # places of tracks whose file names none, in turn
CENTRED = frozenset((*range(32, 40), 43, 47, 58))  # basses, timpani and tuba carry the bottom from the middle


@dataclass(frozen=True)
class Block:
    """The next samples of the mix (2, S); with stems also of every part, room included, which sum to it."""

    mix: np.ndarray
    stems: list[np.ndarray]


def mix_blocks(
    parts: Sequence[Part], sample_rate: int, stems: bool = False, block_samples: int | None = None, workers: int | None = None
) -> Iterator[Block]:
    """The whole song as blocks of `block_samples` (one second unless told), until the last note and the room have died away."""
    size = block_samples or round(BLOCK_SECONDS * sample_rate)
    rooms = [StreamingConvolution(room_response(sample_rate)) for _ in (parts if stems else [None])]
    places = stage_places(parts)
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        sources = [_Source(part, place, sample_rate) for part, place in zip(parts, places, strict=True)]
        start, end = 0, 1
        while start < end:
            _advance(sources, start + size, pool)
            all_begun = all(source.begun for source in sources)
            end = max(source.end for source in sources) + rooms[0].tail if all_begun else start + size + 1
            dry, wet = zip(*(source.take(start, size) for source in sources), strict=True)
            last = min(size, end - start)
            if stems:
                separate = [(one + room.process(send))[:, :last] for one, send, room in zip(dry, wet, rooms, strict=True)]
                yield Block(_sum(separate), separate)
            else:
                yield Block((_sum(dry) + rooms[0].process(_sum(wet)))[:, :last], [])
            start += size


def song_seconds(parts: Sequence[Part]) -> float:
    """The moment of the last key-up: what progress is counted against (the tail comes on top)."""
    return max(note.release for part in parts for note in part.notes)


def stage_places(parts: Sequence[Part]) -> list[float]:
    """Where each part stands, −1 … 1, when its file names no pan: by its instrument, else spread over the stage in turn."""
    melodic = [part for part in parts if not part.is_drum]
    places: dict[int, float] = {}
    seen: dict[float, int] = {}
    spread = 0
    for part in melodic:
        preset = PROGRAMS[part.program]
        if part.program in CENTRED or len(melodic) == 1:
            places[part.index] = 0.0
        elif preset.pan:
            # A second violin sits inside the first, a third inside the second.
            count = seen.get(preset.pan, 0)
            seen[preset.pan] = count + 1
            places[part.index] = preset.pan * (1.0, 0.45, 0.7, 0.2)[count % 4]
        else:
            places[part.index] = STAGE[spread % len(STAGE)]
            spread += 1
    return [places.get(part.index, 0.0) for part in parts]


class _Source:
    """One part: its notes to come, the voices that sound, and the samples they have made ahead of the block."""

    def __init__(self, part: Part, place: float, sample_rate: int) -> None:
        self.part, self.place, self.sample_rate = part, place, sample_rate
        self.voices: list[Voice] = []
        self._next = 0
        self._stops = choke_times(part.notes) if part.is_drum else [None] * len(part.notes)
        self._buffer = np.zeros((2, 0), np.float32)
        self._start = 0
        self.end = 0

    @property
    def begun(self) -> bool:
        """Whether every note has begun, so that `end` is known."""
        return self._next == len(self.part.notes)

    def preset(self, note: PlayedNote) -> Preset:
        return drum_preset(note.pitch) if self.part.is_drum else PROGRAMS[self.part.program]

    def start_voices(self, until: int) -> None:
        """Begin the voices of the notes that start before the sample `until`."""
        notes = self.part.notes
        while self._next < len(notes) and round(notes[self._next].start * self.sample_rate) < until:
            note, stop = notes[self._next], self._stops[self._next]
            preset = self.preset(note)
            controls = NoteControls(preset, note, self.part, self.sample_rate, stop)
            voice = Voice(controls, self.sample_rate)
            self.end = max(self.end, voice.end)
            self.voices.append(voice)
            self._next += 1

    def add(self, position: int, sound: np.ndarray) -> None:
        first = position - self._start
        missing = first + sound.shape[1] - self._buffer.shape[1]
        if missing > 0:
            self._buffer = np.pad(self._buffer, ((0, 0), (0, missing)))
        self._buffer[:, first : first + sound.shape[1]] += sound

    def take(self, start: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The part's next samples with its volume and pan: dry, and what it sends to the room."""
        block = np.zeros((2, size), np.float32)
        ready = min(size, self._buffer.shape[1])
        block[:, :ready] = self._buffer[:, :ready]
        self._buffer = self._buffer[:, ready:]
        self._start = start + size
        if not ready:
            return block, block
        gain = self._along(self.part.gain, DEFAULT_GAIN, start, size)
        left, right = pan_gains(self._along(self.part.pan, self.place, start, size))
        block[0] *= gain * left
        block[1] *= gain * right
        amount = DRUM_REVERB if self.part.is_drum else PROGRAMS[self.part.program].reverb
        send = self._along(self.part.reverb, DEFAULT_REVERB, start, size) / DEFAULT_REVERB
        across = (1 - CROSS) * block + CROSS * block[::-1]
        return block, across * np.asarray(ROOM_LEVEL * amount * np.sqrt(send), np.float32)

    def _along(self, curve: Curve | None, default: float, start: int, size: int) -> np.ndarray | float:
        """A controller at every sample of the block, or one number where it stands still."""
        if curve is None:
            return default
        first, last = start / self.sample_rate, (start + size) / self.sample_rate
        if not curve.between(first, last):
            return float(curve.at(np.array([first]))[0])
        return curve.at((start + np.arange(size)) / self.sample_rate).astype(np.float32)


def _advance(sources: Sequence[_Source], until: int, pool: ThreadPoolExecutor) -> None:
    """Bring every voice of every source up to the sample `until`."""
    for source in sources:
        source.start_voices(until)
    work = [(source, voice) for source in sources for voice in source.voices]
    for first in range(0, len(work), BATCH):
        batch = work[first : first + BATCH]
        for (source, _), pieces in zip(batch, pool.map(lambda item: _pieces(item[1], until), batch), strict=True):
            for position, sound in pieces:
                source.add(position, sound)
    for source in sources:
        source.voices = [voice for voice in source.voices if not voice.done]


def _pieces(voice: Voice, until: int) -> list[tuple[int, np.ndarray]]:
    pieces = []
    while not voice.done and voice.position < until:
        position = voice.position
        pieces.append((position, voice.next_segment()))
    return pieces


def _sum(blocks: Sequence[np.ndarray]) -> np.ndarray:
    total = blocks[0].copy()
    for block in blocks[1:]:
        total += block
    return total

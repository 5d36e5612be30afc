"""Parts to a stereo mix, block by block: voices started and advanced, volume and pan, one room for all.

Shapes: blocks are (2, S) float32. Only the notes that sound now, one block of each part and the room's tail are in memory, so
memory does not grow with the song. Notes are computed in a pool of threads and added in the order of their onsets, so the sum
does not depend on which thread was faster.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.partitioned_convolution import PartitionedConvolution
from symbolic.dsp.reverb import room_response
from symbolic.rendering.ahead import ahead
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.learned_part import LearnedPart
from symbolic.rendering.performance import Part
from symbolic.rendering.phrase_player import batches, play_together
from symbolic.rendering.sources import LearnedSource, Source, SynthesizedSource
from symbolic.rendering.sympathetic import ResonantSource
from symbolic.rendering.voices import NotePlayer
from symbolic.rendering.wavenet_part import WavenetPart
from symbolic.rendering.wavenet_source import WavenetSource

BLOCK_SECONDS = 1.0
BATCH = 64  # voices in flight at once, so that any polyphony fits in memory
ROOM_SAMPLES, MOST_PIECES = 24000, 64  # a room longer than a block is cheaper in pieces of it
STAGE = (-0.3, 0.3, -0.15, 0.15, -0.45, 0.45, 0.0)  # places of tracks whose file names none, in turn
CENTRED = frozenset((*range(32, 40), 43, 47, 58))  # basses, timpani and tuba carry the bottom from the middle


@dataclass(frozen=True)
class Block:
    """The next samples of the mix (2, S); with stems also of every part, room included, which sum to it."""

    mix: np.ndarray
    stems: list[np.ndarray]


def mix_blocks(
    parts: Sequence[Part],
    sample_rate: int,
    stems: bool = False,
    block_samples: int | None = None,
    workers: int | None = None,
    learned: Mapping[int, LearnedPart | WavenetPart] | None = None,
) -> Iterator[Block]:
    """The whole song as blocks of `block_samples` (one second unless told), until the last note and the room have died away.

    `learned` are the parts, by index, that learned voices or WaveNets play; the others are left to the synthesizer.
    """
    size = block_samples or round(BLOCK_SECONDS * sample_rate)
    rooms = [PartitionedConvolution(room_response(sample_rate), _room_block(size)) for _ in (parts if stems else [None])]
    # Rooms sound while the next block is played.
    for dry, wet, last in ahead(_played(parts, sample_rate, size, workers, learned or {}, rooms[0].tail)):
        if stems:
            separate = [(one + room.process(send))[:, :last] for one, send, room in zip(dry, wet, rooms, strict=True)]
            yield Block(_sum(separate), separate)
        else:
            yield Block((_sum(dry) + rooms[0].process(_sum(wet)))[:, :last], [])


def _played(
    parts: Sequence[Part], sample_rate: int, size: int, workers: int | None, learned: Mapping[int, LearnedPart | WavenetPart], tail: int
) -> Iterator[tuple[Sequence[np.ndarray], Sequence[np.ndarray], int]]:
    """Of each block what the parts play, what they send to the room, and how many samples count; until `tail` samples after the end."""
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        places = stage_places(parts)
        sources = [_source(part, place, sample_rate, learned.get(part.index)) for part, place in zip(parts, places, strict=True)]
        start, end = 0, 1
        while start < end:
            _advance(sources, start + size, pool)
            all_begun = all(source.begun for source in sources)
            end = max(source.end for source in sources) + tail if all_begun else start + size + 1
            dry, wet = zip(*pool.map(Source.take, sources, itertools.repeat(start), itertools.repeat(size)), strict=True)
            yield dry, wet, min(size, end - start)
            start += size


def _room_block(size: int) -> int:
    """The samples that the room takes at once: a block in as few equal pieces as are no longer than `ROOM_SAMPLES`."""
    whole = (size // pieces for pieces in range(1, MOST_PIECES + 1) if size % pieces == 0)
    return next((samples for samples in whole if samples <= ROOM_SAMPLES), size)


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


def _source(part: Part, place: float, sample_rate: int, played: LearnedPart | WavenetPart | None) -> Source:
    """A part on what was planned for it: a WaveNet, learned voices, a struck voice, a drum kit, or else the synthesizer."""
    if isinstance(played, WavenetPart):
        return WavenetSource(part, place, sample_rate, played)
    if played is None:
        return SynthesizedSource(part, place, sample_rate)
    if played.struck is not None and played.struck.dampers is not None:
        return ResonantSource(part, place, sample_rate, played.struck)
    if played.struck is not None or played.kit is not None:
        return SynthesizedSource(part, place, sample_rate, played.struck, played.kit)
    return LearnedSource(part, place, sample_rate, played)


def _advance(sources: Sequence[Source], until: int, pool: ThreadPoolExecutor) -> None:
    """Bring every note and every phrase of every source up to the sample `until`."""
    for source in sources:
        source.begin(until)
    work = [(source, voice) for source in sources if isinstance(source, SynthesizedSource) for voice in source.voices]
    batches_of_notes = [work[first : first + BATCH] for first in range(0, len(work), BATCH)] or [[]]
    playing = pool.map(lambda item: _pieces(item[1], until), batches_of_notes[0])  # begun now: phrases alone may leave a core idle
    _advance_phrases([source for source in sources if isinstance(source, LearnedSource)], pool)
    for number, batch in enumerate(batches_of_notes):
        playing = playing if number == 0 else pool.map(lambda item: _pieces(item[1], until), batch)
        for (source, _), pieces in zip(batch, playing, strict=True):
            for position, sound in pieces:
                source.add(position, sound)
    for source in sources:
        source.forget()


def _advance_phrases(sources: Sequence[LearnedSource], pool: ThreadPoolExecutor) -> None:
    """Phrases of all parts together, so that those with the same voice are computed as one batch."""
    while waiting := [(source, player) for source in sources for player in source.waiting()]:
        owner = {id(player): source for source, player in waiting}
        groups = batches([player for _, player in waiting])
        for group, pieces in zip(groups, pool.map(play_together, groups), strict=True):
            for player, (position, sound) in zip(group, pieces, strict=True):
                owner[id(player)].add_player(player, position, sound)


def _pieces(voice: NotePlayer, until: int) -> list[tuple[int, np.ndarray]]:
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

"""A score rendered to sound or to a file: perform, mix, master, write.

The mix is made once and spilled to disk, measured while it is made, then read again for the gain, the limiter and the dither. So
memory is bounded whatever the length, and what is written is known to meet the loudness and the ceiling.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.files import new_file, new_folder
from symbolic.rendering.ahead import ahead
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.learned_part import LearnedPart, learned_parts
from symbolic.rendering.mastering import Master, Measure, Meter, find_master, mastered
from symbolic.rendering.mixing import Block, mix_blocks, song_seconds
from symbolic.rendering.note_cache import NoteCache
from symbolic.rendering.output import AudioFile, check_format, frames_of
from symbolic.rendering.performance import Part, perform
from symbolic.rendering.spill import Spill
from symbolic.rendering.wavenet_part import NAME, WavenetPart, wavenet_parts

VOICES = ("learned", "synthesized", "wavenet")
LOWEST_RATE, HIGHEST_RATE = 8000, 192_000
SPILL_SECONDS = 1.0
MADE_SHARE = 0.8  # of the work of a song with WaveNets is done when their notes are made

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class RenderReport:
    """What was written: length in seconds, loudness in LUFS (−inf below 400 ms), true peak in dBTP, notes and tracks.

    `learned` is how many tracks learned voices played, `wavenet` how many WaveNets did; `remarks` are lines for a person, such as notes
    outside a voice's compass.
    """

    seconds: float
    lufs: float
    true_peak: float
    notes: int
    tracks: int
    learned: int = 0
    wavenet: int = 0
    remarks: tuple[str, ...] = ()


def render(
    score: ScoreTick,
    sample_rate: int = 48000,
    *,
    voices: str = "learned",
    progress: Progress | None = None,
    tell: Callable[[str], object] | None = None,
) -> np.ndarray:
    """The score as sound (2, samples) float32 at the target loudness, true peak at most −1 dBTP.

    `voices` is "learned" (voices learned from recordings where a program has one, else the synthesizer), "synthesized", "wavenet" (sample
    by sample where a program has a WaveNet, else as learned), or "wavenet:FOLDER" with a WaveNet of one's own. `progress` is called with
    the seconds done and in all, `tell` with each remark, such as a part that leaves its voice's compass.
    Raises `InputError` for unknown voices, a sample rate outside 8000 … 192000, a score without notes, and one that lasts over six hours.
    The array is held in memory; `render_file` is not so bound.
    """
    parts = _checked(score, sample_rate, voices)
    played, remarks, progress = _played_by(parts, voices, progress)
    for remark in remarks:
        if tell is not None:
            tell(remark)
    meter, blocks = Meter(sample_rate), []
    for block in _followed(parts, played, sample_rate, False, progress):
        meter.add(block.mix)
        blocks.append(block.mix)
    master = find_master(lambda: iter(blocks), meter.result(), sample_rate)
    return np.concatenate([sound for _, sound in mastered(iter(blocks), master, sample_rate)], axis=1)


def render_file(
    score: ScoreTick,
    path: str | Path,
    *,
    sample_rate: int = 48000,
    bit_depth: int = 24,
    voices: str = "learned",
    stems: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> RenderReport:
    """Render into a WAV, FLAC, OGG or MP3 file, and with `stems` into a folder of one file for each track as well.

    Stems have the track's part of the room and the gain, limiter included, of the mix: they sum to it up to the dither.
    Raises `InputError` as `render` does, and for a suffix or bit depth that cannot be written and outputs that exist (unless `force`).
    """
    path = Path(path)
    check_format(path, bit_depth, sample_rate)
    parts = _checked(score, sample_rate, voices)
    played, remarks, progress = _played_by(parts, voices, progress)
    folder = Path(stems) if stems is not None else None
    with contextlib.ExitStack() as outputs:
        target = outputs.enter_context(new_file(path, force))
        stem_folder = outputs.enter_context(new_folder(folder, force)) if folder is not None else None
        spills = [outputs.enter_context(Spill(2, path.parent)) for _ in range(1 + (len(parts) if folder is not None else 0))]
        meter = Meter(sample_rate)
        for block in _followed(parts, played, sample_rate, folder is not None, progress):
            meter.add(block.mix)
            for spill, sound in zip(spills, (block.mix, *block.stems), strict=True):
                spill.add(frames_of(sound))
        master = find_master(lambda: _blocks(spills[0], sample_rate), meter.result(), sample_rate)
        names = [] if stem_folder is None else [stem_folder / f"{name}{path.suffix}" for name in stem_names(parts)]
        measure = _write([target, *names], path.suffix, spills, master, sample_rate, bit_depth)
    notes = sum(len(part.notes) for part in parts)
    wavenet = sum(isinstance(part, WavenetPart) for part in played.values())
    seconds = spills[0].rows / sample_rate
    return RenderReport(seconds, measure.lufs, measure.peak, notes, len(parts), len(played) - wavenet, wavenet, remarks)


def stem_names(parts: Sequence[Part]) -> list[str]:
    """File names of the tracks without suffix: the index in the score and the instrument; "03-acoustic-bass"."""
    names = ("drums" if part.is_drum else PROGRAMS[part.program].name for part in parts)
    return [f"{part.index:02d}-{re.sub('[^a-z0-9]+', '-', name.lower())}" for part, name in zip(parts, names, strict=True)]


def _blocks(spill: Spill, sample_rate: int) -> Iterator[np.ndarray]:
    """The sound (2, S) in a spill of stereo frames."""
    return (np.ascontiguousarray(frames.T) for frames in spill.blocks(round(SPILL_SECONDS * sample_rate)))


def _checked(score: ScoreTick, sample_rate: int, voices: str) -> list[Part]:
    if voices not in VOICES and not voices.startswith(f"{NAME}:"):
        raise InputError(f"voices {voices!r} are not known; choose {', '.join(VOICES)}")
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise InputError(f"sample rate {sample_rate} is outside {LOWEST_RATE} … {HIGHEST_RATE} Hz; 48000 and 44100 are the usual ones")
    return perform(score)


def _played_by(
    parts: Sequence[Part], voices: str, progress: Progress | None
) -> tuple[dict[int, LearnedPart | WavenetPart], tuple[str, ...], Progress | None]:
    """Who plays the parts that are not left to the synthesizer, lines for a person, and what to tell of the rest of the work."""
    if voices == "synthesized":
        return {}, (), progress
    remarks: list[str] = []
    wavenets: dict[int, WavenetPart] = {}
    if voices != "learned":
        total, told = song_seconds(parts), progress
        cache = NoteCache(tell=remarks.append)
        threads = min(8, os.cpu_count() or 1)

        def made(done: float, wanted: float) -> None:
            if told is not None:
                told(MADE_SHARE * total * done / max(wanted, 1e-9), total)

        def mixed(done: float, all_: float) -> None:
            if told is not None:
                told(MADE_SHARE * all_ + (1 - MADE_SHARE) * done, all_)

        wavenets, lines = wavenet_parts(parts, voices, cache, threads, made)
        remarks, progress = lines + remarks, mixed
    learned = learned_parts([part for part in parts if part.index not in wavenets])
    remarks += [part.remark for part in learned.values() if part.remark]
    return {**learned, **wavenets}, tuple(remarks), progress


def _followed(
    parts: Sequence[Part], played: Mapping[int, LearnedPart | WavenetPart], sample_rate: int, stems: bool, progress: Progress | None
) -> Iterator[Block]:
    total, done = song_seconds(parts), 0
    for block in ahead(mix_blocks(parts, sample_rate, stems, learned=played)):
        done += block.mix.shape[1]
        if progress is not None:
            progress(min(done / sample_rate, total), total)
        yield block


def _write(paths: Sequence[Path], suffix: str, spills: Sequence[Spill], master: Master, sample_rate: int, bit_depth: int) -> Measure:
    """Apply the master to the mix and its gain to the stems; the measure is of what stands in the mix's file."""
    with contextlib.ExitStack() as opened:
        files = [
            opened.enter_context(AudioFile(path, suffix, sample_rate, bit_depth, spills[0].rows, seed)) for seed, path in enumerate(paths)
        ]
        stems = [_Reader(_blocks(spill, sample_rate)) for spill in spills[1:]]

        def written() -> Iterator[np.ndarray]:
            for gains, sound in ahead(mastered(_blocks(spills[0], sample_rate), master, sample_rate)):
                yield files[0].write(sound)
                for file, stem in zip(files[1:], stems, strict=True):
                    file.write(stem.next(len(gains)) * gains)

        meter = Meter(sample_rate)
        for sound in ahead(written()):
            meter.add(sound)
    return meter.result()


class _Reader:
    """Samples taken in any number from an iterator of blocks."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self._rest = np.zeros((2, 0), np.float32)

    def next(self, samples: int) -> np.ndarray:
        pieces, have = [self._rest], self._rest.shape[1]
        while have < samples:
            pieces.append(next(self._blocks))
            have += pieces[-1].shape[1]
        together = np.concatenate(pieces, axis=1)
        self._rest = together[:, samples:]
        return together[:, :samples]

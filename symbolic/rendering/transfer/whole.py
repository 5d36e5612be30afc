"""A transfer of a whole sound: heard to its end first, then played, then brought to its loudness.

What was heard waits on disk as pitch and loudness, and so does what was played, until its level is known: memory does not grow with the
sound. The result is mono, at the voice's rate, as long as the sound and aligned with it; files have it on both sides.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symbolic.dsp.spectrogram import Spectrogram
from symbolic.errors import InputError, UsageError
from symbolic.files import new_file, refuse_existing
from symbolic.models.voices.bundled import voice_folder
from symbolic.rendering.mastering import Master, Measure, Meter, find_master, mastered
from symbolic.rendering.output import AudioFile, check_format
from symbolic.rendering.recordings import Recording
from symbolic.rendering.spill import Spill
from symbolic.rendering.transfer.faults import Faults
from symbolic.rendering.transfer.listening import FRAME_RATE, HOP, RATE, Frames, Listener
from symbolic.rendering.transfer.live import LARGEST, LIVE_LOWEST, TransferStream, check_options
from symbolic.rendering.transfer.matching import Folding, Hearsay, loudness_map, octaves_to_compass
from symbolic.rendering.transfer.picture import draw_transfer
from symbolic.rendering.transfer.singing import Singer

LOWEST = 40.0  # hertz
LOOK_AHEAD, TOGETHER = 60, 64  # frames
PLAYED = 256  # frames at once
HEARD_SHARE, PLAYED_SHARE = 0.6, 0.9  # of the work that is done when all is heard, and when all is played
LARGEST_BLOCK = 1 << 20

Progress = Callable[[float, float], object]


@dataclass
class TransferReport:
    """What was written. `octave` is by how many octaves notes were moved (in blocks: at the end), `latency` is in seconds, None for a
    whole file; `sang` is the share of the time in which the voice sounds, `folded` the share of that which was folded into its compass.
    """

    voice: str
    seconds: float
    from_rate: int
    rate: int
    channels: int
    octave: int
    latency: float | None
    sang: float
    folded: float
    lufs: float
    true_peak: float
    notes: list[str] = field(default_factory=list)


def transfer(
    audio: np.ndarray,
    sample_rate: int,
    voice: str | Path = "violin",
    *,
    octave: int | None = None,
    lowest: float = LOWEST,
    random_seed: int = 0,
    tell: Callable[[str], object] | None = None,
) -> np.ndarray:
    """What `audio` (S,) or (C, S) plays, played by a voice: (N,) float32 at the voice's rate (bundled ones: 48 kHz), at −16 LUFS.

    `voice` is a bundled name or a voice's folder; `octave` moves the notes by so many octaves (default: into the voice's compass);
    `lowest` is the deepest pitch in hertz to be heard; `tell` is given each remark, such as where several notes sound at once.
    Raises `InputError` for audio that is silent, has no pitch or another shape, for an unknown voice, and for rates and octaves out of
    range.
    """
    sound = np.atleast_2d(np.asarray(audio, np.float64))
    if sound.ndim != 2 or not sound.shape[1] or len(sound) > 64:
        raise InputError(f"audio of the shape {np.shape(audio)}: (samples,) or (channels, samples) is wanted; transpose it if need be")
    whole = np.where(np.abs(sound) < LARGEST, sound, 0.0)
    replaced = int((whole != sound).sum())
    remarks = [f"{replaced:,} samples were no numbers and became silence"] if replaced else []
    blocks = (whole[:, first : first + sample_rate] for first in range(0, whole.shape[1], max(1, sample_rate)))
    with _Work("audio", sample_rate, len(sound), voice, octave, lowest, random_seed, None, None) as work:
        work.hear(blocks)
        remarks += work.play(sound.shape[1], float(np.abs(whole).max()), replaced)
        pieces = [one[0] for _, one in mastered(work.mix(), work.master(), work.rate)]
    for remark in remarks:
        if tell is not None:
            tell(remark)
    return np.concatenate(pieces)


def transfer_file(
    source: str | Path,
    output: str | Path,
    voice: str | Path = "violin",
    *,
    octave: int | None = None,
    lowest: float | None = None,
    block: int | None = None,
    bit_depth: int = 24,
    picture: Path | None = None,
    random_seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> TransferReport:
    """What the recording `source` plays, played by a voice, as a WAV, FLAC, OGG or MP3 file, and as a picture of before and after.

    With `block` samples it is processed as it would be live, in blocks of that size and without knowing what follows; the latency is
    told, and taken back in the file. `lowest` is the deepest pitch to be heard (40 Hz; in blocks 60 Hz). `progress` is told what is done
    and is to be done. Raises as `transfer` does, and for files that cannot be read or written, or exist (unless `force`).
    """
    source, output = Path(source), Path(output)
    if block is not None and not 1 <= block <= LARGEST_BLOCK:
        raise UsageError(f"block {block}: 1 to {LARGEST_BLOCK:,} samples are wanted; 256 to 2048 are usual")
    voice_folder(voice)
    lowest = (LOWEST if block is None else LIVE_LOWEST) if lowest is None else lowest
    for path in (output, *([picture] if picture else [])):
        refuse_existing(path, force)
    check_format(output, bit_depth, 48000)
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(Recording(source))
        try:
            check_options(recording.sample_rate, octave, lowest)
        except UsageError:
            raise
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        target = stack.enter_context(new_file(output, force))
        drawn = stack.enter_context(new_file(picture, force)) if picture else None
        work = stack.enter_context(
            _Work(str(source), recording.sample_rate, recording.channels, voice, octave, lowest, random_seed,
                  target.parent, progress, block)
        )  # fmt: skip
        before = Spectrogram(recording.sample_rate, recording.seconds) if drawn else None
        work.expected = recording.seconds
        work.hear(_watched(recording, before, block))
        notes = recording.notes() + work.play(recording.samples, recording.peak, recording.replaced)
        after = Spectrogram(work.rate, recording.seconds) if drawn else None
        measure = work.write(target, output.suffix, bit_depth, after)
        if drawn is not None and before is not None and after is not None:
            before.finish()
            after.finish()
            draw_transfer(work.curves.thinned(4000), work.curves.rows / FRAME_RATE, before, after, drawn, source.name, str(voice))
    frames = max(1, work.curves.rows)
    return TransferReport(
        voice=str(voice), seconds=recording.samples / recording.sample_rate, from_rate=recording.sample_rate, rate=work.rate,
        channels=recording.channels, octave=work.octave, latency=work.latency, sang=work.sang / frames,
        folded=work.folded / max(1, work.sang), lufs=measure.lufs, true_peak=measure.peak, notes=notes,
    )  # fmt: skip


def _watched(recording: Recording, picture: Spectrogram | None, block: int | None) -> Iterator[np.ndarray]:
    held = np.zeros((recording.channels, 0))
    for sound in recording.blocks():
        if picture is not None:
            picture.add(sound)
        if block is None:
            yield sound
            continue
        held = np.concatenate([held, sound], axis=1)
        whole = held.shape[1] // block * block
        for first in range(0, whole, block):
            yield held[:, first : first + block]
        held = held[:, whole:]
    if held.shape[1]:
        yield held


class _Work:
    """A transfer in its steps: `hear` all, `play` it, then read the `mix` or `write` it."""

    def __init__(
        self, name: str, sample_rate: int, channels: int, voice: str | Path, octave: int | None, lowest: float, random_seed: int,
        folder: Path | None, progress: Progress | None, block: int | None = None,
    ) -> None:  # fmt: skip
        check_options(sample_rate, octave, lowest)
        self._name, self._wanted, self._progress, self._source_rate = name, octave, progress, sample_rate
        self.expected = 0.0  # seconds
        self.octave, self.folded, self.sang = octave or 0, 0, 0
        self.latency: float | None = None
        self._stream: TransferStream | None = None
        self._stack = contextlib.ExitStack()
        self.curves = self._stack.enter_context(Spill(5, folder))  # pitch, loudness, gate as heard; pitch and loudness as played
        self._heard = self._stack.enter_context(Spill(3, folder))
        self._sound = self._stack.enter_context(Spill(1, folder))
        self._faults, self._hearsay = Faults(), Hearsay()
        if block is not None:
            self._stream = TransferStream(sample_rate, voice, channels=channels, octave=octave, lowest=lowest, random_seed=random_seed)
            self._stream.heard = self._faults.add
            self._stream.frames = lambda frames: self.curves.add(frames.T)
            self.latency, self.rate = self._stream.latency, self._stream.output_rate
        else:
            self._singer = Singer(voice, random_seed)
            self._listener = Listener(sample_rate, channels, lowest, LOOK_AHEAD, TOGETHER)
            self.rate = self._singer.config.sample_rate
        self._meter = Meter(self.rate)

    def __enter__(self) -> "_Work":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def hear(self, blocks: Iterator[np.ndarray]) -> None:
        """All of it; live it is played at once."""
        taken = 0
        for block in blocks:
            taken += block.shape[1]
            if self._stream is not None:
                self._keep(self._stream.process(block))
            else:
                self._note(self._listener.process(block))
            self._tell((HEARD_SHARE if self._stream is None else PLAYED_SHARE) * taken / self._source_rate / max(self.expected, 1e-9))
        if self._stream is None:
            self._note(self._listener.flush())

    def play(self, samples: int, peak: float, replaced: int) -> list[str]:
        """Play what was heard of so many samples, of which some were no numbers, and say what a person should know.

        Raises `InputError` when there is nothing to play.
        """
        length = round(samples * self.rate / self._source_rate)
        if self._stream is not None:
            self._keep(self._stream.flush())
            self.octave, self.folded, self.sang = self._stream.octave, self._stream.folded, self._stream.sang
        else:
            self.sang = self._hearsay.frames
        if not self.sang:
            raise InputError(f"{self._name}: {self._why_nothing(peak, samples, replaced)}")
        if self._stream is None:
            self._play_all(length)
        self._length = min(length, self._sound.rows - self._early)
        remarks = self._faults.lines()
        if self.folded:
            share = self.folded / self.sang
            remarks.append(f"{max(share, 0.001):.1%} of what sounds lies outside the voice's compass and was folded by octaves")
        return remarks

    def mix(self) -> Iterator[np.ndarray]:
        """What was played, (2, S) float32 in blocks, as long as the sound that was heard."""
        skip, left = self._early, self._length
        for block in self._sound.blocks(self.rate):
            drop = min(skip, len(block))
            skip -= drop
            kept = block[drop:, 0][:left]
            left -= len(kept)
            if len(kept):
                yield np.ascontiguousarray(np.broadcast_to(kept, (2, len(kept))))

    def master(self) -> Master:
        """What brings it to its loudness; live nothing does."""
        return Master(0.0) if self._stream is not None else find_master(self.mix, self._meter.result(), self.rate)

    def write(self, path: Path, suffix: str, bit_depth: int, picture: Spectrogram | None) -> Measure:
        """Into a file; the measure is of what stands in it."""
        meter, master, written = Meter(self.rate), self.master(), 0
        with AudioFile(path, suffix, self.rate, bit_depth, self._length) as file:
            for _, sound in mastered(self.mix(), master, self.rate):
                kept = file.write(sound)
                meter.add(kept)
                if picture is not None:
                    picture.add(kept[:1])
                written += sound.shape[1]
                self._tell(PLAYED_SHARE + (1 - PLAYED_SHARE) * written / max(1, self._length))
        return meter.result()

    @property
    def _early(self) -> int:
        return 0 if self.latency is None else round(self.latency * self.rate)

    def _note(self, heard: Frames) -> None:
        self._heard.add(np.stack([heard.pitch, heard.loudness, heard.gate], axis=1))
        self._hearsay.add(heard.pitch, heard.loudness, heard.gate)
        self._faults.add(heard)

    def _keep(self, sound: np.ndarray) -> None:
        self._sound.add(sound[:, None])
        self._meter.add(np.broadcast_to(sound, (2, len(sound))))

    def _play_all(self, length: int) -> None:
        config = self._singer.config
        self.octave = octaves_to_compass(self._hearsay, config) if self._wanted is None else self._wanted
        loudness_of, folding = loudness_map(self._hearsay, config), Folding(config)
        left = length
        for block in self._heard.blocks(PLAYED):
            pitch, loudness, gate = block.T.astype(np.float64)
            told = loudness_of(loudness, gate)
            played = folding(pitch, gate, self.octave) if self._wanted is None else pitch * 2.0**self.octave
            self.curves.add(np.column_stack([block, played, told]))
            sound = self._singer.process(played, told)[:left]
            left -= len(sound)
            self._keep(sound)
            self._tell(HEARD_SHARE + (PLAYED_SHARE - HEARD_SHARE) * (1 - left / length))
        last = self._singer.flush()[:left]
        self._keep(np.pad(last, (0, left - len(last))))
        self.folded = folding.folded

    def _why_nothing(self, peak: float, samples: int, replaced: int) -> str:
        if samples < HOP * self._source_rate // RATE * 10:
            return f"{1000 * samples / self._source_rate:.0f} ms of sound are too short for a pitch"
        if peak == 0:
            return "it is silent: there is nothing to play" + (f"; {replaced:,} samples are no numbers" if replaced else "")
        if peak < 1e-3:
            return f"nothing in it is loud enough to be played, its peak is {20 * np.log10(peak):.0f} dB; make it louder first"
        return "no pitch is to be heard in it: noise, drums or many notes at once; one voice or one instrument is wanted"

    def _tell(self, share: float) -> None:
        if self._progress is not None:
            self._progress(min(share, 1.0), 1.0)

"""Sound at a higher rate, with what may have stood above its old one: resampled by soxr, then through super-resolution networks.

    4 kHz ──► network to 16 kHz ──► network to 48 kHz          8 kHz, 16 kHz … ──► network to 48 kHz ──► soxr to any other rate

Networks that come with the package: PACKAGE/pretrained/super-resolution/RATE/ with config.json, model.safetensors and README.md (the card).
Sound is (S,) or (C, S), full scale is −1 … 1. Everything streams: an hour needs no more memory than a minute. All channels are filled
alike, so that equal ones stay equal, and silence stays silence.
"""

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from symbolic.dsp.dither import dequantise, quantise
from symbolic.dsp.resampling import Resampler
from symbolic.dsp.signal_to_noise import power_ratio
from symbolic.dsp.spectrogram import Spectrogram, draw_spectrograms
from symbolic.errors import InputError, UsageError
from symbolic.files import new_file, refuse_existing
from symbolic.rendering.output import check_format
from symbolic.rendering.recordings import HIGHEST_RATE, LARGEST, LOWEST_RATE, Recording
from symbolic.rendering.values_file import ValuesFile

if TYPE_CHECKING:
    from symbolic.models.super_resolution import SuperResolution

HIGHEST_WRITTEN = 192_000
LEAST_RATIO = 1.3  # below it there is next to nothing to fill in: 44.1 kHz to 48
MOST_CHANNELS = 64
BLOCK_SECONDS = 1.0
SMALLEST_PIECE = 1 << 14


@dataclass
class Enhancement:
    """What was made of a recording. `networks` are the rates of those used, none where soxr alone was; `filled_from` is in hertz.

    `added_db` is the power of what they added in dB of the whole, None for silence; `overloaded` counts samples clipped in the file.
    """

    seconds: float
    channels: int
    from_rate: int
    rate: int
    networks: list[int]
    filled_from: float | None
    added_db: float | None
    overloaded: int
    notes: list[str] = field(default_factory=list)


class Stage(Protocol):
    """What sound passes through: blocks (C, S) in, what is ready out, the rest at the end."""

    def process(self, block: np.ndarray) -> np.ndarray: ...
    def flush(self) -> np.ndarray: ...


class Enhancer:
    """Feed it (C, S) at `sample_rate` in blocks of any sizes; what comes back, and `flush` at the end, is at `wanted` samples a second.

    `networks` are the rates of the networks it goes through, `remarks` what a person should know of the choice. `power` and `added` sum
    the squares of what came out and of what the networks added to it. Raises `InputError` for a `model` that cannot be read.
    """

    def __init__(self, sample_rate: int, wanted: int, channels: int, model: str | Path | None = None, random_seed: int = 0) -> None:
        from symbolic.models.super_resolution import PIECE, SuperResolutionStream

        piece = max(SMALLEST_PIECE, PIECE // max(1, channels // 4))  # memory does not grow with the channels so soon
        self.networks: list[int] = []
        self.remarks: list[str] = []
        self._stages: list[Stage] = []
        self._plain = Resampler(sample_rate, wanted, channels)  # what soxr alone gives, to be compared with
        self._ahead = [np.zeros((channels, 0)), np.zeros((channels, 0))]
        self.power = self.added = 0.0
        rate = sample_rate
        for network in chosen_networks(sample_rate, wanted, model, self.remarks.append):
            self._stages += [
                Resampler(rate, network.config.sample_rate, channels),
                SuperResolutionStream(network, channels, rate, random_seed=random_seed, piece=piece),
            ]
            rate = network.config.sample_rate
            self.networks.append(rate)
        self._stages.append(Resampler(rate, wanted, channels))

    def process(self, block: np.ndarray) -> np.ndarray:
        """The samples (C, N) that are ready after the next block (C, S)."""
        plain = self._plain.process(block)
        for stage in self._stages:
            block = stage.process(block)
        return self._compared(block, plain)

    def flush(self) -> np.ndarray:
        """The last samples; nothing can be fed after this."""
        block = np.zeros((len(self._ahead[0]), 0))
        for stage in self._stages:
            block = np.concatenate([stage.process(block), stage.flush()], axis=1)
        return self._compared(block, self._plain.flush())

    def _compared(self, block: np.ndarray, plain: np.ndarray) -> np.ndarray:
        self.power += float(np.sum(np.square(block, dtype=np.float64)))
        self._ahead = [np.concatenate(pair, axis=1) for pair in zip(self._ahead, (block, plain), strict=True)]
        both = min(piece.shape[1] for piece in self._ahead)
        self.added += float(np.sum(np.square(self._ahead[0][:, :both] - self._ahead[1][:, :both])))
        self._ahead = [piece[:, both:] for piece in self._ahead]
        return block


def enhanced_to(sound: np.ndarray, sample_rate: int, wanted: int, *, model: str | Path | None = None, random_seed: int = 0) -> np.ndarray:
    """Sound (S,) or (C, S) at `wanted` samples a second, with what may have stood above half its old rate: float32.

    Networks that come with the package are chosen by the rates, or `model` is the folder of one's own. Where nothing can be filled in,
    because the rate is as high already or no network is there, it is what soxr gives. The length is round(S · wanted / sample_rate), give
    or take a sample for each rate on the way. Raises `InputError` for another shape, rates out of range, or a model that cannot be read.
    """
    given = np.asarray(sound)
    if given.ndim not in (1, 2) or (given.ndim == 2 and not 1 <= len(given) <= MOST_CHANNELS):
        raise InputError(f"sound of the shape {given.shape}: (samples,) or (channels, samples) is wanted; transpose it if need be")
    check_rates(sample_rate, wanted)
    rows = np.atleast_2d(given)
    rows = np.where(np.abs(rows) < LARGEST, rows, 0.0)  # what is no number becomes silence
    enhancer = Enhancer(sample_rate, wanted, len(rows), model, random_seed)
    step = max(1, round(BLOCK_SECONDS * sample_rate))
    made = [enhancer.process(rows[:, first : first + step]) for first in range(0, rows.shape[1], step)]
    whole = np.concatenate([*made, enhancer.flush()], axis=1)
    length = round(rows.shape[1] * wanted / sample_rate)
    whole = np.pad(whole[:, :length], ((0, 0), (0, max(0, length - whole.shape[1]))))
    return whole.astype(np.float32).reshape(*given.shape[:-1], length)


def chosen_networks(
    sample_rate: int, wanted: int, model: str | Path | None = None, tell: Callable[[str], object] = lambda _: None
) -> "list[SuperResolution]":
    """The networks for a way from one rate to another, one after the other; `tell` is given what a person should know of the choice.

    Raises `InputError` for a `model` that cannot be read.
    """
    if model is not None:
        own = _loaded(Path(model))
        rate = own.config.sample_rate
        if rate < LEAST_RATIO * sample_rate:
            tell(f"{model} makes {rate:,} Hz: nothing to fill in for a sound at {sample_rate:,} Hz, which was only resampled")
            return []
        if sample_rate * max(own.config.ratios) < rate:
            tell(f"{model} learned from {rate // max(own.config.ratios):,} Hz on; {sample_rate:,} Hz is less than that")
        return [own]
    if wanted <= sample_rate:
        same = f"{wanted:,} Hz are asked for and it has {sample_rate:,} Hz: nothing was filled in"
        tell(f"{same}; where it holds less than that, say so with --from-rate")
        return []
    rates = bundled_networks()
    target = min((rate for rate in rates if rate >= wanted), default=max(rates, default=0))
    if not target:
        tell("no network comes with this package: only resampled")
        return []
    if target < LEAST_RATIO * sample_rate:
        tell(f"{sample_rate:,} Hz hold all but the highest sounds: only resampled")
        return []
    chosen: list[SuperResolution] = []
    network = _loaded(bundled_folder(target))
    while True:
        chosen.insert(0, network)
        least = network.config.sample_rate // max(network.config.ratios)
        below = [rate for rate in rates if LEAST_RATIO * sample_rate <= rate < network.config.sample_rate]
        if sample_rate >= least:
            return chosen
        if not below:
            tell(f"{sample_rate:,} Hz is less than the network to {network.config.sample_rate:,} Hz learned from ({least:,} Hz)")
            return chosen
        network = _loaded(bundled_folder(below[-1]))


def bundled_networks() -> list[int]:
    """Rates of the networks that come with the package, rising."""
    if not _bundle().is_dir():
        return []
    return sorted(int(entry.name) for entry in _bundle().iterdir() if entry.name.isdigit() and (entry / "config.json").is_file())


def bundled_folder(rate: int) -> Path:
    """The folder of the network to `rate` that comes with the package. Raises `InputError`, one line, that lists the choices."""
    if rate not in bundled_networks():
        choices = ", ".join(map(str, bundled_networks())) or "none"
        raise InputError(f"no super-resolution network to {rate} Hz comes with this package; there are: {choices}")
    return _bundle() / str(rate)


def check_rates(from_rate: int, sample_rate: int) -> None:
    """Raise `UsageError` for rates out of range."""
    for name, rate, highest in (("from-rate", from_rate, HIGHEST_RATE), ("sample-rate", sample_rate, HIGHEST_WRITTEN)):
        if not LOWEST_RATE <= rate <= highest:
            raise UsageError(f"{name} {rate} is outside {LOWEST_RATE} … {highest} Hz; 48000 is usual")


def enhance_file(
    source: str | Path,
    output: str | Path,
    sample_rate: int = 48000,
    *,
    from_rate: int | None = None,
    model: str | Path | None = None,
    bit_depth: int = 24,
    picture: Path | None = None,
    random_seed: int = 0,
    force: bool = False,
    progress: Callable[[float, float], object] | None = None,
) -> Enhancement:
    """Write the recording `source` at `sample_rate`, filled in above its old rate, and a picture of before and after.

    `from_rate` is for a recording that holds less than its rate says: what lies above half of it is taken out and filled in anew.
    WAV and FLAC are dithered to `bit_depth` bits, WAV of 32 bits holds floats. `progress` is told seconds done and in all. Raises
    `UsageError` for settings out of range and `InputError` for files that cannot be read or written, or exist (unless `force`).
    """
    source, output = Path(source), Path(output)
    check_rates(LOWEST_RATE if from_rate is None else from_rate, sample_rate)
    check_format(output, bit_depth, sample_rate)
    for path in (output, *([picture] if picture else [])):
        refuse_existing(path, force)
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(Recording(source))
        held = recording.sample_rate if from_rate is None else from_rate
        if held > recording.sample_rate:
            raise UsageError(f"from-rate {held}: {source} has only {recording.sample_rate} Hz; leave the option out")
        narrowed = Resampler(recording.sample_rate, held, recording.channels)
        enhancer = Enhancer(held, sample_rate, recording.channels, model, random_seed)
        before = Spectrogram(recording.sample_rate, recording.seconds) if picture else None
        after = Spectrogram(sample_rate, recording.seconds) if picture else None
        drawn = stack.enter_context(new_file(picture, force)) if picture else None
        target = stack.enter_context(new_file(output, force))
        writer = stack.enter_context(
            ValuesFile(target, output, sample_rate, recording.channels, bit_depth, recording.seconds, exact=bit_depth == 32)
        )
        rounding = _Rounding(output, bit_depth, random_seed)

        def pass_on(sound: np.ndarray) -> None:
            values = rounding.process(sound)
            if after is not None:
                after.add(values)
            writer.write(values)

        for block in recording.blocks(BLOCK_SECONDS):
            if before is not None:
                before.add(block)
            pass_on(enhancer.process(narrowed.process(block)))
            if progress is not None:
                progress(recording.samples / recording.sample_rate, recording.seconds)
        pass_on(enhancer.process(narrowed.flush()))
        pass_on(enhancer.flush())
        if not rounding.samples:
            raise InputError(f"{source}: too short, {recording.samples} samples at {recording.sample_rate} Hz are less than one here")
        writer.finish()
        if drawn is not None and before is not None and after is not None:
            for spectrogram in (before, after):
                spectrogram.finish()
            draw_spectrograms([(f"before: {recording.sample_rate:,} Hz", before), (f"after: {sample_rate:,} Hz", after)], drawn)
    return _report(recording, enhancer, rounding, held, sample_rate)


class _Rounding:
    """Sound to what the file holds, and how much of it was beyond full scale."""

    def __init__(self, output: Path, bit_depth: int, random_seed: int) -> None:
        self._bits = bit_depth if bit_depth < 32 and output.suffix.lower() in (".wav", ".flac") else None
        self._generator = np.random.default_rng(random_seed)
        self.samples = self.overloaded = 0

    def process(self, sound: np.ndarray) -> np.ndarray:
        """Sound (C, S) → values (C, S) float64; digital silence is not dithered."""
        self.samples += sound.shape[1]
        if self._bits is None or not sound.size:
            return sound
        self.overloaded += int((np.abs(sound) > 1.0).sum())
        if not sound.any():
            return sound
        return dequantise(quantise(sound, self._bits, self._generator), self._bits)


def _report(recording: Recording, enhancer: Enhancer, rounding: _Rounding, held: int, sample_rate: int) -> Enhancement:
    notes = recording.notes() + enhancer.remarks
    if rounding.overloaded:
        notes.append(f"{rounding.overloaded:,} samples reached beyond full scale and were clipped; --bit-depth 32 keeps them")
    added = power_ratio(enhancer.added, enhancer.power) if enhancer.networks and enhancer.power else -math.inf
    return Enhancement(
        seconds=recording.samples / recording.sample_rate, channels=recording.channels, from_rate=recording.sample_rate, rate=sample_rate,
        networks=enhancer.networks, filled_from=held / 2 if enhancer.networks else None,
        added_db=round(added, 2) if math.isfinite(added) else None, overloaded=rounding.overloaded, notes=notes,
    )  # fmt: skip


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path) -> "SuperResolution":
    from symbolic.models.super_resolution import load_super_resolution

    return load_super_resolution(folder)


def _bundle() -> Path:
    return Path(str(resources.files("symbolic.pretrained"))) / "super-resolution"

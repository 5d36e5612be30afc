"""A recording through a converter: filtered or not, sampled at another rate, rounded to few bits, and held.

Recording (C, S) → anti-alias filter and sampling → quantiser → file at the new rate, or held to a rate that is several times higher.
Everything streams in blocks of a second: an hour needs no more memory than a minute.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symbolic.dsp.dither import dequantise, quantise, shaping_filter
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.dsp.resampling import PointSampler, Resampler
from symbolic.dsp.sampling import hold
from symbolic.dsp.signal_to_noise import mu_law_noise, power_ratio, uniform_noise
from symbolic.dsp.spectrogram import Spectrogram, draw_spectrograms
from symbolic.errors import InputError, UsageError
from symbolic.files import new_file, refuse_existing
from symbolic.rendering.output import check_format
from symbolic.rendering.recordings import Recording
from symbolic.rendering.values_file import ValuesFile

LOWEST_RATE, HIGHEST_RATE = 1000, 192_000
HELD_RATE = 44_100  # held sound is written at the first multiple of its rate from here on
DITHERS = ("none", "rpdf", "tpdf", "shaped")


@dataclass
class Conversion:
    """What was done to a recording, and what it cost. Levels in dB; a ratio that silence has not is None."""

    seconds: float
    channels: int
    from_rate: int
    rate: int
    written_rate: int
    bits: int
    filtered: bool
    dither: str
    mu_law: bool
    snr_db: float | None
    expected_snr_db: float | None
    above_half_rate_db: float | None  # what of the recording lies above half the new rate, relative to the whole
    overloaded: int  # samples that the quantiser had to clip
    notes: list[str] = field(default_factory=list)


def convert_file(
    source: str | Path,
    output: str | Path,
    sample_rate: int,
    bit_depth: int,
    *,
    anti_alias: bool = True,
    dither: str | None = None,
    mu_law: bool = False,
    held: bool = False,
    picture: Path | None = None,
    random_seed: int = 0,
    force: bool = False,
    progress: Callable[[float, float], object] | None = None,
) -> Conversion:
    """Write `source` as it sounds after `sample_rate` samples a second of `bit_depth` bits, and a picture of before and after.

    `dither` is one of `DITHERS` (default: tpdf, and none with `mu_law`); `held` writes the steps of a sample-and-hold. WAV and FLAC
    hold exactly the values of the quantiser, except µ-law in FLAC, which is rounded to 24 bits. `progress` is told seconds done and in
    all. Raises `UsageError` for settings out of range and `InputError` for files that cannot be read or written.
    """
    source, output = Path(source), Path(output)
    kind = dither or ("none" if mu_law else "tpdf")
    factor = _checked(output, sample_rate, bit_depth, kind, mu_law, held)
    for path in (output, *([picture] if picture else [])):
        refuse_existing(path, force)
    with contextlib.ExitStack() as stack:
        recording = stack.enter_context(Recording(source))
        sampler: Resampler | PointSampler
        if anti_alias or sample_rate >= recording.sample_rate:  # at a higher rate nothing can fold
            sampler = Resampler(recording.sample_rate, sample_rate, recording.channels)
        else:
            sampler = PointSampler(recording.sample_rate, sample_rate, recording.channels)
        converter = _Quantiser(sample_rate, bit_depth, kind, mu_law, recording.channels, random_seed)
        before = Spectrogram(recording.sample_rate, recording.seconds)
        after = Spectrogram(sample_rate * factor, recording.seconds)
        drawn = stack.enter_context(new_file(picture, force)) if picture else None
        target = stack.enter_context(new_file(output, force))
        writer = stack.enter_context(
            ValuesFile(target, output, sample_rate * factor, recording.channels, bit_depth, recording.seconds, exact=mu_law)
        )
        for block in recording.blocks():
            before.add(block)
            _pass_on(sampler.process(block), converter, factor, writer, after)
            if progress is not None:
                progress(recording.samples / recording.sample_rate, recording.seconds)
        _pass_on(sampler.flush(), converter, factor, writer, after)
        if not converter.samples:
            few = f"{recording.samples} samples at {recording.sample_rate} Hz are less than one at {sample_rate} Hz"
            raise InputError(f"{source}: too short, {few}; choose a higher rate")
        writer.finish()
        for spectrogram in (before, after):
            spectrogram.finish()
        if drawn is not None:
            title = f"{sample_rate:,} Hz, {bit_depth} bits{' µ-law' if mu_law else ''}{'' if anti_alias else ', no filter'}"
            draw_spectrograms([(f"before: {recording.sample_rate:,} Hz", before), (f"after: {title}", after)], drawn)
    return _report(recording, converter, before, sample_rate, factor, anti_alias, kind)


class _Quantiser:
    """Rounds block after block and keeps the sums of what it did."""

    def __init__(self, sample_rate: int, bit_depth: int, dither: str, mu_law: bool, channels: int, random_seed: int) -> None:
        self.bits, self.mu_law = bit_depth, mu_law
        self.dither = "tpdf" if dither == "shaped" else dither
        self.shaping = shaping_filter(sample_rate) if dither == "shaped" else None
        self.memory = None if self.shaping is None else np.zeros((channels, len(self.shaping)))
        self.generator = np.random.default_rng(random_seed)
        self.power = self.error = self.expected_error = 0.0
        self.samples = self.overloaded = 0

    def process(self, sound: np.ndarray) -> np.ndarray:
        """Sound (C, S) → values of the quantiser (C, S) float64."""
        if not sound.size:
            return sound
        if self.mu_law:
            levels = 2**self.bits
            values = mu_law_decode(mu_law_encode(sound, levels), levels).astype(np.float64)
            self.expected_error += sound.size * mu_law_noise(sound, levels)
            self.overloaded += int((np.abs(sound) > 1.0).sum())
        else:
            whole = quantise(sound, self.bits, self.generator, self.dither, self.shaping, self.memory)
            values = dequantise(whole, self.bits)
            self.expected_error += sound.size * uniform_noise(self.bits, self.dither, self.shaping)
            half = 2.0**-self.bits
            self.overloaded += int(((sound > 1.0 - half) | (sound < -1.0 - half)).sum())
        self.power += float(np.sum(sound**2))
        self.error += float(np.sum((values - sound) ** 2))
        self.samples += sound.shape[1]
        return values


def _pass_on(sound: np.ndarray, converter: _Quantiser, factor: int, writer: ValuesFile, after: Spectrogram) -> None:
    values = hold(converter.process(sound), factor)
    after.add(values)
    writer.write(values)


def _checked(output: Path, sample_rate: int, bit_depth: int, dither: str, mu_law: bool, held: bool) -> int:
    """The factor to hold by. Raises `UsageError` or `InputError` for what cannot be."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise UsageError(f"rate {sample_rate} is outside {LOWEST_RATE} … {HIGHEST_RATE} Hz; 8000 is the telephone's, 44100 the CD's")
    if not 2 <= bit_depth <= (16 if mu_law else 24):
        raise UsageError(f"{bit_depth} bits: 2 to {'16 with µ-law' if mu_law else '24'} is wanted; 8 is usual")
    if dither not in DITHERS:
        raise UsageError(f"dither {dither} is not known; choose {', '.join(DITHERS)}")
    if mu_law and dither != "none":
        raise UsageError(f"dither {dither}: µ-law has steps of many sizes and takes none; leave one of the two out")
    factor = 1 if not held else max(2, -(-HELD_RATE // sample_rate))
    if sample_rate * factor > HIGHEST_RATE:
        raise UsageError(f"rate {sample_rate} cannot be held: its images lie above {HIGHEST_RATE // 2} Hz, beyond what files are played at")
    check_format(output, 16, sample_rate * factor)
    return factor


def _report(
    recording: Recording, converter: _Quantiser, before: Spectrogram, sample_rate: int, factor: int, anti_alias: bool, dither: str
) -> Conversion:
    power = before.mean_power()
    above = power[np.arange(len(power)) * before.sample_rate / before.size > sample_rate / 2].sum()
    notes = recording.notes()
    if converter.overloaded:
        notes.append(f"{converter.overloaded:,} samples were clipped, because they reach beyond the last step; the SNR counts that")
    ratios = (
        power_ratio(converter.power, converter.error),
        power_ratio(converter.power, converter.expected_error),
        power_ratio(float(above), float(power.sum())),
    )
    told = [round(ratio, 2) if math.isfinite(ratio) else None for ratio in ratios]
    return Conversion(
        seconds=recording.samples / recording.sample_rate, channels=recording.channels, from_rate=recording.sample_rate,
        rate=sample_rate, written_rate=sample_rate * factor, bits=converter.bits, filtered=anti_alias, dither=dither,
        mu_law=converter.mu_law, snr_db=told[0], expected_snr_db=told[1], above_half_rate_db=told[2],
        overloaded=converter.overloaded, notes=notes,
    )  # fmt: skip

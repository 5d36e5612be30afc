"""The mix brought to its loudness: how much gain, and where a peak must be held down.

Sound is (2, S) float32 in blocks; the mix can be read several times from its start, from memory or from a file on disk.
First the loudness and the true peak of the mix decide a gain. Where that gain would lift a peak above the ceiling, a limiter holds
the peak; what the limiter costs in loudness is given back, and the ceiling is lowered until the measured true peak is under it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from symbolic.dsp.loudness import LoudnessMeter
from symbolic.dsp.peaks import Limiter, TruePeakMeter
from symbolic.dsp.units import db_to_gain
from symbolic.rendering.ahead import ahead

TARGET_LUFS = -16.0
CEILING_DBTP = -1.0
MARGIN_DB = 0.15  # room for dither and for what two true-peak meters may differ by
MOST_LIMITING_DB = 9.0  # a lone loud stroke in a quiet piece is not squashed further than this
MOST_GAIN_DB = 60.0
LOUDNESS_TOLERANCE = 0.1
MOST_ROUNDS = 5

Blocks = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Measure:
    """Loudness in LUFS (−inf where nothing is heard) and true peak in dBTP."""

    lufs: float
    peak: float


@dataclass(frozen=True)
class Master:
    """What to do with the mix: a gain in dB, and the limiter's ceiling in dBTP (None: no peak reaches it)."""

    gain: float
    ceiling: float | None = None


class Meter:
    """Loudness and true peak together."""

    def __init__(self, sample_rate: int) -> None:
        self._loudness, self._peak = LoudnessMeter(sample_rate), TruePeakMeter(sample_rate)

    def add(self, block: np.ndarray) -> None:
        """Measure the next samples."""
        self._loudness.add(block)
        self._peak.add(block)

    def result(self) -> Measure:
        """What was measured; no more can be added."""
        return Measure(self._loudness.integrated(), self._peak.decibels())


def find_master(mix: Blocks, measure: Measure, sample_rate: int) -> Master:
    """The gain and ceiling that bring a mix of this measure to the target. Reads the mix again only when a peak is in the way."""
    ceiling = CEILING_DBTP - MARGIN_DB
    if math.isinf(measure.lufs):  # too short or too quiet for the gate: level by the peak
        return Master(min(MOST_GAIN_DB, ceiling - 2.0 - measure.peak))
    gain = min(MOST_GAIN_DB, TARGET_LUFS - measure.lufs)
    if measure.peak + gain <= ceiling:
        return Master(gain)
    most = max(ceiling - measure.peak, -MOST_GAIN_DB) + MOST_LIMITING_DB
    master = Master(min(gain, most), ceiling)
    for _ in range(MOST_ROUNDS):
        meter = Meter(sample_rate)
        for _, block in ahead(mastered(mix(), master, sample_rate)):
            meter.add(block)
        found = meter.result()
        missing = min(TARGET_LUFS - found.lufs, most - master.gain)
        over = found.peak - ceiling
        if over <= 0.5 * MARGIN_DB and missing <= LOUDNESS_TOLERANCE:
            break
        master = replace(master, gain=master.gain + max(missing, 0.0), ceiling=(master.ceiling or 0.0) - max(over, 0.0))
    return master


def mastered(mix: Iterator[np.ndarray], master: Master, sample_rate: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of gain (S,) and sound (2, S) with that gain applied; together as long as the mix."""
    factor = np.float32(db_to_gain(master.gain))
    if master.ceiling is None:
        for block in mix:
            yield np.full(block.shape[1], factor, np.float32), block * factor
        return
    limiter = Limiter(sample_rate, float(db_to_gain(master.ceiling)))
    skip, total, given = limiter.delay, 0, 0

    def limited(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gains, late = limiter.gains(block)
        return gains * factor, late * gains

    for block in mix:
        total += block.shape[1]
        gains, sound = limited(block * factor)
        drop = min(skip, sound.shape[1])
        skip -= drop
        given += sound.shape[1] - drop
        if sound.shape[1] > drop:
            yield gains[drop:], sound[:, drop:]
    gains, sound = limited(np.zeros((2, limiter.delay + skip), np.float32))
    missing = total - given
    yield gains[skip : skip + missing], sound[:, skip : skip + missing]

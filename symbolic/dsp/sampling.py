"""From a continuous signal to samples and back: sampling at any rate, aliases, sample-and-hold, and its droop.

A continuous signal is a callable of seconds. Sample n of a sound at the rate r is the signal at n / r seconds, time is the last axis.
A frequency above r / 2 cannot be told from its mirror image below it (C. Shannon, "Communication in the Presence of Noise", 1949);
a converter that holds each sample for its whole length weakens what is high, by sinc(f / r).
"""

import math
from collections.abc import Callable

import numpy as np

from symbolic.dsp.compiled import compiled

ZEROS = 32  # of the interpolating sinc, on each side
PHASES = 2048  # rows of its table; between two rows the taps move along a straight line
WINDOW = 9.0  # of Kaiser's family
HALF_COMPENSATION = 24


def sample(signal: Callable[[np.ndarray], np.ndarray], sample_rate: float, seconds: float, start: float = 0.0) -> np.ndarray:
    """The signal at start, start + 1 / rate, … before start + seconds: (S,) float64.

    The callable may take an array of seconds, or one number only. No filter is applied: what is above half the rate is heard elsewhere,
    see `alias`. Raises `ValueError` for a rate or length that is not above zero, and for a signal that is not finite somewhere.
    """
    if not (sample_rate > 0 and seconds > 0 and math.isfinite(sample_rate * seconds)):
        raise ValueError(f"{seconds} seconds at {sample_rate} samples a second: both must be above zero")
    times = start + np.arange(max(1, math.ceil(sample_rate * seconds - 1e-9))) / sample_rate
    try:
        values = np.asarray(signal(times), np.float64)
    except TypeError:  # math.sin and its kin take one number
        values = np.array([signal(time) for time in times], np.float64)
    values = np.broadcast_to(values, times.shape).copy()
    if not np.isfinite(values).all():
        raise ValueError(f"the signal is {values[~np.isfinite(values)][0]} at {times[~np.isfinite(values)][0]:g} seconds")
    return values


def alias(frequency: float, sample_rate: float) -> float:
    """The frequency at which a sine is heard after sampling without a filter; 5000 Hz at 8000 → 3000, 9000 → 1000."""
    return abs(frequency - sample_rate * round(frequency / sample_rate))


def hold(samples: np.ndarray, factor: int) -> np.ndarray:
    """Sample-and-hold: each sample (…, S) stands for `factor` samples of a rate so many times higher, (…, S · factor)."""
    if factor < 1:
        raise ValueError(f"factor is {factor}: at least 1 is wanted")
    return np.repeat(samples, factor, axis=-1)


def droop(frequency: float | np.ndarray, sample_rate: float) -> np.ndarray:
    """Gain of an ideal hold at a frequency: |sinc(f / rate)|; 1 at 0, 2 / π (−3.92 dB) at half the rate."""
    return np.abs(np.sinc(np.asarray(frequency, np.float64) / sample_rate))


def held_droop(frequency: float | np.ndarray, sample_rate: float, factor: int) -> np.ndarray:
    """The same of `hold`, which holds for `factor` samples of a higher rate, not for a continuous time."""
    ratio = np.asarray(frequency, np.float64) / sample_rate
    return np.abs(np.sinc(ratio) / np.sinc(ratio / factor))


def droop_compensation(half_taps: int = HALF_COMPENSATION, passband: float = 0.45) -> np.ndarray:
    """Taps (2 · half_taps + 1,) of a linear-phase filter that undoes the droop: applied to samples before they are held.

    Least squares against 1 / sinc up to `passband` of the rate, and within 0.005 dB of it there; free above.
    """
    frequency = np.linspace(0.0, passband, 40 * half_taps)
    weight = np.where(frequency > 0.85 * passband, 4.0, 1.0)  # least squares errs most at the edge
    cosines = np.cos(2 * np.pi * frequency[:, None] * np.arange(half_taps + 1))
    # A little weight on the taps themselves keeps the free band from growing without bound.
    rows = np.concatenate([cosines * weight[:, None], 1e-5 * np.eye(half_taps + 1)])
    wanted = np.concatenate([weight / np.sinc(frequency), np.zeros(half_taps + 1)])
    half = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return np.concatenate([half[:0:-1] / 2, half[:1], half[1:] / 2])


def reconstruct(samples: np.ndarray, sample_rate: float, times: np.ndarray) -> np.ndarray:
    """The band-limited signal through the samples (…, S), read at any seconds (N,): (…, N). Silence is assumed outside.

    Shannon's sum of sincs, under a Kaiser window of `ZEROS` samples each side: errors lie below −95 dB up to 0.45 of the rate.
    """
    return read_at(samples, np.asarray(times, np.float64) * sample_rate)


def read_at(samples: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Samples (…, S) read at places (N,) that need not be whole numbers: (…, N) float64."""
    places = np.asarray(places, np.float64)
    base = np.floor(places).astype(np.int64)
    return gather(samples, base, places - base)


def gather(samples: np.ndarray, base: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """The same for places given as whole numbers (N,) and fractions (N,) from 0 to below 1, exact over hours."""
    samples = np.asarray(samples, np.float64)
    flat = np.ascontiguousarray(samples.reshape(-1, samples.shape[-1]))
    output = np.zeros((len(flat), len(base)))
    _gather_loop(flat, np.asarray(base, np.int64), np.asarray(fraction, np.float64), _table(), output)
    return output.reshape(*samples.shape[:-1], len(base))


@compiled
def _gather_loop(samples: np.ndarray, base: np.ndarray, fraction: np.ndarray, table: np.ndarray, output: np.ndarray) -> None:
    taps = table.shape[1]
    weights = np.zeros(taps)
    for place in range(base.shape[0]):
        row = int(fraction[place] * (table.shape[0] - 1))
        between = fraction[place] * (table.shape[0] - 1) - row
        for tap in range(taps):
            weights[tap] = table[row, tap] + between * (table[row + 1, tap] - table[row, tap])
        start = base[place] + 1 - taps // 2
        first, last = max(0, -start), min(taps, samples.shape[1] - start)
        for channel in range(samples.shape[0]):
            total = 0.0
            for tap in range(first, last):
                total += weights[tap] * samples[channel, start + tap]
            output[channel, place] = total


_TABLES: list[np.ndarray] = []


def _table() -> np.ndarray:
    """Taps (PHASES + 1, 2 · ZEROS) of the windowed sinc for each fraction of a sample."""
    if not _TABLES:
        distance = np.arange(PHASES + 1)[:, None] / PHASES - np.arange(1 - ZEROS, ZEROS + 1)
        window = np.i0(WINDOW * np.sqrt(np.clip(1 - (distance / ZEROS) ** 2, 0, 1))) / np.i0(WINDOW)
        _TABLES.append(np.sinc(distance) * window)
    return _TABLES[0]

"""How long a continuation is: bars, or seconds to the nearest bar line.

Seconds are those of the tempos that the seed's file has from its end on, in the seed's last meter.
"""

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import UsageError
from symbolic.generation.constraints import FREE, Constraints
from symbolic.generation.prompt import Prompt
from symbolic.tokenizers.vocabulary import Vocabulary

MAX_BARS = 2000
DEFAULT_BARS = 8
MICROSECONDS_PER_QUARTER = 500_000  # MIDI's own 120 quarter notes a minute


def wanted_bars(bars: int | None, seconds: float | None, prompt: Prompt, vocabulary: Vocabulary, constraints: Constraints) -> int:
    """The number of new bars of the seed. Raises `UsageError` for impossible or contradicting wishes."""
    if seconds is None:
        bars = DEFAULT_BARS if bars is None else bars
        if not 1 <= bars <= MAX_BARS:
            raise UsageError(f"bars is {bars}; a whole number from 1 to {MAX_BARS} is wanted")
        return bars
    if bars is not None:
        raise UsageError(f"bars {bars} and seconds {seconds:g} contradict each other: give one of them")
    if not 0 < seconds < 1e6:
        raise UsageError(f"seconds is {seconds:g}; a number above 0 is wanted, such as 30")
    for name in ("tempo", "meter"):
        if getattr(constraints, name) == FREE:
            raise UsageError(f"{name} free and seconds {seconds:g} contradict each other: seconds are counted in the seed's own {name}")
    lines = prompt.end + np.arange(MAX_BARS + 1) * bar_ticks(prompt, vocabulary)
    times = seconds_at(prompt.seed, lines)
    times -= times[0]
    if seconds > times[-1]:
        raise UsageError(f"seconds is {seconds:g}; {MAX_BARS} bars, the most that are made at once, last {times[-1]:.0f} s here")
    return max(1, int(np.abs(times - seconds).argmin()))


def bar_ticks(prompt: Prompt, vocabulary: Vocabulary) -> float:
    """Length of a new bar of the seed in ticks."""
    meter = vocabulary.numerators[prompt.meter] / vocabulary.denominators[prompt.meter]
    return float(meter * prompt.bars_per_bar * 4 * prompt.seed.ticks_per_quarter)


def seconds_at(score: ScoreTick, ticks: np.ndarray) -> np.ndarray:
    """The time in seconds of each tick."""
    tempos = sorted(((tempo.time, tempo.mspq) for tempo in score.tempos), key=lambda tempo: tempo[0])
    if not tempos or tempos[0][0] > 0:
        tempos.insert(0, (0, MICROSECONDS_PER_QUARTER))
    at, pace = np.array(tempos, dtype=float).T
    pace /= 1e6 * score.ticks_per_quarter
    begins = np.append(0, np.cumsum(np.diff(at) * pace[:-1]))
    place = np.maximum(np.searchsorted(at, ticks, side="right") - 1, 0)
    return begins[place] + (ticks - at[place]) * pace[place]

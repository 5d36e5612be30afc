"""Runs of notes as hashes, and which of them to keep so that every long enough copy shares one.

A gram is `notes` notes in a row of one line (`lines`): `notes` − 1 intervals and `notes` − 2 ratios, the first ratio needing two notes
before it. Its hash is 48 bits of a polynomial over a table of random numbers.

A run is *plain*, and proves nothing, when its `RUN` = 8 notes
    use fewer than three different intervals: repeated notes in any rhythm, trills, two-note ostinati, major scales;
    go one way in steps of at most three semitones: every other scale;
    or repeat themselves after 1 to 4 notes: broken chords, Alberti basses.
The first is a bound on entropy: seven intervals of two kinds have less than 1 bit, of three kinds more than 1.1.
A longer gram is plain when every run in it is.

Of every `window` grams in a row the one with the smallest hash is kept, the last of equals (winnowing: Schleimer, Wilkerson and Aiken,
"Winnowing: local algorithms for document fingerprinting", 2003). Two equal passages of `notes` + `window` − 1 notes that are
not plain throughout therefore share a kept gram, whatever stands around them.
"""

import numpy as np

from symbolic.corpus.lines import INTERVAL

RUN = 8
HASH_BITS = 48
NONE = np.uint64(2**64 - 1)
LONGEST_PERIOD = 4
SCALE_STEP = 3
_random = np.random.default_rng(20030609)
_TABLE = _random.integers(0, 2**64, 2**16, dtype=np.uint64)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def telling_runs(steps: np.ndarray) -> np.ndarray:
    """At which notes of `steps` (notes,) a run of `RUN` notes begins that lies in one line and is not plain, bool, (notes,)."""
    telling = np.zeros(len(steps), dtype=bool)
    places = len(steps) - RUN + 1
    if places < 1:
        return telling
    intervals = (steps >> INTERVAL).astype(np.int16)  # 0 at the beginning of a line, which no other step is

    def step(k: int) -> np.ndarray:
        return steps[k : k + places]

    def interval(k: int) -> np.ndarray:
        return intervals[k : k + places]

    whole = np.ones(places, dtype=bool)
    other = np.zeros(places, dtype=bool)  # a second kind of interval has come
    second, third = interval(1).copy(), np.zeros(places, dtype=bool)
    up, down = np.ones(places, dtype=bool), np.ones(places, dtype=bool)
    for k in range(1, RUN):
        this = interval(k)
        whole &= this != 0
        differs = this != interval(1)
        third |= other & differs & (this != second)
        second = np.where(~other & differs, this, second)
        other |= differs
        up &= (this > 128) & (this <= 128 + SCALE_STEP)
        down &= (this < 128) & (this >= 128 - SCALE_STEP)
    periodic = np.zeros(places, dtype=bool)
    for period in range(1, LONGEST_PERIOD + 1):
        again = interval(1) == interval(1 + period)
        for k in range(2, RUN - period):
            again &= step(k) == step(k + period)
        periodic |= again
    telling[:places] = whole & third & ~up & ~down & ~periodic
    return telling


def gram_hashes(steps: np.ndarray, notes: int, telling: np.ndarray | None = None) -> np.ndarray:
    """Hashes below 2^48 of the grams that begin at each note, uint64, (notes,); `NONE` where none does or it is plain.

    `telling` is what `telling_runs` gives for `steps`.
    """
    telling = telling_runs(steps) if telling is None else telling
    hashes = np.full(len(steps), NONE)
    places = len(steps) - notes + 1
    if places < 1:
        return hashes
    with np.errstate(over="ignore"):
        value = _TABLE[steps[1 : 1 + places] >> INTERVAL]
        for k in range(2, notes):
            value = value * _FACTOR + _TABLE[steps[k : k + places]]
        value ^= value >> np.uint64(29)
        value = value * np.uint64(0xBF58476D1CE4E5B9)
        value >>= np.uint64(64 - HASH_BITS)
    counted = np.r_[0, np.cumsum(telling)]
    holds_one = counted[notes - RUN + 1 : notes - RUN + 1 + places] > counted[:places]
    begins = np.r_[0, np.cumsum(steps == 0)]
    whole = begins[notes : notes + places] == begins[1 : 1 + places]
    hashes[:places] = np.where(holds_one & whole, value, NONE)
    return hashes


def winnowed(hashes: np.ndarray, steps: np.ndarray, notes: int, window: int) -> np.ndarray:
    """Where the kept grams begin, ascending, int64: of `hashes` (notes,) the least in every `window` of one line of `steps`."""
    places = len(hashes) - window - notes + 2
    if places < 1:
        return np.zeros(0, dtype=np.int64)
    least, at = hashes[:places].copy(), np.zeros(places, dtype=np.int64)
    for k in range(1, window):
        this = hashes[k : k + places]
        at[this <= least] = k
        np.minimum(least, this, out=least)
    begins = np.r_[0, np.cumsum(steps == 0)]
    in_line = begins[window + notes - 1 : window + notes - 1 + places] == begins[1 : 1 + places]
    kept = np.flatnonzero(in_line & (least != NONE))
    return np.unique(kept + at[kept])

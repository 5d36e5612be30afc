"""Recordings of notes that are held: whether a note stays as loud as it is, when its key goes up, and how fast it falls then.

Levels are decibels of power in cells of `CELL` seconds.
"""

import numpy as np

CELL = 0.01
SETTLED = (0.4, 0.7)  # seconds after the onset, by when an attack is over
LATER = (1.5, 1.8)
HELD = 2.0  # dB that a held note may fall from then to then; a low piano string falls by 5, a vibraphone's bar by 9
LET_GO = 9.0  # dB under the level while held, from which on it is no more
FALL = (3.0, 30.0)  # dB under it between which the release is measured
STEADIEST = 0.02  # seconds, the shortest release that is told


def levels_of(sound: np.ndarray, sample_rate: float) -> np.ndarray:
    """Decibels (C,) of a sound (S,) in cells."""
    cell = round(CELL * sample_rate)
    cells = np.square(sound[: len(sound) // cell * cell]).reshape(-1, cell)
    return np.asarray(10 * np.log10(cells.mean(1) + 1e-16))


def is_held(sound: np.ndarray, sample_rate: float) -> bool:
    """Whether a note (S,) from its onset stays about as loud as it was; False for one too short to tell."""
    levels = levels_of(sound, sample_rate)
    early, late = (levels[round(begin / CELL) : round(end / CELL)] for begin, end in (SETTLED, LATER))
    if len(late) < round((LATER[1] - LATER[0]) / CELL):
        return False
    return bool(early.mean() - late.mean() < HELD)


def let_go(sound: np.ndarray, sample_rate: float) -> tuple[float, float | None]:
    """When the key of a held note (S,) goes up, in seconds, and its release: the seconds in which it falls by 60 dB from then on.

    Where the recording ends before, its end and None.
    """
    levels = levels_of(sound, sample_rate)
    while_held = float(np.median(levels[round(SETTLED[0] / CELL) : round(LATER[1] / CELL)]))
    last = int(np.flatnonzero(levels > while_held - LET_GO)[-1])
    fallen = np.flatnonzero(levels[last:] < while_held - FALL[1])
    if not len(fallen):
        return len(levels) * CELL, None
    first = int(np.flatnonzero(levels[: last + 1] > while_held - FALL[0])[-1])
    end = last + int(fallen[0])
    slope = float(np.polyfit(CELL * np.arange(first, end + 1), levels[first : end + 1], 1)[0])
    return (first + 1) * CELL, max(STEADIEST, -60 / slope)

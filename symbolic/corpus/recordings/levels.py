"""Levels that a sample library evened out, put back by the dynamics in the names.

Some libraries bring a pianissimo up to the level of a fortissimo. A voice that is told pitch and loudness could then not tell a soft
colour from a loud one, and would answer to no dynamic. Where the soft notes of a folder are hardly softer than its loud ones, every note
with a dynamic is brought to the level that goes with it; its own rise and fall stay as they are.
The level of a note is the loudness, in A-weighted decibels, that a tenth of its frames exceed.
"""

from collections.abc import Sequence

import numpy as np

STEPS = {"fff": 2.0, "ff": 0.0, "f": -3.0, "mf": -8.0, "mp": -12.0, "p": -16.0, "pp": -21.0, "ppp": -26.0}  # decibels beside fortissimo
STEPS |= {"cresc": STEPS["f"], "decresc": STEPS["f"], "cresc-decresc": STEPS["f"]}  # at their loudest
SOFT, LOUD = ("p", "pp", "ppp"), ("f", "ff", "fff")
LEAST = 10.0  # decibels between the medians of soft and of loud notes, in a folder with true levels
FEWEST = 5  # notes of both kinds, to say so


def level(loudness: np.ndarray) -> float:
    """The level of a note in decibels, of its loudness (F,)."""
    return float(np.percentile(loudness, 90))


def evened_out(levels: Sequence[float], dynamics: Sequence[str]) -> tuple[float, float] | None:
    """The medians of soft and of loud notes where these are too near to be true, else None."""
    soft, loud = ([one for one, dynamic in zip(levels, dynamics, strict=True) if dynamic in kind] for kind in (SOFT, LOUD))
    if min(len(soft), len(loud)) < FEWEST:
        return None
    medians = float(np.median(soft)), float(np.median(loud))
    return medians if medians[1] - medians[0] < LEAST else None


def gains(levels: Sequence[float], dynamics: Sequence[str]) -> np.ndarray:
    """Decibels to add to each note (N,), 0 for those without a dynamic; the loud notes stay where most of them are."""
    steps = np.array([STEPS.get(dynamic, np.nan) for dynamic in dynamics])
    reference = np.median([one - step for one, step, dynamic in zip(levels, steps, dynamics, strict=True) if dynamic in LOUD])
    return np.nan_to_num(reference + steps - np.asarray(levels), nan=0.0)

"""How many beats a bar probably has, heard from the accents: for files whose meter cannot be true, such as 1/4.

Each quarter note gets an accent, the sum of its notes, long and low ones weighing more. Accents that come back after
three quarters speak for bars of three, after four for bars of four (autocorrelation, as in Brown 1993).
Where both are near each other nothing is said. How often it is right: docs/report.md.
"""

import numpy as np

from symbolic.corpus.notes import Notes

ENOUGH_QUARTERS = 32
CLEARLY = 0.05


def quarters_in_bar(notes: Notes, ticks_per_quarter: int) -> int | None:
    """3 or 4 where the accents say so clearly, else None."""
    if not len(notes):
        return None
    place = np.rint(notes.onset / ticks_per_quarter).astype(np.int64)
    place -= place.min()
    if not ENOUGH_QUARTERS <= place.max() < 100_000:
        return None
    weight = np.minimum(notes.duration / ticks_per_quarter, 4.0) + 0.25
    bass = 1 + np.clip((72 - notes.pitch) / 24, 0, 1) * (notes.program >= 0)
    on_beat = np.abs(notes.onset % ticks_per_quarter - ticks_per_quarter / 2) > ticks_per_quarter * 0.4  # within a tenth of a beat
    accents = np.sqrt(np.bincount(place, weights=weight * bass * on_beat))
    loudness = float(accents @ accents)
    accents = accents - np.convolve(np.pad(accents, (6, 5), mode="reflect"), np.ones(12) / 12, mode="valid")
    energy = float(accents @ accents)
    if energy <= 1e-6 * loudness:
        return None
    three, four = (sum(float(accents[:-lag] @ accents[lag:]) / energy for lag in lags) / len(lags) for lags in ((3, 6, 9), (4, 8, 16)))
    if abs(three - four) < CLEARLY:
        return None
    return 3 if three > four else 4

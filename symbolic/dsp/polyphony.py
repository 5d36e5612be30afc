"""Whether a phrase is one note at a time: what the ear does at once, told from three signs, each of which a single voice hardly shows.

- Its sound hardly repeats from period to period: noise, or notes that have no common period.
- Power lies between the multiples of its pitch: another note is there.
- Partials 1, 7 and 11 are missing: the pitch is only the common divisor of a chord's notes, as of 4 : 5 : 6.

The bounds were set on recordings of eleven orchestral instruments and on sums of two and three of them. Of sums of three notes about one
in ten passes, of two one in four: an octave, or a fifth in tune, cannot be told from one rich note.
"""

import numpy as np

from symbolic.dsp.pitch_tracking import PERIODIC, PitchTrack

SIZE = 4096  # samples looked at, at 16 kHz: a quarter of a second
LOOKS = 16  # at most, in a phrase
UNPITCHED_SHARE = 0.3  # of the loud frames at most may not repeat at all
REPEATS = 0.85  # median periodicity of a single voice is above this
BETWEEN, REPEATS_WELL, LEFT_OUT_ABOVE = 0.025, 0.97, 1500.0  # share of the power; periodicity; hertz, above which breath lies between
FOREIGN = 0.5  # of the power at most lies beside the partials of the note that a name claims
HIGHEST = 7500.0  # hertz, up to which that is looked at
ODD = 0.03  # of the power in partials lies in the odd ones of a true pitch: the even ones alone are the octave above
MISSING = 10**-2.8  # of the power in all partials: numbers 1, 7 and 11 together are above this


def fault(low: np.ndarray, track: PitchTrack, loud: np.ndarray, sample_rate: int, named: bool) -> str:
    """Why sound (S,) with its pitch (F,) is not to be learned from, "" where it is; `loud` (F,) are the frames that count.

    `named` is whether the pitch is that of a label: then only its octave could be wrong.
    """
    periodicity = track.periodicity[loud]
    unpitched = float((periodicity < PERIODIC).mean())
    if unpitched > UNPITCHED_SHARE:
        return f"no pitch in {unpitched:.0%} of what is loud: noise, or several notes at once"
    if named:
        return ""
    sure = float(np.median(periodicity))
    if sure < REPEATS:
        return "no single pitch: several notes at once, or noise over one"
    between, missing, _ = _shares(low, track.pitch, np.flatnonzero(loud), sample_rate)
    if missing < MISSING or (between > BETWEEN and sure < REPEATS_WELL and float(np.median(track.pitch[loud])) < LEFT_OUT_ABOVE):
        return "several notes at once"
    return ""


def foreign(low: np.ndarray, track: PitchTrack, loud: np.ndarray, sample_rate: int) -> bool:
    """Whether what sounds is another note than the one that was looked for: most of the power is no partial of it, or an even one.

    A short lag repeats well in any low note, and two periods repeat as well as one: periodicity alone would let a melody pass as any
    high note, and a high note as the octave below.
    """
    between, _, odd = _shares(low, track.pitch, np.flatnonzero(loud), sample_rate, HIGHEST)
    return between > FOREIGN or odd < ODD


def _shares(
    low: np.ndarray, pitch: np.ndarray, frames: np.ndarray, sample_rate: int, highest: float = 3000.0
) -> tuple[float, float, float]:
    """Medians of shares of the power at some frames: between the partials up to `highest`, in partials 1, 7 and 11, in odd ones."""
    hop = len(low) // len(pitch)
    padded = np.pad(low, SIZE // 2)
    frequency = np.fft.rfftfreq(SIZE, 1 / sample_rate)
    between, missing, odd = [], [], []
    for frame in frames[:: max(1, len(frames) // LOOKS)]:
        middle = frame * hop + hop // 2
        power = np.square(np.abs(np.fft.rfft(padded[middle : middle + SIZE] * np.hanning(SIZE))))
        number = np.round(frequency / pitch[frame])
        off = np.abs(frequency - number * pitch[frame])
        heard = (frequency > 30) & (frequency < highest)
        partial = (off < 10 + 0.012 * frequency) & (number >= 1)
        between.append(power[heard & ~partial].sum() / max(power[heard].sum(), 1e-30))
        own = np.isin(number, (1, 7, 11)) & (off < 0.3 * pitch[frame])
        partials = max(power[heard & partial].sum(), 1e-30)
        missing.append(power[own].sum() / max(power[number >= 1].sum(), 1e-30))
        odd.append(power[heard & partial & (number % 2 == 1)].sum() / partials)
    return float(np.median(between)), float(np.median(missing)), float(np.median(odd))

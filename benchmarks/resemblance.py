"""How far one stretch of music is from another: ten distances between the made and the true continuation of one seed.

An excerpt is some bars of token ids. Times are in quarter notes from its first bar line; notes are cut at its last bar line.
"Pitched" leaves drums out. JSD is the Jensen-Shannon divergence to base 2 (0 equal, 1 nothing in common); W1 the Wasserstein-1
distance, the mean way between sorted samples in their unit. A distance is NaN where one side has nothing to compare.

    pitch class     JSD of the histograms of pitch mod 12, a note counted once; pitched
    interval        JSD of the histograms of semitones from each highest note to the next, clipped to ±13; pitched
    inter-onset     W1 of log2 of the time between successive different onsets; octaves: 1 is twice as slow; all notes
    duration        W1 of log2 of durations; octaves; pitched
    polyphony       W1 of the number of sounding notes, weighted by time; notes; pitched
    self-similarity  mean over lags of 1 to 16 bars of |made − true| likeness of a bar to the bar so much earlier, in the seed or after
                    it; likeness is the Jaccard index of the sets of (onset, pitch, drum), two empty bars are alike
    scale           |made − true| share of notes in the major or harmonic minor scale that holds most of them; pitched
    onset position  JSD of the histograms of the sixteenth of the bar in which notes begin; all notes
    groove          |made − true| mean likeness of the onset patterns of neighbouring bars: 1 − the share of sixteenths where one bar
                    has an onset and the other has none (Wu and Yang, "The Jazz Transformer on the Front Line", ISMIR 2020)
    density         |log2 of made / true number of notes|, octaves

Histograms and overall statistics of this kind: Yang and Lerch, "On the evaluation of generative models in music", Neural Computing and
Applications 32 (2020), who compare whole sets of pieces; here each continuation meets the true one of its own seed.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

MEASURES = (
    "pitch class", "interval", "inter-onset", "duration", "polyphony", "self-similarity", "scale", "onset position", "groove", "density",
)  # fmt: skip
WIDEST = 13  # semitones: an octave and more
MOST_SOUNDING = 31
SIXTEENTH = 0.25
STEPS = 48  # onsets within a 48th of a quarter are one
SCALES = tuple(
    frozenset((tonic + step) % 12 for step in steps) for steps in ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11)) for tonic in range(12)
)


@dataclass(frozen=True)
class Excerpt:
    """Notes in order of time, every array of shape (notes,), and `bar_lines` (bars + 1,) in quarter notes."""

    bar: np.ndarray
    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    drum: np.ndarray
    bar_lines: np.ndarray

    @property
    def bars(self) -> int:
        """How many bars the excerpt has."""
        return len(self.bar_lines) - 1

    def patterns(self) -> list[frozenset[tuple[int, int, bool]]]:
        """What begins in each bar: places in 48ths of a quarter after the bar line, pitches, whether drums."""
        places = np.rint((self.onset - self.bar_lines[self.bar]) * STEPS).astype(int)
        found: list[set[tuple[int, int, bool]]] = [set() for _ in range(self.bars)]
        for bar, place, pitch, drum in zip(self.bar.tolist(), places.tolist(), self.pitch.tolist(), self.drum.tolist(), strict=True):
            found[bar].add((place, pitch, drum))
        return [frozenset(pattern) for pattern in found]

    def pitched(self) -> "Excerpt":
        """The same without drums."""
        kept = ~self.drum
        return Excerpt(self.bar[kept], self.onset[kept], self.end[kept], self.pitch[kept], self.drum[kept], self.bar_lines)


def excerpt(ids: np.ndarray, vocabulary: Vocabulary) -> Excerpt:
    """The notes of `ids`, which begin with a Bar; what stands before the first one is not looked at."""
    ids = np.asarray(ids, dtype=np.int64)
    ids = ids[int(np.argmax(ids == vocabulary.bar)) :]
    types, values = vocabulary.types[ids], vocabulary.values[ids].astype(float)
    meters = np.flatnonzero(types == TokenType.TIME_SIGNATURE)
    denominators = vocabulary.denominators[ids[meters]]
    bar_lines = np.concatenate([[0], np.cumsum(4 * vocabulary.numerators[ids[meters]] / denominators)])
    last = np.flatnonzero(types == TokenType.DURATION)
    bar = (np.cumsum(ids == vocabulary.bar) - 1)[last]
    step = 4 / denominators[bar] / vocabulary.positions_per_beat
    positions = np.maximum.accumulate(np.where(types == TokenType.POSITION, np.arange(len(ids)), 0))[last]
    onset = bar_lines[bar] + values[positions] * step
    end = np.minimum(onset + values[last] * step, bar_lines[-1])
    drum = types[last - 2] == TokenType.DRUM_PITCH
    return Excerpt(bar, onset, end, values[last - 2].astype(int), drum, bar_lines)


def distances(made: Excerpt, true: Excerpt, seed: Excerpt) -> np.ndarray:
    """One number for each of `MEASURES`, float64; both continue `seed`."""
    made_pitched, true_pitched = made.pitched(), true.pitched()
    result = {
        "pitch class": divergence(*(np.bincount(one.pitch % 12, minlength=12) for one in (made_pitched, true_pitched))),
        "interval": divergence(*(_interval_counts(one) for one in (made_pitched, true_pitched))),
        "inter-onset": wasserstein(*(np.log2(np.diff(_onsets(one))) for one in (made, true))),
        "duration": wasserstein(*(np.log2(one.end - one.onset) for one in (made_pitched, true_pitched))),
        "polyphony": _moved_mass(sounding(made_pitched), sounding(true_pitched)),
        "self-similarity": float(np.abs(likeness_by_lag(seed, made) - likeness_by_lag(seed, true)).mean()),
        "scale": abs(scale_share(made_pitched) - scale_share(true_pitched)),
        "onset position": divergence(*(_position_counts(one) for one in (made, true))),
        "groove": abs(groove(made) - groove(true)),
        "density": abs(np.log2(len(made.pitch) / len(true.pitch))) if len(made.pitch) and len(true.pitch) else np.nan,
    }
    return np.array([result[name] for name in MEASURES])


def divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence to base 2 of two histograms, which are padded to one length; NaN if one is empty."""
    if not one.sum() or not other.sum():
        return float("nan")
    p, q = np.zeros((2, max(len(one), len(other))))
    p[: len(one)], q[: len(other)] = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    return float(sum((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum() for part in (p, q)) / 2)


def wasserstein(one: np.ndarray, other: np.ndarray) -> float:
    """W1 of two samples of any sizes: the area between their cumulative distributions; NaN if one is empty."""
    if not len(one) or not len(other):
        return float("nan")
    values = np.sort(np.concatenate([one, other]))
    below = [np.searchsorted(np.sort(sample), values[:-1], side="right") / len(sample) for sample in (one, other)]
    return float((np.abs(below[0] - below[1]) * np.diff(values)).sum())


def sounding(music: Excerpt) -> np.ndarray:
    """The share of the excerpt's time in which 0, 1, 2 … 31 and more notes sound, (32,)."""
    events = np.concatenate([music.onset, music.end, music.bar_lines[[0, -1]]])
    changes = np.concatenate([np.ones(len(music.onset)), -np.ones(len(music.end)), [0, 0]])
    order = np.argsort(events, kind="stable")
    counts = np.cumsum(changes[order]).astype(int)[:-1]
    times = np.bincount(np.clip(counts, 0, MOST_SOUNDING), weights=np.diff(events[order]), minlength=MOST_SOUNDING + 1)
    return times / times.sum()


def likeness_by_lag(seed: Excerpt, continuation: Excerpt) -> np.ndarray:
    """For lags of 1 to 16 bars, fewer if the seed is shorter: the mean Jaccard index of each new bar and the bar so much earlier."""
    patterns = seed.patterns() + continuation.patterns()
    new = range(seed.bars, len(patterns))
    return np.array([np.mean([jaccard(patterns[bar], patterns[bar - lag]) for bar in new]) for lag in range(1, min(seed.bars, 16) + 1)])


def jaccard(one: frozenset[tuple[int, int, bool]], other: frozenset[tuple[int, int, bool]]) -> float:
    """Size of what two sets share over the size of all in them; 1 for two empty ones."""
    together = len(one | other)
    return len(one & other) / together if together else 1.0


def scale_share(music: Excerpt) -> float:
    """The share of notes in the best of the 12 major and 12 harmonic minor scales; NaN without notes."""
    if not len(music.pitch):
        return float("nan")
    counts = np.bincount(music.pitch % 12, minlength=12)
    return float(max(counts[list(scale)].sum() for scale in SCALES) / counts.sum())


def groove(music: Excerpt) -> float:
    """Mean over neighbouring bars of 1 − the share of sixteenths in which only one of them has an onset; NaN for a single bar."""
    places = _sixteenths(music)
    sets = [set(places[music.bar == bar].tolist()) for bar in range(music.bars)]
    lengths = np.maximum(np.ceil(np.diff(music.bar_lines) / SIXTEENTH), 1)
    pairs = [1 - len(sets[bar] ^ sets[bar + 1]) / max(lengths[bar], lengths[bar + 1]) for bar in range(music.bars - 1)]
    return float(np.mean(pairs)) if pairs else float("nan")


def top_line(music: Excerpt) -> np.ndarray:
    """The highest pitch of each onset, in order of time."""
    order = np.lexsort((music.pitch, _ticks(music)))
    ticks = _ticks(music)[order]
    return music.pitch[order][np.append(ticks[1:] != ticks[:-1], True)] if len(order) else music.pitch


def _ticks(music: Excerpt) -> np.ndarray:
    return np.rint(music.onset * STEPS).astype(int)


def _onsets(music: Excerpt) -> np.ndarray:
    """Different onsets in quarter notes, ascending."""
    return np.unique(_ticks(music)) / STEPS


def _interval_counts(music: Excerpt) -> np.ndarray:
    steps = np.diff(top_line(music))
    return np.bincount(np.clip(steps, -WIDEST, WIDEST) + WIDEST, minlength=2 * WIDEST + 1)


def _sixteenths(music: Excerpt) -> np.ndarray:
    """The sixteenth of its bar in which each note begins, from 0."""
    return np.floor((music.onset - music.bar_lines[music.bar]) / SIXTEENTH + 1e-6).astype(int)


def _position_counts(music: Excerpt) -> np.ndarray:
    return np.bincount(_sixteenths(music), minlength=1)


def _moved_mass(one: np.ndarray, other: np.ndarray) -> float:
    """W1 of two distributions over 0, 1, 2 …"""
    return float(np.abs(np.cumsum(one) - np.cumsum(other)).sum())

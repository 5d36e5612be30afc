"""The distances between continuations equal what can be reckoned by hand, and the n-gram draws what its formula says."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from continuation import interval, mean_ranks, share
from ngram import count, score
from ngram_sampling import NgramModel, continue_by_ngram
from resemblance import (
    MEASURES,
    Excerpt,
    distances,
    divergence,
    excerpt,
    groove,
    jaccard,
    likeness_by_lag,
    scale_share,
    sounding,
    top_line,
    wasserstein,
)

from symbolic.generation.prompt import prepare_prompt
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer

DRUM, NOTE = True, False


def music(*notes: tuple[float, float, int] | tuple[float, float, int, bool], bars: int = 2, meter: float = 4.0) -> Excerpt:
    """Notes as (onset, duration, pitch, drum) in quarters, in `bars` bars of `meter` quarters."""
    onset, length, pitch, drum = (np.array(column) for column in zip(*((*note, NOTE)[:4] for note in notes), strict=True))
    return Excerpt(
        np.floor(onset / meter).astype(int), onset.astype(float), onset + length, pitch, drum.astype(bool), np.arange(bars + 1) * meter
    )


def ids_of(tokenizer: RemiTokenizer, *names: str) -> np.ndarray:
    return np.array([tokenizer.vocabulary.tokens.index(name) for name in names])


def distance(measure: str, made: Excerpt, true: Excerpt, seed: Excerpt | None = None) -> float:
    return float(distances(made, true, seed or true)[MEASURES.index(measure)])


SCALE_UP = music(*((quarter, 1, 60 + step) for quarter, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))))


def test_equal_music_has_no_distance_to_itself() -> None:
    """Every measure of equal continuations is 0."""
    assert distances(SCALE_UP, SCALE_UP, SCALE_UP).tolist() == [0.0] * len(MEASURES)


def test_divergence_of_histograms() -> None:
    """0 for the same shape, 1 for nothing in common, and the formula between: (1, 0) and (½, ½) have 0.3113 bits."""
    assert divergence(np.array([1, 3]), np.array([2, 6])) == 0
    assert divergence(np.array([4]), np.array([0, 7])) == 1
    expected = (np.log2(1 / 0.75) + 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)) / 2
    assert divergence(np.array([1, 0]), np.array([1, 1])) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(divergence(np.zeros(3), np.ones(3)))


def test_wasserstein_is_the_mean_way_between_sorted_samples() -> None:
    """A shift moves every sample as far; samples of other sizes are weighed to 1."""
    values = np.array([3.0, -1.0, 4.0, 4.0])
    assert wasserstein(values, values[::-1] + 0.5) == pytest.approx(0.5)
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.0, 3.0])) == pytest.approx(1.0)
    assert wasserstein(np.array([0.0]), np.array([0.0, 0.0, 2.0, 2.0])) == pytest.approx(1.0)
    assert np.isnan(wasserstein(np.zeros(0), values))


def test_excerpt_reads_the_beat_of_each_meter_and_cuts_at_the_end() -> None:
    """Positions and durations are in steps of the bar's own beat: an eighth in 6/8; notes end with the last bar at the latest."""
    tokenizer = RemiTokenizer()
    vocabulary, step = tokenizer.vocabulary, tokenizer.vocabulary.positions_per_beat
    velocity = vocabulary.tokens[int(np.flatnonzero(vocabulary.types == 10)[0])]
    lengths = {int(vocabulary.values[id_]): vocabulary.tokens[id_] for id_ in np.flatnonzero(vocabulary.types == 11)}
    ids = ids_of(
        tokenizer,
        *("Bar_None", "TimeSig_6/8", f"Position_{3 * step}", "Program_0", "Pitch_60", velocity, lengths[2 * step]),
        *("Bar_None", "TimeSig_3/4", f"Position_{step}", "Program_0", "Pitch_64", velocity, lengths[4 * step]),
        *("Program_-1", "PitchDrum_38", velocity, lengths[step]),
    )
    found = excerpt(ids, vocabulary)
    assert found.bar_lines.tolist() == [0, 3, 6]
    assert found.bar.tolist() == [0, 1, 1]
    assert found.onset.tolist() == [1.5, 4, 4]
    assert found.end.tolist() == [2.5, 6, 5]
    assert found.pitch.tolist() == [60, 64, 38]
    assert found.drum.tolist() == [NOTE, NOTE, DRUM]


def test_pitch_distances_by_hand() -> None:
    """An octave higher is the same pitch classes and intervals; one semitone higher none of C E G; drums have no say."""
    triad = music((0, 1, 60), (1, 1, 64), (2, 1, 67))
    octave = music((0, 1, 72), (1, 1, 76), (2, 1, 79), (3, 1, 38, DRUM))
    semitone = music((0, 1, 61), (1, 1, 65), (2, 1, 68))
    assert distance("pitch class", octave, triad) == 0
    assert distance("pitch class", semitone, triad) == 1
    assert distance("interval", semitone, triad) == 0
    assert distance("interval", music((0, 1, 67), (1, 1, 64), (2, 1, 60)), triad) == 1


def test_top_line_takes_the_highest_note_of_each_onset() -> None:
    """Whatever order the notes of a chord stand in."""
    assert top_line(music((0, 4, 72), (0, 4, 48), (1, 1, 50), (1, 1, 74), (2, 1, 71))).tolist() == [72, 74, 71]


def test_twice_as_slow_is_one_octave() -> None:
    """Inter-onset and duration are measured in octaves of time; chords count as one onset."""
    eighths = music((0, 0.5, 60), (0, 0.5, 64), (0.5, 0.5, 62), (1, 0.5, 64))
    quarters = music((0, 1, 60), (1, 1, 62), (2, 1, 64))
    assert distance("inter-onset", quarters, eighths) == pytest.approx(1)
    assert distance("duration", quarters, eighths) == pytest.approx(1)
    assert distance("density", quarters, eighths) == pytest.approx(np.log2(4 / 3))


def test_polyphony_is_weighted_by_time() -> None:
    """Two notes for two of eight quarters, one for two, none for four: and two more voices all the time are two notes more."""
    two = music((0, 4, 60), (2, 2, 64))
    assert sounding(two)[:4].tolist() == [0.5, 0.25, 0.25, 0]
    assert distance("polyphony", music((0, 4, 60), (2, 2, 64), (0, 8, 36), (0, 8, 40)), two) == pytest.approx(2)


def test_self_similarity_looks_into_the_seed() -> None:
    """Repeating a seed of two different bars is likeness 1 at lag 2 and the bars' own likeness at lag 1."""
    seed = music((0, 1, 60), (1, 1, 62), (4, 1, 60), (5, 1, 64))
    assert likeness_by_lag(seed, seed).tolist() == pytest.approx([1 / 3, 1])
    other = music((0, 1, 50), (4, 1, 51))
    assert likeness_by_lag(seed, other).tolist() == [0, 0]
    assert distance("self-similarity", seed, other, seed) == pytest.approx(2 / 3)
    assert jaccard(frozenset(), frozenset()) == 1


def test_scale_share_finds_the_best_scale() -> None:
    """Major in any key and harmonic minor fit wholly; of the chromatic scale seven in twelve."""
    assert scale_share(SCALE_UP) == 1
    assert scale_share(music(*((step / 2, 1, 57 + pitch) for step, pitch in enumerate((0, 2, 3, 5, 7, 8, 11))))) == 1
    chromatic = music(*((step / 2, 1, 60 + step) for step in range(12)))
    assert scale_share(chromatic) == pytest.approx(7 / 12)
    assert distance("scale", chromatic, SCALE_UP) == distance("scale", SCALE_UP, chromatic) == pytest.approx(5 / 12)


def test_groove_counts_sixteenths_that_differ() -> None:
    """Two bars of 16 sixteenths whose onsets differ in two places are 14/16 alike; equal bars are 1."""
    assert groove(music((0, 1, 60), (1, 1, 60), (4, 1, 67), (5.5, 1, 60))) == pytest.approx(14 / 16)
    assert groove(music((0, 1, 60), (1.25, 1, 60), (4, 1, 67), (5.25, 1, 60))) == 1
    early, late = music((0, 1, 60), (4, 1, 60)), music((2, 1, 60), (6, 1, 60))
    assert distance("onset position", early, late) == 1
    assert distance("groove", early, late) == 0


def test_drums_alone_have_no_pitch_distances() -> None:
    """What cannot be compared is left out as NaN, the rest is there."""
    drums = music((0, 1, 36, DRUM), (1, 1, 38, DRUM), (4, 1, 36, DRUM))
    found = dict(zip(MEASURES, distances(drums, drums, drums), strict=True))
    assert [name for name in MEASURES if np.isnan(found[name])] == ["pitch class", "interval", "duration", "scale"]


def test_ranks_and_shares() -> None:
    """Equal rows share a rank; a share is the mean of the measures' own ratios, without what is NaN; equal tables differ by nothing."""
    assert mean_ranks(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 1.0]])).tolist() == [1.75, 2.25, 2.0]
    unit = np.array([[1.0, 10.0], [3.0, 10.0]])
    table = np.array([[1.0, np.nan], [1.0, 5.0]])
    assert share(table, unit) == pytest.approx((1 / 2 + 5 / 10) / 2)
    unit, better = np.random.default_rng(0).uniform(1, 2, (2, 30, 3))
    assert interval(unit, unit, unit) == (0, 0)
    low, high = interval(unit - 0.5, unit, unit)
    assert -1 < low < high < 0
    low, high = interval(better, unit, unit)
    assert low < 0 < high


def test_ngram_distribution_is_that_of_the_scorer() -> None:
    """For each token of a piece the sampler gives −log p as the Witten-Bell column of `ngram.score` has it, and sums to 1."""
    generator, size, bos = np.random.default_rng(1), 9, 0
    pieces = [np.array([bos, *generator.integers(2, size, 30), 1]) for _ in range(6)]
    asked = [*pieces[:2], np.array([bos, *generator.integers(2, size, 30), 1])]
    model = NgramModel(pieces, size, bos, order=4)
    bits = model.bits
    expected = score([count(pieces, [np.arange(size)], 4, bits, bos)], asked, 4, size, bos).nats["Witten-Bell"]
    for piece, nats in zip(asked, expected, strict=True):
        for place in range(1, len(piece)):
            p = model.probabilities(piece[:place].tolist())
            assert p.sum() == pytest.approx(1)
            assert -np.log(p[piece[place]]) == pytest.approx(nats[place - 1], rel=1e-9)


def test_ngram_continuations_are_legal_and_have_their_bars() -> None:
    """Under the mask every token is legal and the bars are those asked for; the same random seed gives the same ids."""
    tokenizer = RemiTokenizer()
    vocabulary = tokenizer.vocabulary
    velocity, length = (vocabulary.tokens[int(np.flatnonzero(vocabulary.types == kind)[9])] for kind in (10, 11))
    tempo = vocabulary.tokens[int(np.flatnonzero(vocabulary.types == 6)[20])]
    piece = ["BOS_None", "Bar_None", "TimeSig_4/4", "Position_0", tempo, "Program_0", "Pitch_60", velocity, length]
    for pitch in (62, 64, 65):
        piece += ["Bar_None", "TimeSig_4/4", "Position_0", "Program_0", f"Pitch_{pitch}", velocity, length]
    ids = ids_of(tokenizer, *piece, "EOS_None")
    prompt = prepare_prompt(tokenizer.decode(ids), tokenizer)
    model = NgramModel([ids], len(vocabulary), vocabulary.bos)
    new = continue_by_ngram(prompt, 3, model, vocabulary, 5)
    assert TokenAutomaton(vocabulary).accepts(np.concatenate([prompt.ids[:-2], new, [vocabulary.eos]])) is None
    assert excerpt(new, vocabulary).bars == 3
    assert new.tolist() == continue_by_ngram(prompt, 3, model, vocabulary, 5).tolist()

"""The packed n-grams of the benchmark equal the textbook formulas, written slowly with dictionaries."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.errors import InputError, UsageError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from ngram import FALLBACK_DISCOUNTS, bits_per_token, count, discounts, score

V, BOS, EOS = 7, 0, 1
IDENTITY, TURN = np.arange(V), np.array([0, 1, 2, 4, 5, 6, 3])


def random_pieces(seed: int, pieces: int, longest: int = 14) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [np.array([BOS, *generator.integers(2, V, generator.integers(0, longest)), EOS], dtype=np.uint16) for _ in range(pieces)]


class Textbook:
    """Chen and Goodman's equations as they are printed, over tuples; contexts are filled up with BOS."""

    def __init__(self, pieces: list[np.ndarray], order: int) -> None:
        self.order = order
        self.raw: list[Counter] = [Counter() for _ in range(order + 1)]
        for piece in pieces:
            padded = [BOS] * (order - 2) + piece.tolist()
            for end in range(order, len(padded) + 1):
                for n in range(1, order + 1):
                    self.raw[n][tuple(padded[end - n : end])] += 1
        self.neighbours: list[Counter] = [Counter() for _ in range(order + 1)]
        for n in range(1, order):
            for longer in self.raw[n + 1]:
                self.neighbours[n][longer[1:]] += 1
        self.neighbours[order] = self.raw[order]
        self.discounts = [(0.0, 0.0, 0.0)] + [
            discounts([sum(c == k for c in self.neighbours[n].values()) for k in (1, 2, 3, 4)]) for n in range(1, order + 1)
        ]

    def kneser_ney(self, context: tuple[int, ...], token: int) -> float:
        n = len(context) + 1
        shorter = self.kneser_ney(context[1:], token) if context else 1 / V
        followers = [self.neighbours[n][(*context, other)] for other in range(V)]
        if not sum(followers):
            return shorter
        discount = [self.discounts[n][min(c, 3) - 1] if c else 0.0 for c in followers]
        c = self.neighbours[n][(*context, token)]
        return (max(c - discount[token], 0) + sum(discount) * shorter) / sum(followers)

    def witten_bell(self, context: tuple[int, ...], token: int) -> float:
        shorter = self.witten_bell(context[1:], token) if context else 1 / V
        followers = [self.raw[len(context) + 1][(*context, other)] for other in range(V)]
        if not sum(followers):
            return shorter
        kinds = sum(c > 0 for c in followers)
        return (followers[token] + kinds * shorter) / (sum(followers) + kinds)


def counted_groups(fixed: list[np.ndarray], turned: list[np.ndarray], order: int, chunk: int = 20):
    """Two groups as the benchmark makes them: pieces that stay, and pieces in two transpositions; with the pieces they stand for."""
    bits = bits_per_token(order, V)
    training = [count(fixed, [IDENTITY], order, bits, BOS, chunk), count(turned, [IDENTITY, TURN], order, bits, BOS, chunk)]
    return training, fixed + turned + [TURN[piece] for piece in turned]


@given(order=st.integers(2, 5), seed=st.integers(0, 10**6), pieces=st.integers(1, 60), part=st.sampled_from([1, 30, 10**6]))
@settings(max_examples=40, deadline=None)
def test_probabilities_equal_the_textbook_formulas(order, seed, pieces, part):
    """Every token of every held-out piece, the first ones and EOS too, has the printed formula's probability to 1e-9."""
    training, meant = counted_groups(random_pieces(seed, pieces), random_pieces(seed + 1, pieces), order)
    held_out = random_pieces(seed + 2, 6)
    textbook = Textbook(meant, order)
    scored = score(training, held_out, order, V, BOS, part)
    for name, formula in (("Kneser-Ney", textbook.kneser_ney), ("Witten-Bell", textbook.witten_bell)):
        for piece, nats in zip(held_out, scored.nats[name], strict=True):
            padded = (BOS,) * (order - 2) + tuple(piece.tolist())
            expected = [formula(padded[end - order : end - 1], padded[end - 1]) for end in range(order, len(padded) + 1)]
            np.testing.assert_allclose(np.exp(-nats), expected, rtol=1e-9, atol=0)
    np.testing.assert_allclose(scored.discounts, textbook.discounts[1:])


@given(order=st.integers(2, 5), seed=st.integers(0, 10**6), context=st.lists(st.integers(1, V - 1), max_size=6))
@settings(max_examples=40, deadline=None)
def test_probabilities_after_any_context_sum_to_one(order, seed, context):
    """Seen and unseen contexts, at the beginning of a piece and within it: the whole vocabulary shares exactly 1."""
    training, _ = counted_groups(random_pieces(seed, 30), random_pieces(seed + 1, 30), order)
    scored = score(training, [np.array([BOS, *context, token]) for token in range(V)], order, V, BOS)
    for nats in scored.nats.values():
        assert sum(np.exp(-one[-1]) for one in nats) == pytest.approx(1, abs=1e-9)


def test_the_random_corpora_reach_true_discounts():
    """The comparison above is about Chen and Goodman's discounts, not about the fallback of tiny corpora."""
    training, _ = counted_groups(random_pieces(0, 60), random_pieces(1, 60), 5)
    found = score(training, random_pieces(2, 6), 5, V, BOS).discounts
    assert (found[3:] != FALLBACK_DISCOUNTS).all()


def test_no_ngram_reaches_into_another_piece():
    """After BOS 2 only 3 was seen: that the piece before ends in 2 4 must not count."""
    pieces = [np.array([BOS, 2, 3, EOS]), np.array([BOS, 4, 2, EOS])]
    keys = count(pieces, [IDENTITY], 3, 3, BOS).keys
    found = {(int(key) & 7, int(key) >> 3 & 7, int(key) >> 6) for key in keys}
    assert found == {(0, 0, 2), (0, 2, 3), (2, 3, 1), (0, 0, 4), (0, 4, 2), (4, 2, 1)}


@pytest.mark.parametrize(
    ("counts_of_counts", "expected"),
    [
        ((40, 16, 9, 6), (5 / 9, 1.0625, 3 - 4 * (5 / 9) * 6 / 9)),
        ((10, 0, 3, 2), FALLBACK_DISCOUNTS),
        ((2, 1, 40, 1), FALLBACK_DISCOUNTS),
    ],
)
def test_discounts_are_chen_and_goodmans_or_the_fallback(counts_of_counts, expected):
    """Y = 40 / 72: D1 = 1 − 2 Y 16/40, D2 = 2 − 3 Y 9/16, D3+ = 3 − 4 Y 6/9; none may be negative."""
    assert discounts(counts_of_counts) == pytest.approx(expected)


def test_an_order_that_does_not_fit_is_refused():
    """1679 ids of 11 bits: a 5-gram fits into 63 bits, a 6-gram does not, and the message says so."""
    assert bits_per_token(5, 1679) == 11
    with pytest.raises(UsageError, match="orders 2 to 5"):
        bits_per_token(6, 1679)
    with pytest.raises(InputError, match="no training pieces"):
        score([], random_pieces(0, 2), 3, V, BOS)

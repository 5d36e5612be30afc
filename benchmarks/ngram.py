"""Interpolated n-gram models of token ids, counted exactly over every transposition of a training set.

Two ways of smoothing, the same counts:
  Kneser-Ney    modified, interpolated, three discounts an order: Chen and Goodman, "An empirical study of smoothing techniques
                for language modeling", Computer Speech & Language 13 (1999), section 3; lower orders count distinct left neighbours.
  Witten-Bell   interpolated: Bell, Cleary and Witten, "Text Compression" (1990), method C, as section 2.5 of the paper above has it.
Both end in the uniform distribution over the vocabulary. Every token of a piece but the first (BOS) is predicted, EOS included;
before the piece the context is filled with BOS repeated, in training and in scoring.

An n-gram is one int64 with the predicted token in the highest bits and the oldest in the lowest. Sorted, n-grams with a common
end stand together: `key >> bits` is the n-gram without its oldest token, `key & (1 << bits * (n - 1)) - 1` is its context.

Counting commutes with transposing: pieces that allow the same transpositions are counted once and the distinct n-grams are
transposed and added up. All counts are those of the whole transposed training set, the counts of counts behind the discounts too.
What is kept is only what the held-out pieces ask for; the sums run over parts of the n-grams, by predicted token, to bound memory.

Legend: V vocabulary, T tokens, N distinct n-grams, Q distinct held-out n-grams, C distinct held-out contexts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from symbolic.errors import InputError, UsageError

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # of KenLM's --discount_fallback: when the counts of counts of an order give no valid discounts


@dataclass(frozen=True)
class Counted:
    """Distinct n-grams of some pieces, sorted: `keys` and `counts`, int64 (N,), and the `tables` (V,) these pieces are transposed by."""

    keys: np.ndarray
    counts: np.ndarray
    tables: Sequence[np.ndarray]


@dataclass(frozen=True)
class Scored:
    """−log p of every token but the first: by way of smoothing, for each piece, (T − 1,). `discounts` (order, 3), unigrams first."""

    nats: dict[str, list[np.ndarray]]
    discounts: np.ndarray


def bits_per_token(order: int, vocabulary_size: int) -> int:
    """Bits of one id in a packed n-gram. Raises `UsageError` when `order` of them do not fit into 63.

    Example: 1679 ids take 11 bits, a 5-gram of them 55.
    """
    bits = max((vocabulary_size - 1).bit_length(), 1)
    if order < 2 or order * bits > 63:
        raise UsageError(f"order {order}: {vocabulary_size} ids take {bits} bits each, so that orders 2 to {63 // bits} fit into 63 bits")
    return bits


def count(pieces: Iterable[np.ndarray], tables: Sequence[np.ndarray], order: int, bits: int, bos: int, chunk: int = 2**23) -> Counted:
    """The n-grams of `pieces` (each BOS … EOS), `chunk` tokens at a time; `tables` are handed on."""
    keys, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for some in _chunks(pieces, chunk):
        more, how_often = np.unique(_pack(some, order, bits, bos), return_counts=True)
        keys, counts = _add_up([keys, more], [counts, how_often])
    return Counted(keys, counts, tables)


def score(
    training: Sequence[Counted], pieces: Sequence[np.ndarray], order: int, vocabulary_size: int, bos: int, part: int = 2**24
) -> Scored:
    """Predict `pieces` by the n-grams of `training`, about `part` transposed n-grams in memory at a time.

    Raises `InputError` when there are none.
    """
    bits = bits_per_token(order, vocabulary_size)
    if not sum(len(counted.keys) for counted in training):
        raise InputError("no training pieces to count n-grams of")
    asked = _pack(pieces, order, bits, bos)
    ngrams, where = np.unique(asked, return_inverse=True)
    orders = [_Order(n, np.unique(ngrams >> bits * (order - n)), bits) for n in range(1, order + 1)]
    for keys, counts in _parts(training, order, bits, part):
        adjusted = counts
        for one in reversed(orders):
            one.add(keys, counts, adjusted)
            starts = _starts(keys >> bits)
            keys, counts, adjusted = keys[starts] >> bits, np.add.reduceat(counts, starts), np.diff(starts, append=len(keys))
    kneser_ney = witten_bell = np.full(1, 1 / vocabulary_size)
    for one in orders:
        shorter = np.searchsorted(orders[one.n - 2].ngrams, one.ngrams >> bits) if one.n > 1 else np.zeros(len(one.ngrams), dtype=np.int64)
        kneser_ney = one.kneser_ney(kneser_ney[shorter])
        witten_bell = one.witten_bell(witten_bell[shorter])
    ends = np.cumsum([len(piece) - 1 for piece in pieces])[:-1]
    nats = {name: np.split(-np.log(p)[where], ends) for name, p in (("Kneser-Ney", kneser_ney), ("Witten-Bell", witten_bell))}
    return Scored(nats, np.array([one.discounts() for one in orders]))


def discounts(counts_of_counts: Sequence[int]) -> tuple[float, float, float]:
    """D1, D2 and D3+ from the numbers of n-grams seen once, twice, three and four times (Chen and Goodman).

    Gives `FALLBACK_DISCOUNTS` when one of them would be negative or divided by 0, as in a tiny corpus.
    Example: 40, 16, 9, 6 give Y = 40 / 72 and D1 = 0.556, D2 = 1.063, D3+ = 1.519.
    """
    n1, n2, n3, n4 = (float(number) for number in counts_of_counts)
    if not (n1 and n2 and n3):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
    return found if min(found) >= 0 else FALLBACK_DISCOUNTS


class _Order:
    """The counts of order `n` that the held-out pieces need, added up part by part.

    `raw` are plain counts; `adjusted` are the same at the highest order and numbers of distinct left neighbours below it.
    """

    def __init__(self, n: int, ngrams: np.ndarray, bits: int) -> None:
        self.n, self.ngrams = n, ngrams
        self.context_mask = (1 << bits * (n - 1)) - 1
        self.contexts, self.context = np.unique(ngrams & self.context_mask, return_inverse=True)
        Q, C = len(ngrams), len(self.contexts)
        self.raw, self.adjusted = np.zeros(Q), np.zeros(Q)
        self.raw_total, self.adjusted_total = np.zeros(C), np.zeros(C)
        self.followers = np.zeros((4, C))  # distinct next tokens: all of them, then those with an adjusted count of 1, 2, 3 and more
        self.counts_of_counts = np.zeros(4, dtype=np.int64)

    def add(self, keys: np.ndarray, raw: np.ndarray, adjusted: np.ndarray) -> None:
        """One part of the training n-grams, sorted, (N,): all those that predict the same tokens are in the same part."""
        at = np.minimum(np.searchsorted(keys, self.ngrams), len(keys) - 1)
        seen = keys[at] == self.ngrams
        self.raw[seen] = raw[at[seen]]
        self.adjusted[seen] = adjusted[at[seen]]
        self.counts_of_counts += np.bincount(np.minimum(adjusted, 5), minlength=6)[1:5]
        contexts = keys & self.context_mask
        context = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        asked = self.contexts[context] == contexts
        context, raw, adjusted = context[asked], raw[asked], adjusted[asked]
        C = len(self.contexts)
        self.raw_total += np.bincount(context, weights=raw, minlength=C)
        self.adjusted_total += np.bincount(context, weights=adjusted, minlength=C)
        self.followers[0] += np.bincount(context, minlength=C)
        for row, chosen in enumerate((adjusted == 1, adjusted == 2, adjusted >= 3), 1):
            self.followers[row] += np.bincount(context[chosen], minlength=C)

    def discounts(self) -> tuple[float, float, float]:
        """D1, D2 and D3+ of this order, from the whole training set."""
        return discounts(self.counts_of_counts.tolist())

    def kneser_ney(self, shorter: np.ndarray) -> np.ndarray:
        """p of every n-gram (Q,) from p of its shorter n-gram; a context never seen leaves it to the shorter one."""
        discount = np.array([0.0, *self.discounts()])
        total = self.adjusted_total[self.context]
        left_over = (discount[1:] @ self.followers[1:])[self.context]
        kept = self.adjusted - discount[np.minimum(self.adjusted, 3).astype(np.int64)]
        return np.where(total > 0, (kept + left_over * shorter) / np.maximum(total, 1), shorter)

    def witten_bell(self, shorter: np.ndarray) -> np.ndarray:
        """As `kneser_ney`: the weight of the shorter n-gram is the number of distinct followers of the context."""
        total, followers = self.raw_total[self.context], self.followers[0][self.context]
        return np.where(total > 0, (self.raw + followers * shorter) / np.maximum(total + followers, 1), shorter)


def _pack(pieces: Sequence[np.ndarray], order: int, bits: int, bos: int) -> np.ndarray:
    """The n-gram that ends at each token but the first of each piece, int64 (T,); none reaches into another piece.

    Example: order 3 and 4 bits: the piece 1 5 6 with BOS 1 gives 0x511 and 0x651.
    """
    padding = np.full(order - 2, bos, dtype=np.int64)
    stream = np.concatenate([part for piece in pieces for part in (padding, piece)]).astype(np.int64)
    keys = np.zeros(max(len(stream) - order + 1, 0), dtype=np.int64)
    for age in range(order):
        keys |= stream[order - 1 - age : len(stream) - age] << bits * (order - 1 - age)
    lengths = np.array([len(piece) + order - 2 for piece in pieces])
    place = np.arange(len(stream)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return keys[place[order - 1 :] >= order - 1]


def _chunks(pieces: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Lists of whole pieces of about `size` tokens."""
    some: list[np.ndarray] = []
    tokens = 0
    for piece in pieces:
        some.append(piece)
        tokens += len(piece)
        if tokens >= size:
            yield some
            some, tokens = [], 0
    if some:
        yield some


def _parts(training: Sequence[Counted], order: int, bits: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All transposed n-grams with their counts, added up and sorted, in parts by predicted token."""
    to_last = bits * (order - 1)
    by_token = np.zeros(1 << bits, dtype=np.int64)
    for counted in training:
        ends = np.bincount(counted.keys >> to_last, minlength=len(by_token))
        for table in counted.tables:
            by_token[: len(table)] += np.bincount(table, weights=ends[: len(table)], minlength=len(table)).astype(np.int64)
    part_of = np.cumsum(by_token) // size
    for part in tqdm(np.unique(part_of[by_token > 0]), desc="n-grams", unit="part", disable=None):
        keys, counts = [], []
        for counted in training:
            last = counted.keys >> to_last
            for table in counted.tables:
                chosen = part_of[table[last]] == part
                keys.append(_transpose(counted.keys[chosen], table, order, bits))
                counts.append(counted.counts[chosen])
        yield _add_up(keys, counts)


def _transpose(keys: np.ndarray, table: np.ndarray, order: int, bits: int) -> np.ndarray:
    """Packed n-grams with every token replaced by its entry in `table` (V,)."""
    moved = np.zeros_like(keys)
    for shift in range(0, order * bits, bits):
        moved |= table[(keys >> shift) & ((1 << bits) - 1)] << shift
    return moved


def _add_up(keys: Sequence[np.ndarray], counts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct keys with the sums of their counts."""
    joined = np.concatenate(keys)
    if not len(joined):
        return joined, np.concatenate(counts)
    ascending = np.argsort(joined, kind="stable")
    joined = joined[ascending]
    starts = _starts(joined)
    return joined[starts], np.add.reduceat(np.concatenate(counts)[ascending], starts)


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where each run of equal keys begins; `keys` are sorted and not empty."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))

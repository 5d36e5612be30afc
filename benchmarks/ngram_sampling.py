"""Continuations by an n-gram, under the mask, the leanings and the drawing of `symbolic continue`: only the model is another.

Counts of all orders up to n of some pieces, each in its own key; every token's distribution is the interpolated Witten-Bell one
of `ngram.py`, computed for all V ids at once.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from ngram import bits_per_token, count

from symbolic.generation.constraints import Constraints
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.prompt import Prompt
from symbolic.generation.rules import Ending, make_rules
from symbolic.generation.sampling import begun
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.vocabulary import Vocabulary


class NgramModel:
    """An n-gram model that tells the distribution of the next id after any context."""

    def __init__(self, pieces: Iterable[np.ndarray], vocabulary_size: int, bos: int, order: int = 5) -> None:
        self.order, self.size, self.bos = order, vocabulary_size, bos
        self.bits = bits_per_token(order, vocabulary_size)
        counted = count(pieces, [np.arange(vocabulary_size)], order, self.bits, bos)
        self._tables: list[tuple[np.ndarray, np.ndarray]] = []
        keys, counts = counted.keys, counted.counts
        for n in range(order, 0, -1):
            context, last = keys & ((1 << self.bits * (n - 1)) - 1), keys >> self.bits * (n - 1)
            by_context = context << self.bits | last
            ascending = np.argsort(by_context)
            self._tables.insert(0, (by_context[ascending], counts[ascending]))
            shorter, place = np.unique(keys >> self.bits, return_inverse=True)
            keys, counts = shorter, np.bincount(place, weights=counts).astype(np.int64)

    def probabilities(self, context: Sequence[int]) -> np.ndarray:
        """p of every next id (V,), after the last n − 1 ids of `context`, which is filled up with BOS."""
        recent = [self.bos] * (self.order - 1) + list(context)
        p = np.full(self.size, 1 / self.size)
        packed = 0
        for n, (keys, counts) in enumerate(self._tables, 1):
            if n > 1:
                packed = packed << self.bits | recent[1 - n]  # the oldest token in the lowest bits, as in ngram.py
            first, past = np.searchsorted(keys, [packed << self.bits, (packed + 1) << self.bits])
            followers = past - first
            if not followers:
                break
            p *= followers
            p[keys[first:past] & ((1 << self.bits) - 1)] += counts[first:past]
            p /= counts[first:past].sum() + followers
        return p


def continue_by_ngram(
    prompt: Prompt, bars: int, model: NgramModel, vocabulary: Vocabulary, random_seed: int, settings: SamplingSettings | None = None
) -> np.ndarray:
    """New ids after the prompt; they begin with the first new bar, as those of `continue_prompts`."""
    settings, ending = settings or SamplingSettings(), Ending(prompt.heard_bars + bars * prompt.bars_per_bar)
    rules = make_rules(prompt, ending, vocabulary, Constraints(), LikenessSettings())
    row = begun(0, vocabulary, prompt.ids, StreamMask(TokenAutomaton(vocabulary), rules), random_seed)
    ids = prompt.ids.tolist()
    while True:
        id_ = row.draw(np.log(model.probabilities(ids[1 - model.order :])), 0.0, settings)
        if row.mask.ends(id_):
            return np.concatenate([prompt.ids[-2:], row.new])
        row.take(id_)
        ids.append(id_)

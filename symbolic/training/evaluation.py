"""How well a model predicts pieces: negative log-likelihood in nats, by kind of token, and per note.

A piece is scored whole, from BOS (given, not scored) to EOS, with the memory running through it.
Nats per note = all nats of the piece's tokens / its notes: it does not depend on how many tokens a note is spelt with.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary


@dataclass
class Score:
    """Sums over pieces: nats and tokens by `TokenType` (12,), and notes."""

    nats: np.ndarray
    tokens: np.ndarray
    notes: int

    @property
    def nats_per_note(self) -> float:
        """All nats divided by the number of notes."""
        return float(self.nats.sum() / max(self.notes, 1))

    @property
    def nats_per_token(self) -> float:
        """All nats divided by the number of scored tokens."""
        return float(self.nats.sum() / max(self.tokens.sum(), 1))

    def summary(self) -> dict[str, float]:
        """The figures people compare, as a flat mapping."""
        kinds = {f"nats_per_{kind.name.lower()}": float(self.nats[kind] / self.tokens[kind]) for kind in TokenType if self.tokens[kind]}
        return {
            "nats_per_note": self.nats_per_note,
            "bits_per_note": self.nats_per_note / math.log(2),
            "nats_per_token": self.nats_per_token,
            "perplexity_per_token": math.exp(min(self.nats_per_token, 700)),
            "notes": self.notes,
            "tokens": int(self.tokens.sum()),
        } | kinds


def token_nats(
    model: TransformerXL, pieces: Sequence[np.ndarray], vocabulary: Vocabulary, *, batch: int = 16, segment: int = 512,
    progress: Callable[[int], object] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """−log p of every token but the first, for each piece, float32 (T − 1,). Pieces are batched by length.

    `progress` is told the tokens done.
    """
    model.eval()
    device = next(model.parameters()).device
    result: list[np.ndarray] = [np.zeros(max(len(piece) - 1, 0), dtype=np.float32) for piece in pieces]
    order = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        longest = max(len(pieces[index]) for index in chosen)
        ids = np.full((len(chosen), longest), vocabulary.pad, dtype=np.int64)
        beats = np.zeros((len(chosen), longest, 3), dtype=np.int64)
        for row, index in enumerate(chosen):
            ids[row, : len(pieces[index])] = pieces[index]
            beats[row, : len(pieces[index])] = derive_beats(pieces[index], vocabulary)
        memory = None
        for start in range(0, longest - 1, segment):
            stop = min(start + segment, longest - 1)
            inputs = torch.from_numpy(ids[:, start:stop]).to(device)
            targets = torch.from_numpy(ids[:, start + 1 : stop + 1]).to(device)
            with torch.no_grad():
                output = model(inputs, torch.from_numpy(beats[:, start:stop]).to(device), memory)
            memory = output.memory
            nats = torch.nn.functional.cross_entropy(output.logits.float().transpose(1, 2), targets, reduction="none").cpu().numpy()
            for row, index in enumerate(chosen):
                end = min(stop, len(result[index]))
                if end > start:
                    result[index][start:end] = nats[row, : end - start]
            if progress:
                progress(sum(min(stop, len(result[index])) - min(start, len(result[index])) for index in chosen))
    return result


def sum_up(pieces: Sequence[np.ndarray], nats: Sequence[np.ndarray], vocabulary: Vocabulary) -> Score:
    """The sums over pieces of nats as `token_nats` (or any other model of the same ids) gives them."""
    total, tokens = np.zeros(len(TokenType)), np.zeros(len(TokenType), dtype=np.int64)
    for ids, scored in zip(pieces, nats, strict=True):
        types = vocabulary.types[np.asarray(ids[1:])]
        total += np.bincount(types, weights=scored, minlength=len(TokenType))
        tokens += np.bincount(types, minlength=len(TokenType))
    return Score(total, tokens, int(tokens[TokenType.VELOCITY]))

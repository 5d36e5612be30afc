"""The mask as a logits processor of transformers, for `model.generate()`: the same rules in somebody else's loop.

    model.generate(ids, beats=…, do_sample=True, eos_token_id=vocabulary.eos, pad_token_id=vocabulary.pad, max_new_tokens=…,
                   logits_processor=LogitsProcessorList([LegalTokens(masks, vocabulary)]))

Each token costs the same: only what is new since the last call is followed. Rows must stay in their places, so there are no beams.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from symbolic.generation.mask import StreamMask
from symbolic.tokenizers.automaton import EOS
from symbolic.tokenizers.vocabulary import Vocabulary


class LegalTokens(LogitsProcessor):
    """Scores of ids that may not follow become −inf, leanings are added; one fresh mask a row, which reads the prompt itself."""

    def __init__(self, masks: Sequence[StreamMask], vocabulary: Vocabulary) -> None:
        self.masks, self.vocabulary = masks, vocabulary
        self._read = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """input_ids (B, T), padded on the left where prompts differ in length; scores (B, V) → (B, V), a new tensor."""
        result = torch.full_like(scores, float("-inf"))
        for place, (mask, row) in enumerate(zip(self.masks, input_ids[:, self._read :].tolist(), strict=True)):
            for id_ in row:
                if id_ != self.vocabulary.pad:
                    mask.follow(id_)
            if mask.state.last is EOS:
                result[place, self.vocabulary.pad] = 0
                continue
            legal = mask.legal()
            if mask.ends(self.vocabulary.bar):  # here the piece ends, it does not go on
                legal[self.vocabulary.bar] = False
            allowed = torch.from_numpy(legal).to(scores.device)
            leaning = torch.from_numpy(mask.leaning()).to(scores.device, scores.dtype)
            result[place, allowed] = (scores[place] + leaning)[allowed]
        self._read = input_ids.shape[1]
        return result

"""What `model.generate()` of transformers needs to know about a Transformer-XL: its cache is a `DecodingState`, and tokens have beats.

The model knows no tokenizer, so it is told the beats of the tokens to come: `generate(ids, beats=…)` takes a tensor (B, T, 3) that reaches
to the last token that will be read, or a function of all ids so far, (B, T) → (B, T, 3).
Prompts of several lengths are padded on the left and told apart by `attention_mask`, as everywhere in transformers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.generation import GenerationMixin

from symbolic.errors import UsageError
from symbolic.models.memory import DecodingState


class BeatGenerationMixin(GenerationMixin):
    """Mixed into the model; transformers wants "GenerationMixin" in its name."""

    def prepare_inputs_for_generation(  # type: ignore[override]  # a cache of our own, and beats
        self,
        input_ids: Tensor,
        beats: Tensor | Callable[[Tensor], Tensor] | None = None,
        past_key_values: DecodingState | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool = True,
        **_others: Any,
    ) -> dict[str, Any]:
        """The inputs of `forward`: the whole prompt at first, one token afterwards."""
        T = input_ids.shape[1]
        if beats is None:
            raise UsageError("generate() needs beats: a tensor (batch, tokens, 3), or a function that gives it for ids (batch, tokens)")
        places = beats if isinstance(beats, Tensor) else beats(input_ids)
        if places.shape[1] < T:
            raise UsageError(f"beats reach to token {places.shape[1]}, and token {T} is to be read; give more, or a function of the ids")
        places = places[:, :T].to(input_ids.device)
        if past_key_values is not None:
            return {"input_ids": input_ids[:, -1:], "beats": places[:, -1:], "past_key_values": past_key_values}
        ages = None if attention_mask is None else attention_mask.long().cumsum(1) - 1
        return {"input_ids": input_ids, "beats": places, "ages": ages, "use_cache": use_cache}

    def _prepare_cache_for_generation(self, *_arguments: Any, **_named: Any) -> None:  # type: ignore[override]
        """The first pass makes the cache."""

    def _reorder_cache(self, past_key_values: DecodingState, beam_idx: Tensor) -> DecodingState:
        """For beam search: row k goes on from row beam_idx[k]."""
        return past_key_values.rows(beam_idx.to(past_key_values.ages.device, torch.long))

"""The network in the manner of transformers: `from_pretrained`, `save_pretrained`, `generate()`, the Auto classes.

Importing transformers takes seconds; who only predicts or generates takes `network.py`.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import ModelOutput, logging

from symbolic.errors import InputError
from symbolic.models.configuration import TransformerXLConfig
from symbolic.models.generate import BeatGenerationMixin
from symbolic.models.loading import require_files
from symbolic.models.memory import DecodingState, Memory
from symbolic.models.network import Block, Embeddings, Network, RelativeAttention


@dataclass
class TransformerXLOutput(ModelOutput):
    """logits (B, T, V); the memory to hand to the next segment; the mean loss in nats when labels were given; what `step` goes on from."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    memory: Memory | None = None
    past_key_values: DecodingState | None = None


class TransformerXL(Network, BeatGenerationMixin, PreTrainedModel):
    """The language model. `from_pretrained` and `save_pretrained` work as everywhere in transformers."""

    config_class = TransformerXLConfig
    base_model_prefix = "transformer_xl"
    _tied_weights_keys = {"head.weight": "embeddings.token.weight"}  # noqa: RUF012  (transformers' own convention)
    _no_split_modules = ["Block"]  # noqa: RUF012  (transformers' own convention)

    def __init__(self, config: TransformerXLConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self.build(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights, zero biases; what adds to the residual stream is scaled down by depth (Radford et al. 2019)."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Embeddings):
            for name, weight in module.named_parameters():
                if name.startswith(("recent", "echo")):
                    nn.init.zeros_(weight)
        elif isinstance(module, RelativeAttention):
            nn.init.normal_(module.content_bias, std=self.config.initializer_range)
            nn.init.normal_(module.position_bias, std=self.config.initializer_range)
        elif isinstance(module, Block):
            scale = (2 * self.config.num_hidden_layers) ** -0.5
            nn.init.normal_(module.outer.weight, std=self.config.initializer_range * scale)
            nn.init.normal_(module.attention.output.weight, std=self.config.initializer_range * scale)

    def get_input_embeddings(self) -> nn.Module:
        """The token table, tied to the output."""
        return self.embeddings.token

    def get_output_embeddings(self) -> nn.Module:
        """The output layer."""
        return self.head

    def forward(  # type: ignore[override]  # return_dict, and what transformers wants back
        self,
        input_ids: Tensor,
        beats: Tensor,
        memory: Memory | None = None,
        ages: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool = True,
        past_key_values: DecodingState | None = None,
        use_cache: bool = False,
    ) -> TransformerXLOutput:
        """As `Network.forward`, in the output of transformers; `return_dict` is what `generate` says and always true."""
        found = Network.forward(self, input_ids, beats, memory, ages, labels, past_key_values, use_cache)
        return TransformerXLOutput(**vars(found))


AutoConfig.register(TransformerXLConfig.model_type, TransformerXLConfig, exist_ok=True)
AutoModelForCausalLM.register(TransformerXLConfig, TransformerXL, exist_ok=True)


def load_weights(folder: str | Path) -> TransformerXL:
    """The model saved in `folder`, in float32, ready for inference. Raises `InputError` when it is missing or damaged."""
    folder = require_files(folder)
    logging.disable_progress_bar()
    try:
        model = TransformerXL.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32)
    except Exception as error:  # safetensors and transformers raise many types for damaged files
        raise InputError(f"{folder}: the model cannot be loaded ({type(error).__name__}: {error}); is the file whole?") from error
    return model.eval()

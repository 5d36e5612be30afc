"""What a Transformer-XL of this project is made of, in the manner of transformers: saved as config.json beside the weights."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PretrainedConfig

from symbolic.errors import InputError


@strict
class TransformerXLConfig(PretrainedConfig):
    """Shapes of the network. It knows ids, beats and a vocabulary size, never a tokenizer."""

    model_type = "symbolic-transformer-xl"
    keys_to_ignore_at_inference = ("memory",)

    vocab_size: int = 1679
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 8
    intermediate_size: int = 1024
    memory_length: int = 512
    dropout: float = 0.0
    bar_cycle: int = 16
    beats_per_bar: int = 12
    positions_per_beat: int = 48
    recent_tokens: int = 0
    echo_lengths: list[int] | tuple[int, ...] = ()
    echo_reach: int = 4096
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = True

    def validate_architecture(self) -> None:
        """Called by transformers when the configuration is made and saved."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"num_attention_heads ({self.num_attention_heads}) must divide hidden_size ({self.hidden_size})")
        if self.recent_tokens < 0:
            raise ValueError(f"recent_tokens is {self.recent_tokens}; a number from 0 up is wanted")
        lengths = list(self.echo_lengths)
        if lengths != sorted({length for length in lengths if length > 0}):
            raise ValueError(f"echo_lengths is {lengths}; different numbers from 1 up in ascending order are wanted, or none")
        if lengths and self.echo_reach < max(lengths[-1], self.recent_tokens):
            raise ValueError(f"echo_reach is {self.echo_reach}; at least {max(lengths[-1], self.recent_tokens)} is wanted here")


def make_config(**fields: Any) -> TransformerXLConfig:
    """A configuration from named fields. Raises `InputError` for an unknown field, a wrong type or an impossible shape."""
    import difflib

    known = TransformerXLConfig().to_dict()
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(f"model setting {name!r} is unknown{f'; did you mean {near[0]!r}?' if near else ''}")
    try:
        config = TransformerXLConfig(**fields)
        config.validate_architecture()
    except Exception as error:  # huggingface_hub raises its own family of validation errors
        raise InputError(f"model settings: {error}") from error
    return config

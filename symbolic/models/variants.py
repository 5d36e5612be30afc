"""The same weights under another memory length or dropout: the shape of none of them depends on these."""

import copy
from typing import Any

import torch

from symbolic.errors import InputError
from symbolic.models.transformer_xl import TransformerXL

FREE = ("memory_length", "dropout")


def variant(model: TransformerXL, **fields: float) -> TransformerXL:
    """A copy of `model` on its device, ready for inference, with other values of the `FREE` fields of its configuration.

    The global random state stays as it is. Raises `InputError` for any other field, and for an impossible value.
    """
    config: Any = copy.deepcopy(model.config)
    for name, value in fields.items():
        if name not in FREE:
            raise InputError(f"{name}: the weights depend on it; only {' and '.join(FREE)} of a trained model can change")
        if value < 0 or (name == "dropout" and value >= 1):
            raise InputError(f"{name} is {value}; {'a share from 0 up to 1' if name == 'dropout' else 'a number of tokens'} is wanted")
        setattr(config, name, value)
    with torch.random.fork_rng(devices=[]):
        other = TransformerXL(config)
    other.load_state_dict(model.state_dict())
    other.to(device=model.device, dtype=model.dtype)  # type: ignore[call-arg]  # the stub of `to` lost self
    return other.eval()

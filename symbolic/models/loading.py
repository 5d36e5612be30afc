"""A saved model as a `Network`, without transformers: in a fraction of a second."""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file

from symbolic.errors import InputError
from symbolic.models.network import Network

NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "memory_length", "vocab_size")


def require_files(folder: str | Path) -> Path:
    """The folder. Raises `InputError` when it holds no model."""
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} in it, so this is no model folder")
    return folder


def load_network(folder: str | Path) -> Network:
    """The model saved in `folder`, in float32, ready for inference. Raises `InputError` when it is missing or damaged."""
    folder = require_files(folder)
    try:
        stored = json.loads((folder / "config.json").read_text())
        config = SimpleNamespace(**stored | {"dropout": 0.0})
        missing = [name for name in NEEDED if not isinstance(stored.get(name), int)]
        if missing:
            raise ValueError(f"config.json says no {missing[0]}")
        network = Network()
        network.config = config
        with torch.random.fork_rng(devices=[]):  # the weights that are drawn here go at once
            network.build(config)
        weights = {name: value.float() for name, value in load_file(str(folder / "model.safetensors")).items()}
        if stored.get("tie_word_embeddings", True):
            weights["head.weight"] = weights["embeddings.token.weight"]
        network.load_state_dict(weights)
    except Exception as error:  # safetensors and torch raise many types for damaged files
        raise InputError(f"{folder}: the model cannot be loaded ({type(error).__name__}: {error}); is the file whole?") from error
    if stored.get("tie_word_embeddings", True):
        network.head.weight = network.embeddings.token.weight
    return network.requires_grad_(False).eval()

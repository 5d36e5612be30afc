"""An autoencoder on disk, a WaveNet or a SampleRNN: a folder with config.json and model.safetensors.

Weights are saved in float32, or rounded to bfloat16, which halves the file and the time of playing a single note.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from symbolic.errors import InputError
from symbolic.files import new_folder
from symbolic.models.sample_rnn.autoencoder import SampleRnn
from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.models.wavenet.autoencoder import Autoencoder, Wavenet
from symbolic.models.wavenet.configuration import AutoencoderConfig, WavenetConfig, from_json, to_json

KINDS: dict[type[AutoencoderConfig], Callable[[Any], Autoencoder]] = {WavenetConfig: Wavenet, SampleRnnConfig: SampleRnn}


def new_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """One of the configuration's kind, with random weights."""
    return KINDS[type(config)](config)


def save_wavenet(model: Autoencoder, folder: str | Path, *, rounded: bool = False, force: bool = False) -> None:
    """Write the folder, whole or not at all; `rounded` to bfloat16. Raises `InputError` when it exists or cannot be written."""
    with new_folder(Path(folder), force) as partial:
        write_wavenet(model, partial, rounded=rounded)


def write_wavenet(model: Autoencoder, folder: Path, *, rounded: bool = False) -> None:
    """The two files, into a folder that is there."""
    kind = torch.bfloat16 if rounded else torch.float32
    weights = {name: value.detach().to("cpu", kind).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(to_json(model.config), indent=2) + "\n")
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_wavenet(folder: str | Path) -> Autoencoder:
    """The model in `folder`, in float32, ready for inference. Raises `InputError` when it is missing, damaged or of another version."""
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} in it, so this is no WaveNet or SampleRNN voice")
    try:
        model = new_autoencoder(from_json(json.loads((folder / "config.json").read_text(encoding="utf-8")), *KINDS))
    except (ValueError, OSError, InputError) as error:
        raise InputError(f"{folder / 'config.json'}: no WaveNet or SampleRNN voice that this program can read: {error}") from error
    try:
        model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    except Exception as error:  # safetensors and torch raise many types for damaged files
        raise InputError(f"{folder}: the weights cannot be loaded ({type(error).__name__}: {error}); is the file whole?") from error
    return model.requires_grad_(False).eval()

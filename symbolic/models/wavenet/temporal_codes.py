"""Temporal codes as material: drawn out in time, mixed, kept in a file.

A sound's codes belong to the model that made them: `fingerprint` tells models apart. Codes are (F, `code_size`), a row for 32 ms.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from symbolic.errors import InputError
from symbolic.files import new_file
from symbolic.models.wavenet.autoencoder import Autoencoder


@dataclass(frozen=True)
class CodedNote:
    """A note as codes, with its MIDI pitch, velocity 0 … 127 and length in samples."""

    codes: Tensor
    pitch: float
    velocity: float
    samples: int


def stretched(codes: Tensor, count: int) -> Tensor:
    """The same course in `count` codes, on straight lines; the first and the last one stay."""
    if count < 1:
        raise ValueError(f"{count} codes are wanted; at least 1 is needed")
    if len(codes) == 1 or count == 1:
        return codes[:1].expand(count, -1).clone()
    place = torch.linspace(0, len(codes) - 1, count)
    low = place.floor().long().clamp(max=len(codes) - 2)
    share = (place - low)[:, None]
    return codes[low] * (1 - share) + codes[low + 1] * share


def sustained(codes: Tensor, count: int, attack: int = 4, release: int = 4) -> Tensor:
    """The same with the first `attack` and the last `release` codes as they are, and only what is between them stretched."""
    if min(len(codes), count) < attack + release + 2:
        return stretched(codes, count)
    middle = stretched(codes[attack : len(codes) - release], count - attack - release)
    return torch.cat([codes[:attack], middle, codes[len(codes) - release :]])


def blended(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Between two courses, `share` 0 … 1 of the second; the shorter one is stretched to the length of the longer."""
    count = max(len(first), len(second))
    return stretched(first, count) * (1 - share) + stretched(second, count) * share


def fingerprint(model: Autoencoder) -> str:
    """16 hexadecimal digits that tell this encoder and decoder from others; rounding the weights to bfloat16 keeps them."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.startswith("encoder.last"):
            digest.update(value.detach().to("cpu", torch.bfloat16).float().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_codes(note: CodedNote, model: Autoencoder, path: str | Path, force: bool = False) -> None:
    """Write codes to a file of a few kilobytes. Raises `InputError` when it exists or cannot be written."""
    told = {"pitch": note.pitch, "velocity": note.velocity, "samples": note.samples, "model": fingerprint(model)}
    with new_file(Path(path), force) as temporary:
        save_file({"codes": note.codes.contiguous()}, temporary, metadata={"symbolic-codes": json.dumps(told)})


def load_codes(path: str | Path, model: Autoencoder) -> CodedNote:
    """Codes from a file. Raises `InputError` when it is missing, damaged, or made by another model."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as stream:
            told = json.loads((stream.metadata() or {})["symbolic-codes"])
            codes = stream.get_tensor("codes").float()
        note = CodedNote(codes, float(told["pitch"]), float(told["velocity"]), int(told["samples"]))
        made_by = told["model"]
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise InputError(
            f"{path}: not a file of temporal codes ({type(error).__name__}); `.safetensors` made by this program is wanted"
        ) from error
    if made_by != fingerprint(model):
        raise InputError(
            f"{path}: these codes were made by another model ({made_by}) than this one ({fingerprint(model)}); encode the sound again"
        )
    if codes.ndim != 2 or codes.shape[1] != model.config.code_size or not len(codes) or not torch.isfinite(codes).all():
        raise InputError(f"{path}: its codes have the shape {tuple(codes.shape)} or hold what is no number; is the file damaged?")
    return note

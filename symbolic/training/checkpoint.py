"""Checkpoints of a run: all that a resumed run needs to equal an uninterrupted one.

RUN/last/    a model folder (config.json, model.safetensors, tokenizer.json) and training-RANK.pt for each process:
             optimizer, random states, lanes, memory and step. Written beside and renamed, so that a killed run keeps the one before.
RUN/best/    a model folder: the lowest held-out nats per note so far.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils import logging

from symbolic.errors import InputError
from symbolic.models.memory import Memory
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer


def save_model(folder: Path, model: TransformerXL, tokenizer: RemiTokenizer) -> None:
    """A model folder that `load_weights` and `from_pretrained` read, with its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    model.save_pretrained(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it
    tokenizer.save(folder)


def swap_in(partial: Path, folder: Path) -> None:
    """Put a completely written folder in the place of `folder`; at every moment one whole checkpoint exists."""
    old = folder.with_name(folder.name + "-old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def whole_or_gone(partial: Path) -> Iterator[None]:
    """A folder being written: when that fails it is removed, which makes room again. Raises `OSError` with the reason, whoever wrote."""
    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield
    except SafetensorError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(str(error)) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def newest(run: Path) -> Path:
    """The checkpoint to resume from. Raises `InputError` when the run has none."""
    for folder in (run / "last", run / "last-old"):  # the second when a run was killed while it swapped them
        if (folder / "training-0.pt").is_file():
            return folder
    raise InputError(f"{run}: no checkpoint to resume in it (last/training-0.pt is missing); start without --resume")


def training_state(
    optimizer: dict[str, Any], memory: Memory | None, lanes: dict[str, Any], step: int, held_out: dict[str, Any]
) -> dict[str, Any]:
    """What one process adds to the model: plain tensors, numbers and lists only, so that it loads without unpickling code."""
    state: dict[str, Any] = {"optimizer": optimizer, "random": torch.get_rng_state()}
    state |= {"lanes": lanes, "step": step, "held_out": held_out}
    if torch.cuda.is_available():
        state["random_cuda"] = torch.cuda.get_rng_state()
    if memory is not None:
        state["memory"] = {"keys": memory.keys, "values": memory.values, "ages": memory.ages, "recent": memory.recent}
    return state


def save_training_state(state: dict[str, Any], folder: Path, rank: int) -> None:
    """Write the state of one process. Raises `OSError` when it cannot be written."""
    with (folder / f"training-{rank}.pt").open("wb") as stream:
        torch.save(state, stream)


def load_training_state(folder: Path, rank: int, device: torch.device) -> dict[str, Any]:
    """The state of one process. Raises `InputError` when it is damaged or was saved by fewer processes."""
    path = folder / f"training-{rank}.pt"
    if not path.is_file():
        raise InputError(f"{path}: missing; a run is resumed with the number of processes it was saved with")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged files
        raise InputError(f"{path}: the checkpoint is damaged ({type(error).__name__}); start again, or copy an older one here") from error
    torch.set_rng_state(state["random"])
    if "random_cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random_cuda"])
    if "memory" in state:
        memory = state["memory"]
        state["memory"] = {name: [part.to(device) for part in memory[name]] for name in ("keys", "values")}
        state["memory"] |= {name: memory[name].to(device) for name in ("ages", "recent")}
    return state

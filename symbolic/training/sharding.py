"""A model spread over processes (FSDP2), for weights and optimizer states that do not fit one device.

Each process keeps a slice of every weight, gradient and optimizer state; a block's weights are gathered when it is their turn and let
go afterwards. The batch is split as in data-parallel training, and the arithmetic is the same.
Source: Zhao et al., "PyTorch FSDP" (2023); `torch.distributed.fsdp.fully_shard`. accelerate's own way to it is for GPUs alone.
"""

import warnings
from typing import Any, cast

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from symbolic.models.configuration import TransformerXLConfig
from symbolic.models.transformer_xl import TransformerXL


def shard(model: TransformerXL, device: torch.device) -> TransformerXL:
    """The model on `device`, in place, with this process's slices in the place of its weights. Every process must call this."""
    # what a step remembers are views, which nobody changes in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    model.to(device)  # type: ignore[arg-type]  # the stub of `to` lost self
    for block in model.layers():
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def gathered(model: TransformerXL) -> TransformerXL | None:
    """A whole copy on the CPU in the main process, None in the others. Every process must call this."""
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if torch.distributed.get_rank():
        return None
    with torch.random.fork_rng(devices=[]):
        whole = TransformerXL(cast("TransformerXLConfig", model.config))
    whole.load_state_dict(weights)
    return whole


def local_parts(state: Any) -> Any:
    """An optimizer's state with plain tensors: of sharded ones what this process holds."""
    if isinstance(state, dict):
        return {key: local_parts(value) for key, value in state.items()}
    if isinstance(state, list):
        return [local_parts(value) for value in state]
    return state.to_local() if isinstance(state, DTensor) else state


def with_shards(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The other way round: what was `local_parts` in this process becomes sharded as the weights of `optimizer` are."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    restored = {
        place: {name: _like(value, weights[place]) if torch.is_tensor(value) and value.ndim else value for name, value in of_weight.items()}
        for place, of_weight in state["state"].items()
    }
    return state | {"state": restored}


def _like(part: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if not isinstance(weight, DTensor):
        return part
    return DTensor.from_local(
        part.to(weight.device), weight.device_mesh, weight.placements, run_check=False, shape=weight.shape, stride=weight.stride()
    )

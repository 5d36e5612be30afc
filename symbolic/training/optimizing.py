"""Which optimizer moves which weight."""

import itertools
from collections.abc import Callable
from typing import Any

import torch

from symbolic.models.transformer_xl import TransformerXL
from symbolic.training.settings import TrainingSettings

BETAS = (0.9, 0.95)


def make_optimizer(model: TransformerXL, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest; learning rates begin at 0.

    Weight decay is for matrices; none for tables, norms and biases.
    """
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and id(p) not in tables and not n.endswith("_bias")]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    if settings.optimizer == "adamw":
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)
    # steps as large as AdamW's, so that one learning rate serves both (Liu et al., "Muon is Scalable for LLM Training", 2025)
    muon = torch.optim.Muon(matrices, lr=0.0, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw")
    return Together(muon, torch.optim.AdamW(others, lr=0.0, betas=BETAS, weight_decay=0.0, fused=True))


def learning_rate(settings: Any, step: int) -> float:
    """Of the step that comes after `step` steps: a rise, a plateau, a straight fall to 0."""
    decay = max(1, round(settings.steps * settings.decay_share))
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup_steps), (settings.steps - step) / decay)


class Together(torch.optim.Optimizer):
    """Several optimizers, each with weights of its own, as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.param_groups = [group for part in parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """A step of each."""
        assert closure is None
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all, the weights numbered through."""
        merged: dict[str, Any] = {"state": {}, "param_groups": []}
        for first, part in zip(self._firsts(), self.parts, strict=True):
            own = part.state_dict()
            merged["state"] |= {first + number: state for number, state in own["state"].items()}
            merged["param_groups"] += [group | {"params": [first + number for number in group["params"]]} for group in own["param_groups"]]
        return merged

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        groups = list(state_dict["param_groups"])
        for first, part in zip(self._firsts(), self.parts, strict=True):
            mine = [groups.pop(0) for _ in part.param_groups]
            numbers = [number for group in mine for number in group["params"]]
            state = {number - first: state_dict["state"][number] for number in numbers if number in state_dict["state"]}
            part.load_state_dict(
                {"state": state, "param_groups": [group | {"params": [number - first for number in group["params"]]} for group in mine]}
            )
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def _firsts(self) -> list[int]:
        """The number of each part's first weight."""
        counts = [sum(len(group["params"]) for group in part.param_groups) for part in self.parts]
        return list(itertools.accumulate(counts, initial=0))[:-1]

"""A training run of a small network into a folder: steps, held-out figures, the best weights, checkpoints, Ctrl-C.

OUTPUT/…             what `write` writes of the best weights so far: an average over the last steps
OUTPUT/training/     settings.yaml, metrics.jsonl, last/ (to go on from)

What a step sees depends on its number only, so that on a processor a resumed run equals one never stopped, bit for bit.
"""

import contextlib
import copy
import math
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.training.checkpoint import whole_or_gone
from symbolic.training.folder_run import FolderRun
from symbolic.training.log import RunLog
from symbolic.training.optimizing import learning_rate


class RunSettings(Protocol):
    """What every such run can be told."""

    steps: int
    learning_rate: float
    warmup_steps: int
    decay_share: float
    gradient_clip: float
    average: float
    precision: str
    evaluate_every: int
    checkpoint_every: int
    random_seed: int


def check_run_settings(settings: RunSettings) -> None:
    """Raise `InputError` for values that cannot be."""
    for name in ("steps", "evaluate_every", "checkpoint_every"):
        if getattr(settings, name) < 1:
            raise InputError(f"training setting {name} is {getattr(settings, name)}; at least 1 is needed")
    for name in ("decay_share", "average"):
        if not 0 <= getattr(settings, name) <= 1:
            raise InputError(f"training setting {name} is {getattr(settings, name)}; 0 to 1 is needed")
    if not 0 < settings.learning_rate < 1:
        raise InputError(f"training setting learning_rate is {settings.learning_rate}; a number between 0 and 1 is needed")
    if settings.precision not in ("auto", "float32", "bf16"):
        raise InputError(f"precision is {settings.precision!r}; choose auto, float32 or bf16")


class AveragedRun(FolderRun):
    """One run. `figure` is the held-out figure that is to become small."""

    figure: str

    def __init__(self, model: nn.Module, where: str, source: list[float], output: Path, settings: RunSettings, resume: bool) -> None:
        super().__init__(model, where, source, output, settings, self.figure)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        if resume:
            self.averaged.load_state_dict(self.load()["averaged"])

    @abstractmethod
    def losses(self) -> dict[str, Tensor]:
        """The losses of step `self.step`, the one to be told first; their sum is learned from."""

    @abstractmethod
    def held_out(self) -> dict[str, float]:
        """Figures of the averaged weights, `figure` among them."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """The averaged weights, as files that are of use alone, config.json among them."""

    def course(self) -> dict[str, Any]:
        """Facts that every run has: `steps`, `training_seconds`, the best `held_out` figures with their `step`, `figure` also as `loss`."""
        best = {name: round(value, 4) for name, value in self.best.items()} if self.best["step"] else {}
        loss = {"loss": best[self.figure]} if best else {}
        return {"steps": self.step, "training_seconds": round(self.seconds, 1), "held_out": loss | best,
                "parameters": sum(part.numel() for part in self.model.parameters())}  # fmt: skip

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Where `precision` says so, or the hardware is made for it, bfloat16."""
        wanted = self.settings.precision
        if wanted == "auto":
            cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
            wanted = "bf16" if (torch.cuda.is_bf16_supported() if self.device.type == "cuda" else cpu) else "float32"
        return torch.autocast(self.device.type, torch.bfloat16) if wanted == "bf16" else contextlib.nullcontext()

    def train(self, log: RunLog) -> None:
        """The steps, up to the last or until `interrupted`."""
        s, stopped = self.settings, False
        with tqdm(total=s.steps, initial=self.step, desc="train", unit="step", disable=None) as bar:
            while self.step < s.steps and not stopped:
                clock = time.perf_counter()
                told = self._one_step()
                self.seconds += time.perf_counter() - clock
                if not all(math.isfinite(value) for value in told.values()):
                    raise InputError(
                        f"{self.output}: the loss is {next(iter(told.values()))} at step {self.step}; go on with --resume and a lower "
                        f"learning_rate (now {s.learning_rate}) in training/settings.yaml"
                    )
                stopped, ends = self.interrupted, self.step == s.steps
                bar.update()
                if self.step % 10 == 0 or ends:
                    bar.set_postfix_str(f"{next(iter(told.values())):.3f}, held-out {self.figure} {self.best[self.figure]:.3f}")
                    log.write(self.step, **told)
                if ends or self.step % s.evaluate_every == 0:
                    self._evaluate(log)
                if ends or stopped or self.step % s.checkpoint_every == 0:
                    self.save(averaged=self.averaged.state_dict())
        if stopped and not ends:
            raise InputError(f"stopped at step {self.step} and saved; go on with {self.again()}")

    def _one_step(self) -> dict[str, float]:
        s = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(s, self.step)
        losses = self.losses()
        torch.stack(list(losses.values())).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        share = 1 - min(s.average, self.step / (self.step + 10))  # the first steps are forgotten soon
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), share)
        for kept, value in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            kept.lerp_(value, share)  # means and variances of what the weights give go along with them
        return {name: float(value.detach()) for name, value in losses.items()} | {"gradient_norm": float(norm)}

    def _evaluate(self, log: RunLog) -> None:
        figures = self.held_out()
        log.write(self.step, held_out=figures)
        if figures[self.figure] < self.best[self.figure]:
            self.best = figures | {"step": self.step}
            partial = self.folder / "best-partial"
            with whole_or_gone(partial):
                partial.mkdir()
                self.write(partial)
                for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):  # the weights first
                    path.replace(self.output / path.name)
                partial.rmdir()

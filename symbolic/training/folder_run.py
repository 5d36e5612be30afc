"""A training run into a folder of its own: begun or resumed, Ctrl-C, the rate of a step, checkpoints.

OUTPUT/              what the run makes
OUTPUT/training/     settings.yaml, metrics.jsonl, last/ (to go on from)
"""

import contextlib
import math
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import nn
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.settings import load_settings, to_mapping
from symbolic.training.checkpoint import swap_in, whole_or_gone
from symbolic.training.log import RunLog

Settings = TypeVar("Settings")


def settings_of_run(
    kind: type[Settings], output: Path, settings: Settings | str | Path | None, resume: bool, made: str = "a trained model"
) -> Settings:
    """Settings that are complete, or a YAML file's; of a resumed run those it had. `made` is what a run makes.

    Raises `InputError` when the run cannot begin so.
    """
    training = output / "training"
    if output.is_file():
        raise InputError(f"{output}: this is a file, a folder is wanted; choose another -o")
    if resume:
        if not (training / "last" / "training.pt").is_file():
            raise InputError(f"{output}: no training to go on with in it (training/last is missing); start without --resume")
        return settings if isinstance(settings, kind) else load_settings(kind, settings or training / "settings.yaml")  # type: ignore[arg-type]
    if (output / "config.json").exists() or (training / "last").exists():
        raise InputError(f"{output}: {made} is in this folder already; go on with --resume, or choose another -o")
    return settings if isinstance(settings, kind) else load_settings(kind, settings)  # type: ignore[arg-type]


@contextlib.contextmanager
def examining(progress: Callable[[int, int], None] | None) -> Iterator[Callable[[int, int], None]]:
    """What to tell how many files of how many are examined: `progress`, or where there is none a bar on a terminal."""
    with tqdm(desc="recordings", unit="file", disable=True if progress else None, leave=False) as bar:

        def tell(done: int, files: int) -> None:
            bar.total = files
            bar.update(done - bar.n)

        yield progress or tell


class FolderRun(ABC):
    """One run of `model`, which stands after `step` steps that took `seconds`; `best` are its best held-out figures, with their step.

    `source` fingerprints what is learned from, `where` is how messages name that. A subclass makes `optimizer`.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, model: nn.Module, where: str, source: Any, output: Path, settings: Any, figure: str) -> None:
        self.where, self.source, self.output, self.settings, self.folder = where, source, output, settings, output / "training"
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, Any] = {figure: math.inf, "step": 0}
        self.interrupted = False

    @abstractmethod
    def train(self, log: RunLog) -> None:
        """The steps, up to the last or until `interrupted`."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What is known of the model, plain."""

    def again(self) -> str:
        """How a person goes on with the run."""
        return "--resume"

    def go(self) -> dict[str, Any]:
        """Run to the last step; gives the facts. The first Ctrl-C ends the run after a step, the second one at once."""
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
            with RunLog(self.folder, self.step) as log:
                self.train(log)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.output}: cannot be written at step {self.step} ({reason}); make room and go on with {self.again()}"
            ) from error
        finally:
            signal.signal(signal.SIGINT, before)
        return self.facts()

    def save(self, **more: Any) -> None:
        """Keep a checkpoint in last/, whole or not at all."""
        state = {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds,
            "best": self.best, "source": self.source,
        }  # fmt: skip
        partial = self.folder / "last-partial"
        with whole_or_gone(partial):
            partial.mkdir()
            with (partial / "training.pt").open("wb") as stream:
                torch.save(state | more, stream)
            swap_in(partial, self.folder / "last")

    def load(self) -> dict[str, Any]:
        """Go on from the checkpoint in last/; gives all of it. Raises `InputError` when it is damaged, or of another source or shape."""
        path = self.folder / "last" / "training.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for damaged files
            raise InputError(f"{path}: the checkpoint is damaged ({type(error).__name__}); start again with another -o") from error
        if state["source"] != self.source:
            raise InputError(f"{self.where}: not the recordings this training began with; give those, or start again with another -o")
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise InputError(f"{path}: of another shape than the settings say; resume without --settings") from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        return state

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if sys.stderr.isatty():
            print("\nstopping after this step and saving; Ctrl-C again stops at once", file=sys.stderr)

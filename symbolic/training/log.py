"""What a run writes down as it goes: metrics.jsonl, a JSON object a line; the same in RUN/tensorboard where tensorboard is installed."""

import importlib.util
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from symbolic.files import new_file


class RunLog:
    """The log of a run in `folder` from `step` on; lines of later steps, which are done again, are dropped. A context manager."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / "metrics.jsonl"
        _keep_lines(path, step)
        self.stream = path.open("a")
        self.board: Any = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stream.close()
        if self.board is not None:
            self.board.close()

    def write(self, step: int, **values: Any) -> None:
        """One line; a mapping among the values becomes a group of curves."""
        self.stream.write(json.dumps({"step": step, **values}) + "\n")
        self.stream.flush()
        if self.board is None:
            return
        for name, value in values.items():
            for part, number in value.items() if isinstance(value, dict) else (("", value),):
                self.board.add_scalar(f"{name}/{part}" if part else f"training/{name}", number, step)
        self.board.flush()


def _keep_lines(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint, and a line it left half written."""
    before = path.read_text() if path.exists() else ""
    kept = []
    for line in before.splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            continue
    if "".join(kept) != before:
        with new_file(path, force=True) as temporary:
            temporary.write_text("".join(kept))

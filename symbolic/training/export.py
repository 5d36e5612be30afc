"""A trained model made ready to ship: half precision, no training state.

    python -m symbolic.training.export RUN_OR_MODEL FOLDER

The card (README.md) is written by hand beside it.
"""

import sys
from pathlib import Path

from symbolic.generation.bundle import model_folder
from symbolic.models.transformer_xl import load_weights
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.training.checkpoint import save_model


def export_model(source: str | Path, folder: str | Path) -> None:
    """Write the model of a run (its `last`, the end of the schedule) or of a model folder into `folder`, in float16."""
    source = Path(source)
    chosen = source / "last" if (source / "last").is_dir() else model_folder(source)
    save_model(Path(folder), load_weights(chosen).half(), RemiTokenizer.load(chosen))


if __name__ == "__main__":
    export_model(*sys.argv[1:3])

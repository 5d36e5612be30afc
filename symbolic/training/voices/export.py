"""A trained voice made ready to ship: half precision, no training state, and the figures of these very weights.

    python -m symbolic.training.voices.export VOICE FOLDER

VOICE is a folder made by `symbolic voice train`, with its `training/recordings`. The card (README.md) is written by hand beside it.
"""

import sys
from pathlib import Path

from symbolic.corpus.recordings.store import Recordings
from symbolic.models.voices.voice import load_autoencoder, save_voice
from symbolic.training.voices.evaluation import all_figures, heard_of, rounded
from symbolic.training.voices.loss import word


def export_voice(source: str | Path, folder: str | Path) -> dict[str, object]:
    """Write the voice in `source` into `folder` in float16, named after it; gives its facts. Raises `InputError` when it is none."""
    source, folder = Path(source), Path(folder)
    voice, facts = load_autoencoder(source)
    save_voice(folder, voice, facts, half=True)
    voice, _ = load_autoencoder(folder)
    recordings = Recordings(source / "training" / "recordings")
    figures = all_figures(voice, recordings, heard_of(recordings))
    facts |= {"name": folder.name, "held_out": rounded(figures) | {"step": facts["held_out"]["step"]}, "word": word(figures["loss"])}
    save_voice(folder, voice, facts, half=True)
    return facts


if __name__ == "__main__":
    print(export_voice(*sys.argv[1:3])["held_out"])

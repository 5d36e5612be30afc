"""WaveNets and SampleRNNs by name or folder: those that come with the package, and anybody's own. None needs a network.

PACKAGE/pretrained/KIND/NAME/    config.json, model.safetensors rounded to bfloat16, voice.json, README.md (the card)

KIND is "wavenet" or "sample-rnn".

A name wins over a folder of the same name: `flute` is the bundled voice, `./flute` or a `Path` the folder here.
"""

from importlib import resources
from pathlib import Path

from symbolic.errors import InputError

WEIGHTS = "model.safetensors"
KINDS = {"wavenet": "WaveNet", "sample-rnn": "SampleRNN"}
SEVERAL = "four"
"""The bundled network that learned several instruments, for blending."""


def bundled_wavenets(kind: str = "wavenet") -> list[str]:
    """Names of the voices of a kind that come with the package, in alphabetical order."""
    bundle = _bundle(kind)
    return sorted(entry.name for entry in bundle.iterdir() if (entry / WEIGHTS).is_file()) if bundle.is_dir() else []


def wavenet_folder(name_or_folder: str | Path, kind: str = "wavenet") -> Path:
    """The folder of a bundled voice's name, or of a path. Raises `InputError`, one line, that lists the choices."""
    names = bundled_wavenets(kind)
    if isinstance(name_or_folder, str) and name_or_folder in names:
        return _bundle(kind) / name_or_folder
    folder = Path(name_or_folder)
    if (folder / "config.json").is_file():
        return folder
    choices = f"bundled are {', '.join(names)}" if names else f"none is bundled; make one with symbolic voice train --kind {kind}"
    raise InputError(f"{name_or_folder}: no bundled {KINDS[kind]} of this name and no folder of one; {choices}")


def _bundle(kind: str) -> Path:
    return Path(str(resources.files("symbolic.pretrained"))) / kind

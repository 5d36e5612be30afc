"""WaveNets by name or folder: those that come with the package, and anybody's own. None needs a network.

PACKAGE/pretrained/wavenet/NAME/    config.json, model.safetensors rounded to bfloat16, voice.json, README.md (the card)

A name wins over a folder of the same name: `flute` is the bundled voice, `./flute` or a `Path` the folder here.
"""

from importlib import resources
from pathlib import Path

from symbolic.errors import InputError

WEIGHTS = "model.safetensors"
SEVERAL = "four"
"""The bundled network that learned several instruments, for blending."""


def bundled_wavenets() -> list[str]:
    """Names of the voices that come with the package, in alphabetical order."""
    return sorted(entry.name for entry in _bundle().iterdir() if (entry / WEIGHTS).is_file()) if _bundle().is_dir() else []


def wavenet_folder(name_or_folder: str | Path) -> Path:
    """The folder of a bundled voice's name, or of a path. Raises `InputError`, one line, that lists the choices."""
    names = bundled_wavenets()
    if isinstance(name_or_folder, str) and name_or_folder in names:
        return _bundle() / name_or_folder
    folder = Path(name_or_folder)
    if (folder / "config.json").is_file():
        return folder
    choices = f"bundled are {', '.join(names)}" if names else "none is bundled; make one with symbolic voice train --kind wavenet"
    raise InputError(f"{name_or_folder}: no bundled WaveNet of this name and no folder of one; {choices}")


def _bundle() -> Path:
    return Path(str(resources.files("symbolic.pretrained"))) / "wavenet"

"""Voices by name or folder: those that come with the package, and anybody's own. None needs a network.

PACKAGE/pretrained/voices/NAME/    config.json, voice.safetensors (or struck., drums.safetensors) in float16, README.md (the card)

A name wins over a folder of the same name: `violin` is the bundled voice, `./violin` or a `Path` the folder here.
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symbolic.errors import InputError

if TYPE_CHECKING:
    from symbolic.models.voices.decoder import VoiceDecoder

WEIGHTS, TABLE, KIT = "voice.safetensors", "struck.safetensors", "drums.safetensors"


def bundled_voices() -> list[str]:
    """Names of the voices that come with the package and sing (pitch and loudness in, sound out), in alphabetical order."""
    return _names(WEIGHTS)


def bundled_struck() -> list[str]:
    """Names of the struck voices that come with the package: pianos, guitars, basses, harps, bells, organs, a choir."""
    return _names(TABLE)


def bundled_kits() -> list[str]:
    """Names of the drum kits that come with the package."""
    return _names(KIT)


def voice_folder(name_or_folder: str | Path) -> Path:
    """The folder of a bundled voice's name, or of a path. Raises `InputError`, one line, that lists the choices."""
    names = bundled_voices() + bundled_struck() + bundled_kits()
    if isinstance(name_or_folder, str) and name_or_folder in names:
        return _bundle() / name_or_folder
    folder = Path(name_or_folder)
    if (folder / "config.json").is_file():
        return folder
    choices = f"bundled are {', '.join(names)}" if names else "none is bundled"
    raise InputError(f"{name_or_folder}: no bundled voice of this name and no folder of a voice; {choices}")


def load_voice(name_or_folder: str | Path) -> "tuple[VoiceDecoder, dict[str, Any]]":
    """The decoder, ready to play, and the facts of a bundled voice (by name) or of one made by `symbolic voice train` (by folder).

    Play it with `symbolic.models.voices.voice.play` or block by block with a `VoicePlayer`; `decoder.config` tells sample rate, hop,
    compass and loudness. Raises `InputError`, one line, when there is none, it is damaged, or of another version.
    """
    from symbolic.models.voices.voice import load_decoder  # torch is not needed to know which voices there are

    return load_decoder(voice_folder(name_or_folder))


def _names(file: str) -> list[str]:
    return sorted(entry.name for entry in _bundle().iterdir() if (entry / file).is_file()) if _bundle().is_dir() else []


def _bundle() -> Path:
    return Path(str(resources.files("symbolic.pretrained"))) / "voices"

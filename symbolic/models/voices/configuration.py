"""What a voice is made of, checked, and written beside its weights as config.json.

A frame is `hop` samples; the network looks at `stride` frames at once. `partials` and `noise_bands` are what it says of each frame.
The compass and the loudness are those of the recordings, for whoever plays the voice.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symbolic.errors import InputError
from symbolic.settings import from_mapping, to_mapping

VERSION = 2
WITHOUT_CODE = 1  # the version before: voices without a timbre code, read as such


@dataclass
class VoiceConfig:
    """The shape of a voice."""

    sample_rate: int = 48000
    hop: int = 192  # samples: 250 frames a second
    stride: int = 2  # frames to a step of the network
    partials: int = 100
    noise_bands: int = 193  # evenly from 0 to half the sample rate
    envelope_points: int = 48  # of the resonance curve over frequency
    width: int = 128  # of each input's layers
    memory: int = 192  # of the GRU
    code: int = 48  # numbers of the timbre code; 0 for none
    lowest_pitch: float = 27.5  # hertz, in the recordings
    highest_pitch: float = 4186.0
    loudness_quantiles: tuple[float, ...] = ()  # decibels at 0, 5, … 100 % of the sounding frames

    def __post_init__(self) -> None:
        positive = ("sample_rate", "hop", "stride", "partials", "envelope_points", "width", "memory")
        for name in positive:
            if getattr(self, name) < 1:
                raise InputError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.code < 0:
            raise InputError(f"code ({self.code}) must be 0 or more")
        if self.noise_bands < 2 or self.envelope_points < 2:
            raise InputError(f"noise_bands ({self.noise_bands}) and envelope_points ({self.envelope_points}) must be at least 2")
        if not 0 < self.lowest_pitch <= self.highest_pitch < self.sample_rate / 2:
            raise InputError(
                f"lowest_pitch ({self.lowest_pitch}) and highest_pitch ({self.highest_pitch}) must rise, within 0 … half the rate"
            )


def write_config(path: Path, config: VoiceConfig, facts: dict[str, Any]) -> None:
    """config.json: version, kind, shape, and facts about how the voice was made."""
    path.write_text(json.dumps({"kind": "ddsp", "version": VERSION, "voice": to_mapping(config), "facts": facts}, indent=2) + "\n")


def read_config(path: Path) -> tuple[VoiceConfig, dict[str, Any]]:
    """Shape and facts. Raises `InputError`, one line, for what is no config of a voice, or one of another version or kind."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path.parent}: no voice in this folder ({path.name}: {error.strerror}); make one with symbolic voice train"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); copy the voice again, or train it again") from error
    if not isinstance(content, dict) or "voice" not in content:
        raise InputError(f"{path}: this is no voice's configuration; a folder made by symbolic voice train is wanted")
    if content.get("kind") != "ddsp":
        raise InputError(f"{path}: a voice of kind {content.get('kind')!r}; this is read as kind 'ddsp' only")
    if content.get("version") == WITHOUT_CODE and isinstance(content["voice"], dict):
        content["voice"] = {**content["voice"], "code": 0}
    elif content.get("version") != VERSION:
        raise InputError(f"{path}: a voice of version {content.get('version')}, this program reads version {VERSION}; train it again")
    return from_mapping(VoiceConfig, content["voice"], str(path)), content.get("facts", {})


def with_compass(config: VoiceConfig, lowest: float, highest: float, quantiles: tuple[float, ...]) -> VoiceConfig:
    """The same for these recordings."""
    return dataclasses.replace(config, lowest_pitch=lowest, highest_pitch=highest, loudness_quantiles=quantiles)


def table_config(path: Path, kind: str, versions: tuple[int, ...], what: str) -> dict[str, Any]:
    """The config.json of a measured voice. Raises `InputError`, one line, for another kind or version; `what` names it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no {what} that can be read ({error})") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise InputError(f"{path}: it is not of the kind {kind!r}")
    if content.get("version") not in versions:
        known = " and ".join(map(str, versions))
        raise InputError(f"{path}: version {content.get('version')!r}; this program reads version {known}, another release made it")
    return content

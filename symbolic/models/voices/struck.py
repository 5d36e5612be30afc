"""A struck voice: what the partials and the noise of a struck or plucked instrument do after the stroke, as a table.

VOICE/config.json          kind, version, how many partials
VOICE/struck.safetensors   the table in half precision
VOICE/voice.json           what is known of the voice

Between notes and velocities of the table levels are on straight lines in decibels, partial by partial; beyond its ends they are those of
the end. After its last moment everything falls on as it fell before.

Shapes: N pitches, V velocities, P partials, M noise bands, T moments after the stroke.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from symbolic.errors import InputError
from symbolic.models.voices.bundled import TABLE

KIND, VERSION = "symbolic-struck", 1
SLOWEST, FASTEST = 1.5, 200.0  # dB a second by which a partial falls on after the last moment


@dataclass(frozen=True)
class StruckNote:
    """One note: decibels at the moments `times` (T,) of partials (P, T) and of bands of noise (M, T), and the stiffness B."""

    times: np.ndarray
    partials: np.ndarray
    noise: np.ndarray
    stiffness: float

    def partials_at(self, seconds: np.ndarray) -> np.ndarray:
        """Decibels (F, P) at seconds (F,) after the stroke."""
        return _at(self.times, self.partials, seconds)

    def noise_at(self, seconds: np.ndarray) -> np.ndarray:
        """Decibels (F, M)."""
        return _at(self.times, self.noise, seconds)


@dataclass(frozen=True, eq=False)
class StruckVoice:
    """The table: pitches (N,) as MIDI numbers, velocities (V,), times (T,) seconds, stiffness (N,), centres (M,) in hertz,
    partials (N, V, P, T) and noise (N, V, M, T) in decibels, float32."""

    pitches: np.ndarray
    velocities: np.ndarray
    times: np.ndarray
    stiffness: np.ndarray
    centres: np.ndarray
    partials: np.ndarray
    noise: np.ndarray

    def note(self, pitch: float, velocity: float) -> StruckNote:
        """What a note of a MIDI pitch and a velocity 1 … 127 is like."""
        low, high, share = _between(self.pitches, pitch)
        soft, loud, force = _between(self.velocities, velocity)
        weights = [((low, soft), (1 - share) * (1 - force)), ((low, loud), (1 - share) * force),
                   ((high, soft), share * (1 - force)), ((high, loud), share * force)]  # fmt: skip
        partials, noise = (sum(table[place] * weight for place, weight in weights) for table in (self.partials, self.noise))
        stiffness = np.exp((1 - share) * np.log(self.stiffness[low] + 1e-9) + share * np.log(self.stiffness[high] + 1e-9))
        return StruckNote(self.times, np.asarray(partials), np.asarray(noise), float(stiffness))


def save_struck(folder: Path, voice: StruckVoice, facts: dict[str, Any], sample_rate: float) -> None:
    """Write a voice into a folder, made if it is not there; `sample_rate` is that of the recordings measured."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tables = {field.name: np.ascontiguousarray(getattr(voice, field.name)) for field in fields(voice)}
    half = {name: table.astype(np.float16 if table.ndim > 1 else np.float32) for name, table in tables.items()}
    save_file(half, folder / TABLE)
    (folder / "voice.json").write_text(json.dumps(facts, indent=2) + "\n")
    config = {"kind": KIND, "version": VERSION, "partials": voice.partials.shape[2], "sample_rate": round(sample_rate)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / TABLE).chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_struck(folder: str | Path) -> StruckVoice:
    """The voice in a folder. Raises `InputError`, one line, when there is none, it is damaged, or of another version."""
    from safetensors.numpy import load_file

    path = Path(folder) / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no voice that can be read ({error})") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(f"{path}: it is not of the kind {KIND!r}")
    if content.get("version") != VERSION:
        raise InputError(f"{path}: version {content.get('version')!r}; this program reads version {VERSION}, another release made it")
    try:
        tables = load_file(path.with_name(TABLE))
        voice = StruckVoice(**{name: table.astype(np.float32) for name, table in tables.items()})
        shape = (len(voice.pitches), len(voice.velocities))
        whole = voice.partials.shape[:2] == voice.noise.shape[:2] == shape and all(np.isfinite(table).all() for table in tables.values())
    except Exception as error:  # safetensors raises types of its own
        raise InputError(f"{path.with_name(TABLE)}: cannot be read ({type(error).__name__}: {error}); is the file whole?") from error
    if not whole or not min(shape):
        raise InputError(f"{path.with_name(TABLE)}: its tables do not fit together; is the file damaged?")
    return voice


def _between(places: np.ndarray, value: float) -> tuple[int, int, float]:
    """The neighbours of a value among sorted places, and the share of the upper one."""
    high = int(np.clip(np.searchsorted(places, value), 1, max(1, len(places) - 1)))
    low = high - 1
    high = min(high, len(places) - 1)
    span = float(places[high] - places[low])
    return low, high, float(np.clip((value - places[low]) / span, 0, 1)) if span else 0.0


def _at(times: np.ndarray, levels: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Levels (K, T) on straight lines at seconds (F,): (F, K) float32."""
    place = np.clip(np.searchsorted(times, seconds), 1, len(times) - 1)
    share = np.clip((seconds - times[place - 1]) / (times[place] - times[place - 1]), 0, 1).astype(np.float32)
    result = levels.T[place - 1] * (1 - share)[:, None] + levels.T[place] * share[:, None]
    if len(seconds) and seconds[-1] > times[-1]:
        fall = np.clip((levels[:, -2] - levels[:, -1]) / (times[-1] - times[-2]), SLOWEST, FASTEST).astype(np.float32)
        result = result - np.maximum(seconds - times[-1], 0).astype(np.float32)[:, None] * fall
    return np.asarray(result, np.float32)

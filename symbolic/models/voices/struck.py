"""A struck voice: what the partials and the noise of a struck or plucked instrument do after the stroke, as a table.

VOICE/config.json          kind, version, how many partials; whether it sustains, and its release
VOICE/struck.safetensors   the table in half precision
VOICE/voice.json           what is known of the voice

The partials are those of a stiff string, or free modes as bars, bells and skins have them: then the table holds their ratios to the pitch.
Between notes and velocities of the table levels are on straight lines in decibels, partial by partial; beyond its ends they are those of
the end. A note between two pitches has the modes of the nearer one; where the other has such a mode too, both count by their nearness.
After its last moment everything falls on as it fell before, or stays, where the voice sustains (an organ, a choir), until the key is up.
The levels of an instrument with several strings to a key are without their beats; what makes these is told beside them.

Shapes: N pitches, V velocities, P partials, M noise bands, T moments after the stroke.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from symbolic.dsp.decaying_partials import stiff_partials
from symbolic.errors import InputError
from symbolic.models.voices.bundled import TABLE
from symbolic.models.voices.configuration import table_config

KIND = "symbolic-struck"
# Versions of files: of strings that ring, which earlier releases read too; of free modes and what sustains; of coupled strings and dampers.
STRINGS, MODES, VERSION = 1, 2, 3
NOWHERE = 1e6  # ratio of a mode that is not there
SAME_MODE = 0.02  # how far apart, relatively, two modes of neighbouring pitches are one
SLOWEST, FASTEST = 1.5, 200.0  # dB a second by which a partial falls on after the last moment


@dataclass(frozen=True)
class StruckNote:
    """One note: decibels at the moments `times` (T,) of partials (P, T) and of bands of noise (M, T); the stiffness B, or the rising
    ratios (P,) of free modes to the pitch; whether it stays as it is after the last moment; the `strings` (P, S, 4) that make its partials
    beat, as `coupled_strings` tells them."""

    times: np.ndarray
    partials: np.ndarray
    noise: np.ndarray
    stiffness: float = 0.0
    ratios: np.ndarray | None = None
    sustained: bool = False
    strings: np.ndarray | None = None

    def hertz(self, frequency: float, highest: float, most: int) -> np.ndarray:
        """Hertz of the first partials, those below `highest`, at most `most`, of a note of a frequency: a string's first one has it."""
        if self.ratios is None:
            lowest = frequency / float(np.sqrt(1 + self.stiffness))
            return stiff_partials(lowest, self.stiffness, highest, min(most, len(self.partials)))
        hertz = frequency * self.ratios.astype(np.float64)[:most]
        return hertz[hertz < highest]

    def partials_at(self, seconds: np.ndarray) -> np.ndarray:
        """Decibels (F, P) at seconds (F,) after the stroke."""
        return _at(self.times, self.partials, seconds, self.sustained)

    def noise_at(self, seconds: np.ndarray) -> np.ndarray:
        """Decibels (F, M)."""
        return _at(self.times, self.noise, seconds, self.sustained)


@dataclass(frozen=True, eq=False)
class StruckVoice:
    """The table: pitches (N,) as MIDI numbers, velocities (V,), times (T,) seconds, stiffness (N,), centres (M,) in hertz,
    partials (N, V, P, T) and noise (N, V, M, T) in decibels, float32; ratios (N, P) of free modes, rising, or None for a string's.
    strings (N, P, S, 4) make partials beat, those of a note are the ones of the nearest pitch; dampers (D, 2), rising, are pitches and the
    seconds in which a string falls by 60 dB under its damper. Both are None where they are not known.

    `sustained` voices stay as they are while the key is down and then fall by 60 dB in `release` seconds, where it is known."""

    pitches: np.ndarray
    velocities: np.ndarray
    times: np.ndarray
    stiffness: np.ndarray
    centres: np.ndarray
    partials: np.ndarray
    noise: np.ndarray
    ratios: np.ndarray | None = None
    sustained: bool = False
    release: float | None = None
    strings: np.ndarray | None = None
    dampers: np.ndarray | None = None

    def note(self, pitch: float, velocity: float) -> StruckNote:
        """What a note of a MIDI pitch and a velocity 1 … 127 is like."""
        low, high, share = _between(self.pitches, pitch)
        noise = _mixed(self._layers(self.noise, low, velocity), self._layers(self.noise, high, velocity), share)
        below, above = self._layers(self.partials, low, velocity), self._layers(self.partials, high, velocity)
        if self.ratios is not None:
            ratios, partials = _nearer_modes((self.ratios[low], self.ratios[high]), (below, above), share)
            return StruckNote(self.times, partials, noise, 0.0, ratios, self.sustained)
        stiffness = np.exp((1 - share) * np.log(self.stiffness[low] + 1e-9) + share * np.log(self.stiffness[high] + 1e-9))
        strings = None if self.strings is None else self.strings[high if share > 0.5 else low]
        return StruckNote(self.times, _mixed(below, above, share), noise, float(stiffness), None, self.sustained, strings)

    def damped(self, pitch: float) -> float | None:
        """Seconds in which a string of a MIDI pitch falls by 60 dB under its damper; infinite above the last damper, None if not known."""
        if self.dampers is None:
            return None
        if pitch > self.dampers[-1, 0]:
            return float("inf")
        return float(np.exp(np.interp(pitch, self.dampers[:, 0], np.log(self.dampers[:, 1]))))

    def _layers(self, table: np.ndarray, place: int, velocity: float) -> np.ndarray:
        """A table's (N, V, …) row of a pitch at a velocity."""
        soft, loud, force = _between(self.velocities, velocity)
        return _mixed(table[place, soft], table[place, loud], force)


def save_struck(folder: Path, voice: StruckVoice, facts: dict[str, Any], sample_rate: float) -> None:
    """Write a voice into a folder, made if it is not there; `sample_rate` is that of the recordings measured."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    held = {field.name: getattr(voice, field.name) for field in fields(voice)}
    tables = {name: np.ascontiguousarray(table) for name, table in held.items() if isinstance(table, np.ndarray)}
    half = {name: table.astype(np.float16 if table.ndim > 2 else np.float32) for name, table in tables.items()}
    save_file(half, folder / TABLE)
    (folder / "voice.json").write_text(json.dumps(facts, indent=2) + "\n")
    version = MODES if voice.sustained or voice.ratios is not None else STRINGS
    version = VERSION if voice.strings is not None or voice.dampers is not None else version
    config = {"kind": KIND, "version": version, "partials": voice.partials.shape[2], "sample_rate": round(sample_rate)}
    if voice.sustained:
        config |= {"sustained": True, "release": voice.release}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / TABLE).chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_struck(folder: str | Path) -> StruckVoice:
    """The voice in a folder. Raises `InputError`, one line, when there is none, it is damaged, or of another version."""
    from safetensors.numpy import load_file

    path = Path(folder) / "config.json"
    content = table_config(path, KIND, (STRINGS, MODES, VERSION), "voice")
    try:
        tables = load_file(path.with_name(TABLE))
        told: dict[str, Any] = {name: table.astype(np.float32) for name, table in tables.items()}
        voice = StruckVoice(**told, sustained=bool(content.get("sustained")), release=_release(content.get("release")))
        shape = (len(voice.pitches), len(voice.velocities))
        whole = voice.partials.shape[:2] == voice.noise.shape[:2] == shape and all(np.isfinite(table).all() for table in tables.values())
        whole = whole and (voice.ratios is None or voice.ratios.shape == (len(voice.pitches), voice.partials.shape[2]))
        whole = whole and (
            voice.strings is None or voice.strings.shape[:2] + voice.strings.shape[3:] == (len(voice.pitches), voice.partials.shape[2], 4)
        )
        whole = whole and (voice.dampers is None or (voice.dampers.shape[1:] == (2,) and bool((voice.dampers[:, 1] > 0).all())))
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


def _mixed(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(one * (1 - share) + other * share)


def _nearer_modes(
    ratios: tuple[np.ndarray, np.ndarray], levels: tuple[np.ndarray, np.ndarray], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rising ratios (P,) and levels (P, T) between two pitches: the modes of the nearer, drawn to those of the other that are the same."""
    near, share = (0, share) if share <= 0.5 else (1, 1 - share)
    logs = np.log(ratios[near]), np.log(ratios[1 - near])
    distance = np.abs(logs[0][:, None] - logs[1])
    partner = distance.argmin(1)
    own = np.arange(len(partner))
    same = (distance[own, partner] < SAME_MODE) & (distance.argmin(0)[partner] == own)
    weight = share * same
    merged = np.exp((1 - weight) * logs[0] + weight * logs[1][partner])
    mixed = (1 - weight)[:, None] * levels[near] + weight[:, None] * levels[1 - near][partner]
    order = np.argsort(merged, kind="stable")
    return merged[order].astype(np.float32), np.asarray(mixed[order], np.float32)


def _release(value: Any) -> float | None:
    """A release in seconds as config.json tells it. Raises `ValueError` for what is none."""
    if value is None:
        return None
    if not 0 < float(value) < 60:
        raise ValueError(f"a release of {value!r} seconds")
    return float(value)


def _at(times: np.ndarray, levels: np.ndarray, seconds: np.ndarray, sustained: bool) -> np.ndarray:
    """Levels (K, T) on straight lines at seconds (F,): (F, K) float32."""
    place = np.clip(np.searchsorted(times, seconds), 1, len(times) - 1)
    share = np.clip((seconds - times[place - 1]) / (times[place] - times[place - 1]), 0, 1).astype(np.float32)
    result = levels.T[place - 1] * (1 - share)[:, None] + levels.T[place] * share[:, None]
    if len(seconds) and seconds[-1] > times[-1] and not sustained:
        fall = np.clip((levels[:, -2] - levels[:, -1]) / (times[-1] - times[-2]), SLOWEST, FASTEST).astype(np.float32)
        result = result - np.maximum(seconds - times[-1], 0).astype(np.float32)[:, None] * fall
    return np.asarray(result, np.float32)

"""A drum kit measured from recordings: for every key and some velocities the modes, the noise and the transient of one hit.

VOICE/config.json          kind, version, how many hits, keys and modes
VOICE/drums.safetensors    the hits, mostly in half precision
VOICE/voice.json           what is known of the kit

A hit is the sum of modes (sinusoids that fall evenly), of noise whose bands have their levels at some moments, on straight lines in
decibels over the logarithm of time, and of a transient: what the modes leave of the first hundredth of a second, kept as it is. While
the transient fades the noise begins.

Shapes: H hits by key and velocity, M modes (a mode of 0 Hz is none), B bands, T moments, S samples at 48 kHz.
"""

import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from symbolic.errors import InputError
from symbolic.models.voices.bundled import KIT
from symbolic.models.voices.configuration import table_config

KIND, VERSION = "symbolic-drums", 1
SAMPLE_RATE = 48000
EXACT = ("keys", "velocities", "gains", "seconds", "hertz", "centres", "times")  # in single precision


@dataclass(frozen=True, eq=False)
class DrumKit:
    """The hits, all float32; the largest sample of a hit is about 1.

    keys and velocities (H,) in order, gains (H,) at velocity 127, seconds (H,) that they sound; hertz, rates (1 / s), cosines and sines
    (H, M) of modes, whose amplitude is cosine + i·sine; centres (B,) in hertz, times (T,) in seconds, and noise (H, B, T) in decibels, so
    that all bands at 0 make a root mean square of 1; flutter (H, E): decibels by which all bands leave these lines, every 4 ms;
    transients (H, S).
    """

    keys: np.ndarray
    velocities: np.ndarray
    gains: np.ndarray
    seconds: np.ndarray
    hertz: np.ndarray
    rates: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray
    centres: np.ndarray
    times: np.ndarray
    noise: np.ndarray
    flutter: np.ndarray
    transients: np.ndarray

    @cached_property
    def measured(self) -> frozenset[int]:
        """The General MIDI keys that have hits."""
        return frozenset(int(key) for key in self.keys)

    def hits(self, key: int, velocity: float) -> list[tuple[int, float]]:
        """Places and shares of the one or two hits that a key (in `measured`) at a velocity 1 … 127 is made of."""
        places = np.flatnonzero(self.keys == key)
        high = int(np.searchsorted(self.velocities[places], velocity))
        if high in (0, len(places)):
            return [(int(places[min(high, len(places) - 1)]), 1.0)]
        low, top = (float(self.velocities[places[place]]) for place in (high - 1, high))
        share = (velocity - low) / (top - low)
        pairs = ((int(places[high - 1]), 1 - share), (int(places[high]), share))
        return [(place, share) for place, share in pairs if share > 0]

    def over(self, base: "DrumKit") -> "DrumKit":
        """This kit, with the hits of `base` on the keys that it has not. Raises `ValueError` for kits of another shape."""
        shared = ("centres", "times")
        if any(not np.array_equal(getattr(self, name), getattr(base, name)) for name in shared):
            raise ValueError("kits whose noise has other bands or moments cannot be one")
        left = ~np.isin(base.keys, self.keys)
        order = np.argsort(np.concatenate([self.keys, base.keys[left]]), kind="stable")
        tables = {
            field.name: np.concatenate([getattr(self, field.name), getattr(base, field.name)[left]])[order]
            for field in fields(self)
            if field.name not in shared
        }
        return DrumKit(**tables, **{name: getattr(self, name) for name in shared})

    def noise_at(self, hit: int, seconds: np.ndarray) -> np.ndarray:
        """Decibels (F, B) of a hit's noise at seconds (F,) after the stroke."""
        place = np.log(np.maximum(seconds, self.times[0] / 2))
        return np.stack([np.interp(place, np.log(self.times), row) for row in self.noise[hit]], 1)


def save_kit(folder: Path, kit: DrumKit, facts: dict[str, Any]) -> None:
    """Write a kit into a folder, made if it is not there."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tables = {field.name: np.ascontiguousarray(getattr(kit, field.name)) for field in fields(kit)}
    save_file({name: table.astype(np.float32 if name in EXACT else np.float16) for name, table in tables.items()}, folder / KIT)
    (folder / "voice.json").write_text(json.dumps(facts, indent=2) + "\n")
    config = {
        "kind": KIND, "version": VERSION, "hits": len(kit.keys), "keys": len(kit.measured), "modes": kit.hertz.shape[1],
        "sample_rate": SAMPLE_RATE,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / KIT).chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_kit(folder: str | Path) -> DrumKit:
    """The kit in a folder. Raises `InputError`, one line, when there is none, it is damaged, or of another version."""
    from safetensors.numpy import load_file

    path = Path(folder) / "config.json"
    table_config(path, KIND, (VERSION,), "drum kit")
    try:
        tables = load_file(path.with_name(KIT))
        kit = DrumKit(**{name: table.astype(np.float32) for name, table in tables.items()})
        whole = _fits(kit)
    except Exception as error:  # safetensors raises types of its own
        raise InputError(f"{path.with_name(KIT)}: cannot be read ({type(error).__name__}: {error}); is the file whole?") from error
    if not whole:
        raise InputError(f"{path.with_name(KIT)}: its tables do not fit together; is the file damaged?")
    return kit


def _fits(kit: DrumKit) -> bool:
    """Whether the tables have shapes that belong together, and numbers."""
    count, modes = kit.hertz.shape
    ordered = np.lexsort((kit.velocities, kit.keys))
    return (
        count > 0
        and kit.keys.shape == kit.velocities.shape == kit.gains.shape == kit.seconds.shape == (count,)
        and kit.rates.shape == kit.cosines.shape == kit.sines.shape == (count, modes)
        and kit.noise.shape == (count, len(kit.centres), len(kit.times))
        and kit.transients.shape[0] == count
        and np.array_equal(ordered, np.arange(count))
        and all(np.isfinite(getattr(kit, field.name)).all() for field in fields(kit))
    )

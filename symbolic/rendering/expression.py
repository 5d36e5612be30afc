"""How a note is shaped by its instrument, pitch, velocity and length: a small network that learned it from recorded notes.

It gives, for each note, the mean and the spread of the numbers of `note_shape`; a draw from between them, always the same for the same
note, makes repeated notes differ as a player's do. Pitch is a MIDI number, velocity 0 … 127, length in seconds.

expression.safetensors: `embedding` (I, E), `first.weight` (H, 3 + E) and so on, `mean` and `scale` (NUMBERS,) of what was learned;
its metadata holds the names of the instruments. Learned by `symbolic.training.voices.expression`; here NumPy, without torch.
"""

import functools
import json
from importlib import resources
from pathlib import Path

import numpy as np

from symbolic.errors import InputError
from symbolic.rendering.note_shape import NUMBERS

SHORTEST, LONGEST = 0.08, 5.0  # seconds: no shorter or longer notes were heard
DRAWN = 0.5  # of the spread of recordings, which were not played as one phrase


class Expression:
    """The network; `instruments` are the names it knows."""

    def __init__(self, instruments: list[str], weights: dict[str, np.ndarray]) -> None:
        self.instruments = instruments
        self._weights = {name: np.asarray(part, np.float64) for name, part in weights.items()}

    def numbers(self, instrument: str, pitch: np.ndarray, velocity: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (N, NUMBERS) for notes of (N,) pitches, velocities and lengths.

        An instrument it does not know is the average of those it knows.
        """
        weights = self._weights
        embedding = weights["embedding"]
        own = embedding[self.instruments.index(instrument)] if instrument in self.instruments else embedding.mean(0)
        values = np.concatenate([features(pitch, velocity, seconds), np.broadcast_to(own, (len(pitch), len(own)))], 1)
        for layer in ("first", "second"):
            values = np.tanh(values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
        given = values @ weights["last.weight"].T + weights["last.bias"]
        spread = np.exp(np.clip(given[:, NUMBERS:], -4.0, 1.5))
        return given[:, :NUMBERS] * weights["scale"] + weights["mean"], spread * weights["scale"]


def features(pitch: np.ndarray, velocity: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """What the network hears of each note beside its instrument: (N, 3)."""
    length = np.log2(np.clip(seconds, SHORTEST, LONGEST))
    return np.stack([(np.asarray(pitch) - 60.0) / 24.0, (np.clip(velocity, 16, 127) - 80.0) / 40.0, length / 2.0], 1)


def load_expression(path: Path) -> Expression:
    """The network in a file. Raises `InputError` when it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "numpy") as content:
            instruments = json.loads((content.metadata() or {})["instruments"])
            return Expression(instruments, {name: content.get_tensor(name) for name in content.keys()})  # noqa: SIM118  no dict
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be loaded ({error}); install the package again") from error


@functools.cache
def bundled_expression() -> Expression:
    """The one that comes with the package."""
    return load_expression(Path(str(resources.files("symbolic.pretrained"))) / "voices" / "expression.safetensors")

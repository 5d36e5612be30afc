"""What a WaveNet autoencoder of this project is made of: saved as config.json beside the weights.

Lengths are in samples of `sample_rate`. A temporal code stands for `code_samples` samples (512 at 16 kHz: 32 ms), a conditioning
vector for `hold` samples (32: 2 ms), so `code_samples // hold` of them go to a code.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from symbolic.errors import InputError

VERSION = 1
KIND = "symbolic-wavenet"


@dataclass(frozen=True)
class WavenetConfig:
    """Shapes of the network. Raises `InputError` for shapes that do not fit together."""

    channels: int = 64
    """Width of the decoder; a multiple of 32."""
    layers: int = 30
    cycle: int = 10
    """Dilations double from 1 and begin again after this many layers: 1, 2, … 512, 1, 2, …"""
    kernel: int = 3
    """Samples that one layer looks at, its newest and older ones a dilation apart."""
    levels: int = 256
    """Codes of µ-law; `levels // 2` is silence."""
    sample_rate: int = 16000
    code_size: int = 16
    """Numbers in a temporal code."""
    code_samples: int = 512
    hold: int = 32
    conditioning: int = 64
    """Width of a conditioning vector."""
    encoder_channels: int = 128
    encoder_layers: int = 3

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is {value!r}; a whole number from 1 is wanted")
        for name in ("channels", "conditioning"):
            if getattr(self, name) % 32:
                raise InputError(f"{name} is {getattr(self, name)}; a multiple of 32 is wanted")
        if self.kernel < 2:
            raise InputError(f"kernel is {self.kernel}; 2 or 3 is wanted")
        if self.levels % 128:
            raise InputError(f"levels is {self.levels}; a multiple of 128 is wanted, such as 256")
        if self.code_samples % self.hold:
            raise InputError(f"hold ({self.hold}) must divide code_samples ({self.code_samples})")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Distance between the samples that each layer looks at."""
        return tuple(2 ** (layer % self.cycle) for layer in range(self.layers))

    @property
    def receptive_field(self) -> int:
        """Samples that a prediction depends on: 6,139 by default."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    @property
    def multiplications(self) -> int:
        """Products of weights and numbers for one sample, at batch 1."""
        layer = 2 * self.channels * (self.kernel * self.channels + self.channels)
        head = self.channels * 2 * self.channels + 2 * self.channels * self.levels
        return self.layers * layer + head + self.layers * 2 * self.channels * self.conditioning // self.hold


def to_json(config: WavenetConfig) -> dict[str, Any]:
    """What config.json holds."""
    return {"kind": KIND, "version": VERSION, **dataclasses.asdict(config)}


def from_json(content: Any) -> WavenetConfig:
    """The configuration that `to_json` gave. Raises `ValueError` for another kind or version, and `InputError` for shapes."""
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"it is of the kind {content.get('kind')!r}, not {KIND!r}" if isinstance(content, dict) else "it is no mapping")
    if content.get("version") != VERSION:
        raise ValueError(f"it has version {content.get('version')!r}, this program reads version {VERSION}; another release made it")
    fields = {key: value for key, value in content.items() if key not in ("kind", "version")}
    known = {field.name for field in dataclasses.fields(WavenetConfig)}
    if fields.keys() != known:
        raise ValueError(f"its settings differ from those wanted in {', '.join(sorted(fields.keys() ^ known))}")
    return WavenetConfig(**fields)

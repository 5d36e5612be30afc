"""What an autoencoder of this project is made of: saved as config.json beside the weights.

Lengths are in samples of `sample_rate`. A temporal code stands for `code_samples` samples (512 at 16 kHz: 32 ms), a conditioning
vector for `hold` samples (32: 2 ms), so `code_samples // hold` of them go to a code.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from symbolic.errors import InputError

VERSION = 2


@dataclass(frozen=True)
class AutoencoderConfig:
    """What does not depend on the kind of decoder. Raises `InputError` for shapes that do not fit together."""

    KIND: ClassVar[str]
    """Of the decoder: what `--kind` is told; config.json has "symbolic-" before it."""

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
        self.check_multiple("conditioning", 32)
        if self.levels % 128:
            raise InputError(f"levels is {self.levels}; a multiple of 128 is wanted, such as 256")
        if self.code_samples % self.hold:
            raise InputError(f"hold ({self.hold}) must divide code_samples ({self.code_samples})")

    def check_multiple(self, name: str, of: int) -> None:
        """Raise `InputError` unless a field is a multiple."""
        if getattr(self, name) % of:
            raise InputError(f"{name} is {getattr(self, name)}; a multiple of {of} is wanted")

    @property
    def multiplications(self) -> int:
        """Products of weights and numbers for one sample, at batch 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class WavenetConfig(AutoencoderConfig):
    """Shapes of a WaveNet autoencoder."""

    KIND: ClassVar[str] = "wavenet"

    channels: int = 64
    """Width of the decoder; a multiple of 32."""
    layers: int = 30
    cycle: int = 10
    """Dilations double from 1 and begin again after this many layers: 1, 2, … 512, 1, 2, …"""
    kernel: int = 3
    """Samples that one layer looks at, its newest and older ones a dilation apart."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_multiple("channels", 32)
        if self.kernel < 2:
            raise InputError(f"kernel is {self.kernel}; 2 or 3 is wanted")

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


Config = TypeVar("Config", bound=AutoencoderConfig)


def to_json(config: AutoencoderConfig) -> dict[str, Any]:
    """What config.json holds."""
    return {"kind": f"symbolic-{config.KIND}", "version": VERSION, **dataclasses.asdict(config)}


def from_json(content: Any, *kinds: type[Config]) -> Config:
    """The configuration of one of `kinds` that `to_json` gave.

    Raises `ValueError` for another kind or version, and `InputError` for shapes.
    """
    known = {f"symbolic-{kind.KIND}": kind for kind in kinds}
    if not isinstance(content, dict) or content.get("kind") not in known:
        wanted = " or ".join(map(repr, known))
        raise ValueError(f"it is of the kind {content.get('kind')!r}, not {wanted}" if isinstance(content, dict) else "it is no mapping")
    if content.get("version") != VERSION:
        raise ValueError(f"it has version {content.get('version')!r}, this program reads version {VERSION}; another release made it")
    kind = known[content["kind"]]
    fields = {key: value for key, value in content.items() if key not in ("kind", "version")}
    names = {field.name for field in dataclasses.fields(kind)}
    if fields.keys() != names:
        raise ValueError(f"its settings differ from those wanted in {', '.join(sorted(fields.keys() ^ names))}")
    return kind(**fields)

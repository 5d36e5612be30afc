"""Training a WaveNet: see `symbolic.training.autoencoder`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.training.autoencoder import AutoencoderSettings, train_autoencoder
from symbolic.training.wavenet_notes import RecordedNote


@dataclass
class WavenetSettings(AutoencoderSettings):
    """A run."""

    NETWORK: ClassVar[str] = "wavenet"

    wavenet: WavenetConfig = field(default_factory=lambda: WavenetConfig(layers=20, kernel=2))
    """By default 64 channels by 20 layers of 2 samples, about 80 minutes of a processor core; the network's own defaults are larger."""


def train_wavenet(
    source: str | Path | Sequence[RecordedNote], output: str | Path, settings: WavenetSettings | str | Path | None = None, *,
    resume: bool = False, progress: Callable[[float, float], None] | None = None, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """As `train_autoencoder`."""
    return train_autoencoder(WavenetSettings, source, output, settings, resume=resume, progress=progress, tell=tell)

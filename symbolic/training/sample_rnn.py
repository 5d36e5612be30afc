"""Training a SampleRNN: see `symbolic.training.autoencoder`.

The recurrent network's memory is empty where a piece begins, also in the middle of a note, and gradients go back to there; what it
predicts in the first `warmup_samples` is not counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.training.autoencoder import AutoencoderSettings, train_autoencoder
from symbolic.training.wavenet_notes import RecordedNote


@dataclass
class SampleRnnSettings(AutoencoderSettings):
    """A run."""

    NETWORK: ClassVar[str] = "sample_rnn"

    sample_rnn: SampleRnnConfig = field(default_factory=SampleRnnConfig)


def train_sample_rnn(
    source: str | Path | Sequence[RecordedNote], output: str | Path, settings: SampleRnnSettings | str | Path | None = None, *,
    resume: bool = False, progress: Callable[[float, float], None] | None = None, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """As `train_autoencoder`."""
    return train_autoencoder(SampleRnnSettings, source, output, settings, resume=resume, progress=progress, tell=tell)

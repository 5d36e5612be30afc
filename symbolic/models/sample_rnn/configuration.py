"""What a SampleRNN autoencoder is made of: the shapes of its two tiers beside those that every autoencoder has."""

from dataclasses import dataclass
from typing import ClassVar

from symbolic.errors import InputError
from symbolic.models.wavenet.configuration import AutoencoderConfig


@dataclass(frozen=True)
class SampleRnnConfig(AutoencoderConfig):
    """Shapes of the network. Raises `InputError` for shapes that do not fit together."""

    KIND: ClassVar[str] = "sample-rnn"

    frame: int = 16
    """Samples that the recurrent network takes at once; as many are seen one by one."""
    recurrent: int = 256
    """Width of the recurrent network."""
    told: int = 32
    """Numbers that it tells each sample of the next frame."""
    embedding: int = 32
    """Numbers that stand for a sample's code."""
    hidden: int = 128
    """Width of the network that sees single samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, of in (("frame", 4), ("recurrent", 16), ("told", 16), ("hidden", 16)):
            self.check_multiple(name, of)
        if self.hold % self.frame:
            raise InputError(f"frame ({self.frame}) must divide hold ({self.hold})")

    @property
    def multiplications(self) -> int:
        """Products of weights and numbers for one sample; embeddings are looked up in tables made beforehand."""
        G, H = self.recurrent, self.hidden
        sample = self.told * H + H * H + H * self.levels
        return sample + (3 * G * (self.frame + self.conditioning + G)) // self.frame + G * self.told

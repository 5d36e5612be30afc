"""What the training of a voice can be told; defaults are for one instrument, 10 to 20 minutes, a processor."""

from dataclasses import dataclass, field

from symbolic.errors import InputError
from symbolic.models.voices.configuration import VoiceConfig


@dataclass
class VoiceSettings:
    """Times are in frames of 4 ms."""

    from_voice: str | None = None
    """A bundled voice's name or a folder with a voice, from whose weights to start."""
    steps: int = 1200
    lanes: int = 12  # phrases heard side by side
    segment_frames: int = 250  # of each lane in a step; gradients reach so far back, the memory further
    learning_rate: float = 0.002
    warmup_steps: int = 50
    decay_share: float = 0.6  # of the steps, over which the learning rate falls to 0
    gradient_clip: float = 3.0
    averaging: float = 0.99  # the voice's weights are means over about 1 / (1 − averaging) steps
    high_weight: float = 0.5  # of what lies above 8 kHz, which Magenta's loss does not hear
    code_share: float = 0.65  # of the lanes are told the timbre code, the others must do without
    code_noise: float = 0.1  # standard deviation of what is added to it: near codes shall sound alike
    dropout: float = 0.0  # of what the network hears and of what its heads hear; for few minutes of recordings
    gap_share: float = 0.3  # of the notes are followed by silence
    longest_gap: int = 75
    evaluate_every: int = 200
    sound_every: int = 400
    checkpoint_every: int = 200
    random_seed: int = 0
    voice: VoiceConfig = field(default_factory=VoiceConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "lanes", "segment_frames", "evaluate_every", "sound_every", "checkpoint_every", "longest_gap"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.segment_frames % self.voice.stride:
            raise InputError(f"segment_frames ({self.segment_frames}) must be a multiple of the voice's stride ({self.voice.stride})")
        if not 0 < self.learning_rate < 1:
            raise InputError(f"learning_rate ({self.learning_rate}) must lie between 0 and 1")
        if not 0 <= self.averaging < 1:
            raise InputError(f"averaging ({self.averaging}) must be at least 0 and below 1")
        for name in ("gap_share", "decay_share", "code_share", "code_noise", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} ({getattr(self, name)}) must lie between 0 and 1")

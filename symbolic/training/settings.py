"""What a training run can be told; the defaults train a small model on two cores."""

import math
from dataclasses import dataclass, field

from symbolic.errors import InputError
from symbolic.tokenizers.tasks import KINDS

OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class ModelSettings:
    """Shape of the network; vocabulary and beats come from the dataset's tokenizer."""

    hidden_size: int = 192
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    intermediate_size: int = 768
    memory_length: int = 384
    dropout: float = 0.0
    bar_cycle: int = 16
    recent_tokens: int = 4
    echo_lengths: tuple[int, ...] = (4, 8, 16)
    echo_reach: int = 4096


@dataclass(frozen=True)
class TrainingSettings:
    """A run. Tokens of one step = lanes × segment_length × processes."""

    model: ModelSettings = field(default_factory=ModelSettings)
    from_model: str | None = None
    """A bundled model's name, a model folder or a run to start from (`--from`); its shape and tokenizer stay. None: random weights."""
    steps: int = 4000
    """Optimizer steps of the whole run; a resumed run may be given more."""
    lanes: int = 12
    """Rows of the batch, for each process: every lane is one stream of whole pieces."""
    segment_length: int = 256
    """Tokens of each lane in one step."""
    learning_rate: float = 0.002
    warmup_steps: int = 200
    decay_share: float = 0.4
    """The last part of the run in which the learning rate falls in a straight line to 0; before it is constant."""
    optimizer: str = "adamw"
    """adamw; or muon, which turns the steps of weight matrices into orthogonal ones and leaves the rest to adamw."""
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    balance: float = 1.0
    """How collections are weighted: 1 by their tokens, 0.5 by the square root, 0 all alike."""
    twelve_keys: bool = True
    """Draw a transposition for every piece and epoch, uniformly over the octave's shifts that keep it in range."""
    tasks: dict[str, float] | None = None
    """Weights of continue, fill, accompany, harmonise, melody, rhythm and pitches among the pieces; {}: all as they are.
    Without: a mixture of all (`tasks.MIXTURE`), where the tokenizer has tokens for it."""
    precision: str = "auto"
    """auto: bf16 where the hardware has it; or no (float32), bf16, fp16."""
    sharded: bool = False
    """Spread weights and optimizer over the processes (FSDP2), for models that do not fit one device."""
    random_seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 500
    """Steps between evaluations; a run that starts from a model is also evaluated before its first step."""
    evaluation_pieces: int = 64
    """Held-out pieces scored at every evaluation, by their first 1024 tokens."""
    patience: int = 0
    """Evaluations in a row without a better held-out figure after which the run stops; 0: it runs to its end."""
    sample_every: int = 1000
    """Steps between samples (MIDI and a picture in RUN/samples): 8 bars after the beginning of a held-out piece; 0: none."""

    def __post_init__(self) -> None:
        for name in ("steps", "lanes", "segment_length", "checkpoint_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"training setting {name} is {getattr(self, name)}; at least 1 is needed")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"training setting optimizer is {self.optimizer!r}; choose {' or '.join(OPTIMIZERS)}")
        unknown = [kind for kind in self.tasks or () if kind not in KINDS]
        if unknown or (self.tasks and not (min(self.tasks.values()) >= 0 and 0 < sum(self.tasks.values()) < math.inf)):
            wrong = f"{unknown[0]!r} is none of them" if unknown else f"weights are {self.tasks}"
            raise InputError(f"training setting tasks: {wrong}; weights of 0 or more of {', '.join(KINDS)} are wanted, one above 0")
        for name in ("patience", "sample_every", "warmup_steps", "evaluation_pieces"):
            if getattr(self, name) < 0:
                raise InputError(f"training setting {name} is {getattr(self, name)}; 0 or more is needed")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise InputError(f"training setting learning_rate is {self.learning_rate}; a number above 0 is needed, such as 0.002")

"""Writing streams: prompts read, tokens drawn under their masks, and the loop that feeds them back.

A row of a batch has its own prompt, mask and random generator, and is read alone: it is the same row whatever stands beside it,
up to float rounding of the step's logits.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symbolic.errors import InputError
from symbolic.generation.drawing import SamplingSettings, draw
from symbolic.generation.mask import StreamMask
from symbolic.models.memory import DecodingState, Memory
from symbolic.models.native import NativeModel, fits
from symbolic.models.network import Network
from symbolic.tokenizers.beats import BeatClock, derive_beats
from symbolic.tokenizers.vocabulary import Vocabulary

PREFILL_SEGMENT = 512


@dataclass
class Stream:
    """What was written after one prompt: the new ids, without what closed the last bar."""

    ids: np.ndarray
    nats: float
    """−log of the probability that the model itself, at temperature 1 and free of any rule, gives the new ids."""
    notes: int
    end_nats: float
    """−log of the probability that the model itself gives the end of a piece where the stream ends."""
    unkept: int = 0
    """How often a bar had to be repeated against the rule, because nothing else could be written."""


@dataclass
class Reader:
    """Reads prompts one after another; of one that goes on where the last ended, only what is new."""

    model: Network
    vocabulary: Vocabulary
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    memory: Memory | None = None

    @torch.no_grad()
    def read(self, prompt: np.ndarray) -> tuple[Tensor, Memory]:
        """The last logits (1, V) after a prompt, and the memory."""
        known = len(self.ids)
        goes_on = self.memory is not None and known < len(prompt) and np.array_equal(prompt[:known], self.ids)
        memory = self.memory if goes_on else None
        beats, logits = derive_beats(prompt, self.vocabulary), torch.zeros(0)
        for start in range(known if goes_on else 0, len(prompt), PREFILL_SEGMENT):
            part = slice(start, start + PREFILL_SEGMENT)
            places = torch.from_numpy(beats[None, part].astype(np.int64))
            output = self.model(torch.from_numpy(prompt[None, part].copy()), places, memory or self.model.empty_memory(1))
            memory, logits = output.memory, output.logits[:, -1]
        assert memory is not None
        self.ids, self.memory = prompt.copy(), memory
        return logits, memory


@torch.no_grad()
def prefill(
    model: Network, vocabulary: Vocabulary, prompts: Sequence[np.ndarray], reader: Reader | None = None
) -> tuple[Tensor, DecodingState]:
    """Read prompts of any lengths: the last logits (B, V) and the state to step on from.

    Each is read alone, the same one only once, so that a row does not depend on the others.
    """
    different: dict[bytes, int] = {}
    rows = [different.setdefault(prompt.astype(np.int64).tobytes(), len(different)) for prompt in prompts]
    read = [(reader or Reader(model, vocabulary)).read(np.frombuffer(key, dtype=np.int64)) for key in different]
    memory = Memory.joined([memory for _, memory in read])
    chosen = torch.tensor(rows)
    return torch.cat([logits for logits, _ in read])[chosen], model.decoding_state(memory).rows(chosen)


@dataclass
class Row:
    """One stream being written, with its own mask, clock and random generator."""

    number: int
    mask: StreamMask
    clock: BeatClock
    generator: torch.Generator
    new: list[int] = field(default_factory=list)
    nats: float = 0.0
    notes: int = 0

    def draw(self, scores: np.ndarray, norm: float, settings: SamplingSettings) -> int:
        """The next id, from logits (V,) and the log of the sum of their exponentials; the row does not move."""
        mask = self.mask
        if not np.isfinite(norm):
            raise InputError(
                f"the model's logits are no numbers (NaN) in bar {mask.state.bars}: its weights are damaged, or its training diverged; "
                "an earlier checkpoint may do"
            )
        temperature = settings.temperature_after(mask.state.last, mask.repeated)
        return draw(scores + mask.leaning(), mask.legal(), settings, self.generator, temperature)

    def take(self, id_: int, nats: float = 0.0) -> tuple[int, int, int]:
        """Move past an id; gives its beat."""
        notes_before = self.mask.state.notes_in_bar
        self.mask.follow(id_)
        self.notes += self.mask.state.notes_in_bar > notes_before
        self.nats += nats
        self.new.append(id_)
        return self.clock.step(id_)

    def stream(self, end_nats: float) -> Stream:
        """What was written."""
        return Stream(np.array(self.new, dtype=np.int64), self.nats, self.notes, end_nats, self.mask.unkept)


def begun(number: int, vocabulary: Vocabulary, prompt: np.ndarray, mask: StreamMask, random_seed: int) -> Row:
    """A row that has read its prompt; `mask` is fresh."""
    clock = BeatClock(vocabulary)
    for id_ in prompt.tolist():
        clock.step(id_)
    mask.read(prompt)
    return Row(number, mask, clock, torch.Generator().manual_seed(random_seed))


def stepping(model: Network) -> Network | NativeModel:
    """What makes the steps: machine code where the model has it, unless it has a step of its own."""
    own_step = type(model).step is not Network.step
    return NativeModel(model) if fits(model) and not own_step else model


@torch.no_grad()
def sample(
    model: Network,
    vocabulary: Vocabulary,
    prompts: Sequence[np.ndarray],
    masks: Sequence[StreamMask],
    random_seeds: Sequence[int],
    settings: SamplingSettings,
    progress: Callable[[int], object] | None = None,
    reader: Reader | None = None,
) -> list[Stream]:
    """Continue each prompt under its mask, which is fresh and has not read the prompt.

    A row that has ended leaves the batch. `progress` is told the number of bars finished since the last call.
    A `reader` kept from call to call saves reading again what prompts have in common.
    Raises `InputError` when the model gives logits that are no numbers.
    """
    rows = [begun(number, vocabulary, *parts) for number, parts in enumerate(zip(prompts, masks, random_seeds, strict=True))]
    stepper = stepping(model)
    with one_thread():
        logits, state = prefill(model, vocabulary, prompts, reader)
        started = stepper.state(state) if isinstance(stepper, NativeModel) else state
        return _write(stepper, vocabulary, rows, logits, started, settings, progress)


def _write(
    model: Network | NativeModel,
    vocabulary: Vocabulary,
    rows: list[Row],
    logits: Tensor,
    state: Any,
    settings: SamplingSettings,
    progress: Callable[[int], object] | None,
) -> list[Stream]:
    result: dict[int, Stream] = {}
    while True:
        scores = logits.float().numpy()
        norms = log_sums(scores)
        alive = []
        beats = []
        for place, row in enumerate(rows):
            id_ = row.draw(scores[place], norms[place], settings)
            ended = row.mask.ends(id_)
            if progress and (ended or id_ == vocabulary.bar):
                progress(1)
            if ended:
                result[row.number] = row.stream(float(norms[place] - scores[place, vocabulary.eos]))
                continue
            beats.append(row.take(id_, float(norms[place] - scores[place, id_])))
            alive.append(place)
        if not alive:
            return [result[number] for number in range(len(result))]
        if len(alive) < len(rows):
            rows, state = [rows[place] for place in alive], state.rows(torch.tensor(alive))
        logits = model.step(torch.tensor([row.new[-1] for row in rows]), torch.tensor(beats), state)


def log_sums(scores: np.ndarray) -> np.ndarray:
    """log of the sum of exp over the last axis, float64, (B, V) → (B,)."""
    highest = scores.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.log(np.exp(scores - highest).sum(axis=1, dtype=np.float64)) + highest[:, 0]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A step is many small products: threads that wait for each other cost more than they bring, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

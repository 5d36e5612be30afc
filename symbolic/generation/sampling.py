"""Drawing tokens: temperature, nucleus, one random stream for each row, and the loop that feeds them back.

A row of a batch draws from its own generator, so it is the same row whatever stands beside it, up to float rounding of the logits.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symbolic.errors import UsageError
from symbolic.generation.constraints import Constraints
from symbolic.models.memory import DecodingState, Memory
from symbolic.models.native import NativeModel, fits
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.automaton import AutomatonState
from symbolic.tokenizers.beats import BeatClock, derive_beats
from symbolic.tokenizers.vocabulary import Vocabulary

PREFILL_SEGMENT = 512


@dataclass(frozen=True)
class SamplingSettings:
    """temperature > 0 divides the logits; top_p in (0, 1] keeps the likeliest ids whose probabilities reach it."""

    temperature: float = 1.0
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 10:
            raise UsageError(
                f"temperature is {self.temperature}; a number above 0 and up to 10 is wanted (1.0 is as learned, 0.8 is tamer)"
            )
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top-p is {self.top_p}; a number above 0 and up to 1 is wanted (1 keeps everything, 0.9 cuts the unlikely)")


def draw(logits: Tensor, legal: np.ndarray, settings: SamplingSettings, generator: torch.Generator) -> int:
    """One id from logits (V,) among the legal ones. Raises `ValueError` when nothing is legal."""
    choices = torch.from_numpy(np.flatnonzero(legal))
    if not len(choices):
        raise ValueError("no legal token: the constraints contradict the grammar")
    probabilities = torch.softmax(logits[choices].double() / settings.temperature, dim=0)
    ordered, order = probabilities.sort(descending=True, stable=True)
    cumulative = ordered.cumsum(0)
    kept = int((cumulative < settings.top_p).sum()) + 1
    point = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[min(kept, len(ordered)) - 1]
    return int(choices[order[min(int(torch.searchsorted(cumulative, point, right=True)), kept - 1, len(ordered) - 1)]])


@torch.no_grad()
def prefill(model: TransformerXL, vocabulary: Vocabulary, prompts: Sequence[np.ndarray]) -> tuple[Tensor, DecodingState]:
    """Read prompts of any lengths (padded on the left): the last logits (B, V) and the state to step on from."""
    longest = max(len(prompt) for prompt in prompts)
    ids = np.full((len(prompts), longest), vocabulary.pad, dtype=np.int64)
    beats = np.zeros((len(prompts), longest, 3), dtype=np.int64)
    ages = np.arange(longest)[None] - longest + np.array([len(prompt) for prompt in prompts])[:, None]
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = prompt
        beats[row, longest - len(prompt) :] = derive_beats(prompt, vocabulary)
    memory: Memory | None = None
    logits = torch.zeros(0)
    for start in range(0, longest, PREFILL_SEGMENT):
        part = slice(start, start + PREFILL_SEGMENT)
        output = model(*(torch.from_numpy(array[:, part]) for array in (ids, beats)), memory, ages=torch.from_numpy(ages[:, part]))
        memory, logits = output.memory, output.logits[:, -1]
    assert memory is not None
    return logits, model.decoding_state(memory)


@dataclass
class _Row:
    """One stream being written."""

    number: int
    state: AutomatonState
    clock: BeatClock
    constraints: Constraints
    generator: torch.Generator
    new: list[int]
    previous_bar_empty: bool = False


@torch.no_grad()
def sample(
    model: TransformerXL,
    vocabulary: Vocabulary,
    prompts: Sequence[np.ndarray],
    constraints: Sequence[Constraints],
    random_seeds: Sequence[int],
    settings: SamplingSettings,
    progress: Callable[[int], object] | None = None,
) -> list[np.ndarray]:
    """Continue each prompt under its constraints; gives the new ids alone, without what closed the last bar.

    A row that has ended leaves the batch. `progress` is told the number of bars finished since the last call.
    """
    rows = []
    for number, (prompt, rules, random_seed) in enumerate(zip(prompts, constraints, random_seeds, strict=True)):
        clock = BeatClock(vocabulary)
        for id_ in prompt.tolist():
            clock.step(id_)
        generator = torch.Generator().manual_seed(random_seed)
        rows.append(_Row(number, rules.automaton.state_after(prompt), clock, rules, generator, []))
    native = NativeModel(model) if fits(model) else None
    with _one_thread():
        logits, state = prefill(model, vocabulary, prompts)
        if native:
            return _write(native, vocabulary, rows, logits, native.state(state), settings, progress)
        return _write(model, vocabulary, rows, logits, state, settings, progress)


def _write(
    model: TransformerXL | NativeModel,
    vocabulary: Vocabulary,
    rows: list[_Row],
    logits: Tensor,
    state: Any,
    settings: SamplingSettings,
    progress: Callable[[int], object] | None,
) -> list[np.ndarray]:
    result: list[np.ndarray] = [np.zeros(0, dtype=np.int64)] * len(rows)
    while True:
        alive = []
        for place, row in enumerate(rows):
            legal = row.constraints.legal(row.state, row.previous_bar_empty)
            id_ = draw(logits[place] + torch.from_numpy(row.constraints.leaning(row.state)), legal, settings, row.generator)
            ended = row.constraints.ends(row.state, id_)
            if progress and (ended or id_ == vocabulary.bar):
                progress(1)
            if ended:
                result[row.number] = np.array(row.new, dtype=np.int64)
                continue
            if id_ == vocabulary.bar:
                row.previous_bar_empty = row.state.notes_in_bar == 0
            row.constraints.automaton.advance(row.state, id_)
            row.constraints.follow(row.state)
            row.new.append(id_)
            alive.append(place)
        if not alive:
            return result
        if len(alive) < len(rows):
            rows, state = [rows[place] for place in alive], state.rows(torch.tensor(alive))
        ids = [row.new[-1] for row in rows]
        beats = [row.clock.step(id_) for row, id_ in zip(rows, ids, strict=True)]
        logits = model.step(torch.tensor(ids), torch.tensor(beats), state)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A step is many small products: threads that wait for each other cost more than they bring, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What memory, beats and twelve keys are worth, each with and without the others, for equal computation.

    python benchmarks/ablation.py jsb Jsb16thSeparated.json --run RUN
    python benchmarks/ablation.py corpus DATASET --run RUN [--plot docs/ablation.png]

Sixteen small networks for each source: memory 0, 64, 256 or 512 tokens, beats or none, twelve keys or the original one. All have the
same shape and budget of floating-point operations (a longer memory makes fewer steps), learning rate, data order and random seed;
the learning rate falls to 0 at the end of each. Memory 0 means segments of 256 tokens that stand alone, in training and scoring.
Scored are nats per note on held-out pieces (for the chorales: nats per token, which are notes on a 16th grid), as trained, and with
other memories than in training. A line of RUN/results.jsonl for each; what is there already is not done again.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsb
import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.models.variants import variant
from symbolic.tokenizers.beats import derive_beats
from symbolic.training.evaluation import sum_up
from symbolic.training.lanes import Lanes, Segment
from symbolic.training.optimizing import make_optimizer
from symbolic.training.settings import TrainingSettings

MEMORIES = (0, 64, 256, 512)
SEGMENT = 256
WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 512
DROPOUT, LEARNING_RATE, WARM_UP = 0.1, 0.003, 30
LANES = 8
HELD_OUT, LONGEST = 60, 2048  # pieces of a corpus, and tokens of each


@dataclass(frozen=True)
class Variant:
    """One of the sixteen."""

    memory: int
    beats: bool
    keys: bool


class Chorales:
    """The chorales as segments; pieces follow each other in each lane."""

    unit = "nats per token"

    def __init__(self, path: Path) -> None:
        self.pieces = jsb.read_pieces(path)
        self.shape = {"vocab_size": jsb.START + 1, "bar_cycle": jsb.LONGEST_HELD + 1, "beats_per_bar": 4, "positions_per_beat": 16}

    def segments(self, keys: bool) -> Iterator[Segment]:
        """Endless, `LANES` rows."""
        generator = np.random.default_rng(0)
        lanes = [self._lane(np.random.default_rng(seed), keys) for seed in generator.integers(0, 2**31, LANES)]
        while True:
            rows = [next(lane) for lane in lanes]
            yield Segment(*(np.stack(parts) for parts in zip(*rows, strict=True)))

    def _lane(self, generator: np.random.Generator, keys: bool) -> Iterator[tuple[np.ndarray, ...]]:
        waiting = [np.zeros((0,), dtype=np.int64)] * 3 + [np.zeros((0, 3), dtype=np.int64)]
        while True:
            while len(waiting[0]) < SEGMENT:
                piece = self.pieces["train"][int(generator.integers(len(self.pieces["train"])))]
                shift = int(generator.choice(jsb.fitting_shifts(piece)))
                piece = jsb.transposed(piece, shift) if keys else piece
                more = (np.r_[jsb.START, piece[:-1]], piece, np.arange(len(piece)), jsb.beats_of(piece))
                waiting = [np.concatenate(pair) for pair in zip(waiting, more, strict=True)]
            yield tuple(part[:SEGMENT] for part in waiting)
            waiting = [part[SEGMENT:] for part in waiting]

    def score(self, model: TransformerXL, how: Variant) -> float:
        """Nats per token of the validation split."""
        total = count = 0.0
        for piece in self.pieces["valid"]:
            inputs, labels, beats = jsb.batch_of([piece], how.beats)
            total += float(_nats(model, inputs, labels, beats, how.memory).sum())
            count += len(piece)
        return total / count


class Music:
    """A dataset of `symbolic tokenize`."""

    unit = "nats per note"

    def __init__(self, path: Path) -> None:
        self.corpus = Corpus(path)
        self.vocabulary = self.corpus.tokenizer.vocabulary
        self.shape = {
            "vocab_size": len(self.vocabulary), "beats_per_bar": self.vocabulary.max_beats,
            "positions_per_beat": self.vocabulary.positions_per_beat,
        }  # fmt: skip
        held_out = self.corpus.pieces("validation")
        chosen = held_out[:: max(1, len(held_out) // HELD_OUT)][:HELD_OUT]
        self.held_out = [self.corpus.piece(int(index))[:LONGEST].astype(np.int64) for index in chosen]

    def segments(self, keys: bool) -> Iterator[Segment]:
        """Endless, `LANES` rows."""
        return Lanes(self.corpus, LANES, SEGMENT, twelve_keys=keys, random_seed=0)

    def score(self, model: TransformerXL, how: Variant) -> float:
        """Nats per note of the first tokens of held-out pieces."""
        scored = []
        for piece in self.held_out:
            beats = derive_beats(piece, self.vocabulary)[:-1].astype(np.int64) * (1 if how.beats else 0)
            parts = (piece[:-1], piece[1:], beats)
            inputs, labels, given = (torch.from_numpy(part.copy())[None] for part in parts)
            scored.append(_nats(model, inputs, labels, given, how.memory))
        return sum_up(self.held_out, scored, self.vocabulary).nats_per_note


@torch.no_grad()
def _nats(model: TransformerXL, inputs: torch.Tensor, labels: torch.Tensor, beats: torch.Tensor, memory: int) -> np.ndarray:
    """Of every token of one piece, (T,)."""
    ages = torch.arange(inputs.shape[1])[None]
    logits = model.eval()(inputs, beats, ages=ages if memory else ages % SEGMENT).logits
    return functional.cross_entropy(logits[0].float(), labels[0], reduction="none").numpy()


def window(memory: int) -> int:
    """Memory of the network: without memory a token still sees all of its segment."""
    return memory or SEGMENT - 1


def operations(memory: int, vocabulary: int) -> float:
    """Floating-point operations of a token in training, its matrix products (see `benchmarks/training.py`)."""
    linear = LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER) + WIDTH * vocabulary
    return 6 * (linear + LAYERS * 3 * (window(memory) + 1) * WIDTH)


def train(source: Chorales | Music, how: Variant, tokens: int) -> TransformerXL:
    """A network trained with the operations that `tokens` tokens cost at memory 256."""
    torch.manual_seed(0)
    model = TransformerXL(
        make_config(
            hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER, dropout=DROPOUT,
            memory_length=window(how.memory), pad_token_id=None, bos_token_id=None, eos_token_id=None, **source.shape,
        )
    )  # fmt: skip
    optimizer = make_optimizer(model, TrainingSettings(optimizer="muon", weight_decay=0.1))
    vocabulary = source.shape["vocab_size"]
    steps = round(tokens / (LANES * SEGMENT) * operations(256, vocabulary) / operations(how.memory, vocabulary))
    memory = None
    segments = source.segments(how.keys)
    for step in tqdm(range(steps), desc=str(how), disable=None, leave=False):
        segment = next(segments)
        ages = segment.ages if how.memory else np.minimum(segment.ages, np.arange(SEGMENT))
        beats = segment.beats if how.beats else np.zeros_like(segment.beats)
        ids, labels, ages, beats = (torch.from_numpy(part) for part in (segment.ids, segment.labels, ages, beats))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
            output = model(ids, beats, memory if how.memory else None, ages=ages, labels=labels)
        memory = output.memory
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model


def draw(lines: list[dict], unit: str, path: Path) -> None:
    """Nats over the memory, a line for each of the other two choices."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for beats, keys in itertools.product((True, False), repeat=2):
        points = {line["memory"]: line["nats"] for line in lines if (line["beats"], line["keys"]) == (beats, keys)}
        label = f"{'beats' if beats else 'no beats'}, {'twelve keys' if keys else 'one key'}"
        style = {"linestyle": "-" if beats else "--", "color": "tab:blue" if keys else "tab:orange", "marker": "o"}
        axes.plot(range(len(points)), [points[memory] for memory in sorted(points)], label=label, **style)
    axes.set(xticks=range(len(MEMORIES)), xticklabels=[str(memory) for memory in MEMORIES], xlabel="memory, tokens", ylabel=unit)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=["jsb", "corpus"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=1_500_000, help="that a network with memory 256 is trained on")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    source = Chorales(options.path) if options.source == "jsb" else Music(options.path)
    options.run.mkdir(parents=True, exist_ok=True)
    path = options.run / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for beats, keys, memory in itertools.product((True, False), (True, False), MEMORIES):
        how = Variant(memory, beats, keys)
        if any((line["memory"], line["beats"], line["keys"]) == (memory, beats, keys) for line in lines):
            continue
        clock = time.perf_counter()
        model = train(source, how, options.tokens)
        lines.append({"memory": memory, "beats": beats, "keys": keys, "nats": source.score(model, how)})
        if memory and beats and keys:  # the others are less, and cost the same
            others = sorted({64, 256, 512, 1024} - {memory})
            scores = {other: source.score(variant(model, memory_length=other), Variant(other, beats, keys)) for other in others}
            lines[-1]["other_memories"] = scores
        lines[-1]["seconds"] = round(time.perf_counter() - clock, 1)
        with path.open("a") as stream:
            stream.write(json.dumps(lines[-1]) + "\n")
        print(json.dumps(lines[-1]), flush=True)
    print(f"\n{source.unit}\n{'beats':<7}{'keys':<7}" + "".join(f"{f'memory {memory}':>14}" for memory in MEMORIES))
    for beats, keys in itertools.product((True, False), repeat=2):
        found = {line["memory"]: line["nats"] for line in lines if (line["beats"], line["keys"]) == (beats, keys)}
        print(f"{'yes' if beats else 'no':<7}{'12' if keys else '1':<7}" + "".join(f"{found[memory]:>14.4f}" for memory in MEMORIES))
    if options.plot:
        draw(lines, source.unit, options.plot)


if __name__ == "__main__":
    main()

"""Note-wise prediction of Bach's chorales on a 16th grid: the table that published models of polyphonic music share.

    python benchmarks/jsb.py Jsb16thSeparated.json --run RUN --random-seed 0     train, resuming what RUN holds, and score on validation
    python benchmarks/jsb.py Jsb16thSeparated.json --run RUN --splits valid test      read the test split once, with the weights chosen

Protocol: the published split; every 16th is four tokens S A T B, silence is a symbol; every token is scored, the first step
included; nats per token, weighted by tokens. Only training pieces are transposed, to the keys of the octave that fit the 46 pitches.
The network sees what comes before, and the beat of the token to come: for how long its voice has held a symbol, the quarter of the
bar, the 16th and the voice. All of it follows from what comes before.
Data: Jsb16thSeparated.json of the public repository czhuang/JSB-Chorales-dataset.
"""

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from tqdm import tqdm

from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.training.optimizing import make_optimizer
from symbolic.training.settings import TrainingSettings

LOWEST, HIGHEST = 36, 81
SILENCE = HIGHEST - LOWEST + 1
START = SILENCE + 1
VOICES, STEPS_PER_QUARTER, QUARTERS = 4, 4, 4
LONGEST_HELD = 31
NO_LABEL = -100


@dataclass(frozen=True)
class Recipe:
    """All that a run is told; chosen on the validation split."""

    width: int = 192
    layers: int = 5
    heads: int = 6
    inner: int = 768
    memory: int = 256
    dropout: float = 0.2
    optimizer: str = "muon"
    learning_rate: float = 0.003
    weight_decay: float = 0.1
    epochs: int = 60
    batch: int = 2
    warmup: int = 100
    averaging: float = 0.99
    beats: bool = True
    twelve_keys: bool = True


def read_pieces(path: Path) -> dict[str, list[np.ndarray]]:
    """Symbols of each split's pieces, int64 (steps · 4,): 0..45 for the pitches 36..81, 46 for silence."""
    splits = {}
    for name, pieces in json.loads(path.read_text()).items():
        grids = [np.array(piece, dtype=np.int64) for piece in pieces]
        splits[name] = [np.where(grid < 0, SILENCE, grid - LOWEST).reshape(-1) for grid in grids]
        assert all(((symbols >= 0) & (symbols <= SILENCE)).all() for symbols in splits[name])
    return splits


def fitting_shifts(symbols: np.ndarray) -> range:
    """Transpositions within −5..+6 semitones that keep every pitch inside 36..81."""
    pitches = symbols[symbols != SILENCE]
    return range(max(-5, -int(pitches.min())), min(6, HIGHEST - LOWEST - int(pitches.max())) + 1)


def transposed(symbols: np.ndarray, semitones: int) -> np.ndarray:
    """Every pitch moved, silence kept."""
    return np.where(symbols == SILENCE, SILENCE, symbols + semitones)


def beats_of(symbols: np.ndarray) -> np.ndarray:
    """(held, quarter of the bar, 16th · 4 + voice) of the token to come at each input START, token 0, token 1 …: int64 (length, 3).

    `held`: for how many 16ths its voice has had one symbol until now, 0 at the beginning, `LONGEST_HELD` at most.
    """
    grid = symbols.reshape(-1, VOICES)
    held = np.zeros_like(grid)
    for step in range(1, len(grid)):
        same = grid[step - 1] == grid[step - 2] if step > 1 else False
        held[step] = np.where(same, np.minimum(held[step - 1] + 1, LONGEST_HELD), 1)
    step, voice = np.divmod(np.arange(len(symbols)), VOICES)
    quarter, sixteenth = np.divmod(step, STEPS_PER_QUARTER)
    return np.stack([held.reshape(-1), quarter % QUARTERS, sixteenth * VOICES + voice], axis=-1)


def batch_of(pieces: list[np.ndarray], with_beats: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs (B, T), labels (B, T) and beats (B, T, 3), pieces padded on the right."""
    longest = max(len(piece) for piece in pieces)
    inputs = np.full((len(pieces), longest), SILENCE)
    labels = np.full((len(pieces), longest), NO_LABEL)
    beats = np.zeros((len(pieces), longest, 3), dtype=np.int64)
    for row, piece in enumerate(pieces):
        inputs[row, 0], inputs[row, 1 : len(piece)] = START, piece[:-1]
        labels[row, : len(piece)] = piece
        if with_beats:
            beats[row, : len(piece)] = beats_of(piece)
    return torch.from_numpy(inputs), torch.from_numpy(labels), torch.from_numpy(beats)


def make_model(recipe: Recipe) -> TransformerXL:
    """The project's Transformer-XL at the size of the recipe."""
    return TransformerXL(
        make_config(
            vocab_size=START + 1, hidden_size=recipe.width, num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads,
            intermediate_size=recipe.inner, memory_length=recipe.memory, dropout=recipe.dropout, bar_cycle=LONGEST_HELD + 1,
            beats_per_bar=QUARTERS,
            positions_per_beat=STEPS_PER_QUARTER * VOICES, pad_token_id=None, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip


@torch.no_grad()
def nats_of(model: TransformerXL, pieces: list[np.ndarray], recipe: Recipe, batch: int = 16) -> list[np.ndarray]:
    """Nats of every token of every piece, float64 (length,)."""
    model.eval()
    nats = []
    for first in range(0, len(pieces), batch):
        chosen = pieces[first : first + batch]
        inputs, labels, beats = batch_of(chosen, recipe.beats)
        logits = model(inputs, beats).logits.float()
        values = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=NO_LABEL, reduction="none").numpy()
        nats += [values[row, : len(piece)].astype(np.float64) for row, piece in enumerate(chosen)]
    return nats


def nats_over_keys(model: TransformerXL, pieces: list[np.ndarray], recipe: Recipe) -> list[np.ndarray]:
    """The same under the mean of the probabilities in the keys from −5 to +6, all equal, each as long as the pitches until then fit it."""
    total = [np.zeros(len(piece)) for piece in pieces]
    alive = [np.zeros(len(piece)) for piece in pieces]
    for shift in range(-5, 7):
        moved = [transposed(piece, shift) for piece in pieces]
        fits = [(piece == SILENCE) | ((other >= 0) & (other < SILENCE)) for piece, other in zip(pieces, moved, strict=True)]
        inside = [np.where(fit, other, SILENCE) for fit, other in zip(fits, moved, strict=True)]
        for place, nats in enumerate(nats_of(model, inside, recipe)):
            until_then = np.r_[True, np.logical_and.accumulate(fits[place])[:-1]]
            total[place] += np.where(until_then & fits[place], np.exp(-nats), 0.0)
            alive[place] += until_then
    return [-np.log(one / count) for one, count in zip(total, alive, strict=True)]


def score(nats: list[np.ndarray], pieces: list[np.ndarray]) -> dict[str, float]:
    """Nats per token: all, of tokens equal to their voice's last one (held), and of the others (changed)."""
    held = [np.r_[np.zeros(VOICES, dtype=bool), piece[VOICES:] == piece[:-VOICES]] for piece in pieces]
    all_nats, is_held = np.concatenate(nats), np.concatenate(held)
    return {
        "nats_per_token": float(all_nats.mean()),
        "held": float(all_nats[is_held].mean()),
        "changed": float(all_nats[~is_held].mean()),
        "tokens": len(all_nats),
        "held_share": float(is_held.mean()),
    }


def epoch_batches(pieces: list[np.ndarray], recipe: Recipe, generator: np.random.Generator) -> list[list[np.ndarray]]:
    """Each piece once, in a key of its own, in batches of like lengths."""
    order = generator.permutation(len(pieces))
    batches = []
    for pool in np.array_split(order, max(1, len(order) // (recipe.batch * 6))):
        pool = sorted(pool.tolist(), key=lambda index: len(pieces[index]))
        batches += [pool[first : first + recipe.batch] for first in range(0, len(pool), recipe.batch)]
    result = []
    for place in generator.permutation(len(batches)):
        chosen = [pieces[index] for index in batches[place]]
        shifts = [int(generator.choice(fitting_shifts(piece))) if recipe.twelve_keys else 0 for piece in chosen]
        result.append([transposed(piece, shift) for piece, shift in zip(chosen, shifts, strict=True)])
    return result


class Run:
    """Training with an average of the weights, resumable after every epoch."""

    def __init__(self, pieces: dict[str, list[np.ndarray]], folder: Path, recipe: Recipe, random_seed: int) -> None:
        self.pieces, self.folder, self.recipe, self.random_seed = pieces, folder, recipe, random_seed
        torch.manual_seed(random_seed)
        self.model = make_model(recipe)
        self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.optimizer = make_optimizer(self.model, TrainingSettings(optimizer=recipe.optimizer, weight_decay=recipe.weight_decay))
        self.epoch, self.step, self.best = 0, 0, math.inf
        if (folder / "last.pt").exists():
            state = torch.load(folder / "last.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = state["average"]
            self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
            torch.set_rng_state(state["random"])

    def go(self) -> None:
        """Train to the recipe's last epoch; `best.safetensors` is the average with the lowest validation score."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe) | {"random_seed": self.random_seed}, indent=2) + "\n")
        per_epoch = len(epoch_batches(self.pieces["train"], self.recipe, np.random.default_rng(0)))
        total = per_epoch * self.recipe.epochs
        while self.epoch < self.recipe.epochs:
            clock, losses, tokens = time.perf_counter(), [], 0
            generator = np.random.default_rng([self.random_seed, self.epoch])
            for batch in tqdm(
                epoch_batches(self.pieces["train"], self.recipe, generator), desc=f"epoch {self.epoch}", disable=None, leave=False
            ):
                losses.append(self._one_step(batch, total))
                tokens += sum(len(piece) for piece in batch)
            self.epoch += 1
            seconds = time.perf_counter() - clock
            line = {
                "epoch": self.epoch,
                "train": float(np.mean(losses)),
                "tokens_per_second": round(tokens / seconds),
                "seconds": round(seconds, 1),
            }
            if self.epoch % 2 == 0 or self.epoch == self.recipe.epochs:
                trained = {name: value.detach().clone() for name, value in self.model.named_parameters()}
                self.model.load_state_dict(self.average, strict=False)
                figures = score(nats_of(self.model, self.pieces["valid"], self.recipe), self.pieces["valid"])
                if figures["nats_per_token"] < self.best:
                    self.best = figures["nats_per_token"]
                    save_file({n: v.contiguous() for n, v in self.average.items()}, str(self.folder / "best.safetensors"))
                self.model.load_state_dict(trained, strict=False)
                line |= {"valid": figures["nats_per_token"], "held": figures["held"], "changed": figures["changed"]}
            self._save()
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(line, flush=True)

    def _one_step(self, batch: list[np.ndarray], total: int) -> float:
        recipe = self.recipe
        rise, progress = min(1.0, (self.step + 1) / recipe.warmup), self.step / total
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * progress))
        self.model.train()
        inputs, labels, beats = batch_of(batch, recipe.beats)
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
            loss = self.model(inputs, beats, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        keep = min(recipe.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                self.average[name].lerp_(value, 1 - keep)
        return float(loss.detach())

    def _save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "average": self.average}
        state |= {"epoch": self.epoch, "step": self.step, "best": self.best, "random": torch.get_rng_state()}
        torch.save(state, self.folder / "last.pt.partial")
        os.replace(self.folder / "last.pt.partial", self.folder / "last.pt")


def main() -> None:
    """Train or read the test split, as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--splits", nargs="+", choices=["valid", "test"], help="score the chosen weights in float32, and train nothing")
    parser.add_argument("--mean-of-keys", action="store_true", help="with --splits: also under the mean of twelve keys' probabilities")
    for name, value in asdict(Recipe()).items():
        kind = (lambda text: text == "true") if isinstance(value, bool) else type(value)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    options = parser.parse_args()
    pieces = read_pieces(options.data)
    torch.set_float32_matmul_precision("highest" if options.splits else "medium")
    if options.splits:
        stored = json.loads((options.run / "recipe.json").read_text())
        stored.pop("random_seed")
        recipe = Recipe(**stored)
        model = make_model(recipe)
        model.load_state_dict(load_file(str(options.run / "best.safetensors")), strict=False)
        for split in options.splits:
            for keys, how in (("own key", nats_of), ("mean of keys", nats_over_keys))[: 1 + options.mean_of_keys]:
                print(json.dumps({"split": split, "keys": keys} | score(how(model, pieces[split], recipe), pieces[split])), flush=True)
        return
    recipe = Recipe(**{name: getattr(options, name) for name in asdict(Recipe())})
    Run(pieces, options.run, recipe, options.random_seed).go()


if __name__ == "__main__":
    main()

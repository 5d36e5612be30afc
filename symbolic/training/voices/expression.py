"""How notes are shaped, learned from recorded notes of several instruments: a network small enough to train in seconds.

    python -m symbolic.training.voices.expression VIOLIN=STORE FLUTE=STORE … -o expression.safetensors

A STORE is what `symbolic voice train` keeps in VOICE/training/recordings. Each labelled note is measured (`note_shapes`); the network
learns mean and spread of the numbers by their likelihood, and stops where it predicts held-out notes best.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

from symbolic.corpus.recordings.note_shapes import measure_shape
from symbolic.corpus.recordings.store import Recordings
from symbolic.errors import UsageError
from symbolic.files import new_file
from symbolic.rendering.expression import Expression, features
from symbolic.rendering.note_shape import NUMBERS

VELOCITIES = {"ppp": 20, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 127}  # as sequencers understand dynamics
EMBEDDING, WIDTH = 6, 32
STEPS, EVALUATED_EVERY = 1500, 25
WEIGHT_DECAY = 0.01


class _Network(nn.Module):
    def __init__(self, instruments: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.3 * torch.randn(instruments, EMBEDDING))
        self.first, self.second = nn.Linear(3 + EMBEDDING, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 2 * NUMBERS)

    def forward(self, instrument: torch.Tensor, told: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = torch.cat([told, self.embedding[instrument]], 1)
        given = self.last(torch.tanh(self.second(torch.tanh(self.first(values)))))
        return given[:, :NUMBERS], given[:, NUMBERS:].clamp(-4.0, 1.5)


def measured(stores: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """All notes that can be measured: `instrument` (N,), `told` (N, 3), `numbers` (N, NUMBERS), `held_out` (N,)."""
    columns: dict[str, list[Any]] = {"instrument": [], "told": [], "numbers": [], "held_out": []}
    for place, folder in enumerate(stores.values()):
        recordings = Recordings(folder)
        for note in recordings.notes:
            if note.note is None or note.dynamic not in VELOCITIES:
                continue
            pitch, loudness = (recordings.array(name, note).astype(np.float64) for name in ("pitch", "loudness"))
            found = measure_shape(pitch, loudness)
            if found is None:
                continue
            shape, seconds = found
            columns["instrument"].append(place)
            columns["told"].append(features(*(np.array([one]) for one in (note.note, VELOCITIES[note.dynamic], seconds)))[0])
            columns["numbers"].append(shape.numbers())
            columns["held_out"].append(note.held_out)
    return {name: np.array(column) for name, column in columns.items()}


def learn(
    instruments: list[str], notes: Mapping[str, np.ndarray], random_seed: int = 0
) -> tuple[Expression, dict[str, np.ndarray], dict[str, Any]]:
    """The network, its weights, and how well it predicts held-out notes beside each instrument's own average."""
    torch.manual_seed(random_seed)
    held = torch.from_numpy(notes["held_out"])
    mean, scale = notes["numbers"][~notes["held_out"]].mean(0), notes["numbers"][~notes["held_out"]].std(0)
    wanted = torch.from_numpy((notes["numbers"] - mean) / scale).float().clamp(-4, 4)
    told, instrument = torch.from_numpy(notes["told"]).float(), torch.from_numpy(notes["instrument"])
    network = _Network(len(instruments))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005, weight_decay=WEIGHT_DECAY)

    def loss(chosen: torch.Tensor) -> torch.Tensor:
        middle, spread = network(instrument[chosen], told[chosen])
        return (0.5 * ((wanted[chosen] - middle) / spread.exp()) ** 2 + spread).mean()

    best, kept, at = float("inf"), {}, 0
    for step in range(STEPS + 1):
        if step % EVALUATED_EVERY == 0:
            with torch.no_grad():
                figure = float(loss(held))
            if figure < best:
                best, at, kept = figure, step, {name: part.clone() for name, part in network.state_dict().items()}
        optimizer.zero_grad()
        loss(~held).backward()
        optimizer.step()
    network.load_state_dict(kept)
    with torch.no_grad():
        missed = ((network(instrument[held], told[held])[0] - wanted[held]) ** 2).mean(0).sqrt()
    average = torch.stack([wanted[~held & (instrument == place)].mean(0) for place in range(len(instruments))])
    plain = ((average[instrument[held]] - wanted[held]) ** 2).mean(0).sqrt()
    weights = {name: part.numpy().astype(np.float16) for name, part in network.state_dict().items()}
    weights |= {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}
    facts = {
        "notes": len(held), "held_out": int(held.sum()), "step": at,
        "missed": (missed.numpy() * scale).round(3).tolist(), "missed_by_average": (plain.numpy() * scale).round(3).tolist(),
        "variance_explained": float(1 - (missed**2).mean() / (plain**2).mean()),
    }  # fmt: skip
    return Expression(instruments, weights), weights, facts


def main(arguments: list[str]) -> None:
    """Learn and save."""
    if arguments[-2:-1] != ["-o"] or not all("=" in one for one in arguments[:-2]) or len(arguments) < 3:
        raise UsageError("NAME=STORE for each instrument and -o FILE are wanted")
    stores = {name: Path(folder) for name, folder in (one.split("=", 1) for one in arguments[:-2])}
    _, weights, facts = learn(list(stores), measured(stores))
    with new_file(Path(arguments[-1]), force=True) as path:
        save_file(weights, str(path), {"instruments": json.dumps(list(stores)), "facts": json.dumps(facts)})
        path.chmod(0o644)  # safetensors lets nobody else read it
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])

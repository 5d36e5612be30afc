"""Which size for how much computation: three sizes trained alike, a curve through their losses, the best size for a budget.

    python benchmarks/scaling.py DATASET --run RUN [--steps 1200] [--settings training.yaml] [--plot scaling.png] [--budgets 1e14 1e15]

Each size goes through the same tokens at a constant learning rate and is scored on the same held-out pieces every tenth of its steps.
Fitted is nats per note = E + A / N^a + B / D^b (Hoffmann et al., "Training Compute-Optimal Large Language Models", 2022) by least
squares of logarithms; N counts weights outside the token table, D tokens. Points of the first fifth of the steps are left out: they
are still of the warm-up. For a budget of C operations, 6 N D with what attention adds, the N with the lowest fitted loss is printed.
A run cut short goes on where it stopped. Other settings than sizes, steps and learning rate come from --settings.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from symbolic.settings import load_settings
from symbolic.training.loop import train
from symbolic.training.settings import ModelSettings, TrainingSettings

SIZES = ((128, 4, 4), (192, 6, 6), (288, 8, 9))
"""Width, layers, heads: 0.8, 2.7 and 8.0 million weights outside the token table."""
POINTS, LEFT_OUT = 10, 0.2


def weights(width: int, layers: int) -> int:
    """Of the matrices of the blocks."""
    return layers * 13 * width * width


def operations(width: int, layers: int, memory: int, tokens: float) -> float:
    """Floating-point operations of training on so many tokens, without the output layer."""
    return tokens * (6 * weights(width, layers) + 18 * width * layers * (memory + 1))


def losses(run: Path) -> list[tuple[int, float]]:
    """(step, nats per note) of every evaluation of a run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["validation"]["nats_per_note"]) for line in lines if "validation" in line]


def predicted(logs: np.ndarray, sizes: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """E + A / N^a + B / D^b, from (log E, log A, a, log B, b) and arrays of N and D in millions."""
    floor, a, alpha, b, beta = logs
    return np.exp(floor) + np.exp(a - alpha * np.log(sizes)) + np.exp(b - beta * np.log(tokens))


def fitted(points: np.ndarray) -> np.ndarray:
    """The five numbers of `predicted` for rows (N, D, nats per note), N and D in millions: the best of several beginnings."""
    from scipy.optimize import least_squares

    def wrong(logs: np.ndarray) -> np.ndarray:
        return np.log(predicted(logs, points[:, 0], points[:, 1])) - np.log(points[:, 2])

    begins = [(np.log(e), 0.0, a, np.log(4.0), b) for e in (0.5, 2.0, 3.5) for a in (0.1, 0.4) for b in (0.3, 0.8)]
    bounds = ([-5, -5, 0.01, -5, 0.01], [2, 5, 2, 5, 2])
    return min((least_squares(wrong, begin, bounds=bounds, loss="soft_l1", f_scale=0.01) for begin in begins), key=lambda f: f.cost).x


def best_for(budget: float, logs: np.ndarray, memory: int) -> tuple[int, int, float, float]:
    """Width, layers, millions of tokens and fitted loss of the best size for a budget; heads are 32 wide, layers width / 32."""
    found = []
    for width in range(96, 1025, 32):
        layers = max(3, width // 32)
        tokens = budget / operations(width, layers, memory, 1.0) / 1e6
        loss = float(predicted(logs, np.array(weights(width, layers) / 1e6), np.array(tokens)))
        found.append((loss, width, layers, tokens))
    loss, width, layers, tokens = min(found)
    return width, layers, tokens, loss


def draw(points: np.ndarray, logs: np.ndarray, path: Path) -> None:
    """Losses over tokens for every size, with the fitted curves."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for color, size in zip(("tab:blue", "tab:orange", "tab:green"), np.unique(points[:, 0]), strict=False):
        own = points[points[:, 0] == size]
        along = np.geomspace(own[:, 1].min(), own[:, 1].max() * 4, 60)
        axes.plot(own[:, 1], own[:, 2], "o", color=color, label=f"{size:.1f} million weights")
        axes.plot(along, predicted(logs, np.full(60, size), along), color=color)
    axes.set(xscale="log", xlabel="million tokens", ylabel="nats per note, held-out pieces")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train what is missing, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--budgets", type=float, nargs="+", default=[1e14, 3e14, 1e15, 1e16])
    options = parser.parse_args()
    common = load_settings(TrainingSettings, options.settings, TrainingSettings(optimizer="muon", learning_rate=0.004))
    common = replace(common, steps=options.steps, decay_share=0.0, evaluate_every=max(1, options.steps // POINTS), sample_every=0)
    step_tokens, memory, rows = common.lanes * common.segment_length / 1e6, common.model.memory_length, []
    for width, layers, heads in SIZES:
        run = options.run / f"{width}x{layers}"
        shape = ModelSettings(width, layers, heads, 4 * width, memory)
        known = losses(run) if (run / "metrics.jsonl").exists() else []
        if not known or known[-1][0] < options.steps:
            train(options.dataset, run, replace(common, model=shape), resume=(run / "last").exists())
        rows += [(weights(width, layers) / 1e6, step * step_tokens, nats) for step, nats in losses(run) if step >= LEFT_OUT * options.steps]
    points = np.array(rows)
    logs = fitted(points)
    print(f"{'million weights':>16}{'million tokens':>16}{'nats a note':>13}{'fitted':>9}")
    for (size, tokens, nats), fit in zip(points, predicted(logs, points[:, 0], points[:, 1]), strict=True):
        print(f"{size:>16.2f}{tokens:>16.2f}{nats:>13.3f}{fit:>9.3f}")
    floor, a, alpha, b, beta = logs
    print(f"\nnats per note = {np.exp(floor):.2f} + {np.exp(a):.2f} / N^{alpha:.2f} + {np.exp(b):.2f} / D^{beta:.2f}, N and D in millions")
    for budget in options.budgets:
        width, layers, tokens, loss = best_for(budget, logs, memory)
        print(f"{budget:.0e} operations: width {width}, {layers} layers, {tokens:,.0f} million tokens, {loss:.2f} nats per note")
    if options.plot:
        draw(points, logs, options.plot)


if __name__ == "__main__":
    main()

"""The loss curve of a run as a picture, from its metrics.jsonl."""

import json
from pathlib import Path

import numpy as np


def plot_curve(run: Path) -> None:
    """Write RUN/loss.png: training loss per token (smoothed) and held-out nats per note over steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    losses = np.array([line["loss"] for line in lines if "loss" in line])
    held_out = [(line["step"], line["validation"]["nats_per_note"]) for line in lines if "validation" in line]
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    if len(losses):
        width = max(1, len(losses) // 50)
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        left.plot(steps, losses, color="0.8", linewidth=0.8)
        left.plot(steps[width - 1 :], smooth, color="tab:blue")
    left.set(title="training", xlabel="step", ylabel="nats per token")
    if held_out:
        right.plot(*zip(*held_out, strict=True), color="tab:orange", marker="o", markersize=3)
    right.set(title="held-out pieces", xlabel="step", ylabel="nats per note")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(run / "loss.png", dpi=110)

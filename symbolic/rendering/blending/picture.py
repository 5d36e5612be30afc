"""The picture of a blend: the steps side by side as spectrograms, with the pitch asked for and its harmonics marked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symbolic.dsp.spectrogram import Spectrogram
from symbolic.dsp.units import midi_to_hz
from symbolic.rendering.blending.steps import BlendedNote

SPAN_DB = 80.0
ASKED = "#4dabf7"
COLUMNS = 5  # steps in a row
HARMONICS = 4


def draw_blend(steps: Sequence[BlendedNote], sample_rate: int, path: Path, title: str) -> None:
    """Write PNG, PDF or SVG by the suffix of `path`."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(steps))
    rows = -(-len(steps) // columns)
    figure = Figure(figsize=(max(5, 3 * columns), 0.6 + 3.6 * rows), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    pictures = [_levels(step.sound, sample_rate) for step in steps]
    top = max(float(levels.max()) for levels in pictures)
    for axis in axes.flat[len(steps) :]:
        axis.set_visible(False)
    for step, levels, axis in zip(steps, pictures, axes.flat, strict=False):
        extent = (0.0, len(step.sound) / sample_rate, 0.0, sample_rate / 2000)
        axis.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - SPAN_DB, vmax=top)
        for number in range(1, HARMONICS + 1):
            kilohertz = number * float(midi_to_hz(step.pitch)) / 1000
            if kilohertz < sample_rate / 2000:
                axis.plot([extent[1] * 0.97, extent[1]], [kilohertz, kilohertz], color=ASKED, linewidth=2)
        heard = "no pitch" if step.heard is None else f"{100 * (step.heard - step.pitch):+.0f} cents"
        axis.set_title(f"{step.share:.0%}, {heard}" if len(steps) > 1 else heard, fontsize=10)
        axis.set(xlabel="seconds")
    for row in axes:
        row[0].set(ylabel="kHz")
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


def _levels(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    picture = Spectrogram(sample_rate, len(sound) / sample_rate)
    picture.add(sound[None])
    picture.finish()
    return picture.levels()

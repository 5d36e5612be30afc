"""The picture of a transfer: pitch, loudness and spectrogram, before and after, over the same seconds."""

from pathlib import Path

import numpy as np

from symbolic.dsp.spectrogram import Spectrogram
from symbolic.dsp.units import hz_to_midi

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SPAN_DB = 90.0
TOP_HERTZ = 12000.0
BEFORE, AFTER = "#868e96", "#c92a2a"


def draw_transfer(curves: np.ndarray, seconds: float, before: Spectrogram, after: Spectrogram, path: Path, source: str, voice: str) -> None:
    """Write PNG, PDF or SVG by the suffix of `path`. `curves` (n, 5), evenly over `seconds`: pitch in hertz, loudness in decibels and gate
    as heard; pitch and loudness as played."""
    from matplotlib.figure import Figure

    pitch, loudness, gate, played, told = curves.T.astype(np.float64)
    time = np.linspace(0.0, seconds, len(curves), endpoint=False)
    figure = Figure(figsize=(11, 10), layout="constrained", facecolor="white")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(2, 1.4, 2, 2))
    sings = gate > 0
    for hertz, colour, name in ((pitch, BEFORE, source), (played, AFTER, voice)):
        axes[0].plot(time, np.where(sings, hz_to_midi(hertz), np.nan), color=colour, label=name, linewidth=1.4)
    for decibels, colour in ((loudness, BEFORE), (told, AFTER)):
        axes[1].plot(time, decibels, color=colour, linewidth=1.0)
    axes[0].set(ylabel="pitch", title=f"{source}, played by {voice}")
    low, high = axes[0].get_ylim()
    step = 12 if high - low > 24 else 4 if high - low > 8 else 1  # of C, E and G sharp, or of semitones
    notes = range(-(-int(np.floor(low)) // step) * step, int(np.ceil(high)) + 1, step)
    axes[0].set_yticks(list(notes), [f"{NAMES[note % 12]}{note // 12 - 1}" for note in notes])
    axes[0].set_ylim(low, high)
    axes[0].legend(loc="upper right", frameon=False)
    axes[1].set(ylabel="loudness in dB (A)", ylim=(-85, None))
    for axis, sound, name in ((axes[2], before, source), (axes[3], after, voice)):
        levels = sound.levels()
        extent = (0.0, sound.samples / sound.sample_rate, 0.0, sound.sample_rate / 2000)
        top = float(levels.max())
        axis.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - SPAN_DB, vmax=top)
        axis.set(ylabel=f"kHz, {name}", ylim=(0, TOP_HERTZ / 1000))
        axis.set_facecolor("#dee2e6")
    axes[3].set(xlabel="seconds", xlim=(0, max(seconds, 1e-3)))
    for axis in axes[:2]:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=100)

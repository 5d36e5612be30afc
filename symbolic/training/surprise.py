"""The surprise curve of one piece: how many nats each note cost a model, as a picture over bars.

Units: nats; bars count from 1 and stand at equal distances, whatever their meters; beats count from 1 in the meter's own beats.
A note's nats are those of its own tokens and of the Position that brought it; bar lines, meters and tempos belong to no note,
but to their bar, whose curve is all nats of the bar's tokens / its notes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symbolic.errors import InputError
from symbolic.files import new_file, refuse_existing
from symbolic.midi.pianoroll import FORMATS
from symbolic.midi.programs import DRUM_NAMES, PROGRAM_NAMES
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKED = 8
_PITCH_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


@dataclass(frozen=True)
class SurprisingNote:
    """A note in its bar (both from 1), how long it is in bars, its program (−1: drums), MIDI pitch, and what it cost."""

    bar: int
    beat: float
    start: float
    length: float
    program: int
    pitch: int
    nats: float

    def name(self) -> str:
        """Pitch and instrument as people call them: "E5, Violin"."""
        if self.program < 0:
            return DRUM_NAMES.get(self.pitch, f"drum {self.pitch}")
        return f"{_PITCH_NAMES[self.pitch % 12]}{self.pitch // 12 - 1}, {PROGRAM_NAMES[self.program]}"


def note_surprises(ids: np.ndarray, nats: np.ndarray, vocabulary: Vocabulary) -> list[SurprisingNote]:
    """Every note of a piece (BOS … EOS, T ids) with its nats, from those of its tokens (T − 1,), in the piece's order."""
    ids, beats = np.asarray(ids, dtype=np.intp), derive_beats(ids, vocabulary)
    meter, program, pitch, paid = 4, 0, 0, 0.0
    notes: list[SurprisingNote] = []
    for place in range(1, len(ids)):
        kind, value = vocabulary.types[ids[place]], int(vocabulary.values[ids[place]])
        if kind in (TokenType.BAR, TokenType.TEMPO, TokenType.EOS):
            continue
        if kind == TokenType.TIME_SIGNATURE:
            meter = int(vocabulary.numerators[ids[place]])
            continue
        paid += float(nats[place - 1])
        if kind == TokenType.PROGRAM:
            program = value
        elif kind in (TokenType.PITCH, TokenType.DRUM_PITCH):
            pitch, program = value, -1 if kind == TokenType.DRUM_PITCH else program
        elif kind == TokenType.DURATION:
            bar, beat, subdivision = (int(part) for part in beats[place])
            within = beat + subdivision / vocabulary.positions_per_beat
            length = value / vocabulary.positions_per_beat / meter
            notes.append(SurprisingNote(bar + 1, within + 1, bar + 1 + within / meter, length, program, pitch, paid))
            paid = 0.0
    return notes


def bar_surprises(ids: np.ndarray, nats: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Nats per note of every bar, float64 (bars,); not a number where a bar has no note."""
    ids = np.asarray(ids)[1:]
    bars = derive_beats(ids, vocabulary)[:, 0]
    sums, notes = (np.bincount(bars, weights) for weights in (nats, vocabulary.types[ids] == TokenType.VELOCITY))
    return np.where(notes > 0, sums / np.maximum(notes, 1), np.nan)


def plot_surprise(ids: np.ndarray, nats: np.ndarray, vocabulary: Vocabulary, path: str | Path, title: str, *, force: bool = False) -> None:
    """Write the picture of a piece's notes, coloured by what they cost, over the curve of its bars, to `path` (PNG, PDF or SVG).

    The `MARKED` costliest notes are numbered and named. Raises `InputError` for another suffix, or when `path` exists without `force`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    check_picture(path, force)
    notes, curve = note_surprises(ids, nats, vocabulary), bar_surprises(ids, nats, vocabulary)
    marked = most_surprising(notes)
    width = float(np.clip(4 + 0.16 * len(curve), 9, 24))
    figure = Figure(figsize=(width, 7.5), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_notes(upper, notes, marked)
    _draw_curve(lower, curve, marked, float(nats.sum() / max(len(notes), 1)))
    lower.set_xlim(0.8, len(curve) + 1.2)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", parse_math=False)
    words = [f"{n + 1}  bar {note.bar}, beat {note.beat:.3g}: {note.name()}, {note.nats:.1f} nats" for n, note in enumerate(marked)]
    columns = max(1, int(width // 4.2))
    per_column = -(-len(words) // columns)
    for column in range(0, len(words), per_column):
        text = "\n".join(words[column : column + per_column])
        lower.annotate(
            text, (column / per_column / columns, 0), (0, -42), xycoords="axes fraction", textcoords="offset points", va="top", fontsize=8.5
        )
    with new_file(path, force) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().removeprefix("."))


def most_surprising(notes: Sequence[SurprisingNote]) -> list[SurprisingNote]:
    """The `MARKED` costliest notes, in the order of the piece."""
    chosen = sorted(range(len(notes)), key=lambda place: -notes[place].nats)[:MARKED]
    return [notes[place] for place in sorted(chosen)]


def check_picture(path: Path, force: bool) -> None:
    """Raise `InputError` when `path` cannot become a picture, before any work is done."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture cannot be written as '{path.suffix}'; choose a name that ends in {', '.join(FORMATS)}")
    refuse_existing(path, force)


def _draw_notes(axes: "Axes", notes: Sequence[SurprisingNote], marked: Sequence[SurprisingNote]) -> None:
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    drawn = sorted(notes, key=lambda note: note.nats)  # where voices meet, the costlier note is seen
    costs = np.array([note.nats for note in drawn])
    boxes: list[Any] = [Rectangle((note.start, note.pitch - 0.4), max(note.length, 0.03), 0.8) for note in drawn]
    colours = ListedColormap(colormaps["inferno_r"](np.linspace(0.12, 1, 256)))  # its first eighth is hardly seen on white
    bars = PatchCollection(boxes, cmap=colours, linewidths=0)
    bars.set_array(costs)
    bars.set_clim(0, max(1.0, float(np.quantile(costs, 0.99))) if len(costs) else 1.0)
    axes.add_collection(bars)
    for number, note in enumerate(marked):
        axes.plot(note.start + note.length / 2, note.pitch, "o", ms=13, mfc="none", mec="tab:blue", mew=1.6)
        axes.annotate(
            str(number + 1), (note.start + note.length / 2, note.pitch), (0, 9), textcoords="offset points", ha="center", va="bottom",
            color="tab:blue", fontweight="bold", fontsize=9,
        )  # fmt: skip
    pitches = [note.pitch for note in notes]
    axes.set_ylim(min(pitches, default=60) - 3, max(pitches, default=60) + 5)
    octaves = [pitch for pitch in range(0, 128, 12) if min(pitches, default=60) - 3 <= pitch <= max(pitches, default=60) + 5]
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set_ylabel("pitch")
    axes.grid(alpha=0.25)
    axes.figure.colorbar(bars, ax=axes, label="nats of the note", pad=0.01)


def _draw_curve(axes: "Axes", curve: np.ndarray, marked: Sequence[SurprisingNote], mean: float) -> None:
    edges = np.arange(1, len(curve) + 2)
    axes.stairs(curve, edges, color="tab:red", linewidth=1.5, fill=False)
    axes.axhline(mean, color="0.4", linewidth=0.9, linestyle="--")
    axes.annotate(f"mean {mean:.2f}", (1, mean), (3, 3), textcoords="offset points", fontsize=8, color="0.3")
    for number, note in enumerate(marked):
        axes.annotate(
            str(number + 1),
            (note.start, curve[note.bar - 1]),
            (0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="tab:blue",
        )
    axes.set(xlabel="bar", ylabel="nats per note")
    axes.set_ylim(0, float(np.nanmax(curve, initial=1.0)) * 1.15)
    step = next(step for step in (1, 2, 4, 8, 10, 20, 40, 50, 100, 200, 500, 1000, 10**9) if len(curve) <= 30 * step)
    axes.set_xticks([1, *range(max(step, 2), len(curve) + 1, step)])
    axes.grid(alpha=0.25)

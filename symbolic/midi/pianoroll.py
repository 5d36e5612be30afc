"""A score as a picture: pitch upwards, time to the right in bars, one colour for each part, drums in a panel below.

Louder notes are more opaque. With a seed, its notes are greyish and the notes that continue it saturated,
in the same hue for the same part, and a line stands where the seed ends.

Units: ticks along the picture, MIDI notes up; C4 is 60; bars count from 1; sizes in inches. The size of a picture is bounded,
so an hour of music becomes an overview.
"""

import colorsys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.files import new_file, refuse_existing
from symbolic.midi.meter import bar_starts
from symbolic.midi.programs import DRUM_NAMES, PROGRAM_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
DOTS_PER_INCH = 150
MAX_WIDTH = 24.0
MAX_HEIGHT = 16.0
MAX_LEGEND_PARTS = 12

_HUES = ("#2f6fde", "#e8590c", "#2b9348", "#c2255c", "#7048e8", "#0c9fb0", "#c98a00", "#d6222a", "#74a800", "#b5179e")
_INK = "#343a40"
_FAINT = "#868e96"
_SEED_GREY = 0.63
_SEED_CHROMA = 0.16
_MIN_OPACITY = 0.5
_MIN_NOTE_PIXELS = 1.5
_MIN_DRUM_PIXELS = 3.5
_MIN_OUTLINED_PIXELS = 6.0
_RASTER_ABOVE = 20_000
_NATURALS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}

Colour = tuple[float, float, float]


def plot_piano_roll(
    score: ScoreTick,
    path: str | Path,
    *,
    seed_end_ticks: int | None = None,
    title: str | None = None,
    force: bool = False,
) -> None:
    """Write the piano roll of `score` to `path`, as PNG, PDF or SVG by its suffix.

    Notes that begin before `seed_end_ticks` are drawn as the seed, all others as its continuation; None draws one family of colours.
    Raises `InputError` when the score has no notes, the suffix is another one, or `path` exists and `force` is not given.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture cannot be written as '{path.suffix}'; choose a name that ends in {', '.join(FORMATS)}")
    refuse_existing(path, force)
    figure = piano_roll_figure(score, seed_end_ticks=seed_end_ticks, title=title)
    with new_file(path, force) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format=path.suffix.lower().removeprefix("."))


def piano_roll_figure(score: ScoreTick, *, seed_end_ticks: int | None = None, title: str | None = None) -> "Figure":
    """The piano roll as a matplotlib figure, for a notebook or for more drawing; pyplot is not touched.

    The first axes hold the pitched notes, the last ones the drums, if there are both; x is in ticks.
    Raises `InputError` when the score has no notes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = _parts(score)
    if not parts:
        raise InputError("this score has no notes, so there is nothing to draw; choose another file")
    starts = bar_starts(score)
    end = max(int(starts[-1]), *(int((part.onsets + part.durations).max()) for part in parts))
    width, scale = _width(end / max(score.ticks_per_quarter, 1))
    panels = [panel for panel in (_PitchPanel(parts), _DrumPanel(parts)) if panel.parts]
    heights = [min(panel.height * scale, panel.share_of_width * width) for panel in panels]
    rows_of_legend = -(-min(len(parts), MAX_LEGEND_PARTS + 1) // _legend_columns(parts, width, scale))
    height = sum(heights) + scale * (0.55 + 0.22 * rows_of_legend + (0.3 if title else 0.0) + (0.2 if seed_end_ticks is not None else 0.0))
    figure = Figure(figsize=(width, min(height, MAX_HEIGHT)), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
    for panel, axes in zip(panels, grid[:, 0], strict=True):
        panel.draw(axes, end, end / (width * DOTS_PER_INCH), seed_end_ticks, scale)
        _draw_bars(axes, starts, end, width, scale, is_last=panel is panels[-1])
        if seed_end_ticks is not None and 0 < seed_end_ticks < end:
            axes.axvline(seed_end_ticks, color=_INK, linewidth=1.3 * scale, zorder=4)
    if seed_end_ticks is not None:
        _label_seed(grid[0, 0], seed_end_ticks, end, scale)
    if title:
        figure.suptitle(_clean(title, 120), x=0.01, ha="left", fontsize=12 * scale, color=_INK, fontweight="bold", parse_math=False)
    _draw_legend(figure, parts, seed_end_ticks is not None, width, scale)
    return figure


def part_colour(index: int, is_seed: bool) -> Colour:
    """Red, green and blue, 0 to 1, of the part with this index: greyish in a seed, saturated otherwise.

    Ten hues, then the same ones darker, then lighter; from the thirtieth part on the colours repeat.
    """
    lap, index = divmod(index, len(_HUES))
    red, green, blue = (int(_HUES[index][i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    lightness = min(lightness * (1.0, 0.72, 1.25)[lap % 3], 0.68)
    saturation = saturation if lap % 3 == 0 else max(saturation, 0.85)
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    if not is_seed:
        return red, green, blue
    shrink = _SEED_CHROMA / (max(red, green, blue) - min(red, green, blue))
    grey = _SEED_GREY * (1.0, 0.8, 1.15)[lap % 3]
    middle = (max(red, green, blue) + min(red, green, blue)) / 2
    return (grey + (red - middle) * shrink, grey + (green - middle) * shrink, grey + (blue - middle) * shrink)


def opacity(velocity: np.ndarray) -> np.ndarray:
    """Opacity of notes, from 0.5 at velocity 0 to 1 at velocity 127; the same shape."""
    return _MIN_OPACITY + (1 - _MIN_OPACITY) * np.clip(velocity, 0, 127) / 127


def numbered_bars(starts: np.ndarray, width: float, room: float = 0.42) -> np.ndarray:
    """Indices into `starts` (from `bar_starts`) of the bars that get a number, in a picture `width` inches wide.

    Every 1, 2, 4, 8, ... bars, so that a number has `room` inches: 22 bars in 12 inches are numbered 1, 2, 3, ...,
    and 100 bars 1, 5, 9, .... Shorter bars than usual may lose theirs.
    """
    bars = max(len(starts) - 1, 1)
    step = 1
    while width * step / bars < room:
        step *= 2
    ticks_of_room = room * float(starts[-1]) / width * 0.7
    chosen: list[int] = []
    for index in range(0, bars, step):
        if not chosen or starts[index] - starts[chosen[-1]] >= ticks_of_room:
            chosen.append(index)
    return np.array(chosen, dtype=np.int64)


@dataclass
class _Part:
    index: int
    name: str
    is_drum: bool
    onsets: np.ndarray
    durations: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


def _parts(score: ScoreTick) -> list[_Part]:
    """The tracks that have notes; a track without a name is called by its program."""
    parts: list[_Part] = []
    for track in score.tracks:
        if not len(track.notes):
            continue
        columns = {key: values.astype(np.int64) for key, values in track.notes.numpy().items()}
        fallback = "Drums" if track.is_drum else PROGRAM_NAMES[track.program % len(PROGRAM_NAMES)]
        name = _clean(track.name, 30) or fallback
        parts.append(_Part(len(parts), name, track.is_drum, columns["time"], columns["duration"], columns["pitch"], columns["velocity"]))
    return parts


def _clean(text: str, length: int) -> str:
    """One printable line of at most `length` characters."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _width(quarters: float) -> tuple[float, float]:
    """Width in inches, and how much larger letters and lines get with it: 88 quarters make (12.1, 1.0)."""
    width = min(max(1.5 + 0.12 * quarters, 7.0), MAX_WIDTH)
    return width, min(max((width / 14.0) ** 0.7, 1.0), 1.8)


class _PitchPanel:
    """All parts but the drums; a row for each semitone."""

    share_of_width = 0.55  # of the picture's width, so that a short piece is no tower

    def __init__(self, parts: list[_Part]) -> None:
        self.parts = [part for part in parts if not part.is_drum]
        if self.parts:
            low = min(int(part.pitches.min()) for part in self.parts) - 2
            high = max(int(part.pitches.max()) for part in self.parts) + 2
            short = max(0, 16 - (high - low))
            self.low, self.high = low - short // 2, high + (short + 1) // 2
            self.height = min(max(0.085 * (self.high - self.low), 2.2), 6.0)

    def draw(self, axes: "Axes", end: int, ticks_per_pixel: float, seed_end: int | None, scale: float) -> None:
        for pitch in range(self.low, self.high + 1):
            if pitch % 12 not in _NATURALS:
                axes.axhspan(pitch - 0.5, pitch + 0.5, color="#f1f3f5", linewidth=0, zorder=0)
            if pitch % 12 == 0:
                axes.axhline(pitch - 0.5, color="#ced4da", linewidth=0.6 * scale, zorder=1)
        _draw_notes(axes, self.parts, None, ticks_per_pixel, seed_end, scale)
        axes.set_xlim(0, end)
        axes.set_ylim(self.low - 0.5, self.high + 0.5)
        span = self.high - self.low
        named = (0, 2, 4, 5, 7, 9, 11) if span <= 20 else (0, 4, 7) if span <= 40 else (0, 7) if span <= 52 else (0,)
        labels = [pitch for pitch in range(self.low, self.high + 1) if pitch % 12 in named]
        axes.set_yticks(labels, [f"{_NATURALS[pitch % 12]}{pitch // 12 - 1}" for pitch in labels])
        _bare(axes, scale)


class _DrumPanel:
    """The drum parts; a row for each drum key that is struck, the highest on top."""

    share_of_width = 0.35

    def __init__(self, parts: list[_Part]) -> None:
        self.parts = [part for part in parts if part.is_drum]
        self.keys = sorted({int(pitch) for part in self.parts for pitch in np.unique(part.pitches)})
        self.height = min(max(0.17 * len(self.keys), 0.5), 3.4)

    def draw(self, axes: "Axes", end: int, ticks_per_pixel: float, seed_end: int | None, scale: float) -> None:
        for row in range(0, len(self.keys), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#f1f3f5", linewidth=0, zorder=0)
        _draw_notes(axes, self.parts, self.keys, ticks_per_pixel, seed_end, scale)
        axes.set_xlim(0, end)
        axes.set_ylim(-0.5, len(self.keys) - 0.5)
        step = -(-len(self.keys) // 20)
        rows = range(0, len(self.keys), step)
        axes.set_yticks(list(rows), [DRUM_NAMES.get(self.keys[row], f"key {self.keys[row]}") for row in rows])
        _bare(axes, scale)
        axes.tick_params(axis="y", labelsize=6.5 * scale)


def _draw_notes(
    axes: "Axes", parts: list[_Part], keys: list[int] | None, ticks_per_pixel: float, seed_end: int | None, scale: float
) -> None:
    """One rectangle for each note, long ones below short ones. With `keys` (drums) a row is the key's place in that list."""
    from matplotlib.collections import PolyCollection

    onsets = np.concatenate([part.onsets for part in parts])
    durations = np.concatenate([part.durations for part in parts])
    pitches = np.concatenate([part.pitches for part in parts])
    rows = pitches if keys is None else np.searchsorted(keys, pitches)
    colours = np.empty((len(onsets), 4))
    is_seed = np.zeros(len(onsets), dtype=bool) if seed_end is None else onsets < seed_end
    owner = np.repeat([part.index for part in parts], [len(part.onsets) for part in parts])
    for part in parts:
        for seed in (False, True):
            colours[(owner == part.index) & (is_seed == seed), :3] = part_colour(part.index, seed)
    colours[:, 3] = opacity(np.concatenate([part.velocities for part in parts]))
    widths = np.maximum(durations, (_MIN_NOTE_PIXELS if keys is None else _MIN_DRUM_PIXELS) * ticks_per_pixel)
    order = np.argsort(-widths, kind="stable")
    left, right, half = onsets, onsets + widths, 0.44 if keys is None else 0.36
    corners = [(left, rows - half), (left, rows + half), (right, rows + half), (right, rows - half)]
    rectangles = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)[order]
    edges = np.where(widths > _MIN_OUTLINED_PIXELS * ticks_per_pixel, 0.6 * scale, 0.0)[order]
    notes = PolyCollection(list(rectangles), facecolors=colours[order], edgecolors="white", linewidths=edges, zorder=3)
    notes.set_rasterized(len(onsets) > _RASTER_ABOVE)
    axes.add_collection(notes, autolim=False)


def _draw_bars(axes: "Axes", starts: np.ndarray, end: int, width: float, scale: float, *, is_last: bool) -> None:
    numbered = numbered_bars(starts, width, 0.42 * scale)
    if width / len(starts) * DOTS_PER_INCH > 6:
        axes.vlines(starts, 0, 1, transform=axes.get_xaxis_transform(), colors="#dee2e6", linewidths=0.5 * scale, zorder=1, snap=True)
    numbered_ticks, whole_height = starts[numbered], axes.get_xaxis_transform()
    axes.vlines(numbered_ticks, 0, 1, transform=whole_height, colors="#ced4da", linewidths=0.7 * scale, zorder=2, snap=True)
    axes.set_xticks(starts[numbered], [str(index + 1) for index in numbered])
    axes.set_xlim(0, end)
    axes.tick_params(axis="x", labelbottom=is_last)
    if is_last:
        axes.set_xlabel("bar", fontsize=8.5 * scale, color=_FAINT, labelpad=1)


def _bare(axes: "Axes", scale: float) -> None:
    axes.tick_params(length=0, labelsize=8 * scale, labelcolor=_FAINT, pad=3 * scale)
    for spine in axes.spines.values():
        spine.set_color("#ced4da")
        spine.set_linewidth(0.8 * scale)


def _label_seed(axes: "Axes", seed_end: int, end: int, scale: float) -> None:
    place = min(max(seed_end, 0), end)
    for text, side, has_room in (("seed", "right", place > 0.05 * end), ("continuation", "left", place < 0.9 * end)):
        if has_room:
            axes.annotate(
                text,
                (place, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-5 * scale if side == "right" else 5 * scale, 3 * scale),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=9 * scale,
                color=_FAINT if text == "seed" else _INK,
                fontweight="normal" if text == "seed" else "bold",
            )


def _legend_columns(parts: list[_Part], width: float, scale: float) -> int:
    """How many names stand side by side; a letter takes about 0.08 inches, the coloured patches and the gap 0.7."""
    longest = max(len(part.name) for part in parts)
    return max(1, min(int(width / ((0.7 + 0.08 * longest) * scale)), 8))


def _draw_legend(figure: "Figure", parts: list[_Part], has_seed: bool, width: float, scale: float) -> None:
    """Names below the picture; beyond twelve parts, 'and 18 more'. With a seed both colours of a part are shown."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.patches import Patch

    families = (True, False) if has_seed else (False,)
    shown = parts if len(parts) <= MAX_LEGEND_PARTS + 1 else parts[:MAX_LEGEND_PARTS]
    handles: list[Any] = [tuple(Patch(facecolor=part_colour(part.index, seed)) for seed in families) for part in shown]
    names = [part.name for part in shown]
    if len(shown) < len(parts):
        handles.append((Patch(facecolor="none"),))
        names.append(f"and {len(parts) - len(shown)} more")
    legend = figure.legend(
        handles,
        [" "] * len(names),
        loc="outside lower center",
        ncols=min(_legend_columns(parts, width, scale), len(names)),
        fontsize=8.5 * scale,
        labelcolor=_INK,
        frameon=False,
        handlelength=2.0 if has_seed else 1.2,
        handleheight=0.8,
        borderaxespad=0.2,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)

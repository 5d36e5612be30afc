"""Do filled bars join what stands around them? Intervals and onsets across both borders of a gap, against those of the true bars.

    python benchmarks/seams.py DATASET MODEL [--split test] [--pieces 100]

A gap of 4 bars in the opening of each piece (`middle_writing.py`), at random from a fixed seed, with two bars and notes before it and
behind it. At each border, of every program that plays in the bar before it and in the bar behind it:
    interval    semitones from the last onset before the border to the first behind it, from top note to top note, and from lowest to
                lowest where a side has several; not of drums and noises
    onsets      quarter notes between these two onsets
    line        quarter notes between the bar line and the onset that lies in the gap
Compared with what the true bars have at the same borders, over all pieces:
    fill            `symbolic.fill`, which knows both sides
    continuation    4 bars by the same model that knows the left side only, as `symbolic continue` writes them
    other piece     4 bars of the same meters from another piece, which has at least as many parts; its parts take the programs of this one
                    in their order of pitch, drums those of drums
    near register   the same, each part moved by octaves to where its program stands before the gap
    next bar line   the true piece at the bar line one bar before the left border and one after the right: what chance alone makes
W1 is the earth mover's distance between the distributions of a row and of the true bars, in semitones and in quarter notes; intervals
have their direction. |interval| is the mean of the size, and `plays` how many programs play on both sides, for each that does in truth.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from middle_writing import GAP, opening
from resemblance import wasserstein
from symusic.core import ScoreTick

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.errors import InputError
from symbolic.generation.continuation import continue_takes
from symbolic.generation.middle import fill
from symbolic.midi.meter import bar_starts
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.names import DRUMS
from symbolic.training.evaluation import opened

AROUND = 2  # bars on both sides
OCTAVE = 12
SIDES = ("left", "right")


@dataclass(frozen=True)
class Part:
    """Notes in order of time: program (−1 for drums), onset in quarter notes, pitch; shape (N,) each."""

    program: np.ndarray
    onset: np.ndarray
    pitch: np.ndarray

    def within(self, start: float, stop: float) -> "Part":
        """The notes that begin in [start, stop)."""
        return self.chosen((self.onset >= start - 1e-6) & (self.onset < stop - 1e-6))

    def chosen(self, which: np.ndarray) -> "Part":
        """Some of the notes."""
        return Part(self.program[which], self.onset[which], self.pitch[which])

    def programs(self) -> list[int]:
        """Those that play, from the lowest mean pitch to the highest; drums are not among them."""
        there = [program for program in np.unique(self.program).tolist() if program != DRUMS]
        return sorted(there, key=lambda program: float(self.pitch[self.program == program].mean()))


@dataclass(frozen=True)
class Gap:
    """A piece, its bar lines in quarter notes, and the first bar of its gap (from 0)."""

    index: int
    score: ScoreTick
    music: Part
    lines: np.ndarray
    first: int

    @property
    def start(self) -> float:
        """Where the gap begins, in quarter notes."""
        return float(self.lines[self.first])

    @property
    def stop(self) -> float:
        """Where it ends."""
        return float(self.lines[self.first + GAP])

    def lengths(self) -> list[float]:
        """Of the bars in the gap."""
        return np.diff(self.lines[self.first : self.first + GAP + 1]).tolist()

    def with_bars(self, bars: Part) -> Part:
        """The piece with other notes in the gap."""
        parts = [self.music.within(0, self.start), bars.within(self.start, self.stop), self.music.within(self.stop, np.inf)]
        return joined(parts)


@dataclass(frozen=True)
class Border:
    """What lies across a bar line: intervals in semitones; onsets and, of the side in the gap, distances from the line in quarters."""

    interval: np.ndarray
    onsets: np.ndarray
    line: np.ndarray


def joined(parts: Sequence[Part]) -> Part:
    """All notes of some parts."""
    return Part(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("program", "onset", "pitch")))


def music_of(score: ScoreTick) -> Part:
    """The notes of a score."""
    parts = []
    for track in score.tracks:
        notes = track.notes.numpy()
        program = np.full(len(notes["time"]), DRUMS if track.is_drum else track.program)
        parts.append(Part(program, notes["time"] / score.ticks_per_quarter, notes["pitch"].astype(int)))
    found = joined(parts)
    return found.chosen(np.argsort(found.onset, kind="stable"))


def border(music: Part, previous: float, line: float, following: float, gap_behind: bool) -> Border:
    """Across the bar line `line`, between the bar lines before and after it; the gap lies behind the line, or before it."""
    before, behind = music.within(previous, line), music.within(line, following)
    intervals, onsets, distances = list[int](), list[float](), list[float]()
    for program in np.intersect1d(before.program, behind.program).tolist():
        one, other = before.chosen(before.program == program), behind.chosen(behind.program == program)
        last, first = float(one.onset.max()), float(other.onset.min())
        onsets.append(first - last)
        distances.append(first - line if gap_behind else line - last)
        if program != DRUMS and program not in UNPITCHED_PROGRAMS:
            left, right = one.pitch[one.onset == last], other.pitch[other.onset == first]
            intervals.append(int(right.max() - left.max()))
            if len(left) > 1 or len(right) > 1:
                intervals.append(int(right.min() - left.min()))
    return Border(np.array(intervals, dtype=float), np.array(onsets), np.array(distances))


def borders(gap: Gap, music: Part, outwards: int = 0) -> tuple[Border, Border]:
    """At the left and right border of the gap, or so many bars farther out."""
    left, right = gap.first - outwards, gap.first + GAP + outwards
    lines = gap.lines
    return (
        border(music, float(lines[left - 1]), float(lines[left]), float(lines[left + 1]), True),
        border(music, float(lines[right - 1]), float(lines[right]), float(lines[right + 1]), False),
    )


def gap_of(index: int, score: ScoreTick, generator: np.random.Generator) -> Gap | None:
    """A gap in a piece; None where it has no place for one."""
    if not score.note_num():
        return None
    music, lines = music_of(score), bar_starts(score) / score.ticks_per_quarter
    sounding = [len(music.within(start, stop).onset) > 0 for start, stop in itertools.pairwise(lines)]
    places = [first for first in range(AROUND, len(lines) - GAP - AROUND) if sounding[first - 1] and sounding[first + GAP]]
    return Gap(index, score, music, lines, int(generator.choice(places))) if places else None


def continued(gap: Gap, options: dict[str, object]) -> Part:
    """What the model writes after the left side."""
    start = round(gap.start * gap.score.ticks_per_quarter)
    left = gap.score.copy()
    for track in left.tracks:
        kept = [note for note in track.notes if note.time < start]
        for note in kept:
            note.duration = min(note.duration, start - note.time)
        track.notes = type(track.notes)(kept)
    left.tempos = type(left.tempos)([tempo for tempo in left.tempos if tempo.time < start])
    left.time_signatures = type(left.time_signatures)([meter for meter in left.time_signatures if meter.time < start])
    left.tracks = type(left.tracks)([track for track in left.tracks if len(track.notes)])
    return music_of(continue_takes(left, GAP, **options)[0])  # type: ignore[arg-type]


def borrowed(gap: Gap, others: Sequence[Gap], near: bool) -> Part | None:
    """The bars of the first of `others` whose gap has the same meters and parts enough, at the place of this gap; None without one."""
    own = gap.music.within(0, gap.start)
    wanted = own.programs()
    for other in others:
        bars = other.music.within(other.start, other.stop)
        there = bars.programs()
        if other.index == gap.index or other.lengths() != gap.lengths() or len(there) < len(wanted):
            continue
        moved = []
        for rank, program in enumerate(wanted):
            taken = bars.chosen(bars.program == there[round(rank * (len(there) - 1) / max(1, len(wanted) - 1))])
            apart = float(own.pitch[own.program == program].mean() - taken.pitch.mean())
            shift = OCTAVE * round(apart / OCTAVE) if near else 0
            moved.append(Part(np.full(len(taken.pitch), program), taken.onset - other.start + gap.start, taken.pitch + shift))
        drums = bars.chosen(bars.program == DRUMS)
        if (own.program == DRUMS).any():
            moved.append(Part(drums.program, drums.onset - other.start + gap.start, drums.pitch))
        return joined(moved)
    return None


def row(name: str, found: Sequence[Border], true: Sequence[Border]) -> str:
    """One line of the table, for one side of the gaps."""
    pairs = [[np.concatenate([getattr(one, what) for one in many]) for many in (found, true)] for what in ("interval", "onsets", "line")]
    size = float(np.abs(pairs[0][0]).mean()) if len(pairs[0][0]) else float("nan")
    plays = len(pairs[1][0]) / max(1, len(pairs[1][1]))
    return f"{name:<15}{plays:>7.2f}{size:>12.2f}" + "".join(f"{wasserstein(one, other):>13.3f}" for one, other in pairs)


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", choices=SPLITS[1:], default="test")
    parser.add_argument("--pieces", type=int, default=100)
    options = parser.parse_args()
    corpus = Corpus(options.dataset)
    network, tokenizer, _ = opened(options.model)
    corpus.require_tokenizer(tokenizer, options.model)
    gaps = list[Gap]()
    for index in np.random.default_rng(0).permutation(corpus.pieces(options.split)).tolist():
        gap = gap_of(index, tokenizer.decode(opening(corpus.piece(index), tokenizer)), np.random.default_rng(index))
        gaps += [gap] if gap else []
    rows: dict[str, list[tuple[Border, Border]]] = {}
    true: dict[str, list[tuple[Border, Border]]] = {}

    def note(name: str, gap: Gap, music: Part | None, outwards: int = 0) -> None:
        if music is not None:
            rows.setdefault(name, []).append(borders(gap, music, outwards))
            true.setdefault(name, []).append(borders(gap, gap.music))

    for place, gap in enumerate(gaps[: options.pieces]):
        how = {"model": network, "tokenizer": tokenizer, "random_seed": gap.index}
        note("true", gap, gap.music)
        try:
            note("fill", gap, music_of(fill(gap.score, (gap.first + 1, gap.first + GAP), **how)))
            note("continuation", gap, gap.with_bars(continued(gap, how)))
        except InputError as error:
            print(f"piece {gap.index}: {error}")
        others = gaps[place + 1 :] + gaps[:place]
        for name, near in (("other piece", False), ("near register", True)):
            bars = borrowed(gap, others, near)
            note(name, gap, None if bars is None else gap.with_bars(bars))
        note("next bar line", gap, gap.music, 1)
    print(", ".join(f"{name}: {len(found)} pieces" for name, found in rows.items()))
    for side, called in enumerate(SIDES):
        print(f"\n{called + ' border':<15}{'plays':>7}{'|interval|':>12}{'W1 interval':>13}{'W1 onsets':>13}{'W1 line':>13}")
        for name, found in rows.items():
            print(row(name, [pair[side] for pair in found], [pair[side] for pair in true[name]]))


if __name__ == "__main__":
    main()

"""On which staves the notes of a part stand, and under which clefs.

Keyboards, harps and whatever else plays chords over a wide compass have two staves, an upper and a lower. The dividing pitch is
chosen bar by bar: it keeps the staves free of ledger lines and each hand within an octave where it can, and it moves unwillingly.
A part with more voices than its staves hold gets more staves, up to four.
"""

from collections import defaultdict

import numpy as np

from symbolic.midi.engraving import MOST_VOICES, Chord, chords_of, surplus_of
from symbolic.midi.notation_grid import Measure, WrittenNote

MOST_STAVES = 4
ONE_STAFF_PROGRAMS = {*range(24, 46), 47, 52, 53, *range(56, 80), *range(104, 112)}  # strings, voices, winds, what is plucked
CLEFS = {  # sign, line and octaves up: the lowest and highest pitch on its five lines, and what it costs to be unusual
    ("G", 2, 0): (64, 77, 0.0), ("F", 4, 0): (43, 57, 0.0), ("G", 2, -1): (52, 65, 2.5), ("F", 4, -1): (31, 45, 2.5),
    ("G", 2, 1): (76, 89, 4.0), ("C", 3, 0): (53, 67, 2.5),
}  # fmt: skip
PERCUSSION = ("percussion", 2, 0)
VIOLA = 41
WIDE = 3.5  # mean semitones from the staff, over or under, from which a part is given two staves
SPLITS = np.arange(48, 73)
STEADINESS = 4.0
Clef = tuple[str, int, int]


def staves_of(notes: list[WrittenNote], program: int, measures: list[Measure]) -> list[list[Chord]]:
    """The chords of each staff, the upper staff first."""
    pitches = np.array([note.pitch for note in notes])
    wide = program not in ONE_STAFF_PROGRAMS and _distances(pitches, clef_of(notes, program)).mean() > WIDE
    staves = [chords_of(notes)]
    if wide or (program not in ONE_STAFF_PROGRAMS and surplus_of(staves[0])):
        lower = _is_lower(notes, measures)
        both = [[n for n, low in zip(notes, lower, strict=True) if low == side] for side in (False, True)]
        staves = [chords_of(side) for side in both if side]
    return [part for staff in staves for part in _thinned(staff, MOST_STAVES // len(staves))]


def clef_of(notes: list[WrittenNote], program: int) -> Clef:
    """The clef under which the notes need the fewest ledger lines; those with an 8, and the viola's, only for a good reason."""
    pitches = np.array([note.pitch for note in notes])
    choices = {clef: cost for clef, (_, _, cost) in CLEFS.items() if clef[0] != "C" or program == VIOLA}
    if program == VIOLA:
        choices["C", 3, 0] = 0.0
    return min(choices, key=lambda clef: _distances(pitches, clef).mean() + choices[clef])


def _distances(pitches: np.ndarray, clef: Clef) -> np.ndarray:
    """How many semitones each pitch is away from the five lines of a staff."""
    low, high, _ = CLEFS[clef]
    return np.maximum(np.maximum(low - pitches, pitches - high), 0)


def _is_lower(notes: list[WrittenNote], measures: list[Measure]) -> list[bool]:
    """Whether each note belongs to the lower of two staves."""
    splits = _splits(notes, measures)
    bars = np.searchsorted([m.start for m in measures], [note.start for note in notes], side="right") - 1
    return [note.pitch < splits[bar] for note, bar in zip(notes, bars.tolist(), strict=True)]


def _splits(notes: list[WrittenNote], measures: list[Measure]) -> np.ndarray:
    """For each bar the lowest pitch of the upper staff: the cheapest way through all bars (Viterbi)."""
    costs = np.zeros((len(measures), len(SPLITS)))
    bars = np.searchsorted([m.start for m in measures], [note.start for note in notes], side="right") - 1
    pitches = np.array([note.pitch for note in notes])
    for number, split in enumerate(SPLITS):
        upper = pitches >= split
        ledger = np.where(upper, np.maximum(57 - pitches, 0), np.maximum(pitches - 64, 0))
        np.add.at(costs[:, number], bars, ledger)
    together: dict[tuple[int, int], list[int]] = defaultdict(list)
    for note, bar in zip(notes, bars.tolist(), strict=True):
        together[bar, note.start].append(note.pitch)
    for (bar, _), chord in together.items():
        if len(chord) > 1:
            costs[bar] += _reaches(tuple(sorted(chord)))
    moving = STEADINESS * np.abs(SPLITS[:, None] - SPLITS[None, :]) ** 0.5
    total = 0.2 * np.abs(SPLITS - 60.0)
    origins = []
    for cost in costs:
        ways = total[:, None] + moving
        origins.append(ways.argmin(axis=0))
        total = ways.min(axis=0) + cost
    path = [int(total.argmin())]
    for origin in reversed(origins[1:]):
        path.append(int(origin[path[-1]]))
    return np.asarray(SPLITS[path[::-1]])


def _reaches(chord: tuple[int, ...]) -> np.ndarray:
    """For each dividing pitch the semitones by which the hands would have to reach over an octave, and whether it cuts a close interval."""
    low, high = chord[0], chord[-1]
    costs = np.zeros(len(SPLITS))
    for number, split in enumerate(SPLITS.tolist()):
        below, above = [p for p in chord if p < split], [p for p in chord if p >= split]
        if below and above:
            costs[number] = max(below[-1] - low - 12, 0) + max(high - above[0] - 12, 0) + max(5 - (above[0] - below[-1]), 0)
        else:
            costs[number] = max(high - low - 12, 0)
    return costs


def _thinned(chords: list[Chord], most: int) -> list[list[Chord]]:
    """The chords on as many staves as their voices need, `most` at the most: what finds no room goes one staff further down."""
    staves: list[list[Chord]] = []
    left = chords
    while surplus_of(left) and len(staves) + 1 < most:
        stays: list[Chord] = []
        goes: list[Chord] = []
        ends: list[int] = []
        for chord in left:
            ends = [end for end in ends if end > chord.start]
            (stays if len(ends) < MOST_VOICES else goes).append(chord)
            ends += [chord.end] if len(ends) < MOST_VOICES else []
        staves.append(stays)
        left = goes
    return [*staves, left]

"""Notes in lanes as phrases: what each note is given by its instrument, and what by the notes before and after it.

Times are seconds of the song, pitches MIDI numbers with fractions, levels decibels. The shape of a single note is learned (`expression`);
how notes join is a set of rules, because the recordings are of single notes: notes that touch dip between them, little when they overlap
(legato) and much when the same key is struck again; within a phrase notes fade less; the last one lets go more slowly, and the
loudness follows the line a little.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from symbolic.rendering.controls import velocity_gain
from symbolic.rendering.expression import DRAWN, Expression
from symbolic.rendering.lanes import deal
from symbolic.rendering.note_shape import FLOOR, ONSET, NoteShape, shape_of
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.programs import LearnedProgram

BREATH = 0.4  # seconds of silence after which a new phrase begins
TOUCHING = 0.03  # seconds: notes nearer than this are joined
LEGATO_DIP, DETACHED_DIP, REPEATED_DIP = 1.0, 4.0, 9.0  # decibels between joined notes
LEAP_DIP, LEAP_MOST = 0.25, 12  # decibels more for each semitone of a leap, up to so many
LATE = 0.012  # seconds by which a voice may sound after the loudness it is told; a gate holds down what comes early
SLOWLY = 0.5  # of the time from 20 dB under the top to 10: by so much a note goes before its beat, to be heard there for certain
LONGEST_LEAD = 0.03  # seconds by which a soft beginning may go before the beat
SHORTEST = 0.05  # seconds a note is held at least
SLOWEST_RELEASE = 0.5  # seconds to fall by 30 dB
RELAXED = 1.3  # how much longer the end of a phrase takes
SUSTAINED = 0.5  # how much of its fading a note keeps when another follows at once
ARCH, CONTOUR, CONTOUR_MOST = 1.2, 0.12, 1.2  # decibels: over a phrase; for a semitone above its mean; at most
LEVEL_DRAWN = 0.3  # of the spread of levels between recordings
DETUNED, SCATTERED = 7.0, 0.003  # of the players of a section: cents and seconds to either side
INTONATION = 1.5  # cents, standard deviation
PLAYED_AT = -1.0  # decibels of a note of velocity 127
# What the A weighting hides of low notes against the K weighting of loudness meters, decibels by pitch, measured in recordings of eleven
# instruments; without it a low note of the same A-weighted level would stand out.
HIDDEN_PITCHES, HIDDEN = (26.0, 38.0, 50.0, 62.0, 74.0), (8.0, 4.0, 2.0, 0.7, 0.0)


@dataclass(frozen=True)
class Gesture:
    """One note as it is played. `before` and `after` are the dips in decibels where a note joins, or None."""

    start: float
    end: float
    pitch: float
    told: float  # the pitch that the voice is told, within its compass
    gain: float  # decibels on top of what the voice is told
    shape: NoteShape
    before: float | None
    after: float | None
    phases: tuple[float, ...]  # radians, of vibrato and of slow wandering

    @property
    def lead(self) -> float:
        """Seconds by which the first sound goes before `start`."""
        if self.before is not None:
            return 0.0
        passed, next_passed = self.shape.attack[ONSET : ONSET + 2]
        return passed + SLOWLY * (next_passed - passed) + LATE


@dataclass(frozen=True)
class Phrase:
    """What one player plays in one breath, in order; `place` is where he sits in his section, −1 … 1."""

    gestures: tuple[Gesture, ...]
    player: int
    place: float

    @property
    def begin(self) -> float:
        """The second at which its first sound begins."""
        return max(0.0, self.gestures[0].start - self.gestures[0].lead - 0.01)

    @property
    def finish(self) -> float:
        """The second after which it is silent."""
        return max(one.end + 3.0 * one.shape.release[-1] for one in self.gestures[-2:]) + 0.02


def phrases_of(
    part: Part,
    notes: Sequence[PlayedNote],
    voice: str,
    compass: tuple[float, float],
    program: LearnedProgram,
    expression: Expression,
) -> list[Phrase]:
    """The phrases of the notes that a voice plays for a part, in order of their beginnings."""
    lanes = deal(notes)
    players = program.players_of(len(lanes))
    pitch, velocity = (np.array([getattr(note, name) for note in notes], np.float64) for name in ("pitch", "velocity"))
    seconds = np.array([max(SHORTEST, note.release - note.start) for note in notes])
    mean, spread = expression.numbers(voice, pitch, velocity, seconds)
    rows = {note.index: row for row, note in enumerate(notes)}
    found = []
    for player in range(players):
        generator = np.random.default_rng((part.index, player, program.number))
        draws = np.clip(generator.standard_normal((len(notes), mean.shape[1] + 3)), -2, 2)
        phases = math.tau * generator.random((len(notes), 7))
        side = 0.0 if players == 1 else 2 * player / (players - 1) - 1
        numbers = mean + DRAWN * spread * draws[:, :-3]
        numbers[:, 0] = mean[:, 0] + LEVEL_DRAWN * spread[:, 0] * draws[:, 0]
        target = [PLAYED_AT + program.level + 20 * program.dynamics * math.log10(velocity_gain(note.velocity)) for note in notes]
        gains = np.array(target) - mean[:, 0] - np.interp(pitch, HIDDEN_PITCHES, HIDDEN) - 10 * math.log10(players)
        cents = INTONATION * draws[:, -1] + DETUNED * side
        late = SCATTERED * (draws[:, -2] / 2) * (players > 1)
        for lane in deal(notes) if player else lanes:
            for group in _breaths(lane):
                chosen = [rows[note.index] for note in group]
                found.append(Phrase(_gestures(group, chosen, numbers, gains, cents, late, phases, compass, program), player, side))
    return sorted(found, key=lambda phrase: phrase.begin)


def _breaths(lane: Sequence[PlayedNote]) -> list[list[PlayedNote]]:
    groups = [[lane[0]]]
    for last, note in itertools.pairwise(lane):
        if note.start - last.release > BREATH:
            groups.append([])
        groups[-1].append(note)
    return groups


def _gestures(
    group: Sequence[PlayedNote], rows: Sequence[int], numbers: np.ndarray, gains: np.ndarray, cents: np.ndarray, late: np.ndarray,
    phases: np.ndarray, compass: tuple[float, float], program: LearnedProgram,
) -> tuple[Gesture, ...]:  # fmt: skip
    middle = sum(note.pitch for note in group) / len(group)
    made: list[Gesture] = []
    for place, (note, row) in enumerate(zip(group, rows, strict=True)):
        following = group[place + 1] if place + 1 < len(group) else None
        before = made[-1].after if made else None
        after = None if following is None else _dip(note, following)
        start = note.start + late[row]
        end = max(start + SHORTEST, note.release) if following is None or after is None else following.start + late[rows[place + 1]]
        shape = _placed(shape_of(numbers[row]), end - start, after is not None, following is None, program)
        arch = ARCH * (math.sin(math.pi * (place + 0.5) / len(group)) - 0.6) if len(group) > 2 else 0.0
        line = max(-CONTOUR_MOST, min(CONTOUR_MOST, CONTOUR * (note.pitch - middle)))
        pitch = note.pitch + cents[row] / 100
        told = min(max(pitch, compass[0]), compass[1])
        shape = replace(shape, level=shape.level + arch + line)
        made.append(Gesture(start, end, pitch, told, float(gains[row]), shape, before, after, tuple(phases[row])))
    return tuple(made)


def _dip(note: PlayedNote, following: PlayedNote) -> float | None:
    gap = following.start - note.release
    if gap > TOUCHING:
        return None
    if following.pitch == note.pitch:
        return REPEATED_DIP
    leap = LEAP_DIP * min(LEAP_MOST, abs(following.pitch - note.pitch))
    return leap + (LEGATO_DIP if gap < -0.01 else DETACHED_DIP)


def _placed(shape: NoteShape, seconds: float, joined: bool, last: bool, program: LearnedProgram) -> NoteShape:
    """A single note's shape as it is in its place: a fast note speaks faster, a note before another fades less, the last one relaxes."""
    attack = np.array(shape.attack) * program.attack
    attack *= min(1.0, LONGEST_LEAD / attack[ONSET], 0.6 * max(seconds, SHORTEST) / attack[-1])
    body = np.minimum(np.array(shape.body), 3.0)
    if joined:
        body = np.where(body < 0, SUSTAINED * body, body)
    body = np.maximum(body, FLOOR / 2)
    release = np.array(shape.release) * (RELAXED if last else 1.0) * program.release
    release *= min(1.0, SLOWEST_RELEASE / release[-1])
    return replace(shape, attack=tuple(attack), body=tuple(body), release=tuple(release))

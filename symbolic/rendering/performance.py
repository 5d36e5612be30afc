"""From a score in ticks to what is played: notes in seconds, and the curves of the controllers.

Conventions: time in seconds from the score's first tick; a note sounds from `start` until its key goes up at `end`, or later,
at `release`, where the sustain pedal holds it. Controllers have the meaning of General MIDI: 7 volume, 10 pan, 11 expression,
1 modulation, 64 sustain pedal, 91 reverb, 101/100/6 the bend's range. Volume and expression are 40·log10(value / 127) dB.
"""

from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick, TrackTick

from symbolic.errors import InputError

DEFAULT_TEMPO = 500_000  # microseconds for a quarter note, where a file names no tempo
LONGEST_SECONDS = 6 * 3600.0
BEND_RANGE = 2.0  # semitones, until the file says otherwise
BEND_STEPS = 8192
PEDAL_DOWN = 64
LONGEST_PEDAL = 4.0  # seconds that a pedal which is never lifted, or much too late, holds after the part's last key-up
# A step of a controller is spread over this time before it, so that it makes no click and a note starts on the new value.
GLIDE_SECONDS = 0.01


@dataclass(frozen=True)
class Curve:
    """A controller over time: straight lines through the points (times, values), constant before and after."""

    times: np.ndarray
    values: np.ndarray

    def at(self, time: np.ndarray) -> np.ndarray:
        """The values at these moments, in seconds."""
        return np.interp(time, self.times, self.values)

    def between(self, start: float, end: float) -> bool:
        """Whether the value changes within these seconds."""
        first, last = np.searchsorted(self.times, (start, end))
        inside = self.values[max(0, first - 1) : last + 1]
        return bool(len(inside)) and bool(np.ptp(inside) > 0)


@dataclass(frozen=True)
class PlayedNote:
    """One note: seconds, MIDI number, velocity 1 … 127, and its place in its track, from which its noise is seeded."""

    start: float
    end: float
    release: float
    pitch: int
    velocity: int
    index: int


@dataclass(frozen=True)
class Part:
    """One track of the score, with its curves; `pan` and `reverb` are None where the file does not say."""

    index: int
    name: str
    program: int
    is_drum: bool
    notes: tuple[PlayedNote, ...]
    gain: Curve | None  # amplitude factor of volume times expression; None stands for the default throughout
    pan: Curve | None  # −1 left … 1 right
    bend: Curve | None  # semitones
    modulation: Curve | None  # 0 … 1
    reverb: Curve | None  # 0 … 1
    pedal: tuple[tuple[float, float], ...] = ()  # seconds in which the sustain pedal is down, in order


def perform(score: ScoreTick) -> list[Part]:
    """The parts that have notes, in the score's order. Raises `InputError` for a score without notes, or one of over six hours."""
    if score.ticks_per_quarter <= 0:
        raise InputError(f"ticks per quarter is {score.ticks_per_quarter}: the score's times cannot be turned into seconds")
    if not any(len(track.notes) for track in score.tracks):
        raise InputError("the score has no notes, so there is nothing to render; is it the right file?")
    clock = _Clock(score)
    parts = [_part(index, track, clock) for index, track in enumerate(score.tracks) if len(track.notes)]
    last = max(note.end for part in parts for note in part.notes)
    if last > LONGEST_SECONDS:
        raise InputError(
            f"the score lasts {last / 3600:.1f} hours and at most {LONGEST_SECONDS / 3600:.0f} are rendered;"
            " is one note, or one rest, too long?"
        )
    return parts


def volume_gain(value: float | np.ndarray) -> np.ndarray:
    """Amplitude factor of a controller, or a velocity, of 0 … 127; 127 → 1, 64 → 0.254 (−12 dB)."""
    return (np.asarray(value) / 127.0) ** 2


class _Clock:
    """Ticks to seconds, through every change of tempo."""

    def __init__(self, score: ScoreTick) -> None:
        changes = score.tempos.numpy()
        ticks = np.concatenate([[0], changes["time"].astype(np.int64)])
        tempo = np.concatenate([[DEFAULT_TEMPO], changes["mspq"].astype(np.int64)])
        order = np.argsort(ticks, kind="stable")
        self.ticks, tempo = ticks[order], tempo[order]
        self.rate = np.where(tempo > 0, tempo, DEFAULT_TEMPO) / 1e6 / score.ticks_per_quarter  # seconds a tick
        self.starts = np.concatenate([[0.0], np.cumsum(np.diff(self.ticks) * self.rate[:-1])])

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        ticks = np.maximum(np.asarray(ticks, np.int64), 0)
        segment = np.searchsorted(self.ticks, ticks, "right") - 1
        return self.starts[segment] + (ticks - self.ticks[segment]) * self.rate[segment]


def _part(index: int, track: TrackTick, clock: _Clock) -> Part:
    columns = track.notes.numpy()
    order = np.lexsort((columns["pitch"], columns["time"]))
    ticks = columns["time"].astype(np.int64)[order]
    starts = clock.seconds(ticks)
    ends = clock.seconds(ticks + np.maximum(columns["duration"].astype(np.int64)[order], 0))
    pitches = columns["pitch"].astype(int)[order]
    velocities = np.clip(columns["velocity"].astype(int)[order], 1, 127)
    controls = track.controls.numpy()
    events = _Controllers(clock.seconds(controls["time"]), controls["number"].astype(int), controls["value"].astype(float))
    pedal = [] if track.is_drum else _pedal_spans(track, events, clock)
    releases = _pedalled(starts, ends, pitches, pedal)
    notes = tuple(
        PlayedNote(float(start), float(end), float(release), int(pitch), int(velocity), number)
        for number, (start, end, release, pitch, velocity) in enumerate(zip(starts, ends, releases, pitches, velocities, strict=True))
    )
    return Part(
        index=index,
        name=track.name,
        program=int(np.clip(track.program, 0, 127)),
        is_drum=track.is_drum,
        notes=notes,
        gain=_gain(events),
        pan=_curve(*events.of(10), lambda value: np.clip((value - 64) / 63, -1, 1)),
        bend=_bend(track, events, clock),
        modulation=_curve(*events.of(1), lambda value: value / 127),
        reverb=_curve(*events.of(91), lambda value: value / 127),
        pedal=tuple((float(down), float(up)) for down, up in pedal),
    )


class _Controllers:
    def __init__(self, times: np.ndarray, numbers: np.ndarray, values: np.ndarray) -> None:
        order = np.argsort(times, kind="stable")
        self.times, self.numbers, self.values = times[order], numbers[order], values[order]

    def of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.numbers == number
        return self.times[chosen], self.values[chosen]


def _curve(times: np.ndarray, values: np.ndarray, convert: object = None) -> Curve | None:
    """Steps turned into short glides; the value before the first event is the first event's."""
    if not len(times):
        return None
    values = convert(values) if callable(convert) else values
    last = np.concatenate([np.diff(times) > 0, [True]])  # of several events at one moment the last counts
    times, values = times[last], values[last]
    glides = np.maximum(times - GLIDE_SECONDS, np.concatenate([[times[0] - GLIDE_SECONDS], times[:-1]]))
    before = np.concatenate([values[:1], values[:-1]])
    return Curve(np.stack([glides, times], 1).ravel(), np.stack([before, values], 1).ravel())


def _gain(events: _Controllers) -> Curve | None:
    volume, expression = _curve(*events.of(7), volume_gain), _curve(*events.of(11), volume_gain)
    if volume is None or expression is None:
        return volume or (expression and Curve(expression.times, expression.values * volume_gain(100)))
    times = np.union1d(volume.times, expression.times)
    return Curve(times, volume.at(times) * expression.at(times))


def _bend(track: TrackTick, events: _Controllers, clock: _Clock) -> Curve | None:
    bends = track.pitch_bends.numpy()
    if not len(bends["time"]):
        return None
    times = clock.seconds(bends["time"])
    order = np.argsort(times, kind="stable")
    times, values = times[order], bends["value"].astype(float)[order] / BEND_STEPS
    range_times, ranges = _bend_ranges(events)
    values = values * ranges[np.searchsorted(range_times, times, "right") - 1]
    if times[0] > 0:  # a wheel rests in the middle until it is moved
        times, values = np.concatenate([[0.0], times]), np.concatenate([[0.0], values])
    return _curve(times, values)


def _bend_ranges(events: _Controllers) -> tuple[np.ndarray, np.ndarray]:
    """Semitones of a full bend over time: data entry (6) while the registered parameter (101, 100) is 0, 0."""
    times, ranges, parameter = [-1.0], [BEND_RANGE], [127.0, 127.0]
    for time, number, value in zip(events.times, events.numbers, events.values, strict=True):
        if number in (100, 101):
            parameter[number - 100] = value
        elif number == 6 and parameter == [0.0, 0.0]:
            times.append(time)
            ranges.append(min(value, 24.0))
    return np.array(times), np.array(ranges)


def _pedal_spans(track: TrackTick, events: _Controllers, clock: _Clock) -> list[tuple[float, float]]:
    """Seconds during which the pedal is down; readers give pedals as controllers, as spans, or as both."""
    spans: list[tuple[float, float]] = []
    pedals = track.pedals.numpy()
    down_ticks = pedals["time"].astype(np.int64)
    spans += zip(clock.seconds(down_ticks), clock.seconds(down_ticks + pedals["duration"].astype(np.int64)), strict=True)
    down: float | None = None
    for time, value in zip(*events.of(64), strict=True):
        if value >= PEDAL_DOWN and down is None:
            down = time
        elif value < PEDAL_DOWN and down is not None:
            spans.append((down, time))
            down = None
    if down is not None:
        spans.append((down, np.inf))
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _pedalled(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray, spans: list[tuple[float, float]]) -> np.ndarray:
    """When each note's damper falls: at its end, or when the pedal goes up, or when its key is struck again under the pedal."""
    if not spans:
        return ends
    downs, ups = np.array(spans).T
    span = np.searchsorted(downs, ends, "right") - 1
    held = (span >= 0) & (ends < ups[span])
    releases = np.where(held, np.minimum(ups[span], ends.max() + LONGEST_PEDAL), ends)
    for pitch in np.unique(pitches[held]):
        same = np.flatnonzero(pitches == pitch)
        following = np.append(starts[same][1:], np.inf)
        releases[same] = np.maximum(ends[same], np.minimum(releases[same], following))
    return releases

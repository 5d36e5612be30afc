"""A phrase as curves: pitch, loudness and gain at each frame, functions of time, so that any stretch can be computed alone.

Shapes: F frames of 4 ms; a value stands for the middle of its frame. Loudness is what a voice is told, in decibels; the gain, an
amplitude factor, comes on top of what it makes of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.envelopes import rise, wander
from symbolic.dsp.units import midi_to_hz
from symbolic.rendering.controls import MODULATION_CENTS
from symbolic.rendering.note_shape import ATTACK_LEVELS, BODY_PLACES, FLOOR, RELEASE_LEVELS, SILENT
from symbolic.rendering.performance import Part
from symbolic.rendering.phrases import Gesture, Phrase

EDGE = 0.008  # seconds from silence to the floor of an attack
JOINED_FALL, JOINED_RISE, JOINED_END = 0.022, 0.035, 0.06  # seconds of a dip between joined notes, and to silence beyond it
GLIDE, GLIDING = 0.016, 4.0  # seconds from one pitch to the next; shorter for leaps of more semitones, which players do not slide over
SWITCH = 0.012  # seconds from one gain to the next
GATE, OPENED, GATE_DB = 0.003, 0.002, -30.0  # seconds before and after the beat: what sounds earlier is held down by so much
STRUCK, STRUCK_BELOW = 0.0015, 250.0  # seconds after the beat at which a low note (hertz) that stands alone begins a period
SILENCED = 1.5  # frames that its gain takes to fall to the gate's
TAIL_HEARD = 0.12  # seconds of silence after which a note's pitch may come with its first sound
VIBRATO_DELAY, VIBRATO_RISE, VIBRATO_FALL = 0.16, 0.3, 0.04
SHORTEST_VIBRATO = 0.25  # seconds of a note that is too short for one
SCOOP, SCOOP_TIME = -10.0, 0.02  # cents at the beginning of a note that stands alone
DRIFT, FLUTTER = 2.0, 0.4  # cents and decibels of slow wandering


@dataclass(frozen=True)
class PhraseControls:
    """pitch (F,) in hertz as it sounds; told (F,) in hertz for the voice; loudness (F,) decibels; gain (F,)."""

    pitch: np.ndarray
    told: np.ndarray
    loudness: np.ndarray
    gain: np.ndarray


class PhraseCurves:
    """The curves of one phrase of a part."""

    def __init__(self, phrase: Phrase, part: Part) -> None:
        self.part, self.gestures = part, phrase.gestures
        self._points = [_loudness_points(one) for one in self.gestures]
        self._starts = np.array([points[0][0] for points in self._points])
        self._ends = np.maximum.accumulate([points[0][-1] for points in self._points])
        self._switches = np.array([_switch(one, last) for last, one in zip((None, *self.gestures), self.gestures, strict=False)])
        leaps = np.abs(np.diff([one.pitch for one in self.gestures]))
        glide = GLIDE * np.minimum(1.0, GLIDING / np.maximum(leaps, 0.1))
        self._pitch = _steps(self._switches, [one.pitch for one in self.gestures], glide)
        self._told = _steps(self._switches, [one.told for one in self.gestures], glide)
        self._gain = _steps(self._switches, [one.gain for one in self.gestures], SWITCH)
        alone = self._switches < np.array([one.start for one in self.gestures])
        self._alone = np.array([(a, b.start) for a, b, new in zip(self._switches, self.gestures, alone, strict=True) if new]).reshape(-1, 2)
        self._gate = _gates(self._alone)
        self._begin = phrase.begin

    def at(self, time: np.ndarray) -> PhraseControls:
        """The controls at moments (F,) in seconds of the song, which rise."""
        leading = int(np.searchsorted(self._switches, time[0], "right")) - 1  # whose pitch it is, also when its sound has ended
        first = max(0, min(int(np.searchsorted(self._ends, time[0])), leading))
        last = max(first + 1, int(np.searchsorted(self._starts, time[-1], "right")))
        loudness, cents, tremolo = np.full(len(time), SILENT), np.zeros(len(time)), np.zeros(len(time))
        for place in range(first, last):
            times, levels = self._points[place]
            sounding = slice(*np.searchsorted(time, (times[0], times[-1])))
            loudness[sounding] = np.maximum(loudness[sounding], np.interp(time[sounding], times, levels))
            until = self._switches[place + 1] if place + 1 < len(self.gestures) else math.inf
            own = slice(*np.searchsorted(time, (self._switches[place] if place else -math.inf, until)))
            if own.start < own.stop:
                cents[own], tremolo[own] = _motion(self.gestures[place], time[own], until, self.part)
        loudness = np.where(loudness > SILENT, loudness + tremolo, SILENT)
        if self.part.bend is not None:
            cents += 100 * self.part.bend.at(time)
        pitch, told = np.interp(time, *self._pitch), np.interp(time, *self._told)
        gain = 10 ** ((np.interp(time, *self._gain) + np.interp(time, *self._gate)) / 20)
        return PhraseControls(midi_to_hz(pitch + cents / 100), midi_to_hz(told + cents / 100), loudness, gain)

    def starts(self, time: np.ndarray, seconds: float) -> np.ndarray:
        """Phases in cycles with which frames begin anew, negative where they go on: for frames with their middles at `time` (F,).

        A low note that stands alone gets a new phase while it is silent, such that a period begins at its beat. There its partials are in
        step: a note whose periods are many milliseconds long is not heard until one begins.
        """
        begins, found = time - seconds / 2, np.full(len(time), -1.0)
        moments = np.maximum(self._alone[:, 0] + SILENCED * seconds, self._begin)
        first, last = np.searchsorted(moments, begins[0] - seconds, "right"), np.searchsorted(moments, begins[-1], "right")
        for moment, beat in zip(moments[first:last], self._alone[first:last, 1], strict=True):
            frame = int(np.searchsorted(begins, moment))
            if begins[frame] < beat:
                pitch = self.at(np.linspace(begins[frame], beat, 9)).pitch.mean()
                if pitch < STRUCK_BELOW:
                    found[frame] = -pitch * (beat + STRUCK - begins[frame]) % 1.0
        return found


def _loudness_points(gesture: Gesture) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a note's loudness: moments and decibels."""
    shape, start, end = gesture.shape, gesture.start, gesture.end
    if gesture.before is None:
        begun = start - gesture.lead
        times, levels = [begun - EDGE, begun, *(begun + seconds for seconds in shape.attack)], [SILENT, FLOOR, *ATTACK_LEVELS]
    else:
        times, levels = [start - JOINED_END, start, start + JOINED_RISE], [SILENT, -gesture.before, shape.body[0]]
    let_go = end if gesture.after is None else end - JOINED_FALL
    room = let_go - times[-1]
    for place, level in zip(BODY_PLACES, shape.body, strict=True):
        if room > 0.01:
            times.append(let_go - room * (1 - place))
            levels.append(level)
    here = levels[-1]
    if gesture.after is None:
        let_go = max(let_go, times[-1])
        times += [let_go, *(let_go + seconds for seconds in shape.release), let_go + 3.0 * shape.release[-1]]
        levels += [here, *(here + fall for fall in RELEASE_LEVELS), SILENT]
    else:
        times += [let_go, end, end + JOINED_END]
        levels += [here, here - gesture.after, SILENT]
    return np.maximum.accumulate(times), np.maximum(np.array(levels), SILENT) + shape.level


def _switch(gesture: Gesture, last: Gesture | None) -> float:
    """When a note's pitch takes over: on its beat, or with its first sound where nothing else is heard any more."""
    if last is None or (gesture.before is None and gesture.start - last.end > TAIL_HEARD):
        return gesture.start - gesture.lead - EDGE
    return gesture.start


def _steps(moments: np.ndarray, values: list[float], seconds: "float | np.ndarray") -> tuple[np.ndarray, np.ndarray]:
    """Corners of a curve that goes from value to value, `seconds` long around each moment but the first."""
    edges = np.stack([moments[1:] - seconds / 2, moments[1:] + seconds / 2], 1).ravel()
    times = np.maximum.accumulate(np.concatenate([moments[:1], edges]))
    return times, np.repeat(values, 2)[: len(times)]


def _gates(spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a gain in decibels that is down from the first sound of a note almost to its beat; spans are (N, 2)."""
    if not len(spans):
        return np.zeros(1), np.zeros(1)
    first, beat = spans.T
    times = np.stack([first, first, beat - GATE, beat + OPENED], 1)
    return np.maximum.accumulate(times.ravel()), np.tile([0.0, GATE_DB, GATE_DB, 0.0], len(spans))


def _motion(gesture: Gesture, time: np.ndarray, until: float, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Cents and decibels by which pitch and loudness move within a note."""
    shape, phases, since = gesture.shape, np.array(gesture.phases), time - gesture.start
    cents = DRIFT * wander(time, 1.3, phases[None, 1:4])[0]
    decibels = FLUTTER * wander(time, 2.1, phases[None, 4:7])[0]
    wheel = MODULATION_CENTS * part.modulation.at(time) if part.modulation is not None else 0.0
    held = gesture.end - gesture.start
    if held > SHORTEST_VIBRATO or np.any(wheel):
        delay = VIBRATO_DELAY if gesture.before is None else 0.5 * VIBRATO_DELAY
        depth = rise(since - delay, VIBRATO_RISE) * rise(until - time, VIBRATO_FALL) if held > SHORTEST_VIBRATO else np.zeros(len(time))
        swing = np.sin(math.tau * shape.vibrato_rate * since + phases[0] + 0.4 * wander(time, 1.0, phases[None, 2:5])[0])
        cents = cents + (shape.vibrato_cents * depth + wheel) * swing
        decibels = decibels + shape.tremolo * depth * swing
    if gesture.before is None:
        cents = cents + SCOOP * np.exp(-np.maximum(since + gesture.lead, 0) / SCOOP_TIME)
    return cents, decibels

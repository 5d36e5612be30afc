"""Strings that ring because others do: what a piano's pedal, and keys held down, add to what is played.

A string whose damper is off is moved by the bridge. Each partial of such a string is a resonator: a complex number that turns at its
frequency, falls as the voice's table says, and is pushed by the sound of all other notes of the part. What it takes up of a tone that
stays on its pitch comes to `COUPLING` of that tone and never to more, so nothing grows by itself. A key's own note does not push its
string: that is the note. When key and pedal are up, the damper falls and ends it.

All this is below `HIGHEST` hertz, where strings sound together for long, at a tenth of the sample rate or so. Strings without dampers
always ring along, also in the recordings that the voice was measured from, so they are none of these. How much is taken up is no
measurement: no recordings with the pedal down were at hand.

Shapes: S samples at the song's rate, N at the low one; K partials of a string. Sound goes in as (S,) and comes out as (2, S) float32.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.envelopes import T60_RATE
from symbolic.dsp.units import midi_to_hz
from symbolic.models.voices.struck import StruckVoice
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.sources import SynthesizedSource
from symbolic.rendering.struck_controls import StruckSound
from symbolic.rendering.voices import NotePlayer, sides

LOW_RATE = 4800.0  # samples a second, about, at which strings resonate
HIGHEST = 2000.0  # hertz
MOST = 10  # partials of a string
TAPS = 8  # samples at the low rate that the filters between the rates reach over
COUPLING = 0.1  # amplitude of a string moved by a tone on its pitch for ever, of that tone's
HEARD_AT, HEARD_FROM, HEARD_TO = 64, 0.2, 3.0  # the velocity and the seconds of the table from which a partial's fall is read
SLOWEST, FASTEST = 2.0, 45.0  # dB a second; what falls faster takes up next to nothing
STILL = 1e-8  # amplitude of a string that is at rest


@dataclass(frozen=True)
class _String:
    """A string at the low rate: turns (K,) complex for each sample when free and when damped, push (K,), and gains left and right."""

    free: np.ndarray
    damped: np.ndarray
    push: np.ndarray
    gains: tuple[float, float]


class Resonance:
    """What the strings of a part's piano add to its notes. `hear` the notes, then `ring` for the samples that follow, in order."""

    def __init__(self, voice: StruckVoice, part: Part, keyboard: float, sample_rate: int) -> None:
        if voice.dampers is None:
            raise ValueError("a voice without dampers has no strings that are let free")
        self.down = max(1, round(sample_rate / LOW_RATE))
        self.rate = sample_rate / self.down
        last = max((note.release for note in part.notes), default=0.0)
        self.tail = 1.25 * float(voice.dampers[:, 1].max())
        self.end = math.ceil((last + self.tail) * sample_rate)
        lowest, highest = math.ceil(voice.pitches[0]), int(min(voice.dampers[-1, 0], voice.pitches[-1]))
        self.pitches = range(lowest, highest + 1)
        self._strings = {pitch: string_of(voice, pitch, keyboard, self.rate) for pitch in self.pitches}
        self._pedal = [(start, min(end, last)) for start, end in part.pedal if start < last]
        self._keys = held_keys(part.notes)
        self._states = {pitch: np.zeros(len(string.push), np.complex128) for pitch, string in self._strings.items()}
        self._heard: list[tuple[int, int, np.ndarray]] = []
        self._filter = low_pass(self.down)
        self._history = np.zeros((2, TAPS + 1))  # what has rung at the low rate, up to `_position`
        self._position = 0

    @property
    def needed(self) -> bool:
        """Whether there is a string to hear another note: the pedal is used, or a key is held while another is struck."""
        return bool(self._pedal) or overlapping(self._keys)

    def heard(self, position: int, mono: np.ndarray) -> tuple[int, np.ndarray]:
        """A piece of a note (S,) from a sample of the song on, at the low rate: its first sample there, and the piece (N,)."""
        return lowered(position, mono, self._filter, self.down)

    def hear(self, pitch: int, first: int, low: np.ndarray) -> None:
        """Take a piece of the note of a key that `heard` has made."""
        self._heard.append((pitch, first, low))

    def ring(self, start: int, size: int) -> np.ndarray:
        """What resonates (2, size) from a sample of the song on; calls follow on."""
        from scipy.signal import upfirdn

        end = -(-(start + size) // self.down)  # samples at the low rate whose input is known
        low = self._rung(self._position, end)
        self._heard = [(pitch, first, piece) for pitch, first, piece in self._heard if first + len(piece) > end]
        known = np.concatenate([self._history, low], axis=1)
        begin = self._position - self._history.shape[1]
        self._history, self._position = known[:, known.shape[1] - TAPS - 1 :], end
        if not known.any():
            return np.zeros((2, size), np.float32)
        whole = upfirdn(self._filter * self.down, known, self.down, axis=1)
        offset = start - begin * self.down
        return np.asarray(whole[:, offset : offset + size], np.float32)

    def _rung(self, first: int, last: int) -> np.ndarray:
        """Strings at the low rate (2, N) from one sample to another."""
        sound = np.zeros((2, last - first))
        total, own = self._pushed(first, last)
        pedal = self._within(self._pedal, first, last)
        alike = []
        for pitch in self._strings:
            keys = self._within(self._keys.get(pitch, []), first, last)
            if keys or pitch in own:
                self._ring_strings([pitch], _merged(pedal + keys), total - own.get(pitch, 0.0), first, last, sound)
            else:
                alike.append(pitch)
        if alike:
            self._ring_strings(alike, _merged(pedal), total, first, last, sound)
        return sound

    def _ring_strings(
        self, pitches: Sequence[int], spans: Sequence[tuple[int, int]], push: np.ndarray, first: int, last: int, sound: np.ndarray
    ) -> None:
        """Add strings that are free in the same spans and moved by the same push (N,)."""
        strings = [self._strings[pitch] for pitch in pitches]
        state = np.concatenate([self._states[pitch] for pitch in pitches])
        if not spans and not state.any():
            return
        free, damped, taken = (np.concatenate([getattr(one, name) for one in strings]) for name in ("free", "damped", "push"))
        gains = np.concatenate([np.repeat(np.array([one.gains]).T, len(one.push), axis=1) for one in strings], axis=1)
        position = first
        for begin, end in [*spans, (last, last)]:
            if begin > position and state.any():
                _ring_loop(state, damped, 0.0 * taken, push, position - first, begin - first, gains, sound)
            _ring_loop(state, free, taken, push, begin - first, end - first, gains, sound)
            position = end
        free_now = bool(spans) and spans[-1][1] == last
        for pitch, own in zip(pitches, np.split(state, np.cumsum([len(one.push) for one in strings[:-1]])), strict=True):
            self._states[pitch] = own if free_now or np.abs(own).max(initial=0.0) >= STILL else np.zeros_like(own)

    def _pushed(self, first: int, last: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """What moves the bridge (N,), and what each key's own note has of it."""
        total, own = np.zeros(last - first), dict[int, np.ndarray]()
        for pitch, begin, piece in self._heard:
            low, high = max(begin, first), min(begin + len(piece), last)
            if low < high:
                part = piece[low - begin : high - begin]
                total[low - first : high - first] += part
                own.setdefault(pitch, np.zeros(last - first))[low - first : high - first] += part
        return total, own

    def _within(self, spans: Sequence[tuple[float, float]], first: int, last: int) -> list[tuple[int, int]]:
        """Spans in seconds as samples at the low rate, cut to a stretch of it."""
        cut = ((max(first, round(begin * self.rate)), min(last, round(end * self.rate))) for begin, end in spans)
        return [(begin, end) for begin, end in cut if begin < end]


class ResonantSource(SynthesizedSource):
    """A part on a struck voice with dampers, whose free strings resonate."""

    def __init__(self, part: Part, place: float, sample_rate: int, struck: StruckVoice) -> None:
        super().__init__(part, place, sample_rate, struck)
        resonance = Resonance(struck, part, PROGRAMS[part.program].keyboard, sample_rate)
        self._resonance = resonance if resonance.needed else None

    def begin(self, until: int) -> None:
        """Begin the notes that start before the sample `until`."""
        super().begin(until)
        if self._resonance is not None:
            self.end = max(self.end, self._resonance.end)

    def forget(self) -> None:
        """Let the strings hear what the notes have played, and let go of the notes that have ended."""
        if self._resonance is not None:
            for voice in self.voices:
                assert isinstance(voice, _HeardStrike)
                for first, low in voice.pieces:
                    self._resonance.hear(voice.controls.pitch, first, low)
                voice.pieces.clear()
        super().forget()

    def _voice(self, place: int) -> NotePlayer:
        voice = super()._voice(place)
        return _HeardStrike(voice, self._resonance) if self._resonance is not None and isinstance(voice, StruckSound) else voice

    def _next(self, size: int) -> np.ndarray:
        start = self._start
        block = super()._next(size)
        return block if self._resonance is None else block + self._resonance.ring(start, size)


class _HeardStrike(StruckSound):
    """A note whose sound is kept at the low rate as well, for the strings to hear."""

    def __init__(self, note: StruckSound, resonance: Resonance) -> None:
        super().__init__(note.controls, note.sample_rate)
        self._resonance, self.pieces = resonance, list[tuple[int, np.ndarray]]()

    def next_segment(self) -> np.ndarray:
        """The next (2, S) samples."""
        position = self.position
        sound = super().next_segment()
        self.pieces.append(self._resonance.heard(position, np.float32(0.5) * (sound[0] + sound[1])))
        return sound


@functools.lru_cache(maxsize=1024)
def string_of(voice: StruckVoice, pitch: int, keyboard: float, rate: float) -> _String:
    """The string of a key: `keyboard` is how far left low ones and right high ones stand."""
    note = voice.note(pitch, HEARD_AT)
    hertz = note.hertz(float(midi_to_hz(float(pitch))), min(HIGHEST, 0.42 * rate), MOST)
    levels = note.partials_at(np.array([HEARD_FROM, HEARD_TO]))[:, : len(hertz)]
    fall = np.maximum((levels[0] - levels[1]) / (HEARD_TO - HEARD_FROM), SLOWEST)
    hertz, fall = hertz[fall < FASTEST], fall[fall < FASTEST]
    kept = np.exp(-fall / (20 / math.log(10)) / rate)
    turn, damped = np.exp(2j * np.pi * hertz / rate), voice.damped(pitch)
    under = math.exp(-T60_RATE / (rate * (damped or math.inf)))
    place = max(-0.8, min(0.8, keyboard * (pitch - 60) / 36))
    # A cosine is half a turning vector, so twice its push makes the vector's real part come to COUPLING.
    return _String(kept * turn, np.minimum(kept, under) * turn, 2 * COUPLING * (1 - kept), sides(place))


def held_keys(notes: Sequence[PlayedNote]) -> dict[int, list[tuple[float, float]]]:
    """The spans in seconds in which the damper of each key's string is off because of its own note."""
    keys: dict[int, list[tuple[float, float]]] = {}
    for note in notes:
        keys.setdefault(note.pitch, []).append((note.start, note.release))
    return keys


def overlapping(keys: dict[int, list[tuple[float, float]]]) -> bool:
    """Whether any key goes down while another is held."""
    latest, holder = -math.inf, -1
    for start, end, pitch in sorted((start, end, pitch) for pitch, spans in keys.items() for start, end in spans):
        if start < latest and pitch != holder:
            return True
        if end > latest:
            latest, holder = end, pitch
    return False


@functools.cache
def low_pass(down: int) -> np.ndarray:
    """The filter between the rates, `TAPS` samples of the low one long; its gain at 0 Hz is 1."""
    from scipy.signal import firwin

    return np.ones(1) if down == 1 else np.asarray(firwin(TAPS * down + 1, 0.9 / down, window=("kaiser", 4.0)))


def lowered(position: int, mono: np.ndarray, taps: np.ndarray, down: int) -> tuple[int, np.ndarray]:
    """Sound (S,) that begins at a sample of the song, filtered, at the rate `down` times as low: its first sample there, and (N,)."""
    before = position % down
    given = np.concatenate([np.zeros(before + len(taps) - 1, np.float32), mono, np.zeros(len(taps) - 1 + down, np.float32)])
    low = np.empty((before + len(mono) + len(taps) - 2) // down + 1)
    _lower_loop(taps[::-1].astype(np.float32), given.astype(np.float32, copy=False), down, low)
    return position // down, low


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


@compiled
def _lower_loop(taps: np.ndarray, given: np.ndarray, down: int, low: np.ndarray) -> None:
    """Every `down`th sample of what is given, filtered by taps in reverse order."""
    for place in range(len(low)):
        total, window = np.float32(0.0), given[place * down : place * down + len(taps)]
        for tap in range(len(taps)):
            total += taps[tap] * window[tap]
        low[place] = total


@compiled
def _ring_loop(
    state: np.ndarray, turns: np.ndarray, push: np.ndarray, given: np.ndarray, first: int, last: int, gains: np.ndarray, sound: np.ndarray
) -> None:
    """Turn the partials of strings (K,) for the samples `first` … `last` of what is given (N,), push them by it, and add their real parts
    with their gains (2, K) to both channels of the sound."""
    partials = state.shape[0]
    x, y = state.real.copy(), state.imag.copy()
    c, s = turns.real.copy(), turns.imag.copy()
    to_left, to_right = gains[0].copy(), gains[1].copy()
    for sample in range(first, last):
        force, left, right = given[sample], 0.0, 0.0
        for k in range(partials):
            turned = x[k] * c[k] - y[k] * s[k] + push[k] * force
            y[k] = x[k] * s[k] + y[k] * c[k]
            x[k] = turned
            left += to_left[k] * turned
            right += to_right[k] * turned
        sound[0, sample] += left
        sound[1, sample] += right
    for k in range(partials):
        state[k] = complex(x[k], y[k])

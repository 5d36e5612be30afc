"""A part on a WaveNet voice while it sounds: each note lifted to the song's rate, read at the speed of its bends, at its loudness.

Sound is float32; a note is added whole when it begins, so the song's buffer holds a note's length.
"""

from collections import OrderedDict

import numpy as np

from symbolic.rendering.enhancing import enhanced_to
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.sources import Source
from symbolic.rendering.wavenet_part import CURVE_RATE, Made, Wanted, WavenetPart, heard_seconds, reading

FADE = 0.04  # seconds in which a note ends
LONGEST_LEAD = 0.06  # seconds by which a slow beginning goes before the beat
BEGUN = 0.1  # of a note's highest level: where it is heard to begin
KEPT = 64  # notes at the song's rate in memory


class WavenetSource(Source):
    """Notes in the order of their first samples."""

    def __init__(self, part: Part, place: float, sample_rate: int, played: WavenetPart) -> None:
        super().__init__(part, place, sample_rate)
        self._notes = played.notes
        self._lifted: OrderedDict[Wanted, tuple[np.ndarray, float]] = OrderedDict()
        starts = [(max(0.0, note.start - LONGEST_LEAD), note) for note in part.notes]
        self._waiting = sorted(starts, key=lambda pair: (pair[0], pair[1].index))
        self._next_note = 0

    @property
    def begun(self) -> bool:
        """Whether every note has begun."""
        return self._next_note == len(self._waiting)

    def begin(self, until: int) -> None:
        """Add the notes that may start before the sample `until`."""
        while not self.begun and round(self._waiting[self._next_note][0] * self.sample_rate) < until:
            earliest, note = self._waiting[self._next_note]
            sound, lead = self._sound(note)
            position = max(round(earliest * self.sample_rate), round((note.start - lead) * self.sample_rate))
            self.add(position, np.broadcast_to(sound, (2, len(sound))))
            self.end = max(self.end, position + len(sound))
            self._next_note += 1

    def forget(self) -> None:
        """Nothing is held of notes that have ended."""

    def _sound(self, note: PlayedNote) -> tuple[np.ndarray, float]:
        """The note as it sounds, and the seconds by which it begins before its beat."""
        wanted = self._notes.wanted(note, self.part)
        made = self._notes.made(wanted)
        lifted, lead = self._at_rate(wanted, made)
        speeds, _ = reading(note, self.part, note.pitch - wanted[0] + (made.tuning or 0.0))
        samples = round(heard_seconds(note) * self.sample_rate)
        sound = read_at(lifted, speeds, samples, self.sample_rate) if np.any(speeds != 1.0) else lifted[:samples]
        sound = sound * np.float32(self._notes.gain(note, made))
        fade = min(len(sound), round(FADE * self.sample_rate))
        sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        return sound, lead / float(speeds[0])

    def _at_rate(self, wanted: Wanted, made: Made) -> tuple[np.ndarray, float]:
        if wanted in self._lifted:
            self._lifted.move_to_end(wanted)
            return self._lifted[wanted]
        from symbolic.rendering.in_tune import sound_of

        voice = self._notes.voice
        sound = enhanced_to(sound_of(made.codes, voice.model), voice.sample_rate, self.sample_rate)
        envelope = np.maximum.accumulate(np.abs(sound))
        lead = float(np.searchsorted(envelope, BEGUN * envelope[-1])) / self.sample_rate if len(sound) else 0.0
        self._lifted[wanted] = sound, min(lead, LONGEST_LEAD)
        if len(self._lifted) > KEPT:
            self._lifted.popitem(last=False)
        return self._lifted[wanted]


def read_at(sound: np.ndarray, speeds: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
    """Sound (S,) read at `speeds`, factors at `CURVE_RATE`: `samples` of it, on cubic curves through its samples; silence after its end."""
    time = np.arange(samples) * (CURVE_RATE / sample_rate)
    speed = np.interp(time, np.arange(len(speeds)), speeds)
    place = np.concatenate([[0.0], np.cumsum(speed[:-1])])
    low = np.floor(place).astype(np.int64)
    t = (place - low).astype(np.float32)
    padded = np.pad(sound, (1, 3))
    a, b, c, d = (padded[np.minimum(low + k, len(padded) - 1)] for k in range(4))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.where(low < len(sound), curve, 0.0).astype(np.float32)

"""One part while it sounds: what plays its notes, the samples made ahead of the block, volume, pan and what goes to the room.

Sound is (2, S) float32 at the song's rate. Learned voices have a rate of their own; what they make is resampled here.
"""

import math

import numpy as np

from symbolic.models.voices.drums import DrumKit
from symbolic.models.voices.struck import StruckVoice
from symbolic.rendering.controls import NoteControls
from symbolic.rendering.drum_hits import DrumSound, draws_of
from symbolic.rendering.drum_kits import kit_program
from symbolic.rendering.drums import CHOKES, choke_times, drum_preset
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.learned_part import LearnedPart
from symbolic.rendering.performance import Curve, Part, PlayedNote, volume_gain
from symbolic.rendering.phrase_player import RATE, PhrasePlayer
from symbolic.rendering.presets import Preset
from symbolic.rendering.struck_controls import StruckControls, StruckSound
from symbolic.rendering.voices import NotePlayer, Voice, pan_gains

DEFAULT_GAIN = float(volume_gain(100))  # General MIDI: volume 100, expression 127
DEFAULT_REVERB = 40 / 127  # where controller 91 stands for the preset's own amount
DRUM_REVERB = 0.12
ROOM_LEVEL = 0.9
CROSS = 0.3  # how much of each side enters the room on the other: a room is heard on both sides
SECTION_WIDTH = 0.5  # how far apart the players of a section sit, 0 … 1
GROWN = 24000  # samples of room to spare
AHEAD = 8192  # samples by which a resampler's input goes before its output


class Source:
    """A part; what makes its sound is in the subclasses. `end` is the sample at which all that has begun is over."""

    def __init__(self, part: Part, place: float, sample_rate: int) -> None:
        self.part, self.place, self.sample_rate = part, place, sample_rate
        self.end = 0
        self._buffer = np.zeros((2, 0), np.float32)
        self._start = 0

    @property
    def begun(self) -> bool:
        """Whether every note has begun, so that `end` is known."""
        raise NotImplementedError

    def begin(self, until: int) -> None:
        """Begin what starts before the sample `until`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of what has ended."""
        raise NotImplementedError

    def add(self, position: int, sound: np.ndarray) -> None:
        """Sound (2, S) at a sample that was not taken yet."""
        first = position - self._start
        missing = first + sound.shape[1] - self._buffer.shape[1]
        if missing > 0:  # room for more, so that the next notes find it
            self._buffer = np.concatenate([self._buffer, np.zeros((2, missing + GROWN), np.float32)], axis=1)
        self._buffer[:, first : first + sound.shape[1]] += sound

    def take(self, start: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The part's next samples with its volume and pan: dry, and what it sends to the room."""
        block = self._next(size)
        if not block.any():
            return block, block
        gain = self._along(self.part.gain, DEFAULT_GAIN, start, size)
        left, right = pan_gains(self._along(self.part.pan, self.place, start, size))
        block[0] *= gain * left
        block[1] *= gain * right
        amount = DRUM_REVERB if self.part.is_drum else PROGRAMS[self.part.program].reverb
        send = self._along(self.part.reverb, DEFAULT_REVERB, start, size) / DEFAULT_REVERB
        across = (1 - CROSS) * block + CROSS * block[::-1]
        return block, across * np.asarray(ROOM_LEVEL * amount * np.sqrt(send), np.float32)

    def _next(self, size: int) -> np.ndarray:
        """The next samples of the buffer, silence where it has none."""
        block = np.zeros((2, size), np.float32)
        ready = min(size, self._buffer.shape[1])
        block[:, :ready] = self._buffer[:, :ready]
        self._buffer = self._buffer[:, ready:]
        self._start += size
        return block

    def _along(self, curve: Curve | None, default: float, start: int, size: int) -> np.ndarray | float:
        """A controller at every sample of the block, or one number where it stands still."""
        if curve is None:
            return default
        first, last = start / self.sample_rate, (start + size) / self.sample_rate
        if not curve.between(first, last):
            return float(curve.at(np.array([first]))[0])
        return curve.at((start + np.arange(size)) / self.sample_rate).astype(np.float32)


class SynthesizedSource(Source):
    """A part on the synthesizer, a struck voice or a measured drum kit: a `NotePlayer` for each note that sounds."""

    def __init__(self, part: Part, place: float, sample_rate: int, struck: StruckVoice | None = None, kit: DrumKit | None = None) -> None:
        super().__init__(part, place, sample_rate)
        self._struck, self._kit = struck, kit
        self.voices: list[NotePlayer] = []
        self._draws = draws_of(part.notes, part.index) if kit is not None else []
        self._next_note = 0
        chokes = CHOKES if kit is None else kit_program(part.program).chokes
        self._stops = choke_times(part.notes, chokes) if part.is_drum else [None] * len(part.notes)

    @property
    def begun(self) -> bool:
        """Whether every note has begun."""
        return self._next_note == len(self.part.notes)

    def begin(self, until: int) -> None:
        """Begin the voices of the notes that start before the sample `until`."""
        notes = self.part.notes
        while self._next_note < len(notes) and round(notes[self._next_note].start * self.sample_rate) < until:
            voice = self._voice(self._next_note)
            self.end = max(self.end, voice.end)
            self.voices.append(voice)
            self._next_note += 1

    def forget(self) -> None:
        """Let go of the notes that have ended."""
        self.voices = [voice for voice in self.voices if not voice.done]

    def _voice(self, place: int) -> NotePlayer:
        note, stop = self.part.notes[place], self._stops[place]
        preset = self._preset(note)
        if self._kit is not None and note.pitch in self._kit.measured:
            return DrumSound(preset, self._kit, note, self.sample_rate, self._draws[place], stop)
        if self._struck is not None:
            return StruckSound(StruckControls(preset, self._struck, note, self.part, self.sample_rate, stop), self.sample_rate)
        return Voice(NoteControls(preset, note, self.part, self.sample_rate, stop), self.sample_rate)

    def _preset(self, note: PlayedNote) -> Preset:
        return drum_preset(note.pitch) if self.part.is_drum else PROGRAMS[self.part.program]


class LearnedSource(Source):
    """A part on learned voices: a player for each phrase that sounds."""

    def __init__(self, part: Part, place: float, sample_rate: int, learned: LearnedPart) -> None:
        super().__init__(part, place, sample_rate)
        self._phrases = learned.phrases
        self._next_phrase = self._until = 0
        self._players: list[PhrasePlayer] = []
        self._resampler = _Resampled(sample_rate) if sample_rate != RATE else None

    @property
    def begun(self) -> bool:
        """Whether every phrase has begun."""
        return self._next_phrase == len(self._phrases)

    def begin(self, until: int) -> None:
        """Begin the phrases that start before the sample `until`."""
        self._until = until if self._resampler is None else math.ceil(until * RATE / self.sample_rate) + AHEAD
        while not self.begun and round(self._phrases[self._next_phrase][1].begin * RATE) < self._until:
            voice, phrase = self._phrases[self._next_phrase]
            player = PhrasePlayer(phrase, self.part, voice)
            self._players.append(player)
            self.end = max(self.end, math.ceil(player.end * self.sample_rate / RATE))
            self._next_phrase += 1

    def waiting(self) -> list[PhrasePlayer]:
        """The players who are not as far as the block's end."""
        return [player for player in self._players if not player.done and player.position < self._until]

    def add_player(self, player: PhrasePlayer, position: int, sound: np.ndarray) -> None:
        """Mono sound of a player, at a sample of `RATE`."""
        left, right = (np.float32(gain) for gain in pan_gains(SECTION_WIDTH * player.place))
        self.add(position, np.stack([left * sound, right * sound]))

    def forget(self) -> None:
        """Let go of the phrases that have ended."""
        self._players = [player for player in self._players if not player.done]

    def _next(self, size: int) -> np.ndarray:
        if self._resampler is None:
            return super()._next(size)
        while self._resampler.ready < size:
            self._resampler.feed(super()._next(max(1, self._until - self._start)))
        return self._resampler.take(size)


class _Resampled:
    """A stream from `RATE` to another rate, taken in any sizes."""

    def __init__(self, sample_rate: int) -> None:
        from symbolic.dsp.resampling import Resampler

        self._resampler = Resampler(RATE, sample_rate, 2, "HQ")
        self._held = np.zeros((2, 0), np.float32)

    @property
    def ready(self) -> int:
        """Samples that can be taken."""
        return self._held.shape[1]

    def feed(self, block: np.ndarray) -> None:
        self._held = np.concatenate([self._held, self._resampler.process(block).astype(np.float32)], axis=1)

    def take(self, size: int) -> np.ndarray:
        taken, self._held = self._held[:, :size].copy(), self._held[:, size:]
        return taken

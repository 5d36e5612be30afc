"""Phrases to sound with learned voices: many at once, block by block, in constant memory.

Phrases of the same voice go through its network as rows of one batch; oscillators and noise then sound for each alone. A player keeps
the memory of the network, the phase and the filter between blocks. Voices sound at their own rate, `RATE`; sound is mono float32.
"""

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from symbolic.dsp.harmonics_and_noise import HarmonicsAndNoise
from symbolic.rendering.performance import Part
from symbolic.rendering.phrase_controls import PhraseCurves
from symbolic.rendering.phrases import Phrase
from symbolic.rendering.voice_response import response_of

if TYPE_CHECKING:
    from symbolic.models.voices.native import NativeDecoder

RATE = 48000
FRAMES = 250  # computed at once: a second
ROWS = 4  # of a batch: more are no faster, and fewer than threads are idle


class PhrasePlayer:
    """One phrase being played: `next_segment` of several with the same voice is `play_together`."""

    def __init__(self, phrase: Phrase, part: Part, voice: str) -> None:
        self.voice, self.decoder = voice, decoder_of(voice)
        config = self.decoder.config
        self.hop, self.place = config.hop, phrase.place
        self.start = round(phrase.begin * RATE)
        frames = math.ceil((phrase.finish * RATE - self.start) / self.hop)
        self.frames = max(1, -(-frames // config.stride)) * config.stride
        self.frame = self.given = 0
        self.state = np.zeros(config.memory, np.float32)
        self._loudest = max(config.loudness_quantiles, default=0.0)
        self._curves, self._response = PhraseCurves(phrase, part), response_of(voice)
        seed = np.random.SeedSequence((part.index, phrase.player, self.start))
        self._sound = HarmonicsAndNoise(config.partials, config.noise_bands, self.hop, RATE, int(seed.generate_state(1)[0]))

    @property
    def position(self) -> int:
        """The sample of the song, at `RATE`, at which the next sound starts."""
        return self.start + self.given

    @property
    def end(self) -> int:
        """The sample of the song at which the phrase is over."""
        return self.start + self.frames * self.hop

    @property
    def done(self) -> bool:
        """Whether all of it was played."""
        return self.frame >= self.frames

    def controls(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pitch, pitch to be told, loudness and gain (F,) of the next `FRAMES` frames, or of those that are left."""
        frames = np.arange(self.frame, min(self.frame + FRAMES, self.frames))
        found = self._curves.at((self.start + (frames + 0.5) * self.hop) / RATE)
        loudness = np.minimum(found.loudness, self._loudest)
        return found.pitch, found.told, loudness, found.gain * self._response.gain(found.told, loudness)

    def sound(self, pitch: np.ndarray, amplitudes: np.ndarray, gains: np.ndarray) -> np.ndarray:
        """What is ready after these frames."""
        middles = (self.start + (self.frame + np.arange(len(pitch)) + 0.5) * self.hop) / RATE
        self.frame += len(pitch)
        sound = self._sound.process(pitch, amplitudes, gains, self._curves.starts(middles, self.hop / RATE))
        if self.done:
            sound = np.concatenate([sound, self._sound.flush()])
        self.given += len(sound)
        return sound


def play_together(players: Sequence[PhrasePlayer]) -> list[tuple[int, np.ndarray]]:
    """The next sound of each of these players, who have the same voice, and the sample at which it starts."""
    told = [player.controls() for player in players]
    frames = max(len(pitch) for pitch, *_ in told)
    pitch, loudness = np.full((len(players), frames), 440.0, np.float32), np.full((len(players), frames), -80.0, np.float32)
    for row, (_, hertz, decibels, _) in enumerate(told):
        pitch[row, : len(hertz)], loudness[row, : len(hertz)] = hertz, decibels
    amplitudes, gains, state = players[0].decoder(pitch, loudness, np.stack([player.state for player in players]))
    pieces = []
    for row, (player, (hertz, _, _, gain)) in enumerate(zip(players, told, strict=True)):
        player.state = state[row]
        position, count = player.position, len(hertz)
        factor = gain.astype(np.float32)[:, None]
        pieces.append((position, player.sound(hertz, amplitudes[row, :count] * factor, gains[row, :count] * factor)))
    return pieces


def batches(players: Sequence[PhrasePlayer]) -> list[list[PhrasePlayer]]:
    """The players in groups of one voice, always the same for the same players."""
    by_voice: dict[str, list[PhrasePlayer]] = {}
    for player in players:
        by_voice.setdefault(player.voice, []).append(player)
    return [group[first : first + ROWS] for group in by_voice.values() for first in range(0, len(group), ROWS)]


@functools.cache
def decoder_of(voice: str) -> "NativeDecoder":
    """The network of a bundled voice, loaded once."""
    from symbolic.models.voices.bundled import voice_folder
    from symbolic.models.voices.native import load_native_decoder

    return load_native_decoder(voice_folder(voice))

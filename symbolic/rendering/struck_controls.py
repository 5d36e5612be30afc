"""One note of a struck voice: what the synthesizer would compute from a preset, taken from a table of recordings.

Pitch, motion, key-up, place and level are the preset's, so that files stay balanced; the partials' spectrum and decay and the noise of
the stroke are the voice's. Its loudness is that of a synthesized note: the table says how a note sounds, velocity how loud it is.
"""

import functools
from dataclasses import replace

import numpy as np

from symbolic.dsp.decaying_partials import stiff_partials
from symbolic.dsp.noise_bands import NoiseVoice
from symbolic.dsp.units import db_to_gain, midi_to_hz
from symbolic.models.voices.struck import StruckVoice
from symbolic.rendering.controls import MOST_PARTIALS, NoteControls, Spectrum, hearing, hop_of
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.voices import Voice, place_in

FADED = 0.03  # of the sample rate below its half, in which partials fade out
QUIETEST = -70.0  # dB against the loudest partial at its loudest: others are left out
OVER = -75.0  # dB: a note is over when all has fallen so far
LONGEST = 60.0  # seconds
NOISE_BANDS = 193  # evenly from 0 to half the sample rate
NOISE_FRAMES = 3  # frames of the synthesizer to one of noise: 8 ms
NOISE_OVER = -60.0  # dB against the loudest partial: noise ends there
LONGEST_NOISE = 2.5  # seconds
NOISES_KEPT = 64


class StruckControls(NoteControls):
    """As `NoteControls`; `voice` says what follows the stroke. The note is `cents` higher than written."""

    def __init__(
        self, preset: Preset, voice: StruckVoice, note: PlayedNote, part: Part, sample_rate: int, release: float | None = None,
        cents: float = 0.0,
    ) -> None:  # fmt: skip
        self.voice, self.struck_velocity = voice, note.velocity
        self._struck = voice.note(note.pitch, note.velocity)
        super().__init__(replace(preset, noises=(), transpose=cents / 100), note, part, sample_rate, release)

    def noise_envelope(self, first: int, last: int) -> np.ndarray:
        """What the noise of the stroke is multiplied by at the frame borders first … last: level, attack and release."""
        return self.gain * self._gain * self._envelope(np.arange(first, last + 1) * self.frame_seconds)

    def _spectrum(self, pitch: int, velocity: int, sample_rate: int) -> Spectrum:
        struck = self._struck
        frequency = float(midi_to_hz(float(pitch)))
        lowest = frequency / float(np.sqrt(1 + struck.stiffness))  # so that the first partial is in tune
        hertz = stiff_partials(lowest, struck.stiffness, min(20000.0, 0.5 * sample_rate), min(MOST_PARTIALS, len(struck.partials)))
        levels = struck.partials[: len(hertz)]
        top = db_to_gain(levels.max(1))
        self._gain = 1 / max(float(np.sqrt(((top * hearing(hertz)) ** 2).sum())), 1e-9)
        kept = levels.max(1) > levels.max(initial=-np.inf) + QUIETEST
        self._sounding = replace(struck, partials=levels[kept])
        hertz = hertz[kept]
        fade = np.clip((0.5 - hertz / sample_rate) / FADED, 0, 1)
        return Spectrum(frequency, hertz / frequency, hertz.astype(np.float32), (fade * self._gain).astype(np.float32), None, 0.0)

    def _amplitudes(self, time: np.ndarray) -> np.ndarray:
        envelope = (self.gain * self._envelope(time)).astype(np.float32)[:, None]
        return envelope * self.spectrum.amplitudes * np.asarray(db_to_gain(self._sounding.partials_at(time)), np.float32)

    def _seconds(self) -> float:
        times = np.append(self._struck.times, np.arange(self._struck.times[-1] + 1, LONGEST, 1.0))
        levels = self._sounding.partials_at(times).max(1, initial=-200.0)
        sounding = np.flatnonzero(levels > levels.max() + OVER)
        natural = float(times[min(sounding[-1] + 1, len(times) - 1)])
        return min(natural, self.held + self.preset.release * -OVER / 60) + 0.01


class StruckSound(Voice):
    """Renders one note of a struck voice."""

    controls: StruckControls

    def __init__(self, controls: StruckControls, sample_rate: int) -> None:
        super().__init__(controls, sample_rate)
        self._noise: np.ndarray | None = None

    def _add_noise(self, sound: np.ndarray, first: int, last: int) -> None:
        controls, hop = self.controls, self.hop
        if self._noise is None:
            self._noise = stroke_noise(controls.voice, controls.pitch, controls.struck_velocity, self.sample_rate)
        noise = self._noise[first * hop : last * hop]
        if len(noise):
            curve = controls.noise_envelope(first, last).astype(np.float32)
            along = np.interp(np.arange(len(noise), dtype=np.float32), hop * np.arange(len(curve)), curve).astype(np.float32)
            place_in(sound[:, : len(noise)], noise * along, sum(controls.places) / len(controls.places))


@functools.lru_cache(maxsize=NOISES_KEPT)
def stroke_noise(voice: StruckVoice, pitch: int, velocity: int, sample_rate: int) -> np.ndarray:
    """The noise (S,) float32 of a stroke as the table tells it, up to its end; the same for every stroke of a key at a velocity."""
    note, hop = voice.note(pitch, velocity), NOISE_FRAMES * hop_of(sample_rate)
    grid = np.arange(0, LONGEST_NOISE, hop / sample_rate)
    levels = note.noise_at(grid)
    heard = np.flatnonzero(levels.max(1) > note.partials.max() + NOISE_OVER)
    if not len(heard):
        return np.zeros(0, np.float32)
    # The power of a band of the table is spread over its hertz; a gain g everywhere is a root mean square of g.
    centres, half_rate = voice.centres, sample_rate / 2
    ratio = float(centres[1] / centres[0]) if len(centres) > 1 else 2.0
    density = levels[: heard[-1] + 1] - 10 * np.log10(centres * (ratio**0.5 - ratio**-0.5) / half_rate)
    hertz = np.maximum(np.linspace(0, half_rate, NOISE_BANDS), 1.0)
    even = np.array([np.interp(np.log(hertz), np.log(centres), row) for row in density])
    made = NoiseVoice(NOISE_BANDS, hop, pitch * 128 + velocity)
    gains = np.asarray(db_to_gain(even), np.float32)
    return np.concatenate([made.process(gains), made.flush()])

"""One note of a struck voice: what the synthesizer would compute from a preset, taken from a table of recordings.

Pitch, motion, place and level are the preset's, so that files stay balanced; the partials' spectrum and decay and the noise of the stroke
are the voice's, as are the beats of its strings and its dampers where they are told. Its loudness is that of a synthesized note: the table
says how a note sounds, velocity how loud it is.

A key's strings are not played one by one: each partial's level beats as theirs together would.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.coupled_strings import beats
from symbolic.dsp.noise_bands import NoiseVoice
from symbolic.dsp.units import db_to_gain, midi_to_hz
from symbolic.models.voices.struck import FASTEST, SLOWEST, StruckNote, StruckVoice
from symbolic.rendering.controls import MOST_PARTIALS, NoteControls, Spectrum, hearing, hop_of
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.voices import Voice, sides

FADED = 0.03  # of the sample rate below its half, in which partials fade out
QUIETEST = -70.0  # dB against the loudest partial at its loudest: others are left out
OVER = -75.0  # dB: a note is over when all has fallen so far
LONGEST = 60.0  # seconds
NOISE_BANDS = 193  # evenly from 0 to half the sample rate
NOISE_FRAMES = 3  # frames of the synthesizer to one of noise: 8 ms
NOISE_OVER = -60.0  # dB against the loudest partial: noise ends there
LONGEST_NOISE = 2.5  # seconds
NOISES_KEPT, STROKES_KEPT = 64, 1024
SPEAKS = 0.004  # seconds: the attack of a voice that sustains, whose own is in the table
CHORUS = 5.0  # cents: copies nearer to each other are no choir; of what is held they would only beat
NEPERS = math.log(10) / 20  # in a decibel


@dataclass(frozen=True)
class Stroke:
    """What a key and a velocity make of a voice: the preset less its noises, the partials that are heard and their table, the factor that
    makes them as loud as a synthesized note's, and the seconds they last when nothing stops them."""

    preset: Preset
    spectrum: Spectrum
    sounding: StruckNote
    gain: float
    seconds: float


class StruckControls(NoteControls):
    """As `NoteControls`; `voice` says what follows the stroke. The note is `cents` higher than written."""

    def __init__(
        self, preset: Preset, voice: StruckVoice, note: PlayedNote, part: Part, sample_rate: int, release: float | None = None,
        cents: float = 0.0,
    ) -> None:  # fmt: skip
        self.voice, self.struck_velocity = voice, note.velocity
        self.stroke = stroke_of(preset, voice, note.pitch, note.velocity, sample_rate, cents)
        super().__init__(self.stroke.preset, note, part, sample_rate, release)

    def noise_envelope(self, first: int, last: int) -> np.ndarray:
        """What the noise of the stroke is multiplied by at the frame borders first … last: level, attack and release."""
        return self.gain * self.stroke.gain * self._envelope(np.arange(first, last + 1) * self.frame_seconds)

    def _spectrum(self, pitch: int, velocity: int, sample_rate: int) -> Spectrum:
        return self.stroke.spectrum

    def _amplitudes(self, time: np.ndarray) -> np.ndarray:
        table, envelope = self.stroke.sounding, self.gain * self._envelope(time)
        amplitudes = np.empty((len(time), len(table.partials)), np.float32)
        step, scale = self.frame_seconds, self.spectrum.amplitudes
        _fall_loop(table.times, table.partials, scale, time, step, envelope, not table.sustained, amplitudes)
        if table.strings is not None:
            amplitudes *= beats(table.strings, self.spectrum.hertz, time)
        return amplitudes

    def _seconds(self) -> float:
        return min(self.stroke.seconds, self.held + self.preset.release * -OVER / 60) + 0.01


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
        if controls.voice.sustained and len(self._noise) >= round(LONGEST_NOISE * self.sample_rate):
            noise = self._noise[_looped(np.arange(first * hop, last * hop), len(self._noise))]
        if len(noise):
            curve = controls.noise_envelope(first, first - (-len(noise) // hop))
            add_along(sound, noise, curve, hop, np.array(sides(sum(controls.places) / len(controls.places))))


@functools.lru_cache(maxsize=STROKES_KEPT)
def stroke_of(preset: Preset, voice: StruckVoice, pitch: int, velocity: int, sample_rate: int, cents: float = 0.0) -> Stroke:
    """The stroke of a key (a MIDI number) at a velocity, `cents` higher than written; the same one for every note that asks for it."""
    struck, frequency = voice.note(pitch, velocity), float(midi_to_hz(float(pitch)))
    hertz = struck.hertz(frequency, min(20000.0, 0.5 * sample_rate), MOST_PARTIALS)
    levels = struck.partials[: len(hertz)]
    top = db_to_gain(levels.max(1))
    gain = 1 / max(float(np.sqrt(((top * hearing(hertz)) ** 2).sum())), 1e-9)
    kept = levels.max(1) > levels.max(initial=-np.inf) + QUIETEST
    sounding, hertz = replace(struck, partials=np.ascontiguousarray(levels[kept])), hertz[kept]
    fade = np.clip((0.5 - hertz / sample_rate) / FADED, 0, 1)
    spectrum = Spectrum(frequency, hertz / frequency, hertz.astype(np.float32), (fade * gain).astype(np.float32), None, 0.0)
    times = np.append(struck.times, np.arange(struck.times[-1] + 1, LONGEST, 1.0))
    loudest = sounding.partials_at(times).max(1, initial=-200.0)
    last = np.flatnonzero(loudest > loudest.max() + OVER)[-1]
    natural = float(times[min(last + 1, len(times) - 1)])
    preset = replace(preset, noises=(), transpose=cents / 100)
    if sounding.strings is not None and preset.detune < CHORUS:
        sounding, preset = replace(sounding, strings=sounding.strings[: len(levels)][kept]), replace(preset, copies=1)
    else:
        sounding = replace(sounding, strings=None)  # copies farther apart beat by themselves
    if (damped := voice.damped(pitch)) is not None:
        preset = replace(preset, release=damped)
    if voice.sustained:
        release, copies = voice.release or preset.release, preset.copies if preset.detune >= CHORUS else 1
        preset = replace(preset, attack=SPEAKS, sustain=1.0, ring=math.inf, one_shot=False, release=release, copies=copies)
        natural = math.inf
    return Stroke(preset, spectrum, sounding, gain, natural)


@compiled
def _fall_loop(
    moments: np.ndarray, levels: np.ndarray, scale: np.ndarray, time: np.ndarray, step: float, envelope: np.ndarray, falls: bool,
    amplitudes: np.ndarray,
) -> None:  # fmt: skip
    """Amplitudes (F, P) of levels (P, T) in decibels at the times (F,), `step` apart: on a straight line in decibels each is a constant
    part of the one before, so an exponential is taken for each line and not for each frame. Times scale (P,) and envelope (F,).
    After the last moment each `falls` on as before, or stays."""
    partials, last = levels.shape[0], moments.shape[0] - 1
    now, ratio = np.empty(partials), np.empty(partials)
    place, line = 0, -1
    for frame in range(time.shape[0]):
        while place <= last and time[frame] > moments[place]:
            place += 1
        if place != line:
            line = place
            for p in range(partials):
                begin = min(max(place - 1, 0), last)
                slope = 0.0
                if 0 < place <= last:
                    slope = (levels[p, place] - levels[p, begin]) / (moments[place] - moments[begin])
                elif place and falls:
                    slope = (levels[p, last] - levels[p, last - 1]) / (moments[last] - moments[last - 1])
                    slope = -min(max(-slope, SLOWEST), FASTEST)
                since = time[frame] - moments[begin] if place else 0.0
                now[p] = scale[p] * math.exp(NEPERS * (levels[p, begin] + slope * since))
                ratio[p] = math.exp(NEPERS * slope * step)
        else:
            for p in range(partials):
                now[p] *= ratio[p]
        for p in range(partials):
            amplitudes[frame, p] = now[p] * envelope[frame]


@compiled
def add_along(sound: np.ndarray, mono: np.ndarray, curve: np.ndarray, hop: int, gains: np.ndarray) -> None:
    """Add mono sound (S,) to the channels of `sound`, each with its gain, times a curve that has a corner every `hop` samples."""
    for frame in range(-(-len(mono) // hop)):
        first = frame * hop
        source, begin, slope = mono[first : first + hop], curve[frame], (curve[frame + 1] - curve[frame]) / hop
        for channel in range(gains.shape[0]):
            target, gain = sound[channel, first : first + hop], gains[channel]
            for sample in range(len(source)):
                target[sample] += source[sample] * np.float32(gain * (begin + slope * sample))


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
    noise = np.concatenate([made.process(gains), made.flush()])
    return _closed(noise) if voice.sustained and len(noise) >= LONGEST_NOISE * sample_rate else noise


def _closed(noise: np.ndarray) -> np.ndarray:
    """Noise (S,) whose last half, played again and again, has no seam: its end goes over into what stands before that half."""
    middle, seam = len(noise) // 2, len(noise) // 4
    angle = np.linspace(0, math.pi / 2, seam, dtype=np.float32)
    noise[-seam:] = np.cos(angle) * noise[-seam:] + np.sin(angle) * noise[middle - seam : middle]
    return noise


def _looped(places: np.ndarray, length: int) -> np.ndarray:
    """Where in closed noise of a length the samples at any places are."""
    middle = length // 2
    return np.where(places < length, places, middle + (places - length) % (length - middle))

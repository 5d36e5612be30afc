"""Notes to controls: the pitch, the partials' amplitudes and the noise levels of one note, frame by frame.

Shapes: F + 1 control points at the borders of F frames, P partials. A control is a closed form of the time since the note began,
so any stretch of frames can be computed alone and equals the same stretch of the whole.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.envelopes import T60_RATE, decay, rise, settle, wander
from symbolic.dsp.units import cents_to_ratio, db_to_gain, midi_to_hz
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import MIDDLE_HZ, Noise, Preset

FRAME_RATE = 375.0  # control points a second, about: a frame is a whole number of samples
MOST_PARTIALS = 96
QUIETEST_PARTIAL = -66.0  # dB against the strongest; weaker ones are left out
SILENCE = 80.0  # dB of decay after which a note is over
SHORTEST_SECONDS = 0.03  # a note of no length is still touched
MODULATION_CENTS = 45.0  # vibrato of a modulation wheel all the way up
NOTE_GAIN = 0.1  # one loud note alone is at −20 dB before the mix is levelled
REFERENCE_VELOCITY = 96
SOFTEST = 6.0  # what is added to a velocity, so that 1 is soft and not silent
STRING_BALANCE = 0.5  # amplitude of each further string of a struck or plucked note against the one before


def hop_of(sample_rate: int) -> int:
    """Samples between control points; 128 at 48 kHz."""
    return max(8, 4 * round(sample_rate / FRAME_RATE / 4))


@dataclass(frozen=True)
class Tone:
    """Controls of one copy of the tone: frequency (F + 1,) in hertz, stereo place −1 … 1, and what makes its amplitudes: those that all
    copies share, (F + 1, P) float32, and its own level (F + 1,)."""

    frequency: np.ndarray
    shared: np.ndarray
    level: np.ndarray
    place: float

    @property
    def amplitudes(self) -> np.ndarray:
        """(F + 1, P) float32."""
        return np.asarray(self.shared * self.level.astype(np.float32)[:, None])


@dataclass(frozen=True)
class Hiss:
    """Controls of one noise: centre (F + 1,) in hertz and level (F + 1,), root mean square."""

    centre: np.ndarray
    level: np.ndarray


@dataclass(frozen=True)
class Spectrum:
    """What a pitch and a velocity make of a preset: ratios, hertz, amplitudes and decay rates a second, each (P,) float32 but ratios.

    Amplitudes are before the low pass where it moves, after it where it stands; `rates` is None where nothing decays of itself.
    """

    frequency: float
    ratios: np.ndarray
    hertz: np.ndarray
    amplitudes: np.ndarray
    rates: np.ndarray | None
    cutoff: float


class NoteControls:
    """The controls of one note of a part. `release` is the second at which its key, pedal or choke lets it go."""

    def __init__(self, preset: Preset, note: PlayedNote, part: Part, sample_rate: int, release: float | None = None) -> None:
        self.preset, self.part, self.start = preset, part, note.start
        self.pitch, self.frame_seconds = note.pitch, hop_of(sample_rate) / sample_rate
        self.spectrum = self._spectrum(note.pitch, note.velocity, sample_rate)
        let_go = math.inf if preset.one_shot and release is None else (note.release if release is None else release)
        self.held = max(let_go - note.start, SHORTEST_SECONDS)
        self.gain = NOTE_GAIN * float(db_to_gain(preset.level)) * velocity_gain(note.velocity) ** preset.dynamics
        self.velocity = note.velocity / 127
        # A fast note speaks faster: an attack longer than the note would leave nothing of it.
        self.attack = min(preset.attack, max(0.01, 0.6 * self.held))
        generator = np.random.default_rng((part.index, note.index, note.pitch))
        copies, partials = preset.copies, len(self.spectrum.ratios)
        draws = generator.random((copies, partials + 9))
        self.phases = draws[:, 9:]
        self.motions = math.tau * draws[:, :7]  # phases of each copy's vibrato and wandering
        self.rates = preset.vibrato_rate * (0.94 + 0.12 * draws[:, 7])
        self.seeds = generator.integers(1, 2**32 - 1, len(preset.noises), dtype=np.uint32)
        spread = np.linspace(-1, 1, copies) if copies > 1 else np.zeros(1)
        self.detune = preset.detune * (spread + 0.35 * (draws[:, 8] - draws[:, 8].mean()))
        # Strings that ring together beat: a weaker second string keeps the beats from being silences.
        shares = np.ones(copies) if math.isinf(preset.ring) else STRING_BALANCE ** np.arange(copies)
        self.shares = shares / math.sqrt(float((shares**2).sum()))
        side = max(-0.8, min(0.8, preset.keyboard * (self.pitch - 60) / 36)) + preset.stereo
        self.places = [max(-1.0, min(1.0, side + preset.width * float(place))) for place in spread]
        self.seconds = self._seconds()

    def _spectrum(self, pitch: int, velocity: int, sample_rate: int) -> Spectrum:
        return spectrum_of(self.preset, pitch, velocity, sample_rate)

    def tones(self, first: int, last: int) -> list[Tone]:
        """The copies' controls at the frame borders first … last (inclusive), counted from the note's start."""
        if not len(self.spectrum.ratios):
            return []
        time = np.arange(first, last + 1) * self.frame_seconds
        amplitudes = self._amplitudes(time)
        cents, decibels = self._motion(time)
        still = np.ones(len(time))  # what does not move is computed once, for all frames
        frequency = self.spectrum.frequency * cents_to_ratio(cents) * still
        levels = db_to_gain(decibels) * self.shares[:, None] * still
        return [Tone(hertz, amplitudes, level, place) for hertz, level, place in zip(frequency, levels, self.places, strict=True)]

    def hisses(self, first: int, last: int) -> list[Hiss | None]:
        """The noises' controls at the same frame borders, in the order of the preset; None for a noise that is over."""
        time = np.arange(first, last + 1) * self.frame_seconds
        return [self._hiss(noise, index, time) for index, noise in enumerate(self.preset.noises)]

    def _hiss(self, noise: Noise, index: int, time: np.ndarray) -> Hiss | None:
        level = np.zeros(len(time))
        if math.isinf(noise.t60):
            level = rise(time, min(noise.attack, max(0.01, 0.6 * self.held))) * self._envelope(time)
        elif time[0] > _noise_seconds(noise):
            return None
        else:
            for moment in noise.bursts:
                level += rise(time - moment, noise.attack) * decay(time - moment, noise.t60) * (time >= moment)
            level = self._released(level, time)
        if noise.flutter:
            curve = wander(time, noise.flutter_rate, self.motions[:1, :3] + 2.3 * index)[0]
            level = level * np.maximum(1 - noise.flutter * (0.5 - 1.3 * curve), 0)
        gain = self.gain * float(db_to_gain(noise.level)) * self.velocity ** (noise.velocity - 1)
        centre = noise.centre * (self.spectrum.frequency / MIDDLE_HZ) ** noise.tracking
        glide = 2.0 ** (noise.glide * np.minimum(time, 4.0)) if noise.glide else np.ones(len(time))
        return Hiss(np.minimum(np.maximum(centre * glide, 20.0), 20000.0), gain * level)

    def _amplitudes(self, time: np.ndarray) -> np.ndarray:
        """(F + 1, P) float32: envelope × ring of each partial × low pass."""
        preset, spectrum = self.preset, self.spectrum
        result = (self.gain * self._envelope(time)).astype(np.float32)[:, None] * spectrum.amplitudes
        if spectrum.rates is not None:
            fallen = time.astype(np.float32)[:, None] * -spectrum.rates
            ring = np.exp(fallen)
            if preset.slow:
                ring *= np.float32(1 - preset.slow)
                ring += np.float32(preset.slow) * np.exp(fallen / np.float32(preset.slow_factor))
            result *= ring
        if preset.bright_start != 1.0:
            if time[0] > 14 * preset.bright_time:  # the low pass has come to rest
                result *= _low_pass(spectrum.hertz, spectrum.cutoff, preset.slope)
            else:
                cutoff = spectrum.cutoff * preset.bright_start ** np.exp(-time / preset.bright_time)
                result *= _low_pass(spectrum.hertz, cutoff[:, None], preset.slope)
        return result

    def _envelope(self, time: np.ndarray) -> np.ndarray:
        level = rise(time, self.attack)
        if self.preset.sustain != 1.0:
            level = level * settle(time - self.attack, self.preset.decay, self.preset.sustain)
        return self._released(level, time)

    def _released(self, level: np.ndarray, time: np.ndarray) -> np.ndarray:
        return level * decay(time - self.held, self.preset.release) if time[-1] > self.held else level

    def _motion(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cents and decibels, (C, F + 1), or (C, 1) where they stand still, by which each copy leaves its pitch and level: bend, vibrato,
        wandering, scoop."""
        preset = self.preset
        cents = 100 * preset.transpose + self.detune[:, None]
        decibels = np.zeros((1, 1))
        modulation = self.part.modulation.at(self.start + time) if self.part.modulation is not None else 0.0
        if preset.vibrato or preset.tremolo or np.any(modulation):
            depth = rise(time - 0.5 * preset.vibrato_delay, preset.vibrato_delay + 0.01)
            phase = self.motions[:, 6:] + 0.25 * wander(time, 1.0, self.motions[:, 3:6])
            swing = np.sin(math.tau * self.rates[:, None] * time + phase)
            cents = cents + (preset.vibrato * depth + MODULATION_CENTS * modulation) * swing
            decibels = decibels + preset.tremolo * depth * swing
        if preset.drift:
            cents = cents + preset.drift * wander(time, 2.5, self.motions[:, :3])
        if preset.flutter:
            decibels = decibels + preset.flutter * wander(time, 4.0, self.motions[:, 3:6])
        if preset.scoop and time[0] < 16 * preset.scoop_time:
            cents = cents + preset.scoop * np.exp(-time / preset.scoop_time)
        if self.part.bend is not None and not self.part.is_drum:
            cents = cents + 100 * self.part.bend.at(self.start + time)
        return cents, decibels

    def _seconds(self) -> float:
        """How long the note sounds: until it has decayed of itself, or after its release, whichever comes first."""
        preset, spectrum, natural = self.preset, self.spectrum, 0.0
        if len(spectrum.ratios):
            natural = SILENCE / 20 * math.log(10) / float(spectrum.rates.min()) if spectrum.rates is not None else math.inf
            if preset.slow:
                natural *= max(1.0, preset.slow_factor * (SILENCE + 20 * math.log10(preset.slow)) / SILENCE)
        natural = max([natural, *(_noise_seconds(noise) for noise in preset.noises)])
        return min(natural, self.held + preset.release * SILENCE / 60) + 0.01


def _noise_seconds(noise: Noise) -> float:
    return noise.bursts[-1] + noise.attack + noise.t60 * SILENCE / 60


def velocity_gain(velocity: int) -> float:
    """Amplitude factor of a velocity 1 … 127: 40·log10 of it, as General MIDI asks, but softest at −51 dB; 127 → 1, 64 → 0.277."""
    return ((velocity + SOFTEST) / (127 + SOFTEST)) ** 2


@functools.lru_cache(maxsize=4096)
def spectrum_of(preset: Preset, pitch: int, velocity: int, sample_rate: int) -> Spectrum:
    """The partials of a preset at a pitch (MIDI number) and velocity, below half the sample rate, normalised for loudness."""
    frequency = preset.fixed or float(midi_to_hz(float(pitch)))
    sounding = frequency * float(cents_to_ratio(100 * preset.transpose))
    octaves = math.log2(frequency / MIDDLE_HZ)
    ratios, weights = _partials(preset, sounding, octaves)
    heard = ratios * sounding < min(20000.0, 0.5 * sample_rate)
    ratios, weights = ratios[heard], weights[heard]
    base_cutoff = preset.cutoff * 2.0 ** (preset.cutoff_tracking * octaves)
    cutoff = base_cutoff * 2.0 ** (preset.brightness * (velocity - REFERENCE_VELOCITY) / 64)
    if not len(ratios):
        return Spectrum(frequency, ratios, ratios, weights, None, cutoff)
    hertz = ratios * sounding
    for centre, width, decibels in preset.formants:
        weights = weights * db_to_gain(decibels * np.exp(-((np.log2(hertz / centre) / width) ** 2)))
    # A partial fades out below half the sample rate, so that vibrato and bend do not switch it on and off.
    weights = weights * np.clip((0.5 - hertz / sample_rate) / 0.03, 0, 1)
    reference = weights * _low_pass(hertz, base_cutoff, preset.slope)
    scale = 1 / max(math.sqrt(float(((reference * hearing(hertz)) ** 2).sum())), 1e-9)
    widest = weights * _low_pass(hertz, cutoff * max(1.0, preset.bright_start), preset.slope)
    kept = widest > widest.max() * float(db_to_gain(QUIETEST_PARTIAL))
    ratios, weights, hertz = ratios[kept], weights[kept], hertz[kept]
    amplitudes = weights * scale
    if preset.bright_start == 1.0:
        amplitudes = amplitudes * _low_pass(hertz, cutoff, preset.slope)
    ring = preset.ring * 2.0 ** (-preset.ring_tracking * octaves)
    rates = T60_RATE / ring * (1 + np.maximum(hertz - sounding, 0) / preset.ring_damping)
    decays = None if math.isinf(ring) else rates.astype(np.float32)
    return Spectrum(frequency, ratios, hertz.astype(np.float32), amplitudes.astype(np.float32), decays, cutoff)


def _partials(preset: Preset, sounding: float, octaves: float) -> tuple[np.ndarray, np.ndarray]:
    if preset.ratios is not None:
        ratios = np.array(preset.ratios)
        weights = np.array(preset.weights) if preset.weights is not None else ratios ** (-preset.tilt / 6.02)
        return ratios, weights
    if preset.weights is not None:
        return np.arange(1.0, len(preset.weights) + 1), np.array(preset.weights)
    number = np.arange(1.0, min(MOST_PARTIALS, max(1, int(20000 / sounding))) + 1)
    weights = number ** (-preset.tilt / 6.02)
    weights[1::2] *= float(db_to_gain(preset.even))
    if preset.position:
        weights = weights * np.maximum(np.abs(np.sin(np.pi * number * preset.position)), 0.04)
    stiffness = preset.stiffness * 2.0 ** (1.2 * max(octaves, -1.5))
    ratios = number * np.sqrt((1 + stiffness * number**2) / (1 + stiffness))
    return ratios, weights


def _low_pass(hertz: np.ndarray, cutoff: float | np.ndarray, slope: float) -> np.ndarray:
    ratio = (np.log(hertz) - np.log(cutoff)).astype(np.float32)
    return 1 / np.sqrt(1 + np.exp(np.minimum(np.float32(2 * slope) * ratio, np.float32(60))))


def hearing(hertz: np.ndarray) -> np.ndarray:
    """How much a partial counts for loudness: little in the deep bass, somewhat more in the presence region."""
    deep = np.maximum(hertz**2 / (hertz**2 + 90.0**2), 0.2)  # below 45 Hz no amount of gain would make up for the ear
    return deep * (1 + 0.6 * hertz**2 / (hertz**2 + 1500.0**2))

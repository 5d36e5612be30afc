"""A stroke on a measured drum kit: hits are made once for each key, layer and draw, and played from memory.

A velocity between two measured ones is a mixture of both hits, which have the same noise. Velocity says how loud a stroke is, as on the
synthesizer, the kit how it sounds; place on the stage and what stops a stroke are the synthesizer's, too. Of the noise of a hit there are
a few draws, taken in turn, so that a repeated stroke is not the same sound again.
"""

import functools
from collections.abc import Sequence

import numpy as np

from symbolic.dsp.damped_modes import Modes, modes_sound
from symbolic.dsp.envelopes import decay
from symbolic.dsp.noise_bands import NoiseVoice
from symbolic.dsp.units import db_to_gain
from symbolic.models.voices.drums import SAMPLE_RATE, DrumKit
from symbolic.rendering.controls import SHORTEST_SECONDS, SILENCE, velocity_gain
from symbolic.rendering.performance import PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.voices import SEGMENT_FRAMES, NotePlayer, place_in

DRAWS = 4
NOISE_BANDS = 193  # evenly from 0 to half of 48 kHz
NOISE_HOP = 128
FLUTTER_STEP = 0.004  # seconds
END_FADE = 0.01  # seconds in which a hit fades where its recording ended
TONES_KEPT, NOISES_KEPT = 96, 256


def draws_of(notes: Sequence[PlayedNote], first: int = 0) -> list[int]:
    """Which draw each stroke, in order of time, takes: those of a key in turn, from `first` on."""
    counts: dict[int, int] = {}
    result = []
    for note in notes:
        counts[note.pitch] = counts.get(note.pitch, -1) + 1
        result.append((first + counts[note.pitch]) % DRAWS)
    return result


class DrumSound(NotePlayer):
    """Plays one stroke of a kit. `preset` is the synthesizer's drum on this key, `stop` the second at which another stroke cuts it off."""

    def __init__(self, preset: Preset, kit: DrumKit, note: PlayedNote, sample_rate: int, draw: int = 0, stop: float | None = None) -> None:
        self._kit, self._preset, self._draw = kit, preset, draw
        self._hits = kit.hits(note.pitch, note.velocity)
        self._level = velocity_gain(note.velocity)
        self._held = None if stop is None else max(stop - note.start, SHORTEST_SECONDS)
        seconds = max(float(kit.seconds[hit]) for hit, _ in self._hits)
        if self._held is not None:
            seconds = min(seconds, self._held + preset.release * SILENCE / 60)
        super().__init__(note.start, seconds, sample_rate)

    def next_segment(self) -> np.ndarray:
        """The next (2, S) samples."""
        first, last = self.frame * self.hop, min(self.frame + SEGMENT_FRAMES, self.frames) * self.hop
        self.frame = last // self.hop
        mono = np.zeros(last - first, np.float32)
        for hit, share in self._hits:
            level = np.float32(share * self._level * float(self._kit.gains[hit]))
            for sound in (hit_tone(self._kit, hit, self.sample_rate), hit_noise(self._kit, hit, self._draw, self.sample_rate)):
                part = sound[first:last]
                mono[: len(part)] += level * part
        if self._held is not None and last > self._held * self.sample_rate:
            mono *= decay(np.arange(first, last) / self.sample_rate - self._held, self._preset.release).astype(np.float32)
        stereo = np.zeros((2, len(mono)), np.float32)
        place_in(stereo, mono, self._preset.stereo)
        return stereo


@functools.lru_cache(maxsize=TONES_KEPT)
def hit_tone(kit: DrumKit, hit: int, sample_rate: int) -> np.ndarray:
    """The modes and the transient of a hit, (S,) float32, its largest sample about 1."""
    sound = hit_modes(kit, hit)
    transient = kit.transients[hit][: len(sound)]
    sound[: len(transient)] += transient
    return _at_rate(sound * _end(len(sound)), sample_rate)


@functools.lru_cache(maxsize=NOISES_KEPT)
def hit_noise(kit: DrumKit, hit: int, draw: int, sample_rate: int) -> np.ndarray:
    """One draw of the noise of a hit, (S,) float32, which begins where the transient fades. A key's hits have the same draws."""
    samples = round(float(kit.seconds[hit]) * SAMPLE_RATE)
    grid = np.arange(0, samples + NOISE_HOP, NOISE_HOP) / SAMPLE_RATE
    hertz = np.linspace(0, SAMPLE_RATE / 2, NOISE_BANDS)
    gains = np.asarray(db_to_gain(kit.noise_at(hit, grid)), np.float32)
    even = np.stack([np.interp(hertz, kit.centres, row) for row in gains]).astype(np.float32)
    made = NoiseVoice(NOISE_BANDS, NOISE_HOP, int(kit.keys[hit]) * DRAWS + draw)
    noise = np.concatenate([made.process(even), made.flush()])[:samples]
    along = np.arange(samples) / (FLUTTER_STEP * SAMPLE_RATE) - 0.5
    flutter = np.append(kit.flutter[hit], 0.0)
    noise *= np.asarray(db_to_gain(np.interp(along, np.arange(len(flutter)), flutter)), np.float32)
    kept = transient_window(kit.transients.shape[1])[:samples]
    noise[: len(kept)] *= np.sqrt(1 - kept**2)
    return _at_rate(noise * _end(samples), sample_rate)


def hit_modes(kit: DrumKit, hit: int) -> np.ndarray:
    """The modes of a hit alone, (S,) float32 at 48 kHz."""
    there = kit.hertz[hit] > 0
    amplitudes = kit.cosines[hit][there] + 1j * kit.sines[hit][there]
    modes = Modes(kit.hertz[hit][there].astype(np.float64), kit.rates[hit][there].astype(np.float64), amplitudes)
    return modes_sound(modes, round(float(kit.seconds[hit]) * SAMPLE_RATE), SAMPLE_RATE)


def transient_window(samples: int) -> np.ndarray:
    """What a transient of so many samples is multiplied by, float32: 1 in its first half, then falling to 0."""
    half = samples // 2
    fall = 0.5 + 0.5 * np.cos(np.pi * np.arange(samples - half) / max(samples - half, 1))
    return np.concatenate([np.ones(half), fall]).astype(np.float32)


def _end(samples: int) -> np.ndarray:
    fade = min(samples, round(END_FADE * SAMPLE_RATE))
    curve = np.ones(samples, np.float32)
    curve[samples - fade :] = np.linspace(1, 0, fade)
    return curve


def _at_rate(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    if sample_rate == SAMPLE_RATE:
        return sound
    from symbolic.dsp.resampling import resample

    return resample(sound, SAMPLE_RATE, sample_rate, "HQ")

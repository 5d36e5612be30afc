"""Recordings of single notes measured for a struck voice: partials, the noise beside them, and how a held note is let go.

The partials are those of a stiff string, or free modes, looked for in all recordings of a key together, so that its layers have the same.
What is not told by partials is noise in half octaves. Of a held note the mean while it is held is told from `STEADY` seconds on.

Shapes: S samples at `SAMPLE_RATE`, P partials, M noise bands, T moments after the onset.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symbolic.corpus.recordings.labels import label_of
from symbolic.corpus.recordings.loops import loop_start
from symbolic.corpus.recordings.pieces import SAMPLE_RATE, pieces
from symbolic.dsp.coupled_strings import apart, no_strings
from symbolic.dsp.decaying_partials import find_string, levels_at, partial_tracks, resynthesized, stiff_partials
from symbolic.dsp.free_modes import find_modes, tuning_of
from symbolic.dsp.held_notes import let_go
from symbolic.dsp.units import midi_to_hz
from symbolic.errors import InputError
from symbolic.models.voices.struck import NOWHERE
from symbolic.rendering.recordings import Recording
from symbolic.training.wavenet_notes import VELOCITIES

TIMES = (0.003, 0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0, 8.0)
CENTRES = tuple(62.5 * 2 ** (half / 2) for half in range(17))  # 62.5 Hz … 16 kHz, half an octave apart
HIGHEST = 18000.0  # hertz, above which partials are left to the noise
ONSET = 1e-3  # of the largest power: where a note begins
CELL = 48  # samples: a millisecond
FINE, COARSE, FINE_BELOW = 8192, 2048, 700.0  # samples of a spectrum of the noise, and hertz
NOISE_RANGE = 60.0  # dB under the loudest partial's top below which noise is background
BELIEVED = 3.0  # dB above what lies between the partials
BEATING = (0.12, 0.2, 0.35)  # moments at which a partial must stand out for its strings to be told
NOTHING = -120.0  # dB
STEADY_PARTIALS = 6  # that a note needs for its stiffness to be believed
APART, LEAST_APART = 0.2, 30.0  # of the nominal frequency, and hertz: free modes are at least as far from each other
NEARLY = 0.01  # how far, relatively, a held partial may be from a multiple to be taken for it
STEADY = 0.6  # seconds after the onset, from which on a held note is told by its mean
HEARD_STRUCK, HEARD_HELD = 0.5, 2.0  # seconds in which free modes are looked for
SPECTRA, TONES, DIVISIONS = ("auto", "string", "modes"), ("auto", "struck", "held"), ("pitch", "note")


@dataclass
class StruckSettings:
    """How a folder is measured."""

    partials: int = 64
    spectrum: str = "auto"
    """`string`, `modes`, or `auto`: modes where their spectra come nearer to those of the notes held out."""
    tone: str = "auto"
    """`struck`: notes die away by themselves; `held`: they last as long as the key is down; `auto`: what most of the recordings do."""
    hold_out: str = "pitch"
    """`pitch`: all notes of some pitches are not learned from; `note`: every tenth note."""
    layers: dict[str, int] = field(default_factory=lambda: {"vL": 50, "vM": 75, "vH": 105})
    """Velocities of parts of file names, where no dynamic is named."""
    velocity: int = 90
    """Of notes whose names say nothing."""
    dampers: dict[int, float] = field(default_factory=dict)
    """Seconds in which a damped string falls by 60 dB, by MIDI pitch; the highest named is the last key with a damper. An instrument that
    has dampers has a pedal, too: its strings resonate. {} for none."""

    def __post_init__(self) -> None:
        if not 1 <= self.partials <= 96:
            raise InputError(f"partials is {self.partials}; 1 to 96 are possible")
        for name, choices in (("spectrum", SPECTRA), ("tone", TONES), ("hold_out", DIVISIONS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose {', '.join(choices)}")
        for pitch, seconds in self.dampers.items():
            if not (0 <= pitch <= 127 and 0 < seconds < 60):
                raise InputError(f"dampers say {pitch}: {seconds}; MIDI pitches 0 … 127 and seconds above 0 and below 60 are possible")


@dataclass(frozen=True)
class RecordedNote:
    """One recording: sound (S,) from its onset, and what its name says: MIDI pitch and velocity."""

    name: str
    sound: np.ndarray
    pitch: int
    velocity: int


@dataclass(frozen=True)
class StruckNoteHeard:
    """One recording, measured: f / nominal, levels (P, T) and noise (M, T); stiffness of a string, or ratios (P,) of free modes.

    `release` is that of a held note whose recording goes on after the key is up. The strings (P, S, 4) of partials that beat leave so many
    decibels (P,) of them untold.
    """

    name: str
    sound: np.ndarray
    pitch: int
    velocity: int
    tuning: float
    stiffness: float
    believed: bool
    partials: np.ndarray
    noise: np.ndarray
    ratios: np.ndarray | None = None
    release: float | None = None
    strings: np.ndarray | None = None
    untold: np.ndarray | None = None


def recorded(path: Path, settings: StruckSettings) -> RecordedNote:
    """A recording of one note. Raises `InputError` when its name tells no pitch, or it is silent or short."""
    label = label_of(path)
    if label.note is None:
        raise InputError(f"{path}: its name tells no pitch, such as C4; left out")
    with Recording(path) as recording:
        looped = loop_start(path)
        end = None if looped is None else round(looped * SAMPLE_RATE / recording.sample_rate)
        sound = next(pieces(recording)).sound[:end].astype(np.float64)
    power = np.convolve(sound**2, np.ones(2 * CELL) / (2 * CELL), "same")
    begin = max(0, int(np.argmax(power > ONSET * power.max())) - CELL)
    sound = sound[begin : begin + round(1.3 * TIMES[-1] * SAMPLE_RATE)]
    if not power.max() > 1e-8 or len(sound) < 0.1 * SAMPLE_RATE:
        raise InputError(f"{path}: silent, or shorter than a tenth of a second; left out")
    return RecordedNote(path.name, sound, label.note, velocity_of(path, settings))


def as_string(note: RecordedNote, settings: StruckSettings, held: bool) -> StruckNoteHeard:
    """A note measured as that of a string, stiff where it is struck: what is held goes on in exact multiples."""
    nominal = float(midi_to_hz(float(note.pitch)))
    frequency, stiffness = find_string(note.sound, SAMPLE_RATE, nominal)
    stiffness = 0.0 if held else stiffness
    hertz = stiff_partials(frequency, stiffness, HIGHEST, settings.partials)
    partials, noise, release, strings, untold = _levels(note.sound, hertz, frequency, settings.partials, held, sides=(1,))
    believed = stiffness > 0 and len(hertz) >= STEADY_PARTIALS
    tuning = frequency / nominal
    return StruckNoteHeard(
        note.name, note.sound, note.pitch, note.velocity, tuning, stiffness, believed, partials, noise, None, release,
        None if held else strings, None if held else untold,
    )  # fmt: skip


def as_modes(notes: Sequence[RecordedNote], settings: StruckSettings, held: bool) -> list[StruckNoteHeard]:
    """All recordings of one key, measured as free modes: the same for all of them."""
    nominal = float(midi_to_hz(float(notes[0].pitch)))
    apart, seconds = max(APART * nominal, LEAST_APART), HEARD_HELD if held else HEARD_STRUCK
    hertz = find_modes([note.sound for note in notes], SAMPLE_RATE, nominal, HIGHEST, settings.partials, apart, seconds)
    every = [_levels(note.sound, hertz, apart, settings.partials, held, sides=(-1, 1)) for note in notes]
    loudest = np.max([partials.max(1) for partials, *_ in every], axis=0)[: len(hertz)]
    tuning = tuning_of(hertz, loudest, nominal)
    ratios = np.full(settings.partials, NOWHERE)
    ratios[: len(hertz)] = _in_tune(hertz / (nominal * tuning)) if held else hertz / (nominal * tuning)
    return [
        StruckNoteHeard(note.name, note.sound, note.pitch, note.velocity, tuning, 0.0, False, partials, noise, ratios, release)
        for note, (partials, noise, release, *_) in zip(notes, every, strict=True)
    ]


def measured(notes: Sequence[RecordedNote], settings: StruckSettings, spectrum: str, held: bool) -> list[StruckNoteHeard]:
    """The notes in order of their pitches, their partials those of a `spectrum`: "string" or "modes"."""
    found = list[StruckNoteHeard]()
    for pitch in sorted({note.pitch for note in notes}):
        group = [note for note in notes if note.pitch == pitch]
        found += as_modes(group, settings, held) if spectrum == "modes" else [as_string(note, settings, held) for note in group]
    return found


def velocity_of(path: Path, settings: StruckSettings) -> int:
    """The velocity 1 … 127 that a file's name tells."""
    named = (value for mark, value in settings.layers.items() if mark in path.stem)
    return VELOCITIES.get(label_of(path).dynamic) or next(named, settings.velocity)


def _in_tune(ratios: np.ndarray) -> np.ndarray:
    """Ratios (P,) of what sounds as long as it is held: stops and their harmonics at quarters, and above the third one at whole numbers."""
    exact = np.where(ratios < 3.5, np.round(4 * ratios) / 4, np.round(ratios))
    return np.where(np.abs(ratios / np.maximum(exact, 0.25) - 1) < NEARLY, exact, ratios)


def _levels(
    sound: np.ndarray, hertz: np.ndarray, distance: float, most: int, held: bool, sides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, float | None, np.ndarray, np.ndarray]:
    """Levels (most, T) of the partials at `hertz`, of the noise (M, T), the release of a held note, and strings (most, S, 4) of what is
    struck with the decibels (most,) that they leave.

    What lies half of the `distance` between partials from one, on the less loud of the `sides`, is what it must stand out from.
    """
    end, release = let_go(sound, SAMPLE_RATE) if held else (len(sound) / SAMPLE_RATE, None)
    sound = sound[: round(end * SAMPLE_RATE)]
    tracks = partial_tracks(sound, SAMPLE_RATE, hertz, distance)
    spacing = tracks.hop / SAMPLE_RATE
    between = [partial_tracks(sound, SAMPLE_RATE, hertz + side * distance / 2, distance) for side in sides]
    power, strings, untold = np.abs(tracks.amplitudes) ** 2, no_strings(most), np.zeros(most)
    if len(sides) == 1 and not held:
        power, strings[: len(hertz)], untold[: len(hertz)] = apart(tracks)
    powers = [power, *(np.abs(others.amplitudes) ** 2 for others in between)]
    levels, *beside = (_told(one, spacing, end, held, steady=not held) for one in powers)
    sure = (levels > np.min(beside, axis=0) + BELIEVED) & (held | (np.array(TIMES) < end))[:, None]
    heard = (sure & (levels > levels.max() - NOISE_RANGE))[np.searchsorted(TIMES, BEATING)].all(0)
    faint = np.flatnonzero(~heard)  # what hardly stands out tells nothing of its strings
    strings[faint], untold[faint] = no_strings(len(faint)), 0.0
    partials = np.full((most, len(TIMES)), NOTHING)
    for place, (level, there) in enumerate(zip(levels.T, sure.T, strict=True)):
        partials[place] = _fallen_on(level, there, held)
    noise = _noise_levels(sound - resynthesized(tracks, len(sound)), partials.max(), end, held)
    return partials, noise, release, strings, untold


def _told(power: np.ndarray, spacing: float, end: float, held: bool, steady: bool) -> np.ndarray:
    """Decibels (T, …) of a power (K, …), a value each `spacing` seconds, at the moments of the table; `end` is that of the recording."""
    levels = levels_at(power, spacing, np.array(TIMES), steady=steady)
    if held:
        begin = min(STEADY, 0.5 * end)
        part = power[round(begin / spacing) : max(round(begin / spacing) + 1, round((end - 0.1 * begin) / spacing))]
        levels[np.array(TIMES) >= begin] = 10 * np.log10(part.mean(0) + 1e-16)
    return levels


def _fallen_on(levels: np.ndarray, there: np.ndarray, held: bool) -> np.ndarray:
    """Levels (T,) of a partial as long as it stands out; from then on it falls as it fell before."""
    times = np.array(TIMES)
    if not there.any():
        return np.full(len(levels), NOTHING)
    last = int(np.flatnonzero(there)[-1])
    result = levels.copy()
    first = int(np.flatnonzero(there)[0])
    if not held:
        result[:first] = levels[first]
    begin = max(first, last - 3)
    slope = -60.0 if last == begin else min(-4.0, float(np.polyfit(times[begin : last + 1], levels[begin : last + 1], 1)[0]))
    result[last + 1 :] = levels[last] + slope * (times[last + 1 :] - times[last])
    return np.asarray(np.maximum(result, NOTHING))


def _noise_levels(residual: np.ndarray, top: float, end: float, held: bool) -> np.ndarray:
    """Levels (M, T) of the residual in half octaves, as root mean squares; what is background falls away.

    Soon after the stroke all that is left is its noise. Later it is the median of the band's spectrum: traces of partials are no noise.
    """
    from scipy import signal

    levels, times = np.empty((len(CENTRES), len(TIMES))), np.array(TIMES)
    spectra = {size: _power_density(residual, size) for size in (FINE, COARSE)}
    for band, centre in enumerate(CENTRES):
        edges = [centre * 2**-0.25, min(centre * 2**0.25, 0.49 * SAMPLE_RATE)]
        part = signal.sosfilt(signal.butter(4, edges, "band", fs=SAMPLE_RATE, output="sos"), residual)
        cells = np.square(part[: len(part) // CELL * CELL]).reshape(-1, CELL).mean(1)
        early = _told(cells, CELL / SAMPLE_RATE, end, held, steady=False)
        size = FINE if centre < FINE_BELOW else COARSE
        bins = slice(*np.searchsorted(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), edges).tolist())
        typical = np.median(spectra[size][:, bins], axis=1) / np.log(2) * (edges[1] - edges[0])
        late = _told(typical, size / 4 / SAMPLE_RATE, end, held, steady=False)
        levels[band] = np.where(times > 2 * size / SAMPLE_RATE * 0.7, late, early)
    for band, row in enumerate(levels):
        levels[band] = _fallen_on(row, (row > top - NOISE_RANGE) & (held | (times < end)), True)
    return np.maximum(levels, NOTHING)


def _power_density(sound: np.ndarray, size: int) -> np.ndarray:
    """Power for each hertz (K, size / 2 + 1) of a sound (S,), a quarter of `size` samples from one moment to the next, the first at 0."""
    window = np.hanning(size)
    padded = np.concatenate([np.zeros(size // 2), sound, np.zeros(size)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(sound) + 1 : size // 4]
    return np.asarray(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window**2).sum() / (SAMPLE_RATE / 2))

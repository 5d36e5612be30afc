"""A struck voice measured from recordings of single notes: a table of how partials and noise fall, no network and no long training.

VOICE/config.json, struck.safetensors, voice.json    the table of the notes learned from, and what is known of it

Each note is named by its file (pitch, and a dynamic or the name of a layer). Every tenth note is held out: the table, read between its
neighbours, is played beside the recording and compared by Magenta's spectral loss.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from symbolic.corpus.recordings.labels import label_of
from symbolic.corpus.recordings.pieces import SAMPLE_RATE, find_recordings, pieces
from symbolic.dsp.decaying_partials import find_string, levels_at, partial_tracks, resynthesized, stiff_partials
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import SAMPLE_RATE as LOSS_RATE
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.dsp.units import midi_to_hz
from symbolic.errors import InputError
from symbolic.models.voices.struck import StruckVoice, save_struck
from symbolic.rendering.controls import NoteControls
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.recordings import Recording
from symbolic.rendering.struck_controls import StruckControls, StruckSound
from symbolic.rendering.voices import Voice
from symbolic.training.wavenet_notes import VELOCITIES

TIMES = (0.003, 0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0, 8.0)
CENTRES = tuple(62.5 * 2 ** (half / 2) for half in range(17))  # 62.5 Hz … 16 kHz, half an octave apart
HIGHEST = 18000.0  # hertz, above which partials are left to the noise
ONSET = 1e-3  # of the largest power: where a note begins
CELL = 48  # samples: a millisecond
HELD_OUT = 10  # every so many notes
SECONDS_COMPARED = 1.0
NOISE_RANGE = 55.0  # dB under the loudest partial's top below which noise is background
BELIEVED = 3.0  # dB above what lies between the partials
NOTHING = -120.0  # dB
STEADY_PARTIALS = 6  # that a note needs for its stiffness to be believed


@dataclass
class StruckSettings:
    """How a folder is measured."""

    partials: int = 64
    layers: dict[str, int] = field(default_factory=lambda: {"vL": 50, "vM": 75, "vH": 105})
    """Velocities of parts of file names, where no dynamic is named."""
    velocity: int = 90
    """Of notes whose names say nothing."""

    def __post_init__(self) -> None:
        if not 1 <= self.partials <= 96:
            raise InputError(f"partials is {self.partials}; 1 to 96 are possible")


@dataclass(frozen=True)
class StruckNoteHeard:
    """One recording: sound (S,) from its onset, pitch, velocity, and measured f / nominal, stiffness, levels (P, T) and noise (M, T)."""

    name: str
    sound: np.ndarray
    pitch: int
    velocity: int
    tuning: float
    stiffness: float
    believed: bool
    partials: np.ndarray
    noise: np.ndarray


def train_struck(
    folder: str | Path, output: str | Path, settings: StruckSettings | str | Path | None = None, *,
    resume: bool = False, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure the notes of a folder into a voice in the folder `output`; gives its facts. `resume` makes it anew.

    Raises `InputError` when there are fewer than two notes named by pitch, or a voice is there already.
    """
    from symbolic.settings import load_settings

    folder, output, tell = Path(folder), Path(output), tell or (lambda line: None)
    settings = settings if isinstance(settings, StruckSettings) else load_settings(StruckSettings, settings)
    if (output / "config.json").exists() and not resume:
        raise InputError(f"{output}: a voice is in this folder already; choose another -o")
    clock, heard = time.perf_counter(), dict[Path, StruckNoteHeard]()
    for path in tqdm(find_recordings(folder), desc="measure", unit="note", disable=None):
        try:
            heard[path] = measured(path, settings)
        except InputError as error:
            tell(str(error))
    learned, held_out = ([heard[path] for path in division if path in heard] for division in divided(folder, settings))
    if len({note.pitch for note in learned}) < 2:
        raise InputError(
            f"{folder}: {len(heard)} recordings of notes named by pitch, such as piano_C4_forte.wav; at least two pitches are needed"
        )
    voice = table_of(learned)
    losses = [loss_beside(voice, note) for note in held_out]
    figures = {"loss": round(float(np.mean(losses)), 4), "step": len(learned)} if losses else {}
    facts = {
        "kind": "struck", "name": output.name, "recordings": {
            "notes": len(learned), "minutes": round(sum(len(note.sound) for note in learned) / SAMPLE_RATE / 60, 2),
        },
        "held_out_notes": len(held_out), "held_out": figures,
        "word": "Magenta's spectral loss at the level of the recordings",
        "lowest_pitch": min(note.pitch for note in learned), "highest_pitch": max(note.pitch for note in learned),
        "steps": len(learned), "training_seconds": round(time.perf_counter() - clock, 1),
        "parameters": int(voice.partials.size + voice.noise.size),
    }  # fmt: skip
    save_struck(output, voice, facts, SAMPLE_RATE)
    return facts


def measured(path: Path, settings: StruckSettings) -> StruckNoteHeard:
    """A recording of one note, measured. Raises `InputError` when its name tells no pitch, or it is silent or short."""
    label = label_of(path)
    if label.note is None:
        raise InputError(f"{path}: its name tells no pitch, such as C4; left out")
    with Recording(path) as recording:
        sound = next(pieces(recording)).sound.astype(np.float64)
    power = np.convolve(sound**2, np.ones(2 * CELL) / (2 * CELL), "same")
    begin = max(0, int(np.argmax(power > ONSET * power.max())) - CELL)
    sound = sound[begin : begin + round(1.3 * TIMES[-1] * SAMPLE_RATE)]
    if not power.max() > 1e-8 or len(sound) < 0.1 * SAMPLE_RATE:
        raise InputError(f"{path}: silent, or shorter than a tenth of a second; left out")
    nominal = float(midi_to_hz(float(label.note)))
    frequency, stiffness = find_string(sound, SAMPLE_RATE, nominal)
    hertz = stiff_partials(frequency, stiffness, HIGHEST, settings.partials)
    tracks = partial_tracks(sound, SAMPLE_RATE, hertz, frequency)
    between = partial_tracks(sound, SAMPLE_RATE, hertz + frequency / 2, frequency)
    spacing, seconds = tracks.hop / SAMPLE_RATE, len(sound) / SAMPLE_RATE
    levels = levels_at(np.abs(tracks.amplitudes) ** 2, spacing, np.array(TIMES))
    background = levels_at(np.abs(between.amplitudes) ** 2, spacing, np.array(TIMES))
    sure = (levels > background + BELIEVED) & (np.array(TIMES) < seconds)[:, None]
    partials = np.full((settings.partials, len(TIMES)), NOTHING)
    partials[: len(hertz)] = [_fallen_on(level, there) for level, there in zip(levels.T, sure.T, strict=True)]
    residual = sound - resynthesized(tracks, len(sound))
    noise = _noise_levels(residual, partials.max(), seconds)
    velocity = _velocity(path, settings)
    believed = stiffness > 0 and len(hertz) >= STEADY_PARTIALS
    return StruckNoteHeard(path.name, sound, label.note, velocity, frequency / nominal, stiffness, believed, partials, noise)


def table_of(notes: list[StruckNoteHeard]) -> StruckVoice:
    """The table of measured notes: where a layer has not a pitch, it is read between its neighbours."""
    pitches = np.array(sorted({note.pitch for note in notes}), np.float32)
    velocities = np.array(sorted({note.velocity for note in notes}), np.float32)
    partials, noise = ([], [])  # type: tuple[list[np.ndarray], list[np.ndarray]]
    for velocity in velocities:
        layer = [note for note in notes if note.velocity == velocity]
        partials.append(_over(pitches, layer, [note.partials for note in layer]))
        noise.append(_over(pitches, layer, [note.noise for note in layer]))
    return StruckVoice(
        pitches, velocities, np.array(TIMES, np.float32), _stiffness(pitches, notes), np.array(CENTRES, np.float32),
        np.stack(partials, 1).astype(np.float32), np.stack(noise, 1).astype(np.float32),
    )  # fmt: skip


def loss_beside(voice: StruckVoice, note: StruckNoteHeard) -> float:
    """Magenta's spectral loss of the voice beside a recording, in its first second, at the recording's level and tuning."""
    played, part, cents = _as_written(note)
    controls = StruckControls(Preset("struck", ring=1.0), voice, played, part, SAMPLE_RATE, cents=cents)
    return _loss(StruckSound(controls, SAMPLE_RATE), note)


def loss_of_preset(preset: Preset, note: StruckNoteHeard) -> float:
    """The same of the synthesizer."""
    played, part, cents = _as_written(note)
    return _loss(
        Voice(NoteControls(replace(preset, transpose=preset.transpose + cents / 100), played, part, SAMPLE_RATE), SAMPLE_RATE), note
    )


def loss_of_sound(made: np.ndarray, sound: np.ndarray) -> float:
    """The same of any sound (S,) from its onset, beside the first second of a recording, at its level."""
    sound = sound[: round(SECONDS_COMPARED * SAMPLE_RATE)]
    made = np.pad(made, (0, max(0, len(sound) - len(made))))[: len(sound)]
    made = made * np.sqrt((sound**2).mean() / max(float((made**2).mean()), 1e-20))
    low = [torch.from_numpy(resample(part, SAMPLE_RATE, LOSS_RATE).astype(np.float32))[None] for part in (made, sound)]
    return float(spectral_loss(low[0], low[1]))


def divided(folder: Path, settings: StruckSettings) -> tuple[list[Path], list[Path]]:
    """Recordings to learn from and every tenth, held out, in order of pitch and velocity; names without a pitch are left out."""
    labelled = [(path, label_of(path).note) for path in find_recordings(folder)]
    ordered = sorted((note, _velocity(path, settings), path.name, path) for path, note in labelled if note is not None)
    held_out = ordered[HELD_OUT // 2 :: HELD_OUT]
    return [entry[-1] for entry in ordered if entry not in held_out], [entry[-1] for entry in held_out]


def _velocity(path: Path, settings: StruckSettings) -> int:
    named = (value for mark, value in settings.layers.items() if mark in path.stem)
    return VELOCITIES.get(label_of(path).dynamic) or next(named, settings.velocity)


def _as_written(note: StruckNoteHeard) -> tuple[PlayedNote, Part, float]:
    """The note as a player reads it, and the cents by which the recording is higher."""
    length = min(len(note.sound) / SAMPLE_RATE, SECONDS_COMPARED)
    played = PlayedNote(0.0, length, length + 1.0, note.pitch, note.velocity, 0)
    return played, Part(0, "", 0, False, (played,), None, None, None, None, None), 1200 * float(np.log2(note.tuning))


def _loss(player: Voice, note: StruckNoteHeard) -> float:
    made = np.zeros(0)
    while not player.done and len(made) < SECONDS_COMPARED * SAMPLE_RATE:
        made = np.concatenate([made, player.next_segment().mean(0)])
    return loss_of_sound(made, note.sound)


def _fallen_on(levels: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Levels (T,) of a partial as long as it stands out; from then on it falls as it fell before."""
    times = np.array(TIMES)
    if not there.any():
        return np.full(len(levels), NOTHING)
    last = int(np.flatnonzero(there)[-1])
    result = levels.copy()
    first = int(np.flatnonzero(there)[0])
    result[:first] = levels[first]
    begin = max(first, last - 3)
    slope = -60.0 if last == begin else min(-4.0, float(np.polyfit(times[begin : last + 1], levels[begin : last + 1], 1)[0]))
    result[last + 1 :] = levels[last] + slope * (times[last + 1 :] - times[last])
    return np.asarray(np.maximum(result, NOTHING))


def _noise_levels(residual: np.ndarray, top: float, seconds: float) -> np.ndarray:
    """Levels (M, T) of the residual in half octaves, as root mean squares; what is background falls away."""
    from scipy import signal

    rows = []
    for centre in CENTRES:
        edges = [centre * 2**-0.25, min(centre * 2**0.25, 0.49 * SAMPLE_RATE)]
        band = signal.sosfilt(signal.butter(4, edges, "band", fs=SAMPLE_RATE, output="sos"), residual)
        cells = np.square(band[: len(band) // CELL * CELL]).reshape(-1, CELL).mean(1)
        rows.append(levels_at(cells, CELL / SAMPLE_RATE, np.array(TIMES), steady=False))
    levels = np.array(rows)
    for row in levels:
        sounding = (row > top - NOISE_RANGE) & (np.array(TIMES) < seconds)
        last = int(np.flatnonzero(sounding)[-1]) if sounding.any() else 0
        row[last + 1 :] = row[last] - 60 * (np.array(TIMES)[last + 1 :] - TIMES[last])
        if not sounding.any():
            row[:] = NOTHING
    return np.maximum(levels, NOTHING)


def _over(pitches: np.ndarray, layer: list[StruckNoteHeard], tables: list[np.ndarray]) -> np.ndarray:
    """Tables of the notes of a layer at all pitches (N, …), on straight lines between the pitches it has."""
    own = sorted({note.pitch for note in layer})
    means = np.array([np.mean([table for note, table in zip(layer, tables, strict=True) if note.pitch == pitch], axis=0) for pitch in own])
    place = np.interp(pitches, own, np.arange(len(own)))
    low = np.minimum(place.astype(int), max(0, len(own) - 2))
    share = (place - low).reshape(-1, *[1] * (means.ndim - 1))
    return np.asarray(means[low] * (1 - share) + means[np.minimum(low + 1, len(own) - 1)] * share)


def _stiffness(pitches: np.ndarray, notes: list[StruckNoteHeard]) -> np.ndarray:
    """B (N,) of each pitch: the median of its notes where believed, elsewhere on the straight line of log B through the nearest ones."""
    known = {pitch: [note.stiffness for note in notes if note.pitch == pitch and note.believed] for pitch in pitches.tolist()}
    have = [pitch for pitch, found in known.items() if found]
    if not have:
        return np.zeros(len(pitches), np.float32)
    logs = np.array([np.log(np.median(known[pitch])) for pitch in have])
    result = np.interp(pitches, have, logs)
    if len(have) >= 4:
        slope, offset = np.polyfit(have[-4:], logs[-4:], 1)
        above = pitches > have[-1]
        result[above] = offset + slope * pitches[above]
    return np.exp(np.minimum(result, np.log(0.03))).astype(np.float32)

"""A struck voice measured from recordings of single notes: a table of how partials and noise fall, no network and no long training.

VOICE/config.json, struck.safetensors, voice.json    the table of the notes learned from, and what is known of it

Each note is named by its file (pitch, and a dynamic or the name of a layer). All notes of some pitches are held out: the table, read
between its neighbours, is played beside the recording and compared by Magenta's spectral loss. Partials are taken for a string's or for
free modes, if these come nearer so; where most notes last as long as they are held, so does the voice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from symbolic.corpus.recordings.labels import label_of
from symbolic.corpus.recordings.pieces import SAMPLE_RATE, find_recordings
from symbolic.dsp.coupled_strings import NO_STRING
from symbolic.dsp.held_notes import is_held
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import SAMPLE_RATE as LOSS_RATE
from symbolic.dsp.spectral_loss import magnitudes, spectral_loss
from symbolic.errors import InputError
from symbolic.models.voices.struck import StruckVoice, save_struck
from symbolic.rendering.controls import NoteControls
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.struck_controls import StruckControls, StruckSound
from symbolic.rendering.voices import Voice
from symbolic.training.voices.struck_notes import (
    CENTRES,
    TIMES,
    RecordedNote,
    StruckNoteHeard,
    StruckSettings,
    measured,
    recorded,
    velocity_of,
)

HELD_OUT_NOTES = 10  # every so many notes
HELD_OUT_PITCHES = 6  # every so many pitches
SECONDS_COMPARED = 1.0
AUDIBLE = 60.0  # dB
NEARER = 0.95  # of a string's distance in decibels, that free modes need to be preferred


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
    clock, heard = time.perf_counter(), dict[Path, RecordedNote]()
    for path in find_recordings(folder):
        try:
            heard[path] = recorded(path, settings)
        except InputError as error:
            tell(str(error))
    learned, held_out = ([heard[path] for path in division if path in heard] for division in divided(folder, settings))
    if len({note.pitch for note in learned}) < 2:
        raise InputError(
            f"{folder}: {len(heard)} recordings of notes named by pitch, such as piano_C4_forte.wav; at least two pitches are needed"
        )
    held = settings.tone == "held"
    if settings.tone == "auto":
        held = 2 * sum(is_held(note.sound, SAMPLE_RATE) for note in learned) > len(learned)
    spectra = [settings.spectrum] if settings.spectrum != "auto" else ["string", "modes"] if held_out else ["string"]
    voices, figures = dict[str, StruckVoice](), dict[str, dict[str, float]]()
    for spectrum in tqdm(spectra, desc="measure", unit="table", disable=None):
        voices[spectrum] = table_of(measured(learned, settings, spectrum, held), held, settings.dampers)
        if held_out:
            beside = measured(held_out, settings, spectrum, held)
            figures[spectrum] = figures_of([(sound_of(voices[spectrum], note), note) for note in beside])
    chosen = spectra[0]
    if len(figures) == 2 and figures["modes"]["decibels"] < NEARER * figures["string"]["decibels"]:
        chosen = "modes"
    voice = voices[chosen]
    facts = {
        "kind": "struck", "name": output.name, "spectrum": chosen, "tone": "held" if held else "struck", "recordings": {
            "notes": len(learned), "minutes": round(sum(len(note.sound) for note in learned) / SAMPLE_RATE / 60, 2),
        },
        "held_out_notes": len(held_out), "hold_out": settings.hold_out,
        "held_out": figures[chosen] | {"step": len(learned)} if figures else {}, "tried": figures,
        "word": "Magenta's spectral loss at the level of the recordings",
        "lowest_pitch": min(note.pitch for note in learned), "highest_pitch": max(note.pitch for note in learned),
        "steps": len(learned), "training_seconds": round(time.perf_counter() - clock, 1),
        "parameters": int(voice.partials.size + voice.noise.size),
    }  # fmt: skip
    save_struck(output, voice, facts, SAMPLE_RATE)
    return facts


def table_of(notes: list[StruckNoteHeard], held: bool = False, dampers: Mapping[int, float] | None = None) -> StruckVoice:
    """The table of measured notes: where a layer has not a pitch, a string is read between its neighbours, and modes are those of the
    nearest layer."""
    pitches = np.array(sorted({note.pitch for note in notes}), np.float32)
    velocities = np.array(sorted({note.velocity for note in notes}), np.float32)
    modes = all(note.ratios is not None for note in notes)
    partials, noise = ([], [])  # type: tuple[list[np.ndarray], list[np.ndarray]]
    for velocity in velocities:
        layer = [note for note in notes if note.velocity == velocity]
        noise.append(_over(pitches, layer, [note.noise for note in layer]))
        partials.append(_nearest(pitches, velocity, notes) if modes else _over(pitches, layer, [note.partials for note in layer]))
    of_pitch = [next(note for note in notes if note.pitch == pitch) for pitch in pitches]
    ratios = np.array([note.ratios for note in of_pitch], np.float32) if modes else None
    releases = [note.release for note in notes if note.release is not None]
    damped = np.array(sorted((dampers or {}).items()), np.float32) if dampers else None
    return StruckVoice(
        pitches, velocities, np.array(TIMES, np.float32), _stiffness(pitches, notes), np.array(CENTRES, np.float32),
        np.stack(partials, 1).astype(np.float32), np.stack(noise, 1).astype(np.float32), ratios, held,
        round(float(np.median(releases)), 3) if releases else None,
        _strings(pitches, notes), damped,
    )  # fmt: skip


def sound_of(voice: StruckVoice, note: StruckNoteHeard) -> np.ndarray:
    """What a voice plays (S,) for a recording, at its tuning."""
    played, part, cents = _as_written(note)
    preset = Preset("struck", ring=1.0)
    return _played(StruckSound(StruckControls(preset, voice, played, part, SAMPLE_RATE, cents=cents), SAMPLE_RATE))


def sound_of_preset(preset: Preset, note: StruckNoteHeard) -> np.ndarray:
    """The same of the synthesizer."""
    played, part, cents = _as_written(note)
    controls = NoteControls(replace(preset, transpose=preset.transpose + cents / 100), played, part, SAMPLE_RATE)
    return _played(Voice(controls, SAMPLE_RATE))


def figures_of(pairs: Sequence[tuple[np.ndarray, StruckNoteHeard]]) -> dict[str, float]:
    """Means over sounds (S,) beside their recordings, in the first second, at the level of the recordings: Magenta's spectral loss, and the
    decibels by which spectra differ, where one of them is within `AUDIBLE` of the recording's loudest bin.

    Magenta's loss compares logarithms down to silence: of short notes it tells mostly how silence is rounded.
    """
    losses, decibels = list[float](), list[float]()
    for made, note in pairs:
        both = _aligned(made, note.sound)
        losses.append(float(spectral_loss(*both)))
        for size in (2048, 512, 128):
            levels = [20 * torch.log10(magnitudes(one, size) + 1e-12) for one in both]
            floor = float(levels[1].max()) - AUDIBLE
            heard = (levels[0] > floor) | (levels[1] > floor)
            decibels.append(float((levels[0].clamp(min=floor) - levels[1].clamp(min=floor)).abs()[heard].mean()))
    return {"loss": round(float(np.mean(losses)), 4), "decibels": round(float(np.mean(decibels)), 4)}


def loss_of_sound(made: np.ndarray, sound: np.ndarray) -> float:
    """Magenta's loss of any sound (S,) from its onset, beside the first second of a recording, at its level."""
    return float(spectral_loss(*_aligned(made, sound)))


def divided(folder: Path, settings: StruckSettings) -> tuple[list[Path], list[Path]]:
    """Recordings to learn from and those held out, in order of pitch and velocity; names without a pitch are left out.

    Held out are every sixth pitch but the highest, or every tenth note.
    """
    labelled = [(path, label_of(path).note) for path in find_recordings(folder)]
    ordered = sorted((note, velocity_of(path, settings), path.name, path) for path, note in labelled if note is not None)
    pitches = sorted({entry[0] for entry in ordered})
    chosen = set(pitches[HELD_OUT_PITCHES // 2 : -1 : HELD_OUT_PITCHES])
    by_note = settings.hold_out == "note"
    held_out = ordered[HELD_OUT_NOTES // 2 :: HELD_OUT_NOTES] if by_note else [entry for entry in ordered if entry[0] in chosen]
    return [entry[-1] for entry in ordered if entry not in held_out], [entry[-1] for entry in held_out]


def _as_written(note: StruckNoteHeard) -> tuple[PlayedNote, Part, float]:
    """The note as a player reads it, and the cents by which the recording is higher."""
    length = min(len(note.sound) / SAMPLE_RATE, SECONDS_COMPARED)
    played = PlayedNote(0.0, length, length + 1.0, note.pitch, note.velocity, 0)
    return played, Part(0, "", 0, False, (played,), None, None, None, None, None), 1200 * float(np.log2(note.tuning))


def _played(player: Voice) -> np.ndarray:
    made = np.zeros(0)
    while not player.done and len(made) < SECONDS_COMPARED * SAMPLE_RATE:
        made = np.concatenate([made, player.next_segment().mean(0)])
    return made


def _aligned(made: np.ndarray, sound: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """A sound (S,) from its onset and the recording's first second, both (1, S) at the rate of the loss, at the recording's level."""
    sound = sound[: round(SECONDS_COMPARED * SAMPLE_RATE)]
    made = np.pad(made, (0, max(0, len(sound) - len(made))))[: len(sound)]
    made = made * np.sqrt((sound**2).mean() / max(float((made**2).mean()), 1e-20))
    low, beside = (torch.from_numpy(resample(part, SAMPLE_RATE, LOSS_RATE).astype(np.float32))[None] for part in (made, sound))
    return low, beside


def _over(pitches: np.ndarray, layer: list[StruckNoteHeard], tables: list[np.ndarray]) -> np.ndarray:
    """Tables of the notes of a layer at all pitches (N, …), on straight lines between the pitches it has."""
    own = sorted({note.pitch for note in layer})
    means = np.array([np.mean([table for note, table in zip(layer, tables, strict=True) if note.pitch == pitch], axis=0) for pitch in own])
    place = np.interp(pitches, own, np.arange(len(own)))
    low = np.minimum(place.astype(int), max(0, len(own) - 2))
    share = (place - low).reshape(-1, *[1] * (means.ndim - 1))
    return np.asarray(means[low] * (1 - share) + means[np.minimum(low + 1, len(own) - 1)] * share)


def _nearest(pitches: np.ndarray, velocity: float, notes: list[StruckNoteHeard]) -> np.ndarray:
    """Levels (N, P, T) of free modes at a velocity: of each pitch the means of its layer, or of the layer nearest to it."""
    rows = []
    for pitch in pitches:
        own = [note for note in notes if note.pitch == pitch]
        nearest = min(abs(note.velocity - velocity) for note in own)
        rows.append(np.mean([note.partials for note in own if abs(note.velocity - velocity) == nearest], axis=0))
    return np.array(rows)


def _strings(pitches: np.ndarray, notes: list[StruckNoteHeard]) -> np.ndarray | None:
    """Strings (N, P, S, 4) of each pitch, of each partial those that leave the least of it in any layer; None where nothing beats."""
    rows = []
    for pitch in pitches:
        own = [note for note in notes if note.pitch == pitch and note.strings is not None and note.untold is not None]
        if not own:
            return None
        best = np.array([note.untold for note in own], float).argmin(0)
        rows.append(np.array([note.strings for note in own])[best, np.arange(len(best))])
    strings = np.array(rows, np.float32)
    return strings if (strings[..., 1] > NO_STRING).any() else None


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

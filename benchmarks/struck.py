"""Struck voices beside recordings that they were not measured from: what the table gets right, and what the synthesizer does.

    python benchmarks/struck.py FOLDER VOICE --program 0 [--beside 60] [--bank /usr/share/sounds/sf3/default-GM.sf3]

FOLDER holds the recordings that VOICE was measured from; VOICE/voice.json tells which were held out. Or it holds others, and --only says
which of them count, by a word in their names, such as mezzo-forte. Told are means in the first second
of these notes, at the recording's level: Magenta's spectral loss at 16 kHz, and the decibels by which spectra differ within 60 dB of the
loudest; of the voice, of the synthesizer's program, with --beside of the orchestral voices that play another program, and with --bank of
FluidSynth. Tuning is taken out of the first two; the others are in equal temperament, as recordings of a stretched piano are not.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rendering_notes import learned, scale
from symusic import Note, Score, Tempo, Track

from symbolic.corpus.recordings.pieces import SAMPLE_RATE, find_recordings
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.struck import load_struck
from symbolic.rendering.instruments import PROGRAMS
from symbolic.training.voices.drums import from_onset
from symbolic.training.voices.struck import divided, figures_of, sound_of, sound_of_preset
from symbolic.training.voices.struck_notes import StruckNoteHeard, StruckSettings, measured, recorded

TICKS = 480
SPAN = 4  # seconds from a note of FluidSynth to the next


def by_fluidsynth(bank: str, program: int, notes: list[StruckNoteHeard], folder: Path) -> list[np.ndarray]:
    """Notes (S,), each from its onset, dry."""
    score, path = Score(TICKS), folder / "notes.wav"
    score.tempos.append(Tempo(0, 60))
    played = [Note(place * SPAN * TICKS, 2 * TICKS, note.pitch, note.velocity) for place, note in enumerate(notes)]
    score.tracks.append(Track("", program, False, played))
    score.dump_midi(path.with_suffix(".mid"))
    command = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-O", "float", "-r", str(SAMPLE_RATE)]
    command += ["-F", str(path), bank, str(path.with_suffix(".mid"))]
    subprocess.run(command, check=True, capture_output=True)
    sound = soundfile.read(path, always_2d=True)[0].mean(axis=1)
    parts = [sound[place * SPAN * SAMPLE_RATE : (place + 1) * SPAN * SAMPLE_RATE] for place in range(len(notes))]
    powers = [np.convolve(part**2, np.ones(96) / 96, "same") for part in parts]
    return [np.asarray(part[int(np.argmax(power > 1e-3 * power.max())) :]) for part, power in zip(parts, powers, strict=True)]


def by_orchestra(program: int, notes: list[StruckNoteHeard]) -> list[np.ndarray]:
    """Notes (S,) on the learned voices of a program, each from its onset, dry."""
    return [from_onset(learned(scale(program, [(200, 1000, note.pitch, note.velocity)])).astype(np.float64)) for note in notes]


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("voice")
    parser.add_argument("--program", type=int, default=0)
    parser.add_argument("--beside", type=int, help="a program that orchestral voices play")
    parser.add_argument("--bank")
    parser.add_argument("--only", help="recordings of another make: those whose names hold this word")
    options = parser.parse_args()
    voice = load_struck(voice_folder(options.voice))
    facts = json.loads((voice_folder(options.voice) / "voice.json").read_text())
    settings = StruckSettings(hold_out=facts.get("hold_out", "note"))
    paths = divided(options.recordings, settings)[1]
    if options.only:
        paths = [path for path in find_recordings(options.recordings) if options.only in path.stem]
    notes = [recorded(path, settings) for path in paths]
    held_out = measured(notes, settings, "string" if voice.ratios is None else "modes", voice.sustained)
    made = {
        "voice": [(sound_of(voice, note), note) for note in held_out],
        "synthesizer": [(sound_of_preset(PROGRAMS[options.program], note), note) for note in held_out],
    }
    if options.beside is not None:
        made["orchestra"] = list(zip(by_orchestra(options.beside, held_out), held_out, strict=True))
    if options.bank:
        with tempfile.TemporaryDirectory() as folder:
            sounds = by_fluidsynth(options.bank, options.program, held_out, Path(folder))
            made["FluidSynth"] = list(zip(sounds, held_out, strict=True))
    figures = {name: figures_of(pairs) for name, pairs in made.items()}
    told = (f"{name} loss {figure['loss']:.2f}, {figure['decibels']:.1f} dB" for name, figure in figures.items())
    print(f"{options.voice}, {len(held_out)} notes: {'; '.join(told)}")


if __name__ == "__main__":
    main()

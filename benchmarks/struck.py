"""Struck voices beside recordings that they were not measured from: what the table gets right, and what the synthesizer does.

    python benchmarks/struck.py FOLDER VOICE --program 0 [--bank /usr/share/sounds/sf3/default-GM.sf3]

FOLDER holds the recordings that VOICE was measured from; every tenth note was held out. Told is the mean of Magenta's spectral loss at
16 kHz in the first second of these notes, at the recording's level: of the voice, of the synthesizer's program, and with --bank of
FluidSynth. Tuning is taken out of the first two; FluidSynth is in equal temperament, as recordings of a stretched piano are not.
"""

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from symusic import Note, Score, Tempo, Track

from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.struck import load_struck
from symbolic.rendering.instruments import PROGRAMS
from symbolic.training.voices.struck import (
    StruckNoteHeard,
    StruckSettings,
    divided,
    loss_beside,
    loss_of_preset,
    loss_of_sound,
    measured,
)

TICKS = 480


def by_fluidsynth(bank: str, program: int, note: StruckNoteHeard, folder: Path) -> np.ndarray:
    """A note (S,) from its onset, dry."""
    score, path = Score(TICKS), folder / "note.wav"
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", program, False, [Note(0, 2 * TICKS, note.pitch, note.velocity)]))
    score.dump_midi(path.with_suffix(".mid"))
    command = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-r", str(SAMPLE_RATE), "-F", str(path), bank, str(path.with_suffix(".mid"))]
    subprocess.run(command, check=True, capture_output=True)
    sound = soundfile.read(path, always_2d=True)[0].mean(axis=1)
    power = np.convolve(sound**2, np.ones(96) / 96, "same")
    return np.asarray(sound[int(np.argmax(power > 1e-3 * power.max())) :])


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("voice")
    parser.add_argument("--program", type=int, default=0)
    parser.add_argument("--bank")
    options = parser.parse_args()
    voice = load_struck(voice_folder(options.voice))
    held_out = [measured(path, StruckSettings()) for path in divided(options.recordings, StruckSettings())[1]]
    losses: dict[str, list[float]] = {"voice": [], "synthesizer": []} | ({"FluidSynth": []} if options.bank else {})
    with tempfile.TemporaryDirectory() as folder:
        for note in held_out:
            losses["voice"].append(loss_beside(voice, note))
            losses["synthesizer"].append(loss_of_preset(PROGRAMS[options.program], note))
            if options.bank:
                losses["FluidSynth"].append(loss_of_sound(by_fluidsynth(options.bank, options.program, note, Path(folder)), note.sound))
    print(
        f"{options.voice}, {len(losses['voice'])} notes: " + ", ".join(f"{name} {statistics.fmean(of):.2f}" for name, of in losses.items())
    )


if __name__ == "__main__":
    main()

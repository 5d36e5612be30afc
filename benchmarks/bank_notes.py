"""Single notes of a SoundFont as recordings, named by pitch and dynamic, for a struck voice to be measured from.

    apt-get install fluidsynth fluid-soundfont-gm
    python benchmarks/bank_notes.py /usr/share/sounds/sf2/FluidR3_GM.sf2 24 FOLDER --lowest 40 --highest 84
    symbolic voice train FOLDER -o VOICE --kind struck

Notes lie `--step` semitones apart, each at three velocities, held for `--seconds` and recorded for `--after` more, so that a voice that
sustains learns its release; without reverb, chorus and dither.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import soundfile
from symusic import Note, Score, Tempo, Track

from symbolic.corpus.recordings.labels import note_name

RATE, TICKS = 48000, 480
LAYERS = {"piano": 48, "mezzo-forte": 80, "fortissimo": 112}
GAP = 1.0  # seconds at least between notes, so that releases die away


def main() -> None:
    """Render and cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank")
    parser.add_argument("program", type=int, help="General MIDI, from 0")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lowest", type=int, default=36)
    parser.add_argument("--highest", type=int, default=84)
    parser.add_argument("--step", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--sounds", type=int, default=0, help="semitones by which the bank sounds higher than its keys; names tell what sounds"
    )
    parser.add_argument("--after", type=float, default=0.0, help="seconds recorded after the key is up")
    options = parser.parse_args()
    every = [(pitch, name) for pitch in range(options.lowest, options.highest + 1, options.step) for name in LAYERS]
    span = options.seconds + max(GAP, options.after)
    notes = [
        Note(round(place * span * TICKS), round(options.seconds * TICKS), pitch, LAYERS[name]) for place, (pitch, name) in enumerate(every)
    ]
    score = Score(TICKS)
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", options.program, False, notes))
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        middle, whole = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        score.dump_midi(middle)
        command = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-g", "0.4", "-O", "float", "-r", str(RATE)]
        command += ["-F", str(whole), options.bank, str(middle)]
        subprocess.run(command, check=True, capture_output=True)
        sound, _ = soundfile.read(whole, dtype="float32", always_2d=True)
    for place, (pitch, name) in enumerate(every):
        part = sound[round(place * span * RATE) : round((place * span + options.seconds + options.after) * RATE)]
        soundfile.write(options.folder / f"{note_name(pitch + options.sounds)}_{name}.flac", part.mean(axis=1), RATE, subtype="PCM_24")
    print(f"{options.folder}: {len(every)} notes")


if __name__ == "__main__":
    main()

"""How well the bundled orchestral voices play notes that they did not learn from, told a timbre code and not.

    python benchmarks/band.py FOLDER [VOICE ...]

FOLDER/VOICE holds an instrument's recordings, single notes named by pitch and dynamic (`double_bass` stands for `double-bass`), or what
`symbolic voice train` keeps of them in VOICE/training/recordings. The held-out notes are those that the training holds out: the same
recordings give the same ones. Of each voice: Magenta's multi-scale spectral loss, the median pitch error in cents, the share of frames
off by more than half a semitone, and the loudness error in Magenta's units; then the share of frames of all voices together.
"""

import sys
import tempfile
from pathlib import Path

from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.models.voices.bundled import bundled_voices, voice_folder
from symbolic.models.voices.voice import load_autoencoder
from symbolic.training.voices.evaluation import evaluate_voice, heard_of


def recordings_of(folder: Path, scratch: Path) -> Recordings:
    """Examined recordings as they are, others examined into `scratch`."""
    return Recordings(folder) if (folder / "notes.json").is_file() else examine(folder, scratch)


def main(folder: Path, voices: list[str]) -> None:
    """Print two rows for each voice whose recordings are there."""
    print(f"{'voice':14}{'':14}{'notes':>6}{'loss':>8}{'cents':>8}{'off':>9}{'loudness':>10}")
    off = {True: 0.0, False: 0.0}
    frames = 0
    for name in voices or bundled_voices():
        place = next((folder / part for part in (name, name.replace("-", "_")) if (folder / part).is_dir()), None)
        if place is None:
            continue
        voice, _ = load_autoencoder(voice_folder(name))
        with tempfile.TemporaryDirectory() as scratch:
            recordings = recordings_of(place, Path(scratch) / "store")
            notes = heard_of(recordings)
            for coded in (True, False):
                found = evaluate_voice(voice, recordings, notes, coded)
                told = "told the code" if coded else "without it"
                row = f"{found.loss:8.2f}{found.pitch_cents:8.1f}{found.pitch_outliers:9.2%}{found.loudness_error:10.3f}"
                print(f"{name:14}{told:14}{found.notes:6d}{row}", flush=True)
                off[coded] += found.pitch_outliers * found.frames
            frames += found.frames
    if frames:
        print(f"of {frames:,} frames with a sure pitch off: {off[True] / frames:.2%} told the code, {off[False] / frames:.2%} without")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

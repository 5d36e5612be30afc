"""Single hits of a SoundFont's drum kit as recordings, named by General MIDI key and velocity, for a kit to be measured from.

    apt-get install fluidsynth fluid-soundfont-gm
    python benchmarks/bank_hits.py /usr/share/sounds/sf2/FluidR3_GM.sf2 0 FOLDER
    symbolic voice train FOLDER -o VOICE --kind drums

Every key from `--lowest` to `--highest` at five velocities, the second and the fourth of which are held out when the kit is measured;
without reverb and chorus. A key on which the kit has no sound is left out.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from symusic import Note, Score, Tempo, Track

RATE, TICKS = 48000, 480
VELOCITIES = (40, 60, 80, 100, 120)
GAP = 1.0  # seconds between hits, so that what rings on dies away
SILENT = 1e-4  # a largest sample below this is no sound
OVER = 1e-5  # what stays below this to the end is cut off


def bank_hits(bank: str, kit: int, keys: range, velocities: tuple[int, ...], seconds: float) -> dict[tuple[int, int], np.ndarray]:
    """Sounds (S,) float32 of a kit (its program on channel 10), by key and velocity; those that are silent are left out."""
    every = [(key, velocity) for key in keys for velocity in velocities]
    span = seconds + GAP
    notes = [Note(round(place * span * TICKS), round(seconds * TICKS), *hit) for place, hit in enumerate(every)]
    score = Score(TICKS)
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", kit, True, notes))
    with tempfile.TemporaryDirectory() as folder:
        middle, whole = Path(folder) / "hits.mid", Path(folder) / "hits.wav"
        score.dump_midi(middle)
        command = [
            "fluidsynth",
            "-niq",
            "-O",
            "float",
            "-R",
            "0",
            "-C",
            "0",
            "-g",
            "0.4",
            "-r",
            str(RATE),
            "-F",
            str(whole),
            bank,
            str(middle),
        ]
        subprocess.run(command, check=True, capture_output=True)
        sound = soundfile.read(whole, dtype="float32", always_2d=True)[0].mean(axis=1)
    parts = (sound[round(place * span * RATE) : round((place * span + seconds) * RATE)] for place in range(len(every)))
    return {hit: _ended(part) for hit, part in zip(every, parts, strict=True) if len(part) and np.abs(part).max() > SILENT}


def main() -> None:
    """Render and cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank")
    parser.add_argument("kit", type=int, help="the kit's program on channel 10; 0 is the standard kit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lowest", type=int, default=27)
    parser.add_argument("--highest", type=int, default=87)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    keys = range(options.lowest, options.highest + 1)
    hits = bank_hits(options.bank, options.kit, keys, VELOCITIES, options.seconds)
    options.folder.mkdir(parents=True, exist_ok=True)
    for (key, velocity), sound in hits.items():
        soundfile.write(options.folder / f"{key}_v{velocity}.flac", sound, RATE, subtype="PCM_24")
    print(f"{options.folder}: {len(hits)} hits of {len({key for key, _ in hits})} keys")


def _ended(sound: np.ndarray) -> np.ndarray:
    heard = np.flatnonzero(np.abs(sound) > OVER)
    return sound[: heard[-1] + 1]


if __name__ == "__main__":
    main()

"""A measured drum kit beside hits that it was not measured from, and beside what else could play them.

    python benchmarks/bank_hits.py /usr/share/sounds/sf2/FluidR3_GM.sf2 0 FOLDER
    python benchmarks/drums.py FOLDER drums [--bank /usr/share/sounds/sf3/MuseScore_General.sf3]
    python benchmarks/drums.py BRUSHES drums-brush --beside drums --program 40 [--bank …]

FOLDER holds the recordings that the kit was measured from; the second and fourth velocity of each key were held out. For each key: the
mean of Magenta's spectral loss at 16 kHz in the first second of these hits, at the recording's level, from the onset on, of the kit, of
the synthesizer's drum, with --beside of another measured kit, and with --bank of another bank's kit of a --program played by FluidSynth.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bank_hits import bank_hits

from symbolic.corpus.recordings.pieces import find_recordings
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.drums import SAMPLE_RATE, DrumKit, load_kit
from symbolic.rendering.drum_hits import DrumSound
from symbolic.rendering.drums import drum_preset
from symbolic.rendering.performance import PlayedNote
from symbolic.training.voices.drums import DrumSettings, divided, formula_hit, from_onset, heard, loss_beside, played
from symbolic.training.voices.struck import loss_of_sound


def stroke(kit: DrumKit, key: int, velocity: int) -> np.ndarray:
    """A stroke on a kit (S,), mono."""
    return played(DrumSound(drum_preset(key), kit, PlayedNote(0.0, 1.0, 1.0, key, velocity, 0), SAMPLE_RATE))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("kit")
    parser.add_argument("--beside", help="another measured kit")
    parser.add_argument("--bank", help="another SoundFont")
    parser.add_argument("--program", type=int, default=0, help="of its kit on channel 10")
    options = parser.parse_args()
    kit, settings = load_kit(voice_folder(options.kit)), DrumSettings()
    hits = [hit for hit in divided([heard(path, settings) for path in find_recordings(options.recordings)])[1] if hit.key in kit.measured]
    players: dict[str, Callable[[int, int], np.ndarray | None]] = {"synthesizer": formula_hit}
    if options.beside:
        second = load_kit(voice_folder(options.beside))
        players[options.beside] = lambda key, velocity: stroke(second, key, velocity) if key in second.measured else None
    if options.bank:
        strengths = tuple(sorted({hit.velocity for hit in hits}))
        keys = [hit.key for hit in hits]
        other = bank_hits(options.bank, options.program, range(min(keys), max(keys) + 1), strengths, 2.0)
        players["other bank"] = lambda key, velocity: other.get((key, velocity))
    losses: dict[int, list[list[float]]] = {}
    for hit in hits:
        row = [loss_beside(kit, hit)]
        for play in players.values():
            sound = play(hit.key, hit.velocity)
            row.append(float("nan") if sound is None else loss_of_sound(from_onset(sound), hit.level * hit.sound))
        losses.setdefault(hit.key, []).append(row)
    print("| key | drum | kit | " + " | ".join(players) + " |\n|--:|---|--:|" + "--:|" * len(players))
    means = {key: [statistics.fmean(column) for column in zip(*rows, strict=True)] for key, rows in losses.items()}
    for key, row in sorted(means.items()):
        print(f"| {key} | {drum_preset(key).name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    columns = [[value for value in column if value == value] for column in zip(*means.values(), strict=True)]
    print(f"| | mean of {len(means)} keys | " + " | ".join(f"{statistics.fmean(column):.2f}" for column in columns) + " |")
    for place, name in enumerate(players, 1):
        nearer = sum(row[0] < row[place] for row in means.values())
        print(f"nearer than {name} on {nearer} of {len(columns[place])} keys")


if __name__ == "__main__":
    main()

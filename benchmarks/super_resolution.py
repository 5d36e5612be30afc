"""What super-resolution gives back of recordings: signal-to-noise ratio and log-spectral distance, beside soxr and a cubic spline.

    python benchmarks/super_resolution.py philharmonia/{cello,clarinet,flute} --unseen philharmonia/bassoon my-piano
        [--rate 16000] [--model FOLDER] [--notes 6] [--work FOLDER] [--markdown]

Each folder holds single notes of one instrument and is examined once (`--work` keeps that), or is such an examined folder already. Of the
first folders only notes held out from training are heard, of those after --unseen any: instruments that the network never heard. Notes are
spread evenly, four seconds of each.
A note goes through a low-pass filter to a rate 2, 3, 4 times lower (or as the network learned) and comes back three ways. Each cell is
the mean over notes of the signal-to-noise ratio in dB / the log-spectral distance in units of 10 dB, as `symbolic.dsp` defines them.
The last table goes through the other filters, at the largest ratio: those that it learned from, and those that it did not.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.interpolate import CubicSpline

from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.dsp.resampling import resample
from symbolic.dsp.signal_to_noise import snr
from symbolic.dsp.spectral_distance import SIZE, log_spectral_distance
from symbolic.models.super_resolution import SuperResolution, enhanced, load_super_resolution
from symbolic.rendering.enhancing import bundled_folder
from symbolic.training.low_rate_pairs import LEARNED, UNSEEN, kept_of

LONGEST = 4.0  # seconds
Way = Callable[[np.ndarray, int, int], np.ndarray]  # samples kept, ratio, length wanted


def by_spline(kept: np.ndarray, ratio: int, length: int) -> np.ndarray:
    """A natural cubic through the samples."""
    return np.asarray(CubicSpline(np.arange(len(kept)) * ratio, kept, bc_type="natural")(np.arange(length)), np.float32)


def by_soxr(kept: np.ndarray, ratio: int, length: int) -> np.ndarray:
    """Band-limited."""
    return np.asarray(resample(kept, 1, ratio))[:length].astype(np.float32)


def notes_of(folder: Path, work: Path, rate: int, seen: bool, count: int) -> list[np.ndarray]:
    """Sounds (S,) at `rate` from a folder of recordings."""
    recordings = Recordings(folder) if (folder / "notes.json").is_file() else examine(folder, work / folder.name)
    notes = [note for note in recordings.notes if note.held_out or not seen]
    sounds = [recordings.array("sound" if rate == 48000 else "low", note)[: round(LONGEST * rate)] for note in notes]
    long = [sound for sound in sounds if len(sound) > 2 * SIZE]
    return [long[place] for place in np.linspace(0, len(long) - 1, min(count, len(long))).round().astype(int)]


def figures(sounds: Sequence[np.ndarray], rate: int, ratio: int, shape: str, way: Way) -> np.ndarray:
    """Signal-to-noise ratio and log-spectral distance of each note, (N, 2)."""
    found = []
    for number, sound in enumerate(sounds):
        made = way(kept_of(sound, rate, ratio, shape, np.random.default_rng(number)), ratio, len(sound))
        found.append((snr(sound, made), log_spectral_distance(sound, made, rate)))
    return np.array(found)


def table(title: str, columns: list[str], rows: list[tuple[str, list[np.ndarray]]], markdown: bool) -> None:
    """Print it: names, then a pair of means in each column."""
    print(f"\n{title}\n")
    wide = max(len(name) for name, _ in rows) + 2
    if markdown:
        print("| | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    else:
        print(" " * wide + "".join(f"{column:>18}" for column in columns))
    for name, cells in rows:
        told = [f"{cell[:, 0].mean():.1f} / {cell[:, 1].mean():.2f}" for cell in cells]
        print(f"| {name} | " + " | ".join(told) + " |" if markdown else f"{name:<{wide}}" + "".join(f"{cell:>18}" for cell in told))


def verdict(name: str, network: np.ndarray, soxr: np.ndarray) -> str:
    """The two differences that matter, in a line."""
    ratio, distance = network.mean(0) - soxr.mean(0)
    return f"{name}: log-spectral distance {100 * distance / soxr[:, 1].mean():+.0f} % of soxr's, signal-to-noise ratio {ratio:+.2f} dB"


def through(model: SuperResolution) -> Way:
    """soxr, then the network."""
    return lambda kept, ratio, length: enhanced(model, by_soxr(kept, ratio, length), model.config.sample_rate / ratio)


def main() -> None:
    """Tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--unseen", nargs="*", type=Path, default=[])
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--model")
    parser.add_argument("--notes", type=int, default=6)
    parser.add_argument("--work", type=Path, default=Path("runs/super-resolution/examined"))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    model = load_super_resolution(options.model or bundled_folder(options.rate))
    rate, ratios = model.config.sample_rate, model.config.ratios
    groups: dict[str, list[tuple[str, list[np.ndarray]]]] = {"held out": [], "never heard": []}
    for seen, folders in ((True, options.folders), (False, options.unseen)):
        for folder in folders:
            sounds = notes_of(folder, options.work, rate, seen, options.notes)
            groups["held out" if seen else "never heard"].append((folder.name, sounds))
    parameters = sum(part.numel() for part in model.parameters())
    print(f"{platform.machine()}, {os.environ['OMP_NUM_THREADS']} thread; to {rate:,} Hz; {parameters:,} parameters; dB / 10 dB")
    ways: dict[str, Way] = {"cubic spline": by_spline, "soxr": by_soxr, "network": through(model)}
    lines = []
    for group, instruments in groups.items():
        if not instruments:
            continue
        rows: dict[int, dict[str, list[np.ndarray]]] = {ratio: {} for ratio in ratios}
        for ratio in ratios:
            for name, sounds in instruments:
                rows[ratio][name] = [figures(sounds, rate, ratio, "sharp", way) for way in ways.values()]
            cells = list(rows[ratio].values())
            rows[ratio]["all"] = [np.concatenate([cell[place] for cell in cells]) for place in range(len(ways))]
            *_, soxr, network = rows[ratio]["all"]
            lines.append(verdict(f"{group}, {ratio} ×", network, soxr))
        columns = [f"{way}, {ratio} ×" for ratio in ratios for way in ways]
        names = list(rows[ratios[0]])
        cells_of = [(name, [cell for ratio in ratios for cell in rows[ratio][name]]) for name in names]
        table(f"{group}, soxr's own filter", columns, cells_of, options.markdown)
    sounds = [sound for name, some in groups["held out"] or groups["never heard"] for sound in some[::2]]
    ratio, filters = max(ratios), []
    for shape in (*LEARNED, *UNSEEN):
        cells = [figures(sounds, rate, ratio, shape, way) for way in ways.values()]
        filters.append((shape + (" (not learned)" if shape in UNSEEN else ""), cells))
        lines.append(verdict(f"{filters[-1][0]}, {ratio} ×", cells[2], cells[1]))
    table(f"filters, {ratio} ×", list(ways), filters, options.markdown)
    print("\n" + "\n".join(lines))
    longest = max(sounds, key=len)
    clock = time.process_time()
    enhanced(model, np.tile(longest, 1 + 5 * rate // len(longest))[: 5 * rate])
    print(f"speed: {5 / (time.process_time() - clock):.1f} × real time on one core")


if __name__ == "__main__":
    main()

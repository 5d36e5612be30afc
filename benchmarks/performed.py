"""Performed music told from scores: how often the rule of `symbolic.corpus.performed` is right, and on what it errs.

    python benchmarks/performed.py FOLDER_OF_MIDI [--files 300] [--performed groove]

Each first-level folder is a collection; those named with --performed hold played music, all others scores. Of every
score six more versions are made: each note moved by a normal error of 5, 10 or 20 ms, the whole played with rubato (the tempo
sways by a tenth, and the file keeps one tempo), written again at 100 ticks a quarter, and begun 37 ticks late.
Then the bars of the scores in 3/4 and 4/4 are heard from their accents alone (`symbolic.corpus.beats_in_bar`).
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from symusic.core import ScoreTick
from tqdm import tqdm

from symbolic.corpus.beats_in_bar import quarters_in_bar
from symbolic.corpus.notes import Notes, TempoMap, notes_of
from symbolic.corpus.performed import sameness
from symbolic.errors import InputError
from symbolic.midi.folder import MusicFile, music_files
from symbolic.midi.meter import meter_sections
from symbolic.midi.reading import read_bytes


def versions(score: ScoreTick, notes: Notes, generator: np.random.Generator) -> Iterator[tuple[str, Notes, int]]:
    """Name, notes and ticks a quarter of each version of a score."""
    ticks = score.ticks_per_quarter
    yield "as it is", notes, ticks
    quarters = notes.onset / ticks
    tempi = TempoMap.of(score)
    for milliseconds in (5, 10, 20):
        moved = quarters + generator.normal(0, milliseconds / 1000, len(notes)) / tempi.at(quarters)
        yield f"moved by {milliseconds} ms", _at(notes, moved, ticks), ticks
    phases = generator.uniform(0, 2 * np.pi, 2)
    sway = 0.26 * np.sin(2 * np.pi * quarters / 16 + phases[0]) + 0.08 * np.sin(2 * np.pi * quarters / 5.3 + phases[1])
    yield "rubato", _at(notes, quarters + sway, ticks), ticks
    yield "at 100 ticks", _at(notes, quarters, 100), 100
    yield "37 ticks late", replace(notes, onset=notes.onset + 37), ticks


def _at(notes: Notes, quarters: np.ndarray, ticks: int) -> Notes:
    return replace(notes, onset=np.maximum(np.rint(quarters * ticks), 0).astype(np.int64))


def main() -> None:
    """Run and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=300, help="files of each collection, drawn at random")
    parser.add_argument("--performed", nargs="*", default=["groove"], help="collections that hold played music")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    by_collection: dict[str, list[MusicFile]] = defaultdict(list)
    for music in music_files(options.folder):
        by_collection[music.name.split("/")[0]].append(music)
    said: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    bars: dict[str, Counter[str]] = defaultdict(Counter)
    for name, files in sorted(by_collection.items()):
        count = len(files) if name in options.performed else min(options.files, len(files))
        for index in tqdm(sorted(generator.choice(len(files), count, replace=False).tolist()), desc=name, disable=None, leave=False):
            try:
                score = read_bytes(files[index].read(), files[index].name).score
            except InputError:
                continue
            notes = notes_of(score)
            for version, changed, ticks in versions(score, notes, generator):
                said[name, version][sameness(changed, ticks)[1] >= 0.5] += 1
                if name in options.performed:
                    break
            meters = {section[1:] for section in meter_sections(score)}
            if len(meters) == 1 and (meter := meters.pop()) in ((3, 4), (4, 4)):
                heard = quarters_in_bar(notes, score.ticks_per_quarter)
                bars[name]["silent" if heard is None else "right" if heard == meter[0] else "wrong"] += 1
    print(f"| {'collection':<22} | {'version':<15} | {'files':>6} | {'said performed':>14} | {'said score':>10} |\n|---|---|--:|--:|--:|")
    for (name, version), counts in said.items():
        print(f"| {name:<22} | {version:<15} | {counts.total():>6} | {counts[True]:>14} | {counts[False]:>10} |")
    print(f"\n| {'bars of 3 or 4':<22} | right | wrong | nothing said |\n|---|--:|--:|--:|")
    for name, heard_counts in bars.items():
        print(f"| {name:<22} | {heard_counts['right']:>5} | {heard_counts['wrong']:>5} | {heard_counts['silent']:>12} |")


if __name__ == "__main__":
    main()

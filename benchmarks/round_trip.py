"""What the tokenizer keeps: notes that come back from ids with onset and duration within 1/48 of a beat (a quarter note).

    python benchmarks/round_trip.py FOLDER_OF_MIDI [--files 300]

A note counts as kept when pitch, program and drum flag agree too; each decoded note is matched once. One row a collection.
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from symusic.core import ScoreTick
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.midi.folder import MusicFile, music_files
from symbolic.midi.reading import read_bytes
from symbolic.tokenizers.remi import RemiTokenizer

TOLERANCE = 1 / 48 + 1e-9


def notes_of(score: ScoreTick) -> list[tuple[int, int, float, float]]:
    """(program or −1 for drums, pitch, onset, duration) of every note, times in quarter notes."""
    tpq = score.ticks_per_quarter
    return [(-1 if t.is_drum else t.program, n.pitch, n.time / tpq, n.duration / tpq) for t in score.tracks for n in t.notes]


def kept_notes(before: ScoreTick, after: ScoreTick) -> Counter[str]:
    """Counts: notes, kept, and what is wrong with the others (onset or duration)."""
    found = defaultdict(list)
    for program, pitch, onset, duration in notes_of(after):
        found[program, pitch].append((onset, duration))
    counts: Counter[str] = Counter()
    for program, pitch, onset, duration in sorted(notes_of(before)):
        near = [note for note in found[program, pitch] if abs(note[0] - onset) <= TOLERANCE]
        match = [note for note in near if abs(note[1] - duration) <= TOLERANCE]
        counts["notes"] += 1
        counts["kept" if match else "duration" if near else "onset"] += 1
        if match:
            found[program, pitch].remove(match[0])
    return counts


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=300, help="files of each collection, drawn at random")
    options = parser.parse_args()
    tokenizer, generator = RemiTokenizer(), np.random.default_rng(0)
    by_collection: dict[str, list[MusicFile]] = defaultdict(list)
    for music in music_files(options.folder):
        by_collection[music.name.partition("/")[0]].append(music)
    total: Counter[str] = Counter()
    print(f"{'collection':<24}{'notes':>10}{'kept %':>10}{'onset':>8}{'duration':>10}")
    for name, pieces in by_collection.items():
        counts: Counter[str] = Counter()
        chosen = sorted(generator.choice(len(pieces), min(options.files, len(pieces)), replace=False).tolist())
        for index in tqdm(chosen, desc=name, disable=None, leave=False):
            try:
                score = read_bytes(pieces[index].read(), pieces[index].name).score
            except InputError:
                continue
            counts += kept_notes(score, tokenizer.decode(tokenizer.encode(score).ids))
        total += counts
        print(_row(name, counts))
    print(_row("all", total))


def _row(name: str, counts: Counter[str]) -> str:
    share = 100 * counts["kept"] / max(counts["notes"], 1)
    return f"{name:<24}{counts['notes']:>10,}{share:>10.3f}{counts['onset']:>8,}{counts['duration']:>10,}"


if __name__ == "__main__":
    main()

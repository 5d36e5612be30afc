"""How fast scores become tokens and tokens scores, beside MidiTok, with the same settings on the same files in one process.

    python benchmarks/tokenizing.py FOLDER_OF_MIDI [--files 300] [--rounds 5] [--config configs/tokenizer-score.yaml]

Every round does each task over all files, one task after the other; printed are medians over the rounds of processor time.
MidiTok is given scores that are prepared already (complete bars, see `RemiTokenizer.prepare`) and does nothing but its own
encoding; ours is timed whole: preparing, encoding, ordering, and the beat of every token. Ids are compared on the way.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.reading import MIDI_SUFFIXES, read
from symbolic.settings import load_settings
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.reference import miditok_ids, miditok_remi
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=300, help="files drawn at random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--config", type=Path, help="YAML of tokenizer settings; default: those of the bundled model")
    options = parser.parse_args()
    settings = load_settings(TokenizerSettings, options.config) if options.config else TokenizerSettings()
    tokenizer, remi = RemiTokenizer(settings), miditok_remi(settings)
    contents = list(_midi_files(options.folder, options.files, tokenizer))
    scores = [ScoreTick.from_midi(data) for data in contents]
    prepared = [tokenizer.prepare(score) for score in scores]
    ids = [tokenizer.encode(score).ids for score in scores]
    lists = [piece.tolist() for piece in ids]
    unequal = sum(
        not np.array_equal(mine, miditok_ids(remi, score, tokenizer.vocabulary)) for mine, score in zip(ids, prepared, strict=True)
    )
    notes, tokens = sum(score.note_num() for score in scores), sum(map(len, ids))
    print(f"{len(scores)} files, {notes:,} notes, {tokens:,} tokens; ids unlike MidiTok's in {unequal} files\n")

    def old_way(score: ScoreTick) -> None:
        derive_beats(miditok_ids(remi, tokenizer.prepare(score), tokenizer.vocabulary), tokenizer.vocabulary)

    tasks: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
        "parse (symusic)": (ScoreTick.from_midi, contents),
        "MidiTok encode": (lambda score: remi.encode(score, encode_ids=False), prepared),
        "the same, prepared, ordered, beats": (old_way, scores),
        "our encode, whole": (tokenizer.encode, scores),
        "MidiTok decode": (remi.decode, lists),
        "our decode": (tokenizer.decode, ids),
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(options.rounds):
        for name, (task, inputs) in tasks.items():
            seconds[name].append(_processor_time(task, inputs))
    median = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{'task':<36}{'ms a file':>10}{'files/s':>10}{'notes/s':>13}{'rounds, ms a file':>24}")
    for name, total in median.items():
        spread = f"{min(seconds[name]) / len(scores) * 1e3:.3f} to {max(seconds[name]) / len(scores) * 1e3:.3f}"
        print(f"{name:<36}{total / len(scores) * 1e3:>10.3f}{len(scores) / total:>10,.0f}{notes / total:>13,.0f}{spread:>24}")
    print(f"\nencoding {median['MidiTok encode'] / median['our encode, whole']:.1f} x MidiTok's encoder", end="")
    print(f" ({median['the same, prepared, ordered, beats'] / median['our encode, whole']:.1f} x where it does the same)", end="")
    print(f", decoding {median['MidiTok decode'] / median['our decode']:.1f} x MidiTok's decoder")


def _midi_files(folder: Path, count: int, tokenizer: RemiTokenizer) -> Iterable[bytes]:
    """The bytes of `count` files below `folder` drawn at random, those that can be read and tokenized."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    for index in np.random.default_rng(0).permutation(len(paths))[:count].tolist():
        data = paths[index].read_bytes()
        try:
            tokenizer.encode(read(data))
            ScoreTick.from_midi(data)
        except (InputError, RuntimeError):
            continue
        yield data


def _processor_time(task: Callable[[Any], object], inputs: list[Any]) -> float:
    """Processor seconds of a task over all inputs; no garbage of the task before is collected in them."""
    gc.collect()
    start = time.process_time()
    for one in inputs:
        task(one)
    return time.process_time() - start


if __name__ == "__main__":
    main()

"""Keys: how well and how fast they are found beside music21, and what transposing costs in training.

    python benchmarks/keys.py FOLDER_OF_MIDI [--pieces 300]
    python benchmarks/keys.py FOLDER_OF_MIDI --training [--pieces 300]

The first compares `detect_key` with music21's `analyze('key')` on pieces drawn evenly from the collections of the folder; pieces
without pitched notes are passed over. music21 hears each piece built note by note with exact durations, and, unless it is so long that
it would take minutes, through its own MIDI reader, which moves notes to the nearest sixteenth or triplet eighth. Each program hears
every piece once, ours in a run of its own.
The second measures drawing a key and moving tokens to it against one training step of the shape in configs/bundled-small.yaml,
both in CPU time of one thread.
"""

import argparse
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import ScoreTick
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.midi.keys import Key, detect_key, key_correlations, key_name, pitch_class_durations
from symbolic.midi.reading import MIDI_SUFFIXES, read

ROOT = Path(__file__).parent.parent
REPEATS, WARM_UP = 10, 3


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pieces", type=int, default=300)
    parser.add_argument("--longest", type=int, default=5000, metavar="NOTES", help="longer pieces are not read by music21's own reader")
    parser.add_argument("--training", action="store_true", help="measure the cost of transposing in training instead")
    options = parser.parse_args()
    if options.training:
        compare_with_a_step(options.folder, options.pieces)
    else:
        compare_with_music21(options.folder, options.pieces, options.longest)


def compare_with_music21(folder: Path, count: int, longest: int) -> None:
    """Agreement and speeds; every piece on which the keys differ is named with how near the two were."""
    pieces = drawn(folder, count)
    ours: list[tuple[Key | None, float, float]] = []
    for path in pieces:
        began = time.process_time()
        score = read(path)
        heard = time.process_time()
        ours.append((detect_key(score), time.process_time() - heard, heard - began))
    built, read_by_it = [], {}
    for index, (path, (key, *_)) in enumerate(zip(tqdm(pieces, desc="music21", unit="piece", disable=None), ours, strict=True)):
        score = read(path)
        built.append(timed_key(stream_of(score)))
        heard_keys = [("exact durations", built[-1][0])]
        if score.note_num() <= longest:
            read_by_it[index] = heard_by_music21(path)
            heard_keys.append(("its own reader", read_by_it[index][0]))
        for how, other in heard_keys:
            if key != other:
                near = nearness(score, key, other)
                print(f"{path.relative_to(folder)}: {key_name(key)}, music21 with {how} {key_name(other)}; {near}", flush=True)
    agreed = sum(mine[0] == other[0] for mine, other in zip(ours, built, strict=True))
    agreed_read = sum(ours[index][0] == other[0] for index, other in read_by_it.items())
    print(f"{len(pieces)} pieces; the same key as music21 with exact durations: {agreed}")
    print(f"{len(read_by_it)} of them have up to {longest:,} notes; the same key as music21 with its own reader: {agreed_read}")
    print(f"{'CPU ms a piece, median (mean)':<34}{'pieces':>7}{'symbolic':>20}{'music21':>22}{'ratio: medians (sums)':>24}")
    of = list(read_by_it)
    detecting, reading = (np.array([piece[column] for piece in ours]) for column in (1, 2))
    print(_row("key of the notes, built exactly", detecting, np.array([piece[1] for piece in built])))
    analyzing, parsing = (np.array([piece[column] for piece in read_by_it.values()]) for column in (1, 2))
    print(_row("key of the file, once read", detecting[of], analyzing))
    print(_row("reading the file", reading[of], parsing))
    print(_row("both", (detecting + reading)[of], analyzing + parsing))


def _row(name: str, ours: np.ndarray, theirs: np.ndarray) -> str:
    mine, other = (f"{1e3 * np.median(seconds):,.3f} ({1e3 * seconds.mean():,.3f})" for seconds in (ours, theirs))
    ratios = f"{np.median(theirs) / np.median(ours):,.0f} ({theirs.sum() / ours.sum():,.0f})"
    return f"{name:<34}{len(ours):>7}{mine:>20}{other:>22}{ratios:>24}"


def drawn(folder: Path, count: int) -> list[Path]:
    """`count` pieces with pitched notes, as evenly from the collections (first folders) as they have them."""
    by_collection: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES):
        by_collection[path.relative_to(folder).parts[0]].append(path)
    generator = np.random.default_rng(0)
    queues = [[paths[i] for i in generator.permutation(len(paths))] for paths in by_collection.values()]
    chosen: list[Path] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue and len(chosen) < count:
                path = queue.pop()
                try:
                    pitched = pitch_class_durations(read(path)).any()
                except InputError:
                    continue
                if pitched:
                    chosen.append(path)
                    break
    return chosen


def heard_by_music21(path: Path) -> tuple[Key, float, float]:
    """music21's key of a file, seconds for `analyze`, seconds for reading."""
    import warnings

    from music21 import converter

    warnings.simplefilter("ignore")  # instruments it does not know by name
    began = time.process_time()
    stream = converter.parse(path, format="midi", forceSource=True)
    heard = time.process_time()
    return *timed_key(stream), heard - began


def timed_key(stream: Any) -> tuple[Key, float]:
    """What `analyze('key')` gives, as (tonic pitch class, mode), and the seconds it takes."""
    began = time.process_time()
    found = stream.analyze("key")
    return (found.tonic.pitchClass, found.mode), time.process_time() - began


def stream_of(score: ScoreTick) -> Any:
    """A music21 stream of all notes but drums, one after another, in exact quarters."""
    from music21 import note, stream

    result = stream.Stream()
    for track in score.tracks:
        if not track.is_drum:
            for n in track.notes:
                result.coreAppend(note.Note(n.pitch, quarterLength=Fraction(n.duration, score.ticks_per_quarter)))
    result.coreElementsChanged()
    return result


def nearness(score: ScoreTick, ours: Key | None, theirs: Key) -> str:
    """Our correlations with both keys."""
    correlations = key_correlations(pitch_class_durations(score))
    values = [correlations[key[0] + 12 * (key[1] == "minor")] for key in (ours, theirs) if key]
    return "correlations " + " and ".join(f"{value:.4f}" for value in values)


def compare_with_a_step(folder: Path, count: int) -> None:
    """A training step of the bundled shape beside moving as many tokens to a drawn key as it takes, in CPU seconds of one thread."""
    import torch

    from symbolic.models.configuration import make_config
    from symbolic.models.transformer_xl import TransformerXL
    from symbolic.settings import load_settings, to_mapping
    from symbolic.tokenizers.beats import derive_beats
    from symbolic.tokenizers.remi import RemiTokenizer
    from symbolic.training.settings import TrainingSettings

    tokenizer, settings = RemiTokenizer(), load_settings(TrainingSettings, ROOT / "configs" / "bundled-small.yaml")
    vocabulary = tokenizer.vocabulary
    pieces = [tokenizer.encode(read(path)).ids.astype(np.int64) for path in tqdm(drawn(folder, count), desc="encode", disable=None)]
    draws = np.random.default_rng(0).random((REPEATS, len(pieces)))
    began = time.process_time()
    for row in draws:
        for ids, draw in zip(pieces, row, strict=True):
            low, high = vocabulary.shift_range(ids)
            vocabulary.transpose_ids(ids, low + int(draw * (high - low + 1)))
    moving = (time.process_time() - began) / REPEATS / sum(map(len, pieces))

    torch.set_num_threads(1)  # threads that wait for each other on a busy machine would make the step look long
    B, T = settings.lanes, settings.segment_length
    stream = np.concatenate(pieces)
    stream = np.resize(stream, (B, (REPEATS + WARM_UP) * T))
    beats = np.stack([derive_beats(row, vocabulary) for row in stream])
    model = TransformerXL(make_config(
        vocab_size=len(vocabulary), beats_per_bar=vocabulary.max_beats, positions_per_beat=vocabulary.positions_per_beat,
        pad_token_id=vocabulary.pad, bos_token_id=vocabulary.bos, eos_token_id=vocabulary.eos, **to_mapping(settings.model),
    ))  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    memory, seconds = None, []
    for step in tqdm(range(REPEATS + WARM_UP), desc="step", disable=None):
        began = time.process_time()
        place = slice(step * T, (step + 1) * T)
        ids = torch.from_numpy(stream[:, place])
        ages = torch.arange(step * T, (step + 1) * T).expand(B, T)
        output = model(ids, torch.from_numpy(beats[:, place]), memory, ages=ages, labels=ids)
        memory = output.memory
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - began)
    taken = float(np.median(seconds[WARM_UP:]))
    lengths = np.array([len(ids) for ids in pieces])
    print(f"{len(pieces)} pieces, {lengths.mean():,.0f} tokens each; a step takes {B} x {T} tokens")
    print(f"a training step: {1e3 * taken:,.0f} ms; drawing a key and moving its {B * T:,} tokens: {1e3 * moving * B * T:.3f} ms")
    print(f"share of a step: {100 * moving * B * T / taken:.4f} %")
    print(f"if all {B} lanes begin the longest piece ({lengths.max():,} tokens) at once: {100 * moving * B * lengths.max() / taken:.3f} %")


if __name__ == "__main__":
    main()

"""`symbolic originality`, and what `symbolic continue --originality` tells: how much stands in a training set already."""

import argparse
from pathlib import Path
from typing import Any

from symbolic.commands.console import SEED_HELP, Outcome, Progress, seed_of
from symbolic.commands.middle import Verb
from symbolic.errors import UsageError


def originality_command(options: argparse.Namespace) -> Outcome:
    """`symbolic originality`: the longest match of a file with a training set, or the index of one."""
    if options.index is None and options.file is None:
        raise UsageError("a FILE to compare is wanted, or --index DATASET -o INDEX to make an index")
    if options.index is not None:
        return _make(options)
    if options.output is not None or options.sampled:
        raise UsageError("-o and --sampled belong to --index DATASET; the report on a file is printed, with --json for machines")
    from symbolic.corpus.originality import originality, report_lines
    from symbolic.midi.meter import bar_starts

    score, _ = seed_of(options.file)
    lines = bar_starts(score)
    if not 1 <= options.from_bar < len(lines):
        raise UsageError(f"--from-bar {options.from_bar}: the file has the bars 1 to {len(lines) - 1}")
    report = {"file": options.file} | originality(score, index_for(options.against, None), int(lines[options.from_bar - 1]))
    return report, report_lines(report)


def index_for(against: str | None, model: str | None) -> Any:
    """The opened index to compare with: of a dataset or an index folder, or of what the bundled model learned from.

    Raises `UsageError` when what is made comes from another `model` and nothing was named.
    """
    from symbolic.corpus.originality import open_index

    if not against and model is not None:
        from symbolic.generation.bundle import DEFAULT_MODEL

        if model != DEFAULT_MODEL:
            raise UsageError(f"--originality with --model {model}: name the dataset it learned from, as --originality DATASET")
    with Progress(None, "index", "piece") as progress:
        return open_index(against or None, progress)


def add_originality(verb: Verb) -> None:
    """The command."""
    sub = verb("originality", originality_command, "find the longest passages that a file shares with a training set, in any key and tempo")
    sub.add_argument("file", nargs="?", metavar="FILE", help=SEED_HELP)
    sub.add_argument(
        "--against", metavar="DATASET", help="a dataset, or an index made of one (default: what the bundled model learned from)"
    )
    sub.add_argument("--from-bar", type=int, default=1, metavar="N", help="compare the notes from this bar on, counted from 1")
    sub.add_argument("--index", metavar="DATASET", help="make the index of a dataset; without it one is made beside it on first use")
    sub.add_argument("-o", "--output", metavar="INDEX", help="the folder of the index to make")
    sub.add_argument("--sampled", action="store_true", help="make a small index without music, that finds long matches only")


def _make(options: argparse.Namespace) -> Outcome:
    from symbolic.corpus.line_index import FULL, SAMPLED
    from symbolic.corpus.originality import index_dataset

    if options.file is not None or options.output is None:
        raise UsageError("an index is made with: symbolic originality --index DATASET -o INDEX")
    with Progress(None, "index", "piece") as progress:
        index = index_dataset(options.index, options.output, SAMPLED if options.sampled else FULL, options.force, progress)
    size = sum(path.stat().st_size for path in Path(options.output).iterdir())
    result = {key: value for key, value in index.facts.items() if key != "people"} | {"index": options.output, "bytes": size}
    told = f"{options.output}: {result['pieces']:,} pieces, {result['notes_in_lines']:,} notes in lines, {size / 1e6:.1f} MB"
    return result, [told, f"finds every match of {result['always_found']} notes and more"]

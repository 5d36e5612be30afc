"""How much of a piece stands in a training set already, beside the same figures for held-out pieces by people.

Two figures: the notes of the longest match (`matching`), and the share of notes that stand in matches longer than `LONGER_THAN`
(in a sampled index, in all matches that are found). Shares are of the notes in lines.
Longer pieces have longer matches, so people's figures are those of beginnings of the same number of notes, to the next of `RUNGS`.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.dataset import Corpus
from symbolic.corpus.line_index import FULL, LineIndex, Sampling, write_index
from symbolic.corpus.lines import Lines, lines_of
from symbolic.corpus.matching import Matches, find_matches
from symbolic.errors import InputError
from symbolic.tokenizers.remi import RemiTokenizer

LONGER_THAN = 8
RUNGS = (50, 100, 200, 400, 800, 1600, 3200)
SHOWN = 10
IN_DATASET = "line-index"  # the folder of a dataset's own index
BUNDLED = "small-index"  # in symbolic.pretrained

Progress = Callable[[int], object]


def open_index(against: str | Path | None = None, progress: Progress | None = None) -> LineIndex:
    """The index at `against`: its folder, a dataset (whose index is made beside it on first use), or none for the bundled model's.

    `progress` is called with the number of pieces read. Raises `InputError` for a folder that is neither, and for an index
    older than its dataset.
    """
    folder = Path(str(resources.files("symbolic.pretrained"))) / BUNDLED if against is None else Path(against)
    if not (folder / "ids.bin").is_file():
        if not (folder / "index.json").is_file():
            raise InputError(f"{folder}: neither a dataset (no ids.bin) nor an index (no index.json); make one with: symbolic tokenize")
        return LineIndex(folder)
    if not (folder / IN_DATASET).exists():
        index_dataset(folder, folder / IN_DATASET, progress=progress)
    index = LineIndex(folder / IN_DATASET)
    tokens = (folder / "ids.bin").stat().st_size // 2
    if index.facts.get("tokens") != tokens:
        raise InputError(
            f"{folder / IN_DATASET}: made of {index.facts.get('tokens')} tokens, the dataset has {tokens}; "
            f"make it again with: symbolic originality --index {folder} -o {folder / IN_DATASET} --force"
        )
    return index


def index_dataset(
    dataset: str | Path, output: str | Path, sampling: Sampling = FULL, force: bool = False, progress: Progress | None = None
) -> LineIndex:
    """Write the index of a dataset's training pieces, with what its held-out pieces give in it, and open it.

    Raises `InputError` when `output` exists, unless `force`, when it cannot be written, and for a damaged dataset.
    """
    corpus = Corpus(dataset)
    train = corpus.pieces("train")
    if not len(train):
        raise InputError(f"{dataset}: no training pieces in it, so there is nothing to compare with")
    names = corpus.rows["path"]
    pieces = ((names[index], lines) for index, lines in _lines_of_pieces(corpus, train, progress))
    write_index(output, pieces, corpus.tokenizer, sampling, {"tokens": len(corpus.ids)}, force)
    held_out = np.concatenate([corpus.pieces("test"), corpus.pieces("validation")])
    index = LineIndex(output)
    index.set_people(people(index, [lines for _, lines in _lines_of_pieces(corpus, held_out, progress)]))
    return index


def piece_lines(score: ScoreTick, tokenizer: RemiTokenizer, start: int = 0) -> Lines:
    """The lines of a score on the tokenizer's grid, as a dataset has them; of the notes from tick `start` on."""
    told = tokenizer.decode(tokenizer.encode(score).ids)
    return lines_of(told, round(start * told.ticks_per_quarter / score.ticks_per_quarter))


def share_longer_than(index: LineIndex) -> int:
    """Matches longer than this count for the share: 8, or in a sampled index all that are found."""
    return LONGER_THAN if index.full else index.sampling.notes - 1


def figures(lines: Lines, matches: Matches, index: LineIndex) -> tuple[int, float]:
    """Notes of the longest match (0 without one), and the share of notes in matches that count."""
    longest = int(matches.length[0]) if len(matches) else 0
    return longest, float(matches.covered(len(lines), share_longer_than(index)).mean()) if len(lines) else 0.0


def people(index: LineIndex, pieces: Sequence[Lines]) -> dict[str, Any]:
    """For each of `RUNGS` the figures of the beginnings of so many notes of all `pieces` that have them, ascending."""
    found: dict[str, Any] = {}
    for rung in RUNGS:
        cut = [lines.beginning(rung) for lines in pieces if len(lines) >= rung]
        if cut:
            longest, shares = zip(*(figures(lines, find_matches(lines, index), index) for lines in cut), strict=True)
            found[str(rung)] = {"longest": sorted(longest), "share": sorted(round(share, 4) for share in shares)}
    return found


def originality(score: ScoreTick, index: LineIndex, start: int = 0) -> dict[str, Any]:
    """The report on a score, or on its notes from tick `start` on; bars count from 1.

    Raises `InputError` for a score the tokenizer refuses.
    """
    lines = piece_lines(score, index.tokenizer, start)
    matches = find_matches(lines, index)
    longest, share = figures(lines, matches, index)
    report: dict[str, Any] = {
        "pitched_notes": lines.pitched, "notes_in_lines": len(lines), "longest": longest,
        "share": round(share, 4), "share_longer_than": share_longer_than(index), "always_found": index.sampling.always_found,
        "training_pieces": len(index.names), "matches": [_told(lines, matches, which, index) for which in _shown(matches)],
    }  # fmt: skip
    if index.people and len(lines):
        rung = min(index.people, key=lambda rung: abs(np.log(int(rung) / len(lines))))
        report["people"] = _beside(index.people[rung], longest, share) | {"notes_in_lines": int(rung)}
    return report


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report in sentences."""
    told = f"{report['notes_in_lines']:,} of {report['pitched_notes']:,} pitched notes compared, as lines, in any key and at any tempo"
    lines = [f"{told}, with {report['training_pieces']:,} training pieces"]
    if not report["notes_in_lines"]:
        return [f"no pitched notes to compare; drums and noises are not, so nothing can be said of {report['training_pieces']:,} pieces"]
    if not report["longest"]:
        lines.append(f"longest match: none; every one of {report['always_found']} notes would be found")
    else:
        first, *others = report["matches"]
        lines.append(f"longest match: {_sentence(first)}")
        lines.extend(f"  also {_sentence(other)}" for other in others[:2])
    lines.append(f"in matches longer than {report['share_longer_than']} notes: {report['share']:.1%} of the notes")
    if people_ := report.get("people"):
        first_notes = f"the first {people_['notes_in_lines']:,} notes of {people_['pieces']} held-out pieces by people"
        lines.append(
            f"{first_notes}: longest match {people_['longest']['median']:g} (median), {people_['longest']['95 %']:g} (95 %), "
            f"{people_['longest']['max']:g} (most); share {people_['share']['median']:.1%}, {people_['share']['95 %']:.1%}, "
            f"{people_['share']['max']:.1%}"
        )
        shorter, smaller = people_["with_shorter_longest"], people_["with_smaller_share"]
        lines.append(f"{shorter:.0%} of them have a shorter longest match, {smaller:.0%} a smaller share")
    else:
        lines.append("no held-out pieces of this length to compare with")
    if report["always_found"] > LONGER_THAN + 1:
        lines.append(
            f"this index is a sample: it finds all matches of {report['always_found']} notes and more and some shorter ones, "
            "and gives their lengths at least; --against DATASET finds all"
        )
    return lines


def _lines_of_pieces(corpus: Corpus, pieces: np.ndarray, progress: Progress | None) -> Iterator[tuple[int, Lines]]:
    for piece in pieces.tolist():
        yield piece, lines_of(corpus.tokenizer.decode(corpus.piece(piece)))
        if progress:
            progress(1)


def _shown(matches: Matches) -> list[int]:
    """The longest matches that do not lie within others, at most `SHOWN`."""
    chosen: list[int] = []
    for which in range(len(matches)):
        start, stop = matches.start[which], matches.start[which] + matches.length[which]
        apart = [stop <= matches.start[k] or start >= matches.start[k] + matches.length[k] for k in chosen]
        if all(apart):
            chosen.append(which)
        if len(chosen) == SHOWN:
            break
    return chosen


def _told(lines: Lines, matches: Matches, which: int, index: LineIndex) -> dict[str, Any]:
    start, length, place = (int(values[which]) for values in (matches.start, matches.length, matches.place))
    told = {
        "notes": length, "program": int(lines.program[start]), "bars": [int(lines.bar[start]) + 1, int(lines.bar[start + length - 1]) + 1],
        "piece": index.names[index.piece_at(place)], "piece_bar": int(matches.bar[which]) + 1,
    }  # fmt: skip
    if index.bars is not None:
        told["piece_last_bar"] = int(index.bars[place + length - 1]) + 1
    return told


def _sentence(match: dict[str, Any]) -> str:
    first, last = match["bars"]
    bars = f"bar {first}" if first == last else f"bars {first} to {last}"
    return f"{match['notes']} notes, {bars}, as in {match['piece']} from bar {match['piece_bar']}"


def _beside(theirs: dict[str, list[float]], longest: int, share: float) -> dict[str, Any]:
    def told(values: list[float]) -> dict[str, float]:
        return {"median": round(float(np.median(values)), 4), "95 %": round(float(np.percentile(values, 95)), 4), "max": float(max(values))}

    return {
        "pieces": len(theirs["longest"]), "longest": told(theirs["longest"]), "share": told(theirs["share"]),
        "with_shorter_longest": float(np.mean(np.array(theirs["longest"]) < longest)),
        "with_smaller_share": float(np.mean(np.array(theirs["share"]) < share)),
    }  # fmt: skip

"""A folder of music made into a dataset: every file read, tokenized and examined, bad ones named and counted.

The split is by cluster of like pieces (`duplicates`), drawn from the content hashes: it does not change when files move.
"""

import fnmatch
import hashlib
import json
import multiprocessing
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import ScoreTick
from tqdm import tqdm

from symbolic.corpus.duplicates import cluster, melody_sketch
from symbolic.errors import InputError
from symbolic.files import new_folder, refuse_existing
from symbolic.midi.folder import MusicFile, music_files
from symbolic.midi.keys import detect_key, key_name
from symbolic.midi.meter import last_note_end, meter_sections
from symbolic.midi.reading import contents, read_bytes
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType


@dataclass
class Piece:
    """One tokenized file, as a worker hands it back."""

    ids: np.ndarray
    sketch: np.ndarray
    row: dict[str, Any]


def tokenize_folder(
    folder: str | Path,
    output: str | Path,
    settings: TokenizerSettings | None = None,
    *,
    workers: int = 1,
    held_out: float = 0.04,
    exclude: tuple[str, ...] = (),
    force: bool = False,
) -> dict[str, Any]:
    """Tokenize every MIDI file below `folder` into the dataset `output`; gives the report.

    `held_out` is the share of pieces kept from training, half for validation and half for test.
    `exclude` are patterns of paths below `folder` to leave out. A bad file is skipped, counted and named in the report.
    Raises `InputError` when nothing could be read.
    """
    folder, output = Path(folder), Path(output)
    refuse_existing(output, force)
    if output.exists() and not (output / "offsets.npy").is_file():
        raise InputError(f"{output}: --force replaces a dataset, and this is none (no offsets.npy in it); choose another -o")
    names = music_files(folder)
    wanted = [(music, music.name) for music in names if not any(fnmatch.fnmatch(music.name, pattern) for pattern in exclude)]
    pieces: list[Piece] = []
    skipped: list[dict[str, str]] = []
    offsets = [0]
    with new_folder(output, force) as partial:
        tokenizer = RemiTokenizer(settings)
        tokenizer.save(partial)
        with (partial / "ids.bin").open("wb") as stream:
            for outcome in tqdm(_outcomes(wanted, tokenizer, workers), total=len(wanted), desc="tokenize", unit="file", disable=None):
                if isinstance(outcome, dict):
                    skipped.append(outcome)
                    continue
                stream.write(outcome.ids.astype("<u2").tobytes())
                offsets.append(offsets[-1] + len(outcome.ids))
                outcome.ids = outcome.ids[:0]
                pieces.append(outcome)
        if not pieces:
            first = f"; the first, {skipped[0]['path']}: {skipped[0]['reason']}" if skipped else f": all {len(names)} are excluded"
            raise InputError(f"{folder}: none of the {len(wanted)} files could be read{first}")
        clusters = cluster([p.sketch for p in pieces], [p.row["content"] for p in pieces])
        splits = _splits(clusters, [p.row["content"] for p in pieces], held_out)
        rows = [p.row | {"cluster": int(c), "split": s} for p, c, s in zip(pieces, clusters, splits, strict=True)]
        np.save(partial / "offsets.npy", np.array(offsets, dtype=np.int64))
        import datasets

        datasets.disable_progress_bars()
        datasets.Dataset.from_list(rows).save_to_disk(str(partial / "manifest"))
        report = _report(folder, rows, skipped, len(names) - len(wanted), len(tokenizer.vocabulary))
        (partial / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def tokenize_file(source: Path | MusicFile, name: str, tokenizer: RemiTokenizer) -> Piece | dict[str, str]:
    """The piece in a file, called `name` in its row; for a bad file its `path` and the `reason`."""
    try:
        data = source.read() if isinstance(source, MusicFile) else contents(source)
        score = read_bytes(data, name).score
        ids = tokenizer.encode(score).ids
        vocabulary = tokenizer.vocabulary
        return Piece(
            np.concatenate([[vocabulary.bos], ids, [vocabulary.eos]]).astype(np.uint16),
            melody_sketch(score),
            _row(data, name, score, ids, vocabulary.types[ids]),
        )
    except Exception as error:  # one bad file must not stop a run of thousands: it is counted and named
        reason = str(error).removeprefix(f"{name}: ") if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return {"path": name, "reason": reason}


def _outcomes(wanted: list[tuple[MusicFile, str]], tokenizer: RemiTokenizer, workers: int) -> Iterator[Piece | dict[str, str]]:
    if workers <= 1:
        for path, name in wanted:
            yield tokenize_file(path, name, tokenizer)
        return
    done = 0
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (tokenizer.settings,)) as pool:
        try:
            for outcome in pool.map(_tokenize_one, wanted, chunksize=8):
                yield outcome
                done += 1
        except (BrokenProcessPool, OSError) as error:  # OSError: the worker died while it was being given work
            cause = "a worker was killed at this file or soon after it (out of memory?)"
            raise InputError(f"{wanted[done][1]}: {cause}; try fewer workers, or exclude the file") from error


_worker_tokenizer: RemiTokenizer


def _start_worker(settings: TokenizerSettings) -> None:
    global _worker_tokenizer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    _worker_tokenizer = RemiTokenizer(settings)


def _tokenize_one(task: tuple[MusicFile, str]) -> Piece | dict[str, str]:
    return tokenize_file(*task, _worker_tokenizer)


def _row(data: bytes, name: str, score: ScoreTick, ids: np.ndarray, types: np.ndarray) -> dict[str, Any]:
    _, numerator, denominator = meter_sections(score)[0]
    return {
        "path": name,
        "collection": Path(name).parts[0] if len(Path(name).parts) > 1 else "",
        "content": hashlib.sha256(data).hexdigest(),
        "tokens": len(ids) + 2,
        "notes": int((types == TokenType.VELOCITY).sum()),
        "bars": int((types == TokenType.BAR).sum()),
        "beats": last_note_end(score) / score.ticks_per_quarter,
        "key": key_name(detect_key(score)),
        "meter": f"{numerator}/{denominator}",
        "programs": sorted({-1 if track.is_drum else track.program for track in score.tracks if len(track.notes)}),
    }


def _splits(clusters: np.ndarray, contents: list[str], held_out: float) -> list[str]:
    """A split for each piece: that of its cluster, drawn by the smallest content hash among the members."""
    smallest: dict[int, str] = {}
    for number, content in zip(clusters.tolist(), contents, strict=True):
        smallest[number] = min(content, smallest.get(number, content))
    drawn = {number: int(hashlib.sha256(content.encode()).hexdigest()[:8], 16) / 2**32 for number, content in smallest.items()}
    return [
        "validation" if drawn[number] < held_out / 2 else "test" if drawn[number] < held_out else "train" for number in clusters.tolist()
    ]


def _report(folder: Path, rows: list[dict[str, Any]], skipped: list[dict[str, str]], excluded: int, vocabulary_size: int) -> dict[str, Any]:
    clusters = Counter(row["cluster"] for row in rows)
    collections = sorted({row["collection"] for row in rows})
    return {
        "folder": folder.name,
        "pieces": len(rows),
        "skipped": len(skipped),
        "excluded": excluded,
        "tokens": sum(row["tokens"] for row in rows),
        "notes": sum(row["notes"] for row in rows),
        "bars": sum(row["bars"] for row in rows),
        "vocabulary_size": vocabulary_size,
        "splits": dict(Counter(row["split"] for row in rows)),
        "duplicate_clusters": sum(count > 1 for count in clusters.values()),
        "pieces_in_duplicate_clusters": sum(count for count in clusters.values() if count > 1),
        "largest_cluster": max(clusters.values()),
        "collections": {
            name: {"pieces": sum(row["collection"] == name for row in rows)}
            | {key: sum(row[key] for row in rows if row["collection"] == name) for key in ("notes", "tokens")}
            for name in collections
        },
        "skip_reasons": dict(Counter(re.split("[(:]", item["reason"])[0].strip() for item in skipped)),
        "skipped_files": skipped,
    }

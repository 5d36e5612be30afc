"""A folder of music made into a dataset: every file read, tokenized and examined by workers, every file with a verdict.

What is done goes into a journal in a folder beside the output, `.partial-NAME`. A run that was ended, however that came,
goes on from there, and its dataset is the same, byte for byte, as that of a run that was left alone.
At the end of a run the disk holds everything twice.
"""

import contextlib
import errno
import fnmatch
import hashlib
import importlib.metadata
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from symbolic.corpus.assembly import write_dataset
from symbolic.corpus.journal import IDENTITY, Journal
from symbolic.corpus.pieces import Rejected, make_recorder, rejected_record, too_slow
from symbolic.corpus.report import write_report
from symbolic.corpus.workers import Failure, Limits, supervised
from symbolic.errors import InputError
from symbolic.files import refuse_existing
from symbolic.midi.folder import MusicFile, music_files
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

FORMAT = 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READERS = ("symbolic-xl", "symusic", "music21")  # what a file becomes may depend on their versions
WORKER_MEGABYTES = 1024  # memory of a worker, at most: this, and so much for each megabyte of the largest file
MEGABYTES_PER_MEGABYTE = 16
GRACE_SECONDS = 1.0  # for readers that keep the time themselves to say so


def tokenize_folder(
    folder: str | Path,
    output: str | Path,
    settings: TokenizerSettings | None = None,
    *,
    workers: int = 1,
    held_out: float = 0.04,
    exclude: tuple[str, ...] = (),
    file_seconds: float = 30.0,
    file_megabytes: float = 64.0,
    force: bool = False,
) -> dict[str, Any]:
    """Tokenize all music below `folder` into the dataset `output`; gives the report.

    `held_out` is the share of pieces kept from training, half for validation and half for test.
    `exclude` are patterns of paths below `folder` to leave out. A file that is larger than `file_megabytes`, takes longer
    than `file_seconds`, or is bad in any way, is skipped, counted and named; so is one at which a reader crashes.
    An unfinished run for the same output goes on where it ended; with `force` also `output` itself is replaced.
    Raises `InputError` when nothing could be read, or an unfinished run with other settings is in the way.
    """
    folder, output, settings = Path(folder), Path(output), settings or TokenizerSettings()
    conditions = _conditions(settings, file_seconds, file_megabytes)
    run = {"folder": str(folder.resolve()), "held_out": held_out, "exclude": list(exclude)} | conditions
    workshop = Workshop(output)
    if workshop.finished(run):
        return json.loads((output / "report.json").read_text())
    refuse_existing(output, force)
    if output.exists() and not (output / "offsets.npy").is_file():
        raise InputError(f"{output}: --force replaces a dataset, and this is none (no offsets.npy in it); choose another -o")
    others: Counter[str] = Counter()
    files = music_files(folder, others)
    patterns = _excluding(files, exclude)
    identities = np.array([_identity(file) for file in files], dtype=f"S{IDENTITY}")
    wanted = np.array([pattern is None for pattern in patterns])
    if not wanted.any():
        raise InputError(f"{folder}: nothing is left of it: all {len(files)} are excluded")
    with workshop.journal(conditions, force) as journal:
        _tokenize_missing(journal, files, identities, wanted, settings, workers, file_megabytes, file_seconds)
        dataset = workshop.fresh_dataset()
        RemiTokenizer(settings).save(dataset)
        _write_run(dataset, folder, run)
        places = np.where(wanted, journal.places(identities), -1)
        with tqdm(total=len(files), desc="write", unit="file", disable=None, leave=False) as bar:
            names = [file.name for file in files]
            pieces = write_dataset(dataset, names, places, patterns, journal, held_out, lambda: bar.update())
        if not pieces:
            first = json.loads(journal.read(int(places[wanted][0]), 0))["verdict"]
            workshop.discard()
            raise InputError(f"{folder}: none of the {wanted.sum()} files could be read; the first, {first['path']}: {first['reason']}")
        report = write_report(dataset, folder, others)
        workshop.publish(run)
    return report


def _tokenize_missing(
    journal: Journal, files: list[MusicFile], identities: np.ndarray, wanted: np.ndarray, settings: TokenizerSettings, workers: int,
    megabytes: float, seconds: float,
) -> None:  # fmt: skip
    """Bring into the journal what is wanted and not in it."""
    missing = np.flatnonzero(wanted & (journal.places(identities) < 0))
    done = int(wanted.sum()) - len(missing)
    if done < len(journal):
        _tell(f"{len(journal) - done} files done before have changed since or are gone or excluded; {len(missing)} are left to do")
    limits = Limits(GRACE_SECONDS + seconds, WORKER_MEGABYTES + round(MEGABYTES_PER_MEGABYTE * megabytes))
    tasks = (files[index] for index in missing.tolist())
    outcomes = supervised(make_recorder, (settings, megabytes, seconds), tasks, workers, limits)
    with (
        contextlib.closing(outcomes),
        tqdm(total=int(wanted.sum()), initial=done, desc="tokenize", unit="file", disable=None, smoothing=0.05) as bar,
    ):
        for file, outcome in outcomes:
            if isinstance(outcome, Failure):
                failure = too_slow(seconds) if outcome.kind == "too slow" else outcome
                outcome = rejected_record(Rejected(file.name, failure))
            journal.append(_identity(file), outcome)
            bar.update()


class Workshop:
    """The folder beside an output in which it is made. It stays when a run is ended, and is gone when the output is there."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.parent / f".partial-{output.name}"
        self._dataset, self._replaced, self._finished = (self.folder / name for name in ("dataset", "replaced", "finished.json"))

    def finished(self, run: dict[str, Any]) -> bool:
        """Whether this very run was ended just after its output was in its place; what it left is cleared away."""
        with self._told():
            if self._replaced.exists() and not self.output.exists():
                self._replaced.replace(self.output)  # it was ended between the two renames
            if not self._finished.exists() or self._dataset.exists() or not self.output.exists():
                return False
            same = json.loads(self._finished.read_text() or "{}") == run
            self.discard()
            return same

    @contextlib.contextmanager
    def journal(self, conditions: dict[str, Any], force: bool) -> Iterator[Journal]:
        """The journal of the unfinished run, or a new one. Errors and Ctrl-C say what is done and how to go on.

        One that was made under other conditions is thrown away with `force`, else refused.
        """
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                journal = Journal(self.folder / "journal", conditions)
            except BlockingIOError:
                raise InputError(f"{self.output}: another run is making it at this moment; wait for it, or choose another -o") from None
        try:
            with self._told(journal):
                if journal.conditions != conditions:
                    self._begin_anew(journal, conditions, force)
                yield journal
        finally:
            if not len(journal):
                self.discard()
            journal.close()

    def fresh_dataset(self) -> Path:
        """An empty folder to write the dataset into."""
        self._finished.unlink(missing_ok=True)
        shutil.rmtree(self._dataset, ignore_errors=True)
        self._dataset.mkdir()
        return self._dataset

    def publish(self, run: dict[str, Any]) -> None:
        """Put the dataset in its place, as a whole, and clear away the rest."""
        self._finished.write_text(json.dumps(run))
        if self.output.exists() or self.output.is_symlink():
            self.output.replace(self._replaced)
        self._dataset.replace(self.output)
        self.discard()

    def discard(self) -> None:
        """Remove all that is left of the run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin_anew(self, journal: Journal, conditions: dict[str, Any], force: bool) -> None:
        names = [name for name in conditions if conditions[name] != journal.conditions.get(name)]
        changed = ", ".join(f"{name} was {journal.conditions.get(name)} and is {conditions[name]}" for name in names)
        if not force:
            choices = "give it the same to go on, or --force to begin anew, or choose another -o"
            raise InputError(f"{self.output}: an unfinished run ({len(journal):,} files done) was made with others: {changed}; {choices}")
        _tell(f"beginning anew: {changed}")
        journal.clear(conditions)

    @contextlib.contextmanager
    def _told(self, journal: Journal | None = None) -> Iterator[None]:
        """What stops a run, in one line, with what can be done."""
        try:
            yield
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"interrupted{_kept(journal) or ', nothing half written'}") from error
        except OSError as error:
            if error.errno in FULL:
                raise InputError(f"{self.output}: the disk is full{_kept(journal)}; free some space, or choose another folder") from error
            reason = error.strerror or error
            raise InputError(f"{self.output}: cannot be written ({reason}){_kept(journal)}; choose another place with -o") from error


def _kept(journal: Journal | None) -> str:
    return f"; {len(journal):,} files are done, and the same command goes on from there" if journal else ""


def _conditions(settings: TokenizerSettings, seconds: float, megabytes: float) -> dict[str, Any]:
    """All that decides what a file becomes, besides the file."""
    versions = {name: importlib.metadata.version(name) for name in READERS}
    return json.loads(
        json.dumps({"format": FORMAT, **versions, "file_seconds": float(seconds), "file_megabytes": float(megabytes), **asdict(settings)})
    )


def _excluding(files: list[MusicFile], patterns: tuple[str, ...]) -> list[str | None]:
    """For each file the first pattern that excludes it."""
    compiled = [(pattern, re.compile(fnmatch.translate(pattern))) for pattern in patterns]
    return [next((pattern for pattern, expression in compiled if expression.match(file.name)), None) for file in files]


def _identity(file: MusicFile) -> bytes:
    """What tells this file, as it is now, from all others of the folder."""
    told = repr((file.name, file.member, file.size, file.stamp))
    return hashlib.blake2b(told.encode(errors="backslashreplace"), digest_size=IDENTITY).digest()


def _write_run(dataset: Path, folder: Path, run: dict[str, Any]) -> None:
    """How the dataset was made; the folder by its name alone, as it may lie elsewhere."""
    (dataset / "run.json").write_text(json.dumps(run | {"folder": folder.resolve().name}, indent=2) + "\n")


def _tell(line: str) -> None:
    tqdm.write(f"symbolic tokenize: {line}", file=sys.stderr)

"""`symbolic tokenize` killed in the middle and started again, beside a run that was left alone: are the datasets the same bytes?

    python benchmarks/killing.py FOLDER_OF_MUSIC [--kills 2] [--workers 2]

The run left alone says how many files there are and how long they take; the other is killed with SIGKILL, with all its workers, each
time after an equal share of that. Exit 1 when any file of the two datasets differs.
"""

import argparse
import filecmp
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(folder: Path, output: Path, workers: int) -> list[str]:
    """The command line of one run."""
    return [sys.executable, "-m", "symbolic", "tokenize", str(folder), "-o", str(output), "--workers", str(workers), "--json"]


def descendants(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        children = []
    return [pid, *(below for child in children for below in descendants(child))]


def killed(arguments: list[str], seconds: float) -> bool:
    """Run for so many seconds, then kill the run and its workers; False when it had ended by itself."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in descendants(process.pid):
                os.kill(pid, signal.SIGKILL)
            return True
        return False


def differences(one: Path, other: Path) -> list[str]:
    """Files that are not in both folders with the same bytes."""
    names = sorted({str(path.relative_to(folder)) for folder in (one, other) for path in folder.rglob("*") if path.is_file()})
    _, different, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    return different + missing


def main() -> None:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        whole, parts = Path(scratch) / "whole", Path(scratch) / "parts"
        clock = time.perf_counter()
        report = json.loads(subprocess.run(command(options.folder, whole, options.workers), stdout=subprocess.PIPE, check=True).stdout)
        seconds = time.perf_counter() - clock
        print(f"left alone: {report['files']:,} files, {report['pieces']:,} pieces, {seconds:.0f} s", flush=True)
        for kill in range(options.kills):
            if not killed(command(options.folder, parts, options.workers), seconds / (options.kills + 1)):
                raise SystemExit("the run ended before it was killed; take more files")
            journal = parts.parent / f".partial-{parts.name}" / "journal"
            print(f"killed for time {kill + 1}; the journal holds {journal.stat().st_size:,} bytes", flush=True)
        subprocess.run(command(options.folder, parts, options.workers), stdout=subprocess.DEVNULL, check=True)
        found = differences(whole, parts)
        size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
        print(f"{size:,} bytes, differing files: {', '.join(found) or 'none'}")
        raise SystemExit(bool(found))


if __name__ == "__main__":
    main()

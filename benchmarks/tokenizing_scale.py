"""What `symbolic tokenize` costs as a folder grows: time and memory from a thousand files to a hundred thousand.

    python benchmarks/tokenizing_scale.py FOLDER_OF_MUSIC [--files 100000] [--workers N] [--plot docs/tokenizing-scale.png]

The files are those of the folder in up to twelve keys, each (file, key) at most once, in an order drawn at random; a folder
that holds the first thousand of them is tokenized, then grows. Each size is a run of the command of its own. Time is told
by the clock and as processor seconds of all its processes, which other programs beside it change little; memory is the highest
resident set (VmHWM) of the run's process, and of the largest of its workers. All is made below a temporary folder and deleted.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage, rmtree

import numpy as np
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.midi.folder import MusicFile, music_files
from symbolic.midi.reading import read_bytes
from symbolic.midi.transposition import pitch_bounds, transpose

SIZES = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
KEYS = range(-6, 6)
PER_FOLDER = 1000
WIDTH = 12  # of a column
BYTES_PER_BYTE = 6  # disk that a run needs at most for each byte of MIDI, the file itself among them
LARGEST = 10**9  # bytes of MIDI for each 10,000 files: far more than real corpora have


@dataclass
class Run:
    """Figures of one run of the command."""

    files: int
    seconds: float = 0.0
    processor: float = 0.0
    notes: int = 0
    pieces: int = 0
    clusters: int = 0
    memory: dict[str, float] = field(default_factory=lambda: {"run": 0.0, "worker": 0.0})  # MB


class Copies:
    """The files of a folder in twelve keys, written a thousand a folder, in an order drawn at random."""

    def __init__(self, sources: list[MusicFile], folder: Path) -> None:
        self.sources, self.folder = sources, folder
        self.order = np.random.default_rng(0).permutation(len(sources) * len(KEYS))
        self.drawn = self.written = self.bytes = 0

    def grow(self, count: int) -> bool:
        """Write more until there are `count`; False when the sources or the disk do not give so many."""
        with tqdm(total=count - self.written, desc="making files", unit="file", disable=None, leave=False) as bar:
            while self.written < count and self.drawn < len(self.order):
                data = self._copy(int(self.order[self.drawn]))
                self.drawn += 1
                if data is None:
                    continue
                path = self.folder / f"{self.written // PER_FOLDER:04}" / f"{self.written:07}.mid"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                self.written += 1
                self.bytes += len(data)
                if self.bytes > LARGEST * max(1, self.written / 10_000) or BYTES_PER_BYTE * self.bytes > disk_usage(self.folder).free:
                    return False
                bar.update()
        return self.written == count

    def _copy(self, number: int) -> bytes | None:
        source, shift = self.sources[number // len(KEYS)], KEYS[number % len(KEYS)]
        try:
            score = read_bytes(source.read(), source.name).score
        except InputError:
            return None
        low, high = pitch_bounds(score)
        return transpose(score, shift).dumps_midi() if low + shift >= 0 and high + shift <= 127 else None


def tokenized(folder: Path, files: int, workers: int) -> Run:
    """Run the command on `folder` in a process of its own, and watch it."""
    run, output = Run(files), folder.parent / "dataset"
    command = [sys.executable, "-m", "symbolic", "tokenize", str(folder), "-o", str(output), "--workers", str(workers), "--json"]
    clock, processor = time.perf_counter(), _processor_seconds()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watcher = threading.Thread(target=_watch, args=(process, run.memory))
        watcher.start()
        report = json.loads(process.communicate()[0])
        watcher.join()
    run.seconds, run.processor = time.perf_counter() - clock, _processor_seconds() - processor
    run.notes, run.pieces, run.clusters = report["notes"], report["pieces"], report["duplicate_clusters"]
    rmtree(output)
    return run


def _processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(process: "subprocess.Popen[str]", memory: dict[str, float]) -> None:
    while process.poll() is None:
        memory["run"] = max(memory["run"], _peak(process.pid))
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        except OSError:
            children = []
        memory["worker"] = max([memory["worker"], *(_peak(int(child)) for child in children)])
        time.sleep(0.1)


def _peak(pid: int) -> float:
    """The highest resident set so far, in MB; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def draw(runs: list[Run], path: Path) -> None:
    """Seconds and memory over files, both scales from zero."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    files = [run.files for run in runs]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(files, [run.seconds for run in runs], "o-", label="by the clock")
    left.plot(files, [run.processor for run in runs], "s-", label="of processors")
    left.set(title="time", xlabel="files", ylabel="seconds")
    left.legend()
    right.plot(files, [run.memory["run"] for run in runs], "o-", label="the run")
    right.plot(files, [run.memory["worker"] for run in runs], "s-", label="its largest worker")
    right.set(title="peak memory", xlabel="files", ylabel="MB")
    right.legend()
    for axes in (left, right):
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100_000, help="the largest folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="also draw the curve")
    parser.add_argument("--scratch", type=Path, help="where the temporary folder is made")
    options = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="tokenizing-scale-", dir=options.scratch) as scratch:
        (Path(scratch) / "music").mkdir()
        copies = Copies(music_files(options.folder), Path(scratch) / "music")
        names = ("files", "seconds", "CPU s", "CPU ms/file", "files/s", "notes/s", "run MB", "worker MB", "clusters")
        print("".join(f"{name:>{WIDTH}}" for name in names), flush=True)
        for size in sorted({*(size for size in SIZES if size < options.files), options.files}):
            enough = copies.grow(size)
            runs.append(tokenized(copies.folder, copies.written, options.workers))
            run = runs[-1]
            milliseconds, rates = 1000 * run.processor / run.files, (run.files / run.seconds, run.notes / run.seconds)
            figures = (run.seconds, run.processor, milliseconds, *rates, run.memory["run"], run.memory["worker"])
            digits = (1, 1, 2, 0, 0, 0, 0)
            middle = "".join(f"{figure:>{WIDTH},.{places}f}" for figure, places in zip(figures, digits, strict=True))
            print(f"{run.files:>{WIDTH},}{middle}{run.clusters:>{WIDTH},}", flush=True)
            if not enough:
                print(f"no more than {copies.written:,} files: the sources or the disk give no more")
                break
    if len(runs) > 1:
        first, last = runs[0], runs[-1]
        cost = 1000 * (last.processor - first.processor) / (last.files - first.files)
        grown = {name: 1e6 * (last.memory[name] - first.memory[name]) / (last.files - first.files) for name in last.memory}
        print(f"each further file: {cost:.2f} ms of a processor", end="")
        print(f"; memory of the run {grown['run']:,.0f} bytes, of a worker {grown['worker']:,.0f} bytes")
    if options.plot:
        draw(runs, options.plot)


if __name__ == "__main__":
    main()

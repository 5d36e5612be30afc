"""How fast the renderer is and how much memory it needs.

    python benchmarks/rendering.py                    a piece of nine tracks and 60 s made here, and ten minutes of it for the memory
    python benchmarks/rendering.py one.mid two.mid    these files as well

Each row is the median of three runs after one that is not counted. "× real time" is seconds of sound per second on the clock;
"per CPU second" divides by the processor time of all threads, which other programs on the machine disturb less.
"""

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
from symusic import ControlChange, Note, Score, Track

from symbolic.rendering import render_file

TICKS = 480
RUNS = 3


def nine_tracks(seconds: float) -> Score:
    """Drums, bass, piano with pedal, two guitars, strings, choir, trumpet and flute at 120 beats a minute."""
    score = Score(TICKS)
    for program in (0, 33, 0, 25, 29, 48, 52, 56, 73):
        score.tracks.append(Track("", program, not score.tracks))
    drums, bass, piano, steel, electric, strings, choir, trumpet, flute = score.tracks
    random = np.random.default_rng(0)
    for bar in range(int(seconds / 2)):
        start, root = bar * 4 * TICKS, 48 + (0, 9, 5, 7)[bar % 4]
        chord = [root, root + (3 if bar % 4 == 1 else 4), root + 7]
        for half in range(8):
            tick = start + half * TICKS // 2
            drums.notes.append(Note(tick, 60, 46 if half == 7 else 42, 70 + 10 * (half % 2)))
            bass.notes.append(Note(tick, TICKS // 2 - 20, root - 12, 90))
            steel.notes.append(Note(tick, TICKS, chord[half % 3] + 12, 70))
            piano.notes.extend([Note(tick, TICKS // 2, chord[(half + step) % 3] + 12 * (step + 1), 60 + 5 * (half % 3)) for step in (0, 1)])
            flute.notes.append(Note(tick, TICKS // 2 - 10, chord[random.integers(3)] + 36, 75))
        drums.notes.extend([Note(start + beat * TICKS, 60, (36, 38)[beat % 2], 105) for beat in range(4)])
        electric.notes.extend([Note(start + 2 * side * TICKS, 2 * TICKS - 20, pitch, 80) for side in (0, 1) for pitch in chord[::2]])
        for track, shift, velocity in ((strings, 12, 65), (choir, 12, 60)):
            track.notes.extend([Note(start, 4 * TICKS, pitch + shift, velocity) for pitch in chord])
        trumpet.notes.extend([Note(start + beat * 2 * TICKS, 2 * TICKS - 30, chord[beat] + 24, 85) for beat in range(2)])
        piano.controls.extend([ControlChange(start, 64, 127), ControlChange(start + 4 * TICKS - 40, 64, 0)])
    return score


def measure(name: str, score: Score, folder: Path) -> None:
    """Print one row for a score."""
    path = folder / "out.wav"
    report, clock, processor = None, [], []
    for run in range(RUNS + 1):
        begun, used = time.perf_counter(), time.process_time()
        report = render_file(score, path, force=True)
        if run:
            clock.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
    assert report is not None
    row = f"{report.seconds:8.1f}{report.tracks:8d}{report.notes:8d}{report.seconds / statistics.median(clock):13.1f}"
    print(f"{name[:34]:36}{row}{report.seconds / statistics.median(processor):16.1f}{report.lufs:9.1f}{report.true_peak:8.2f}", flush=True)


def peak_memory(seconds: float, folder: Path) -> float:
    """Peak resident memory in MB of a fresh process that renders the nine tracks, imports and compiling included."""
    command = [sys.executable, __file__, "--memory", str(seconds), str(folder / "long.wav")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--memory"]:
        render_file(nine_tracks(float(sys.argv[2])), sys.argv[3], force=True)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"numba {numba.__version__}, numpy {np.__version__}")
    heads = f"{'seconds':>8}{'tracks':>8}{'notes':>8}{'× real time':>13}{'per CPU second':>16}{'LUFS':>9}{'dBTP':>8}"
    print(f"{'48 kHz, stereo, 24 bit':36}{heads}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("nine tracks", nine_tracks(60), folder)
        for path in sys.argv[1:]:
            measure(Path(path).name, Score(path), folder)
        print(f"peak memory, ten minutes of nine tracks: {peak_memory(600, folder):.0f} MB; one minute: {peak_memory(60, folder):.0f} MB")


if __name__ == "__main__":
    main()

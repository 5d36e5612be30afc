"""How fast the renderer is, how much memory it needs, and how near its notes are to what was asked for.

    python benchmarks/rendering.py                    a piece of nine tracks and 60 s made here, and ten minutes of it for the memory
    python benchmarks/rendering.py one.mid two.mid    these files as well
    python benchmarks/rendering.py --notes            onsets, tuning and loudness of each bundled voice, note by note
    python benchmarks/rendering.py --recordings FOLDER    nearness to held-out recordings: FOLDER/VOICE is what `symbolic voice train`
                                                      keeps in VOICE/training/recordings

Each row of the first table is the median of three runs after one that is not counted. "× real time" is seconds of sound per second on the
clock; "per CPU second" divides by the processor time of all threads, which other programs on the machine disturb less.
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
from rendering_notes import compare_with_recordings, tell_notes
from symusic import ControlChange, Note, Score, Track

from symbolic.rendering import render_file
from symbolic.rendering.learned_part import learned_parts
from symbolic.rendering.performance import perform
from symbolic.rendering.phrase_player import PhrasePlayer, batches, play_together

TICKS = 480
PLAYED = ("learned", "synthesized")  # WaveNets are measured by what a note of them costs: benchmarks/wavenet.py
RUNS = 3
FLUTE = 8  # the track of the nine


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


def measure(name: str, score: Score, voices: str, folder: Path) -> None:
    """Print one row for a score."""
    path = folder / "out.wav"
    report, clock, processor = None, [], []
    for run in range(RUNS + 1):
        begun, used = time.perf_counter(), time.process_time()
        report = render_file(score, path, voices=voices, force=True)
        if run:
            clock.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
    assert report is not None
    row = f"{report.seconds:8.1f}{report.tracks:8d}{report.learned:9d}{report.notes:8d}{report.seconds / statistics.median(clock):13.1f}"
    print(f"{name[:28]:30}{voices:13}{row}{report.seconds / statistics.median(processor):16.1f}{report.lufs:8.1f}", flush=True)


def voice_alone(score: Score) -> float:
    """Seconds of sound for a CPU second of the learned voices of a score's first track, without room, mix and levels."""
    part = perform(score)[0]
    best = 0.0
    for _ in range(RUNS + 1):
        used, seconds = time.process_time(), 0.0
        players = [PhrasePlayer(phrase, part, voice) for voice, phrase in learned_parts([part])[part.index].phrases]
        while playing := [player for player in players if not player.done]:
            for group in batches(playing):
                seconds += sum(len(sound) for _, sound in play_together(group)) / 48000
        best = max(best, seconds / (time.process_time() - used))
    return best


def only(score: Score, track: int) -> Score:
    """One track of a score."""
    alone = Score(score.ticks_per_quarter)
    alone.tracks.append(score.tracks[track])
    return alone


def peak_memory(seconds: float, voices: str, folder: Path) -> float:
    """Peak resident memory in MB of a fresh process that renders the nine tracks, imports and compiling included."""
    command = [sys.executable, __file__, "--memory", str(seconds), voices, str(folder / "long.wav")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--memory"]:
        render_file(nine_tracks(float(sys.argv[2])), sys.argv[4], voices=sys.argv[3], force=True)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"numba {numba.__version__}, numpy {np.__version__}")
    if sys.argv[1:2] == ["--notes"]:
        tell_notes()
        return
    if sys.argv[1:2] == ["--recordings"]:
        compare_with_recordings(Path(sys.argv[2]))
        return
    heads = f"{'seconds':>8}{'tracks':>8}{'learned':>9}{'notes':>8}{'× real time':>13}{'per CPU second':>16}{'LUFS':>8}"
    print(f"{'48 kHz, stereo, 24 bit':43}{heads}")
    nine = nine_tracks(60)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for voices in PLAYED:
            measure("nine tracks", nine, voices, folder)
        for voices in PLAYED:
            measure("one voice: the flute", only(nine, FLUTE), voices, folder)
        print(f"the flute alone, without room, mix and levels: {voice_alone(only(nine, FLUTE)):.0f} seconds of sound per CPU second")
        for path in sys.argv[1:]:
            for voices in PLAYED:
                measure(Path(path).name, Score(path), voices, folder)
        for voices in PLAYED:
            ten, one = (peak_memory(seconds, voices, folder) for seconds in (600, 60))
            print(f"peak memory, nine tracks {voices}: ten minutes {ten:.0f} MB, one minute {one:.0f} MB")


if __name__ == "__main__":
    main()

"""The renderer beside FluidSynth with a SoundFont: tuning, onsets, velocity, likeness to real notes, speed, memory.

    apt-get install fluidsynth musescore-general-soundfont-small
    python benchmarks/fluidsynth.py /usr/share/sounds/sf3/default-GM.sf3 [--recordings PHILHARMONIA] [--notes 8]

Tuning, onsets and loudness: each program of `PROGRAMS` plays a line of 16 notes of 0.6 s over its compass with rests of 0.4 s, and one
pitch at eight velocities. Pitch is the median of the tracked one from 0.15 to 0.5 s into a note. The onset is where the sound first
comes within 20 dB of the note's loudest tenth of a second (RMS of 2 ms), less where the MIDI file has it: a slow attack counts as late.
Loudness is RMS under the A curve between 0.1 and 0.5 s; told are the range from velocity 16 to 127 and how many of the seven steps rise.

Likeness, with --recordings (a folder of folders of single notes named by pitch and dynamic, one for each voice): the notes that
voices are not trained on, each played by its program at the velocity of its dynamic, as long as the recording, no vibrato asked for.
Both are laid on each other at the onset, scaled to the recording's RMS, and compared by Magenta's spectral loss at 16 kHz, in the
first second of the note; lower is nearer.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from rendering import nine_tracks
from symusic import Note, Score, Tempo, Track

from symbolic.corpus.recordings.store import examine
from symbolic.dsp.a_weighting import a_weighting
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.rendering import render_file

RATE, TICKS = 48000, 480
STEP, LENGTH = 1.0, 0.6  # seconds from note to note, and of a note
VELOCITIES = np.linspace(16, 127, 8).astype(int).tolist()
DYNAMICS = {"ppp": 20, "pp": 35, "p": 50, "mp": 64, "mf": 78, "f": 95, "ff": 112, "fff": 124}
PROGRAMS = {
    "violin": (40, 55, 96), "viola": (41, 48, 86), "cello": (42, 36, 76), "double-bass": (43, 28, 55), "flute": (73, 60, 93),
    "oboe": (68, 58, 86), "clarinet": (71, 50, 86), "bassoon": (70, 34, 70), "trumpet": (56, 55, 82), "french-horn": (60, 40, 74),
    "trombone": (57, 40, 70), "piano": (0, 33, 93), "church organ": (19, 36, 84), "nylon guitar": (24, 40, 79), "finger bass": (33, 28, 55),
}  # fmt: skip
"""General MIDI program, lowest and highest note of the line."""

Renderer = Callable[[Score, Path], None]


def renderers(bank: str) -> dict[str, Renderer]:
    """Ways to turn a score into a WAV file."""

    def by_fluidsynth(score: Score, path: Path) -> None:
        middle = path.with_suffix(".mid")
        score.dump_midi(middle)
        command = ["fluidsynth", "-niq", "-r", str(RATE), "-g", "0.5", "-F", str(path), bank, str(middle)]
        subprocess.run(command, check=True, capture_output=True)

    def ours(voices: str) -> Renderer:
        def by_us(score: Score, path: Path) -> None:
            render_file(score, path, voices=voices, force=True)

        return by_us

    return {"learned": ours("learned"), "synthesized": ours("synthesized"), "FluidSynth": by_fluidsynth}


def line(program: int, notes: list[tuple[float, float, int, int]]) -> Score:
    """A score of (onset, length in seconds, pitch, velocity)."""
    score = Score(TICKS)
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", program, False, [Note(round(t * TICKS), round(d * TICKS), p, v) for t, d, p, v in notes]))
    return score


def sound_of(renderer: Renderer, score: Score, folder: Path) -> np.ndarray:
    """Mono sound (S,) of a score."""
    renderer(score, folder / "made.wav")
    sound, rate = soundfile.read(folder / "made.wav", dtype="float32", always_2d=True)
    assert rate == RATE
    return np.asarray(sound.mean(axis=1))


def onset_of(sound: np.ndarray) -> int:
    """The first sample, in steps of 2 ms, within 20 dB of the loudest tenth of a second."""
    size = RATE // 500
    power = (sound[: len(sound) // size * size].reshape(-1, size) ** 2).mean(axis=1)
    loudest = np.convolve(power, np.ones(50) / 50, "valid").max()
    return int(np.argmax(power > loudest / 100)) * size


def loudness_of(sound: np.ndarray) -> float:
    """Decibels under the A curve."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    gain = 10 ** (a_weighting(np.fft.rfftfreq(len(sound), 1 / RATE)) / 10)
    return float(10 * np.log10((spectrum * gain).sum() + 1e-20))


def played(renderer: Renderer, program: int, lowest: int, highest: int, folder: Path) -> dict[str, float]:
    """What is measured of a program alone."""
    pitches = np.linspace(lowest, highest, 16).round().astype(int).tolist()
    middle = pitches[8]
    notes = [(1 + n * STEP, LENGTH, pitch, 80) for n, pitch in enumerate(pitches)]
    notes += [(1 + (16 + n) * STEP, LENGTH, middle, velocity) for n, velocity in enumerate(VELOCITIES)]
    sound = sound_of(renderer, line(program, notes), folder)
    cents, onsets, levels = [], [], []
    for onset, _, pitch, _ in notes:
        start = round(onset * RATE)
        part = sound[start : start + round(LENGTH * RATE)]
        if (onset - 1) / STEP < 16:
            tracked = track_pitch(part, RATE, RATE // 200)
            frames = slice(30, 100)
            hertz = tracked.pitch[frames][tracked.periodicity[frames] > 0.5]
            cents.append(1200 * np.log2(np.median(hertz) / (440 * 2 ** ((pitch - 69) / 12))) if len(hertz) else np.nan)
            onsets.append((onset_of(sound[start - RATE // 50 : start + round(LENGTH * RATE)]) - RATE // 50) / RATE * 1000)
        else:
            levels.append(loudness_of(part[RATE // 10 : RATE // 2]))
    found = np.abs(np.array(cents))
    return {
        "cents": float(np.nanmedian(found)), "worst cents": float(np.nanmax(found)), "onset ms": statistics.median(onsets),
        "latest ms": max(onsets), "range dB": levels[-1] - levels[0], "rising": float((np.diff(levels) > 0).sum()),
    }  # fmt: skip


def likeness(every: dict[str, Renderer], program: int, recordings: Path, folder: Path, count: int) -> dict[str, float]:
    """Mean spectral loss of each renderer beside notes held out of training."""
    store = examine(recordings, folder / f"{recordings.name}-notes")
    held_out = [note for note in store.chosen(held_out=True) if note.note is not None and note.dynamic in DYNAMICS]
    chosen = [held_out[place] for place in np.linspace(0, len(held_out) - 1, min(count, len(held_out))).round().astype(int)]
    losses: dict[str, list[float]] = {name: [] for name in every}
    for note in chosen:
        true = store.array("sound", note)
        begin = onset_of(true)
        length = min(len(true) - begin, RATE)
        target = true[begin : begin + length]
        score = line(program, [(0.5, (len(true) - begin) / RATE, int(note.note or 0), DYNAMICS[note.dynamic])])
        for name, renderer in every.items():
            made = sound_of(renderer, score, folder)[RATE // 2 - RATE // 50 :]
            made = made[onset_of(made) :][:length]
            made = np.pad(made, (0, length - len(made)))
            made *= np.sqrt((target**2).mean() / max((made**2).mean(), 1e-20))
            low = [torch.from_numpy(soxr.resample(sound, RATE, 16000).astype(np.float32))[None] for sound in (made, target)]
            losses[name].append(float(spectral_loss(low[0], low[1])))
    return {name: statistics.fmean(values) for name, values in losses.items()}


def cost(name: str, bank: str) -> tuple[float, float]:
    """Seconds of nine tracks for each second of processor time, the better of two, and peak memory in MB: each in a process of its own."""
    command = [sys.executable, __file__, bank, "--only", name]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(2)]
    return max(float(speed) for speed, _ in runs), min(float(memory) for _, memory in runs)


def one(name: str, bank: str) -> None:
    """Print seconds of sound for each second of processor time, and the peak memory, of the second of two renderings."""
    renderer, score = renderers(bank)[name], nine_tracks(60)
    whose = resource.RUSAGE_CHILDREN if name == "FluidSynth" else resource.RUSAGE_SELF
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            before = resource.getrusage(whose)
            renderer(score, Path(folder) / "made.wav")
            used = resource.getrusage(whose)
        seconds = soundfile.info(Path(folder) / "made.wav").duration
    spent = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(seconds / spent, used.ru_maxrss / 1024)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank")
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--notes", type=int, default=8, help="held-out notes of each instrument")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        one(options.only, options.bank)
        return
    every = renderers(options.bank)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head = ("cents", "worst cents", "onset ms", "latest ms", "range dB", "rising")
        print(f"{'program':<14}{'renderer':<13}" + "".join(f"{title:>13}" for title in head))
        for program in options.programs:
            number, lowest, highest = PROGRAMS[program]
            for title, renderer in every.items():
                row = played(renderer, number, lowest, highest, folder)
                print(f"{program:<14}{title:<13}" + "".join(f"{row[column]:>13.1f}" for column in head), flush=True)
        if options.recordings:
            print(f"\n{'spectral loss':<14}" + "".join(f"{title:>13}" for title in every))
            for program in options.programs:
                number, found = PROGRAMS[program][0], options.recordings / program.replace("-", "_")
                if found.is_dir():
                    row = likeness(every, number, found, folder, options.notes)
                    print(f"{program:<14}" + "".join(f"{row[title]:>13.2f}" for title in every), flush=True)
    print(f"\n{'nine tracks, 60 s':<20}{'× real time per CPU second':>28}{'peak MB':>10}")
    for title in every:
        speed, memory = cost(title, options.bank)
        print(f"{title:<20}{speed:>28.1f}{memory:>10.0f}", flush=True)


if __name__ == "__main__":
    main()

"""What a transfer costs and how true it is: processor time whole and live, latency, pitch and onset errors of a melody made in code.

    OMP_NUM_THREADS=1 python benchmarks/transfer.py [VOICE]

Speeds are seconds of sound for each second of processor time, all threads counted.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from symbolic.dsp.pitch_tracking import PERIODIC, track_pitch
from symbolic.dsp.resampling import resample
from symbolic.rendering.transfer import TransferStream, transfer

RATE, SECONDS = 48000, 30
LIVE_SECONDS = 12


def melody() -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Notes with vibrato and rests: sound (S,), hertz (S,) or 0, and onsets in seconds."""
    random = np.random.default_rng(0)
    sound, hertz, onsets = [np.zeros(RATE // 5)], [np.zeros(RATE // 5)], []
    while sum(map(len, sound)) < SECONDS * RATE:
        onsets.append(sum(map(len, sound)) / RATE)
        time_in_note = np.arange(round(random.uniform(0.2, 0.9) * RATE)) / RATE
        end = time_in_note[-1]
        pitch = 440 * 2 ** ((random.integers(55, 85) - 69 + 0.2 * np.sin(2 * np.pi * 5.5 * time_in_note)) / 12)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        edges = np.minimum(1.0, np.minimum(time_in_note / 0.015, (end - time_in_note) / 0.05))
        level = 10 ** (-random.uniform(10, 30) / 20)
        sound.append(level * edges * sum(np.sin(k * phase) / k for k in range(1, 9)))
        hertz.append(pitch)
        rest = np.zeros(round(random.uniform(0.12, 0.3) * RATE))
        sound.append(rest)
        hertz.append(rest)
    return np.concatenate(sound)[: SECONDS * RATE], np.concatenate(hertz)[: SECONDS * RATE], onsets


def errors(sound: np.ndarray, hertz: np.ndarray, onsets: list[float]) -> str:
    """Pitch and onset errors of what was played, as text."""
    track = track_pitch(resample(sound.astype(np.float64), RATE, 16000), 16000, 64, lowest=120.0)
    places = np.minimum(((np.arange(len(track.pitch)) + 0.5) * 192).astype(int), len(hertz) - 1)
    there = (hertz[places] > 0) & (track.periodicity > PERIODIC)
    cents = np.abs(1200 * np.log2(track.pitch[there] / hertz[places][there]))
    late = []
    for onset in onsets[:-1]:
        begin = round((onset - 0.05) * RATE)
        piece = np.abs(sound[begin : begin + round(0.2 * RATE)])
        late.append(1000 * (np.flatnonzero(piece > 0.1 * piece.max())[0] / RATE - 0.05))
    off = f"{np.median(cents):.1f} cents median, {np.mean(cents > 50):.1%} off by more than half a semitone"
    return f"{off}; onsets {np.median(late):+.0f} ms median, {np.percentile(np.abs(late), 95):.0f} ms at most for 19 in 20"


def measured(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What a run gives, and its processor time."""
    clock = time.process_time()
    result = work()
    return result, time.process_time() - clock


def main() -> None:
    """Print the figures."""
    voice = sys.argv[1] if len(sys.argv) > 1 else "violin"
    sound, hertz, onsets = melody()
    transfer(sound[:RATE], RATE, voice)  # compiles
    whole, seconds = measured(lambda: transfer(sound, RATE, voice))
    print(f"whole: {SECONDS / seconds:.0f} × real time; {errors(whole, hertz, onsets)}")

    def live(stream: TransferStream, size: int) -> np.ndarray:
        blocks = [stream.process(sound[first : first + size]) for first in range(0, LIVE_SECONDS * RATE, size)]
        return np.concatenate([*blocks, stream.flush()])[round(stream.latency * RATE) :]

    for size in (256, 1024, 4096):
        stream = TransferStream(RATE, voice)
        played, seconds = measured(lambda stream=stream, size=size: live(stream, size))  # type: ignore[misc]
        told = errors(played, hertz[: len(played)], [onset for onset in onsets if onset < LIVE_SECONDS - 0.2])
        print(f"blocks of {size}: {LIVE_SECONDS / seconds:.1f} × real time, latency {1000 * (stream.latency + size / RATE):.0f} ms; {told}")


if __name__ == "__main__":
    main()

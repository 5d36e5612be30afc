"""What a learned voice costs: recordings examined, a training step, playing. Seconds of processor time of this thread.

    OMP_NUM_THREADS=1 python benchmarks/voices.py [VOICE]

Without a VOICE a voice of the default shape that has learned nothing is played; the shape is what counts.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from symbolic.corpus.recordings.store import examine
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.voice import load_decoder, play, synthesise
from symbolic.training.voices.loss import training_loss
from symbolic.training.voices.phrase_lanes import PhraseLanes
from symbolic.training.voices.settings import VoiceSettings

RATE = 48000
NOTES, NOTE_SECONDS = 30, 2.0
PLAYED_FRAMES = 5000


def seconds_of(work: Callable[[], object], times: int = 3) -> float:
    """The least processor time of several runs, after one to warm up."""
    work()
    taken = []
    for _ in range(times):
        clock = time.process_time()
        work()
        taken.append(time.process_time() - clock)
    return min(taken)


def recorded(folder: Path, named: bool) -> None:
    """Notes of a second or two with a vibrato, as files."""
    time_ = np.arange(round(NOTE_SECONDS * RATE)) / RATE
    for number in range(NOTES):
        phase = 2 * np.pi * 196 * 2 ** (number / 12) * time_ + 0.2 * np.sin(2 * np.pi * 5.5 * time_)
        sound = sum(np.sin(k * phase) / k for k in range(1, 11)) * np.minimum(1, np.minimum(time_, time_[-1] - time_) / 0.05)
        name = f"{('C', 'Cs', 'D', 'Ds', 'E', 'F', 'Fs', 'G', 'Gs', 'A', 'As', 'B')[(7 + number) % 12]}{3 + (7 + number) // 12}"
        soundfile.write(folder / (f"{name}.flac" if named else f"take {number} of mine.flac"), 0.1 * np.asarray(sound), RATE)


def main() -> None:
    """Print the table."""
    settings = VoiceSettings()
    decoder = load_decoder(sys.argv[1])[0] if len(sys.argv) > 1 else VoiceDecoder(VoiceConfig()).eval()
    with tempfile.TemporaryDirectory() as place:
        for named in (False, True):
            folder, store = Path(place) / f"takes-{named}", Path(place) / f"store-{named}"
            folder.mkdir()
            recorded(folder, named)
            clock = time.process_time()
            recordings = examine(folder, store)
            rate = NOTES * NOTE_SECONDS / (time.process_time() - clock)
            print(f"recordings examined, {'named' if named else 'pitch tracked'}: {rate:.0f} × real time")
        lanes = PhraseLanes(recordings, recordings.notes, settings.lanes, settings.segment_frames, 0.3, 75, 0)
        segment = next(lanes)
        optimizer = torch.optim.Adam(decoder.parameters(), fused=True)

        def step() -> None:
            controls, _ = decoder(segment.pitch, segment.loudness)
            made = synthesise(segment.pitch, controls, decoder.config)
            training_loss(made, segment.sound, segment.low, RATE, 0, settings.high_weight).backward()
            optimizer.step()
            optimizer.zero_grad()

        taken = seconds_of(step)
        heard = settings.lanes * settings.segment_frames / 250
        print(f"training step: {1000 * taken:.0f} ms for {heard:.0f} s of sound; {3600 / taken:,.0f} steps an hour")
    frames = np.arange(PLAYED_FRAMES)
    pitch = (440 * 2 ** (0.3 / 12 * np.sin(frames / 8))).astype(np.float32)
    loudness = (-10 + 5 * np.sin(frames / 60)).astype(np.float32)
    print(f"playing: {PLAYED_FRAMES / 250 / seconds_of(lambda: play(decoder, pitch, loudness)):.0f} × real time")


if __name__ == "__main__":
    main()

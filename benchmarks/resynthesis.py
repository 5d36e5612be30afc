"""Held-out notes played again by a WaveNet or a SampleRNN: how near do they come to the recordings?

    python benchmarks/resynthesis.py RECORDINGS --model four

RECORDINGS as for `benchmarks/blending.py`. Each of 40 held-out notes is played from its own temporal codes, and from pitch, velocity and
length alone as a song does, one draw each. Beside them stand what hurts: the same note after µ-law and nothing else, and another held-out
note of the nearest pitch. Level: median of |decibels| between the loudness of the two; distance: `symbolic.dsp.spectral_distance`, units of
10 dB, mean; between: by how many decibels the spectrum lies too high (+) where the recording is 45 dB or more below its strongest partial.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.dsp.spectral_distance import log_spectral_distance
from symbolic.models.wavenet.autoencoder import Autoencoder
from symbolic.models.wavenet.bundled import wavenet_folder
from symbolic.models.wavenet.sampling import Note
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.rendering.in_tune import heard_pitch, play_in_tune, sound_of
from symbolic.training.wavenet_notes import RecordedNote, notes_of

SHORTEST, LONGEST, NOTES = 0.4, 3.0, 40
CENTS, BELOW = 30.0, 45.0


def chosen(notes: list[RecordedNote]) -> list[RecordedNote]:
    """Every so manieth held-out note of a fitting length."""
    fitting = [note for note in notes if note.held_out and SHORTEST <= len(note.sound) / 16000 <= LONGEST]
    return fitting[:: max(1, len(fitting) // NOTES)][:NOTES]


def nearest(note: RecordedNote, notes: list[RecordedNote]) -> np.ndarray:
    """Another note of nearly this pitch, cut or filled up to this length."""
    other = min((one for one in notes if one is not note), key=lambda one: abs(one.pitch - note.pitch))
    return np.pad(other.sound, (0, max(0, len(note.sound) - len(other.sound))))[: len(note.sound)]


def played(model: Autoencoder, notes: list[RecordedNote], temperature: float, *, written: bool) -> list[np.ndarray]:
    """Each note again, from its own codes or from those that are `written` for it."""
    wanted = []
    for place, note in enumerate(notes):
        told = torch.tensor([note.pitch]), torch.tensor([float(note.velocity)]), torch.tensor([len(note.sound)])
        with torch.no_grad():
            codes = model.writer(*told)[0] if written else model.encode(torch.from_numpy(note.sound))
        wanted.append(Note(codes, note.pitch, float(note.velocity), len(note.sound), place))
    return [sound_of(one.codes, model) for one in play_in_tune(model, wanted, temperature=temperature, tries=1)]


def row(notes: list[RecordedNote], sounds: list[np.ndarray]) -> str:
    """Cells of the table."""
    cents, level, distance, between = [], [], [], []
    for note, sound in zip(notes, sounds, strict=True):
        heard = heard_pitch(sound, 16000)
        cents.append(np.inf if heard is None else 100 * abs(heard[0] - note.pitch))
        level.append(20 * np.log10(max(1e-6, sound.std()) / note.sound.std()))
        distance.append(log_spectral_distance(note.sound, sound, 16000))
        true, made = (spectrum(one) for one in (note.sound, sound))
        between.append(np.mean((made - true)[true < true.max(0) - BELOW]))
    near = np.mean(np.array(cents) <= CENTS)
    return f"{near:.0%} | {np.median(np.abs(level)):.1f} | {np.mean(level):+.1f} | {np.mean(distance):.2f} | {np.mean(between):+.0f}"


def spectrum(sound: np.ndarray) -> np.ndarray:
    """Decibels (bins, windows)."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(sound, (0, 1024)), 1024)[::256] * np.hanning(1024)
    return 20 * np.log10(np.abs(np.fft.rfft(windows)).T + 1e-4)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--model", default="four")
    parser.add_argument("--kind", default="wavenet", choices=("wavenet", "sample-rnn"))
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.9, 0.7])
    options = parser.parse_args()
    model = load_wavenet(wavenet_folder(options.model, options.kind))
    there = (options.recordings / "notes.json").is_file()
    recordings = Recordings(options.recordings) if there else examine(options.recordings, Path(tempfile.mkdtemp()) / "store")
    notes = notes_of(recordings)
    taken = chosen(notes)
    print(f"{len(taken)} held-out notes\n")
    print("| way | pitch within 30 cents | level, median off, dB | mean, dB | distance | between, dB |\n|---|--:|--:|--:|--:|--:|")
    print(f"| µ-law and nothing else | {row(taken, [mu_law_decode(mu_law_encode(note.sound)) for note in taken])} |")
    print(
        f"| another note of the nearest pitch | {row(taken, [nearest(note, [one for one in notes if one.held_out]) for note in taken])} |"
    )
    for temperature in options.temperatures:
        for written, name in ((False, "own codes"), (True, "pitch, velocity and length alone")):
            clock = time.perf_counter()
            sounds = played(model, taken, temperature, written=written)
            seconds = time.perf_counter() - clock
            print(f"| {name}, temperature {temperature:g} ({seconds:.0f} s) | {row(taken, sounds)} |", flush=True)


if __name__ == "__main__":
    main()

"""SampleRNN beside WaveNet: how fast each plays, and bits per sample of the same held-out notes.

    python benchmarks/sample_rnn.py [--sample-rnn VOICE] [--wavenet VOICE] [--recordings FOLDER [--also FOLDER]] [--rounds 5]

Without voices the networks have random weights and the default sizes, which changes no speed. A voice is a folder, or a bundled one's
name. FOLDER holds recordings, or is the `training/recordings` of a training run, whose held-out notes (every tenth) are scored whole, 4 s
of each at most, one by one. Where a network began with the weights of one that learned from another folder, --also leaves only notes
that were held out there, too. Speeds are measured as in wavenet.py: medians of the rounds by processor time, the clock's beside it.
"""

import argparse
import os
import platform
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from wavenet import peak, playing

from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.models.sample_rnn.autoencoder import SampleRnn
from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.models.wavenet.autoencoder import Autoencoder, Wavenet
from symbolic.models.wavenet.bundled import wavenet_folder
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.training.autoencoder import score_notes
from symbolic.training.wavenet_notes import RecordedNote, notes_of

DEFAULTS = {"sample-rnn": lambda: SampleRnn(SampleRnnConfig()), "wavenet": lambda: Wavenet(WavenetConfig())}


def held_out(folder: Path) -> list[RecordedNote]:
    """The held-out notes of examined recordings, or of a folder that is examined now."""
    with tempfile.TemporaryDirectory() as store:
        examined = (folder / "notes.json").is_file()
        return [note for note in notes_of(Recordings(folder) if examined else examine(folder, Path(store) / "store")) if note.held_out]


def rounded(model: Autoencoder) -> Autoencoder:
    """The same, its weights rounded to bfloat16."""
    for parameter in model.eval().requires_grad_(False).parameters():
        parameter.copy_(parameter.bfloat16().float())
    return model


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample-rnn", metavar="VOICE")
    parser.add_argument("--wavenet", metavar="VOICE")
    parser.add_argument("--recordings", metavar="FOLDER", type=Path)
    parser.add_argument("--also", metavar="FOLDER", type=Path)
    parser.add_argument("--no-speeds", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen = {"sample-rnn": given.sample_rnn, "wavenet": given.wavenet}
    models: dict[str, Autoencoder] = {
        kind: load_wavenet(wavenet_folder(voice, kind)) if voice else rounded(DEFAULTS[kind]()) for kind, voice in chosen.items()
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    best = peak(given.rounds)
    print(f"peak of one core {best / 1e9:.1f} G products a second\n")
    print("| network | weights, decoder / all | products | way | notes | threads | samples/s | × real time | of peak | by the clock |")
    print("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|")
    for name, model in () if given.no_speeds else models.items():
        sizes = [sum(part.numel() for part in module.parameters()) / 1e6 for module in (model.decoder, model)]
        products = model.config.multiplications
        for way, notes, threads in (("PyTorch", 1, 1), ("PyTorch", 32, 1), ("native", 1, 1), ("native", 32, 1), ("native", 32, 2)):
            length = 256 if way == "PyTorch" else max(512, 8192 // notes)
            speed = playing(model.player(way == "native"), notes, length, threads, given.rounds)
            cells = [
                f"{sizes[0]:.2f} / {sizes[1]:.2f} M", f"{products:,}", way, notes, threads, f"{speed.processor:,.0f}",
                f"{speed.processor / model.config.sample_rate:.2f}", f"{speed.processor * products / best / threads:.0%}",
                f"{speed.clock:,.0f}",
            ]  # fmt: skip
            print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
    if given.recordings:
        notes = held_out(given.recordings)
        if given.also:
            there = {note.name for note in held_out(given.also)}
            notes = [note for note in notes if note.name in there]
        print(f"\n{given.recordings}: {len(notes)} held-out notes\n\n| network | bits per sample | error of written codes |\n|---|--:|--:|")
        for name, model in models.items():
            figures = score_notes(model, notes)
            print(f"| {name} | {figures['bits_per_sample']:.3f} | {figures['writer_error']:.3f} |", flush=True)


if __name__ == "__main__":
    main()

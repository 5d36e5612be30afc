"""How fast the sources of a voice are and how exact: seconds of sound per second of processor time, on one thread.

    python benchmarks/oscillators.py [--seconds 4] [--rounds 3]

The signal is one voice that wanders over 1.5 octaves with vibrato, amplitudes that move every 20 ms. Errors are against the same
definition in float64, sample by sample on the time axis. "port" is the way of magenta/ddsp and its ports: controls interpolated to
sample rate for each partial, a cumulative sum in float32, a sine. Each time is the shortest of the rounds after one that is not counted.
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from symbolic.dsp.control_curves import at_samples, cycles_at_samples, with_neighbours
from symbolic.dsp.harmonics import at_samples as tensor_at_samples
from symbolic.dsp.harmonics import harmonic_bank
from symbolic.dsp.harmonics_native import harmonic_sound
from symbolic.dsp.noise_bands import NoiseVoice, noise_bands
from symbolic.dsp.partitioned_convolution import PartitionedConvolution
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.dsp.wavetable import WavetableVoice

FRAME_RATE = 250
SETTINGS = ((16000, 60, 65), (48000, 100, 98))  # sample rate, partials, bands of noise


def controls(seconds: float, partials: int) -> tuple[np.ndarray, np.ndarray]:
    """Pitch (F,) in hertz, never so high that a partial nears half of 16 kHz, and amplitudes (F, K) falling as 1 / k."""
    frames = round(seconds * FRAME_RATE)
    time = np.arange(frames) / FRAME_RATE
    generator = np.random.default_rng(0)
    pitch = 70 * 2 ** (0.75 - 0.75 * np.cos(2 * np.pi * 0.3 * time)) ** 0.5 * (1 + 0.005 * np.sin(2 * np.pi * 5.5 * time))
    pitch = pitch * (7000 / 60) / pitch.max()
    amplitudes = generator.random((frames // 5 + 1, partials)).repeat(5, 0)[:frames] / np.arange(1, partials + 1) / 4
    return pitch, amplitudes.astype(np.float32)


def exact(pitch: np.ndarray, amplitudes: np.ndarray, hop: int, rate: int) -> np.ndarray:
    """The bank by its definition, one float64 sine for each sample and partial."""
    sound = np.zeros(len(pitch) * hop)
    for k in range(1, amplitudes.shape[1] + 1):
        if with_neighbours(k * pitch).max() >= 0.47 * rate:
            raise ValueError(f"partial {k} reaches the fade: choose a lower pitch")
        sound += at_samples(amplitudes[:, k - 1], hop) * np.sin(2 * np.pi * cycles_at_samples(k * pitch, hop, rate))
    return sound


def port(pitch: torch.Tensor, amplitudes: torch.Tensor, hop: int, rate: int) -> torch.Tensor:
    """Everything at sample rate in the type of `amplitudes`: (1, F) and (1, F, K) → (1, S)."""
    numbers = torch.arange(1, amplitudes.shape[2] + 1, dtype=amplitudes.dtype)
    frequency = tensor_at_samples(pitch.to(amplitudes.dtype)[..., None], hop) * numbers
    levels = tensor_at_samples(amplitudes, hop) * (frequency < rate / 2)
    return (levels * torch.sin(torch.cumsum(frequency * (2 * math.pi / rate), 1))).sum(2)


def shortest(function: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the fastest round."""
    function()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def error_in_decibels(sound: np.ndarray, reference: np.ndarray) -> str:
    """Error to signal."""
    return f"{10 * math.log10(((sound.astype(np.float64) - reference) ** 2).sum() / (reference**2).sum()):.0f}"


def measured(seconds: float, rounds: int, rate: int, partials: int, bands: int) -> Iterator[tuple[str, float, str]]:
    """Name, processor seconds and error of each source at one setting."""
    hop = rate // FRAME_RATE
    pitch, amplitudes = controls(seconds, partials)
    rows = torch.from_numpy(pitch)[None], torch.from_numpy(amplitudes)[None]
    true = exact(pitch, amplitudes, hop, rate)
    samples = len(true)

    sound = port(*rows, hop, rate)[0].numpy()
    error = error_in_decibels(sound, port(rows[0], rows[1].double(), hop, rate)[0].numpy())
    yield "port: cumulative sums in float32", shortest(lambda: port(*rows, hop, rate), rounds), error
    sound = harmonic_bank(*rows, hop, rate, native=False)[0].numpy()
    yield (
        "harmonics, PyTorch in chunks",
        shortest(lambda: harmonic_bank(*rows, hop, rate, native=False), rounds),
        error_in_decibels(sound, true),
    )
    sound = harmonic_sound(pitch, amplitudes, hop, rate)
    yield "harmonics, native", shortest(lambda: harmonic_sound(pitch, amplitudes, hop, rate), rounds), error_in_decibels(sound, true)
    stretch = np.zeros(len(pitch))
    sound = harmonic_sound(pitch, amplitudes, hop, rate, stretch)
    time_stretched = shortest(lambda: harmonic_sound(pitch, amplitudes, hop, rate, stretch), rounds)
    yield "harmonics with inharmonicity, native", time_stretched, error_in_decibels(sound, true)
    for name, native in (("sound and gradient, PyTorch in chunks", False), ("sound and gradient, native", True)):
        leaf = rows[1].clone().requires_grad_()
        yield name, shortest(lambda n=native, x=leaf: harmonic_bank(rows[0], x, hop, rate, native=n).sum().backward(), rounds), ""

    voice = WavetableVoice(np.random.default_rng(0).standard_normal((4, 512)), hop, rate)
    yield "four wavetables, native", shortest(lambda: voice.process(pitch, amplitudes[:, :4]), rounds), ""
    gains = np.full((len(pitch), bands), 0.01, np.float32)
    noise = NoiseVoice(bands, hop)
    yield "noise in 65 (98) bands, NumPy", shortest(lambda: noise.process(gains), rounds), ""
    leaf_gains = torch.from_numpy(gains)[None].requires_grad_()
    yield "noise on tensors, sound and gradient", shortest(lambda: noise_bands(leaf_gains, hop).sum().backward(), rounds), ""
    room, block = PartitionedConvolution(np.random.default_rng(0).standard_normal(rate), 1024), np.zeros((1, 1024), np.float32)
    yield "a room of one second, blocks of 1024", shortest(lambda: [room.process(block) for _ in range(samples // 1024)], rounds), ""
    made, target = torch.randn(1, samples).requires_grad_(), torch.randn(1, samples)
    yield "spectral loss and gradient", shortest(lambda: spectral_loss(made, target).sum().backward(), rounds), ""


def main() -> None:
    """Print one row for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    print(f"{given.seconds:g} s of sound, shortest of {given.rounds} rounds, processor time of one thread\n")
    print("| source | " + " | ".join(f"{rate // 1000} kHz, {partials} partials | error, dB" for rate, partials, _ in SETTINGS) + " |")
    print("|---|" + "--:|--:|" * len(SETTINGS))
    rows: dict[str, list[str]] = {}
    for setting in SETTINGS:
        for name, seconds, error in measured(given.seconds, given.rounds, *setting):
            rows.setdefault(name, []).extend([f"{given.seconds / seconds:,.0f} ×", error])
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

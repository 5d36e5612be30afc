"""Spectra over time on tensors: the short-time Fourier transform and its inverse, mel bands, and sound from magnitudes alone.

Shapes: sound (…, T); a spectrum is (…, size / 2 + 1, frames) complex, frame k is centred on sample k · hop, and there are
T // hop + 1 frames, the ends seen against silence. The window is a Hann window of `size` samples. Everything is differentiable and runs
on any device, except that Griffin-Lim's own steps keep no gradient.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stft(sound: "torch.Tensor", size: int = 1024, hop: int = 256) -> "torch.Tensor":
    """Complex spectrum (…, size / 2 + 1, T // hop + 1) of sound (…, T). A sine of amplitude a on a bin gives a · size / 4.

    Raises `ValueError` for an odd size or a hop outside 1 … size / 2, with which `istft` would not find back.
    """
    import torch

    _check(size, hop)
    flat = sound.reshape(-1, sound.shape[-1])
    spectrum = torch.stft(flat, size, hop, window=_window(size, sound), center=True, pad_mode="constant", return_complex=True)
    return spectrum.reshape(*sound.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: "torch.Tensor", length: int, hop: int = 256) -> "torch.Tensor":
    """Sound (…, length) of a spectrum; of a spectrum that no sound has, the sound whose spectrum is nearest in least squares."""
    import torch

    size = 2 * (spectrum.shape[-2] - 1)
    _check(size, hop)
    flat = spectrum.reshape(-1, *spectrum.shape[-2:])
    sound = torch.istft(flat, size, hop, window=_window(size, spectrum.real), center=True, length=length)
    return sound.reshape(*spectrum.shape[:-2], length)


def hz_to_mel(frequency: float | np.ndarray) -> np.ndarray:
    """Mel of hertz by O'Shaughnessy's formula (1987); 1000 Hz → 1000."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency, np.float64) / 700.0)


def mel_to_hz(mel: float | np.ndarray) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def mel_filters(bands: int, size: int, sample_rate: float, low: float = 20.0, high: float | None = None) -> np.ndarray:
    """Weights (bands, size / 2 + 1) of triangles that stand equally far apart in mel between `low` and `high` hertz.

    Each triangle has the peak 1 and ends where its neighbours peak; between the first and the last peak the weights of a bin add up
    to 1. A band narrower than a bin takes its share of the nearest ones, so none is empty. `high` is half the rate unless given.
    Raises `ValueError` when 0 ≤ low < high ≤ rate / 2 does not hold.
    """
    high = sample_rate / 2 if high is None else high
    if not 0 <= low < high <= sample_rate / 2 or bands < 1:
        raise ValueError(f"{bands} bands from {low} to {high} Hz at {sample_rate} Hz: 0 ≤ low < high ≤ half the rate is wanted")
    corners = mel_to_hz(np.linspace(hz_to_mel(low), hz_to_mel(high), bands + 2))
    fine = 16  # a bin's weight is the mean of the triangle over the bin's width
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    frequency = (np.arange(size // 2 + 1)[:, None] + offsets) * sample_rate / size
    up = (frequency - corners[:-2, None, None]) / np.diff(corners)[:-1, None, None]
    down = (corners[2:, None, None] - frequency) / np.diff(corners)[1:, None, None]
    return np.clip(np.minimum(up, down), 0.0, None).mean(-1)


def mel_spectrogram(sound: "torch.Tensor", filters: "torch.Tensor", hop: int = 256) -> "torch.Tensor":
    """Magnitudes in mel bands (…, bands, frames) of sound (…, T), with `filters` (bands, size / 2 + 1) as a tensor."""
    return filters @ stft(sound, 2 * (filters.shape[1] - 1), hop).abs()


def magnitudes_of_mel(mel: "torch.Tensor", filters: "torch.Tensor", steps: int = 200) -> "torch.Tensor":
    """Magnitudes (…, bins, frames), none negative, that have these mel bands (…, bands, frames) as nearly as can be.

    Steps of D. Lee and H. Seung ("Algorithms for Non-negative Matrix Factorization", 2001) from an even start: what mel bands do not
    tell is left smooth.
    """
    import torch

    found = filters.T @ mel / (filters.sum(1).mean() + 1e-12)
    tiny = torch.finfo(found.dtype).tiny * 1e6
    target = filters.T @ mel
    gram = filters.T @ filters
    for _ in range(steps):
        found = found * target / (gram @ found + tiny)
    return found


def griffin_lim(
    magnitudes: "torch.Tensor", length: int, hop: int = 256, steps: int = 60, momentum: float = 0.99, seed: int = 0
) -> "torch.Tensor":
    """Sound (…, length) whose spectrum has nearly these magnitudes (…, bins, frames): phases are guessed, and made consistent by turns.

    D. Griffin and J. Lim (1984), sped up by N. Perraudin, P. Balazs and P. Søndergaard (2013); `momentum` 0 is the plain form.
    The same seed gives the same sound. Absolute phase and sign cannot be known. Raises `ValueError` for momentum outside 0 … 1.
    """
    import torch

    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum is {momentum}: 0 to 1 is wanted")
    size = 2 * (magnitudes.shape[-2] - 1)
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * math.pi * torch.rand(magnitudes.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        guess = torch.polar(torch.ones_like(magnitudes), phases.to(magnitudes))
        before = torch.zeros_like(guess)
        for _ in range(steps):
            consistent = stft(istft(magnitudes * guess, length, hop), size, hop)
            ahead = consistent + momentum * (consistent - before)
            before = consistent
            guess = ahead / (ahead.abs() + torch.finfo(magnitudes.dtype).tiny)
        return istft(magnitudes * guess, length, hop)


def spectral_convergence(sound: "torch.Tensor", magnitudes: "torch.Tensor", hop: int = 256) -> float:
    """How far, in dB, the spectrum of `sound` (…, T) lies from `magnitudes` (…, bins, frames); 0 is as far as silence does."""
    error = (stft(sound, 2 * (magnitudes.shape[-2] - 1), hop).abs() - magnitudes).norm()
    return 20 * math.log10(max(float(error / magnitudes.norm()), 1e-20))


def _window(size: int, like: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.hann_window(size, dtype=like.dtype, device=like.device)


def _check(size: int, hop: int) -> None:
    if size < 4 or size % 2:
        raise ValueError(f"size is {size}: an even number of samples from 4 is wanted, such as 1024")
    if not 1 <= hop <= size // 2:
        raise ValueError(f"hop is {hop}: 1 to {size // 2}, half the window, is wanted")

"""How loud a sound is from moment to moment, number for number as magenta/ddsp 3.7 computes it (`ddsp/spectral_ops.py`).

A frame of 512 samples is centred on every hop (250 a second), with zeros beyond both ends, so a sound of S samples has S / hop + 1
frames. Power of its spectrum under a periodic Hann window, not normalised, times the A weighting, mean over the bins, in decibels, never
below −80: a sine of amplitude 1 at 1 kHz and 16 kHz is at +19.8 dB. Magenta's scaled units are dB / 80 + 1: silence is 0, 0 dB is 1, and
an error of 0.1 is 8 dB. The level depends on sample rate and frame size, so figures compare only at Magenta's (16 kHz, 512).

The weighting is that of IEC 61672-1, annex E, in librosa's form: 0 dB at 1 kHz, never below −80 dB. For programme loudness in LUFS
see `loudness`.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16000
FRAME_RATE = 250
FRAME_SIZE = 512
RANGE_DB = 80.0
CORNERS = (12194.217, 20.598997, 107.65265, 737.86223)  # hertz


def a_weighting(frequency: np.ndarray) -> np.ndarray:
    """Weight in decibels of frequencies in hertz; 1000 → 0.0, 100 → −19.1, 0 → −80."""
    square = np.asarray(frequency, np.float64) ** 2
    high, low, second, third = (corner**2 for corner in CORNERS)
    with np.errstate(divide="ignore"):
        weight = 2.0 + 20 * (
            np.log10(high)
            + 2 * np.log10(square)
            - np.log10(square + high)
            - np.log10(square + low)
            - 0.5 * np.log10(square + second)
            - 0.5 * np.log10(square + third)
        )
    return np.maximum(weight, -RANGE_DB)


def a_weighted_loudness(
    sound: "torch.Tensor", sample_rate: int = SAMPLE_RATE, frame_rate: int = FRAME_RATE, frame_size: int = FRAME_SIZE
) -> "torch.Tensor":
    """Loudness in decibels (B, S / hop + 1) of sound (B, S), differentiable; hop = sample_rate / frame_rate.

    Raises `ValueError` when the hop is no whole number or longer than a frame.
    """
    import torch

    hop = sample_rate // frame_rate
    if hop * frame_rate != sample_rate or hop > frame_size:
        raise ValueError(f"frame rate ({frame_rate}) must divide the sample rate ({sample_rate}) into hops of at most {frame_size} samples")
    window = torch.hann_window(frame_size, dtype=sound.dtype, device=sound.device)
    padded = torch.nn.functional.pad(sound, (frame_size // 2, frame_size // 2))
    spectrum = torch.stft(padded, frame_size, hop, window=window, center=False, return_complex=True)
    weight = 10 ** (a_weighting(np.fft.rfftfreq(frame_size, 1 / sample_rate)) / 10)
    power = (torch.view_as_real(spectrum).square().sum(-1) * torch.from_numpy(weight).to(sound)[:, None]).mean(1)
    return 10 * torch.log10(power.clamp(min=10 ** (-RANGE_DB / 10)))


def loudness_of_frames(frames: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """The same in NumPy for frames (F, N) that were cut before, as from sound that comes block by block: loudness (F,) float64."""
    from scipy import fft  # takes a second to import

    size = frames.shape[1]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    weight = 10 ** (a_weighting(np.fft.rfftfreq(size, 1 / sample_rate)) / 10)
    spectrum = fft.rfft(np.asarray(frames, np.float64) * window, axis=1)
    power = ((spectrum.real**2 + spectrum.imag**2) * weight).mean(1)
    return 10 * np.log10(np.maximum(power, 10 ** (-RANGE_DB / 10)))


def scaled(loudness: "torch.Tensor") -> "torch.Tensor":
    """Decibels in Magenta's units: −80 → 0.0, 0 → 1.0."""
    return loudness / RANGE_DB + 1.0


def loudness_error(sound: "torch.Tensor", target: "torch.Tensor", sample_rate: int = SAMPLE_RATE) -> "torch.Tensor":
    """Mean distance (B,) of two sounds' loudness in Magenta's scaled units; both (B, S)."""
    return (scaled(a_weighted_loudness(sound, sample_rate)) - scaled(a_weighted_loudness(target, sample_rate))).abs().mean(1)

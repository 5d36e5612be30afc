"""Multi-scale spectral loss, number for number as magenta/ddsp 3.7 computes it (`ddsp/losses.py`, `SpectralLoss`).

For each FFT size: magnitudes of frames under a periodic Hann window that overlap by three quarters, zeros after the end so that every
hop of the sound begins a frame, none before the start. The loss is the mean over rows, frames and bins of |magnitude − magnitude|, plus the
mean of |log magnitude − log magnitude| (natural), summed over the sizes, both with weight 1.

Un-normalised means that a magnitude is the bare sum of windowed samples: it is not divided by the size, the window's sum or the
target's norm. A sine of amplitude 1 peaks at size / 4, so long windows and loud sounds weigh more in the first term, and halving both
sounds lowers the loss: figures compare only at the level of the recordings, and at 16 kHz, where Magenta's were taken. Means, not sums,
are what keeps it from growing with length and bins.

A logarithm needs a floor. Magenta 2.0 and later (so MIDI-DDSP's figures) replace a magnitude of exactly 0 by 1e-5 and leave smaller
ones as they are ("replaced"); Magenta before that added 1e-5 to each ("added"), which has no steep gradient near silence.
"""

from collections.abc import Sequence

import torch

SAMPLE_RATE = 16000  # where Magenta's figures were taken
SIZES = (2048, 1024, 512, 256, 128, 64)
FLOOR = 1e-5


def spectral_loss(
    sound: torch.Tensor,
    target: torch.Tensor,
    sizes: Sequence[int] = SIZES,
    magnitude_weight: float = 1.0,
    log_weight: float = 1.0,
    floor: str = "replaced",
) -> torch.Tensor:
    """Loss of each row (B,) of sound against target, both (B, S); the mean over rows is Magenta's loss of the batch.

    Raises `ValueError` when the shapes differ or `floor` is neither "replaced" nor "added".
    """
    if sound.shape != target.shape or sound.ndim != 2:
        raise ValueError(f"sound is {tuple(sound.shape)} and target {tuple(target.shape)}: both must be (B, S)")
    loss = sound.new_zeros(len(sound))
    for size in sizes:
        one, other = magnitudes(sound, size), magnitudes(target, size)
        if magnitude_weight:
            loss = loss + magnitude_weight * (one - other).abs().mean((1, 2))
        if log_weight:
            loss = loss + log_weight * (_log(one, floor) - _log(other, floor)).abs().mean((1, 2))
    return loss


def magnitudes(sound: torch.Tensor, size: int) -> torch.Tensor:
    """Magnitudes (B, size / 2 + 1, ⌈S / hop⌉) of sound (B, S), hop = size / 4, un-normalised."""
    hop = size // 4
    frames = -(-sound.shape[1] // hop)
    padded = torch.nn.functional.pad(sound, (0, (frames - 1) * hop + size - sound.shape[1]))
    window = torch.hann_window(size, dtype=sound.dtype, device=sound.device)
    return torch.stft(padded, size, hop, window=window, center=False, return_complex=True).abs()


def _log(values: torch.Tensor, floor: str) -> torch.Tensor:
    if floor == "replaced":
        return torch.log(torch.where(values <= 0, FLOOR, values))
    if floor == "added":
        return torch.log(values + FLOOR)
    raise ValueError(f"floor ({floor!r}) must be 'replaced' or 'added'")

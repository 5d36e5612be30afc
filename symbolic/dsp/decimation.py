"""Every k-th sample of a sound whose upper part is taken out before: differentiable, for losses at a lower rate.

Sound is (B, S) with S a multiple of k. The filter works on the spectrum of the whole: flat up to 0.95 of half the lower rate, a raised
cosine down to nothing at half of it, zero phase, no alias; before and after the sound there is silence. For playing and for files see
`resampling`.
"""

import math

import torch

PASSED = 0.95  # of half the lower rate
PADDING = 2048  # samples of silence at least, so that the end does not ring into the beginning


def decimate(sound: torch.Tensor, factor: int) -> torch.Tensor:
    """Sound (B, S / factor) at a rate `factor` times lower. Raises `ValueError` when S is no multiple of `factor`."""
    samples = sound.shape[1]
    if samples % factor:
        raise ValueError(f"{samples} samples are no multiple of {factor}")
    if factor == 1:
        return sound
    from scipy import fft  # takes a second to import

    short = fft.next_fast_len(-(-(samples + PADDING) // (2 * factor)), real=True) * 2  # samples after, an even number
    kept = short // 2 + 1
    part = torch.arange(kept, device=sound.device, dtype=torch.float64) / (kept - 1)
    way = ((part - PASSED) / (1 - PASSED)).clamp(0, 1)
    gain = (0.5 + 0.5 * torch.cos(math.pi * way)).to(sound.dtype) / factor
    spectrum = torch.fft.rfft(sound, short * factor)[:, :kept] * gain
    return torch.fft.irfft(spectrum, short)[:, : samples // factor]

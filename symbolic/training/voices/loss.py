"""What the training of a voice minimises, and in which words it is told.

At 16 kHz it is Magenta's multi-scale spectral loss with three of the six sizes in one step and the other three in the next, counted
twice: the same on average at half the cost. Above 8 kHz, which that loss does not hear, logarithms of magnitudes at 48 kHz are
compared, in every other row. The reported loss has all six sizes and nothing else.
"""

import torch

from symbolic.dsp.decimation import decimate
from symbolic.dsp.spectral_loss import SAMPLE_RATE, SIZES, magnitudes, spectral_loss

GOOD, USABLE = 5.0, 6.0
HIGH_SIZES = (2048, 512)  # at 48 kHz, one in a step
HIGH_FROM = 7600.0  # hertz
HIGH_FLOOR = 1e-3  # a magnitude of noise 85 dB below full scale: MP3s have holes there


def training_loss(
    sound: torch.Tensor, target: torch.Tensor, low: torch.Tensor, sample_rate: int, step: int, high_weight: float
) -> torch.Tensor:
    """The loss of a batch: sound and target (B, S), low (B, S / 3) the target at 16 kHz."""
    sizes = SIZES[step % 2 :: 2]
    loss = spectral_loss(decimate(sound, sample_rate // SAMPLE_RATE), low, sizes, floor="added").mean() * (len(SIZES) / len(sizes))
    if high_weight:
        size = HIGH_SIZES[step // 2 % len(HIGH_SIZES)]
        first = round(HIGH_FROM * size / sample_rate)
        rows = slice(step % 2, None, 2) if len(sound) > 1 else slice(None)
        one, other = (torch.log(magnitudes(wave[rows], size)[:, first:] + HIGH_FLOOR) for wave in (sound, target))
        loss = loss + high_weight * (one - other).abs().mean()
    return loss


def word(loss: float) -> str:
    """What a reported loss means; Magenta calls 4.5 to 5.0 good."""
    return "good" if loss <= GOOD else "usable" if loss <= USABLE else "not yet usable"

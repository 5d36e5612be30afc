"""The encoder: sound in, temporal codes out, 16 numbers for each 32 ms.

NSynth's encoder runs 30 dilated convolutions at the rate of the sound. Here the spectrum of a window of two codes' length is taken first
and its logarithm goes through few convolutions at the rate of the codes: phases, which the decoder makes up anyway, are gone at once,
and the encoder costs a hundredth of the decoder. Over the notes learned from each of the numbers has mean 0 and variance 1: a bound such
as tanh instead let training push all codes to the bound in its first hundred steps, where they told nothing and learned nothing more.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.wavenet.configuration import AutoencoderConfig

FLOOR = 1e-4  # of a magnitude, 80 dB below a full-scale sine


class Encoder(nn.Module):
    """Sound (B, S) at `sample_rate`, full scale −1 … 1 → codes (B, F, `code_size`); S a whole number of `code_samples`, F of them.

    Around the sound there is silence. A code depends on the `margin` codes' length of sound before and after it.
    """

    window: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        H = config.encoder_channels
        self.register_buffer("window", torch.hann_window(2 * config.code_samples), persistent=False)
        self.first = nn.Conv1d(config.code_samples + 1, H, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv1d(H, H, 3, padding=2**layer, dilation=2**layer) for layer in range(config.encoder_layers))
        self.last = nn.Conv1d(H, config.code_size, 1)
        self.standard = Standardise(config.code_size)
        self.margin = 2 + sum(2**layer for layer in range(config.encoder_layers))

    def forward(self, sound: Tensor) -> Tensor:
        """The codes; code f sees a window of two codes around its middle, and its neighbours."""
        size, margin = self.config.code_samples, self.margin
        if sound.shape[-1] % size:
            raise ValueError(f"{sound.shape[-1]} samples are no whole number of codes of {size} samples")
        silence = (margin * size + size // 2, margin * size + size - size // 2)
        around = functional.pad(sound, silence).unfold(-1, 2 * size, size) * self.window
        magnitude = torch.fft.rfft(around).abs() * (2 / size)
        spectrum = torch.log(magnitude + FLOOR) / 3 + 2  # about −1 … 2.7
        x = functional.gelu(_even(self.first(spectrum.transpose(1, 2))))
        for block in self.blocks:
            x = x + functional.gelu(block(_even(x)))
        return self.standard(self.last(_even(x))[..., margin:-margin].transpose(1, 2))


class Standardise(nn.Module):
    """Numbers (…, K) → mean 0 and variance 1 of each: for the first `settling` batches over the batch, then over what was heard so far.

    A batch holds few notes, and its own mean and variance would make a note's codes depend on the notes beside it. So later values are
    those by the mean and variance that are kept, gradients those by the batch's (S. Ioffe, "Batch Renormalization", 2017).
    """

    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(self, size: int, slowest: float = 0.02, settling: int = 200) -> None:
        super().__init__()
        self.slowest, self.settling = slowest, settling
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The numbers; in training mode what is kept follows the batch."""
        if not self.training:
            return (x - self.mean) * torch.rsqrt(self.variance + 1e-3)
        rows = x.flatten(0, -2)
        mean, variance = rows.mean(0), rows.var(0, correction=0)
        even = (x - mean) * torch.rsqrt(variance + 1e-3)
        with torch.no_grad():
            share = (1 / (self.seen + 1)).clamp(min=self.slowest)
            settled = (self.seen >= self.settling).to(x.dtype)
            between = settled * share * (1 - share) * (mean - self.mean).square()  # means of batches vary, too
            self.variance.lerp_(variance, share).add_(between)
            self.mean.lerp_(mean, share)
            self.seen.add_(1).clamp_(max=self.settling)
            kept = torch.rsqrt(self.variance + 1e-3)
            scale = torch.lerp(torch.ones_like(kept), torch.sqrt(variance + 1e-3) * kept, settled)
            offset = settled * (mean - self.mean) * kept
        return even * scale + offset


def _even(x: Tensor) -> Tensor:
    """(B, H, F), each frame with mean 0 and variance 1 over H."""
    return functional.layer_norm(x.transpose(1, 2), (x.shape[1],)).transpose(1, 2)

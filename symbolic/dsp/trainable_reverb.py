"""The room of a recording, learned along with the voice that was recorded in it.

The sound that comes directly is left as it is, and a response of free taps is added, so the voice learns to be dry. The taps begin as
faint noise that decays as a room's does: late taps, which training hardly reaches, stay faint. Sound is (B, S); what rings on after S is
cut. Idea: Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020, section 3.4. For playing, `response()` goes into a
`PartitionedConvolution` or a `StreamingConvolution`.
"""

import numpy as np
import torch

from symbolic.dsp.envelopes import decay


class TrainableReverb(torch.nn.Module):
    """One room: `tail` (L − 1,) are the taps after the direct sound. `t60` in seconds and `level`, the noise's energy, begin it."""

    def __init__(self, sample_rate: int, seconds: float = 1.0, t60: float = 0.8, level: float = 1e-3, seed: int = 0) -> None:
        super().__init__()
        time = np.arange(1, round(seconds * sample_rate)) / sample_rate
        noise = np.random.default_rng(seed).standard_normal(len(time)) * decay(time, t60)
        self.tail = torch.nn.Parameter(torch.from_numpy(noise * np.sqrt(level / np.square(noise).sum())).float())

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        """Sound (B, S) in the room (B, S)."""
        return convolved(sound, torch.cat([self.tail.new_ones(1), self.tail]))

    def response(self) -> np.ndarray:
        """Impulse response (L,) float32, the direct sound first."""
        return np.concatenate([np.ones(1, np.float32), self.tail.detach().cpu().numpy().astype(np.float32)])


def convolved(sound: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    """The first S samples of sound (B, S) convolved with a response (L,) or (B, L); differentiable in both."""
    from scipy import fft

    samples = sound.shape[1]
    response = response[..., :samples].to(sound.dtype)
    size = fft.next_fast_len(samples + response.shape[-1] - 1, real=True)
    return torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(response, size), size)[:, :samples]

"""The decoder sample by sample in PyTorch, for any device; `NativeDecoder` does the same in compiled code and has the same methods.

A note begins with a frame, and notes are played in whole conditioning vectors, so that all lanes are always at the same place of a frame.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.models.sample_rnn.decoder import Decoder
from symbolic.models.wavenet.excitation import PAST, periods, taps
from symbolic.models.wavenet.queues import draw


@dataclass
class TensorLanes:
    """What lanes remember: the last codes (B, N), the oldest first, the GRU's state (B, G), the sound of the last samples (B, `PAST`)."""

    codes: Tensor
    state: Tensor
    past: Tensor
    position: int = 0

    def __len__(self) -> int:
        return len(self.codes)


class TensorDecoder:
    """A decoder that plays; it does not follow later changes of the weights."""

    def __init__(self, decoder: Decoder) -> None:
        self.config, self.decoder = decoder.config, decoder
        with torch.no_grad():
            self.heard = torch.einsum("ve,neh->nvh", decoder.embedding, decoder.past)  # (N, V, H): what a code at each place adds
        gru = dict(decoder.recurrent.named_parameters())
        self.gru = [gru[f"{name}_l0"].detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def lanes(self, count: int) -> TensorLanes:
        """Silence."""
        config, weight = self.config, self.decoder.embedding.detach()
        codes = torch.full((count, config.frame), config.levels // 2, device=weight.device)
        return TensorLanes(codes, weight.new_zeros(count, config.recurrent), weight.new_zeros(count, PAST))

    def silence(self, lanes: TensorLanes, lane: int) -> None:
        """Let one lane begin anew."""
        lanes.codes[lane] = self.config.levels // 2
        lanes.state[lane] = 0.0
        lanes.past[lane] = 0.0

    def chosen(self, lanes: TensorLanes, index: np.ndarray) -> TensorLanes:
        """A copy of some lanes."""
        return TensorLanes(lanes.codes[index].clone(), lanes.state[index].clone(), lanes.past[index].clone(), lanes.position)

    @torch.no_grad()
    def tell(self, lanes: TensorLanes, conditioning: Tensor) -> Tensor:
        """What the frame that was heard and conditioning (B, W) tell each sample of the next one (B, N, H)."""
        heard = torch.cat([self.decoder.values[lanes.codes], conditioning], 1)
        inner, outer, inner_bias, outer_bias = self.gru
        reset, keep, new = functional.linear(heard, inner, inner_bias).chunk(3, 1)
        old_reset, old_keep, old = functional.linear(lanes.state, outer, outer_bias).chunk(3, 1)
        share = torch.sigmoid(keep + old_keep)
        lanes.state = torch.lerp(torch.tanh(new + torch.sigmoid(reset + old_reset) * old), lanes.state, share)
        return self.decoder.told(self.decoder.telling(lanes.state).unflatten(1, (self.config.frame, -1)))

    @torch.no_grad()
    def step(self, lanes: TensorLanes, told: Tensor) -> Tensor:
        """Logits (B, V) of the codes after `lanes.codes`; `told` (B, H) is this sample's, its excitation with it."""
        places = torch.arange(self.config.frame, device=told.device)
        return self.decoder.logits(self.heard[places, lanes.codes].sum(1) + told)

    def join(self, lanes: TensorLanes, codes: Tensor) -> None:
        """The codes (B,) of a sample become the newest."""
        lanes.past[:, lanes.position % PAST] = mu_law_decode(codes, self.config.levels)
        lanes.position += 1
        lanes.codes = torch.cat([lanes.codes[:, 1:], codes[:, None]], 1)

    @torch.no_grad()
    def play(
        self, lanes: TensorLanes, conditioning: np.ndarray, cycles: np.ndarray, random: np.ndarray, temperature: np.ndarray
    ) -> np.ndarray:
        """The next codes (B, J · hold) of every lane; `lanes` moves on in place.

        `conditioning` (J, B, W); `cycles` (B, J + 1); `random` (B, J · hold) within 0 … 1; `temperature` (B,): 0 takes the likeliest code.
        """
        device, N, hold = lanes.codes.device, self.config.frame, self.config.hold
        excitation, waves = self.decoder.excitation, torch.from_numpy(cycles)
        clock = excitation.clocked(waves)
        reach, weights = (part.to(device) for part in taps(periods(waves, hold)))
        scale = torch.from_numpy(1.0 / np.maximum(temperature, 1e-4)).float().to(device)[:, None]
        numbers, vectors = torch.from_numpy(random).to(device), torch.from_numpy(conditioning).to(device)
        drawn = np.empty(random.shape, dtype=np.int64)
        told = vectors
        for sample in range(random.shape[1]):
            if sample % N == 0:
                told = self.tell(lanes, vectors[sample // hold])
            ago = excitation.ago(lanes.past, lanes.position, reach[:, sample // hold], weights[:, sample // hold])
            logits = self.step(lanes, told[:, sample % N] + clock[:, sample] + ago)
            self.join(lanes, draw(logits * scale, numbers[:, sample]))
            drawn[:, sample] = lanes.codes[:, -1].cpu()
        return drawn

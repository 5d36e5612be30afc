"""The decoder in two tiers: a slow one that remembers, a fast one that sees the last samples.

As in SampleRNN (Mehri et al., 2017): a recurrent network (GRU) takes a frame of 16 samples at once, 1 ms, beside the conditioning vector,
and tells something to each of the 16 samples that follow; a small network without memory joins that to the last 16 samples and to the
excitation (`symbolic.models.wavenet.excitation`), and gives the probabilities of the next one. Different here: that excitation; one GRU,
told through few numbers for each sample, samples heard by it on the scale of µ-law, on which soft sounds are not small; µ-law codes
instead of linear ones; conditioning, which comes in with each frame.

Shapes: B rows, T samples, N samples of a frame, R = T / N frames, J = T / hold conditioning vectors, W their width, G width of the GRU,
U numbers told to a sample, E embedding, H hidden width, V levels. Before its first sample every sound was silent.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.models.wavenet.excitation import Excitation


class Decoder(nn.Module):
    """The whole decoder, for many samples at once."""

    values: Tensor

    def __init__(self, config: SampleRnnConfig) -> None:
        super().__init__()
        N, G, U, E, H, V = config.frame, config.recurrent, config.told, config.embedding, config.hidden, config.levels
        self.config = config
        self.register_buffer("values", (torch.arange(V) - V // 2) / (V // 2), persistent=False)
        self.recurrent = nn.GRU(N + config.conditioning, G, batch_first=True)
        self.telling = nn.Linear(G, N * U)
        self.told = nn.Linear(U, H)
        self.embedding = nn.Parameter(self.values[:, None] * torch.randn(E) + 0.1 * torch.randn(V, E))
        self.past = nn.Parameter(torch.randn(N, E, H) * (N * E) ** -0.5)
        """Of the last N samples, the oldest first."""
        self.excitation = Excitation(config, H)
        self.hidden = nn.Linear(H, H)
        self.head = nn.Linear(H, V)
        nn.init.normal_(self.head.weight, std=0.1 * H**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, codes: Tensor, conditioning: Tensor, cycles: Tensor) -> Tensor:
        """Logits (B, T, V) of every sample's code, from the codes (B, T) before it, conditioning (B, J, W) and cycles (B, J + 1)."""
        N = self.config.frame
        before = functional.pad(codes[:, :-1], (N, 0), value=self.config.levels // 2)  # (B, N + T − 1), from N samples before the first
        frames = self.values[before[:, : codes.shape[1]]].unflatten(1, (-1, N))
        held = conditioning.repeat_interleave(self.config.hold // N, 1)
        with torch.autocast(codes.device.type, enabled=False):
            states = self.recurrent(torch.cat([frames, held], -1))[0]
        told = self.told(self.telling(states).unflatten(2, (N, -1)).flatten(1, 2))
        heard = functional.conv1d(self.embedding[before].transpose(1, 2), self.past.permute(2, 1, 0)).transpose(1, 2)
        return self.logits(heard + told + self.excitation(codes, cycles))

    def logits(self, x: Tensor) -> Tensor:
        """Logits (…, V) from what is heard and told of a sample (…, H), its excitation with it."""
        return self.head(torch.relu(self.hidden(torch.relu(x))))

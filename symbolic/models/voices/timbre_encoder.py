"""A recording → its timbre code: a few numbers a step for what pitch and loudness do not say, as a bow's place or a player's breath.

Shapes: B rows, F frames, G = F / stride steps of the network, D numbers of a code. What is heard is sound at 16 kHz, in bands of a short
and of a long window: the level of each against the loudness, and how far the mean of the logarithms lies below it (a band with one
partial in it has deep valleys, a band of noise has none). A code lies within −1 … 1; all zeros is the code of a sound nobody has heard.

After Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020, section 4.1 (z, there from cepstra through a GRU).
"""

import torch
from torch import nn

from symbolic.dsp.a_weighting import RANGE_DB
from symbolic.dsp.spectra import mel_filters, stft
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.layers import REFERENCE_DB, layers, pitch_features

RATE = 16000
FAST, FAST_BANDS = 256, 32  # samples of a window and its bands, equally far apart in mel: what changes fast
FINE, FINE_BANDS = 1024, 128  # the same in hertz: what lies close together, as the gaps that MP3 leaves between partials
FLOOR = 1e-18  # of power; what an MP3 leaves out of a band lies far below the noise of a quiet room
MIDDLE, SPREAD = -7.0, 4.0  # nepers against the loudness, of bands in recordings of single notes
CONTEXT = 5  # steps that a code is made from


class TimbreEncoder(nn.Module):
    """The network; its filters `fast` are no weights and not saved."""

    fast: torch.Tensor

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.config = config
        mel = torch.from_numpy(mel_filters(FAST_BANDS, FAST, RATE)).float()
        self.register_buffer("fast", mel / mel.sum(-1, keepdim=True), persistent=False)
        pitch = pitch_features(torch.full((1,), 440.0)).shape[-1]
        self.layers = layers(2 * (FAST_BANDS + FINE_BANDS) + pitch + 1, 2 * config.width, 2)
        self.context = nn.Conv1d(2 * config.width, config.code, CONTEXT, padding=CONTEXT // 2)

    def forward(self, sound: torch.Tensor, pitch: torch.Tensor, loudness: torch.Tensor) -> torch.Tensor:
        """The code (B, F, D), equal within a step, of sound (B, F · hop / 3) at 16 kHz with its pitch and loudness (B, F)."""
        stride = self.config.stride
        steps = (len(pitch), pitch.shape[1] // stride, stride)
        loudness = loudness.clamp(min=-RANGE_DB).reshape(steps).mean(-1)
        heard = self._bands(sound, loudness)
        told = pitch_features(pitch.reshape(steps).log2().mean(-1).exp2())
        hidden = self.layers(torch.cat([heard, told, 2 * loudness[..., None] / RANGE_DB + 1], -1))
        code = torch.tanh(self.context(hidden.transpose(1, 2)).transpose(1, 2))
        return code.repeat_interleave(stride, 1)

    def _bands(self, sound: torch.Tensor, loudness: torch.Tensor) -> torch.Tensor:
        """What is heard at each step, (B, G, twice the bands)."""
        hop = sound.shape[-1] // loudness.shape[-1]
        centred = nn.functional.pad(sound[..., hop // 2 :], (0, hop // 2))
        reference = (loudness[..., None] - REFERENCE_DB) / 8.686
        heard = []
        for size in (FAST, FINE):
            power = (stft(centred, size, hop)[..., :-1].abs() / (size / 4)).square().transpose(1, 2) + FLOOR
            level, valleys = torch.log(self._summed(power)) / 2, self._summed(torch.log(power)) / 2
            heard += [(level - reference - MIDDLE) / SPREAD, level - valleys - 0.5]
        return torch.cat(heard, -1) * (loudness > -RANGE_DB)[..., None]

    def _summed(self, bins: torch.Tensor) -> torch.Tensor:
        """Means over the bands of a window's bins (B, G, bins)."""
        if bins.shape[-1] == FAST // 2 + 1:
            return bins @ self.fast.T
        return bins[..., :-1].unflatten(-1, (FINE_BANDS, -1)).mean(-1)

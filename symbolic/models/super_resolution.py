"""A one-dimensional U-Net that adds to a resampled sound what lies above its old rate (after Kuleshov, Enam and Ermon, 2017).

The first convolution takes the sound in patches of `strides[0]` samples, so that none works at the full rate, which is what costs most.
Convolutions with a stride go further down, sub-pixel convolutions come up (channels dealt out in time), each level is joined to its like,
and the result is added to the input, so that an untrained network changes nothing.

Two things differ from the source. Beside the sound goes white noise, and the last convolution mixes it too, in bands whose levels the
network says: breath and noise floors cannot be computed from the sound. And the sound is divided by its level over `level_window` samples,
the result multiplied by it: a decay is treated alike from its loud beginning into the noise. Silence stays silence. Nothing is causal.

Shapes: B rows, T samples at the high rate, a multiple of `block`. The input is the low-rate sound resampled (by soxr) to the high rate.
"""

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from symbolic.dsp.filters import apply_fir, fir_filter
from symbolic.errors import InputError

VERSION = 2
KIND = "symbolic-super-resolution"
NOISE_BLOCK = 1 << 16
PIECE = 1 << 16  # samples through the network at once
UNTOUCHED = (0.55, 0.75)  # of half the low rate: nothing is added below the first, all from the second on
SILENCE = 1e-12  # of power: below it nothing is amplified any more
QUIETEST, LOUDEST = -12.0, 6.0  # logarithms between which the level of a noise band stays


@dataclass(frozen=True)
class SuperResolutionConfig:
    """Shapes. `sample_rate` is the high rate; the network is not told the low one. Raises `InputError` for impossible ones."""

    sample_rate: int = 16000
    widths: tuple[int, ...] = (48, 96, 128)
    """Channels at each level, from the patches down."""
    strides: tuple[int, ...] = (4, 4, 4)
    """Samples of a patch, and by how much each level is slower than the one above."""
    kernel: int = 5
    bottom_layers: int = 3
    """Dilated convolutions at the lowest level: 1, 2, 4 …"""
    noise_bands: int = 16
    level_window: int = 512
    """Samples over which the level is taken; a multiple of two blocks."""
    ratios: tuple[int, ...] = (2, 3, 4)
    """High rate over the low rates that it learns."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or len(self.strides) != len(self.widths):
            raise InputError(
                f"widths is {self.widths}, strides {self.strides}; one stride for each level of at least one channel is needed"
            )
        if min(self.strides) < 2 or self.sample_rate < 1 or self.bottom_layers < 0 or self.noise_bands < 1:
            raise InputError(f"strides is {self.strides}, bottom_layers {self.bottom_layers}, noise_bands {self.noise_bands}; "
                             "at least 2, 0 and 1 are needed")  # fmt: skip
        if not self.ratios or min(self.ratios) < 2:
            raise InputError(f"ratios is {list(self.ratios)}; whole numbers from 2 are needed, such as [2, 3, 4]")
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise InputError(f"kernel is {self.kernel}; an odd number from 3 is wanted")
        if self.level_window < self.block or self.level_window % (2 * self.block):
            raise InputError(f"level_window is {self.level_window}; a multiple of two blocks ({2 * self.block} samples) is wanted")

    @property
    def block(self) -> int:
        """Samples of one step at the lowest level."""
        return math.prod(self.strides)

    @property
    def margin(self) -> int:
        """Samples before and after one that it may depend on, in whole blocks."""
        half, step = self.kernel // 2, self.strides[0]
        reach = (3 * half + 1) * step  # first, last and what stands before it
        for stride in self.strides[1:]:
            reach += half * step + stride * step  # joined, down
            step *= stride
            reach += (half + 1) * step  # at that level, up
        reach += half * step * (2**self.bottom_layers - 1) + self.level_window // 2 + self.block
        return (-(-reach // self.block) + 1) * self.block


class SuperResolution(nn.Module):
    """Sound and noise (B, T) at the high rate → sound (B, T)."""

    def __init__(self, config: SuperResolutionConfig) -> None:
        super().__init__()
        self.config = config
        W, k, patch, bands = config.widths, config.kernel, config.strides[0], config.noise_bands
        pairs = list(zip(itertools.pairwise(W), config.strides[1:], strict=True))
        self.first = nn.Conv1d(2 * patch + 1, W[0], k, padding=k // 2)
        self.down = nn.ModuleList(nn.Conv1d(a, b, 2 * s + 1, stride=s, padding=s) for (a, b), s in pairs)
        self.level = nn.ModuleList(nn.Conv1d(w, w, k, padding=k // 2) for w in W[1:])
        self.bottom = nn.ModuleList(nn.Conv1d(W[-1], W[-1], k, padding=k // 2 * 2**n, dilation=2**n) for n in range(config.bottom_layers))
        self.up = nn.ModuleList(nn.Conv1d(b, a * s, 3, padding=1) for (a, b), s in pairs)
        self.joined = nn.ModuleList(nn.Conv1d(2 * w, w, k, padding=k // 2) for w in W[:-1])
        self.top = nn.Conv1d(W[0], W[0], k, padding=k // 2)
        self.bands = nn.Conv1d(patch, bands, k, padding=k // 2)
        self.band_level = nn.Conv1d(W[0], bands, 3, padding=1)
        self.last = nn.Conv1d(W[0] + bands, patch, k, padding=k // 2)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, sound: Tensor, noise: Tensor) -> Tensor:
        """The sound with what was added. Raises `ValueError` when T is no multiple of `block`."""
        if sound.shape[-1] % self.config.block:
            raise ValueError(f"{sound.shape[-1]} samples are no multiple of {self.config.block}")
        patch, *strides = self.config.strides
        power = self._power(sound)
        scale = torch.sqrt(power + SILENCE)
        hiss = dealt_in(noise, patch)
        x = _bent(self.first(torch.cat([dealt_in(sound, patch) / scale, hiss, scale.log() / 3 + 2], 1)))
        levels = []
        for down, level in zip(self.down, self.level, strict=True):
            levels.append(x)
            x = _bent(down(x))
            x = x + _bent(level(x))
        for layer in self.bottom:
            x = x + _bent(layer(x))
        for up, joined, other, stride in zip(reversed(self.up), reversed(self.joined), reversed(levels), reversed(strides), strict=True):
            x = _bent(joined(torch.cat([dealt_out(_bent(up(x)), stride), other], 1)))
        x = x + _bent(self.top(x))
        bands = self.bands(hiss) * self.band_level(x).float().clamp(QUIETEST, LOUDEST).exp()
        added = self.last(torch.cat([x, bands], 1)).float() * (power / scale)
        return sound + dealt_out(added, patch)[:, 0]

    def _power(self, sound: Tensor) -> Tensor:
        """Mean power of each patch's surroundings (B, 1, T / patch), on straight lines between the edges of blocks."""
        block, window = self.config.block, self.config.level_window
        edges = functional.avg_pool1d(functional.pad(sound[:, None].square(), (window // 2, window // 2)), window, block)
        share = (torch.arange(block // self.config.strides[0], device=sound.device) + 0.5) * self.config.strides[0] / block
        drawn = edges[..., :-1, None] * (1 - share) + edges[..., 1:, None] * share
        return drawn.flatten(2)


def dealt_in(sound: Tensor, patch: int) -> Tensor:
    """(B, T) → (B, patch, T / patch): the nth sample of each patch becomes channel n."""
    return sound.unflatten(1, (-1, patch)).transpose(1, 2)


def dealt_out(x: Tensor, stride: int) -> Tensor:
    """(B, C · stride, T) → (B, C, T · stride): sub-pixel, channel c · stride + n becomes the nth sample of each group."""
    B, channels, T = x.shape
    return x.view(B, channels // stride, stride, T).transpose(2, 3).reshape(B, channels // stride, T * stride)


def noise_at(start: int, length: int, random_seed: int = 0) -> np.ndarray:
    """White noise (length,) float32, standard deviation 1, that depends on the place alone: a piece equals that piece of the whole."""
    first, last = start // NOISE_BLOCK, max(start, start + length - 1) // NOISE_BLOCK
    # Places before the beginning are numbered from above, because seeds are not negative.
    blocks = [np.random.default_rng([random_seed, number % (1 << 32)]) for number in range(first, last + 1)]
    whole = np.concatenate([generator.standard_normal(NOISE_BLOCK, dtype=np.float32) for generator in blocks])
    return whole[start - first * NOISE_BLOCK :][:length]


def enhanced(model: SuperResolution, sound: np.ndarray, low_rate: float = 0.0, *, random_seed: int = 0, piece: int = PIECE) -> np.ndarray:
    """Sound (S,) at the high rate, `low_rate` before, through the network, piece by piece: (S,) float32. For the rate see the stream.

    What a sample becomes does not depend on how long the pieces are, up to the last digits.
    """
    stream = SuperResolutionStream(model, 1, low_rate, random_seed=random_seed, piece=piece)
    return np.concatenate([stream.process(sound[None]), stream.flush()], axis=1)[0]


class SuperResolutionStream:
    """Feed it (C, S) at the high rate in blocks of any sizes; what comes back, and `flush` at the end, joins to what the whole would give.

    What is added passes a high-pass filter below half of `low_rate`, the rate that the sound had before (0: unknown, no filter), because
    there nothing is missing. All channels are given the same noise, so that equal channels stay equal.
    """

    def __init__(self, model: SuperResolution, channels: int, low_rate: float = 0.0, *, random_seed: int = 0, piece: int = PIECE) -> None:
        config = model.config
        self._model, self._seed = model, random_seed
        self._piece = max(1, piece // config.block) * config.block
        stop, full = (0.5 * low_rate * place for place in UNTOUCHED)
        self._taps = fir_filter("high", (stop + full) / 2, config.sample_rate, full - stop, attenuation_db=60) if low_rate else None
        self._margin = config.margin + (0 if self._taps is None else -(-len(self._taps) // config.block) * config.block)
        self._held = np.zeros((channels, self._margin), dtype=np.float32)  # the sound from `_begin` - margin on
        self._begin = self._taken = 0

    def process(self, block: np.ndarray) -> np.ndarray:
        """The samples (C, N) float32 that are ready after the next block (C, S)."""
        self._taken += block.shape[1]
        self._held = np.concatenate([self._held, block.astype(np.float32)], axis=1)
        return self._made(self._taken - self._begin)

    def flush(self) -> np.ndarray:
        """The last samples; nothing can be fed after this."""
        left = self._taken - self._begin
        if not left:
            return np.zeros((len(self._held), 0), dtype=np.float32)
        self._held = np.pad(self._held, ((0, 0), (0, self._piece + self._margin)))
        return self._made(left + self._piece + self._margin)[:, :left]

    @torch.no_grad()
    def _made(self, ready: int) -> np.ndarray:
        """Whole pieces while there is a margin behind them; `ready` samples are held from `_begin` on."""
        margin, device = self._margin, self._model.last.weight.device
        made = [np.zeros((len(self._held), 0), dtype=np.float32)]
        while ready >= self._piece + margin:
            window = self._piece + 2 * margin
            noise = torch.from_numpy(noise_at(self._begin - margin, window, self._seed))[None].to(device)
            rows = []
            for row in self._held[:, :window]:
                out = self._model(torch.from_numpy(row.copy())[None].to(device), noise)[0].cpu().numpy()
                if self._taps is not None:
                    out = row + apply_fir(out - row, self._taps)
                rows.append(out[margin : margin + self._piece])
            made.append(np.stack(rows).astype(np.float32))
            self._held = self._held[:, self._piece :]
            self._begin += self._piece
            ready -= self._piece
        return np.concatenate(made, axis=1)


def only_above(added: Tensor, low: Tensor) -> Tensor:
    """Sounds (B, T) without what lies well below `low` (B,), in cycles a sample: as the stream filters them, for learning."""
    frequency = torch.fft.rfftfreq(added.shape[1], device=added.device)
    stop, full = (place * low[:, None] for place in UNTOUCHED)
    share = ((frequency - stop) / (full - stop)).clamp(0, 1)
    return torch.fft.irfft(torch.fft.rfft(added) * (0.5 - 0.5 * torch.cos(math.pi * share)), n=added.shape[1])


def write_super_resolution(model: SuperResolution, folder: Path) -> None:
    """config.json and model.safetensors, rounded to bfloat16, into a folder that is there."""
    weights = {name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    content = {"kind": KIND, "version": VERSION, **dataclasses.asdict(model.config)}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n")
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # safetensors lets nobody else read it


def load_super_resolution(folder: str | Path) -> SuperResolution:
    """The model in `folder`, ready for inference. Raises `InputError` when it is missing, damaged or of another version."""
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name} in it, so this is no super-resolution model")
    try:
        model = SuperResolution(_config(json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    except (ValueError, TypeError, OSError, InputError) as error:
        raise InputError(f"{folder / 'config.json'}: no super-resolution model that this program can read: {error}") from error
    try:
        model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    except Exception as error:  # safetensors and torch raise many types for damaged files
        raise InputError(f"{folder}: the weights cannot be loaded ({type(error).__name__}: {error}); is the file whole?") from error
    return model.requires_grad_(False).eval()


def _config(content: Any) -> SuperResolutionConfig:
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"it is not of the kind {KIND!r}")
    if content.get("version") != VERSION:
        raise ValueError(f"it has version {content.get('version')!r}, this program reads version {VERSION}; another release made it")
    fields = {name: value for name, value in content.items() if name not in ("kind", "version")}
    return SuperResolutionConfig(
        **fields | {name: tuple(fields.get(name, ())) for name in ("widths", "strides", "ratios") if name in fields}
    )


def _bent(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)

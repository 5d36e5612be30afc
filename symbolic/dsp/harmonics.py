"""A bank of harmonics on tensors, batched and differentiable: the tonal half of a learned voice.

Shapes: B rows, F frames of `hop` samples, K partials, S = F · hop samples. Controls stand at the middles of the frames and are joined
without corners (see control_curves). Partial k = 1 … K has the frequency k · pitch · √(1 + inharmonicity · k²) in hertz; with an
inharmonicity the phase of each partial is integrated on its own, without one all are multiples of one phase.
Phases are float64 at the frames' starts, summed in fixed point, so that neither an hour nor the cut into blocks changes them.

A partial fades out as it comes near half the sample rate, and within any frame that could reach it the partial is silent: nothing
aliases. The sound is one autograd function that makes a few frames' sines at a time and makes them again for the gradient, so memory
does not grow with partials. On a processor, in float32 and without inharmonicity, sound and gradient of the amplitudes come from the
machine code of `harmonics_native` instead, over ten times as fast. No gradient has a gradient.

Idea: Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020, section 3; inharmonicity: H. Fletcher, "Normal
Vibration Frequencies of a Stiff Piano String", 1964.
"""

import math
from typing import Any

import torch

from symbolic.dsp.control_curves import spline_integrals, spline_weights
from symbolic.dsp.harmonics_native import ladder, ladder_gradient

FADE_START = 0.47  # of the sample rate: from here to one half a partial fades out
FIXED_POINT = 2.0**62
CHUNK = 1 << 17  # sines made at once on a processor: they stay in its cache
CHUNK_ON_DEVICE = 1 << 24


def harmonic_bank(
    pitch: torch.Tensor,
    amplitudes: torch.Tensor,
    hop: int,
    sample_rate: int,
    inharmonicity: torch.Tensor | None = None,
    phases: torch.Tensor | None = None,
    native: bool = True,
) -> torch.Tensor:
    """Sound (B, S) in the type of `amplitudes`.

    pitch (B, F) hertz; amplitudes (B, F, K); inharmonicity (B, F) or (B, 1), 0 for an ideal string and about 0.0004 in the middle of a
    piano; phases (B, K) in cycles at the first sample, 0 unless given; `native` is whether machine code may be used where it fits.
    Raises `ValueError` when the shapes disagree.
    """
    if pitch.ndim != 2 or amplitudes.shape[:2] != pitch.shape:
        raise ValueError(f"pitch is {tuple(pitch.shape)} and amplitudes {tuple(amplitudes.shape)}: (B, F) and (B, F, K) are needed")
    numbers = torch.arange(1, amplitudes.shape[2] + 1, device=pitch.device, dtype=torch.float64)
    stretch = numbers
    if inharmonicity is not None:
        stretch = numbers * torch.sqrt(1 + inharmonicity.double()[..., None] * numbers**2)
    own = inharmonicity is not None or phases is not None  # whether each partial has a phase of its own
    frequency = pitch.double()[..., None] * stretch  # (B, F, K)
    heard = with_neighbours((amplitudes * nyquist_fade(frequency, sample_rate)).to(amplitudes.dtype))
    heard = heard * (with_neighbours(frequency).amax(2, keepdim=True) < 0.5 * sample_rate)
    steps = with_neighbours((frequency if own else pitch.double()[..., None]) * (hop / sample_rate))  # cycles a frame
    starts = _starts(steps, phases)
    multiples = torch.ones_like(numbers) if own else numbers
    native = native and not own and heard.dtype == torch.float32 and heard.device.type == "cpu"
    return _Sines.apply(heard, steps, starts, multiples, hop, native).reshape(len(pitch), -1)


def nyquist_fade(frequency: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Gain of partials by their frequency in hertz: 1 up to 0.47 of the sample rate, a smooth step down to 0 at half of it."""
    way = torch.clamp((0.5 - frequency / sample_rate) / (0.5 - FADE_START), 0.0, 1.0)
    return way * way * (3 - 2 * way)


def with_neighbours(controls: torch.Tensor) -> torch.Tensor:
    """Every control between its neighbours in time: (B, F, N) → (B, F, 3, N)."""
    before = torch.cat([controls[:, :1], controls[:, :-1]], 1)
    after = torch.cat([controls[:, 1:], controls[:, -1:]], 1)
    return torch.stack([before, controls, after], 2)


def at_samples(controls: torch.Tensor, hop: int) -> torch.Tensor:
    """The curve through controls (B, F, N) at each sample: (B, F · hop, N)."""
    weights = torch.from_numpy(spline_weights(hop)).to(controls)
    return torch.einsum("bfdn,dt->bftn", with_neighbours(controls), weights).reshape(len(controls), -1, controls.shape[2])


def cycles_at_samples(pitch: torch.Tensor, hop: int, sample_rate: int) -> torch.Tensor:
    """Phase (B, F · hop) float64 in cycles, within 0 … 1, of a pitch (B, F) in hertz; differentiable."""
    steps = with_neighbours(pitch.double()[..., None] * (hop / sample_rate))
    cycles = _starts(steps, None) + (steps[..., 0] @ _integrals(hop, steps))
    return (cycles - torch.floor(cycles)).reshape(len(pitch), -1)


def _starts(steps: torch.Tensor, phases: torch.Tensor | None) -> torch.Tensor:
    """Phases (B, F, N) in cycles, wrapped, at the frames' starts, of cycles a frame (B, F, 3, N)."""
    advance = (steps[:, :, 0] + 4 * steps[:, :, 1] + steps[:, :, 2]) / 6
    first = torch.zeros_like(advance[:, :1]) if phases is None else phases.double()[:, None].expand_as(advance[:, :1])
    advance = torch.cat([first, advance[:, :-1]], 1)
    advance = advance - torch.floor(advance)
    # Integers wrap without an error; the sum in floating point only carries the gradient.
    fixed = torch.cumsum((advance.detach() * FIXED_POINT).to(torch.int64), 1) & (int(FIXED_POINT) - 1)
    exact = fixed.double() / FIXED_POINT
    if not advance.requires_grad:
        return exact
    total = torch.cumsum(advance, 1)
    return total + (exact - total).detach()


def _integrals(hop: int, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(spline_integrals(hop)[:, :-1]).to(like)


class _Sines(torch.autograd.Function):
    """Σ_k amplitude_k(t) · sin(2π · phase_k(t)): coefficients (B, F, 3, K), cycles a frame (B, F, 3, N), starts (B, F, N), N = 1 or K."""

    @staticmethod
    def forward(
        ctx: Any, coefficients: torch.Tensor, steps: torch.Tensor, starts: torch.Tensor, multiples: torch.Tensor, hop: int, native: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(coefficients, steps, starts, multiples)
        ctx.hop, ctx.native = hop, native
        if native:
            heard, cycles, first = (
                one.detach().flatten(0, 1).contiguous().numpy() for one in (coefficients, steps[..., 0], starts[..., 0])
            )
            sound = ladder(heard, cycles, first, hop)
            return torch.from_numpy(sound).reshape(*coefficients.shape[:2], hop)
        weights = torch.from_numpy(spline_weights(hop)).to(coefficients)  # (3, hop)
        flat = coefficients.flatten(0, 1)
        output = flat.new_empty(len(flat), hop)
        for part in _parts(len(flat), multiples, hop):
            turns = _turns(steps, starts, multiples, hop, part).to(flat.dtype)
            output[part] = ((flat[part] @ torch.sin(turns)) * weights).sum(1)
        return output.reshape(*coefficients.shape[:2], hop)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        coefficients, steps, starts, multiples = ctx.saved_tensors
        hop, native = ctx.hop, ctx.native
        weights = torch.from_numpy(spline_weights(hop)).to(coefficients)
        integrals = _integrals(hop, steps)
        flat, given = coefficients.flatten(0, 1), gradient.flatten(0, 1)
        moving = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        if native and not moving:
            cycles, first = (one.flatten(0, 1).contiguous().numpy() for one in (steps[..., 0], starts[..., 0]))
            by_ladder = ladder_gradient(given.contiguous().numpy(), coefficients.shape[3], cycles, first)
            return torch.from_numpy(by_ladder).reshape(coefficients.shape), None, None, None, None, None
        to_coefficients = torch.empty_like(flat) if ctx.needs_input_grad[0] else None
        to_steps = torch.empty_like(steps.flatten(0, 1)) if moving else None
        to_starts = torch.empty_like(starts.flatten(0, 1)) if moving else None
        for part in _parts(len(flat), multiples, hop):
            turns = _turns(steps, starts, multiples, hop, part).to(flat.dtype)
            weighted = given[part][:, None, :] * weights  # (n, 3, hop)
            if to_coefficients is not None:
                to_coefficients[part] = weighted @ torch.sin(turns).transpose(1, 2)
            if to_steps is not None and to_starts is not None:
                levels = flat[part].transpose(1, 2) @ weighted  # (n, K, hop): amplitude times the gradient of the sound
                by_cycle = 2 * math.pi * multiples[:, None] * (levels * torch.cos(turns)).double()
                if starts.shape[2] == 1:
                    by_cycle = by_cycle.sum(1, keepdim=True)
                to_starts[part] = by_cycle.sum(2)
                to_steps[part] = (by_cycle @ integrals.T).transpose(1, 2)
        shaped = [None if one is None else one.reshape(like.shape) for one, like in ((to_steps, steps), (to_starts, starts))]
        return None if to_coefficients is None else to_coefficients.reshape(coefficients.shape), *shaped, None, None, None


def _parts(frames: int, multiples: torch.Tensor, hop: int) -> list[slice]:
    """The frames in groups of about CHUNK sines."""
    size = max(1, (CHUNK if multiples.device.type == "cpu" else CHUNK_ON_DEVICE) // (len(multiples) * hop))
    return [slice(first, first + size) for first in range(0, frames, size)]


def _turns(steps: torch.Tensor, starts: torch.Tensor, multiples: torch.Tensor, hop: int, part: slice) -> torch.Tensor:
    """Phases (n, K, hop) in radians within −π … π, float64, of some of the frames."""
    steps, starts = steps.flatten(0, 1)[part], starts.flatten(0, 1)[part]
    cycles = starts[..., None] + steps.transpose(1, 2) @ _integrals(hop, steps)  # (n, N, hop)
    cycles = cycles * multiples[:, None]
    return cycles.sub_(torch.round(cycles)).mul_(2 * math.pi)

"""Linear filters, designed by scipy and applied to tensors along time, in batches; those of finite response with gradients.

Sound is (…, T), time last, an array or a tensor; the result has the same shape, kind and floating type. Frequencies are in hertz.
A finite filter (FIR) is a list of taps (K,), odd and symmetric as designed here, so that it delays all frequencies alike and the delay
can be taken back. A recursive filter (IIR) is a list of second-order sections (N, 6), which stay exact where one long polynomial does
not. Source of the design rules: J. Kaiser's window method (1974) and Butterworth, Chebyshev and Cauer filters as scipy has them.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Sound = TypeVar("Sound", "np.ndarray", "torch.Tensor")
KINDS = ("low", "high", "band", "stop")
FAMILIES = ("butter", "cheby1", "cheby2", "ellip")
LONGEST = 1 << 17  # taps; a transition that needs more is a mistake


def fir_filter(
    kind: str, edges: float | tuple[float, float], sample_rate: float, transition: float, attenuation_db: float = 100.0
) -> np.ndarray:
    """Taps (K,) float64, K odd, that pass "low", "high", "band" or "stop" frequencies; at an edge the gain is one half.

    The stopband begins half a `transition` (hertz) beyond the edge and lies `attenuation_db` down; the passband is as flat.
    Raises `ValueError` for another kind, an edge outside 0 … half the rate, and a transition too narrow or too wide.
    """
    from scipy import signal

    cuts = _checked_edges(kind, edges, sample_rate)
    if not 0 < transition <= sample_rate / 2:
        raise ValueError(f"transition is {transition} Hz: above 0 and at most half of {sample_rate} Hz is wanted")
    taps, beta = signal.kaiserord(attenuation_db + 1, 2 * transition / sample_rate)  # his formula falls short by some tenths of a dB
    if taps > LONGEST:
        raise ValueError(f"a transition of {transition} Hz at {sample_rate} Hz needs {taps} taps, more than {LONGEST}; widen it")
    passes = {"low": "lowpass", "high": "highpass", "band": "bandpass", "stop": "bandstop"}[kind]
    return signal.firwin(taps | 1, cuts, window=("kaiser", beta), pass_zero=passes, fs=sample_rate)


def iir_filter(
    kind: str, edges: float | tuple[float, float], sample_rate: float, order: int = 4, family: str = "butter",
    ripple_db: float = 0.1, attenuation_db: float = 60.0,
) -> np.ndarray:  # fmt: skip
    """Second-order sections (N, 6) of a recursive filter of one of the `FAMILIES`; a Butterworth is 3 dB down at its edges.

    `ripple_db` counts for cheby1 and ellip, `attenuation_db` for cheby2 and ellip. Raises `ValueError` for wrong kinds and edges.
    """
    from scipy import signal

    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}: {', '.join(FAMILIES)} are known")
    if order < 1:
        raise ValueError(f"order is {order}: at least 1 is wanted")
    cuts = _checked_edges(kind, edges, sample_rate)
    passes = {"low": "lowpass", "high": "highpass", "band": "bandpass", "stop": "bandstop"}[kind]
    return signal.iirfilter(order, cuts, ripple_db, attenuation_db, btype=passes, ftype=family, output="sos", fs=sample_rate)


def apply_fir(sound: Sound, taps: "Sound | np.ndarray", causal: bool = False) -> Sound:
    """Sound (…, T) through taps (K,): (…, T), as if silence were before and after.

    The delay of (K − 1) / 2 samples is taken back, or with `causal` kept, so that nothing depends on what comes later. On tensors it is
    differentiable with respect to the sound and to taps that are a tensor. Raises `ValueError` for taps that are not (K,), K odd unless
    causal. Products in the frequency domain: rounding errors of 1e-7 of the loudest sample in float32.
    """
    if taps.ndim != 1 or not (causal or len(taps) % 2):
        raise ValueError(f"taps of the shape {tuple(taps.shape)}: one list is wanted, of an odd number of taps unless causal")
    begin = 0 if causal else len(taps) // 2
    if isinstance(sound, np.ndarray):
        from scipy import signal

        kind = sound.dtype if sound.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        shaped = np.asarray(taps, kind).reshape((1,) * (sound.ndim - 1) + (-1,))
        return signal.oaconvolve(sound.astype(kind), shaped, axes=-1)[..., begin : begin + sound.shape[-1]]
    import torch

    line = torch.as_tensor(taps, dtype=sound.dtype, device=sound.device)
    size = _fast_length(sound.shape[-1] + len(line) - 1)
    spectrum = torch.fft.rfft(sound, size) * torch.fft.rfft(line, size)
    return torch.fft.irfft(spectrum, size)[..., begin : begin + sound.shape[-1]]


def apply_iir(sound: Sound, sections: np.ndarray, zero_phase: bool = False) -> Sound:
    """Sound (…, T) through second-order sections (N, 6), starting from rest.

    With `zero_phase` once forwards and once backwards: no delay, twice the attenuation in dB. Computed in double precision.
    A tensor that wants a gradient raises `ValueError`: recursion gives none here; use a finite filter.
    """
    from scipy import signal

    if isinstance(sound, np.ndarray):
        kind = sound.dtype if sound.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        plain = sound.astype(np.float64)
        if not zero_phase:
            return signal.sosfilt(sections, plain, axis=-1).astype(kind)
        return signal.sosfiltfilt(sections, plain, axis=-1, padtype=None).astype(kind)
    import torch

    if sound.requires_grad:
        raise ValueError("a recursive filter gives no gradient; detach the sound, or use fir_filter and apply_fir")
    return torch.from_numpy(np.ascontiguousarray(apply_iir(sound.cpu().numpy(), sections, zero_phase))).to(sound)


def response(line: np.ndarray, frequency: np.ndarray, sample_rate: float) -> np.ndarray:
    """Complex gain at frequencies (N,) in hertz of taps (K,), seen as causal, or of second-order sections (M, 6)."""
    from scipy import signal

    angle = 2 * math.pi * np.asarray(frequency, np.float64) / sample_rate
    if line.ndim == 2:
        return signal.freqz_sos(line, angle)[1]
    return np.exp(-1j * angle[:, None] * np.arange(len(line))) @ line


def _checked_edges(kind: str, edges: float | tuple[float, float], sample_rate: float) -> float | tuple[float, float]:
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: {', '.join(KINDS)} are known")
    given = np.atleast_1d(np.asarray(edges, np.float64))
    wanted = 2 if kind in ("band", "stop") else 1
    if len(given) != wanted or not (given[0] > 0 and (np.diff(given) > 0).all() and given[-1] < sample_rate / 2):
        count = "two rising edges" if wanted == 2 else "one edge"
        raise ValueError(f"edges {edges}: {count} above 0 and below {sample_rate / 2:g} Hz, half the sample rate, are wanted for {kind}")
    return edges


def _fast_length(length: int) -> int:
    from scipy import fft

    return int(fft.next_fast_len(length, real=True))

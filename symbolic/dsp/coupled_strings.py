"""Strings that ring as one note: what beats and falls twice in a partial, taken apart.

A key of a piano strikes two or three strings, tuned a cent or so apart and joined at the bridge. What moves the bridge falls fast, what
does not move it falls slowly, and where both are equally loud the partial beats (G. Weinreich, "Coupled piano strings", JASA 62, 1977).
A partial's complex amplitude is then a sum of two or three vectors that turn and fall evenly, which are the rotations of its signal space
(ESPRIT, as in `damped_modes`). Their powers added up are the partial without its beats.

Shapes: K moments of P partials. The strings of a partial but the one that falls fastest are told beside that one, by four numbers: cents
above it, decibels above it at the stroke, decibels a second by which it falls faster, and the part of a turn ahead at the stroke.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.decaying_partials import PartialTracks

OTHERS = 2  # strings beside the fastest one
NO_STRING, WEAKEST = -120.0, -60.0  # dB of one that is not there, and under which none is heard
RATE = 50.0  # looks a second, about: beats are slow
PASS = 12.0  # hertz around the partial
BEGIN = 0.1  # seconds after the stroke, from which on strings are looked for, and heard from then to twice as long
LONGEST, SHORTEST = 250, 16  # looks
SOUNDING = 45.0  # dB under a partial's top, below which it is not looked at
EXPLAINED = 8.0  # dB that the strings must take away of a partial
MORE = 3.0  # dB that they must take away more than one string fewer does
ALONE = 30.0  # dB that one string takes away where it is the only one
SLOWEST, FASTEST = 0.3, 120.0  # dB a second
WIDEST_CENTS, WIDEST = 10.0, 6.0  # and hertz: the strings of a key are not farther apart
UNDER = 30.0  # dB that a string may be under the loudest one of the key at the beginning
ABOVE = 12.0  # dB that one may be above all that is measured: strings against each other are told no better
DECIBELS = 20 / np.log(10)  # of one neper
LOUDEST = 1e6  # power of a string against the loudest at first, beyond which all are counted anew


@dataclass(frozen=True)
class _Vectors:
    """Vectors that turn and fall, the slowest last: hertz, falls and complex heights at `BEGIN`, and the decibels of what they leave."""

    hertz: np.ndarray
    falls: np.ndarray
    heights: np.ndarray
    left: float

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Complex amplitudes (K, …) at seconds (K,) after the stroke."""
        return np.asarray(self.heights * np.exp((2j * np.pi * self.hertz - self.falls / DECIBELS) * (seconds[:, None] - BEGIN)))


def apart(tracks: PartialTracks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Powers (K, P) of the partials without their beats, their strings (P, OTHERS, 4), and the decibels (P,) of what these leave of them.

    Where no strings are found a partial's power is as it is measured, as it is everywhere before `BEGIN`, and it leaves 0 dB. What the
    slower strings leave counts as the fastest one's, so that nothing of the sound is lost.
    """
    spacing = tracks.hop / tracks.sample_rate
    moments = np.arange(len(tracks.amplitudes)) * spacing
    powers, left = np.square(np.abs(tracks.amplitudes)), np.zeros(len(tracks.hertz))
    strings = no_strings(len(tracks.hertz))
    entered = _entered(moments)
    for place, (amplitudes, hertz) in enumerate(zip(tracks.amplitudes.T, tracks.hertz, strict=True)):
        found = _strings(amplitudes, spacing, hertz)
        if found is not None:
            slower = found.at(moments)[:, 1:]
            alone = np.square(np.abs(amplitudes - slower.sum(1))) + np.square(np.abs(slower)).sum(1)
            powers[:, place] += entered * (alone - powers[:, place])
            strings[place, : len(found.hertz) - 1], left[place] = _told(found, hertz), found.left
    return powers, strings, left


def no_strings(partials: int) -> np.ndarray:
    """Strings (P, OTHERS, 4) that are not there."""
    return np.tile(np.array([0.0, NO_STRING, 0.0, 0.0]), (partials, OTHERS, 1))


def beats(strings: np.ndarray, hertz: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Factors (F, P) float32 by which the strings (P, OTHERS, 4) of partials at `hertz` (P,) make their levels beat, at evenly spaced
    seconds (F,): how loud they are together against the sum of their powers; 1 for one string alone and until `BEGIN`."""
    factors = np.ones((len(time), len(hertz)), np.float32)
    if len(time) and time[-1] > BEGIN:
        step = float(time[1] - time[0]) if len(time) > 1 else 0.0
        _beat_loop(strings.astype(np.float64), hertz.astype(np.float64), float(time[0]), step, _entered(time), factors)
    return factors


@compiled
def _beat_loop(strings: np.ndarray, hertz: np.ndarray, first: float, step: float, entered: np.ndarray, factors: np.ndarray) -> None:
    frames, others = factors.shape[0], strings.shape[1]
    for p in range(factors.shape[1]):
        if strings[p, :, 1].max() <= WEAKEST:
            continue
        top = 0.0
        for other in range(others):
            if strings[p, other, 1] > WEAKEST:
                top = max(top, strings[p, other, 1] + strings[p, other, 2] * first)
        own = 10 ** (-top / 20)
        real, imaginary, power = np.zeros(others), np.zeros(others), np.zeros(others)
        turn_real, turn_imaginary, grow = np.zeros(others), np.zeros(others), np.ones(others)
        for other in range(others):
            cents, balance, faster, ahead = strings[p, other]
            if balance <= WEAKEST:
                continue
            away = hertz[p] * (2.0 ** (cents / 1200) - 1)
            size = 10 ** ((balance + faster * first - top) / 20)
            angle = 2 * np.pi * (ahead + away * first)
            real[other], imaginary[other], power[other] = size * np.cos(angle), size * np.sin(angle), size * size
            turn_real[other], turn_imaginary[other] = np.cos(2 * np.pi * away * step), np.sin(2 * np.pi * away * step)
            grow[other] = 10 ** (faster * step / 20)
        for frame in range(frames):
            x, y, total = own, 0.0, own * own
            for other in range(others):
                x += real[other]
                y += imaginary[other]
                total += power[other]
                turned = (real[other] * turn_real[other] - imaginary[other] * turn_imaginary[other]) * grow[other]
                imaginary[other] = (real[other] * turn_imaginary[other] + imaginary[other] * turn_real[other]) * grow[other]
                real[other] = turned
                power[other] *= grow[other] * grow[other]
            if power.max() > LOUDEST:
                own, real, imaginary, power = own * 1e-3, real * 1e-3, imaginary * 1e-3, power * 1e-6
            factors[frame, p] = 1 + entered[frame] * (np.sqrt((x * x + y * y) / total) - 1)


def _entered(time: np.ndarray) -> np.ndarray:
    """How much of the strings is heard at seconds after the stroke, 0 … 1."""
    return np.clip(time / BEGIN - 1, 0, 1)


def _told(found: _Vectors, hertz: float) -> np.ndarray:
    """The slower strings (strings − 1, 4) beside the fastest one."""
    cents = 1200 * np.log2((hertz + found.hertz[1:]) / (hertz + found.hertz[0]))
    at_stroke = found.at(np.zeros(1))[0]
    against = at_stroke[1:] / at_stroke[0]
    return np.stack([cents, 20 * np.log10(np.abs(against)), found.falls[0] - found.falls[1:], np.angle(against) / (2 * np.pi)], 1)


def _strings(amplitudes: np.ndarray, spacing: float, hertz: float) -> _Vectors | None:
    """The two or three strings that tell a partial well; None where one does about as well or nothing steady is found."""
    looks, step = _looks(amplitudes, spacing)
    if len(looks) < SHORTEST:
        return None
    top = float(np.abs(looks).max())
    windows = np.lib.stride_tricks.sliding_window_view(looks, len(looks) // 2)
    space = np.linalg.svd(windows.T @ windows.conj())[0]
    found, before = None, _vectors(looks, step, space[:, :1]).left
    if before < -ALONE:
        return None
    for order in range(2, OTHERS + 2):
        strings = _vectors(looks, step, space[:, :order])
        distance = np.ptp(strings.hertz)
        near = distance < WIDEST and 1200 / np.log(2) * distance / hertz < WIDEST_CENTS
        steady = strings.falls.min() > SLOWEST and strings.falls.max() < FASTEST
        heights = np.abs(strings.heights)
        sized = heights.max() < top * 10 ** (ABOVE / 20) and heights.min() > heights.max() * 10 ** (-UNDER / 20)
        if near and steady and sized and strings.left < min(-EXPLAINED, before - MORE):
            found = strings
        before = strings.left
    return found


def _looks(amplitudes: np.ndarray, spacing: float) -> tuple[np.ndarray, float]:
    """The amplitude from `BEGIN` on, while it sounds, at about `RATE` a second and without its neighbours; and the seconds between."""
    from scipy import signal

    stride = max(1, round(1 / (RATE * spacing)))
    if stride > 1:
        taps = signal.firwin(8 * stride + 1, PASS, fs=1 / spacing)
        if len(amplitudes) <= len(taps):
            return np.zeros(0, complex), spacing
        amplitudes = np.convolve(amplitudes, taps, "same")[: len(amplitudes) - 4 * stride]  # behind the end there is silence in the filter
    looks = amplitudes[round(BEGIN / spacing) :: stride]
    level = 20 * np.log10(np.abs(looks) + 1e-12)
    sounding = np.flatnonzero(level > level.max(initial=-np.inf) - SOUNDING)
    return (looks[: sounding[-1] + 1][:LONGEST] if len(sounding) else looks[:0]), stride * spacing


def _vectors(looks: np.ndarray, step: float, space: np.ndarray) -> _Vectors:
    """The vectors of a signal space (L, strings) that tell the looks best."""
    rotations = np.linalg.eigvals(np.linalg.lstsq(space[:-1], space[1:], rcond=None)[0])
    rotations = rotations / np.maximum(np.abs(rotations), 1)  # no string grows
    rotations = rotations[np.argsort(np.abs(rotations))]
    curves = rotations[None, :] ** np.arange(len(looks))[:, None]
    heights = np.linalg.lstsq(curves, looks, rcond=None)[0]
    left = np.square(np.abs(looks - curves @ heights)).sum() / max(float(np.square(np.abs(looks)).sum()), 1e-30)
    hertz, falls = np.angle(rotations) / (2 * np.pi * step), -DECIBELS * np.log(np.maximum(np.abs(rotations), 1e-9)) / step
    return _Vectors(hertz, falls, heights, float(10 * np.log10(left + 1e-12)))

"""The modes of a struck body: sinusoids that fall evenly, found in a recording of one stroke.

A mode is Re a·exp((2πi·f − r)·t): hertz f, rate r of its fall a second, complex amplitude a at the stroke. Those of a drum, a bar or a
cymbal stand in no fixed ratio, so they are looked for everywhere: the sound is cut into bands, each band is brought down to 0 Hz, and the
rotations of its signal space are its modes (ESPRIT: R. Roy and T. Kailath, IEEE Trans. ASSP 37, 1989; in bands for percussive sounds:
R. Badeau, R. Boyer and B. David, 2002). A band of noise has rotations, too: a mode is believed as long as it takes away a good part of
what is left of its band. Of noise about one a band passes, which together hold less than a fifth of its energy.

Shapes: S samples of one channel, sample 0 is the stroke; M modes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from symbolic.dsp.envelopes import T60_RATE
from symbolic.dsp.oscillators import oscillator_bank

NARROW, WIDE, WIDE_FROM, HIGHEST = 200.0, 400.0, 2400.0, 16000.0  # hertz: width of the bands below and above WIDE_FROM
ORDER = 10  # rotations looked for in a band
POWERS = 6  # of the iteration that finds them
MOST_IN_BAND = 6
TAKES_AWAY = 1.0  # dB of what is left of its band that a mode must take away
QUIETEST_BAND = 1e-6  # of the sound's energy
SHORTEST_T60, LONGEST_T60 = 0.025, 60.0  # seconds
BAND_SAMPLES = 600  # of a band, at most, that are looked at
LOWEST = 20.0  # hertz
HOP = 64  # samples between the control points of the modes when they are played
RIDGE = 1e-5  # keeps modes that are nearly alike from growing against each other


@dataclass(frozen=True)
class Modes:
    """Hertz, rates of fall (1 / s, amplitude falls by exp(−rate · t)) and complex amplitudes, each (M,), the strongest first."""

    hertz: np.ndarray
    rates: np.ndarray
    amplitudes: np.ndarray

    def __len__(self) -> int:
        return len(self.hertz)


def find_modes(sound: np.ndarray, sample_rate: float, most: int, begin: float, seconds: float = 1.5) -> Modes:
    """The modes of a stroke (S,) from `begin` seconds behind it on, at most `most`, those of the most energy; none where there are none.

    At most `seconds` are looked at.
    """
    sound = np.asarray(sound, np.float64)[: round((begin + seconds) * sample_rate)]
    total = float(np.square(sound).sum())
    found: list[tuple[float, float, float]] = []
    for centre, width in _bands(sample_rate):
        part, rate = _band(sound, sample_rate, centre, width)
        part = part[round(begin * rate) :]
        part = part[: max(3 * ORDER, _sounding(part))][:BAND_SAMPLES]
        if len(part) >= 3 * ORDER and np.square(np.abs(part)).sum() * sample_rate / rate > QUIETEST_BAND * total > 0:
            found += [(energy, centre + hertz, fall) for energy, hertz, fall in _modes_of_band(part, rate, width)]
    # A mode that is already low when it is looked for would come out of all bounds at the stroke.
    chosen = sorted((mode for mode in found if mode[1] > LOWEST), reverse=True)[:most]
    hertz, rates = (np.array([mode[place] for mode in chosen]) for place in (1, 2))
    return Modes(hertz, rates, _amplitudes(sound, sample_rate, hertz, rates, begin))


def modes_sound(modes: Modes, samples: int, sample_rate: int) -> np.ndarray:
    """The sound (samples,) float32 of modes: what `find_modes` found in it."""
    frames = -(-samples // HOP)
    if not len(modes) or not frames:
        return np.zeros(samples, np.float32)
    order = np.argsort(modes.hertz)
    time = np.arange(frames + 1) * (HOP / sample_rate)
    levels = (np.abs(modes.amplitudes[order]) * np.exp(-time[:, None] * modes.rates[order])).astype(np.float32)
    phases = np.angle(modes.amplitudes[order]) / (2 * np.pi) + 0.25  # the bank's sines are cosines a quarter turn later
    return oscillator_bank(np.ones(frames + 1), modes.hertz[order], levels, phases, HOP, sample_rate)[:samples]


def t60_of(rates: np.ndarray) -> np.ndarray:
    """Seconds in which modes of these rates fall by 60 dB."""
    return np.asarray(T60_RATE / np.maximum(rates, 1e-9))


def _bands(sample_rate: float) -> Iterator[tuple[float, float]]:
    """Centre and width of the bands, from the lowest up."""
    low = 0.0
    while low < min(HIGHEST, 0.4 * sample_rate):
        width = NARROW if low < WIDE_FROM else WIDE
        yield low + width / 2, width
        low += width


def _band(sound: np.ndarray, sample_rate: float, centre: float, width: float) -> tuple[np.ndarray, float]:
    """The sound around a centre, brought down to 0 Hz, complex, at about twice the width; and its rate."""
    from scipy import signal

    step = max(1, int(sample_rate / (2 * width)))
    taps = signal.firwin(8 * step + 1, 0.6 * width, fs=sample_rate)
    down = sound * np.exp(-2j * np.pi * centre / sample_rate * np.arange(len(sound)))
    return signal.fftconvolve(down, taps, "same")[::step] if len(sound) > len(taps) else np.zeros(0, complex), sample_rate / step


def _sounding(part: np.ndarray) -> int:
    """How many samples it takes until a hundred-thousandth of the energy is left."""
    left = np.cumsum(np.square(np.abs(part))[::-1])[::-1]
    return int((left >= 1e-5 * left[:1]).sum())


def _modes_of_band(part: np.ndarray, rate: float, width: float) -> list[tuple[float, float, float]]:
    """Energy, hertz from the centre and rate of fall of the modes of a band, those first that take the most away."""
    windows = np.lib.stride_tricks.sliding_window_view(part, len(part) // 2)
    space = _strongest(windows)
    turns = np.linalg.eigvals(np.linalg.lstsq(space[:-1], space[1:], rcond=None)[0])
    hertz, falls = np.angle(turns) * rate / (2 * np.pi), -np.log(np.maximum(np.abs(turns), 1e-9)) * rate
    within = (np.abs(hertz) <= width / 2) & (falls > T60_RATE / LONGEST_T60) & (falls < T60_RATE / SHORTEST_T60)
    hertz, falls = hertz[within], falls[within]
    curves = np.exp((2j * np.pi * hertz - falls) * (np.arange(len(part)) / rate)[:, None])
    energy = np.square(np.abs(curves)).sum(0)
    curves = curves / np.sqrt(energy)
    squares, heights = curves.conj().T @ curves, curves.conj().T @ part
    total = float(np.square(np.abs(part)).sum())
    chosen = np.arange(len(hertz))
    while len(chosen):  # modes that lie close take away much together and nothing alone, so the superfluous ones are left out one by one
        inverse = np.linalg.inv(squares[np.ix_(chosen, chosen)] + 1e-9 * np.eye(len(chosen)))
        fitted = inverse @ heights[chosen]
        left = max(total - float((heights[chosen].conj() @ fitted).real), 1e-9 * total)
        more = np.square(np.abs(fitted)) / np.diag(inverse).real  # energy that is left besides when a mode is left out
        least = int(np.argmin(more))
        if len(chosen) <= MOST_IN_BAND and left + more[least] > left * 10 ** (TAKES_AWAY / 10):
            return [
                (float(size / rate), float(hertz[place]), float(falls[place]))
                for size, place in zip(np.square(np.abs(fitted)), chosen, strict=True)
            ]
        chosen = np.delete(chosen, least)
    return []


def _strongest(windows: np.ndarray) -> np.ndarray:
    """A basis (L, ORDER) of what the windows (K, L) have most in common, by power iteration."""
    basis = np.random.default_rng(0).standard_normal((windows.shape[1], ORDER + 6)).astype(complex)
    for _ in range(POWERS):
        basis = np.linalg.qr(windows.T @ (windows.conj() @ basis))[0]
    small = windows.conj() @ basis
    return np.asarray(basis @ np.linalg.svd(small, full_matrices=False)[2].conj().T[:, :ORDER])


def _amplitudes(sound: np.ndarray, sample_rate: float, hertz: np.ndarray, rates: np.ndarray, begin: float) -> np.ndarray:
    """Complex amplitudes (M,) at the stroke by least squares over the sound from `begin` on, all modes together."""
    if not len(hertz):
        return np.zeros(0, complex)
    first = round(begin * sample_rate)
    time = np.arange(len(sound) - first) / sample_rate
    curves = np.exp((2j * np.pi * hertz - rates)[:, None] * time)
    rows = np.concatenate([curves.real, -curves.imag])
    squares = rows @ rows.T
    squares[np.diag_indices_from(squares)] *= 1 + RIDGE
    heights = np.linalg.solve(squares, rows @ sound[first:])
    at_begin = heights[: len(hertz)] + 1j * heights[len(hertz) :]
    return np.asarray(at_begin * np.exp((rates - 2j * np.pi * hertz) * (first / sample_rate)))

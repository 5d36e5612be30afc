"""Where the modes of a bar, bell, tube or skin lie: not at multiples of a fundamental, so they are looked for as peaks of the spectrum.

Shapes: S samples of one channel, P modes.
"""

from collections.abc import Sequence

import numpy as np

from symbolic.dsp.decaying_partials import vertex

RISE = 0.004  # seconds over which what is heard begins
LOWEST = 0.2  # of the nominal frequency: a bell's hum is at a half, an organ's lowest stop at a quarter
DEEPEST = 70.0  # dB under the loudest mode
STANDS_OUT = 9.0  # dB above the median around it that a mode must have
AROUND = 0.5  # of the nominal frequency: to either side
TUNED = 0.03  # how far, relatively, the mode that is heard as the pitch may be from the nominal frequency
TUNING_DEPTH = 25.0  # dB under the loudest mode that it may be


def find_modes(
    sounds: Sequence[np.ndarray], sample_rate: float, nominal: float, highest: float, most: int, apart: float, seconds: float = 0.5
) -> np.ndarray:
    """Rising hertz (P ≤ most) of the loudest modes in the first seconds of one key, struck once or several times (S,).

    They are at least `apart` hertz from each other, and below `highest`.
    """
    length = round(seconds * sample_rate)
    size = 1 << int(np.ceil(np.log2(4 * length)))
    power = np.zeros(size // 2 + 1)
    for sound in sounds:
        part = sound[:length]
        window = np.hanning(2 * len(part))[len(part) :]
        rising = min(len(part), round(RISE * sample_rate))
        window[:rising] *= np.hanning(2 * rising)[:rising]
        one = np.abs(np.fft.rfft(part * window, size)) ** 2
        power += one / max(float(one.max()), 1e-30)
    spectrum, step = 10 * np.log10(power + 1e-30), sample_rate / size
    inner = spectrum[1:-1]
    peaks = np.flatnonzero((inner > spectrum[:-2]) & (inner >= spectrum[2:]) & (inner > spectrum.max() - DEEPEST)) + 1
    peaks = peaks[(peaks * step > LOWEST * nominal) & (peaks * step < highest)]
    reach, chosen = max(8, round(AROUND * nominal / step)), list[int]()
    for peak in peaks[np.argsort(-spectrum[peaks], kind="stable")]:
        if len(chosen) == most:
            break
        if all(abs(peak - other) * step >= apart for other in chosen):
            around = spectrum[max(0, peak - reach) : peak + reach + 1]
            if spectrum[peak] > np.median(around) + STANDS_OUT:
                chosen.append(int(peak))
    return np.array([(peak + vertex(spectrum[peak - 1 : peak + 2])) * step for peak in sorted(chosen)])


def tuning_of(hertz: np.ndarray, levels: np.ndarray, nominal: float) -> float:
    """How much higher than `nominal` hertz a note is, as a factor, by its mode there; 1 where the pitch is not that of a mode.

    `levels` (P,) are the modes' loudest decibels. The pitch of a bell is heard between its modes.
    """
    near = (np.abs(hertz / nominal - 1) < TUNED) & (levels > levels.max(initial=-np.inf) - TUNING_DEPTH)
    if not near.any():
        return 1.0
    return float(hertz[near][levels[near].argmax()] / nominal)

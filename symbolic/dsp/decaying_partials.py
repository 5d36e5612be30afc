"""What a struck or plucked string does after the stroke: where its partials lie, how each of them decays, and what is left beside them.

A stiff string has partials at f_n = n·f·√(1 + B·n²) (H. Fletcher, "Normal Vibration Frequencies of a Stiff Piano String", 1964). Each is
brought down to 0 Hz and averaged under a window that holds some periods, which gives a complex amplitude from moment to moment; the
sound less all of them is the residual: hammer, pick, key and room.

Shapes: S samples of one channel, P partials, K moments `hop` samples apart, the first at sample 0, which is the stroke.
"""

from dataclasses import dataclass

import numpy as np

PERIODS = 4.0  # in the window: neighbours a fundamental apart stay apart
SHORTEST_WINDOW = 0.02  # seconds
LOOKED_FOR = 0.3  # of the fundamental: how far from its place a partial is looked for
FIRST_LOOKED_FOR = 0.035  # the same of the first one: 60 cents, so that it is not mistaken for another note
STANDS_OUT = 8.0  # dB above the median around it that a partial must have to be believed
MOST_STIFF = 0.03
PARTIALS_AT_ONCE = 16


def stiff_partials(frequency: float, stiffness: float, highest: float, most: int) -> np.ndarray:
    """Hertz (P,) of the partials of a string below `highest`, at most `most`; stiffness is B."""
    number = np.arange(1.0, most + 1)
    hertz = number * frequency * np.sqrt(1 + stiffness * number**2)
    return hertz[hertz < highest]


def find_string(sound: np.ndarray, sample_rate: float, nominal: float, most: int = 40) -> tuple[float, float]:
    """Frequency f and stiffness B of a string (S,) of about `nominal` hertz, from its partials soon after the stroke.

    Gives (`nominal`, 0.0) where no partial stands out.
    """
    begin = round(min(max(5 / nominal, 0.01), 0.05) * sample_rate)
    part = sound[begin : begin + round(min(max(400 / nominal, 0.12), max(0.4, 12 / nominal)) * sample_rate)]  # high notes are short
    if len(part) < 3 * sample_rate / nominal:
        return nominal, 0.0
    size = 1 << int(np.ceil(np.log2(4 * len(part))))
    spectrum = 20 * np.log10(np.abs(np.fft.rfft(part * np.hanning(len(part)), size)) + 1e-12)
    step = sample_rate / size
    frequency, stiffness = nominal, 0.0
    numbers, found = list[int](), list[float]()
    for number in range(1, most + 1):
        place = number * frequency * np.sqrt(1 + stiffness * number**2)
        reach = (LOOKED_FOR if number > 1 else FIRST_LOOKED_FOR) * nominal
        low, high = int((place - reach) / step), int((place + reach) / step) + 1
        if high >= len(spectrum) - 1:
            break
        around = spectrum[low:high]
        top = low + int(around.argmax())
        if spectrum[top] < np.median(around) + STANDS_OUT or top in (low, high - 1):
            continue
        numbers.append(number)
        found.append((top + vertex(spectrum[top - 1 : top + 2])) * step)
        frequency, stiffness = _fitted(np.array(numbers), np.array(found))
    return (frequency, stiffness) if numbers else (nominal, 0.0)


@dataclass(frozen=True)
class PartialTracks:
    """Complex amplitudes (K, P) of partials at `hertz` (P,), every `hop` samples; the sound is Re Σ a·exp(2πi·hertz·t)."""

    hertz: np.ndarray
    amplitudes: np.ndarray
    hop: int
    sample_rate: float


def partial_tracks(sound: np.ndarray, sample_rate: float, hertz: np.ndarray, frequency: float) -> PartialTracks:
    """The amplitudes of a sound's (S,) partials; `frequency` is the distance between neighbours."""
    half = round(max(PERIODS / frequency, SHORTEST_WINDOW) * sample_rate / 2)
    hop = max(1, half // 2)
    count = -(-len(sound) // hop) + 1
    window = np.hanning(2 * half + 1)
    padded = np.concatenate([np.zeros(half), sound, np.zeros(half + hop)])
    there = np.concatenate([np.zeros(half), np.ones(len(sound)), np.zeros(half + hop)])
    starts = hop * np.arange(count)
    segments = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[starts] * window
    weights = np.lib.stride_tricks.sliding_window_view(there, 2 * half + 1)[starts] @ window  # before the stroke there is nothing
    offsets = np.arange(-half, half + 1) / sample_rate
    amplitudes = np.empty((count, len(hertz)), np.complex128)
    for first in range(0, len(hertz), PARTIALS_AT_ONCE):
        chosen = slice(first, first + PARTIALS_AT_ONCE)
        down = np.exp(-2j * np.pi * offsets[:, None] * hertz[chosen])
        amplitudes[:, chosen] = segments @ down * np.exp(-2j * np.pi * (starts / sample_rate)[:, None] * hertz[chosen])
    return PartialTracks(hertz, 2 * amplitudes / np.maximum(weights, 1e-9)[:, None], hop, sample_rate)


def resynthesized(tracks: PartialTracks, samples: int) -> np.ndarray:
    """The sound (samples,) of the partials alone, amplitudes on straight lines between their moments."""
    time = np.arange(samples)
    place = time / tracks.hop
    low = np.minimum(place.astype(np.int64), len(tracks.amplitudes) - 2)
    share = place - low
    total = np.zeros(samples)
    for hertz, amplitude in zip(tracks.hertz, tracks.amplitudes.T, strict=True):
        curve = amplitude[low] * (1 - share) + amplitude[low + 1] * share
        total += (curve * np.exp(2j * np.pi * hertz / tracks.sample_rate * time)).real
    return total


def levels_at(power: np.ndarray, spacing: float, times: np.ndarray, *, steady: bool = True) -> np.ndarray:
    """Decibels (T, …) of a power (K, …), a value each `spacing` seconds, around `times` (T,): from a quarter before to a quarter behind.

    The mean is of decibels, so that what falls evenly is told right; of power where it is not `steady`, as noise.
    """
    places = np.arange(len(power)) * spacing
    rows = []
    for time in times:
        inside = (places >= 0.75 * time) & (places <= 1.25 * time)
        inside[min(len(power) - 1, round(time / spacing))] = True
        part = power[inside] + 1e-16
        rows.append((10 * np.log10(part)).mean(0) if steady else 10 * np.log10(part.mean(0)))
    return np.array(rows)


def _fitted(numbers: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """f and B from places of partials: (f_n / n)² = f² + f²·B·n² is a straight line in n². B is 0 where too few are known."""
    squares, lowest = (found / numbers) ** 2, float(found[0] / numbers[0])
    if len(numbers) < 4:
        return lowest, 0.0
    # Medians over all pairs (H. Theil, 1950; P. Sen, 1968): a partial taken for another one does no harm.
    above, below = np.triu_indices(len(numbers), 1)
    places = numbers.astype(float) ** 2
    slope = float(np.median((squares[below] - squares[above]) / (places[below] - places[above])))
    offset = float(np.median(squares - slope * places))
    if offset <= 0:
        return lowest, 0.0
    return float(np.sqrt(offset)), float(np.clip(slope / offset, 0, MOST_STIFF))


def vertex(three: np.ndarray) -> float:
    """Where between −½ and ½ the parabola through three values has its top."""
    curve = three[0] - 2 * three[1] + three[2]
    return float(np.clip(0.5 * (three[0] - three[2]) / curve, -0.5, 0.5)) if curve < 0 else 0.0

"""Drawing one id from logits: temperature, then what is kept of the likeliest (top-k, min-p, top-p), then chance.

Each of the three keeps a first part of the ids in order of probability, so together they keep the shortest.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from symbolic.errors import UsageError
from symbolic.tokenizers.automaton import DRUM_PITCH, DURATION, PITCH, PROGRAM, TEMPO, TIME_SIGNATURE, VELOCITY
from symbolic.tokenizers.vocabulary import TokenType

RHYTHM_AFTER = (TIME_SIGNATURE, TEMPO, VELOCITY, DURATION)  # where a position, a length or the end of a bar is chosen
HOTTEST = 10


@dataclass(frozen=True)
class SamplingSettings:
    """How ids are drawn. Temperatures divide the logits; None for one kind of token is `temperature`."""

    temperature: float = 1.1
    top_p: float = 0.95
    """In (0, 1]: keep the likeliest ids whose probabilities reach it."""
    top_k: int = 0
    """Keep so many of the likeliest ids; 0 keeps all."""
    min_p: float = 0.0
    """In [0, 1): keep ids at least so likely, as a share of the likeliest."""
    pitch_temperature: float | None = None
    rhythm_temperature: float | None = None
    velocity_temperature: float | None = None
    loop_heat: float = 0.0
    """While n bars in a row repeat earlier ones exactly, temperatures are multiplied by 1 + loop_heat × ln(1 + n)."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers out of their range."""
        for name in ("temperature", "pitch_temperature", "rhythm_temperature", "velocity_temperature"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= HOTTEST:
                raise UsageError(
                    f"{name.replace('_', ' ')} is {value}; a number above 0 and up to {HOTTEST} is wanted (1.0 is as learned, 0.8 is tamer)"
                )
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top-p is {self.top_p}; a number above 0 and up to 1 is wanted (1 keeps everything, 0.9 cuts the unlikely)")
        if self.top_k < 0:
            raise UsageError(f"top-k is {self.top_k}; a whole number from 1 is wanted, or 0 to keep all")
        if not 0 <= self.min_p < 1:
            raise UsageError(f"min-p is {self.min_p}; a number from 0 (keeps all) and below 1 is wanted, such as 0.05")
        if not 0 <= self.loop_heat <= HOTTEST:
            raise UsageError(f"loop heat is {self.loop_heat}; a number from 0 (off) to {HOTTEST} is wanted, such as 0.3")

    def temperature_after(self, last: TokenType | None, repeated: int = 0) -> float:
        """The temperature of the token after one of type `last`, when the last `repeated` bars repeat earlier ones."""
        own = None
        if last is PROGRAM:
            own = self.pitch_temperature
        elif last is PITCH or last is DRUM_PITCH:
            own = self.velocity_temperature
        elif last in RHYTHM_AFTER:
            own = self.rhythm_temperature
        warm = self.temperature if own is None else own
        return warm * (1 + self.loop_heat * math.log1p(repeated)) if repeated and self.loop_heat else warm


def draw(logits: np.ndarray, legal: np.ndarray, settings: SamplingSettings, generator: torch.Generator, temperature: float) -> int:
    """One id from logits (V,) among the legal ones, bool (V,). Raises `ValueError` when nothing is legal."""
    choices = np.flatnonzero(legal)
    if not len(choices):
        raise ValueError("no legal token: the constraints contradict the grammar")
    chance = torch.rand((), generator=generator, dtype=torch.float64).item()
    if len(choices) == 1:
        return int(choices[0])
    scaled = logits[choices].astype(np.float64) / temperature
    probabilities = np.exp(scaled - scaled.max())
    probabilities /= probabilities.sum()
    able = np.flatnonzero(probabilities >= (1 - settings.top_p) / len(choices))  # all others together are less than what top-p leaves out
    order = able[np.argsort(-probabilities[able], kind="stable")]
    ordered = probabilities[order]
    cumulative = ordered.cumsum()
    kept = min(int(np.searchsorted(cumulative, settings.top_p)) + 1, len(ordered))
    if settings.top_k:
        kept = min(kept, settings.top_k)
    if settings.min_p:
        kept = min(kept, int(np.count_nonzero(ordered >= settings.min_p * ordered[0])))
    place = int(np.searchsorted(cumulative, chance * cumulative[kept - 1], side="right"))
    return int(choices[order[min(place, kept - 1)]])

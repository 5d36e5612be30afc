"""Constraints that cannot be obeyed together are refused before the first token, with the two that contradict.

A part of the constraints is what it is called and which pitches of which instrument it allows: bool (129, 128), rows are
programs 0..127 and drums (128). All parts hold at once, so what is left is their conjunction.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from symbolic.errors import UsageError
from symbolic.generation.constraints import program_name
from symbolic.tokenizers.automaton import DRUM_RANK, DRUMS

TABLE = (DRUM_RANK + 1, 128)


@dataclass(frozen=True)
class Part:
    """One constraint by its name, and what it allows."""

    name: str
    allowed: np.ndarray


def rank(program: int) -> int:
    """The row of a program: its number, 128 for drums."""
    return DRUM_RANK if program == DRUMS else program


def conjunction(parts: Sequence[Part], required: Collection[int]) -> np.ndarray:
    """What all parts allow, bool (129, 128).

    Raises `UsageError` when nothing is left at all, or nothing to one of the `required` rows.
    """
    allowed = np.logical_and.reduce([part.allowed for part in parts])
    if not allowed.any():
        _refuse(parts, slice(None), "no instrument has a pitch left to play")
    for row in required:
        if not allowed[row].any():
            _refuse(parts, row, f"{program_name(DRUMS if row == DRUM_RANK else row)} has no pitch left to play")
    return allowed


def _refuse(parts: Sequence[Part], rows: int | slice, what: str) -> None:
    """Raise with the first part, pair, or set of parts that leaves nothing in `rows`."""
    for part in parts:
        if not part.allowed[rows].any():
            raise UsageError(f"{part.name} cannot be: {what}")
    for one, other in itertools.combinations(parts, 2):
        if not (one.allowed[rows] & other.allowed[rows]).any():
            raise UsageError(f"{one.name} and {other.name} contradict each other: {what}")
    narrow = [part.name for part in parts if not part.allowed[rows].all()]
    raise UsageError(f"{', '.join(narrow[:-1])} and {narrow[-1]} contradict each other together: {what}")

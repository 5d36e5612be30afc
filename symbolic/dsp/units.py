"""Units of music and of sound, converted.

Conventions: MIDI note numbers are real (69.0 is A4 = 440 Hz); gain is an amplitude factor; decibels are 20·log10(gain);
one cent is a hundredth of a semitone. Every function takes numbers or arrays.
"""

from typing import TypeVar

import numpy as np

A4_MIDI = 69
A4_HZ = 440.0
Real = TypeVar("Real", float, np.ndarray)


def midi_to_hz(note: Real) -> Real:
    """Frequency of a MIDI note number in equal temperament; 69 → 440.0, 81 → 880.0."""
    return A4_HZ * 2.0 ** ((note - A4_MIDI) / 12.0)


def hz_to_midi(frequency: float | np.ndarray) -> np.ndarray:
    """MIDI note number of a frequency in hertz; 220.0 → 57.0."""
    return A4_MIDI + 12.0 * np.log2(np.asarray(frequency) / A4_HZ)


def db_to_gain(decibels: Real) -> Real:
    """Amplitude factor of a level in decibels; −20.0 → 0.1."""
    return 10.0 ** (decibels / 20.0)


def gain_to_db(gain: float | np.ndarray, floor: float = -200.0) -> np.ndarray:
    """Level in decibels of an amplitude factor; 0.1 → −20.0, and nothing is below `floor`."""
    return 20.0 * np.log10(np.maximum(np.abs(gain), 10.0 ** (floor / 20.0)))


def cents_to_ratio(cents: Real) -> Real:
    """Frequency ratio of an interval in cents; 1200 → 2.0."""
    return 2.0 ** (cents / 1200.0)

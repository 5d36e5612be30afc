"""The names of the tokens, in the order of their ids: MidiTok's own for the same settings, told without loading MidiTok.

A name is Type_Value: Pitch_60, Position_24, Duration_1.12.24 (one beat and 12 of its 24 parts), TimeSig_6/8, Tempo_121.52.
Tokens for writing in the middle, which MidiTok does not have, come last (`tasks.py`).
Source: MidiTok 3.1, `REMI` with programs in one stream; `reference.py` builds that, and a test compares the two.
"""

import numpy as np

from symbolic.tokenizers.settings import TokenizerSettings

DRUMS = -1
PITCHES = range(128)
PROGRAMS = (*range(128), DRUMS)
LONGEST_LATER = 16
TASKS = ("Accompany", "Harmonise", "Melody", "Rhythm", "Pitches")
TASK_NAMES = [
    *("Given_None", "Answer_None", "Hidden_None"),
    *(f"Later_{bars}" for bars in range(1, LONGEST_LATER + 1)),
    *(f"Task_{task}" for task in TASKS),
]


def token_names(settings: TokenizerSettings) -> list[str]:
    """Names of all tokens; the place of a name is its id. PAD, BOS, EOS and Bar are 0 to 3."""
    names = ["PAD_None", "BOS_None", "EOS_None", "Bar_None"]
    names += [f"Pitch_{pitch}" for pitch in PITCHES]
    names += [f"Velocity_{velocity}" for velocity in velocity_steps(settings)]
    names += [f"Duration_{beats}.{step}.{resolution}" for beats, step, resolution in duration_steps(settings)]
    names += [f"Position_{position}" for position in range(settings.positions_per_beat * max(settings.meters.values()))]
    names += [f"PitchDrum_{pitch}" for pitch in PITCHES]
    names += [f"Tempo_{tempo}" for tempo in tempo_steps(settings)]
    names += [f"Program_{program}" for program in PROGRAMS]
    names += [f"TimeSig_{numerator}/{denominator}" for numerator, denominator in meters(settings)]
    names = list(dict.fromkeys(names))  # tempos closer than a hundredth have one name
    return [*names, *TASK_NAMES] if settings.tasks else names


def velocity_steps(settings: TokenizerSettings) -> list[int]:
    """The velocities that can be told, ascending, the last 127: 32 steps are 3, 7, 11 …"""
    return [int(velocity) for velocity in np.linspace(0, 127, settings.velocities + 1, dtype=np.intc)[1:]]


def duration_steps(settings: TokenizerSettings) -> list[tuple[int, int, int]]:
    """The durations that can be told, ascending, as (beats, step, steps of a beat); the last is the whole grid."""
    steps, low = [], 0
    for high, resolution in settings.duration_grid:
        steps += [(beats, step, resolution) for beats in range(low, high) for step in range(resolution)]
        low = high
    return [*steps[1:], (*settings.duration_grid[-1][:1], 0, settings.duration_grid[-1][1])]


def tempo_steps(settings: TokenizerSettings) -> list[float]:
    """The tempos that can be told, ascending by ratio, in quarter notes a minute, rounded to hundredths."""
    return [float(tempo) for tempo in np.geomspace(*settings.tempo_range, settings.tempos).round(2)]


def meters(settings: TokenizerSettings) -> list[tuple[int, int]]:
    """The meters that can be told, as (numerator, denominator)."""
    return [(numerator, denominator) for denominator, top in settings.meters.items() for numerator in range(1, top + 1)]

"""The General MIDI drum kit: a preset for every key, and which strokes cut each other short.

A drum is modes of a membrane, bar or plate (partials at fixed ratios that fall in pitch at the stroke) beside noise from wires,
brushes and shells. Cymbals are many modes without order, drawn once from a fixed seed, and a bright noise above them.
Membrane ratios: Fletcher and Rossing, "The Physics of Musical Instruments", 1998, chapter 18.
"""

from dataclasses import replace

import numpy as np

from symbolic.rendering.balance import DRUM_TRIMS
from symbolic.rendering.performance import PlayedNote
from symbolic.rendering.presets import Noise, Preset

MEMBRANE = (1.0, 1.59, 2.14, 2.3, 2.65, 2.92)
LOWEST_KEY, HIGHEST_KEY = 27, 87
# A stroke of one of these keys stops what rings of the others: a closed hi-hat the open one, a muted triangle the open one.
CHOKES = ((42, 44, 46), (71, 72), (73, 74), (78, 79), (80, 81), (86, 87))

DRUM = Preset(
    "drum", level=6.0, one_shot=True, tilt=6.0, cutoff=9000.0, cutoff_tracking=0.0, brightness=1.0, attack=0.001, release=0.06, reverb=0.12,
    bright_start=1.0,
)


def _plate(lowest: float, highest: float, modes: int, seed: int) -> tuple[float, ...]:
    """Ratios of a cymbal's modes: without order, denser towards the top, sorted."""
    places = np.sort(np.random.default_rng(seed).random(modes)) ** 0.8
    return tuple(float(ratio) for ratio in lowest * (highest / lowest) ** places)


def _cymbal(name: str, ring: float, hertz: float, seed: int, noises: tuple[Noise, ...], **changes: object) -> Preset:
    ratios = _plate(1.0, 26.0, 44, seed)
    weights = tuple(float(weight) for weight in 0.5 + np.random.default_rng(seed + 1).random(len(ratios)))
    preset = replace(
        DRUM, name=name, level=1.0, fixed=hertz, ratios=ratios, weights=weights, ring=ring, ring_damping=14000.0, cutoff=12000.0,
        noises=noises,
    )
    return replace(preset, **changes)  # type: ignore[arg-type]


def _tom(name: str, hertz: float, stereo: float) -> Preset:
    return replace(
        DRUM, name=name, level=8.0, fixed=hertz, ratios=MEMBRANE, weights=(1.0, 0.4, 0.22, 0.18, 0.1, 0.08),
        ring=1.05 * (110 / hertz) ** 0.3, ring_damping=180.0,
        cutoff=1400.0, brightness=1.6, scoop=330.0, scoop_time=0.035, stereo=stereo,
        noises=(Noise("band", 2200.0, 0.0, 0.6, -14.0, 0.0006, 0.04, velocity=1.4), Noise("band", 420.0, 0.0, 0.7, -13.0, 0.001, 0.14)),
    )


def _skin(name: str, hertz: float, ring: float, stereo: float, slap: float = -14.0) -> Preset:
    return replace(
        DRUM, name=name, level=6.0, fixed=hertz, ratios=MEMBRANE, weights=(1.0, 0.35, 0.2, 0.16, 0.1, 0.06), ring=ring, ring_damping=700.0,
        cutoff=4000.0,
        scoop=120.0, scoop_time=0.02, stereo=stereo, noises=(Noise("band", 1900.0, 0.0, 0.8, slap, 0.0006, 0.05, velocity=1.5),),
    )


def _wood(name: str, hertz: float, ring: float, stereo: float) -> Preset:
    return replace(
        DRUM, name=name, level=5.0, fixed=hertz, ratios=(1.0, 2.35, 3.9, 5.6), weights=(1.0, 0.4, 0.25, 0.1), ring=ring,
        ring_damping=6000.0, stereo=stereo,
        noises=(Noise("band", hertz * 1.7, 0.0, 1.5, -12.0, 0.0005, 0.02),),
    )


def _metal(name: str, hertz: float, ratios: tuple[float, ...], ring: float, stereo: float) -> Preset:
    return replace(
        DRUM, name=name, level=2.0, fixed=hertz, ratios=ratios, weights=tuple(1 / (1 + 0.5 * n) for n in range(len(ratios))), ring=ring,
        ring_damping=9000.0,
        cutoff=14000.0, stereo=stereo, noises=(Noise("band", 5000.0, 0.0, 0.8, -20.0, 0.0005, 0.03),),
    )


def _shaken(name: str, hertz: float, attack: float, t60: float, stereo: float, bursts: tuple[float, ...] = (0.0,)) -> Preset:
    return replace(
        DRUM, name=name, level=0.0, ratios=(), weights=(), fixed=1000.0, stereo=stereo,
        noises=(
            Noise("band", hertz, 0.0, 1.1, -2.0, attack, t60, bursts=bursts),
            Noise("band", hertz * 1.7, 0.0, 0.9, -9.0, attack, t60 * 0.8, bursts=bursts),
        ),
    )


def _kick(name: str, hertz: float, click: float) -> Preset:
    return replace(
        DRUM, name=name, level=11.0, fixed=hertz, ratios=(1.0, 1.7, 2.6), weights=(1.0, 0.14, 0.06), ring=0.42, ring_damping=120.0,
        cutoff=800.0, brightness=1.5,
        scoop=1700.0, scoop_time=0.019, reverb=0.05,
        noises=(Noise("band", 3400.0, 0.0, 0.7, click, 0.0005, 0.016, velocity=1.6), Noise("low", 300.0, 0.0, 0.7, -13.0, 0.001, 0.07)),
    )


def _snare(name: str, hertz: float, wires: float, ring: float) -> Preset:
    return replace(
        DRUM, name=name, level=6.0, fixed=hertz, ratios=(1.0, 1.83, 2.2, 2.9, 3.6), weights=(1.0, 0.6, 0.35, 0.2, 0.12), ring=ring,
        ring_damping=900.0, cutoff=4000.0,
        scoop=160.0, scoop_time=0.012, stereo=0.04,
        noises=(
            Noise("band", 2400.0, 0.0, 0.4, -8.0, 0.0008, wires, velocity=1.2),
            Noise("high", 6000.0, 0.0, 0.7, -17.0, 0.0008, 0.8 * wires, velocity=1.3),
            Noise("band", 800.0, 0.0, 0.7, -4.0, 0.0006, 0.08),
        ),
    )


def _hat(name: str, t60: float, level: float) -> Preset:
    noises = (
        Noise("band", 8800.0, 0.0, 0.8, -2.0, 0.0008, t60, velocity=1.2),
        Noise("high", 9500.0, 0.0, 0.8, -6.0, 0.0006, 0.7 * t60, velocity=1.3),
    )
    return _cymbal(name, t60, 520.0, 5, noises, level=level, stereo=0.3, weights=tuple((0.06 + 0.94 * (n / 43) ** 2) for n in range(44)))


_UNTRIMMED: dict[int, Preset] = {
    27: replace(_tom("high Q", 900.0, 0.0), scoop=2600.0, scoop_time=0.02, ring=0.12, noises=()),
    28: replace(_snare("slap", 500.0, 0.09, 0.06), level=4.0),
    29: replace(_shaken("scratch push", 1800.0, 0.03, 0.14, 0.1), level=0.0),
    30: replace(_shaken("scratch pull", 1300.0, 0.05, 0.12, 0.1), level=0.0),
    31: _wood("sticks", 1900.0, 0.05, 0.1),
    32: _wood("square click", 1300.0, 0.03, 0.0),
    33: _wood("metronome click", 1600.0, 0.05, 0.0),
    34: _metal("metronome bell", 2300.0, (1.0, 2.76, 5.4), 0.6, 0.0),
    35: _kick("acoustic kick", 51.0, -15.0),
    36: _kick("kick", 57.0, -11.0),
    37: replace(
        _wood("side stick", 1750.0, 0.07, 0.05),
        noises=(Noise("band", 2600.0, 0.0, 0.8, -6.0, 0.0005, 0.035), Noise("band", 480.0, 0.0, 1.5, -10.0, 0.0005, 0.06)),
    ),
    38: _snare("acoustic snare", 186.0, 0.26, 0.22),
    39: replace(
        _shaken("hand clap", 1250.0, 0.0008, 0.045, -0.1, (0.0, 0.011, 0.023)), level=4.0,
        noises=(
            Noise("band", 1250.0, 0.0, 1.3, -2.0, 0.0008, 0.045, bursts=(0.0, 0.011, 0.023)),
            Noise("band", 1500.0, 0.0, 0.9, -6.0, 0.002, 0.24, bursts=(0.03,)),
        ),
    ),
    40: _snare("electric snare", 225.0, 0.2, 0.16),
    41: _tom("low floor tom", 78.0, 0.4),
    42: _hat("closed hi-hat", 0.24, 0.0),
    43: _tom("high floor tom", 92.0, 0.3),
    44: _hat("pedal hi-hat", 0.28, -3.0),
    45: _tom("low tom", 110.0, 0.15),
    46: _hat("open hi-hat", 1.7, -6.0),
    47: _tom("low-mid tom", 131.0, 0.0),
    48: _tom("high-mid tom", 156.0, -0.15),
    49: _cymbal(
        "crash cymbal 1", 4.2, 390.0, 11,
        (Noise("band", 4700.0, 0.0, 0.4, -1.0, 0.003, 1.9), Noise("high", 9000.0, 0.0, 0.7, -10.0, 0.001, 1.2)), level=1.0, stereo=-0.35,
    ),
    50: _tom("high tom", 185.0, -0.3),
    51: _cymbal(
        "ride cymbal 1", 3.2, 430.0, 21,
        (Noise("band", 7500.0, 0.0, 0.6, -9.0, 0.001, 0.9), Noise("band", 4800.0, 0.0, 1.2, -7.0, 0.0005, 0.06)), level=-3.0, stereo=0.4,
    ),
    52: _cymbal(
        "china cymbal", 1.7, 300.0, 31,
        (Noise("band", 4200.0, 0.0, 0.4, 0.0, 0.003, 1.1), Noise("high", 8000.0, 0.0, 0.7, -7.0, 0.001, 0.7)), level=1.0, stereo=-0.5,
    ),
    53: _cymbal(
        "ride bell", 2.8, 780.0, 41, (Noise("band", 5200.0, 0.0, 1.0, -12.0, 0.0005, 0.2),), level=-1.0, stereo=0.4,
        ratios=(1.0, 1.49, 2.02, 2.74, 3.4, 4.3, 5.6, 7.1), weights=(1.0, 0.8, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25),
    ),
    54: replace(_shaken("tambourine", 8200.0, 0.001, 0.16, -0.25, (0.0, 0.022)), level=1.0),
    55: _cymbal("splash cymbal", 1.3, 560.0, 51, (Noise("band", 7200.0, 0.0, 0.45, -1.0, 0.001, 0.6),), level=0.0, stereo=-0.2),
    56: _metal("cowbell", 562.0, (1.0, 1.504, 2.35, 3.1, 4.9), 0.3, -0.15),
    57: _cymbal(
        "crash cymbal 2", 3.8, 450.0, 61,
        (Noise("band", 5200.0, 0.0, 0.4, -1.0, 0.003, 1.7), Noise("high", 9500.0, 0.0, 0.7, -10.0, 0.001, 1.1)), level=1.0, stereo=0.4,
    ),
    58: replace(_shaken("vibraslap", 3000.0, 0.001, 0.11, 0.3, tuple(0.021 * n for n in range(24))), level=-1.0),
    59: _cymbal(
        "ride cymbal 2", 2.8, 490.0, 71,
        (Noise("band", 8000.0, 0.0, 0.6, -8.0, 0.001, 0.8), Noise("band", 5200.0, 0.0, 1.2, -7.0, 0.0005, 0.06)), level=-3.0, stereo=0.45,
    ),
    60: _skin("high bongo", 470.0, 0.16, -0.25),
    61: _skin("low bongo", 350.0, 0.2, -0.15),
    62: _skin("mute high conga", 330.0, 0.09, 0.2, -8.0),
    63: _skin("open high conga", 290.0, 0.36, 0.25),
    64: _skin("low conga", 205.0, 0.42, 0.3),
    65: _metal("high timbale", 420.0, (1.0, 1.59, 2.14, 2.65, 3.5, 4.9), 0.35, -0.3),
    66: _metal("low timbale", 300.0, (1.0, 1.59, 2.14, 2.65, 3.5, 4.9), 0.45, -0.2),
    67: _metal("high agogo", 1170.0, (1.0, 1.62, 2.41, 3.4), 0.45, 0.35),
    68: _metal("low agogo", 790.0, (1.0, 1.62, 2.41, 3.4), 0.5, 0.35),
    69: _shaken("cabasa", 7600.0, 0.012, 0.11, -0.35, (0.0, 0.03)),
    70: _shaken("maracas", 7600.0, 0.008, 0.11, -0.4),
    71: replace(
        _metal("short whistle", 2350.0, (1.0, 2.0, 3.0), 0.3, 0.3), attack=0.02, vibrato=60.0, vibrato_rate=26.0, ring_damping=1e9,
        level=-4.0,
    ),
    72: replace(
        _metal("long whistle", 2350.0, (1.0, 2.0, 3.0), 1.0, 0.3), attack=0.03, vibrato=60.0, vibrato_rate=26.0, ring_damping=1e9,
        level=-4.0,
    ),
    73: _shaken("short guiro", 3300.0, 0.002, 0.035, 0.25, tuple(0.014 * n for n in range(7))),
    74: _shaken("long guiro", 3000.0, 0.003, 0.04, 0.25, tuple(0.019 * n for n in range(20))),
    75: _wood("claves", 2480.0, 0.13, 0.2),
    76: _wood("high woodblock", 1150.0, 0.09, -0.3),
    77: _wood("low woodblock", 800.0, 0.11, -0.35),
    78: replace(_skin("mute cuica", 520.0, 0.12, 0.2, -20.0), scoop=-350.0, scoop_time=0.06),
    79: replace(_skin("open cuica", 400.0, 0.45, 0.2, -22.0), scoop=-500.0, scoop_time=0.12),
    80: _metal("mute triangle", 5200.0, (1.0, 1.37, 1.9, 2.6, 3.3), 0.16, -0.3),
    81: _metal("open triangle", 5200.0, (1.0, 1.37, 1.9, 2.6, 3.3), 2.6, -0.3),
    82: _shaken("shaker", 8800.0, 0.02, 0.14, 0.4),
    83: _shaken("jingle bell", 7400.0, 0.002, 0.3, -0.3, (0.0, 0.04, 0.09)),
    84: _metal("bell tree", 2600.0, (1.0, 1.21, 1.46, 1.78, 2.13, 2.6, 3.1), 2.2, 0.3),
    85: _wood("castanets", 1950.0, 0.045, 0.25),
    86: _skin("mute surdo", 84.0, 0.16, 0.1, -16.0),
    87: _skin("open surdo", 76.0, 0.75, 0.1, -18.0),
}
KIT: dict[int, Preset] = {
    key: replace(_UNTRIMMED[key], level=_UNTRIMMED[key].level + trim) for key, trim in enumerate(DRUM_TRIMS, LOWEST_KEY)
}


def drum_preset(key: int) -> Preset:
    """The drum on a key of 0 … 127; a key outside the kit sounds like the nearest one, moved by as many semitones (at most 12)."""
    if key in KIT:
        return KIT[key]
    nearest = LOWEST_KEY if key < LOWEST_KEY else HIGHEST_KEY
    semitones = max(-12, min(12, key - nearest))
    return replace(KIT[nearest], fixed=KIT[nearest].fixed * 2 ** (semitones / 12))


def choke_times(notes: tuple[PlayedNote, ...], groups: tuple[tuple[int, ...], ...] = CHOKES) -> list[float | None]:
    """For each stroke, in order of time, the second at which another stroke of its group of keys stops it; None where none does."""
    group_of = {key: number for number, group in enumerate(groups) for key in group}
    following: dict[int, PlayedNote] = {}
    result: list[float | None] = [None] * len(notes)
    for place in range(len(notes) - 1, -1, -1):
        note = notes[place]
        group = group_of.get(note.pitch)
        if group is None:
            continue
        later = following.get(group)
        result[place] = later.start if later is not None and later.start > note.start else None
        following[group] = note
    return result

"""How loud the instruments are against each other: trims in dB, measured and not guessed.

One phrase (four notes of velocity 50 to 120) was played on every program, and one stroke on every drum, dry, and its loudness by
BS.1770 compared with the same phrase on a widely used General MIDI bank, because files are balanced by ear on such banks.
The trims take most of the difference away: 80 % for programs, 75 % for drums, within bounds.
"""

# fmt: off
PROGRAM_TRIMS: tuple[float, ...] = (  # programs 0 … 127, a family of eight on each line
    -3, -3, -0.5, -4, -2, -5, 1, 1,
    -0.5, 0, -2.5, -6, -1.5, -4.5, 0.5, -6,
    -2, 2, 1, 0.5, 0, 0, -1, 1,
    -3, -3, -0.5, -3, -1, 4.5, 5, 5,
    -2.5, -2, -1.5, -1, -4, -1, -2, 1.5,
    2, 2, 0, -1.5, -1, 2.5, -2, -9,
    0, 2, 1, 2.5, 0, 0.5, -0.5, -1,
    0, 4, 1, 4.5, 2, 1.5, 2, 2.5,
    0, 3.5, 2.5, 1, 3, 1.5, 2.5, 4.5,
    4.5, 1, 1.5, 1.5, 2.5, 3, 4, 3.5,
    4, 1, -1, 0.5, 1.5, 5, -2.5, 0,
    -2.5, -2.5, 1.5, 0, 2, 2.5, 1, 0,
    0.5, -2, -5.5, -0.5, -1, -1, -1, 0.5,
    -1.5, -3, -5.5, -3.5, -7.5, 0, 2, 0.5,
    -1.5, -2.5, -1.5, -5.5, -3.5, -2, 1.5, -7.5,
    5.5, 0, 2, 3.5, -0.5, -7, -3, -5,
)
DRUM_TRIMS: tuple[float, ...] = (  # keys 27 … 87
    -3, 6, 4.5, 9, 4.5, 3, 0, 4.5, -14, -13.5,
    1.5, -1.5, 1, -2, -8, -6, -5.5, -4, -9, -8,
    -7.5, -7, -4.5, -7, -4.5, -7.5, -5.5, 0, -5.5, 1,
    -5, -4, -5, 0.5, 0, -0.5, -2.5, -2, 1.5, 1.5,
    -2, -1, 3.5, 3.5, 9, 9, 1.5, -2, 4, 4.5,
    4, 6, 4.5, 3.5, -1.5, 4, -2, 3, 3, -2,
    -4.5,
)
# fmt: on

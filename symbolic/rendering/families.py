"""The families of instruments: one preset each, from which the programs of General MIDI differ in a few numbers.

Numbers come from the acoustics of the instruments (N. Fletcher and T. Rossing, "The Physics of Musical Instruments", 1998: mode
ratios of bars, bells and membranes, stiffness of strings, formants of the voice) and were then set by measuring.
"""

from dataclasses import replace

from symbolic.rendering.presets import Noise, Preset

FREE_BAR = (1.0, 2.756, 5.404, 8.933, 13.34)
TUNED_BAR = (1.0, 3.99, 9.8, 16.6)  # undercut bars of marimba and vibraphone
XYLOPHONE_BAR = (1.0, 3.0, 6.1, 10.4)
CLAMPED_BAR = (1.0, 6.27, 17.55)  # music box, thumb piano
CHURCH_BELL = (0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17, 5.43, 6.8)
TUBE = (1.0, 1.33, 1.98, 2.44, 2.98, 3.65, 4.48, 5.7, 7.3)  # heard pitch of chimes is between modes
AAH = ((730.0, 0.35, 14.0), (1120.0, 0.3, 10.0), (2600.0, 0.25, 6.0), (3300.0, 0.25, 5.0))
OOH = ((320.0, 0.4, 14.0), (800.0, 0.35, 7.0), (2400.0, 0.25, -2.0))
BODY = ((110.0, 0.4, 4.0), (210.0, 0.35, 4.0), (430.0, 0.4, 2.0))  # air and plate of a guitar
VIOLIN_BODY = ((280.0, 0.3, 4.0), (480.0, 0.4, 5.0), (1100.0, 0.5, 1.0), (2600.0, 0.6, 6.0))

PIANO = Preset(
    "piano", level=3.0, tilt=5.0, position=0.123, stiffness=4.2e-4, cutoff=1500.0, cutoff_tracking=0.42, slope=1.35, brightness=1.5,
    attack=0.0025, release=0.42, ring=6.5, ring_tracking=0.6, ring_damping=1200.0, slow=0.14, slow_factor=2.8,
    copies=2, detune=0.7, width=0.3, keyboard=0.3, reverb=0.2,
    noises=(
        Noise("band", 420.0, 0.35, 0.8, -19.0, 0.001, 0.12, velocity=1.6),
        Noise("band", 2600.0, 0.4, 0.7, -29.0, 0.001, 0.05, velocity=2.2),
    ),
)
ELECTRIC_PIANO = Preset(
    "electric piano", level=3.0, ratios=(1.0, 2.0, 3.0, 4.0, 5.0, 6.02, 7.1, 14.2, 20.3), weights=(
        1.0, 0.5, 0.28, 0.16, 0.09, 0.06, 0.09, 0.14, 0.06,
    ),
    cutoff=1000.0, cutoff_tracking=0.4, brightness=2.2, attack=0.003, release=0.18, ring=11.0, ring_tracking=0.5, ring_damping=900.0,
    slow=0.2, copies=2, detune=0.6, width=0.35, tremolo=1.2, vibrato_rate=5.0, keyboard=0.2,
    noises=(Noise("band", 1500.0, 0.3, 1.0, -30.0, 0.001, 0.04, velocity=2.0),),
)
MALLET = Preset(
    "mallet", level=4.0, ratios=TUNED_BAR, weights=(1.0, 0.28, 0.1, 0.04), cutoff=4000.0, cutoff_tracking=0.4, brightness=1.4,
    attack=0.0015, release=0.5, ring=1.6, ring_tracking=0.7, ring_damping=900.0, keyboard=0.35, reverb=0.3,
    noises=(Noise("band", 900.0, 0.4, 0.8, -17.0, 0.0008, 0.04, velocity=1.6),),
)
ORGAN = Preset(
    "organ", level=-4.0, dynamics=0.45, weights=(1.0, 0.8, 0.5, 0.42, 0.0, 0.25, 0.0, 0.2), cutoff=7000.0, brightness=0.2, attack=0.006,
    release=0.07,
    copies=2, detune=1.5, width=0.5, vibrato=5.0, vibrato_rate=6.4, tremolo=0.9,
    noises=(Noise("band", 2500.0, 0.2, 0.7, -26.0, 0.0005, 0.02),), reverb=0.22,
)
PIPES = Preset(
    "church organ", level=-4.0, dynamics=0.4, cutoff=5200.0, brightness=0.2, attack=0.05, release=0.35,
    weights=(1.0, 0.85, 0.38, 0.6, 0.12, 0.3, 0.05, 0.4, 0.03, 0.06, 0.0, 0.16, 0.0, 0.0, 0.0, 0.14),
    copies=3, detune=2.2, width=0.8, flutter=0.4, drift=0.6, reverb=0.6,
    noises=(Noise("band", 1800.0, 0.5, 1.2, -27.0, 0.01, 0.12), Noise("band", 2600.0, 0.3, 0.6, -45.0, 0.08)),
)
GUITAR = Preset(
    "guitar", level=4.0, tilt=5.2, position=0.19, stiffness=6e-5, formants=BODY, cutoff=2300.0, cutoff_tracking=0.35, slope=1.3,
    brightness=1.4,
    attack=0.002, release=0.26, ring=3.6, ring_tracking=0.45, ring_damping=1100.0, slow=0.25, slow_factor=2.2,
    scoop=5.0, scoop_time=0.06, copies=2, detune=0.5, width=0.25, reverb=0.2,
    noises=(Noise("band", 1700.0, 0.3, 0.7, -22.0, 0.0008, 0.035, velocity=1.6), Noise("band", 190.0, 0.0, 1.5, -22.0, 0.001, 0.14)),
)
BASS = Preset(
    "bass", level=2.0, tilt=5.0, position=0.22, stiffness=8e-5, cutoff=1500.0, cutoff_tracking=0.3, slope=1.4, brightness=1.5,
    attack=0.004, release=0.11, ring=2.6, ring_tracking=0.4, ring_damping=700.0, slow=0.25, scoop=6.0, scoop_time=0.04, reverb=0.06,
    noises=(Noise("band", 900.0, 0.2, 0.8, -26.0, 0.001, 0.04, velocity=1.8),),
)
STRING = Preset(
    "violin", level=-2.0, tilt=5.0, formants=VIOLIN_BODY, cutoff=4200.0, cutoff_tracking=0.3, slope=1.3, brightness=1.1, bright_start=0.45,
    bright_time=0.1, attack=0.1, decay=0.35, sustain=0.86, release=0.2, vibrato=13.0, vibrato_rate=5.7, vibrato_delay=0.3, tremolo=0.7,
    drift=4.0, flutter=1.2, scoop=-14.0, scoop_time=0.05, reverb=0.3,
    noises=(Noise("band", 3200.0, 0.3, 0.6, -36.0, 0.03, flutter=0.5), Noise("band", 1300.0, 0.4, 0.8, -25.0, 0.012, 0.16)),
)
ENSEMBLE = replace(
    STRING, name="string ensemble", level=-2.5, copies=4, detune=9.0, width=0.85, attack=0.18, release=0.4, vibrato=10.0, drift=6.0,
    bright_time=0.15, cutoff=2500.0, sustain=0.95, reverb=0.4,
    noises=(Noise("band", 3000.0, 0.2, 0.5, -33.0, 0.06, flutter=0.4), Noise("band", 1300.0, 0.4, 0.8, -30.0, 0.02, 0.2)),
)
CHOIR = Preset(
    "choir aahs", level=-2.0, tilt=7.5, formants=AAH, cutoff=4500.0, cutoff_tracking=0.1, brightness=0.8, attack=0.14, release=0.35,
    vibrato=16.0, vibrato_rate=5.3, vibrato_delay=0.4, tremolo=0.6, drift=9.0, flutter=1.5, copies=4, detune=10.0, width=0.8,
    scoop=-25.0, scoop_time=0.07, bright_start=0.6, bright_time=0.12, reverb=0.45,
    noises=(Noise("band", 2300.0, 0.0, 0.6, -36.0, 0.08, flutter=0.4),),
)
BRASS = Preset(
    "trumpet", level=-2.0, tilt=2.4, cutoff=2700.0, cutoff_tracking=0.35, slope=1.6, brightness=1.9, bright_start=0.28, bright_time=0.045,
    formants=((1200.0, 0.8, 4.0),), attack=0.035, decay=0.12, sustain=0.84, release=0.11, vibrato=7.0, vibrato_delay=0.5, vibrato_rate=5.0,
    tremolo=0.5,
    drift=3.0, flutter=0.8, scoop=-35.0, scoop_time=0.025, reverb=0.28,
    noises=(Noise("band", 2200.0, 0.2, 0.7, -29.0, 0.008, 0.09), Noise("band", 3500.0, 0.2, 0.5, -44.0, 0.03)),
)
REED = Preset(
    "reed", level=-2.0, tilt=4.2, cutoff=2600.0, cutoff_tracking=0.25, slope=1.5, brightness=1.4, bright_start=0.45, bright_time=0.04,
    attack=0.035, decay=0.15, sustain=0.9, release=0.1, vibrato=8.0, vibrato_delay=0.45, vibrato_rate=5.1, tremolo=0.5, drift=3.0,
    flutter=0.8,
    scoop=-20.0, scoop_time=0.03, reverb=0.28,
    noises=(Noise("band", 2800.0, 0.2, 0.6, -39.0, 0.02, flutter=0.3), Noise("band", 1900.0, 0.3, 0.8, -30.0, 0.006, 0.07)),
)
PIPE = Preset(
    "flute", level=-2.0, tilt=8.5, even=-1.5, cutoff=2400.0, cutoff_tracking=0.45, slope=1.5, brightness=1.4, bright_start=0.5,
    bright_time=0.05,
    attack=0.08, decay=0.2, sustain=0.9, release=0.16, vibrato=7.0, vibrato_delay=0.35, vibrato_rate=5.0, tremolo=1.4, drift=3.0,
    flutter=1.0,
    scoop=-18.0, scoop_time=0.03, reverb=0.32,
    noises=(Noise("band", 1500.0, 0.9, 1.0, -30.0, 0.03, flutter=0.3), Noise("band", 3800.0, 0.2, 0.6, -25.0, 0.015, 0.1)),
)
LEAD = Preset(
    "saw lead", level=-4.0, tilt=6.02, cutoff=4200.0, cutoff_tracking=0.5, slope=2.0, brightness=1.4, bright_start=2.2, bright_time=0.15,
    attack=0.004, decay=0.3, sustain=0.82, release=0.12, copies=2, detune=6.0, width=0.35, vibrato=6.0, vibrato_delay=0.5, reverb=0.2,
)
PAD = Preset(
    "pad", level=-3.0, tilt=6.0, cutoff=1800.0, cutoff_tracking=0.4, slope=2.0, brightness=1.0, bright_start=0.4, bright_time=0.7,
    attack=0.35, release=1.1, copies=4, detune=9.0, width=0.95, drift=3.0, flutter=1.0, reverb=0.5,
)
ETHNIC = replace(
    GUITAR, name="sitar", cutoff=4200.0, tilt=3.5, position=0.08, ring=3.0, formants=((1800.0, 0.8, 5.0),), scoop=14.0, scoop_time=0.12,
)

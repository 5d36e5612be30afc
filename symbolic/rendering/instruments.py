"""The 128 programs of General MIDI, in its order: each says only how it differs from its family."""

from dataclasses import replace

from symbolic.rendering.balance import PROGRAM_TRIMS
from symbolic.rendering.families import (
    AAH,
    BASS,
    BRASS,
    CHOIR,
    CLAMPED_BAR,
    ELECTRIC_PIANO,
    ENSEMBLE,
    ETHNIC,
    FREE_BAR,
    GUITAR,
    LEAD,
    MALLET,
    OOH,
    ORGAN,
    PAD,
    PIANO,
    PIPE,
    PIPES,
    REED,
    STRING,
    TUBE,
    VIOLIN_BODY,
    XYLOPHONE_BAR,
)
from symbolic.rendering.presets import Noise, Preset

_PIANOS = (
    replace(PIANO, name="acoustic grand piano"),
    replace(PIANO, name="bright acoustic piano", cutoff=2300.0, brightness=1.6),
    replace(PIANO, name="electric grand piano", cutoff=1900.0, stiffness=8e-4, ring=6.0, detune=1.6, width=0.5),
    replace(PIANO, name="honky-tonk piano", detune=9.0, cutoff=2000.0, width=0.45, stiffness=6e-4),
    replace(ELECTRIC_PIANO, name="electric piano 1"),
    replace(
        ELECTRIC_PIANO, name="electric piano 2", ratios=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 14.1),
        weights=(1.0, 0.3, 0.25, 0.12, 0.1, 0.06, 0.05, 0.03, 0.12, 0.06), detune=2.5, tremolo=0.4, cutoff=4500.0,
    ),
    replace(
        PIANO, name="harpsichord", dynamics=0.5, tilt=2.2, position=0.13, cutoff=7500.0, brightness=0.4, ring=4.2, ring_damping=2600.0,
        stiffness=5e-5,
        release=0.12, copies=2, detune=0.9, level=0.0,
        noises=(Noise("band", 3800.0, 0.2, 0.8, -20.0, 0.0005, 0.03), Noise("band", 300.0, 0.0, 1.2, -26.0, 0.001, 0.1)),
    ),
    replace(
        PIANO, name="clavinet", tilt=3.0, position=0.11, even=-2.0, cutoff=3800.0, brightness=1.3, ring=2.2, ring_damping=2000.0,
        release=0.05, copies=1,
        stiffness=1e-4, level=1.0, noises=(Noise("band", 3000.0, 0.2, 0.8, -24.0, 0.0005, 0.02),),
    ),
)
_MALLETS = (
    replace(
        MALLET, name="celesta", ratios=(1.0, 2.76, 4.0, 5.4, 8.9), weights=(1.0, 0.2, 0.35, 0.12, 0.08), ring=2.2, ring_damping=2500.0,
        cutoff=6000.0,
    ),
    replace(
        MALLET, name="glockenspiel", ratios=FREE_BAR, weights=(1.0, 0.85, 0.6, 0.35, 0.2), ring=5.0, ring_damping=7000.0, release=2.0,
        cutoff=12000.0,
    ),
    replace(
        MALLET, name="music box", ratios=(1.0, 2.0, 3.01, 6.27, 17.55), weights=(1.0, 0.45, 0.2, 0.35, 0.12), ring=2.8, ring_damping=3000.0,
        release=1.5,
        cutoff=9000.0,
    ),
    replace(
        MALLET, name="vibraphone", weights=(1.0, 0.22, 0.06, 0.02), ring=7.5, ring_damping=700.0, release=0.45, tremolo=3.0,
        vibrato_rate=5.2,
    ),
    replace(MALLET, name="marimba", weights=(1.0, 0.2, 0.07, 0.02), ring=1.5, cutoff=2500.0),
    replace(MALLET, name="xylophone", ratios=XYLOPHONE_BAR, weights=(1.0, 0.55, 0.28, 0.12), ring=0.85, ring_damping=2500.0, cutoff=9000.0),
    replace(
        MALLET, name="tubular bells", ratios=TUBE, weights=(0.7, 0.25, 1.0, 0.35, 0.8, 0.4, 0.5, 0.25, 0.12), transpose=-12.0, ring=7.0,
        ring_tracking=0.3, ring_damping=1100.0, release=2.2, cutoff=5000.0, copies=2, detune=1.0, width=0.4, level=2.0,
    ),
    replace(
        GUITAR, name="dulcimer", position=0.12, tilt=3.6, cutoff=4200.0, ring=3.2, release=0.9, copies=2, detune=3.0, width=0.4, formants=(

        ),
        noises=(Noise("band", 2600.0, 0.3, 0.9, -20.0, 0.0008, 0.03),),
    ),
)
_ORGANS = (
    replace(ORGAN, name="drawbar organ"),
    replace(
        ORGAN, name="percussive organ", weights=(1.0, 0.7, 0.75, 0.2), decay=0.25, sustain=0.7, bright_start=2.2, bright_time=0.12,
        cutoff=2500.0,
        noises=(Noise("band", 2500.0, 0.4, 1.0, -22.0, 0.0005, 0.03),),
    ),
    replace(
        ORGAN, name="rock organ", weights=(1.0, 0.9, 0.85, 0.6, 0.3, 0.45, 0.15, 0.4, 0.12, 0.2, 0.1, 0.2), vibrato=9.0, tremolo=1.8,
        vibrato_rate=6.7,
        cutoff=5000.0,
    ),
    replace(PIPES, name="church organ"),
    replace(
        ORGAN, name="reed organ", weights=None, tilt=4.5, cutoff=2600.0, attack=0.06, release=0.12, vibrato=2.0, tremolo=0.5, detune=3.0,
    ),
    replace(
        REED, name="accordion", tilt=3.6, cutoff=3600.0, attack=0.045, copies=3, detune=9.0, width=0.5, vibrato=0.0, tremolo=0.0,
        level=-3.0,
    ),
    replace(REED, name="harmonica", tilt=3.4, cutoff=3000.0, vibrato=14.0, tremolo=1.5, formants=((1700.0, 0.7, 5.0),), scoop=-45.0),
    replace(
        REED, name="bandoneon", tilt=3.8, even=-2.0, cutoff=3000.0, attack=0.05, copies=2, detune=6.0, width=0.4, vibrato=0.0, level=-3.0,
    ),
)
_GUITARS = (
    replace(GUITAR, name="nylon guitar"),
    replace(GUITAR, name="steel guitar", tilt=3.4, position=0.14, cutoff=4300.0, ring=4.2, ring_damping=2200.0, stiffness=9e-5),
    replace(GUITAR, name="jazz guitar", formants=(), cutoff=1900.0, position=0.2, ring=3.4, level=4.0, noises=GUITAR.noises[:1]),
    replace(
        GUITAR, name="clean electric guitar", formants=(), cutoff=4600.0, tilt=3.2, ring=5.0, ring_damping=2600.0, copies=3, detune=3.0,
        width=0.5, noises=GUITAR.noises[:1],
    ),
    replace(GUITAR, name="muted guitar", formants=(), cutoff=1500.0, ring=0.42, ring_damping=900.0, slow=0.0, level=6.0, copies=1),
    replace(
        GUITAR, name="overdriven guitar", formants=((700.0, 0.8, 4.0), (2400.0, 0.7, 5.0)), tilt=1.8, cutoff=4000.0, slope=2.4,
        position=0.0, attack=0.005,
        ring=11.0, ring_tracking=0.2, ring_damping=9000.0, slow=0.0, copies=2, detune=5.0, width=0.45, drift=3.0, level=-2.0, dynamics=0.7,
        vibrato=6.0,
        vibrato_delay=0.5, noises=(Noise("band", 2500.0, 0.2, 0.6, -26.0, 0.001, 0.06), Noise("band", 3000.0, 0.0, 0.5, -42.0, 0.01)),
    ),
    replace(
        GUITAR, name="distortion guitar", formants=((600.0, 0.8, 5.0), (2700.0, 0.6, 7.0)), tilt=1.3, even=-1.0, cutoff=4300.0, slope=2.8,
        position=0.0,
        attack=0.006, ring=16.0, ring_tracking=0.2, ring_damping=12000.0, slow=0.0, copies=3, detune=7.0, width=0.6, drift=4.0, level=-3.0,
        dynamics=0.6,
        vibrato=7.0, vibrato_delay=0.5, noises=(
            Noise("band", 2500.0, 0.2, 0.6, -25.0, 0.001, 0.07), Noise("band", 3200.0, 0.0, 0.5, -36.0, 0.01),
        ),
    ),
    replace(
        GUITAR, name="guitar harmonics", transpose=12.0, tilt=10.0, formants=(), position=0.0, cutoff=4000.0, ring=3.5,
        noises=GUITAR.noises[:1],
    ),
)
_BASSES = (
    replace(
        BASS, name="acoustic bass", cutoff=1000.0, formants=((95.0, 0.5, 4.0),), ring=2.0,
        noises=(*BASS.noises, Noise("band", 130.0, 0.0, 1.2, -20.0, 0.002, 0.12)),
    ),
    replace(BASS, name="fingered bass"),
    replace(
        BASS, name="picked bass", position=0.12, cutoff=2400.0, tilt=4.2,
        noises=(Noise("band", 2200.0, 0.2, 0.8, -21.0, 0.0006, 0.03, velocity=1.8),),
    ),
    replace(
        BASS, name="fretless bass", cutoff=1200.0, attack=0.02, scoop=-30.0, scoop_time=0.06, vibrato=9.0, vibrato_delay=0.3,
        formants=((600.0, 0.7, 4.0),),
    ),
    replace(
        BASS, name="slap bass 1", position=0.09, cutoff=3600.0, tilt=3.6, brightness=2.0,
        noises=(Noise("band", 2800.0, 0.1, 0.8, -15.0, 0.0005, 0.04, velocity=2.0),),
    ),
    replace(
        BASS, name="slap bass 2", position=0.13, cutoff=4400.0, tilt=3.8, ring=1.8,
        noises=(Noise("band", 3600.0, 0.1, 0.9, -14.0, 0.0005, 0.05, velocity=2.0),),
    ),
    replace(
        BASS, name="synth bass 1", position=0.0, stiffness=0.0, tilt=6.02, cutoff=900.0, slope=2.4, bright_start=5.0, bright_time=0.12,
        ring=5.0,
        ring_damping=9000.0, scoop=0.0, noises=(), copies=2, detune=4.0, level=0.0,
    ),
    replace(
        BASS, name="synth bass 2", position=0.0, stiffness=0.0, tilt=6.02, even=-14.0, cutoff=1300.0, slope=2.4, bright_start=3.0,
        bright_time=0.08, ring=6.0,
        ring_damping=9000.0, scoop=0.0, noises=(), level=0.0,
    ),
)
_STRINGS = (
    replace(STRING, name="violin", pan=-0.35),
    replace(
        STRING, name="viola", cutoff=3100.0, formants=((220.0, 0.3, 4.0), (380.0, 0.4, 5.0), (1700.0, 0.6, 4.0)), vibrato_rate=5.4,
        pan=0.15,
    ),
    replace(
        STRING, name="cello", cutoff=2900.0, cutoff_tracking=0.2, formants=(
            (110.0, 0.35, 4.0), (220.0, 0.4, 4.0), (600.0, 0.5, 2.0), (1600.0, 0.6, 4.0),
        ),
        vibrato_rate=5.2, attack=0.13, pan=0.35,
    ),
    replace(
        STRING, name="contrabass", cutoff=1900.0, cutoff_tracking=0.1, formants=((70.0, 0.4, 4.0), (160.0, 0.4, 4.0), (500.0, 0.5, 3.0)),
        vibrato=7.0,
        vibrato_rate=4.8, attack=0.11, pan=0.45,
    ),
    replace(ENSEMBLE, name="tremolo strings", tremolo=6.0, vibrato=4.0, vibrato_rate=11.5, vibrato_delay=0.05),
    replace(
        GUITAR, name="pizzicato strings", formants=VIOLIN_BODY, cutoff=1700.0, position=0.24, ring=0.8, ring_tracking=0.6,
        ring_damping=900.0, slow=0.15,
        copies=3, detune=6.0, width=0.6, level=6.0, reverb=0.35, noises=(Noise("band", 600.0, 0.3, 1.0, -18.0, 0.001, 0.06),),
    ),
    replace(
        GUITAR, name="orchestral harp", formants=(), position=0.32, cutoff=2100.0, ring=4.5, ring_tracking=0.6, release=1.2, keyboard=0.3,
        reverb=0.35,
    ),
    replace(
        MALLET, name="timpani", ratios=(1.0, 1.5, 1.99, 2.44, 2.89, 0.85), weights=(1.0, 0.6, 0.35, 0.2, 0.12, 0.3), ring=2.4,
        ring_tracking=0.2, ring_damping=400.0,
        release=0.9, scoop=20.0, scoop_time=0.08, level=4.0, keyboard=0.0, noises=(
            Noise("low", 260.0, 0.0, 0.7, -8.0, 0.001, 0.16, velocity=1.4),
        ),
    ),
)
_ENSEMBLES = (
    replace(ENSEMBLE, name="string ensemble 1"),
    replace(ENSEMBLE, name="string ensemble 2", attack=0.26, cutoff=2000.0, release=0.6, bright_time=0.3),
    replace(PAD, name="synth strings 1", attack=0.12, cutoff=3000.0, bright_time=0.25, release=0.6, detune=12.0),
    replace(PAD, name="synth strings 2", attack=0.3, cutoff=2200.0, release=0.9, detune=10.0),
    replace(CHOIR, name="choir aahs"),
    replace(CHOIR, name="voice oohs", formants=OOH, tilt=9.0, cutoff=2600.0),
    replace(
        CHOIR, name="synth voice", formants=((480.0, 0.35, 12.0), (1000.0, 0.35, 8.0), (2500.0, 0.3, 3.0)), copies=3, vibrato=6.0,
        attack=0.08,
    ),
    replace(
        ENSEMBLE, name="orchestra hit", attack=0.006, sustain=0.0, decay=0.22, bright_start=2.0, bright_time=0.1, release=0.4,
        cutoff=4500.0, level=3.0,
        vibrato=0.0, scoop=0.0, ratios=None, noises=(
            Noise("band", 1500.0, 0.0, 0.5, -10.0, 0.002, 0.3), Noise("low", 200.0, 0.0, 0.7, -8.0, 0.002, 0.35),
        ),
    ),
)
_BRASSES = (
    replace(BRASS, name="trumpet"),
    replace(BRASS, name="trombone", cutoff=2100.0, formants=((650.0, 0.8, 4.0),), attack=0.045, scoop=-45.0),
    replace(BRASS, name="tuba", cutoff=800.0, formants=((350.0, 0.8, 4.0),), attack=0.08, vibrato=3.0),
    replace(
        BRASS, name="muted trumpet", tilt=2.8, cutoff=2600.0, formants=((1700.0, 0.45, 9.0), (4200.0, 0.4, 6.0), (500.0, 0.8, -7.0)),
        level=-5.0,
    ),
    replace(
        BRASS, name="french horn", cutoff=950.0, formants=((420.0, 0.8, 4.0),), attack=0.09, bright_time=0.08, reverb=0.42, scoop=-25.0,
    ),
    replace(BRASS, name="brass section", copies=3, detune=7.0, width=0.7, cutoff=3300.0, attack=0.06, vibrato=4.0),
    replace(
        LEAD, name="synth brass 1", bright_start=0.35, bright_time=0.08, attack=0.03, cutoff=3300.0, copies=3, detune=8.0, width=0.6,
        vibrato=0.0,
    ),
    replace(
        LEAD, name="synth brass 2", bright_start=0.4, bright_time=0.16, attack=0.05, cutoff=2300.0, copies=3, detune=7.0, width=0.6,
        vibrato=0.0,
    ),
)
_REEDS = (
    replace(REED, name="soprano sax", formants=((1200.0, 0.6, 4.0), (2800.0, 0.5, 3.0)), scoop=-40.0),
    replace(REED, name="alto sax", formants=((850.0, 0.6, 5.0), (2200.0, 0.5, 3.0)), cutoff=2300.0, scoop=-40.0, vibrato=12.0),
    replace(REED, name="tenor sax", formants=((600.0, 0.6, 5.0), (1700.0, 0.5, 3.0)), cutoff=2600.0, scoop=-45.0, vibrato=13.0),
    replace(REED, name="baritone sax", formants=((420.0, 0.6, 5.0), (1300.0, 0.5, 5.0)), cutoff=2800.0, tilt=3.4, scoop=-40.0),
    replace(
        REED, name="oboe", tilt=3.2, formants=((1100.0, 0.5, 8.0), (2900.0, 0.45, 6.0), (300.0, 0.7, -4.0)), cutoff=2900.0, attack=0.03,
    ),
    replace(REED, name="english horn", tilt=2.6, formants=((950.0, 0.5, 8.0), (2100.0, 0.45, 5.0)), cutoff=2800.0),
    replace(REED, name="bassoon", tilt=2.8, formants=((460.0, 0.55, 9.0), (1150.0, 0.5, 5.0)), cutoff=1700.0, cutoff_tracking=0.15),
    replace(
        REED, name="clarinet", tilt=4.4, even=-15.0, cutoff=3300.0, vibrato=2.0, scoop=-10.0, formants=((1500.0, 0.6, 3.0),), attack=0.04,
    ),
)
_PIPES = (
    replace(PIPE, name="piccolo", transpose=0.0, tilt=11.0, cutoff=3500.0),
    replace(PIPE, name="flute"),
    replace(PIPE, name="recorder", tilt=11.5, even=-5.0, vibrato=3.0, tremolo=0.5, attack=0.03),
    replace(
        PIPE, name="pan flute", tilt=12.0, even=-7.0,
        noises=(Noise("band", 1100.0, 1.0, 1.5, -20.0, 0.02, flutter=0.3), Noise("band", 2500.0, 0.4, 0.7, -14.0, 0.01, 0.13)),
    ),
    replace(
        PIPE, name="blown bottle", tilt=15.0, vibrato=3.0,
        noises=(Noise("band", 800.0, 1.0, 2.0, -15.0, 0.03, flutter=0.3), Noise("band", 1500.0, 0.5, 0.8, -16.0, 0.02, 0.15)),
    ),
    replace(
        PIPE, name="shakuhachi", tilt=9.0, scoop=-70.0, scoop_time=0.08, vibrato=20.0,
        noises=(Noise("band", 1900.0, 0.7, 0.8, -22.0, 0.02, flutter=0.6), Noise("band", 3000.0, 0.2, 0.6, -15.0, 0.015, 0.12)),
    ),
    replace(PIPE, name="whistle", tilt=20.0, vibrato=18.0, vibrato_rate=5.8, tremolo=0.6, scoop=-60.0, scoop_time=0.05),
    replace(PIPE, name="ocarina", tilt=16.0, vibrato=6.0, noises=(Noise("band", 1400.0, 0.9, 1.2, -32.0, 0.03),)),
)
_LEADS = (
    replace(LEAD, name="square lead", even=-40.0, cutoff=5000.0, copies=1, width=0.0),
    replace(LEAD, name="saw lead"),
    replace(LEAD, name="calliope lead", tilt=12.0, cutoff=5000.0, bright_start=1.0, noises=(Noise("band", 1800.0, 0.8, 1.2, -26.0, 0.02),)),
    replace(LEAD, name="chiff lead", tilt=9.0, cutoff=2600.0, noises=(Noise("band", 2600.0, 0.7, 1.2, -12.0, 0.004, 0.09),)),
    replace(LEAD, name="charang lead", tilt=4.0, cutoff=4200.0, formants=((1900.0, 0.6, 5.0),), copies=3, detune=8.0),
    replace(LEAD, name="voice lead", tilt=7.0, formants=AAH, bright_start=0.7, attack=0.05, vibrato=12.0, copies=2),
    replace(
        LEAD, name="fifths lead", ratios=tuple(k * r for k in range(1, 17) for r in (1.0, 1.5)),
        weights=tuple(w / k for k in range(1, 17) for w in (1.0, 0.8)),
    ),
    replace(LEAD, name="bass and lead", copies=3, detune=5.0, cutoff=2600.0, bright_start=3.0, bright_time=0.2),
)
_PADS = (
    replace(
        PAD, name="new age pad", bright_start=3.0, bright_time=0.5, attack=0.02, ratios=None, tilt=7.0,
        noises=(Noise("band", 6000.0, 0.0, 0.6, -32.0, 0.4, flutter=0.6),),
    ),
    replace(PAD, name="warm pad", cutoff=1100.0, tilt=6.5),
    replace(PAD, name="polysynth pad", attack=0.04, cutoff=3200.0, bright_start=1.8, bright_time=0.4, release=0.7),
    replace(PAD, name="choir pad", formants=OOH, tilt=7.0, cutoff=3000.0, vibrato=7.0, vibrato_delay=0.5),
    replace(PAD, name="bowed pad", tilt=8.0, even=-6.0, cutoff=2600.0, attack=0.5, ratios=None),
    replace(
        PAD, name="metallic pad", ratios=(1.0, 2.0, 2.76, 4.07, 5.4, 6.9, 8.93), weights=(1.0, 0.4, 0.35, 0.2, 0.25, 0.12, 0.1),
        cutoff=4000.0,
    ),
    replace(PAD, name="halo pad", formants=AAH, cutoff=3000.0, attack=0.6, release=1.6),
    replace(PAD, name="sweep pad", bright_start=0.25, bright_time=1.6, cutoff=4200.0, attack=0.5, release=1.5),
)
_EFFECTS = (
    replace(
        PAD, name="rain", ratios=FREE_BAR, weights=(1.0, 0.4, 0.25, 0.15, 0.1), attack=0.004, sustain=0.25, decay=0.5, cutoff=6000.0,
        bright_start=2.0, noises=(Noise("band", 7000.0, 0.0, 0.7, -24.0, 0.1, flutter=1.0, flutter_rate=11.0),),
    ),
    replace(
        PAD, name="soundtrack", ratios=tuple(k * r for k in range(1, 13) for r in (1.0, 1.5)),
        weights=tuple(w / k for k in range(1, 13) for w in (1.0, 0.6)), attack=0.4,
    ),
    replace(
        MALLET, name="crystal", ratios=(1.0, 2.0, 2.76, 4.2, 5.4, 8.93, 11.3), weights=(1.0, 0.3, 0.35, 0.2, 0.25, 0.18, 0.1), ring=4.0,
        ring_damping=5000.0, release=1.5, cutoff=9000.0, copies=2, detune=4.0, width=0.7, reverb=0.5,
    ),
    replace(GUITAR, name="atmosphere", copies=3, detune=7.0, width=0.8, ring=6.0, release=0.9, slow=0.4, reverb=0.5),
    replace(PAD, name="brightness", attack=0.02, cutoff=6000.0, bright_start=1.6, tilt=5.0, bright_time=0.5),
    replace(
        PAD, name="goblins", tilt=9.0, cutoff=1400.0, bright_start=0.3, bright_time=1.4, vibrato=25.0, vibrato_rate=3.1,
        noises=(Noise("band", 900.0, 0.6, 2.0, -22.0, 0.4, flutter=0.8, flutter_rate=4.0),),
    ),
    replace(
        PAD, name="echoes", attack=0.01, sustain=0.4, decay=0.25, tremolo=7.0, vibrato_rate=3.3, cutoff=2600.0, bright_start=1.7,
        bright_time=0.3,
    ),
    replace(
        PAD, name="sci-fi", tilt=7.0, vibrato=35.0, vibrato_rate=6.5, cutoff=3000.0, bright_start=0.35, bright_time=1.0,
        ratios=(1.0, 1.5, 2.0, 3.02, 4.1, 6.2), weights=(1.0, 0.4, 0.5, 0.3, 0.25, 0.15),
    ),
)
_ETHNIC = (
    replace(ETHNIC, name="sitar"),
    replace(
        GUITAR, name="banjo", tilt=3.4, position=0.1, cutoff=4400.0, formants=((500.0, 0.5, 4.0), (1400.0, 0.6, 5.0)), ring=1.9,
        ring_damping=2400.0, slow=0.1, level=5.0,
    ),
    replace(
        GUITAR, name="shamisen", tilt=3.4, position=0.08, cutoff=4000.0, formants=((900.0, 0.6, 6.0),), ring=1.8, ring_damping=2000.0,
        slow=0.1, level=5.0, noises=(Noise("band", 1600.0, 0.1, 0.9, -13.0, 0.0006, 0.05),),
    ),
    replace(
        GUITAR, name="koto", tilt=4.0, position=0.11, cutoff=3400.0, formants=((600.0, 0.6, 3.0),), ring=2.6, scoop=18.0, scoop_time=0.08,
        release=0.7,
    ),
    replace(
        MALLET, name="kalimba", ratios=CLAMPED_BAR, weights=(1.0, 0.18, 0.06), ring=1.5, cutoff=3500.0,
        noises=(Noise("band", 1400.0, 0.3, 1.0, -17.0, 0.0008, 0.04),),
    ),
    replace(
        REED, name="bagpipe", tilt=3.2, cutoff=3600.0, formants=((1300.0, 0.7, 5.0),), vibrato=0.0, tremolo=0.0, dynamics=0.5, attack=0.02,
        copies=2, detune=4.0, width=0.3, level=-4.0,
    ),
    replace(STRING, name="fiddle", vibrato=9.0, attack=0.045, cutoff=4800.0, pan=-0.2),
    replace(
        REED, name="shanai", tilt=2.6, cutoff=3900.0, formants=((1500.0, 0.5, 8.0), (3200.0, 0.45, 6.0)), vibrato=18.0, scoop=-50.0,
        scoop_time=0.06,
    ),
)
_PERCUSSIVE = (
    replace(
        MALLET, name="tinkle bell", ratios=(1.0, 2.0, 3.01, 4.17, 5.43, 6.8), weights=(1.0, 0.6, 0.5, 0.4, 0.3, 0.2), ring=1.8,
        ring_damping=9000.0, release=1.2, cutoff=14000.0, transpose=12.0,
    ),
    replace(
        MALLET, name="agogo", ratios=(1.0, 1.62, 2.41, 3.4, 4.6, 6.1), weights=(1.0, 0.6, 0.5, 0.3, 0.3, 0.15), ring=0.7,
        ring_damping=5000.0, cutoff=9000.0, transpose=12.0,
    ),
    replace(
        MALLET, name="steel drums", ratios=(1.0, 2.0, 3.0, 4.02, 5.1, 6.3), weights=(1.0, 0.7, 0.3, 0.28, 0.12, 0.1), ring=1.9,
        ring_damping=900.0, bright_start=0.6, bright_time=0.03, scoop=12.0, copies=2, detune=2.0, width=0.3,
    ),
    replace(
        MALLET, name="woodblock", ratios=(1.0, 2.35, 3.9, 5.6), weights=(1.0, 0.5, 0.25, 0.1), ring=0.26, ring_tracking=0.3,
        ring_damping=6000.0, transpose=12.0, cutoff=9000.0, level=8.0,
    ),
    replace(
        MALLET, name="taiko drum", ratios=(1.0, 1.59, 2.14, 2.3, 2.65), weights=(1.0, 0.5, 0.3, 0.2, 0.15), transpose=-12.0, ring=1.1,
        ring_tracking=0.2, ring_damping=250.0, scoop=240.0, scoop_time=0.03, level=6.0, keyboard=0.0,
        noises=(Noise("low", 500.0, 0.0, 0.7, -6.0, 0.001, 0.12),),
    ),
    replace(
        MALLET, name="melodic tom", ratios=(1.0, 1.59, 2.14, 2.3), weights=(1.0, 0.45, 0.25, 0.15), transpose=-5.0, ring=0.8,
        ring_tracking=0.2, ring_damping=350.0, scoop=260.0, scoop_time=0.035, level=6.0, keyboard=0.0,
        noises=(Noise("band", 900.0, 0.0, 0.6, -12.0, 0.001, 0.09),),
    ),
    replace(
        MALLET, name="synth drum", ratios=(1.0, 2.0), weights=(1.0, 0.2), ring=0.8, ring_tracking=0.1, scoop=1500.0, scoop_time=0.09,
        level=6.0, keyboard=0.0, noises=(Noise("band", 1500.0, 0.0, 0.6, -14.0, 0.001, 0.08),),
    ),
    replace(
        MALLET, name="reverse cymbal", ratios=(), weights=(), level=0.0, attack=1.3, release=0.12, keyboard=0.0,
        noises=(Noise("band", 5200.0, 0.1, 0.5, -2.0, 1.5), Noise("band", 9500.0, 0.0, 0.8, -5.0, 1.8)),
    ),
)
_SOUNDS = (
    replace(GUITAR, name="guitar fret noise", level=0.0, ring=0.25, noises=(Noise("band", 2600.0, 0.4, 2.0, -4.0, 0.02, 0.3, glide=2.5),)),
    replace(
        PIPE, name="breath noise", level=-4.0, ratios=(), weights=(), noises=(Noise("band", 1800.0, 0.5, 0.8, 0.0, 0.08, flutter=0.4),),
    ),
    replace(
        PIPE, name="seashore", level=-2.0, ratios=(), weights=(), attack=0.8, release=2.0,
        noises=(
            Noise("low", 900.0, 0.2, 0.6, 0.0, 1.2, flutter=0.9, flutter_rate=0.25),
            Noise("band", 4000.0, 0.2, 0.5, -9.0, 1.6, flutter=1.0, flutter_rate=0.3),
        ),
    ),
    replace(
        PIPE, name="bird tweet", tilt=20.0, transpose=24.0, vibrato=260.0, vibrato_rate=12.0, vibrato_delay=0.02, tremolo=5.0, drift=90.0,
        attack=0.01, cutoff=9000.0, noises=(),
    ),
    replace(
        ORGAN, name="telephone ring", ratios=(1.0, 1.33, 2.7, 4.1, 5.4), weights=(1.0, 0.8, 0.4, 0.3, 0.2), tremolo=8.0, vibrato=0.0,
        vibrato_rate=20.0, transpose=12.0, copies=1,
    ),
    replace(
        PIPE, name="helicopter", level=0.0, ratios=(), weights=(), attack=0.15, release=0.5,
        noises=(
            Noise("low", 320.0, 0.3, 0.8, 0.0, 0.1, flutter=1.0, flutter_rate=11.0),
            Noise("band", 1500.0, 0.2, 0.6, -14.0, 0.2, flutter=1.0, flutter_rate=13.0),
        ),
    ),
    replace(
        PIPE, name="applause", level=0.0, ratios=(), weights=(), attack=0.3, release=1.2,
        noises=(
            Noise("band", 1400.0, 0.1, 0.8, 0.0, 0.3, flutter=0.8, flutter_rate=23.0),
            Noise("band", 3000.0, 0.1, 0.8, -4.0, 0.3, flutter=0.8, flutter_rate=31.0),
        ),
    ),
    replace(
        MALLET, name="gunshot", level=6.0, ratios=(1.0,), weights=(1.0,), transpose=-24.0, ring=0.4, scoop=900.0, scoop_time=0.04,
        release=1.0, keyboard=0.0,
        noises=(Noise("low", 2200.0, 0.1, 0.6, 2.0, 0.0005, 0.5), Noise("band", 4500.0, 0.0, 0.5, -3.0, 0.0005, 0.14)),
    ),
)

_UNTRIMMED = (
    *_PIANOS, *_MALLETS, *_ORGANS, *_GUITARS, *_BASSES, *_STRINGS, *_ENSEMBLES, *_BRASSES, *_REEDS, *_PIPES, *_LEADS, *_PADS, *_EFFECTS,
    *_ETHNIC,
    *_PERCUSSIVE, *_SOUNDS,
)
PROGRAMS: tuple[Preset, ...] = tuple(
    replace(preset, level=preset.level + trim) for preset, trim in zip(_UNTRIMMED, PROGRAM_TRIMS, strict=True)
)

"""What an instrument is to the renderer: the numbers from which every note's controls are computed.

Conventions: seconds, hertz, cents, decibels; "middle" is middle C (MIDI 60, 261.6 Hz); a `tracking` is an exponent of the note's
frequency over middle C's: 1 follows the pitch, 0 stays. Times written t60 are those of a fall by 60 dB.
A pitched instrument and a drum are the same thing here: a drum has a `fixed` frequency and hears no key-up.
"""

import math
from dataclasses import dataclass

MIDDLE_HZ = 261.6255653


@dataclass(frozen=True)
class Noise:
    """Filtered noise beside the tone: breath, bow, hammer, pick, snare wires."""

    kind: str = "band"  # low, band or high
    centre: float = 1000.0  # at middle C
    tracking: float = 0.0
    sharpness: float = 0.7
    level: float = -30.0  # root mean square, against the tone's
    attack: float = 0.002
    t60: float = math.inf  # infinite: lasts as long as the key is down, with the tone's own envelope
    bursts: tuple[float, ...] = (0.0,)  # moments at which it starts, each time again
    glide: float = 0.0  # octaves the centre has moved by the end of one second
    flutter: float = 0.0  # 0 … 1: how deeply a slow irregular curve opens and closes it
    flutter_rate: float = 8.0
    velocity: float = 1.0  # how much more than the tone it follows the velocity: exponent of (velocity / 127)


@dataclass(frozen=True)
class Preset:
    """One instrument. The defaults are a plain sustained tone."""

    name: str
    level: float = 0.0  # against the other instruments, dB
    dynamics: float = 1.0  # 1: velocity is 40·log10(velocity / 127) dB; 0: no difference
    # Spectrum: partials at ratios (None: harmonics) with weights (None: by the tilt)
    ratios: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    fixed: float = 0.0  # a drum's frequency; 0: the note's
    transpose: float = 0.0  # semitones
    stiffness: float = 0.0  # B of f_k = k·f·√(1 + B·k²) at middle C
    tilt: float = 6.0  # dB an octave of partial number
    even: float = 0.0  # dB of the even harmonics against the odd ones
    position: float = 0.0  # where the string is struck or plucked, as a part of its length; 0: no comb
    formants: tuple[tuple[float, float, float], ...] = ()  # (hertz, width in octaves, dB)
    cutoff: float = 6000.0  # a low pass on the partials, at middle C and velocity 96
    cutoff_tracking: float = 0.5
    slope: float = 1.5  # its order: 6 dB an octave for each
    brightness: float = 1.0  # octaves the cut-off moves for 64 steps of velocity
    bright_start: float = 1.0  # the cut-off at the start, against where it goes
    bright_time: float = 0.05
    # Loudness over time
    attack: float = 0.005
    decay: float = 0.1
    sustain: float = 1.0
    release: float = 0.15  # t60 after the key is up
    ring: float = math.inf  # t60 of the lowest partial at middle C; infinite: sounds as long as the key is down
    ring_tracking: float = 0.0
    ring_damping: float = 3000.0  # hertz above the fundamental at which the ring is half as long
    slow: float = 0.0  # part of the sound that rings `slow_factor` times as long: a piano's second decay
    slow_factor: float = 3.5
    one_shot: bool = False  # the key-up is not heard
    # Motion
    vibrato_rate: float = 5.5
    vibrato: float = 0.0  # cents
    vibrato_delay: float = 0.0
    tremolo: float = 0.0  # dB, with the vibrato
    drift: float = 0.0  # cents of irregular wandering
    flutter: float = 0.0  # dB of the same
    scoop: float = 0.0  # cents above the pitch at the start
    scoop_time: float = 0.03
    # Several at once
    copies: int = 1
    detune: float = 0.0  # cents from the middle to the outermost copy
    width: float = 0.0  # how far apart the copies stand, 0 … 1
    keyboard: float = 0.0  # how far left low notes and right high notes stand
    stereo: float = 0.0  # where it stands itself, −1 … 1: the pieces of a drum kit
    noises: tuple[Noise, ...] = ()
    # On the stage
    pan: float = 0.0  # where a track of it stands when the file does not say; ± is chosen for a track not in the middle
    reverb: float = 0.25  # amplitude sent to the room

"""Names of General MIDI: 128 programs, 16 families of eight programs, and the drum keys.

Programs count from 0, as in a MIDI file; printed lists often count from 1.
Drum names are those of the standard percussion key map, MIDI notes 35 to 81; other keys have no standard name.
Source: General MIDI System Level 1, MIDI Manufacturers Association, 1991.
"""

from symusic.core import TrackTick

PROGRAMS_PER_FAMILY = 8

_FAMILIES: dict[str, str] = {
    "Piano": "Acoustic Grand Piano, Bright Acoustic Piano, Electric Grand Piano, Honky-tonk Piano, "
    "Electric Piano 1, Electric Piano 2, Harpsichord, Clavinet",
    "Chromatic Percussion": "Celesta, Glockenspiel, Music Box, Vibraphone, Marimba, Xylophone, Tubular Bells, Dulcimer",
    "Organ": "Drawbar Organ, Percussive Organ, Rock Organ, Church Organ, Reed Organ, Accordion, Harmonica, Tango Accordion",
    "Guitar": "Nylon Guitar, Steel Guitar, Jazz Guitar, Clean Guitar, Muted Guitar, Overdriven Guitar, Distortion Guitar, Guitar Harmonics",
    "Bass": "Acoustic Bass, Finger Bass, Pick Bass, Fretless Bass, Slap Bass 1, Slap Bass 2, Synth Bass 1, Synth Bass 2",
    "Strings": "Violin, Viola, Cello, Contrabass, Tremolo Strings, Pizzicato Strings, Orchestral Harp, Timpani",
    "Ensemble": "String Ensemble 1, String Ensemble 2, Synth Strings 1, Synth Strings 2, "
    "Choir Aahs, Voice Oohs, Synth Voice, Orchestra Hit",
    "Brass": "Trumpet, Trombone, Tuba, Muted Trumpet, French Horn, Brass Section, Synth Brass 1, Synth Brass 2",
    "Reed": "Soprano Sax, Alto Sax, Tenor Sax, Baritone Sax, Oboe, English Horn, Bassoon, Clarinet",
    "Pipe": "Piccolo, Flute, Recorder, Pan Flute, Blown Bottle, Shakuhachi, Whistle, Ocarina",
    "Synth Lead": "Square Lead, Sawtooth Lead, Calliope Lead, Chiff Lead, Charang Lead, Voice Lead, Fifths Lead, Bass and Lead",
    "Synth Pad": "New Age Pad, Warm Pad, Polysynth Pad, Choir Pad, Bowed Pad, Metallic Pad, Halo Pad, Sweep Pad",
    "Synth Effects": "Rain, Soundtrack, Crystal, Atmosphere, Brightness, Goblins, Echoes, Sci-fi",
    "Ethnic": "Sitar, Banjo, Shamisen, Koto, Kalimba, Bagpipe, Fiddle, Shanai",
    "Percussive": "Tinkle Bell, Agogo, Steel Drums, Woodblock, Taiko Drum, Melodic Tom, Synth Drum, Reverse Cymbal",
    "Sound Effects": "Guitar Fret Noise, Breath Noise, Seashore, Bird Tweet, Telephone Ring, Helicopter, Applause, Gunshot",
}

FAMILY_NAMES: tuple[str, ...] = tuple(_FAMILIES)
"""The 16 families; program p is in family p // 8."""

PROGRAM_NAMES: tuple[str, ...] = tuple(name for names in _FAMILIES.values() for name in names.split(", "))
"""The 128 programs: `PROGRAM_NAMES[40]` is 'Violin'."""

UNPITCHED_PROGRAMS = range(PROGRAM_NAMES.index("Reverse Cymbal"), 128)
"""Reverse Cymbal and the sound effects: noises, which belong to no key and do not move when music is transposed.

Timpani, Taiko Drum, Melodic Tom, Agogo and their kin move: scores tune them to the key.
"""

FIRST_DRUM_KEY = 35
_DRUMS = (
    "Acoustic Bass Drum, Bass Drum 1, Side Stick, Acoustic Snare, Hand Clap, Electric Snare, Low Floor Tom, Closed Hi-hat, "
    "High Floor Tom, Pedal Hi-hat, Low Tom, Open Hi-hat, Low-mid Tom, High-mid Tom, Crash Cymbal 1, High Tom, Ride Cymbal 1, "
    "Chinese Cymbal, Ride Bell, Tambourine, Splash Cymbal, Cowbell, Crash Cymbal 2, Vibraslap, Ride Cymbal 2, High Bongo, Low Bongo, "
    "Mute High Conga, Open High Conga, Low Conga, High Timbale, Low Timbale, High Agogo, Low Agogo, Cabasa, Maracas, Short Whistle, "
    "Long Whistle, Short Guiro, Long Guiro, Claves, High Woodblock, Low Woodblock, Mute Cuica, Open Cuica, Mute Triangle, Open Triangle"
)

DRUM_NAMES: dict[int, str] = dict(enumerate(_DRUMS.split(", "), start=FIRST_DRUM_KEY))
"""Drum names by MIDI note, 35 to 81: `DRUM_NAMES[38]` is 'Acoustic Snare'."""


def is_pitched(track: TrackTick) -> bool:
    """Whether the notes of a track are pitches in a key: neither drums nor one of `UNPITCHED_PROGRAMS`."""
    return not track.is_drum and track.program not in UNPITCHED_PROGRAMS

"""How a pitch is written: which of its names (F sharp or G flat) belongs to a key and to the notes around it.

Names are places on the line of fifths: F is −1, C 0, G 1, B flat −2, F sharp 6. In a key each of the twelve pitch classes has
the name nearest to its scale: in C major from E flat (−3) to G sharp (8), in A minor from B flat (−2) to D sharp (9).
Around each note the pitch classes vote, each as a tonic that would name the note by its own chromatic scale, as often as it sounds.
Source: the votes are the first stage of ps13 (Meredith, "The ps13 pitch spelling algorithm", 2006); here the key names the tonics.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from symusic.core import ScoreTick

from symbolic.midi.keys import detect_key

Name = tuple[str, int, int]
STEPS = "FCGDAEB"
STEP_CLASSES = (5, 0, 7, 2, 9, 4, 11)
BEFORE, AFTER = 20, 30  # notes that vote
# the fifths from a tonic to each of the twelve steps of its chromatic scale: 1 is a minor second, 6 an augmented fourth
CHROMATIC = np.array([0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5])


def spelled(pitch: int, fifths: int, minor: bool = False) -> Name:
    """Step, alteration and octave of a MIDI pitch in a key of so many sharps (flats when negative).

    66 is F, 1, 4 in C, and G, −1, 4 in D flat.
    """
    return name_of(pitch, place_in_key(pitch % 12, fifths, minor))


def name_of(pitch: int, place: int) -> Name:
    """Step, alteration and octave of a MIDI pitch with the name at `place` on the line of fifths: 71 at −5 is C flat of octave 5."""
    alteration, letter = divmod(place + 1, 7)
    return STEPS[letter], alteration, (pitch - alteration - STEP_CLASSES[letter]) // 12 - 1


def place_in_key(pitch_class: int, fifths: int, minor: bool = False) -> int:
    """The place on the line of fifths of a pitch class in a key."""
    lowest = fifths - (2 if minor else 3)
    return (7 * pitch_class - lowest) % 12 + lowest


def spelled_notes(notes: Sequence[tuple[int, int]], keys: Sequence[tuple[int, bool]]) -> dict[tuple[int, int], Name]:
    """A name for each (time, pitch) of all parts together; `notes` are sorted, `keys` are the key (fifths, minor) at each of them."""
    if not notes:
        return {}
    classes = np.array([pitch for _, pitch in notes]) % 12
    counts = np.zeros((len(notes) + 1, 12))
    counts[1:][np.arange(len(notes)), classes] = 1
    counts = counts.cumsum(axis=0)
    places = np.arange(len(notes))
    votes = counts[np.minimum(places + AFTER, len(notes))] - counts[np.maximum(places - BEFORE, 0)]
    names: dict[tuple[int, int], Name] = {}
    for note, pitch_class, weights, (fifths, minor) in zip(notes, classes.tolist(), votes, keys, strict=True):
        lowest, ballots = _ballots(pitch_class, fifths, minor)
        names[note] = name_of(note[1], lowest + int((ballots @ weights).argmax()))
    return names


@lru_cache(maxsize=1024)
def _ballots(pitch_class: int, fifths: int, minor: bool) -> tuple[int, np.ndarray]:
    """The place of the first row, and rows of places against tonics (12): 1 where the tonic would give the pitch class that place."""
    tonics = np.array([place_in_key(tonic, fifths, minor) for tonic in range(12)])
    given = tonics + CHROMATIC[(pitch_class - np.arange(12)) % 12]
    usual = place_in_key(pitch_class, fifths, minor)
    allowed = np.clip(given, max(usual - 12, -15), min(usual + 12, 19))
    lowest = int(allowed.min())
    return lowest, (np.arange(lowest, allowed.max() + 1)[:, None] == given) * 1.0


def key_changes(score: ScoreTick) -> list[tuple[int, int, bool]]:
    """Keys as (tick, fifths, minor), sorted, the first at 0: those of the score, or the one that its notes suggest."""
    written = {max(s.time, 0): (s.key, bool(s.tonality)) for s in score.key_signatures if -7 <= s.key <= 7}
    if not written:
        detected = detect_key(score)
        if detected is None:
            return [(0, 0, False)]
        tonic, mode = detected
        minor = mode == "minor"
        return [(0, (7 * (tonic + 3 * minor) + 5) % 12 - 5, minor)]
    changes = [(tick, *written[tick]) for tick in sorted(written)]
    changes[0] = (0, *changes[0][1:])
    return [change for before, change in zip([None, *changes], changes, strict=False) if before is None or before[1:] != change[1:]]

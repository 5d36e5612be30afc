"""The key of a score, by correlating its pitch-class durations with key profiles.

Source: the Krumhansl-Schmuckler method with the Aarden-Essen profiles (Aarden 2003). Keys are (tonic pitch class 0..11, mode).
"""

import numpy as np
from symusic.core import ScoreTick

MAJOR = (17.7661, 0.145624, 14.9265, 0.160186, 19.8049, 11.3587, 0.291248, 22.062, 0.145624, 8.15494, 0.232998, 4.95122)
MINOR = (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623)
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def pitch_class_durations(score: ScoreTick) -> np.ndarray:
    """Total duration in ticks of each pitch class, drums left out; float64, shape (12,)."""
    histogram = np.zeros(12)
    for track in score.tracks:
        if not track.is_drum and len(track.notes):
            notes = track.notes.numpy()
            histogram += np.bincount(notes["pitch"] % 12, weights=notes["duration"], minlength=12)
    return histogram


def detect_key(score: ScoreTick) -> tuple[int, str] | None:
    """The likeliest key, such as (2, "major") for D major; None when only drums play or all pitch classes are alike."""
    histogram = pitch_class_durations(score)
    if histogram.std() == 0:
        return None
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    best = int(np.argmax(np.corrcoef(np.vstack([histogram, profiles]))[0, 1:]))
    return best % 12, "major" if best < 12 else "minor"


def key_name(key: tuple[int, str] | None) -> str:
    """ "D major"; "none" for None."""
    return "none" if key is None else f"{TONICS[key[0]]} {key[1]}"

"""The key of a score, by correlating its pitch-class durations with key profiles.

Source: the Krumhansl-Schmuckler method with the Aarden-Essen profiles (Aarden 2003). Keys are (tonic pitch class 0..11, mode).
"""

import numpy as np
from symusic.core import ScoreTick

from symbolic.midi.programs import is_pitched

Key = tuple[int, str]

MAJOR = (17.7661, 0.145624, 14.9265, 0.160186, 19.8049, 11.3587, 0.291248, 22.062, 0.145624, 8.15494, 0.232998, 4.95122)
MINOR = (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623)
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS: tuple[Key, ...] = tuple((tonic, mode) for mode in ("major", "minor") for tonic in range(12))


def pitch_class_durations(score: ScoreTick) -> np.ndarray:
    """Total duration in ticks of each pitch class, drums and noises left out; float64, shape (12,).

    In a score where no note lasts, each note counts 1.
    """
    arrays = [track.notes.numpy() for track in score.tracks if len(track.notes) and is_pitched(track)]
    if not arrays:
        return np.zeros(12)
    classes = np.concatenate([notes["pitch"] for notes in arrays]) % 12
    histogram = np.bincount(classes, np.concatenate([notes["duration"] for notes in arrays]), minlength=12)
    return histogram if histogram.any() else np.bincount(classes, minlength=12).astype(float)


def key_correlations(histogram: np.ndarray) -> np.ndarray:
    """Correlation of a histogram of pitch classes (12,) with the profile of each of `KEYS`; (24,), zeros for a flat histogram."""
    if histogram.max() == histogram.min():
        return np.zeros(len(KEYS))
    deviation = histogram - histogram.mean()
    return (_STANDARD_PROFILES @ deviation) / np.sqrt(deviation @ deviation)


def detect_key(score: ScoreTick) -> Key | None:
    """The likeliest key, such as (2, "major") for D major; None when nothing pitched plays or all pitch classes are alike.

    Of keys that correlate alike to nine digits, as all are for some symmetric chords, the first of `KEYS` is taken.
    """
    correlations = key_correlations(pitch_class_durations(score)).round(9)
    return KEYS[int(correlations.argmax())] if correlations.any() else None


def key_name(key: Key | None) -> str:
    """ "D major"; "none" for None."""
    return "none" if key is None else f"{TONICS[key[0]]} {key[1]}"


def _standard_profiles() -> np.ndarray:
    """The profiles of `KEYS` without mean, each of length 1; (24, 12)."""
    profiles = np.array([np.roll({"major": MAJOR, "minor": MINOR}[mode], tonic) for tonic, mode in KEYS])
    profiles -= profiles.mean(axis=1, keepdims=True)
    return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)


_STANDARD_PROFILES = _standard_profiles()

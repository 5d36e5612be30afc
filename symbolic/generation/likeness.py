"""What a continuation keeps of its seed beside meter, tempo and programs: the compass of each instrument, and the key.

The compass is a rule: an instrument stays within its own range in the seed, widened by a margin in semitones.
The key is a leaning: pitch classes that the seed's last bars do not use become less likely, by `strength`; 0 leaves the model alone.
"""

from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import UsageError
from symbolic.midi.keys import pitch_class_durations
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

UNHEARD = 0.01
LISTENED_QUARTERS = 64


@dataclass(frozen=True)
class LikenessSettings:
    """`key_strength` from 0 (free) upwards, 1 makes a pitch class never heard about 15 times less likely; `range_margin` in semitones."""

    key_strength: float = 1.0
    range_margin: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.key_strength <= 100:
            raise UsageError(
                f"key strength is {self.key_strength}; a number from 0 (free) to 100 (the seed's pitch classes only) is wanted"
            )
        if not 0 <= self.range_margin <= 127:
            raise UsageError(f"range margin is {self.range_margin}; 0 to 127 semitones are wanted (127 is free)")


def compasses(seed: ScoreTick, margin: int) -> dict[int, tuple[int, int]]:
    """Lowest and highest pitch of each program of the seed, widened by `margin`, within 0..127; drums are free."""
    found: dict[int, tuple[int, int]] = {}
    for track in seed.tracks:
        if len(track.notes) and not track.is_drum:
            pitches = track.notes.numpy()["pitch"]
            low, high = found.get(track.program, (127, 0))
            found[track.program] = (min(low, int(pitches.min())), max(high, int(pitches.max())))
    return {program: (max(0, low - margin), min(127, high + margin)) for program, (low, high) in found.items()}


def key_leaning(seed: ScoreTick, vocabulary: Vocabulary, strength: float) -> np.ndarray:
    """What is added to the logits, float64 (V,): strength × log of how much of each pitch class the seed's end holds, 0 for other tokens.

    Scaled so that the commonest pitch class gets 0.
    """
    leaning = np.zeros(len(vocabulary))
    start = max(0, seed.end() - LISTENED_QUARTERS * seed.ticks_per_quarter)
    heard = pitch_class_durations(seed.clip(start, seed.end(), clip_end=False) if start else seed)
    if not heard.sum():
        return leaning
    share = heard / heard.sum() + UNHEARD
    pitches = vocabulary.of_type(TokenType.PITCH)
    leaning[pitches] = strength * np.log(share / share.max())[vocabulary.values[pitches] % 12]
    return leaning

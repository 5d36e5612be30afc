"""What a continuation keeps of its seed beside meter, tempo and programs: key, register, compass, and who plays.

Two rules: an instrument stays within its own range in the seed, widened by a margin in semitones; an instrument that
played at the seed's end does not fall silent for more than some bars.
One leaning: pitch classes that the seed's end does not use, and registers an instrument hardly visits, become less likely.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import UsageError
from symbolic.midi.keys import pitch_class_durations
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.automaton import DRUMS
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

UNHEARD = 0.004
COMMON_SHARE = 0.06  # of the seed's sounding time: above, a pitch class is one of the key's
COMMON_REGISTER = 0.3  # of the busiest register of the program
LISTENED_QUARTERS = 64
REGISTER_WIDTH = 4.0


@dataclass(frozen=True)
class LikenessSettings:
    """How near to the seed: `likeness` scales the leaning (0 is free), `range_margin` in semitones, `max_rest` in bars."""

    likeness: float = 1.0
    range_margin: int = 5
    max_rest: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.likeness <= 100:
            raise UsageError(f"likeness is {self.likeness}; a number from 0 (free) to 100 (the seed's pitch classes only) is wanted")
        if not 0 <= self.range_margin <= 127:
            raise UsageError(f"range margin is {self.range_margin}; 0 to 127 semitones are wanted (127 is free)")
        if self.max_rest < 1:
            raise UsageError(f"max rest is {self.max_rest}; at least 1 bar is wanted (a large number is free)")


def pitches_by_program(seed: ScoreTick) -> dict[int, np.ndarray]:
    """Pitches of all notes of each program but drums, one array each."""
    found: dict[int, list[np.ndarray]] = {}
    for track in seed.tracks:
        if len(track.notes) and not track.is_drum:
            found.setdefault(track.program, []).append(track.notes.numpy()["pitch"])
    return {program: np.concatenate(arrays) for program, arrays in found.items()}


def compasses(seed: ScoreTick, margin: int) -> dict[int, tuple[int, int]]:
    """Lowest and highest pitch of each program of the seed, widened by `margin`, within 0..127; drums are free."""
    found = pitches_by_program(seed)
    return {program: (max(0, int(p.min()) - margin), min(127, int(p.max()) + margin)) for program, p in found.items()}


def players(seed: ScoreTick, end: int) -> set[int]:
    """Programs (-1 for drums) that begin a note in the last 16 quarters before `end`, in ticks."""
    start = end - 16 * seed.ticks_per_quarter
    return {
        DRUMS if track.is_drum else track.program
        for track in seed.tracks
        if len(track.notes) and int(track.notes.numpy()["time"].max()) >= start
    }


def leanings(
    seed: ScoreTick, vocabulary: Vocabulary, strength: float, in_key: bool = True, programs: Collection[int] = ()
) -> dict[int, np.ndarray]:
    """What is added to the logits of a program's pitches, for each program but drums: float64 (V,), 0 for other tokens.

    strength × (log of how much of its pitch class the seed's last 64 quarters hold, 0 for an unpitched program or without
    `in_key`, + log of how near it is to what the program plays in the seed, a histogram smoothed over 4 semitones); what is
    common enough gets 0, so that the model alone chooses among the notes of the key. `programs` that the seed lacks have no register.
    """
    start = max(0, seed.end() - LISTENED_QUARTERS * seed.ticks_per_quarter)
    heard = pitch_class_durations(seed.clip(start, seed.end(), clip_end=False) if start else seed)
    share = heard / max(heard.sum(), 1) + UNHEARD
    ids = vocabulary.of_type(TokenType.PITCH)
    pitches = vocabulary.values[ids]
    result, played = {}, pitches_by_program(seed)
    for program in sorted({*played, *programs} - {DRUMS}):
        common = np.ones(len(pitches))
        if program in played:
            near = np.exp(-0.5 * ((pitches[:, None] - played[program][None]) / REGISTER_WIDTH) ** 2).sum(axis=1) + 1e-6
            common = np.minimum(near / near.max() / COMMON_REGISTER, 1)
        if in_key and heard.any() and program not in UNPITCHED_PROGRAMS:
            common *= np.minimum(share / COMMON_SHARE, 1)[pitches % 12]
        result[program] = np.zeros(len(vocabulary))
        result[program][ids] = strength * np.log(common)
    return result

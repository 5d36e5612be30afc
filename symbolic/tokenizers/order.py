"""One order for the notes of an onset, so that one music has one stream of ids.

MidiTok keeps the order of a file's tracks and events. Here the notes of an onset go by program (drums last), pitch,
duration and velocity: the same chord gives the same tokens from every file, and the automaton can ask for it.
"""

import numpy as np

from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

NOTE_TOKENS = 4  # Program Pitch Velocity Duration


def ordered_notes(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """`ids` (T,) with the notes of each onset in order; all other tokens stay where they are."""
    starts = np.flatnonzero(vocabulary.types[ids] == TokenType.PROGRAM)
    if not len(starts):
        return ids
    onset = np.cumsum(vocabulary.types[ids] == TokenType.POSITION)[starts]
    notes = ids[starts[:, None] + np.arange(NOTE_TOKENS)]
    program, pitch, velocity, duration = vocabulary.values[notes].T
    order = np.lexsort((velocity, duration, pitch, np.where(program < 0, 128, program), onset))
    ordered = ids.copy()
    ordered[(starts[:, None] + np.arange(NOTE_TOKENS)).ravel()] = notes[order].ravel()
    return ordered

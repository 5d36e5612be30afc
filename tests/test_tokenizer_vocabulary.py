"""Types and values of tokens, and the twelve keys as a table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import score_of, scores
from symusic import Note, Track

from symbolic.midi.transposition import pitch_bounds, transpose
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
VELOCITIES = VOCABULARY.values[VOCABULARY.of_type(TokenType.VELOCITY)].tolist()


@pytest.mark.parametrize(
    ("token", "kind", "value"),
    [
        ("Pitch_60", TokenType.PITCH, 60),
        ("PitchDrum_38", TokenType.DRUM_PITCH, 38),
        ("Program_-1", TokenType.PROGRAM, -1),
        ("Program_127", TokenType.PROGRAM, 127),
        ("Position_575", TokenType.POSITION, 575),
        ("Duration_0.1.48", TokenType.DURATION, 1),
        ("Duration_4.1.24", TokenType.DURATION, 194),  # 4 beats and a 24th are 4 * 48 + 2 steps
        ("Duration_16.1.2", TokenType.DURATION, 792),
        ("TimeSig_6/8", TokenType.TIME_SIGNATURE, 288),
        ("Bar_None", TokenType.BAR, 0),
        ("BOS_None", TokenType.BOS, 0),
    ],
)
def test_types_and_values_of_tokens(token: str, kind: TokenType, value: int):
    """A token's type and value are what its name says, in grid steps of 48 a beat."""
    id_ = VOCABULARY.tokens.index(token)
    assert (VOCABULARY.types[id_], VOCABULARY.values[id_]) == (kind, value)


def test_the_vocabulary_is_complete():
    """All programs, pitches and drum pitches, the meters of the settings, a position for each step of the longest bar, tempos by ratio."""
    count = {kind: len(VOCABULARY.of_type(kind)) for kind in TokenType}
    assert count[TokenType.PROGRAM] == 129
    assert count[TokenType.PITCH] == count[TokenType.DRUM_PITCH] == 128
    assert count[TokenType.TIME_SIGNATURE] == 6 + 12 + 12 + 12
    assert count[TokenType.POSITION] == 12 * 48
    assert count[TokenType.VELOCITY] == 32
    assert sum(count.values()) == len(VOCABULARY)
    tempos = VOCABULARY.tempos[VOCABULARY.of_type(TokenType.TEMPO)]
    assert (tempos[0], tempos[-1], len(tempos)) == (20, 320, 64)
    np.testing.assert_allclose(tempos[1:] / tempos[:-1], 16 ** (1 / 63), rtol=1e-3)


@given(scores(on_grid=True, velocities=VELOCITIES), st.integers(-5, 6))
@settings(max_examples=60, deadline=None)
def test_transposing_the_score_is_looking_up_the_ids(score, semitones):
    """Tokens of the moved score are the moved tokens of the score, id for id, so the order inside an onset is included."""
    expected = VOCABULARY.transposition_table(semitones)[TOKENIZER.encode(score).ids]
    np.testing.assert_array_equal(TOKENIZER.encode(transpose(score, semitones)).ids, expected)


@pytest.mark.parametrize("semitones", [-5, 1, 6, 11])
def test_the_table_moves_pitches_and_nothing_else(semitones: int):
    """Drums and all other types keep their ids; pitches that stay in 0..127 move, and moving back undoes it."""
    table = VOCABULARY.transposition_table(semitones)
    others = VOCABULARY.types != TokenType.PITCH
    np.testing.assert_array_equal(table[others], np.flatnonzero(others))
    inside = [VOCABULARY.tokens.index(f"Pitch_{p}") for p in range(12, 116)]
    assert [VOCABULARY.tokens[i] for i in table[inside]] == [f"Pitch_{p + semitones}" for p in range(12, 116)]
    np.testing.assert_array_equal(VOCABULARY.transposition_table(-semitones)[table[inside]], inside)
    np.testing.assert_array_equal(VOCABULARY.transposition_table(0), np.arange(len(VOCABULARY)))


@given(st.lists(st.integers(0, 127), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_range_of_shifts_is_the_largest_that_fits(pitches):
    """Every shift inside keeps all pitches in 0..127, the next one outside breaks this or leaves the octave; drums do not count."""
    score = score_of(*((0, 100, pitch) for pitch in pitches))
    score.tracks.append(Track("", 0, True, [Note(0, 100, 0, 80), Note(0, 100, 127, 80)]))
    lowest, highest = VOCABULARY.shift_range(TOKENIZER.encode(score).ids)
    low, high = pitch_bounds(score)
    fitting = [k for k in range(-5, 7) if low + k >= 0 and high + k <= 127]
    assert list(range(lowest, highest + 1)) == fitting


def test_drums_alone_are_not_shifted():
    """Without pitches there is one key, the given one."""
    assert VOCABULARY.shift_range(TOKENIZER.encode(score_of((0, 100, 38), drums=True)).ids) == (0, 0)

"""Types and values of tokens, and the twelve keys on ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import score_of, scores
from symusic import Note, Score, Track

from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.seeds import load_seed
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


def commutes(score: Score, semitones: int) -> None:
    """Tokens of the moved score are the moved tokens of the score, id for id."""
    ids = TOKENIZER.encode(score).ids
    moved = VOCABULARY.transpose_ids(ids, semitones)
    np.testing.assert_array_equal(TOKENIZER.encode(transpose(score, semitones)).ids, moved)
    assert moved.dtype == ids.dtype
    np.testing.assert_array_equal(VOCABULARY.transpose_ids(moved, -semitones), ids)


@given(scores(on_grid=True, velocities=VELOCITIES), st.integers(-5, 6))
@settings(max_examples=60, deadline=None)
def test_transposing_the_score_is_looking_up_the_ids(score, semitones):
    """Tokens of the moved score are the moved tokens, so the order inside an onset is included; the scores have drums and noises."""
    commutes(score, semitones)


def orchestra(low: int, high: int) -> Score:
    """Thirty tracks that share programs and onsets, in chords and unisons from `low` to `high`, with drums and all noises."""
    generator = np.random.default_rng([low, high])
    score = Score(480)
    programs = [*(0, 0, 19, 40, 40, 40, 41, 42, 43, 47, 56, 60, 60, 68, 73, 116, 117), *UNPITCHED_PROGRAMS, -1, -1]
    for index, program in enumerate(programs):
        track = Track(f"part {index}", max(program, 0), program < 0)
        wide = program < 0 or program in UNPITCHED_PROGRAMS
        for onset in range(0, 4 * 480, 160):
            pitches = generator.integers(0, 128, 3) if wide else [low, high, *generator.integers(low, high + 1, 3)]
            track.notes.extend(Note(onset, int(generator.integers(1, 9)) * 60, int(pitch), 80) for pitch in pitches)
        score.tracks.append(track)
    return score


@pytest.mark.parametrize(("low", "high"), [(40, 80), (0, 100), (20, 127), (5, 121), (6, 122)])
def test_an_orchestra_moves_to_the_limits_of_the_range(low: int, high: int):
    """Every transposition that fits gives the tokens of the moved score, the outermost pitches 0 and 127 included."""
    score = orchestra(low, high)
    lowest, highest = VOCABULARY.shift_range(TOKENIZER.encode(score).ids)
    assert (lowest, highest) == (max(-5, -low), min(6, 127 - high))
    for semitones in range(lowest, highest + 1):
        commutes(score, semitones)


@pytest.mark.parametrize("semitones", range(-5, 7))
def test_the_canon_moves_as_its_tokens_do(semitones: int):
    """The bundled Canon in all twelve keys."""
    commutes(load_seed("canon"), semitones)


@given(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=60), st.integers(-127, 127))
@settings(max_examples=100, deadline=None)
def test_moved_ids_by_the_slow_formula(ids, semitones):
    """Of any ids whatever: a pitch moves unless a noise's program comes just before it or it would leave 0..127; all else stays."""
    expected = []
    for before, id_ in zip([None, *ids], ids, strict=False):
        noise = before is not None and VOCABULARY.tokens[before] in {f"Program_{p}" for p in UNPITCHED_PROGRAMS}
        name, _, value = VOCABULARY.tokens[id_].partition("_")
        moves = name == "Pitch" and not noise and 0 <= int(value) + semitones <= 127
        expected.append(VOCABULARY.tokens.index(f"Pitch_{int(value) + semitones}") if moves else id_)
    assert VOCABULARY.transpose_ids(np.array(ids, dtype=np.uint16), semitones).tolist() == expected


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
    """Every shift inside keeps all pitches in 0..127, the next one outside does not or leaves the octave; drums and noises are free."""
    score = score_of(*((0, 100, pitch) for pitch in pitches))
    score.tracks.append(Track("", 127, False, [Note(0, 100, 0, 80), Note(0, 100, 127, 80)]))
    score.tracks.append(Track("", 0, True, [Note(0, 100, 0, 80), Note(0, 100, 127, 80)]))
    lowest, highest = VOCABULARY.shift_range(TOKENIZER.encode(score).ids)
    low, high = pitch_bounds(score)
    fitting = [k for k in range(-5, 7) if low + k >= 0 and high + k <= 127]
    assert list(range(lowest, highest + 1)) == fitting


@pytest.mark.parametrize("track", [{"drums": True}, {"program": 122}])
def test_drums_and_noises_alone_are_not_shifted(track: dict):
    """Without pitches there is one key, the given one."""
    assert VOCABULARY.shift_range(TOKENIZER.encode(score_of((0, 100, 38), **track)).ids) == (0, 0)

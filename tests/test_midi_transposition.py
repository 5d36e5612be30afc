"""Transposing moves what sounds and what says the key, and can be undone; the key found moves along."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import notes_of, score_of, scores
from symusic import KeySignature, Note, Score, Track

from symbolic.errors import InputError
from symbolic.midi.keys import detect_key, key_name, pitch_class_durations
from symbolic.midi.transposition import fifths_after, pitch_bounds, transpose

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11, 12)


def melody(scale: tuple[int, ...], tonic: int = 60) -> Score:
    """The scale up, with the tonic chord held under it."""
    notes = [(i * 240, 240, tonic + step) for i, step in enumerate(scale)]
    return score_of(*notes, *((0, 1920, tonic - 12 + step) for step in (0, scale[2], 7)))


def test_pitches_move_and_drums_stay():
    """Every pitch moves by the semitones, drums by none; onsets, durations, velocities and programs stay, the given score too."""
    score = score_of((0, 480, 60), (480, 240, 64), program=40)
    score.tracks.append(Track("drums", 0, True, [Note(0, 120, 38, 100)]))
    before = score.copy()
    expected = {(p, d, pitch + (0 if d else 3), *rest): n for (p, d, pitch, *rest), n in notes_of(score).items()}
    assert dict(notes_of(transpose(score, 3))) == expected
    assert score == before


@given(scores(on_grid=False, velocities=[80]), st.integers(-127, 127))
@settings(max_examples=60, deadline=None)
def test_transposing_back_gives_the_score(score, semitones):
    """Up and down again is the same score wherever up is possible, and where it is not it is refused."""
    low, high = pitch_bounds(score)
    if high < low or (low + semitones >= 0 and high + semitones <= 127):
        assert notes_of(transpose(transpose(score, semitones), -semitones)) == notes_of(score)
    else:
        with pytest.raises(InputError, match=r"is possible"):
            transpose(score, semitones)


def test_out_of_range_names_what_is_possible():
    """The refusal gives the pitches that are there and the transpositions that fit."""
    with pytest.raises(InputError, match=r"transposing by \+12 would move pitches 10\.\.120 out of 0\.\.127; -10\.\.\+7 is possible"):
        transpose(score_of((0, 1, 10), (0, 1, 120)), 12)


def test_drums_alone_move_by_anything():
    """A score of drums has no range to leave."""
    score = score_of((0, 1, 0), (0, 1, 127), drums=True)
    assert pitch_bounds(score) == (128, -1)
    assert notes_of(transpose(score, 50)) == notes_of(score)


@pytest.mark.parametrize(
    ("fifths", "semitones", "expected"),
    [
        *((0, 2, 2), (2, 2, 4), (0, -2, -2), (0, 5, -1), (0, 7, 1), (-3, 3, 6), (4, 1, -1)),
        *((6, 1, 1), (-7, 0, -7), (-7, 12, -7), (7, 1, 2), (-6, 6, 0)),
    ],
)
def test_key_signatures_by_hand(fifths: int, semitones: int, expected: int):
    """C up a tone is D, D up a tone E, E up a semitone F; whole octaves leave even seven flats."""
    assert fifths_after(fifths, semitones) == expected


@given(st.integers(-7, 7), st.integers(-24, 24))
def test_key_signatures_follow_the_circle_of_fifths(fifths, semitones):
    """The tonic's pitch class, 7 semitones a fifth, moves by the semitones; the way back leads to the same key, perhaps spelt otherwise."""
    moved = fifths_after(fifths, semitones)
    assert (7 * moved) % 12 == (7 * fifths + semitones) % 12
    assert -7 <= moved <= 7
    assert (fifths_after(moved, -semitones) - fifths) % 12 == 0


def test_key_signatures_of_a_score_move_in_place():
    """Each signature keeps its tick and mode."""
    score = score_of((0, 1, 60))
    score.key_signatures.extend([KeySignature(0, 0, 0), KeySignature(960, -3, 1)])
    assert [(k.time, k.key, k.tonality) for k in transpose(score, 2).key_signatures] == [(0, 2, 0), (960, -1, 1)]


@pytest.mark.parametrize("semitones", range(12))
@pytest.mark.parametrize(("scale", "mode"), [(MAJOR_SCALE, "major"), (MINOR_SCALE, "minor")])
def test_the_key_found_moves_with_the_music(scale: tuple[int, ...], mode: str, semitones: int):
    """A scale over its tonic chord is found in its key, in all twelve keys and both modes."""
    assert detect_key(transpose(melody(scale), semitones)) == (semitones, mode)


@given(scores(on_grid=False, velocities=[80]))
@settings(max_examples=60, deadline=None)
def test_durations_of_pitch_classes_rotate(score):
    """Transposing by k turns the histogram of pitch classes by k, and drums are not in it."""
    low, high = pitch_bounds(score)
    shift = 3 if high <= 124 else -3
    if low > high or low + shift < 0:
        return
    before, after = pitch_class_durations(score), pitch_class_durations(transpose(score, shift))
    assert [after[(i + shift) % 12] for i in range(12)] == list(before)
    assert before.sum() == sum(n.duration for t in score.tracks if not t.is_drum for n in t.notes)


def test_no_key_without_pitches():
    """Drums alone, or all twelve pitch classes alike, have no key."""
    assert detect_key(score_of((0, 480, 38), drums=True)) is None
    assert detect_key(score_of(*((0, 480, 60 + i) for i in range(12)))) is None
    assert key_name(None) == "none"


def test_names_of_keys():
    """A key is told by tonic and mode."""
    assert key_name((2, "major")) == "D major"
    assert key_name((10, "minor")) == "Bb minor"

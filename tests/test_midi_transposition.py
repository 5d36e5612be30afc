"""Transposing moves what sounds and what says the key, leaves drums and noises, and can be undone; the way to C is the shortest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import notes_of, score_of, scores
from symusic import KeySignature, Note, Track

from symbolic.errors import InputError
from symbolic.midi.keys import KEYS, Key
from symbolic.midi.programs import PROGRAM_NAMES, UNPITCHED_PROGRAMS
from symbolic.midi.transposition import canonical_shift, fifths_after, pitch_bounds, transpose


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


def test_noises_stay_and_tuned_drums_move():
    """A reverse cymbal and the sound effects stay where they are; timpani, toms and all other programs move."""
    score = score_of((0, 480, 60))
    score.tracks.clear()
    score.tracks.extend(Track(name, program, False, [Note(0, 480, 50, 80)]) for program, name in enumerate(PROGRAM_NAMES))
    moved = {track.program: track.notes[0].pitch for track in transpose(score, 4).tracks}
    assert {program for program, pitch in moved.items() if pitch == 50} == set(UNPITCHED_PROGRAMS) == set(range(119, 128))
    assert {pitch for program, pitch in moved.items() if program not in UNPITCHED_PROGRAMS} == {54}


def test_noises_have_no_range_to_leave():
    """What does not move does not stop the rest from moving."""
    score = score_of((0, 480, 60))
    score.tracks.append(Track("shot", 127, False, [Note(0, 480, 0, 80), Note(0, 480, 127, 80)]))
    assert pitch_bounds(score) == (60, 60)
    assert [n.pitch for n in transpose(score, 60).tracks[1].notes] == [0, 127]


@pytest.mark.parametrize(
    ("key", "low", "high", "expected"),
    [
        *(((0, "major"), 0, 127, 0), ((9, "minor"), 0, 127, 0), ((2, "major"), 40, 80, -2), ((2, "major"), 1, 80, 10)),
        *(((6, "major"), 40, 80, -6), ((6, "major"), 5, 80, 6), ((7, "major"), 40, 80, 5), ((7, "major"), 40, 123, -7)),
        *(((3, "minor"), 40, 80, -6), ((2, "minor"), 0, 120, 7), ((11, "major"), 0, 127, None), ((1, "major"), 0, 117, None)),
    ],
)
def test_the_way_to_the_canonical_key_by_hand(key: Key, low: int, high: int, expected: int | None):
    """D to C is a tone down, or ten semitones up where there is no room below; nothing when neither fits."""
    assert canonical_shift(key, low, high) == expected


@given(st.sampled_from(KEYS), st.integers(0, 127), st.integers(0, 127))
def test_the_way_to_the_canonical_key_is_the_shortest_that_fits(key, a, b):
    """It ends in C major or A minor within 0..127, and no shorter way does; a tritone goes down when it can."""
    low, high = sorted((a, b))
    home = {"major": 0, "minor": 9}[key[1]]
    fitting = [k for k in range(-17, 18) if (key[0] + k - home) % 12 == 0 and 0 <= low + k <= high + k <= 127]
    assert canonical_shift(key, low, high) == min(fitting, key=lambda k: (abs(k), k), default=None)

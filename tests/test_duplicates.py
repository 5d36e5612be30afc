"""The same music is found again whatever its key; other music is not taken for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.corpus.duplicates import KEPT, RUN, cluster, melody_sketch
from symbolic.midi.transposition import transpose


def clusters_of(*scores) -> list[int]:
    return cluster([melody_sketch(score) for score in scores], [str(number) for number in range(len(scores))]).tolist()


@given(pitches=st.lists(st.integers(30, 90), min_size=1, max_size=100), shift=st.integers(-30, 30), drums=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_sketch_does_not_know_the_key(melody, pitches, shift, drums):
    """A transposed piece has the same sketch, hash by hash: sorted, distinct, at most `KEPT`."""
    score = melody(pitches, drums=drums)
    sketch = melody_sketch(score)
    assert np.array_equal(sketch, melody_sketch(transpose(score, shift)))
    assert np.array_equal(sketch, np.unique(sketch))
    assert min(1, len(pitches) - 1) <= len(sketch) <= KEPT


def test_the_sketch_is_of_the_highest_note_at_each_onset(melody, drawn):
    """An accompaniment below, in the same track or another, and drums beside it do not change the sketch; a voice above does."""
    upper, lower = drawn(1, 40), drawn(2, 40, 30, 45)
    alone, both = melody(upper), melody(upper)
    for track in (melody(lower, program=33).tracks[0], melody(drawn(3, 60, 80, 90), drums=True).tracks[0]):
        both.tracks.append(track)
    for note in melody(lower).tracks[0].notes:
        both.tracks[0].notes.append(note)
    assert np.array_equal(melody_sketch(alone), melody_sketch(both))
    both.tracks.append(melody([pitch + 40 for pitch in lower]).tracks[0])
    assert not np.array_equal(melody_sketch(alone), melody_sketch(both))


@pytest.mark.parametrize("notes", [2, 5, RUN, RUN + 1, RUN + 3, 30, 400])
def test_copies_in_other_keys_are_one_cluster(melody, drawn, notes):
    """However short the piece, its twelve transpositions are one cluster, numbered by its first member."""
    pitches = drawn(7, notes)
    other = melody([50, *drawn(8, notes)])
    assert clusters_of(other, *(melody([pitch + shift for pitch in pitches]) for shift in range(-5, 7))) == [0] + [1] * 12


def test_a_repeated_figure_is_found_in_another_key(melody):
    """A piece of one figure over and over has few different runs, and its copy has the same few."""
    figure = [60, 64, 67] * 20
    assert clusters_of(melody(figure), melody([pitch + 3 for pitch in figure])) == [0, 0]
    assert clusters_of(melody(figure), melody([60, 63, 67] * 20)) == [0, 1]


def test_different_pieces_are_not_merged(melody, drawn):
    """Four hundred unlike pieces are as many clusters."""
    assert clusters_of(*(melody(drawn(seed, 20 + seed % 80)) for seed in range(400))) == list(range(400))


def test_one_common_phrase_is_no_duplicate(melody, drawn):
    """Two long pieces that share one phrase stay apart, and two short ones that share half; two that share nearly all are one."""
    phrase, first, second = drawn(1, 11), drawn(2, 200), drawn(3, 200)
    assert clusters_of(melody(first[:100] + phrase + first[100:]), melody(second[:50] + phrase + second[50:])) == [0, 1]
    assert clusters_of(melody(phrase[:10] + first[:5]), melody(phrase[:10] + second[:5])) == [0, 1]
    assert clusters_of(melody(first), melody(first[:180] + second[:20])) == [0, 0]


def test_drums_alone_are_told_by_their_keys(melody, drawn):
    """Pieces of drums alone are compared by their drum keys; with pitched notes the drums do not count."""
    beat, other = drawn(1, 40, 35, 50), drawn(2, 40, 35, 50)
    assert clusters_of(melody(beat, drums=True), melody(other, drums=True), melody(beat, drums=True)) == [0, 1, 0]
    tune, another = melody(drawn(3, 40)), melody(drawn(4, 40))
    for score in (tune, another):
        score.tracks.append(melody([key + 50 for key in beat], drums=True).tracks[0])
    assert clusters_of(tune, another) == [0, 1]


def test_equal_files_are_one_cluster_even_without_a_melody(melody):
    """Two files with the same content belong together, also where the sketch is empty: a single chord."""
    chord = melody([60])
    assert len(melody_sketch(chord)) == 0
    assert cluster([melody_sketch(chord)] * 3, ["same", "other", "same"]).tolist() == [0, 1, 0]


def test_many_copies_are_still_found(melody, drawn):
    """Beyond the bound on how common a run may be, copies still find the ones before."""
    tune = melody_sketch(melody(drawn(1, 50)))
    assert set(cluster([tune] * 500, [str(number) for number in range(500)]).tolist()) == {0}


def test_likeness_is_passed_on(melody, drawn):
    """A like B and B like C are one cluster, in whichever order they come."""
    phrases = [drawn(seed, 60) for seed in range(4)]
    chain = [melody(phrases[n] + phrases[n + 1]) for n in range(3)]
    assert clusters_of(*chain) == [0, 0, 0]
    assert clusters_of(chain[0], chain[2], chain[1]) == [0, 0, 0]

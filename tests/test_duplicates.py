"""The same music is found again whatever its key; other music is not taken for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Track

from symbolic.corpus.assembly import draw_splits, prove_no_straddling, relations_of
from symbolic.corpus.duplicates import (
    ALIKE,
    COMMON,
    KEPT,
    RUN,
    Fingerprint,
    cluster,
    fingerprint,
    first_of_equal,
    melody_sketch,
    notes_hashes,
)
from symbolic.midi.transposition import transpose


def clusters_of(*scores) -> list[int]:
    return cluster([melody_sketch(score) for score in scores], np.arange(len(scores))).tolist()


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
    assert cluster([melody_sketch(chord)] * 3, np.array(["same", "other", "same"])).tolist() == [0, 1, 0]


def test_many_copies_are_still_found(melody, drawn):
    """Beyond the bound on how common a run may be, copies still find the ones before."""
    tune = melody_sketch(melody(drawn(1, 50)))
    assert set(cluster([tune] * 500, np.arange(500)).tolist()) == {0}


def test_likeness_is_passed_on(melody, drawn):
    """A like B and B like C are one cluster, in whichever order they come."""
    phrases = [drawn(seed, 60) for seed in range(4)]
    chain = [melody(phrases[n] + phrases[n + 1]) for n in range(3)]
    assert clusters_of(*chain) == [0, 0, 0]
    assert clusters_of(chain[0], chain[2], chain[1]) == [0, 0, 0]


def plain_clusters(sketches: list[np.ndarray], contents: list[int]) -> list[int]:
    """The rule, pair by pair."""
    number = list(range(len(sketches)))
    for one in range(len(sketches)):
        for other in range(one):
            shared = len(np.intersect1d(sketches[one], sketches[other]))
            lengths = sorted((len(sketches[one]), len(sketches[other])))
            alike = shared > 0 and shared >= ALIKE * lengths[0] and shared >= min(4, lengths[1])
            if alike or contents[one] == contents[other]:
                low, high = sorted((number[one], number[other]))
                number = [low if n == high else n for n in number]
    return number


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_clusters_are_those_of_comparing_all_pairs(data):
    """Sorting runs and pairing their holders gives what comparing each piece with each other gives."""
    hashes = st.integers(0, 40).map(lambda n: n * 7919)
    drawn_sketches = data.draw(st.lists(st.lists(hashes, max_size=14, unique=True), min_size=1, max_size=25))
    sketches = [np.array(sorted(sketch), dtype=np.uint64) for sketch in drawn_sketches]
    contents = data.draw(st.lists(st.integers(0, 30), min_size=len(sketches), max_size=len(sketches)))
    assert cluster(sketches, np.array(contents)).tolist() == plain_clusters(sketches, contents)


def test_blocks_of_pairs_do_not_matter(monkeypatch):
    """Cutting the pairs into blocks of other sizes changes no cluster."""
    generator = np.random.default_rng(4)
    pool = generator.integers(0, 2**63, 120).astype(np.uint64)
    sketches = [np.unique(generator.choice(pool, generator.integers(1, 12))) for _ in range(300)]
    expected = cluster(sketches).tolist()
    assert 1 < len(set(expected)) < 300
    for size in (1, 7, 1000):
        monkeypatch.setattr("symbolic.corpus.duplicates.PAIRS_AT_ONCE", size)
        assert cluster(sketches).tolist() == expected


def test_a_run_that_everyone_has_is_looked_up_at_the_first_ones_only():
    """Pieces that share four very common runs find those that came first, and through them each other."""
    common = np.arange(4, dtype=np.uint64)
    sketches = [np.sort(np.r_[common, np.uint64(1000 + 2 * n), np.uint64(1001 + 2 * n)]) for n in range(COMMON + 100)]
    assert set(cluster(sketches).tolist()) == {0}


@given(
    notes=st.lists(st.tuples(st.integers(0, 60), st.integers(40, 80), st.integers(1, 8), st.integers(1, 127)), min_size=1, max_size=30),
    program=st.integers(0, 118), shift=st.integers(-30, 30).filter(bool), factor=st.sampled_from([1, 2, 5]), rest=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_hashes_of_notes_are_of_the_music(notes, program, shift, factor, rest):
    """Resolution, velocities, tracks, a rest before and the order of notes change neither hash; a transposition only the first."""
    plain = score_of([(480 * t, p, 120 * d, 64) for t, p, d, _ in notes], program, 480)
    told = [(rest * 96 * factor + 96 * factor * t, p, 24 * factor * d, v) for t, p, d, v in notes]
    halves = score_of(told[::2][::-1], program, 96 * factor)
    for track in score_of(told[1::2], program, 96 * factor).tracks:
        halves.tracks.append(track)
    assert notes_hashes(halves) == notes_hashes(plain)
    as_they_are, any_key = notes_hashes(transpose(plain, shift))
    assert as_they_are != notes_hashes(plain)[0]
    assert any_key == notes_hashes(plain)[1]


def score_of(notes, program, ticks_per_quarter):
    score = Score(ticks_per_quarter)
    score.tracks.append(Track("", program, False))
    for time, pitch, duration, velocity in notes:
        score.tracks[0].notes.append(Note(time, duration, pitch, velocity))
    return score


def test_other_music_has_other_hashes(melody):
    """Another pitch, length, onset or instrument, or drums that are moved, is other music in both hashes."""
    base = score_of([(0, 60, 480, 64), (480, 64, 480, 64)], 0, 480)
    others = [
        score_of([(0, 60, 480, 64), (480, 65, 480, 64)], 0, 480),
        score_of([(0, 60, 480, 64), (480, 64, 240, 64)], 0, 480),
        score_of([(0, 60, 480, 64), (240, 64, 480, 64)], 0, 480),
        score_of([(0, 60, 480, 64), (480, 64, 480, 64)], 1, 480),
        melody([36, 38], drums=True),
        melody([38, 40], drums=True),
    ]
    for place in range(2):
        assert len({notes_hashes(score)[place] for score in (base, *others)}) == 7


def test_a_fingerprint_comes_back_from_its_bytes(melody, drawn):
    """Also one without a sketch, and hashes that end in zeros."""
    for score in (melody(drawn(1)), melody([60])):
        marks = fingerprint(b"file", score)
        back = Fingerprint.from_bytes(marks.to_bytes())
        assert (back.content, back.notes, back.shape) == (marks.content, marks.notes, marks.shape)
        assert np.array_equal(back.sketch, marks.sketch)


def test_relations_name_the_strongest_repeat():
    """Of what came before: the same bytes, else the same notes, else a transposition, else alike; the first of a cluster repeats none."""
    clusters = np.array([0, 0, 0, 0, 0, 5, 5])
    contents, notes, shapes = (np.array(list(text), dtype="S1") for text in ("abcdaef", "xxyzxvw", "pppqprr"))
    expected = [None, "same notes", "transposed", "alike", "same bytes", None, "transposed"]
    assert relations_of(clusters, contents, notes, shapes) == expected


def test_a_straddling_cluster_is_not_let_through():
    """Splits are checked against clusters and hashes before they are written."""
    prove_no_straddling(np.array([0, 1, 0]), np.array([0, 1, 0]))
    with pytest.raises(AssertionError, match="different splits"):
        prove_no_straddling(np.array([0, 1, 0]), np.array([0, 1, 2]), np.array([5, 6, 6]))


def test_splits_do_not_depend_on_order():
    """A cluster's split follows from its smallest content hash: not from the order of pieces, nor from the other clusters."""
    generator = np.random.default_rng(3)
    contents = np.array([generator.bytes(30) + b"\0\0" for _ in range(200)], dtype="S32")
    families = generator.integers(0, 60, 200)
    splits = draw_splits(first_of_equal(families), contents, 0.5)
    assert set(splits.tolist()) == {0, 1, 2}
    order = generator.permutation(200)[:150]
    kept = order[[families[order].tolist().count(family) == families.tolist().count(family) for family in families[order]]]
    assert np.array_equal(draw_splits(first_of_equal(families[kept]), contents[kept], 0.5), splits[kept])

"""Lanes are streams of whole pieces: nothing is lost, doubled or torn, for any number of processes and after any pause."""

import copy
import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.vocabulary import TokenType
from symbolic.training.lanes import NO_LABEL, Lanes


def streams(lanes: Lanes, steps: int) -> list[list[list[int]]]:
    """For each lane its pieces as lists of ids, the last one perhaps unfinished."""
    rows = [np.concatenate(parts) for parts in zip(*(next(lanes).ids for _ in range(steps)), strict=True)]
    bos = lanes.corpus.tokenizer.vocabulary.bos
    return [[part.tolist() for part in np.split(row, np.flatnonzero(row == bos))[1:]] for row in rows]


def indices_of(lanes: Lanes, pieces: list[list[int]]) -> list[int]:
    """Which pieces of the corpus these are; only for lanes without transposition."""
    known = {tuple(lanes.corpus.piece(int(index)).tolist()): int(index) for index in lanes.pieces}
    return [known[tuple(piece)] for piece in pieces]


def test_segments_joined_are_whole_pieces(corpus):
    """Each lane, read on from segment to segment, is BOS … EOS, BOS … EOS: pieces of the training split, whole."""
    lanes = Lanes(corpus, 3, 37, twelve_keys=False)
    for pieces in streams(lanes, 60):
        assert len(pieces) > 5
        assert set(indices_of(lanes, pieces[:-1])) <= set(corpus.pieces("train").tolist())


@pytest.mark.parametrize("length", [1, 2, 16, 300])
def test_labels_are_the_next_ids(corpus, length):
    """A label is the id that comes next in the lane; after EOS there is none, because nothing foretells the next piece."""
    lanes = Lanes(corpus, 2, length)
    segments = [next(lanes) for _ in range(1000 // length)]
    ids, labels = (np.concatenate([getattr(segment, name) for segment in segments], axis=1) for name in ("ids", "labels"))
    ends = ids == corpus.tokenizer.vocabulary.eos
    assert ends.any()
    assert np.array_equal(labels[:, :-1], np.where(ends, NO_LABEL, np.roll(ids, -1, axis=1))[:, :-1])
    assert np.array_equal(labels == NO_LABEL, ends)


def test_ages_and_beats_count_from_the_beginning_of_the_piece(corpus):
    """A token's age is how many tokens of its piece come before it, and its beat is the piece's own, across all cuts."""
    lanes = Lanes(corpus, 3, 29)
    segments = [next(lanes) for _ in range(60)]
    for row in range(3):
        ids, ages, beats = (np.concatenate([getattr(segment, name)[row] for segment in segments]) for name in ("ids", "ages", "beats"))
        starts = np.flatnonzero(ids == corpus.tokenizer.vocabulary.bos)
        assert len(starts) > 3
        for piece, age, beat in zip(*(np.split(values, starts)[1:] for values in (ids, ages, beats)), strict=True):
            assert age.tolist() == list(range(len(piece)))
            assert np.array_equal(beat, derive_beats(piece, corpus.tokenizer.vocabulary))


@pytest.mark.parametrize("world", [1, 2, 3, 16])
def test_every_piece_comes_once_in_an_epoch(corpus, world):
    """With balance 1 the ranks together read each training piece once an epoch and share none, also when they outnumber the pieces."""
    train = corpus.pieces("train").tolist()
    assert 8 < len(train) < 16
    counted: Counter[int] = Counter()
    epochs = 5
    for rank in range(world):
        lanes = Lanes(corpus, 2, 64, twelve_keys=False, rank=rank, world=world)
        share = len(range(rank, epochs * len(train), world))
        counted.update(indices_of(lanes, pieces_in_order(lanes, share)))
    assert counted == dict.fromkeys(train, epochs)


def pieces_in_order(lanes: Lanes, count: int) -> list[list[int]]:
    """The first pieces that a rank begins, whichever lane they go to."""
    begun: dict[tuple[int, int], list[int]] = {}
    while len(begun) < count + len(lanes.lanes):
        next(lanes)
        for lane in lanes.lanes:
            assert lane.ids is not None
            begun[lane.epoch, lane.entry] = lane.ids.tolist()
    return [begun[key] for key in sorted(begun)[:count]]


def test_epochs_come_in_new_orders(corpus):
    """Each epoch has its own order and transpositions, another seed others, and the same seed the same."""
    plans = [Lanes(corpus, 1, 8, random_seed=seed).plan(epoch) for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]]
    for position in (0, 1):
        drawn = [plan[position].tolist() for plan in plans]
        assert drawn[0] == drawn[3]
        assert drawn[0] != drawn[1]
        assert drawn[0] != drawn[2]
        assert drawn[1] != drawn[2]
    assert all(sorted(plan[0].tolist()) == corpus.pieces("train").tolist() for plan in plans)


@pytest.fixture(scope="module")
def pair(tmp_path_factory, melody, drawn, folder_of, coarse) -> Corpus:
    """Two pieces: drums under a melody with room for all twelve keys, and one that reaches from 2 to 124."""
    free = melody(drawn(1))
    free.tracks.append(melody(drawn(2, low=35, high=50), drums=True).tracks[0])
    folder = tmp_path_factory.mktemp("pair")
    tokenize_folder(folder_of(folder / "midi", {"free.mid": free, "wide.mid": melody([2, 60, 124])}), folder / "out", coarse, held_out=0)
    return Corpus(folder / "out")


def test_transpositions_are_uniform_over_the_keys_in_range(pair):
    """Every shift that keeps all notes in 0..127, out of −5..6, comes equally often; drums and all but pitches stay as they are."""
    vocabulary = pair.tokenizer.vocabulary
    drawn: dict[int, Counter[int]] = {0: Counter(), 1: Counter()}
    lanes = Lanes(pair, 1, int(pair.lengths().sum()))
    for _ in range(1200):
        ids = next(lanes).ids[0]
        for piece in np.split(ids, np.flatnonzero(ids == vocabulary.bos)[1:]):
            index = int(len(piece) == pair.lengths()[1])
            original = pair.piece(index)
            pitched = vocabulary.types[original] == TokenType.PITCH
            shifts = set((vocabulary.values[piece[pitched]] - vocabulary.values[original[pitched]]).tolist())
            assert len(shifts) == 1
            assert np.array_equal(piece[~pitched], original[~pitched])
            drawn[index].update(shifts)
    drums = vocabulary.types[pair.piece(0)] == TokenType.DRUM_PITCH
    assert drums.sum() == 24
    assert set(drawn[0]) == set(range(-5, 7))
    assert set(drawn[1]) == set(range(-2, 4))
    for counts in drawn.values():
        expected = 1200 / len(counts)
        deviation = sum((count - expected) ** 2 for count in counts.values()) / expected
        assert deviation < 31.3  # chi-squared of 11 degrees of freedom, one in a thousand; the draw is the same at every run


@pytest.mark.parametrize(("split", "twelve_keys"), [("train", False), ("validation", True), ("test", True)])
def test_only_training_pieces_are_transposed(corpus, split, twelve_keys):
    """Held-out pieces keep their key whatever the setting, and training pieces when it is off."""
    lanes = Lanes(corpus, 2, 50, split=split, twelve_keys=twelve_keys)
    for pieces in streams(lanes, 40):
        assert len(indices_of(lanes, pieces[:-1])) > 3


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_stream_resumes_exactly(corpus, data):
    """At any point the saved state, as plain numbers, goes on with the same segments, over ends of epochs and for every rank."""
    world = data.draw(st.integers(1, 3))
    shape = {
        "lanes": data.draw(st.integers(1, 5)), "segment_length": data.draw(st.integers(1, 400)),
        "rank": data.draw(st.integers(0, world - 1)), "world": world, "balance": data.draw(st.sampled_from([1.0, 0.3])),
    }  # fmt: skip
    whole, steps = Lanes(corpus, **shape), data.draw(st.integers(0, 30))
    for _ in range(steps):
        next(whole)
    state = copy.deepcopy(whole.state_dict())
    resumed = Lanes(corpus, **shape)
    for _ in range(data.draw(st.integers(0, 3))):
        next(resumed)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    for _ in range(12):
        one, other = next(whole), next(resumed)
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ids", "labels", "ages", "beats"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lanes": 3}, "lanes was 2 and is 3"),
        ({"random_seed": 5}, "random_seed was 0 and is 5"),
        ({"balance": 0.5}, "balance was 1.0 and is 0.5"),
        ({"twelve_keys": False}, "twelve_keys was True"),
        ({"world": 2}, "processes was 1 and is 2"),
        ({"split": "test"}, "dataset was"),
    ],
)
def test_the_state_of_another_stream_is_refused(corpus, change, told):
    """A state goes on only with the dataset, seed, lanes and processes it was saved with; the difference is named."""
    shape = {"lanes": 2, "segment_length": 16}
    state = Lanes(corpus, **shape).state_dict()
    with pytest.raises(InputError, match=told):
        Lanes(corpus, **shape | change).load_state_dict(state)


def test_no_pieces_are_told(dataset, tmp_path, melody, folder_of, coarse):
    """A stream of nothing is refused: it would never give its first segment."""
    tokenize_folder(folder_of(tmp_path / "midi", {"a.mid": melody([60, 62])}), tmp_path / "out", coarse, held_out=1.0)
    with pytest.raises(InputError, match="no train pieces in this dataset of 1"):
        Lanes(Corpus(tmp_path / "out"), 1, 8)


@pytest.mark.parametrize("balance", [1.0, 0.5, 0.0])
def test_balance_weights_collections_as_stated(tmp_path, melody, drawn, folder_of, coarse, balance):
    """A collection's share of the tokens is its tokens to the power of balance: 1 as they are, 0 all alike; the epoch keeps its size."""
    scores = {f"big/{n}.mid": melody(drawn(n, 40)) for n in range(45)} | {f"small/{n}.mid": melody(drawn(100 + n, 40)) for n in range(5)}
    tokenize_folder(folder_of(tmp_path / "midi", scores), tmp_path / "out", coarse, held_out=0)
    corpus = Corpus(tmp_path / "out")
    lanes = Lanes(corpus, 1, 8, balance=balance)
    epochs = [lanes.plan(epoch)[0] for epoch in range(40)]
    entries = np.concatenate(epochs)
    small = np.array(corpus.rows["collection"]) == "small"
    lengths = corpus.lengths()
    tokens = np.array([lengths[~small].sum(), lengths[small].sum()], dtype=float)
    share = lengths[entries][small[entries]].sum() / lengths[entries].sum()
    assert share == pytest.approx((tokens**balance / (tokens**balance).sum())[1], abs=0.01)
    assert lengths[entries].sum() / 40 == pytest.approx(tokens.sum(), rel=0.02)
    assert set(entries.tolist()) == set(range(50))
    per_epoch = [Counter(epoch.tolist()) for epoch in epochs]
    for piece in np.flatnonzero(small):
        copies = {counts[int(piece)] for counts in per_epoch}
        assert max(copies) - min(copies) <= 1


@pytest.fixture(scope="module")
def rearrangeable(tmp_path_factory, melody, drawn, folder_of, coarse) -> Corpus:
    """Twelve pieces of two parts, tokenized with tasks."""
    folder = tmp_path_factory.mktemp("tasks")
    scores = {}
    for n in range(12):
        scores[f"{n}.mid"] = melody(drawn(n, 40))
        scores[f"{n}.mid"].tracks.append(melody(drawn(n + 50, 40), program=40).tracks[0])
    tokenize_folder(folder_of(folder / "midi", scores), folder / "out", dataclasses.replace(coarse, tasks=True), held_out=0)
    return Corpus(folder / "out")


def kinds_of(pieces: list[list[int]], corpus: Corpus) -> Counter:
    """The tasks of pieces by the tokens they hold."""
    tokens, found = corpus.tokenizer.vocabulary.tokens, Counter()
    for piece in pieces:
        named = next((tokens[id_].removeprefix("Task_").lower() for id_ in piece if tokens[id_].startswith("Task_")), None)
        filled = any(tokens[id_].startswith("Later_") for id_ in piece)
        found[named or ("fill" if filled else "continue")] += 1
    return found


def test_pieces_are_rearranged_in_the_wanted_shares(rearrangeable):
    """A third each of three tasks, and none of the others; every epoch draws anew; all of it comes back after a pause."""
    weights = {"continue": 1.0, "fill": 1.0, "accompany": 1.0, "rhythm": 0.0}
    lanes = Lanes(rearrangeable, 2, 64, tasks=weights)
    pieces = [piece for row in streams(lanes, 1200) for piece in row[:-1]]
    found = kinds_of(pieces, rearrangeable)
    assert set(found) == {"continue", "fill", "accompany"}
    assert len(pieces) > 150
    assert all(0.2 < count / len(pieces) < 0.47 for count in found.values())
    state = lanes.state_dict()
    again = Lanes(rearrangeable, 2, 64, tasks=weights)
    again.load_state_dict(state)
    for _ in range(20):
        one, other = next(lanes), next(again)
        assert (one.ids == other.ids).all()
        assert (one.beats == other.beats).all()
    with pytest.raises(InputError, match="another stream: tasks was"):
        Lanes(rearrangeable, 2, 64, tasks={"continue": 1.0}).load_state_dict(state)


def test_tasks_need_their_tokens(tmp_path, melody, folder_of, coarse):
    """A dataset tokenized without them is refused, and told how to be made."""
    folder_of(tmp_path / "midi", {"a.mid": melody([60, 62, 64])})
    tokenize_folder(tmp_path / "midi", tmp_path / "out", dataclasses.replace(coarse, tasks=False), held_out=0)
    corpus = Corpus(tmp_path / "out")
    with pytest.raises(InputError, match="no tokens for tasks; tokenize with tasks: true"):
        Lanes(corpus, 1, 16, tasks={"fill": 1.0})

"""Rearranged pieces: nothing given or asked is lost, beats keep their true place, and keys can be moved before or after."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from symbolic.tokenizers.beats import BeatClock, derive_beats
from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.tasks import (
    AFTER_TOKENS,
    KINDS,
    LEAD_TOKENS,
    LONGEST_AFTER,
    LONGEST_GAP,
    LONGEST_LEAD,
    TURN,
    TURN_TOKENS,
    Arranger,
)
from symbolic.tokenizers.vocabulary import TokenType

PLAIN, TOKENIZER = RemiTokenizer(TokenizerSettings(tasks=False)), RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
ARRANGER = Arranger(VOCABULARY, fewest_notes=1)
TYPES, VALUES = VOCABULARY.types, VOCABULARY.values
seeds = st.integers(0, 2**32 - 1)


@st.composite
def pieces(draw) -> Score:
    """2 to 24 bars in one or two meters, 1 to 4 programs and often drums, chords, unisons, tempos between notes."""
    generator = np.random.default_rng(draw(seeds))
    score = Score(480)
    bars = int(generator.integers(2, 25))
    first, second = generator.choice([(4, 4), (3, 4), (6, 8)], 2)
    turn = int(generator.integers(1, bars + 1)) * 480 * 4 * int(first[0]) // int(first[1])
    score.time_signatures.append(TimeSignature(0, *first.tolist()))
    score.time_signatures.append(TimeSignature(turn, *second.tolist()))
    end = bars * 1440
    for tick in generator.integers(0, end // 120, int(generator.integers(0, 5))).tolist():
        score.tempos.append(Tempo(tick * 120, float(generator.integers(40, 200))))
    programs = generator.choice([0, 24, 40, 42, 73], int(generator.integers(1, 5)), replace=False).tolist()
    for program in programs + [DRUMS] * int(generator.integers(0, 2)):
        track = Track("", max(program, 0), program == DRUMS)
        for _ in range(int(generator.integers(1, 4 * bars + 2))):
            onset, length = int(generator.integers(0, end // 120)) * 120, int(generator.integers(1, 9)) * 120
            track.notes.append(Note(onset, length, int(generator.integers(40, 80)), int(generator.choice([60, 80]))))
        score.tracks.append(track)
    return score


def framed(score) -> np.ndarray:
    return np.concatenate([[VOCABULARY.bos], TOKENIZER.encode(score).ids, [VOCABULARY.eos]])


def notes_of(ids: np.ndarray, first_bar: int = 0) -> Counter:
    """Bar, beat, step, program, pitch, velocity and duration of the whole notes in a stream, counted, token by token."""
    found: Counter = Counter()
    beats = derive_beats(ids, VOCABULARY)
    for place in range(len(ids) - 3):
        if TYPES[ids[place]] == TokenType.PROGRAM and TYPES[ids[place + 3]] == TokenType.DURATION:
            bar, beat, step = beats[place].tolist()
            pitch = -1 if TYPES[ids[place + 1]] == TokenType.HIDDEN else int(VALUES[ids[place + 1]])
            found[(bar - first_bar, beat, step, int(VALUES[ids[place]]), pitch, *VALUES[ids[place + 2 : place + 4]].tolist())] += 1
    return found


def sides(ids: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What stands behind each Given, and behind each Answer."""
    marks = np.append(np.isin(TYPES[ids], (TokenType.GIVEN, TokenType.ANSWER)).nonzero()[0], len(ids) - 1)
    parts = [ids[start + 1 : stop] for start, stop in itertools.pairwise(marks)]
    return parts[::2], parts[1::2]


def test_the_tokens_of_tasks_come_last():
    """All others keep their ids, so that a dataset serves with tasks and without; decoding passes them over."""
    assert VOCABULARY.tokens[: len(PLAIN.vocabulary)] == PLAIN.vocabulary.tokens
    added = np.arange(len(PLAIN.vocabulary), len(VOCABULARY))
    assert (TYPES[added] >= TokenType.GIVEN).all()
    assert TOKENIZER.decode(added).note_num() == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("continue", "fill")])
@given(score=pieces(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_given_and_asked_are_the_piece(kind: str, score, seed: int):
    """Notes come back at their bar, beat and step: those given, those asked, and both together the piece, less drums beside a melody."""
    ids = framed(score)
    arranged = ARRANGER.arranged(ids, kind, np.random.default_rng(seed))
    assume(len(arranged) != len(ids) or (arranged != ids).any())
    everything = notes_of(ids)
    givens, answers = sides(arranged)
    whole = notes_of(arranged)
    pitched = Counter({note: count for note, count in everything.items() if note[3] != DRUMS})
    if kind == "accompany":
        assert whole == everything
        chosen = int(VALUES[arranged[2]])
        assert {int(VALUES[id_]) for part in answers for id_ in part if TYPES[id_] == TokenType.PROGRAM} == {chosen}
        assert chosen not in {int(VALUES[id_]) for part in givens for id_ in part if TYPES[id_] == TokenType.PROGRAM}
    elif kind in ("harmonise", "melody"):
        assert whole == pitched
    elif kind == "rhythm":
        drums = everything - pitched
        hidden = Counter()
        for note, count in pitched.items():
            hidden[(*note[:4], -1, *note[5:])] += count
        assert whole == pitched + drums + hidden
    else:
        assert whole == everything
        shown = [id_ for part in givens for id_ in part.tolist()]
        assert sum(TYPES[id_] == TokenType.PITCH for id_ in shown) == pitched.total()
        assert sum(TYPES[id_] == TokenType.DURATION for id_ in shown) == (everything - pitched).total()
    assert not any(TYPES[id_] == TokenType.TEMPO for part in answers for id_ in part)
    assert sum(TYPES[id_] == TokenType.TEMPO for part in givens for id_ in part) == (TYPES[ids] == TokenType.TEMPO).sum()


@pytest.mark.parametrize("kind", KINDS)
@given(score=pieces(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_turns_have_equal_bars_and_beats_follow_token_by_token(kind: str, score, seed: int):
    """An answer has the bars and meters of what was given; turns are short; the clock agrees with the array."""
    ids = framed(score)
    arranged = ARRANGER.arranged(ids, kind, np.random.default_rng(seed))
    clock = BeatClock(VOCABULARY)
    np.testing.assert_array_equal(derive_beats(arranged, VOCABULARY), [clock.step(id_) for id_ in arranged.tolist()])
    assert arranged.dtype == ids.dtype
    assert (arranged[0], arranged[-1]) == (VOCABULARY.bos, VOCABULARY.eos)
    if kind in ("continue", "fill"):
        return
    for known, answer in zip(*sides(arranged), strict=True):
        meters = [[id_ for id_ in part.tolist() if TYPES[id_] in (TokenType.BAR, TokenType.TIME_SIGNATURE)] for part in (known, answer)]
        assert meters[0] == meters[1]
        bars = len(meters[0]) // 2
        assert 1 <= bars <= TURN
        assert bars == 1 or len(known) <= TURN_TOKENS
        for part in (known, answer):  # no position without anything at it
            kinds = TYPES[part]
            followed = np.append(kinds[1:], TokenType.BAR)
            assert np.isin(followed[kinds == TokenType.POSITION], (TokenType.TEMPO, TokenType.PROGRAM)).all()


@given(score=pieces(), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_gaps_stand_where_they_stood(score, seed: int):
    """Every bar is told once and at its place, and behind each Answer lie the bars that Later passed over, up to those given."""
    ids = framed(score)
    arranged = ARRANGER.arranged(ids, "fill", np.random.default_rng(seed))
    assume((TYPES[arranged] == TokenType.GIVEN).any())
    assert notes_of(arranged) == notes_of(ids)
    beats, bars = derive_beats(arranged, VOCABULARY)[:, 0], TYPES[arranged] == TokenType.BAR
    assert sorted(beats[bars].tolist()) == list(range(int((TYPES[ids] == TokenType.BAR).sum())))
    marks = [(TYPES[arranged] == kind).nonzero()[0].tolist() for kind in (TokenType.GIVEN, TokenType.ANSWER)]
    assert len(marks[0]) == len(marks[1])
    for begin, end in zip(*marks, strict=True):
        after = arranged[begin + 1 : end]
        led = TYPES[after] == TokenType.LATER
        between = int(VALUES[after[led]].sum())
        given, told = beats[begin + 1 : end][bars[begin + 1 : end]], beats[end:][bars[end:]]
        assert given.tolist() == list(range(given[0], given[0] + len(given)))
        assert told[:between].tolist() == list(range(given[0] - between, given[0]))
        assert between <= LONGEST_GAP + LONGEST_LEAD
        assert 1 <= len(given) <= LONGEST_AFTER
        assert len(given) == 1 or (~led).sum() <= AFTER_TOKENS


@given(score=pieces(), gap=st.integers(1, 3), bars=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_what_lies_behind_is_told_a_few_bars_early(score, gap: int, bars: int):
    """The question of a gap tells the bars before it in their order and at their beats, the last few of them at the end."""
    ids = framed(score)
    edges = (TYPES[ids] == TokenType.BAR).nonzero()[0]
    assume(len(edges) > gap)
    before, after = ids[edges[0] : edges[gap]], ids[edges[gap] : -1]
    question = ARRANGER.filling(before, after, bars)
    begin, end = ((TYPES[question] == kind).argmax() for kind in (TokenType.GIVEN, TokenType.ANSWER))
    assert np.concatenate([question[1:begin], question[end + 1 :]]).tolist() == before.tolist()
    lead = question[end + 1 :]
    assert TYPES[lead[0]] == TokenType.BAR
    assert (TYPES[lead] == TokenType.BAR).sum() == 1 or len(lead) <= LEAD_TOKENS
    follows = np.append(question, VOCABULARY.bar)
    assert derive_beats(follows, VOCABULARY)[-1].tolist() == [gap, 0, 0]
    places = derive_beats(question, VOCABULARY)[begin:end]
    assert places[TYPES[question[begin:end]] == TokenType.BAR][0].tolist() == [gap + bars, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
@given(score=pieces(), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_transposing_commutes_with_arranging(kind: str, score, seed: int):
    """Moved and then rearranged, or rearranged and then moved: the same ids."""
    ids = framed(score)
    low, high = VOCABULARY.shift_range(ids)
    moved = ARRANGER.arranged(VOCABULARY.transpose_ids(ids, high), kind, np.random.default_rng(seed))
    np.testing.assert_array_equal(moved, VOCABULARY.transpose_ids(ARRANGER.arranged(ids, kind, np.random.default_rng(seed)), high))
    assert low <= 0 <= high


def test_the_melody_is_the_top_line_of_the_highest_part():
    """Of two pianos and drums the one that lies higher, of a chord the top note, of a unison one of two."""
    names = VOCABULARY.tokens.index
    stream = [names("Bar_None"), names("TimeSig_4/4")]
    for position, notes in ((0, [(0, 60), (5, 70), (5, 76), (-1, 99)]), (48, [(0, 90), (5, 74), (5, 74)]), (96, [(5, 50)])):
        stream.append(names(f"Position_{position}"))
        for program, pitch in notes:
            kind = "PitchDrum" if program < 0 else "Pitch"
            stream += [names(f"Program_{program}"), names(f"{kind}_{pitch}"), names("Velocity_79"), names("Duration_1.0.48")]
    low = np.array(stream)
    assert ARRANGER.melody(low).nonzero()[0].tolist() == [0, 4]  # 60 and 90 of program 0
    lowered = np.array([names("Pitch_61") if id_ == names("Pitch_90") else id_ for id_ in stream])
    assert ARRANGER.melody(lowered).nonzero()[0].tolist() == [2, 5, 7]

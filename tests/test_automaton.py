"""The automaton follows what is real and offers only what can be decoded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TimeSignatureTick, TrackTick

from symbolic.tokenizers.automaton import AutomatonState, TokenAutomaton
from symbolic.tokenizers.order import ordered_notes
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
AUTOMATON = TokenAutomaton(VOCABULARY)


def random_stream(seed: int, length: int, greedy_for: str) -> np.ndarray:
    """A stream that always takes a legal id: at random, or an adversary's choice (the lowest, the highest)."""
    generator = np.random.default_rng(seed)
    state, ids = AutomatonState(), []
    while len(ids) < length or state.last is not TokenType.DURATION:
        legal = np.flatnonzero(AUTOMATON.legal(state))
        legal = legal[legal != VOCABULARY.eos]
        id_ = int({"random": generator.choice(legal), "lowest": legal[0], "highest": legal[-1]}[greedy_for])
        if len(ids) > 3 * length:
            id_ = int(legal[-1]) if VOCABULARY.bar not in legal or state.notes_in_bar else id_
        ids.append(id_)
        AUTOMATON.advance(state, id_)
        if len(ids) > 6 * length:
            break
    return np.array([*ids, VOCABULARY.eos])


@given(seed=st.integers(0, 10**6), length=st.integers(10, 400), kind=st.sampled_from(["random", "random", "highest"]))
@settings(max_examples=40, deadline=None)
def test_every_legal_stream_decodes_and_encodes_to_itself(seed, length, kind):
    """What the automaton offers is music: it decodes, every note comes back, and encoding it gives the same notes."""
    ids = random_stream(seed, length, kind)
    score = TOKENIZER.decode(ids)
    assert score.note_num() == (VOCABULARY.types[ids] == TokenType.VELOCITY).sum()
    if score.note_num() == 0:
        return
    again = TOKENIZER.decode(TOKENIZER.encode(score).ids)

    def notes(s: ScoreTick) -> list[tuple]:
        return sorted((t.is_drum, t.program, n.time, n.pitch, n.duration, n.velocity) for t in s.tracks for n in t.notes)

    assert score.ticks_per_quarter == again.ticks_per_quarter
    assert notes(again) == notes(score)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_encoded_music_is_accepted(seed):
    """Every stream of a real score is legal: nothing that music needs is forbidden."""
    generator = np.random.default_rng(seed)
    score = ScoreTick(480)
    score.time_signatures.append(TimeSignatureTick(0, 3, 4))
    score.time_signatures.append(TimeSignatureTick(3 * 480 * 3, 6, 8))
    for program, drum in ((40, False), (40, False), (0, False), (0, True)):
        track = TrackTick("", program, drum)
        onsets = generator.choice(np.arange(0, 480 * 20, 60), 12, replace=False)
        for onset in sorted(onsets.tolist()):
            pitch = int(generator.integers(60 if program else 35, 64)) + (12 if len(score.tracks) == 1 else 0)
            track.notes.append(NoteTick(onset, int(generator.integers(1, 20)) * 60, pitch, 80))
        score.tracks.append(track)
    ids = np.concatenate([[VOCABULARY.bos], TOKENIZER.encode(score).ids, [VOCABULARY.eos]])
    assert AUTOMATON.accepts(ids) is None


@pytest.mark.parametrize(
    ("tokens", "bad"),
    [
        ("BOS_None Bar_None Position_0", 2),
        ("BOS_None Bar_None TimeSig_3/4 Position_143", None),
        ("BOS_None Bar_None TimeSig_3/4 Position_144", 3),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_-1 Pitch_60", 5),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 PitchDrum_38", 5),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 EOS_None", 6),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Bar_None", 7),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Position_0", 8),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_40 Pitch_60", 9),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_40 Pitch_61", None),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_39", 8),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_-1 PitchDrum_38", None),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_127 Velocity_63 Duration_1.0.48 Program_40", 8),
        ("BOS_None Bar_None TimeSig_4/4 Position_5 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Bar_None TimeSig_4/4 Position_0", None),
        ("BOS_None EOS_None", 1),
        ("Bar_None", 0),
    ],
)
def test_each_rule_of_the_grammar(tokens, bad):
    """The first token against the grammar is found, and only that."""
    ids = np.array([VOCABULARY.tokens.index(token) for token in tokens.split()])
    assert AUTOMATON.accepts(ids) == bad


def test_something_is_always_legal():
    """From every state that legal ids lead to, something legal follows until EOS."""
    for seed in range(5):
        ids = random_stream(seed, 300, "random")
        state = AutomatonState()
        for id_ in ids.tolist():
            assert AUTOMATON.legal(state).any()
            AUTOMATON.advance(state, id_)
        assert state.last is TokenType.EOS
        assert not AUTOMATON.legal(state).any()


def test_order_of_notes_is_canonical_and_loses_none():
    """The notes of an onset are put in order whatever order they came in, and nothing else moves."""
    names = "Bar_None TimeSig_4/4 Position_0 Program_40 Pitch_70 Velocity_63 Duration_1.0.48 Program_0 Pitch_50 Velocity_63 Duration_2.0.48"
    names += " Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Position_48 Program_-1 PitchDrum_38 Velocity_63 Duration_0.1.48"
    names += " Program_40 Pitch_61 Velocity_63 Duration_1.0.48 Bar_None"
    ids = np.array([VOCABULARY.tokens.index(name) for name in names.split()])
    ordered = [VOCABULARY.tokens[i] for i in ordered_notes(ids, VOCABULARY)]
    assert [t for t in ordered if t.startswith(("Pitch", "Bar", "Position"))] == [
        "Bar_None", "Position_0", "Pitch_50", "Pitch_60", "Pitch_70", "Position_48", "Pitch_61", "PitchDrum_38", "Bar_None",
    ]  # fmt: skip
    assert sorted(ordered) == sorted(names.split())
    assert np.array_equal(ordered_notes(ordered_notes(ids, VOCABULARY), VOCABULARY), ordered_notes(ids, VOCABULARY))

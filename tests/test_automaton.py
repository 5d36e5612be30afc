"""The automaton follows what is real and offers only what can be decoded."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TimeSignatureTick, TrackTick

from symbolic.settings import load_settings
from symbolic.tokenizers.automaton import AutomatonState, TokenAutomaton
from symbolic.tokenizers.order import ordered_notes
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
AUTOMATON = TokenAutomaton(VOCABULARY)
CONFIGS = Path(__file__).parent.parent / "configs"
TOKENIZERS = {"default": TOKENIZER} | {
    name: RemiTokenizer(load_settings(TokenizerSettings, CONFIGS / f"tokenizer-{name}.yaml")) for name in ("score", "performance")
}


def random_stream(seed: int, length: int, choice: str, automaton: TokenAutomaton) -> np.ndarray:
    """A whole piece of legal ids, at random or always the highest, that ends with the first note after `length` tokens."""
    generator = np.random.default_rng(seed)
    state, ids = AutomatonState(), []
    while True:
        legal = automaton.legal(state)
        if legal[automaton.vocabulary.eos] and len(ids) >= length:
            return np.array([*ids, automaton.vocabulary.eos])
        legal[automaton.vocabulary.eos] = False
        choices = np.flatnonzero(legal)
        ids.append(int(generator.choice(choices) if choice == "random" or len(ids) >= length else choices[-1]))
        automaton.advance(state, ids[-1])


@pytest.mark.parametrize("name", ["default", "score", "performance"])
@given(seed=st.integers(0, 10**6), length=st.integers(10, 300), kind=st.sampled_from(["random", "random", "highest"]))
@settings(max_examples=20, deadline=None)
def test_every_legal_stream_decodes_and_encodes_to_itself(name, seed, length, kind):
    """What the automaton offers is music: it decodes, every note comes back, and encoding it gives the same ids, in every tokenizer."""
    tokenizer = TOKENIZERS[name]
    ids = random_stream(seed, length, kind, TokenAutomaton(tokenizer.vocabulary))
    score = tokenizer.decode(ids)
    assert score.note_num() == (tokenizer.vocabulary.types[ids] == TokenType.VELOCITY).sum() > 0
    assert np.array_equal(tokenizer.encode(score).ids, ids[1:-1])


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
        ("Bar_None", 0),
        ("BOS_None EOS_None", 1),
        ("BOS_None Bar_None Position_0", 2),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Tempo_121.52 Position_143", None),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Tempo_121.52 Position_144", 5),
        ("BOS_None Bar_None TimeSig_3/4 Position_1", 3),
        ("BOS_None Bar_None TimeSig_3/4 Bar_None", 3),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Program_40", 4),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Tempo_121.52 EOS_None", 5),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Tempo_121.52 Position_5 Tempo_121.52", 6),
        ("BOS_None Bar_None TimeSig_3/4 Position_0 Tempo_121.52 Position_5 Tempo_20.0", None),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_-1 Pitch_60", 6),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 PitchDrum_38", 6),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 EOS_None", 7),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Bar_None", 8),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Position_0", 9),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_40 Pitch_60", 10),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_40 Pitch_61", None),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_39", 9),
        (
            "BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_60 Velocity_63 Duration_1.0.48 Program_-1 PitchDrum_38",
            None,
        ),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Program_40 Pitch_127 Velocity_63 Duration_1.0.48 Program_40", 9),
        ("BOS_None Bar_None TimeSig_4/4 Position_0 Tempo_121.52 Bar_None TimeSig_4/4 Position_0 Program_0", None),
    ],
)
def test_each_rule_of_the_grammar(tokens, bad):
    """The first token against the grammar is found, and only that."""
    ids = np.array([VOCABULARY.tokens.index(token) for token in tokens.split()])
    assert AUTOMATON.accepts(ids) == bad


def test_something_is_always_legal():
    """From every state that legal ids lead to, something legal follows until EOS."""
    for seed in range(5):
        ids = random_stream(seed, 300, "random", AUTOMATON)
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

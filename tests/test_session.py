"""A session that is stopped, taken back, branched or saved equals one that was never touched."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from symbolic.errors import InputError, UsageError
from symbolic.generation.continuation import continue_score
from symbolic.generation.session import Session
from symbolic.midi.meter import bar_starts
from symbolic.midi.seeds import load_seed
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer

TOKENIZER = RemiTokenizer()


@pytest.fixture(scope="module")
def options() -> dict:
    """A tiny network, so that the tests are quick; half precision holds its weights, as those of saved models."""
    torch.manual_seed(2)
    config = make_config(
        vocab_size=len(TOKENIZER.vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        memory_length=32, pad_token_id=None, bos_token_id=None, eos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    return {"model": TransformerXL(config).half().float().eval(), "tokenizer": TOKENIZER}


@pytest.fixture(scope="module")
def seed():
    return load_seed("canon")


@pytest.fixture(scope="module")
def straight(options, seed):
    """Six bars written at once; read only."""
    session = Session(seed, random_seed=3, **options)
    return list(session.write(6)), session


def test_bars_come_one_by_one_and_make_the_score(straight, seed):
    """Each bar begins where the last ended, at the bar lines; its notes are those of the score there."""
    bars, session = straight
    assert [bar.number for bar in bars] == [1, 2, 3, 4, 5, 6]
    assert all(first.stop == second.start for first, second in pairwise(bars))
    score = session.score()
    lines = bar_starts(score).tolist()  # notes sound on behind the last bar, and have bar lines there
    assert [bar.start for bar in bars] == lines[len(bar_starts(seed)) - 1 :][:6]
    written = Counter((-1 if t.is_drum else t.program, n.time, n.pitch) for t in score.tracks for n in t.notes if n.time >= bars[0].start)
    assert written == Counter((program, note.time, note.pitch) for bar in bars for program, note in bar.notes)
    assert written


def test_stopping_changes_nothing(straight, options, seed):
    """Six bars at once, as two and four, and one by one."""
    bars, _ = straight
    for parts in ([2, 4], [1] * 6):
        session = Session(seed, random_seed=3, **options)
        assert [bar for count in parts for bar in session.write(count)] == bars


def test_undone_bars_come_again(straight, options, seed):
    """Back by one, by three and to the seed: written again they are the same."""
    bars, _ = straight
    session = Session(seed, random_seed=3, **options)
    list(session.write(5))
    for back in (1, 3, 5):
        session.undo(back)
        assert session.bars == 5 - back
        assert list(session.write(back)) == bars[5 - back : 5]


def test_a_branch_goes_its_own_way(straight, options, seed):
    """It has the bars before, goes on as the first without a random seed and otherwise with one, and leaves the first alone."""
    bars, session = straight
    same, other = session.branch(2), session.branch(2, random_seed=99)
    assert list(same.write(4)) == bars[2:]
    different = list(other.write(4))
    assert different != bars[2:]
    assert [other.bar(number) for number in (1, 2)] == bars[:2]
    assert [session.bar(number) for number in range(1, 7)] == bars


def test_a_saved_session_goes_on(straight, options, seed, tmp_path):
    """Saved after three bars and opened again: the next are those that would have come, and undo reaches before the saving."""
    bars, _ = straight
    session = Session(seed, random_seed=3, **options)
    list(session.write(3))
    session.save(tmp_path / "canon.session")
    again = Session.load(tmp_path / "canon.session", **options)
    assert list(again.write(3)) == bars[3:]
    again.undo(5)
    assert list(again.write(5)) == bars[1:]


def test_an_ended_session_is_the_continuation(options, seed):
    """With a number of bars it ends as `continue_score` does, with the same notes; streamed, they come bar by bar."""
    expected = continue_score(seed, 4, random_seed=5, **options)
    session = Session(seed, bars=4, random_seed=5, **options)
    bars = list(session.write())
    assert len(bars) == 4
    assert session.ended
    assert [track.notes for track in session.score().tracks] == [track.notes for track in expected.tracks]
    assert list(continue_score(seed, 4, random_seed=5, stream=True, **options)) == bars
    assert list(session.write(3)) == []
    session.undo(2)
    assert list(session.write()) == bars[2:]


def test_what_cannot_be_is_told(straight, options, seed, tmp_path):
    """Too many bars taken back, bars that are not written, no end to write to, another model, a damaged file."""
    _, session = straight
    for wish, number, told in (
        (session.undo, 7, "undo 7: 6 bars are written"),
        (session.bar, 9, "bar 9"),
        (session.branch, -1, "bar -1"),
    ):
        with pytest.raises(UsageError, match=told):
            wish(number)
    with pytest.raises(UsageError, match="no end"):
        list(session.write())
    session.save(tmp_path / "a.session")
    torch.manual_seed(9)
    with pytest.raises(InputError, match="written with another model"):
        Session.load(tmp_path / "a.session", model=TransformerXL(options["model"].config), tokenizer=TOKENIZER)
    with pytest.raises(InputError, match="handed over; give it again"):
        Session.load(tmp_path / "a.session")
    (tmp_path / "b.session").write_text((tmp_path / "a.session").read_text()[:500])
    with pytest.raises(InputError, match="not readable as a session"):
        Session.load(tmp_path / "b.session", **options)
    with pytest.raises(UsageError, match="stream"):
        continue_score(seed, 4, stream=True, until_cadence=True, **options)

"""The beat of a token is that of the note it stands for, told in one pass or token by token."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import score_of, scores

from symbolic.midi.meter import bar_starts, meter_sections
from symbolic.tokenizers.beats import BeatClock, derive_beats
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
VELOCITIES = VOCABULARY.values[VOCABULARY.of_type(TokenType.VELOCITY)].tolist()


def framed(ids: np.ndarray) -> np.ndarray:
    return np.concatenate([[VOCABULARY.bos], ids, [VOCABULARY.eos]])


@given(st.lists(scores(on_grid=True, velocities=VELOCITIES), min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_several_pieces_at_once_and_token_by_token(pieces):
    """Over pieces that follow each other the array form, the clock, and each piece alone give the same beats."""
    streams = [framed(TOKENIZER.encode(score).ids) for score in pieces]
    together = derive_beats(np.concatenate(streams), VOCABULARY)
    clock = BeatClock(VOCABULARY)
    np.testing.assert_array_equal(together, [clock.step(id_) for id_ in np.concatenate(streams).tolist()])
    np.testing.assert_array_equal(together, np.concatenate([derive_beats(stream, VOCABULARY) for stream in streams]))


@given(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=80))
@settings(max_examples=100, deadline=None)
def test_array_and_clock_agree_on_any_ids(ids):
    """The two forms are one function also where no piece is: any ids in any order."""
    clock = BeatClock(VOCABULARY)
    expected = np.array([clock.step(id_) for id_ in ids], dtype=np.int32).reshape(-1, 3)
    found = derive_beats(np.array(ids, dtype=np.uint16), VOCABULARY)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    assert found.shape == (len(ids), 3)


@given(st.lists(st.integers(0, len(VOCABULARY) - 1), min_size=1, max_size=80), st.data())
@settings(max_examples=50, deadline=None)
def test_beats_do_not_look_ahead(ids, data):
    """The beats of a beginning are the beginning of the beats."""
    cut = data.draw(st.integers(0, len(ids)))
    np.testing.assert_array_equal(derive_beats(np.array(ids[:cut]), VOCABULARY), derive_beats(np.array(ids), VOCABULARY)[:cut])


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=60, deadline=None)
def test_beats_are_those_of_the_notes_in_the_score(score):
    """Counted from bar lines and meters of the decoded score, each note falls on the bar, beat and step its tokens say."""
    encoding = TOKENIZER.encode(score)
    types, values = VOCABULARY.types[encoding.ids], VOCABULARY.values[encoding.ids]
    at = np.flatnonzero(types == TokenType.PROGRAM)
    said: Counter[tuple[int, ...]] = Counter()
    for start in at:
        assert (encoding.beats[start : start + 4] == encoding.beats[start]).all()
        said[(int(values[start]), int(values[start + 1]), *encoding.beats[start].tolist())] += 1
    decoded = TOKENIZER.decode(encoding.ids)
    lines, meters = bar_starts(decoded), meter_sections(decoded)
    counted: Counter[tuple[int, ...]] = Counter()
    for track in decoded.tracks:
        for note in track.notes:
            bar = int(np.searchsorted(lines, note.time, side="right")) - 1
            denominator = [meter for meter in meters if meter[0] <= note.time][-1][2]
            step = (note.time - int(lines[bar])) * 48 * denominator // (4 * decoded.ticks_per_quarter)
            counted[(-1 if track.is_drum else track.program, note.pitch, bar, step // 48, step % 48)] += 1
    assert said == counted


@given(scores(on_grid=False, velocities=VELOCITIES))
@settings(max_examples=60, deadline=None)
def test_beats_stay_inside_the_bar(score):
    """No token stands at or past the end of its bar, positions ascend within it, and bars ascend by one."""
    encoding = TOKENIZER.encode(score)
    types, values = VOCABULARY.types[encoding.ids], VOCABULARY.values[encoding.ids]
    length, last = 0, -1
    for kind, value, beat in zip(types, values, encoding.beats.tolist(), strict=True):
        if kind == TokenType.TIME_SIGNATURE:
            length = value
        elif kind == TokenType.POSITION:
            assert last < value < length
            assert beat[1] * 48 + beat[2] == value
        last = value if kind == TokenType.POSITION else -1 if kind == TokenType.BAR else last
    assert encoding.beats[types == TokenType.BAR].tolist() == [[bar, 0, 0] for bar in range((types == TokenType.BAR).sum())]


def test_beats_by_hand():
    """In 3/4 the note on the third quarter and a half: bar 1, beat 2, step 24; in 6/8 the beat is the eighth."""
    encoding = TOKENIZER.encode(score_of((1440 + 1200, 240, 60), (2880 + 1200, 120, 62), meters=((0, 3, 4), (2880, 6, 8))))
    pitches = VOCABULARY.types[encoding.ids] == TokenType.PITCH
    assert encoding.beats[pitches].tolist() == [[1, 2, 24], [2, 5, 0]]
    assert encoding.beats[0].tolist() == [0, 0, 0]


def test_before_the_first_bar_everything_is_zero():
    """BOS, and what wrongly stands before the first bar, is in bar 0; the second piece begins at bar 0 again."""
    bos, bar, eos = VOCABULARY.bos, VOCABULARY.bar, VOCABULARY.eos
    assert derive_beats(np.array([bos, bar, bar, eos, bos, bar]), VOCABULARY)[:, 0].tolist() == [0, 0, 1, 1, 0, 0]
    assert derive_beats(np.array([], dtype=np.int64), VOCABULARY).shape == (0, 3)
    assert derive_beats([], VOCABULARY).shape == (0, 3)

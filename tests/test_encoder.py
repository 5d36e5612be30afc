"""The encoder and decoder against MidiTok's own, on any music, any ids and several settings; and what MidiTok does not promise."""

import hashlib
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from score_strategies import score_of, scores
from symusic import Note, Score, Tempo, TimeSignature, Track

import symbolic.tokenizers.encoder
from symbolic.errors import InputError
from symbolic.midi.seeds import load_seed
from symbolic.tokenizers.names import TASK_NAMES, token_names
from symbolic.tokenizers.reference import miditok_ids, miditok_remi
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

SETTINGS = {
    "default": TokenizerSettings(),
    "coarse": TokenizerSettings(positions_per_beat=4, duration_grid=((4, 4),), velocities=4, tempos=4, meters={4: 4}),
    "triplets": TokenizerSettings(
        positions_per_beat=12, duration_grid=((4, 12), (32, 1)), tempo_range=(40.0, 200.0), meters={2: 4, 4: 6, 8: 12}
    ),
    "one length": TokenizerSettings(positions_per_beat=8, duration_grid=((16, 8),), velocities=127, tempos=1, meters={8: 12, 4: 12}),
    "close tempos": TokenizerSettings(positions_per_beat=24, duration_grid=((2, 8), (9, 24), (11, 3)), velocities=1, tempos=3000),
    "long beats": TokenizerSettings(positions_per_beat=8, duration_grid=((3, 4), (64, 8)), meters={1: 3, 2: 3, 4: 7, 8: 15, 16: 9, 32: 5}),
    "fine": TokenizerSettings(positions_per_beat=96, duration_grid=((64, 96),), velocities=100, tempos=128),
}
TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
CANON_TOKENS, CANON_HASH = 2950, "7b84a0080c6e6c59c47933f0f9b37def6e0d88ab975ad1d1f01a95afffe0121c"
EVERY_METER = [(4, 4), (3, 4), (6, 8), (5, 16), (2, 2), (3, 2), (1, 4), (7, 8), (2, 1), (13, 8), (24, 8), (3, 32), (1, 64), (7, 1)]


@cache
def pair(name: str) -> tuple[RemiTokenizer, Any]:
    """Our tokenizer and MidiTok's of one of the settings."""
    return RemiTokenizer(SETTINGS[name]), miditok_remi(SETTINGS[name])


@st.composite
def rough_scores(draw: Any) -> Score:
    """Music as broken programs write it: any resolution, no order, notes of no length, several tempos and meters at one tick."""
    quarter = draw(st.sampled_from([1, 5, 24, 96, 120, 192, 384, 480, 1000, 1024, 4704]))
    tick = st.one_of(st.integers(0, 12 * quarter), st.integers(0, 48).map(lambda n: n * quarter // 4))
    length = st.one_of(st.integers(0, 3 * quarter), st.integers(0, 70 * quarter))
    note = st.builds(Note, tick, length, st.integers(0, 127), st.integers(0, 127))
    score = Score(quarter)
    parts = st.tuples(st.sampled_from([(0, False), (0, False), (5, True), (40, False), (127, False)]), st.lists(note, max_size=12))
    for (program, drums), notes in draw(st.lists(parts, max_size=5)):
        score.tracks.append(Track("", program, drums, notes))
    for at, meter in draw(st.lists(st.tuples(tick, st.sampled_from(EVERY_METER)), max_size=6)):
        score.time_signatures.append(TimeSignature(at, *meter))
    for at, tempo in draw(st.lists(st.tuples(tick, st.one_of(st.floats(5, 1000), st.sampled_from([60.0, 120.0]))), max_size=6)):
        score.tempos.append(Tempo(at, tempo))
    return score


def apart(track: Track) -> list[Track]:
    """The notes of a track by time, each on the first of several where its pitch is silent: note by note, the plain way."""
    parts: list[list[Note]] = []
    for note in sorted(track.notes, key=lambda note: note.time):
        free = [part for part in parts if all(n.pitch != note.pitch or n.end <= note.time for n in part)]
        if not free:
            parts.append([])
        (free or parts[-1:])[0].append(note)
    return [Track("", track.program, track.is_drum, part) for part in parts]


def same_music(found: Score, expected: Score) -> None:
    """Equal but for the names of tracks."""
    assert (found.ticks_per_quarter, found.tempos, found.time_signatures) == (
        expected.ticks_per_quarter, expected.tempos, expected.time_signatures,
    )  # fmt: skip
    assert [Track("", t.program, t.is_drum, t.notes) for t in found.tracks] == [part for t in expected.tracks for part in apart(t)]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_names_and_ids_of_tokens_are_miditoks(name: str):
    """For all settings the vocabulary told without MidiTok is MidiTok's: the same names with the same ids, and those of tasks behind."""
    names = token_names(SETTINGS[name])
    music, tasks = names[: -len(TASK_NAMES)], names[-len(TASK_NAMES) :]
    assert {token: id_ for id_, token in enumerate(music)} == pair(name)[1].vocab
    assert list(tasks) == list(TASK_NAMES)


@pytest.mark.parametrize("name", SETTINGS)
@given(score=rough_scores())
@settings(max_examples=60, deadline=None)
def test_ids_are_miditoks(name: str, score: Score):
    """Whatever the music and the settings, ids are those MidiTok gives for the prepared score, in our order of an onset's notes."""
    tokenizer, remi = pair(name)
    encoding = tokenizer.encode(score)
    np.testing.assert_array_equal(encoding.ids, miditok_ids(remi, tokenizer.prepare(score), tokenizer.vocabulary))
    assert encoding.ids.dtype == np.uint16
    assert encoding.beats.shape == (len(encoding.ids), 3)


@given(scores(on_grid=False, velocities=[80]))
@settings(max_examples=60, deadline=None)
def test_ids_of_scores_with_tuplets_and_cut_bars_are_miditoks(score: Score):
    """The same for scores of whole and cut bars in many meters, with tuplets, at a resolution that holds them."""
    expected = miditok_ids(pair("default")[1], TOKENIZER.prepare(score), VOCABULARY)
    np.testing.assert_array_equal(TOKENIZER.encode(score).ids, expected)


@given(rough_scores())
@settings(max_examples=40, deadline=None)
def test_preparing_keeps_the_music(score: Score):
    """A prepared score has the notes of the score by program and time, its own resolution, a tempo and a meter at its beginning."""
    prepared = TOKENIZER.prepare(score)

    def notes(of: Score) -> list[tuple]:
        return sorted((t.is_drum, t.is_drum or t.program, n.time, n.duration, n.pitch, n.velocity) for t in of.tracks for n in t.notes)

    assert notes(prepared) == notes(score)
    assert prepared.ticks_per_quarter == score.ticks_per_quarter
    assert (prepared.tempos[0].time, prepared.time_signatures[0].time) == (0, 0)
    for events in (prepared.tempos, *(track.notes for track in prepared.tracks)):
        assert (np.diff(events.numpy()["time"]) >= 0).all()


@given(rough_scores())
@settings(max_examples=40, deadline=None)
def test_both_ways_of_sorting_agree(score: Score):
    """Events that do not fit into one machine word are sorted by two keys, into the same order."""
    expected = TOKENIZER.encode(score).ids
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symbolic.tokenizers.encoder, "WORD_BITS", 1)
        np.testing.assert_array_equal(TOKENIZER.encode(score).ids, expected)


@pytest.mark.parametrize("name", SETTINGS)
@given(score=rough_scores())
@settings(max_examples=30, deadline=None)
def test_decoding_is_miditoks(name: str, score: Score):
    """The score of a stream is MidiTok's, its overlapping notes dealt to further tracks."""
    tokenizer, remi = pair(name)
    ids = tokenizer.encode(score).ids
    same_music(tokenizer.decode(ids), remi.decode(ids.tolist()))


BAR, METER, POSITION = VOCABULARY.bar, VOCABULARY.tokens.index("TimeSig_3/8"), VOCABULARY.tokens.index("Position_7")
LAST = len(VOCABULARY) - len(TASK_NAMES) - 1  # of music
NOTE = [VOCABULARY.tokens.index(name) for name in ("Program_9", "Pitch_60", "Velocity_79", "Duration_1.0.48")]


@given(st.lists(st.one_of(st.integers(3, LAST), st.sampled_from([BAR, METER, POSITION, *NOTE])), min_size=1, max_size=60))
@example([*NOTE, METER, BAR])  # a note before the meter: 4/4
@example([POSITION, METER, *NOTE, BAR, BAR, *NOTE])  # a position before any bar
@example([BAR, METER, POSITION, *NOTE, METER, *NOTE[:3]])  # cut short
@example([BAR, METER, POSITION, *NOTE, POSITION - 7, *NOTE, *NOTE])  # back in time
@settings(max_examples=200, deadline=None)
def test_any_ids_decode_as_in_miditok(ids: list[int]):
    """Also ids in no sensible order give what MidiTok gives."""
    same_music(TOKENIZER.decode(np.array(ids)), pair("default")[1].decode(list(ids)))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), st.integers(60, 61)), max_size=14))
@settings(max_examples=100, deadline=None)
def test_overlaps_are_dealt_as_note_by_note(notes: list[tuple[int, int, int]]):
    """Crowds of overlapping notes of few pitches go to the same tracks as when each in turn takes the first that is free."""
    tokens = VOCABULARY.tokens
    stream = [BAR, tokens.index("TimeSig_4/4")]
    for onset, length, pitch in sorted(notes):
        stream += [
            tokens.index(f"Position_{onset}"),
            NOTE[0],
            tokens.index(f"Pitch_{pitch}"),
            NOTE[2],
            tokens.index(f"Duration_0.{length}.48"),
        ]
    same_music(TOKENIZER.decode(np.array(stream)), pair("default")[1].decode(list(stream)))


def test_rounding_just_below_a_half():
    """49 of 4704 ticks a quarter are half a step of 48, by the machine's numbers a little less: they are rounded down."""
    assert 49 * (48 / 4704) < 0.5
    score = Score(4704)
    score.tracks.append(Track("", 0, False, [Note(49, 480, 60, 80), Note(50, 480, 62, 80)]))
    coarse = RemiTokenizer(TokenizerSettings(meters={4: 12}))
    assert coarse.encode(score).beats[coarse.vocabulary.types[coarse.encode(score).ids] == TokenType.PITCH][:, 2].tolist() == [0, 1]


def test_the_ids_of_the_bundled_seed():
    """The Canon's ids are those the bundled model was trained with."""
    ids = TOKENIZER.encode(load_seed("canon")).ids
    assert len(ids) == CANON_TOKENS
    assert hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == CANON_HASH


def test_meters_need_not_hold_four_four():
    """With meters in eighths alone a score in 4/4 is told in them, and comes back in time."""
    tokenizer = RemiTokenizer(TokenizerSettings(meters={8: 12}))
    score = score_of((0, 480, 60), (1920, 240, 64))
    decoded = tokenizer.decode(tokenizer.encode(score).ids)
    scale = 480 // decoded.ticks_per_quarter
    assert [(n.time * scale, n.duration * scale) for n in decoded.tracks[0].notes] == [(0, 480), (1920, 240)]
    assert [(s.numerator, s.denominator) for s in decoded.time_signatures] == [(8, 8)]


def test_what_no_token_can_tell_is_left_out():
    """Pitches below 0 and programs above 127, which no file has but a program may make, are passed over; tempos before 0 are at 0."""
    score = score_of((0, 480, 60), (480, 480, 62))
    expected = TOKENIZER.encode(score).ids
    score.tracks[0].notes.append(Note(0, 480, -3, 80))
    score.tracks.append(Track("", 200, False, [Note(0, 480, 70, 80)]))
    np.testing.assert_array_equal(TOKENIZER.encode(score).ids, expected)
    early, at_once = score.copy(), score.copy()
    early.tempos.append(Tempo(-7, 90))
    at_once.tempos.append(Tempo(0, 90))
    np.testing.assert_array_equal(TOKENIZER.encode(early).ids, TOKENIZER.encode(at_once).ids)


def test_bars_without_notes_are_bounded():
    """As many bars more than notes as the settings say are taken, one more is refused with the numbers; notes pay for bars."""
    tokenizer = RemiTokenizer(TokenizerSettings(max_empty_bars=10))
    resting = score_of((0, 480, 60), (1920 * 11, 480, 60))
    assert (tokenizer.vocabulary.types[tokenizer.encode(resting).ids] == TokenType.BAR).sum() == 12
    with pytest.raises(InputError, match=r"13 bars with 2 notes: at least 11 bars have none, more than 10: .*max_empty_bars"):
        tokenizer.encode(score_of((0, 480, 60), (1920 * 12, 480, 60)))
    tokenizer.encode(score_of((0, 480, 60), (480, 480, 60), (1920 * 12, 480, 60)))


@pytest.mark.parametrize("quarter", [1, 480])
@pytest.mark.parametrize("rest", [2_000, 2**20, 2**31 - 2])
def test_a_runaway_file_is_refused_before_a_bar_is_made(rest: int, quarter: int):
    """Three notes and a huge rest are refused by arithmetic: little memory, though the settings allow any number of bars."""
    score = Score(quarter)
    onsets = (0, 1, min(rest * quarter * 4, 2**31 - 2))
    score.tracks.append(Track("", 0, False, [Note(onset, 1, 60, 80) for onset in onsets]))
    tokenizer = RemiTokenizer(TokenizerSettings(max_bars=2**40))
    tracemalloc.start()
    with pytest.raises(InputError, match="bars with 3 notes"):
        tokenizer.encode(score)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_bars_are_counted_as_they_are_written():
    """At one tick a quarter a bar of 1/16 counts as a tick long, and becomes four bars: the bound holds for what is written."""
    score = Score(1)
    score.tracks.append(Track("", 0, False, [Note(onset, 1, 60, 80) for onset in range(0, 901, 2)]))
    score.time_signatures.append(TimeSignature(0, 1, 16))
    TOKENIZER.prepare(score)
    with pytest.raises(InputError, match="3601 bars with 451 notes"):
        TOKENIZER.encode(score)


def test_a_stream_longer_than_midi_can_count_is_refused():
    """A million bars of 12/4 leave the 31 bits of a tick: told in one line with the numbers."""
    bars = np.tile([BAR, VOCABULARY.tokens.index("TimeSig_12/4")], 1_000_000)
    with pytest.raises(InputError, match=r"these 2000000 tokens last 2303997696 ticks, more than a score can count \(2147483647\)"):
        TOKENIZER.decode(bars)


@pytest.mark.parametrize(
    ("impossible", "named"),
    [
        ({"positions_per_beat": 3, "duration_grid": ((4, 3),)}, "positions_per_beat .3. must be a multiple of 2 for meters over 2"),
        ({"max_empty_bars": -1}, "max_empty_bars"),
    ],
)
def test_settings_that_cannot_be_told_are_refused(impossible: dict, named: str):
    """A half-note beat of three positions has no position on its quarter."""
    with pytest.raises(InputError, match=named):
        TokenizerSettings(**impossible)


def test_ids_fit_into_sixteen_bits():
    """Settings of more tokens than uint16 can tell apart are refused."""
    with pytest.raises(InputError, match="more than 65536"):
        RemiTokenizer(TokenizerSettings(positions_per_beat=960, duration_grid=((64, 960),), meters={4: 64}))

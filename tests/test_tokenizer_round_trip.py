"""Score → ids → score, in memory and through a MIDI file: every note comes back."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import INSTRUMENTS, notes_of, score_of, scores
from symusic import Note, Score, Tempo, TimeSignature, Track

from symbolic.errors import InputError
from symbolic.midi.meter import bar_starts, last_note_end, meter_sections
from symbolic.midi.reading import read
from symbolic.tokenizers.decoder import part_tracks
from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
VELOCITIES = VOCABULARY.values[VOCABULARY.of_type(TokenType.VELOCITY)].tolist()
TEMPO_STEP = (320 / 20) ** (1 / 63)


def through_file(score: Score) -> Score:
    return read(score.dumps_midi())


def values(note: Any) -> tuple[int, int, int, int]:
    return note.time, note.duration, note.pitch, note.velocity


def beat_at(score: Score, quarters: Fraction) -> Fraction:
    """Length of the beat at a time, in quarters: the last meter's that began."""
    begun = [s for s in meter_sections(score) if Fraction(s[0], score.ticks_per_quarter) <= quarters]
    return Fraction(4, begun[-1][2])


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=80, deadline=None)
def test_every_note_on_the_grid_comes_back_exactly(score):
    """Onset, duration, pitch, velocity, program and drum flag of every note on the grid survive, unisons that overlap included."""
    decoded = TOKENIZER.decode(TOKENIZER.encode(score).ids)
    assert notes_of(decoded) == notes_of(score)


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=80, deadline=None)
def test_every_note_on_the_grid_comes_back_through_a_midi_file(score):
    """Writing the decoded score as MIDI and reading it again loses and re-pairs nothing."""
    assert notes_of(through_file(TOKENIZER.decode(TOKENIZER.encode(score).ids))) == notes_of(score)


@given(scores(on_grid=False, velocities=VELOCITIES))
@settings(max_examples=80, deadline=None)
def test_a_note_off_the_grid_moves_by_less_than_a_step(score):
    """Tuplets of 5 and 7, and any duration up to 60 beats, come back within 1/48 beat (coarser for long durations), velocity within 2."""
    told = TOKENIZER.prepare(score)
    back = through_file(TOKENIZER.decode(TOKENIZER.encode(score).ids))
    found = {note[:3]: note[3:] for note in notes_of(back)}
    assert sum(notes_of(back).values()) == sum(notes_of(score).values())
    for *name, onset, duration, velocity in notes_of(score):
        onset_back, duration_back, velocity_back = found[tuple(name)]
        beat = beat_at(told, onset)
        assert abs(onset_back - onset) <= beat / 48
        beat = max(beat, beat_at(told, onset_back))
        tolerance = Fraction(1, 48) if duration <= 4 * beat else Fraction(1, 24) if duration <= 16 * beat else Fraction(1, 2)
        assert abs(duration_back - duration) <= tolerance * beat
        assert abs(velocity_back - velocity) <= 2


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=60, deadline=None)
def test_ids_of_a_decoded_score_are_the_same_ids(score):
    """ids → score → ids changes nothing, also through a MIDI file."""
    ids = TOKENIZER.encode(score).ids
    decoded = TOKENIZER.decode(ids)
    np.testing.assert_array_equal(TOKENIZER.encode(decoded).ids, ids)
    np.testing.assert_array_equal(TOKENIZER.encode(through_file(decoded)).ids, ids)


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=60, deadline=None)
def test_bar_lines_and_meters_come_back(score):
    """Every bar line of the score, cut bars included, is a bar line of the decoded score, and every meter stands where it stood."""
    decoded = through_file(TOKENIZER.decode(TOKENIZER.encode(score).ids))
    scale = score.ticks_per_quarter // decoded.ticks_per_quarter
    lines = set((bar_starts(decoded) * scale).tolist())
    assert {line for line in bar_starts(score).tolist() if line <= last_note_end(score)} <= lines | {last_note_end(score)}
    onsets_end = max(note.time for track in score.tracks for note in track.notes)
    at = {tick * scale: meter for tick, *meter in meter_sections(decoded)}
    for (tick, *meter), following in zip(meter_sections(score), [*meter_sections(score)[1:], (10**9, 1, 1)], strict=True):
        bar = meter[0] * 4 * score.ticks_per_quarter // meter[1]
        if tick <= onsets_end and following[0] - tick >= bar:
            in_force = [at[start] for start in sorted(at) if start <= tick]
            assert in_force[-1] == meter


@given(scores(on_grid=True, velocities=VELOCITIES))
@settings(max_examples=60, deadline=None)
def test_tempos_come_back_within_a_step_of_the_tempo_grid(score):
    """Each tempo change stands where it stood, with a tempo at most one ratio step away."""
    decoded = through_file(TOKENIZER.decode(TOKENIZER.encode(score).ids))
    for tempo in score.tempos:
        quarters = Fraction(tempo.time, score.ticks_per_quarter)
        slack = beat_at(TOKENIZER.prepare(score), quarters) / 48
        in_force = [t.tempo for t in decoded.tempos if Fraction(t.time, decoded.ticks_per_quarter) <= quarters + slack]
        assert 1 / TEMPO_STEP <= in_force[-1] / tempo.tempo <= TEMPO_STEP


@pytest.mark.parametrize("ticks_per_quarter", [96, 480])
def test_the_order_of_tracks_notes_and_events_does_not_matter(ticks_per_quarter):
    """One music has one stream of ids: chords, tracks, tempos and meters in any order, at MidiTok's own resolution or another."""
    chords = [(n // 3 * 485, 480 + 15 * n, 60 + n * 5 % 12) for n in range(60)]
    score = score_of(*chords, program=1, meters=((0, 4, 4), (3840, 6, 8), (6720, 2, 2)))
    for program in (0, 40):
        score.tracks.append(Track("", program, False, [Note(n * 480, 240 + 240 * (n % 2), 70 - n, 80) for n in range(20)]))
    for number in range(6):
        score.tempos.append(Tempo(number * 960, 60 + 20 * number))
    score = score.resample(ticks_per_quarter, min_dur=1)
    shuffled = score.copy()
    for track in shuffled.tracks:
        track.notes = list(track.notes)[::-1]
    shuffled.tracks = list(shuffled.tracks)[::-1]
    shuffled.tempos = list(score.tempos)[::-1]
    shuffled.time_signatures = list(score.time_signatures)[::-1]
    np.testing.assert_array_equal(TOKENIZER.encode(shuffled).ids, TOKENIZER.encode(score).ids)


def test_the_tempo_that_is_there_already_is_not_told_again():
    """Before its first tempo a file plays at 120: a first tempo of 120, later on, is no change and no token."""
    score = score_of((0, 3840, 60))
    score.tempos.append(Tempo(960, 120))
    assert (VOCABULARY.types[TOKENIZER.encode(score).ids] == TokenType.TEMPO).sum() == 1
    score.tempos.append(Tempo(1920, 90))
    assert (VOCABULARY.types[TOKENIZER.encode(score).ids] == TokenType.TEMPO).sum() == 2


def test_encoding_leaves_the_score_alone():
    """`encode` works on a copy: meters, tracks and controllers of the given score stay."""
    score = score_of((0, 480, 60), (480, 5000, 62), meters=((0, 4, 4), (480, 2, 1)))
    before = score.copy()
    TOKENIZER.encode(score)
    assert score == before


@pytest.mark.parametrize("unit", ["quarter", "second"])
def test_a_score_in_quarters_or_seconds_gives_the_ids_of_its_ticks(unit):
    """The unit of a score's times does not change its tokens."""
    score = score_of((0, 480, 60), (480, 240, 62))
    score.tempos.append(Tempo(0, 120))
    np.testing.assert_array_equal(TOKENIZER.encode(score.to(unit)).ids, TOKENIZER.encode(score).ids)


@pytest.mark.parametrize(
    ("notes", "parts"),
    [
        ([(0, 4), (1, 1)], 2),  # one inside the other: read back from one track they would change lengths
        ([(0, 2), (1, 2)], 2),  # one after the other, overlapping
        ([(0, 2), (0, 2)], 2),  # a unison of two players
        ([(0, 2), (2, 2)], 1),  # struck again where it ends
        ([(2, 2), (0, 2)], 1),  # the same, not in order
        ([(0, 9), (1, 1), (2, 1), (3, 9)], 2),
        ([(0, 9), (1, 9), (2, 9)], 3),
    ],
)
def test_overlapping_notes_of_one_pitch_go_to_further_tracks(notes, parts):
    """No track has a pitch struck while it sounds; program, name and drum flag stay, no note is lost, no track is superfluous."""
    for program in (41, DRUMS):
        struck = [*((onset, length, 60, 80) for onset, length in notes), (0, 9, 61, 80)]
        apart = part_tracks(np.full(len(struck), program), np.array(struck).T)
        assert len(apart) == parts
        assert {(t.name, t.program, t.is_drum) for t in apart} == {("Drums", 0, True) if program == DRUMS else ("Viola", 41, False)}
        assert sorted(values(n) for t in apart for n in t.notes) == sorted(struck)
        for part in apart:
            for pitch in (60, 61):
                same = sorted((n.time, n.end) for n in part.notes if n.pitch == pitch)
                assert all(end <= start for (_, end), (start, _) in pairwise(same))


def test_overlaps_are_the_reason_for_further_tracks():
    """Without overlaps a program has one track in the decoded score, with them two, and both read back as they were."""
    plain = score_of((0, 480, 60), (480, 480, 60))
    nested = score_of((0, 1920, 60), (480, 480, 60))
    assert len(TOKENIZER.decode(TOKENIZER.encode(plain).ids).tracks) == 1
    decoded = TOKENIZER.decode(TOKENIZER.encode(nested).ids)
    assert [track.program for track in decoded.tracks] == [0, 0]
    assert sorted((n.time, n.duration) for t in through_file(decoded).tracks for n in t.notes) == [(0, 768), (192, 192)]


def test_pieces_of_one_bar_keep_their_meter_and_tempo():
    """A score without meter and tempo is told as 4/4 and the tempo step nearest to 120."""
    decoded = TOKENIZER.decode(TOKENIZER.encode(score_of((0, 480, 60))).ids)
    assert [(s.time, s.numerator, s.denominator) for s in decoded.time_signatures] == [(0, 4, 4)]
    assert [tempo.time for tempo in decoded.tempos] == [0]
    assert decoded.tempos[0].tempo == pytest.approx(120, rel=TEMPO_STEP - 1)


def test_special_tokens_are_passed_over():
    """PAD, BOS and EOS anywhere decode to nothing; a stream of nothing else is an empty score."""
    ids = TOKENIZER.encode(score_of((0, 480, 60))).ids
    framed = np.concatenate([[VOCABULARY.bos], ids, [VOCABULARY.eos, VOCABULARY.pad, VOCABULARY.pad]])
    assert notes_of(TOKENIZER.decode(framed)) == notes_of(TOKENIZER.decode(ids))
    for empty in ([], [VOCABULARY.bos, VOCABULARY.eos]):
        assert TOKENIZER.decode(np.array(empty, dtype=np.uint16)).note_num() == 0


@pytest.mark.parametrize("unknown", [-1, len(VOCABULARY), 65535])
def test_an_unknown_id_is_named(unknown):
    """An id outside the vocabulary is refused with its number and the range."""
    with pytest.raises(InputError, match=f"token id {unknown} is not in the vocabulary 0..{len(VOCABULARY) - 1}"):
        TOKENIZER.decode(np.array([VOCABULARY.bar, unknown], dtype=np.int64))


@given(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_ids_decode(ids):
    """Decoding never raises, whatever ids of the vocabulary follow each other, and what comes out can be written and encoded."""
    decoded = TOKENIZER.decode(np.array(ids, dtype=np.int64))
    Score.from_midi(decoded.dumps_midi())
    TOKENIZER.encode(decoded)


def test_programs_and_drums_stay_apart():
    """Every program, and drums, come back as themselves: 128 programs and a drum track of program 0 make 129 tracks."""
    score = Score(480)
    for program in range(128):
        score.tracks.append(Track("", program, False, [Note(0, 480, 60, 80)]))
    score.tracks.append(Track("", 0, True, [Note(0, 480, 60, 80)]))
    back = through_file(TOKENIZER.decode(TOKENIZER.encode(score).ids))
    assert sorted((t.program, t.is_drum) for t in back.tracks) == sorted([*((p, False) for p in range(128)), (0, True)])


@pytest.mark.parametrize("pitch", [0, 127])
@pytest.mark.parametrize("drums", [False, True])
def test_the_lowest_and_highest_pitch_are_in_the_vocabulary(pitch, drums):
    """Pitches 0 and 127 survive, on drums too."""
    score = score_of((0, 480, pitch), drums=drums)
    assert [n.pitch for t in TOKENIZER.decode(TOKENIZER.encode(score).ids).tracks for n in t.notes] == [pitch]


def test_strategies_reach_what_they_promise():
    """The drawn scores do hold the hard cases: drums, same-program tracks, overlapping unisons, meter changes inside a bar."""
    seen = {"drums": 0, "same program": 0, "overlap": 0, "cut bar": 0, "over a bar line": 0}

    @given(scores(on_grid=True, velocities=VELOCITIES))
    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    def look(score):
        seen["drums"] += any(t.is_drum and len(t.notes) for t in score.tracks)
        seen["same program"] += all(len(score.tracks[i].notes) for i in (0, 1))
        prepared = TOKENIZER.prepare(score)
        seen["cut bar"] += len(prepared.time_signatures) > len(score.time_signatures)
        programs = {(t.program, t.is_drum) for t in score.tracks if len(t.notes)}
        seen["overlap"] += len(TOKENIZER.decode(TOKENIZER.encode(score).ids).tracks) > len(programs)
        lines = bar_starts(score)
        seen["over a bar line"] += any(((lines > n.time) & (lines < n.end)).any() for t in score.tracks for n in t.notes)

    look()
    assert len(INSTRUMENTS) == 6
    assert all(count >= 10 for count in seen.values()), seen


def test_equal_settings_give_equal_ids_and_other_settings_are_kept():
    """Ids depend on the settings alone: a second tokenizer gives the same, one with fewer velocities other ids for the same music."""
    score = score_of((0, 480, 60), (480, 240, 64))
    np.testing.assert_array_equal(RemiTokenizer().encode(score).ids, TOKENIZER.encode(score).ids)
    assert len(RemiTokenizer(TokenizerSettings(velocities=8)).vocabulary) == len(VOCABULARY) - 24


def test_the_vocabulary_of_the_bundled_model():
    """The default settings give the ids that bundled weights were trained on: another size or order would make them nonsense."""
    assert len(VOCABULARY) == len(set(VOCABULARY.tokens))
    assert [VOCABULARY.pad, VOCABULARY.bos, VOCABULARY.eos, VOCABULARY.bar] == [0, 1, 2, 3]
    ids = TOKENIZER.encode(score_of((0, 480, 60), (480, 240, 64), meters=((0, 3, 4),))).ids
    assert [VOCABULARY.tokens[i] for i in ids] == [
        *("Bar_None", "TimeSig_3/4", "Position_0", "Tempo_121.52", "Program_0", "Pitch_60", "Velocity_79", "Duration_1.0.48"),
        *("Position_48", "Program_0", "Pitch_64", "Velocity_79", "Duration_0.24.48"),
    ]
    assert TimeSignature(0, 3, 4) == TOKENIZER.decode(ids).time_signatures[0]

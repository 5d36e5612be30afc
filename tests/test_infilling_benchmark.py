"""The checker of what is written in the middle sees every broken promise, and what lies across a border is what can be counted by hand."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Tempo, TimeSignature, Track

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

import infilling
from middle_writing import Asked, asked_of, faults, one_line, opening
from seams import Border, Gap, Part, border, borders, borrowed, gap_of, music_of, row

from symbolic.midi.meter import bar_starts
from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.tasks import Arranger
from symbolic.tokenizers.vocabulary import TokenType

QUARTER = 480
BAR = 4 * QUARTER
TOKENIZER = RemiTokenizer(TokenizerSettings(tasks=True))


def duet() -> Score:
    """Ten bars of 4/4: a violin in quarters that goes up by a semitone a bar, a cello in whole notes, a drum on each first beat."""
    score = Score(QUARTER)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.tempos.append(Tempo(0, 100))
    violin, cello, drums = Track("Violin", 40), Track("Cello", 42), Track("Drums", 0, True)
    for bar in range(10):
        for beat in range(4):
            violin.notes.append(Note(bar * BAR + beat * QUARTER, QUARTER, 60 + bar + (beat == 3), 79))
        cello.notes.append(Note(bar * BAR, BAR, 40 + bar % 2, 63))
        drums.notes.append(Note(bar * BAR, QUARTER, 36, 95))
    for track in (violin, cello, drums):
        score.tracks.append(track)
    return score


def refilled() -> Score:
    """The duet with other pitches of the violin in bars 4 to 7."""
    score = duet()
    for note in score.tracks[0].notes:
        note.pitch += 1 if 3 * BAR <= note.time < 7 * BAR else 0
    return score


def asked(kept: str = "") -> Asked:
    """Bars 4 to 7 of the duet: all of them, or for a variation the pitched notes."""
    goes = (lambda note: note[1] != DRUMS) if kept else (lambda note: True)
    return Asked(duet(), lambda seed: seed, 3 * BAR, 7 * BAR, goes, kept)


def test_what_is_right_has_no_fault() -> None:
    """New pitches in the bars asked for are a filled gap, and a variation that keeps the rhythm."""
    assert faults(asked(), refilled()) == {}
    assert faults(asked("rhythm"), refilled()) == {}


@pytest.mark.parametrize(("field", "change"), [("time", 10), ("duration", -10), ("pitch", 1), ("velocity", -1)])
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_note_is_seen(field: str, change: int, place: int) -> None:
    """In each of its fields, before the gap and behind it."""
    score = refilled()
    note = score.tracks[1].notes[place]
    setattr(note, field, getattr(note, field) + change)
    assert faults(asked(), score)["given"].startswith("lost: 1")


def test_a_note_on_another_track_is_seen() -> None:
    """And one of another program."""
    score = refilled()
    score.tracks[0].notes.append(score.tracks[1].notes[0])
    score.tracks[1].notes.pop(0)
    assert "given" in faults(asked(), score)
    score = refilled()
    score.tracks[1].program = 43
    assert "given" in faults(asked(), score)


@pytest.mark.parametrize("note", [(3 * BAR - 1, 1), (7 * BAR, 1), (7 * BAR - 1, 2), (0, QUARTER)])
def test_a_note_outside_is_seen(note: tuple[int, int]) -> None:
    """One that begins before the gap or behind it, and one that sounds past its end."""
    score = refilled()
    score.tracks[0].notes.append(Note(*note, 90, 79))
    score.tracks[0].notes.sort(inplace=True)
    assert list(faults(asked(), score)) == ["exact"]


def test_another_length_or_meter_is_seen() -> None:
    """A bar less, a bar more, a change of meter or of tempo inside."""
    seed = duet()
    for track in seed.tracks:
        track.notes = type(track.notes)([note for note in track.notes if note.time < 9 * BAR])
    shorter = Asked(seed, lambda score: score, 3 * BAR, 10 * BAR, lambda note: True)
    longer = seed.copy()
    longer.tracks[0].notes.append(Note(9 * BAR, QUARTER, 70, 79))
    assert faults(shorter, longer)["exact"] == f"10 bars to tick {10 * BAR}, the seed has 9 to {9 * BAR}"
    other = refilled()
    other.time_signatures.append(TimeSignature(5 * BAR, 2, 4))
    assert "exact" in faults(asked(), other)
    other = refilled()
    other.tempos.append(Tempo(5 * BAR, 50))
    assert faults(asked(), other) == {"exact": "other meters or tempos"}


def test_no_answer_is_seen() -> None:
    """An empty gap, and a part that has no note, are none."""
    score = duet()
    for track in score.tracks:
        track.notes = type(track.notes)([note for note in track.notes if not 3 * BAR <= note.time < 7 * BAR])
    assert faults(asked(), score) == {"answered": "no new note"}
    part = Asked(duet(), lambda seed: seed, 0, 10 * BAR)
    assert faults(part, duet()) == {"answered": "no new note"}


def test_what_a_file_cannot_tell_is_seen() -> None:
    """A pitch struck on a track while it sounds there is two other notes when the file is read."""
    score = refilled()
    score.tracks[1].notes.append(Note(3 * BAR + 10, QUARTER, 41, 63))
    score.tracks[1].notes.sort(inplace=True)
    assert list(faults(asked(), score)) == ["decoded"]


def test_a_lost_rhythm_and_lost_pitches_are_seen() -> None:
    """A variation keeps what it says: a longer note is another rhythm, an exchanged pitch is another order."""
    score = refilled()
    score.tracks[0].notes[13].duration -= 10
    assert faults(asked("rhythm"), score)["given"].startswith("another rhythm")
    moved = duet()
    for note in moved.tracks[0].notes:
        note.duration -= 10 * (3 * BAR <= note.time < 7 * BAR)
    assert faults(asked("pitch"), moved) == {}
    assert faults(asked("pitch"), refilled()) == {"given": "other pitches in bars [4, 5, 6, 7]"}
    fourth = 3 * BAR + 3 * QUARTER
    for note in moved.tracks[0].notes:
        note.time = {fourth: fourth - QUARTER, fourth - QUARTER: fourth}.get(note.time, note.time)
    moved.tracks[0].notes.sort(inplace=True)
    assert faults(asked("pitch"), moved) == {"given": "other pitches in bars [4]"}


def ids_of(score: Score) -> np.ndarray:
    """BOS … EOS."""
    vocabulary = TOKENIZER.vocabulary
    return np.concatenate([[vocabulary.bos], TOKENIZER.encode(score).ids, [vocabulary.eos]])


def test_tasks_are_asked_of_pieces_that_have_what_they_need() -> None:
    """The part that is asked for is gone from the seed; a solo has none; the opening ends on a bar line."""
    generator = np.random.default_rng(0)
    ids = ids_of(duet())
    assert opening(ids, TOKENIZER).tolist() == ids[1:-1].tolist()
    part = asked_of(ids, "accompany", TOKENIZER, generator)
    tune = asked_of(ids, "melody", TOKENIZER, generator)
    assert part is not None
    assert tune is not None
    assert len(part.seed.tracks) == len(tune.seed.tracks) == 2
    assert [track.program for track in tune.seed.tracks] == [42, 0]
    solo = duet()
    solo.tracks = type(solo.tracks)([solo.tracks[0]])
    assert asked_of(ids_of(solo), "accompany", TOKENIZER, generator) is None
    assert asked_of(ids_of(solo), "melody", TOKENIZER, generator) is None
    gap = asked_of(ids, "fill", TOKENIZER, generator)
    assert gap is not None
    assert gap.stop - gap.start == 4 * (bar_starts(gap.seed)[1] - bar_starts(gap.seed)[0])


@pytest.mark.parametrize("kind", infilling.KINDS[1:])
def test_the_same_notes_are_scored_with_what_is_given_and_without(kind: str) -> None:
    """Both streams ask for the same tokens, as many notes as told; alone they follow the bars before a gap, or nothing."""
    ids, vocabulary = ids_of(duet()), TOKENIZER.vocabulary
    asked = infilling.asked_of(ids, kind, Arranger(vocabulary), np.random.default_rng(3))
    assert asked is not None
    tokens = asked.given[asked.given_scored]
    assert tokens.tolist() == asked.alone[asked.alone_scored].tolist()
    assert (vocabulary.types[tokens] == TokenType.VELOCITY).sum() == asked.notes > 0
    assert vocabulary.types[tokens[0]] == TokenType.BAR
    before = asked.alone[~asked.alone_scored]
    assert before.tolist() == ids[: len(before)].tolist()
    assert len(before) == 1 or kind == "fill"
    if kind == "fill":
        assert ids.tolist()[len(before) : len(before) + len(tokens)] == tokens.tolist()


def test_the_melody_alone_is_one_line() -> None:
    """Its notes end where the next begins; of drums alone there is none."""
    seed = duet()
    for note in seed.tracks[0].notes:
        note.duration += QUARTER
    found = one_line(TOKENIZER, opening(ids_of(seed), TOKENIZER)).tracks
    assert len(found) == 1
    notes = list(found[0].notes)
    assert len(notes) == 40
    assert all(note.end <= later.time for note, later in itertools.pairwise(notes))
    drums = duet()
    drums.tracks = type(drums.tracks)([drums.tracks[2]])
    assert one_line(TOKENIZER, opening(ids_of(drums), TOKENIZER)).note_num() == 0


def part(*notes: tuple[int, float, int]) -> Part:
    """Notes as (program, onset, pitch)."""
    return Part(*(np.array(column) for column in zip(*notes, strict=True)))


def test_intervals_and_onsets_across_a_bar_line() -> None:
    """Top to top and, with chords, bottom to bottom; from the last onset before the line to the first behind it; drums have no interval."""
    music = part((0, 2.0, 80), (0, 3.0, 60), (0, 3.0, 67), (0, 5.0, 72), (0, 6.0, 30), (DRUMS, 3.5, 38), (DRUMS, 4.0, 36), (40, 1.0, 50))
    found = border(music, 0, 4, 8, True)
    assert sorted(found.interval.tolist()) == [5, 12]
    assert found.onsets.tolist() == [0.5, 2.0]
    assert found.line.tolist() == [0.0, 1.0]
    assert border(music, 0, 4, 8, False).line.tolist() == [0.5, 1.0]
    assert border(music, 4, 8, 12, True).onsets.tolist() == []


def test_both_borders_of_a_gap() -> None:
    """The violin goes from its last quarter to the next bar by no step; the cello by one; the same one bar farther out."""
    seed = duet()
    found = gap_of(7, seed, np.random.default_rng(0))
    assert found is not None
    assert 2 <= found.first <= 4
    for outwards in (0, 1):
        for one in borders(found, found.music, outwards):
            assert sorted(abs(one.interval)) == [0, 1]
            assert sorted(one.onsets.tolist()) == [1, 4, 4]
    higher = part(*((40, found.start + beat, 100) for beat in range(16)))
    left, right = borders(found, found.with_bars(higher))
    assert left.interval.tolist() == [100 - (60 + found.first)]
    assert right.interval.tolist() == [60 + found.first + 4 - 100]
    assert (left.line.tolist(), right.line.tolist()) == ([0], [1])


def test_borrowed_bars_stand_in_the_gap_and_near() -> None:
    """The parts of another piece come by their rank of pitch, moved by octaves only when they are to be near."""
    lines = np.arange(0, 41, 4.0)
    own, other = (music_of(duet()) for _ in range(2))
    other = Part(other.program, other.onset, other.pitch + np.where(other.program == 42, 24, 30) * (other.program != DRUMS))
    gaps = [Gap(0, duet(), own, lines, 3), Gap(1, duet(), other, lines, 5)]
    bars = borrowed(gaps[0], gaps, near=False)
    assert bars is not None
    assert sorted(set(bars.program.tolist())) == [DRUMS, 40, 42]
    assert bars.onset.min() == 12
    assert bars.onset.max() == 27
    assert bars.pitch[bars.program == 40].min() == 95
    near = borrowed(gaps[0], gaps, near=True)
    assert near is not None
    assert near.pitch[near.program == 40].min() == 95 - 36
    assert near.pitch[near.program == 42].tolist() == [41, 40, 41, 40]
    triple = Gap(2, duet(), other, np.arange(0, 41, 3.0), 5)
    assert borrowed(gaps[0], [gaps[0], triple], near=True) is None


def test_a_row_of_true_bars_has_no_distance() -> None:
    """And one shifted by two semitones and half a quarter has these; `plays` is the share of pairs."""
    true = [Border(np.array([0.0, 4.0]), np.array([1.0, 1.0]), np.array([0.0, 0.0])), Border(np.array([-4.0]), np.ones(1), np.zeros(1))]
    assert row("true", true, true).split() == ["true", "1.00", "2.67", "0.000", "0.000", "0.000"]
    other = [Border(one.interval + 2, one.onsets + 0.5, one.line) for one in true]
    assert row("other", other, true).split() == ["other", "1.00", "3.33", "2.000", "0.500", "0.000"]
    assert row("half", true[:1], true).split()[1] == "0.67"

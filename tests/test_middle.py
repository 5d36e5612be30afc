"""Writing inside a score: what is given comes back note for note, what is new has exactly the bars asked for, whatever the model says."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from symbolic.errors import InputError, UsageError
from symbolic.generation.middle import accompany, fill, harmonise, overlaps, vary
from symbolic.generation.placing import place_notes
from symbolic.generation.seed_bars import seed_bars
from symbolic.midi.meter import bar_starts
from symbolic.midi.reading import read
from symbolic.midi.seeds import load_seed
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer(TokenizerSettings(tasks=True))
QUARTER = 480


def tiny(tokenizer: RemiTokenizer) -> dict:
    """A tiny network that has learned nothing, so that nothing it writes is right by chance."""
    torch.manual_seed(1)
    config = make_config(
        vocab_size=len(tokenizer.vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        memory_length=32, pad_token_id=None, bos_token_id=None, eos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    return {"model": TransformerXL(config).eval(), "tokenizer": tokenizer}


@pytest.fixture(scope="module")
def options() -> dict:
    """The network, and its tokenizer with tasks."""
    return tiny(TOKENIZER)


def quartet() -> Score:
    """Twelve bars that turn from 4/4 to 3/4 in bar 7, of a violin, a cello in double stops, drums, and a held note over bar 4."""
    generator = np.random.default_rng(0)
    score = Score(QUARTER)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.time_signatures.append(TimeSignature(6 * 4 * QUARTER, 3, 4))
    score.tempos.append(Tempo(0, 100))
    score.tempos.append(Tempo(5 * QUARTER, 90))
    violin, cello, drums = Track("violin", 40), Track("cello", 42), Track("drums", 0, True)
    for beat in range(6 * 4 + 6 * 3):
        violin.notes.append(Note(beat * QUARTER, QUARTER, int(generator.integers(60, 80)), 79))
        if beat % 2 == 0:
            low = int(generator.integers(40, 50))
            cello.notes.extend([Note(beat * QUARTER, 2 * QUARTER, low + up, 63) for up in (0, 7)])
        drums.notes.append(Note(beat * QUARTER, QUARTER // 2, 36 + 2 * (beat % 3), 99))
    violin.notes.append(Note(3 * 4 * QUARTER, 6 * QUARTER, 90, 79))
    for track in (violin, cello, drums):
        score.tracks.append(track)
    return score


def melody_alone() -> Score:
    """Eight bars of one line."""
    score = Score(QUARTER)
    score.tempos.append(Tempo(0, 100))
    score.tracks.append(Track("flute", 73, False, [Note(n * QUARTER, QUARTER, 60 + (7 * n) % 12, 79) for n in range(32)]))
    return score


def notes_of(score: Score, start: float = 0, stop: float = float("inf")) -> Counter:
    """Program (−1 for drums), time, duration, pitch and velocity of the notes that begin in [start, stop), counted."""
    return Counter(
        (-1 if track.is_drum else track.program, n.time, n.duration, n.pitch, n.velocity)
        for track in score.tracks
        for n in track.notes
        if start <= n.time < stop
    )


def test_a_meter_behind_the_last_note_opens_no_bars(options):
    """A seed ends with the bar of its last note, whatever is set later on: no part is written behind it."""
    seed, stop = quartet(), int(bar_starts(quartet())[-1])
    seed.time_signatures.append(TimeSignature(stop + 4 * QUARTER, 4, 4))
    seed.tempos.append(Tempo(stop + 6 * QUARTER, 90))
    found = seed_bars(seed, TOKENIZER)
    assert (len(found.starts), int(found.lines[-1])) == (len(found.lines), stop)
    assert found.starts[-1] == len(found.ids)
    longer = accompany(seed, "flute", **options)
    assert notes_of(longer, 0, stop) > notes_of(seed)
    assert not notes_of(longer, stop)


@pytest.mark.parametrize("bars", [(2, 2), (3, 6), (6, 8), (5, 11), (1, 3)])
@pytest.mark.parametrize("random_seed", [0, 1])
def test_a_gap_is_filled_and_nothing_else_changes(options, bars, random_seed):
    """Also across a change of meter and from the first bar on: new notes begin and end in the gap, bar lines and tempos stay."""
    seed = quartet()
    lines = bar_starts(seed)
    start, stop = int(lines[bars[0] - 1]), int(lines[bars[1]])
    filled = fill(seed, bars, random_seed=random_seed, **options)
    assert notes_of(filled, 0, start) == notes_of(seed, 0, start)
    assert notes_of(filled, stop) == notes_of(seed, stop)
    new = notes_of(filled, start, stop)
    assert new
    assert new != notes_of(seed, start, stop)
    assert all(time + duration <= stop for _, time, duration, _, _ in new)
    assert {program for program, *_ in new} <= {40, 42, -1}
    assert (filled.tempos, filled.time_signatures) == (seed.tempos, seed.time_signatures)
    np.testing.assert_array_equal(bar_starts(filled), lines)
    for first, last in zip(lines[bars[0] - 1 : bars[1] - 1], lines[bars[0] + 1 : bars[1] + 1], strict=True):
        assert notes_of(filled, int(first), int(last)), "two bars in a row without a note"
    assert filled.markers[-1].text.startswith('written: {"program": "symbolic')


def test_filling_is_the_same_for_the_same_random_seed(options):
    """And another for another."""
    first, again, other = (notes_of(fill(quartet(), (3, 4), random_seed=n, **options)) for n in (5, 5, 6))
    assert first == again
    assert first != other


@pytest.mark.parametrize("program", [0, "flute", "viola"])
@pytest.mark.parametrize("melody", [True, False])
def test_a_part_is_added_and_the_others_stay(options, program, melody):
    """One new track of the instrument asked for, within the seed's bars."""
    seed = quartet()
    longer = accompany(seed, program, melody=melody, **options)
    added = notes_of(longer) - notes_of(seed)
    assert notes_of(seed) - notes_of(longer) == Counter()
    assert {number for number, *_ in added} == {{"flute": 73, "viola": 41}.get(program, program)}
    assert max(time + duration for _, time, duration, _, _ in added) <= bar_starts(seed)[-1]
    assert len(longer.tracks) == len(seed.tracks) + 1
    np.testing.assert_array_equal(bar_starts(longer), bar_starts(seed))


def test_a_melody_gets_chords(options):
    """By a piano, or the instruments asked for; the melody stays."""
    seed = melody_alone()
    for programs in ((0,), ("harpsichord", "cello")):
        longer = harmonise(seed, programs=programs, **options)
        added = notes_of(longer) - notes_of(seed)
        assert notes_of(seed) - notes_of(longer) == Counter()
        assert {number for number, *_ in added} <= {0, 6, 42}
        assert added


def test_an_added_part_does_not_rest_for_long():
    """A model that would rather rest than play plays something after four bars of the seed's; where the seed rests, it may rest."""
    silent = tiny(TOKENIZER)
    with torch.no_grad():
        silent["model"].head.bias[[TOKENIZER.vocabulary.bar, *TOKENIZER.vocabulary.of_type(TokenType.GIVEN)]] = 40.0
    tune = melody_alone()
    for track in tune.tracks:
        later = [Note(n.time + 16 * 4 * QUARTER, n.duration, n.pitch, n.velocity) for n in track.notes]
        track.notes.extend(later)
    answer = harmonise(tune, **silent)
    onsets = sorted({n.time // (4 * QUARTER) for track in answer.tracks if track.program == 0 for n in track.notes})
    assert onsets[0] in (4, 5)
    assert not [bar for bar in onsets if 6 <= bar < 16]
    assert [bar for bar in onsets if 16 <= bar < 22]


def test_a_melody_of_several_lines_is_told_by_bars(options):
    """Chords and held notes are named by their bars; with the top line they stay in the score."""
    seed = melody_alone()
    seed.tracks[0].notes.append(Note(4 * QUARTER, QUARTER, 40, 79))
    seed.tracks[0].notes.append(Note(17 * QUARTER, 2 * QUARTER, 45, 79))
    seed.tracks[0].notes.sort(inplace=True)
    assert overlaps(seed_bars(seed, TOKENIZER)) == [2, 5]
    with pytest.raises(InputError, match=r"not one line: notes overlap in bars 2, 5; --top-line"):
        harmonise(seed, **options)
    longer = harmonise(seed, top_line=True, **options)
    assert notes_of(seed) - notes_of(longer) == Counter()


@pytest.mark.parametrize("bars", [None, (2, 4), (6, 9)])
def test_other_pitches_in_the_same_rhythm(options, bars):
    """Onsets, durations and velocities of every instrument stay, drums and other bars wholly; chords stay chords of different notes."""
    seed = quartet()
    lines = bar_starts(seed)
    start, stop = (0, int(lines[-1])) if bars is None else (int(lines[bars[0] - 1]), int(lines[bars[1]]))
    varied = vary(seed, "rhythm", bars, **options)
    assert notes_of(varied, 0, start) + notes_of(varied, stop) == notes_of(seed, 0, start) + notes_of(seed, stop)

    def rhythm(score: Score) -> Counter:
        return Counter((p, *(rest if p == -1 else (rest[0], rest[1], rest[3]))) for p, *rest in notes_of(score, start, stop).elements())

    assert rhythm(varied) == rhythm(seed)
    assert notes_of(varied) != notes_of(seed)
    assert max(notes_of(varied).values()) == 1


@pytest.mark.parametrize("bars", [None, (2, 4), (6, 9)])
def test_the_same_pitches_in_another_rhythm(options, bars):
    """Every bar has the pitches it had, in their order, for every instrument; drums and other bars stay."""
    seed = quartet()
    lines = bar_starts(seed)
    chosen = (1, len(lines) - 1) if bars is None else bars
    start, stop = int(lines[chosen[0] - 1]), int(lines[chosen[1]])
    varied = vary(seed, "pitch", bars, **options)
    assert notes_of(varied, 0, start) + notes_of(varied, stop) == notes_of(seed, 0, start) + notes_of(seed, stop)
    for bar in range(chosen[0] - 1, chosen[1]):
        pair = [sorted(notes_of(score, int(lines[bar]), int(lines[bar + 1])).elements()) for score in (seed, varied)]
        assert [note for note in pair[0] if note[0] == -1] == [note for note in pair[1] if note[0] == -1]
        for program in (40, 42):
            pitches = [[(time, pitch) for number, time, _, pitch, _ in notes if number == program] for notes in pair]
            assert sorted(pitch for _, pitch in pitches[0]) == sorted(pitch for _, pitch in pitches[1])
    assert notes_of(varied) != notes_of(seed)
    assert max(n.end for track in varied.tracks for n in track.notes) <= int(lines[-1])


def played() -> Score:
    """Six bars for two hands of one piano and a violin, as played: off every grid, notes before their bar lines, all velocities."""
    generator = np.random.default_rng(3)
    score = Score(QUARTER)
    hands = [Track("right hand", 0), Track("left hand", 0), Track("violin", 40)]
    for number, track in enumerate(hands):
        for beat in range(24):
            time = max(0, beat * QUARTER + int(generator.integers(-9, 10)))
            length, velocity = int(generator.integers(200, 900)), int(generator.integers(30, 110))
            track.notes.append(Note(time, length, (72, 48, 60)[number] + 2 * (beat % 5), velocity))
        track.notes.append(Note(8 * QUARTER - 1, 300, 90, 77))
        track.notes.append(Note(20 * QUARTER - 2, 300, 91, 78))
        track.notes.sort(inplace=True)
        score.tracks.append(track)
    return score


def test_bars_that_only_hold_tails_stay(options):
    """A last bar in which nothing begins is a bar of the variation, too; what is given is not held longer."""
    score = Score(QUARTER)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.tracks.append(Track("", 40, False, [Note(beat * QUARTER, QUARTER, 60 + beat % 5, 79) for beat in range(15)]))
    score.tracks[0].notes.append(Note(15 * QUARTER, 3 * QUARTER, 70, 79))
    score.tracks.append(Track("", 0, True, [Note(15 * QUARTER, QUARTER, 38, 90)]))
    varied = vary(score, "pitch", **options)
    assert len(bar_starts(varied)) == len(bar_starts(read(score))) == 6
    assert [(note.time, note.duration) for note in varied.tracks[1].notes] == [(15 * QUARTER, QUARTER)]


@pytest.mark.parametrize("bars", [None, (3, 5)])
def test_a_played_rhythm_stays_to_the_tick_and_on_its_track(options, bars):
    """Not as tokens round it: onset, length and velocity of every note, each hand on its own track."""
    seed = played()
    varied = vary(seed, "rhythm", bars, **options)
    assert len(varied.tracks) >= 3
    for old, new in zip(seed.tracks, varied.tracks, strict=False):
        told = [sorted((n.time, n.duration, n.velocity) for n in track.notes) for track in (old, new)]
        missing = [note for note in told[0] if note not in told[1]]
        further = {(n.time, n.duration, n.velocity) for track in list(varied.tracks)[3:] for n in track.notes}
        assert set(missing) <= further, "only a pitch that sounds on may stand on a track of its own"
    assert sorted(n[1:3] + n[4:] for n in notes_of(varied).elements()) == sorted(n[1:3] + n[4:] for n in notes_of(seed).elements())
    assert notes_of(varied) != notes_of(seed)


@pytest.mark.parametrize("random_seed", range(4))
def test_a_file_tells_what_was_written(options, random_seed):
    """Read again from MIDI, every note is there, given or new, in each way of writing: no pitch is struck while it sounds on its track."""
    seed = quartet()
    seed.tracks[0].notes.append(Note(3 * 4 * QUARTER, 24 * QUARTER, 66, 79))
    seed.tracks[0].notes.sort(inplace=True)
    seed = read(seed.dumps_midi())
    more = options | {"random_seed": random_seed, "range_margin": 0}
    for longer in (
        fill(seed, (5, 8), **more),
        accompany(seed, 41, **more),
        vary(seed, "rhythm", (5, 8), **more),
        vary(seed, "pitch", (5, 8), **more),
        harmonise(seed, top_line=True, **more),
    ):
        assert notes_of(read(longer.dumps_midi())) == notes_of(longer)


def struck(*notes: tuple[int, int, int, int | None], tracks: int = 1, stay: bool = False) -> list[list[tuple[int, int, int]]]:
    """Notes (onset, duration, pitch, track) written beside a C4 that sounds from 100 to 200 on the first track."""
    score = Score(QUARTER)
    for number in range(tracks):
        score.tracks.append(Track("violin", 40, False, [Note(100, 100, 60, 64)] if number == 0 else [Note(0, 10, 40, 64)]))
    place_notes(score, {40: [(Note(onset, length, pitch, 64), track) for onset, length, pitch, track in notes]}, lengths_stay=stay)
    return [[(n.time, n.duration, n.pitch) for n in track.notes if n.pitch != 40] for track in score.tracks]


def test_no_pitch_is_struck_while_it_sounds():
    """A given note is never cut and another track taken before a new one is; a new note ends where its pitch is struck again."""
    given = (100, 100, 60)
    assert struck((150, 20, 62, None)) == [[given, (150, 20, 62)]]
    assert struck((150, 20, 60, None)) == [[given], [(150, 20, 60)]]
    assert struck((150, 20, 60, 0), tracks=2) == [[given], [(150, 20, 60)]]
    assert struck((200, 20, 60, None)) == [[given, (200, 20, 60)]]
    assert struck((50, 80, 60, None)) == [[(50, 50, 60), given]]
    assert struck((50, 80, 60, None), stay=True) == [[given], [(50, 80, 60)]]
    assert struck((300, 80, 60, None), (350, 80, 60, None)) == [[given, (300, 50, 60), (350, 80, 60)]]
    assert struck((300, 80, 60, None), (350, 80, 60, None), stay=True) == [[given, (300, 80, 60)], [(350, 80, 60)]]
    assert struck((300, 80, 60, 1), (300, 80, 90, 0), tracks=2) == [[given, (300, 80, 90)], [(300, 80, 60)]]


@given(random_seed=st.integers(0, 10**6), first=st.integers(2, 18), length=st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_the_canon_is_filled_anywhere(options, random_seed, first, length):
    """The real seed, at any bar: the bars around stay, the gap has its bars."""
    seed = load_seed("canon")
    lines = bar_starts(seed)
    last = min(first + length - 1, 20)
    filled = fill(seed, (first, last), random_seed=random_seed, **options)
    start, stop = int(lines[first - 1]), int(lines[last])
    assert notes_of(filled, 0, start) + notes_of(filled, stop) == notes_of(seed, 0, start) + notes_of(seed, stop)
    np.testing.assert_array_equal(bar_starts(filled), lines)


@pytest.mark.parametrize(
    ("bars", "told"),
    [
        ((0, 3), "bars 0-3: the seed has bars 1 to 12"),
        ((5, 13), "the seed has bars 1 to 12"),
        ((5, 4), "write the first and the last"),
        ((1, 12), "are the whole seed"),
        ((9, 12), "nothing stands behind bar 12"),
    ],
)
def test_impossible_gaps_are_told(options, bars, told):
    """In one line, with what the seed has."""
    with pytest.raises(UsageError, match=told):
        fill(quartet(), bars, **options)


def test_other_bad_wishes_are_told(options):
    """An instrument that is there, a name that is none, nothing to keep, an empty seed, a model that only continues."""
    with pytest.raises(UsageError, match="program 40: the seed has this instrument already"):
        accompany(quartet(), 40, **options)
    with pytest.raises(InputError, match="violinn"):
        accompany(quartet(), "violinn", **options)
    with pytest.raises(UsageError, match="keep is 'mood'; rhythm or pitch is wanted"):
        vary(quartet(), "mood", **options)
    with pytest.raises(InputError, match="no notes"):
        fill(Score(480), (1, 2), **options)
    plain = RemiTokenizer(TokenizerSettings(tasks=False))
    with pytest.raises(InputError, match="trained to continue only, without tasks"):
        fill(quartet(), (3, 4), **tiny(plain))
    with pytest.raises(InputError, match="give the model's own tokenizer"):
        fill(quartet(), (3, 4), model=options["model"], tokenizer=plain)

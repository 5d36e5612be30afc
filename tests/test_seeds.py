"""The bundled seeds: what the Canon is by its construction, and what the notation refuses."""

from itertools import pairwise

import numpy as np
import pretty_midi
import pytest

from symbolic.errors import InputError
from symbolic.midi.meter import bar_starts
from symbolic.midi.seeds import list_seeds, load_seed, parse_seed

BAR = 4 * 480
VIOLINS = ("Violin I", "Violin II", "Violin III")
PREFIX = "meter 4/4\nkey C major\nbars 2\n"
SUFFIX = "\npart Flute\nplays tune\n"


def notes_of(score, name):
    [track] = [track for track in score.tracks if track.name == name]
    return sorted((note.time, note.duration, note.pitch) for note in track.notes)


def parse(music, header=PREFIX, parts=SUFFIX):
    return parse_seed(f"{header}line tune\n{music}\n{parts}", "draft")


def test_every_listed_seed_loads():
    """Each name of `list_seeds` gives a score with notes, and the Canon is one of them."""
    assert "canon" in list_seeds()
    assert all(load_seed(name).note_num() > 0 for name in list_seeds())


def test_canon_layout():
    """Three violins and a cello, 4/4, D major, 60 quarters a minute, exactly 22 bars of 480 ticks to the quarter."""
    score = load_seed("canon")
    assert [(track.name, track.program, track.is_drum) for track in score.tracks] == [
        *((name, 40, False) for name in VIOLINS),
        ("Basso continuo", 42, False),
    ]
    assert score.ticks_per_quarter == 480
    assert [(s.time, s.numerator, s.denominator) for s in score.time_signatures] == [(0, 4, 4)]
    assert [(k.time, k.key, k.tonality) for k in score.key_signatures] == [(0, 2, 0)]
    assert [(t.time, t.qpm) for t in score.tempos] == [(0, 60.0)]
    np.testing.assert_array_equal(bar_starts(score), np.arange(23) * BAR)


@pytest.mark.parametrize(("follower", "delay"), [("Violin II", 2), ("Violin III", 4)])
def test_canon_property(follower, delay):
    """Violin II plays what Violin I played two bars before, Violin III what it played four bars before, up to the end."""
    score = load_seed("canon")
    delayed = [(time + delay * BAR, duration, pitch) for time, duration, pitch in notes_of(score, "Violin I")]
    assert notes_of(score, follower) == [note for note in delayed if note[0] < 22 * BAR]


def test_first_violin_waits_for_the_bass_to_finish_once():
    """The bass plays alone for two bars, then Violin I begins on the third of the key, F#5."""
    score = load_seed("canon")
    assert notes_of(score, "Violin I")[0] == (2 * BAR, 480, 78)
    assert [note[0] for note in notes_of(score, "Basso continuo")[:8]] == [480 * beat for beat in range(8)]


def test_ground_repeats():
    """The bass is the same eight quarters, D A B F# G D G A, eleven times."""
    bass = notes_of(load_seed("canon"), "Basso continuo")
    assert bass == [(480 * beat, 480, [50, 45, 47, 42, 43, 38, 43, 45][beat % 8]) for beat in range(88)]


def test_canon_is_in_its_key():
    """These 22 bars use the seven notes of D major and no other."""
    pitches = {note.pitch % 12 for track in load_seed("canon").tracks for note in track.notes}
    assert pitches == {2, 4, 6, 7, 9, 11, 1}


def test_notes_on_the_beat_stand_in_the_harmony_of_the_ground():
    """What Violin I plays on a beat belongs to the triad over the bass note; the exceptions are a suspended and a held-over D."""
    d, a, b, f_sharp, g = {2, 6, 9}, {9, 1, 4}, {11, 2, 6}, {6, 9, 1}, {7, 11, 2}
    chords = [d, a, b, f_sharp, g, d, g, a]
    on_beats = [(time // 480, pitch) for time, _, pitch in notes_of(load_seed("canon"), "Violin I") if time % 480 == 0]
    assert len(on_beats) == 77
    outside = [(beat // 4 + 1, beat % 4 + 1, pitch) for beat, pitch in on_beats if pitch % 12 not in chords[beat % 8]]
    assert outside == [(10, 4, 74), (17, 4, 74)]


def test_violins_stay_in_the_range_of_a_violin_and_are_single_lines():
    """No violin goes below its open G string or above first-desk height, and no part ever sounds two notes at once."""
    score = load_seed("canon")
    for track in score.tracks:
        notes = notes_of(score, track.name)
        assert all(a[0] + a[1] <= b[0] for a, b in pairwise(notes))
    violin = [note[2] for name in VIOLINS for note in notes_of(score, name)]
    assert min(violin) >= 55
    assert max(violin) <= 88


def test_velocities_are_shaped():
    """The first beat of a bar is louder than the notes between the beats at the same dynamic, and the bass lies below the violins."""
    velocities = {track.name: track.notes.numpy()["velocity"].astype(int) for track in load_seed("canon").tracks}
    assert velocities["Basso continuo"].mean() < min(velocities[name].mean() for name in VIOLINS)
    [track] = [track for track in load_seed("canon").tracks if track.name == "Violin I"]
    first_eighths = [note.velocity for note in track.notes if 6 * BAR <= note.time < 7 * BAR]
    assert first_eighths == [86, 76, 80, 76, 83, 76, 80, 76]


def test_another_reader_sees_the_same_notes(tmp_path):
    """pretty_midi reads from the written file the same notes in seconds, a quarter being one second."""
    score = load_seed("canon")
    path = tmp_path / "canon.mid"
    score.dump_midi(str(path))
    read = pretty_midi.PrettyMIDI(str(path))
    assert [instrument.name for instrument in read.instruments] == [*VIOLINS, "Basso continuo"]
    for instrument, track in zip(read.instruments, score.tracks, strict=True):
        theirs = sorted((n.start, n.end, n.pitch, n.velocity) for n in instrument.notes)
        ours = sorted((n.time / 480, (n.time + n.duration) / 480, n.pitch, n.velocity) for n in track.notes)
        np.testing.assert_allclose(theirs, ours, atol=1e-9)


def test_notation_of_pitches_and_lengths():
    """Accidentals move by a semitone, a dot adds half, a length holds until the next one, a rest takes time."""
    score = parse("Bb3/8. C#4/16 r/8 D4 E4/2 | G9/1 |")
    assert notes_of(score, "Flute") == [(0, 360, 58), (360, 120, 61), (720, 240, 62), (960, 960, 64), (1920, 1920, 127)]


def test_line_that_is_not_repeated_ends():
    """A line of one bar in a piece of two bars sounds once, and twice when it is repeated."""
    assert len(notes_of(parse("C4/1 |"), "Flute")) == 1
    assert len(notes_of(parse("C4/1 |", parts="\npart Flute\nplays tune repeated\n"), "Flute")) == 2


@pytest.mark.parametrize(
    ("key", "signature"),
    [("C major", (0, 0)), ("F# minor", (3, 1)), ("Eb major", (-3, 0)), ("Cb major", (-7, 0)), ("A# minor", (7, 1)), ("D minor", (-1, 1))],
)
def test_key_signatures(key, signature):
    """A key gives its number of sharps, negative for flats, and 1 for minor."""
    [found] = parse("C4/1 |", header=f"meter 4/4\nkey {key}\nbars 1\n").key_signatures
    assert (found.key, found.tonality) == signature


@pytest.mark.parametrize(
    ("music", "words"),
    [
        ("C4/4 D4 E4 F4 | C4/4 D4 E4 |", ["line tune", "bar 2", "E4", "3 quarters instead of 4"]),
        ("C4/4 D4 E4 F4 G4/8 |", ["line tune", "bar 1", "G4/8", "4.5 quarters instead of 4"]),
        ("C4/4 D4 E4 F4 | | C4/1 |", ["line tune", "bar 2", "empty"]),
        ("C4/1 | H4/1 |", ["line tune", "bar 2", "H4/1"]),
        ("C4/3 |", ["line tune", "bar 1", "C4/3", "1, 2, 4, 8"]),
        ("C4 D4 |", ["line tune", "bar 1", "C4/4"]),
        ("A9/1 |", ["line tune", "bar 1", "A9/1", "range"]),
        ("C4/1 | D4/1", ["line tune", "bar 2", "D4/1", "|"]),
        ("", ["line tune", "no bars"]),
    ],
)
def test_mistakes_in_the_music_are_named(music, words):
    """A mistake in a line is refused with the seed, the line, the bar and the token in one message."""
    with pytest.raises(InputError) as caught:
        parse(music)
    assert str(caught.value).startswith("seed draft, ")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meter 4/5\n", ["line 1 of the file", "4/5"]),
        ("meter four\n", ["line 1 of the file", "four"]),
        ("\nkey H major\n", ["line 2 of the file", "H major"]),
        ("key G# major\n", ["line 1 of the file", "G# major"]),
        ("tempo fast\n", ["line 1 of the file", "fast", "10 to 400"]),
        ("speed 60\n", ["line 1 of the file", "speed", "tempo"]),
        ("bars 2\npart A\nplays tune\n", ["part A", "tune"]),
        ("bars 2\nline tune\nC4/1 |\npart A\nplays tunes\n", ["part A", "tunes", "tune"]),
        ("bars 2\nline tune\nC4/1 |\npart A\nplays tune\nenters 3\n", ["part A", "bar 3"]),
        ("bars 2\npart A\nprogram 128\n", ["line 3 of the file", "128"]),
        ("bars 2\npart A\npart A\n", ["line 3 of the file", "part A"]),
        ("bars 2\nline tune\nC4/1 |\n", ["no part"]),
        ("meter 3/4\nbars 2\naccents 1 2\npart A\n", ["2 accents", "3 beats"]),
        ("meter 4/4\n", ["bars"]),
    ],
)
def test_mistakes_in_the_settings_are_named(text, words):
    """A wrong setting or part is refused with the seed, the place and the value in one message."""
    with pytest.raises(InputError) as caught:
        parse_seed(text, "draft")
    assert str(caught.value).startswith("seed draft, ") or str(caught.value).startswith("seed draft: ")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("name", ["cannon", "", "../seeds/canon", "canon.txt"])
def test_unknown_seed_is_refused_with_the_choices(name):
    """A name that is not listed is refused, never looked up as a path, and the message lists the seeds."""
    with pytest.raises(InputError, match=r"choose one of: .*canon"):
        load_seed(name)

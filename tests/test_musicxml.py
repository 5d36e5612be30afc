"""A score as MusicXML: every bar full, every tie closed, every value printable, and the same music when it is read again."""

import io
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from score_strategies import INSTRUMENTS, Section, score_of, scores, sections
from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

from symbolic.errors import InputError
from symbolic.midi.meter import bar_starts
from symbolic.midi.musicxml import compressed, musicxml
from symbolic.midi.reading import read, write
from symbolic.midi.seeds import list_seeds, load_seed
from symbolic.midi.spelling import spelled, spelled_notes

QUARTERS = {
    "breve": Fraction(8), "whole": Fraction(4), "half": Fraction(2), "quarter": Fraction(1), "eighth": Fraction(1, 2),
    "16th": Fraction(1, 4), "32nd": Fraction(1, 8), "64th": Fraction(1, 16),
}  # fmt: skip
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
Sounding = tuple[str, int, Fraction, Fraction]


def number(element: Any, path: str, default: int = 0) -> int:
    """The whole number at `path`."""
    text = element.findtext(path)
    return default if text is None else int(text)


def checked(text: str) -> Counter[Sounding]:
    """The notes (part, pitch, onset and duration in quarters) of a MusicXML file in which everything adds up; ties joined."""
    root = ElementTree.fromstring(text)
    found: Counter[Sounding] = Counter()
    lengths = []
    for part in root.findall("part"):
        name = str(part.get("id"))
        drums = {s.get("id"): number(s, "midi-unpitched") - 1 for s in root.iterfind(f"part-list/score-part[@id='{name}']/midi-instrument")}
        open_ties: dict[tuple[str, int], tuple[Fraction, Fraction]] = {}
        bars: list[Fraction] = []
        divisions, meter, staves = 1, Fraction(4), 1
        for measure in part.findall("measure"):
            divisions, staves = number(measure, "attributes/divisions", divisions), number(measure, "attributes/staves", staves)
            if measure.find("attributes/time") is not None:
                meter = Fraction(4 * number(measure, "attributes/time/beats"), number(measure, "attributes/time/beat-type"))
            filled: dict[int, Fraction] = {}
            in_tuplet: dict[int, bool] = {}
            place = onset = Fraction(0)
            for element in measure:
                duration = Fraction(number(element, "duration"), divisions)
                if element.tag == "backup":
                    place -= duration
                if element.tag != "note":
                    continue
                voice = number(element, "voice")
                assert (voice - 1) // 4 + 1 == number(element, "staff", 1) <= staves
                if element.find("chord") is None:
                    assert filled.get(voice, 0) == place
                    onset, place = place, place + duration
                    filled[voice] = place
                    kinds = [tuplet.get("type") for tuplet in element.iterfind("notations/tuplet")]
                    assert not ("start" in kinds and in_tuplet.get(voice))
                    in_tuplet[voice] = in_tuplet.get(voice, False) or "start" in kinds
                    assert in_tuplet[voice] == (element.find("time-modification") is not None)
                    in_tuplet[voice] &= "stop" not in kinds
                if element.findtext("type") is None:
                    assert element.find("rest[@measure='yes']") is not None
                    assert duration == meter
                else:
                    value = QUARTERS[str(element.findtext("type"))] * Fraction(3 if element.find("dot") is not None else 2, 2)
                    many, few = number(element, "time-modification/actual-notes", 1), number(element, "time-modification/normal-notes", 1)
                    assert value * few / many == duration
                if element.find("rest") is not None:
                    continue
                if element.find("unpitched") is not None:
                    instrument = element.find("instrument")
                    assert instrument is not None
                    pitch = drums[instrument.get("id")]
                else:
                    step = STEPS[str(element.findtext("pitch/step"))]
                    pitch = 12 * (number(element, "pitch/octave") + 1) + step + number(element, "pitch/alter")
                ties = [tie.get("type") for tie in element.findall("tie")]
                assert ties == [tied.get("type") for tied in element.iterfind("notations/tied")]
                begin = sum(bars) + onset
                if "stop" in ties:
                    begin, reached = open_ties.pop((f"{voice}", pitch))
                    assert reached == sum(bars) + onset
                if "start" in ties:
                    assert (f"{voice}", pitch) not in open_ties
                    open_ties[f"{voice}", pitch] = (begin, sum(bars) + onset + duration)
                else:
                    found[name, pitch, begin, sum(bars) + onset + duration - begin] += 1
            assert len(set(filled.values())) == 1
            assert {(voice - 1) // 4 for voice in filled} == set(range(staves))
            assert not any(in_tuplet.values())
            bars.append(max(filled.values()))
            assert bars[-1] == meter or (bars[-1] < meter and measure.get("implicit") == "yes")
        assert not open_ties
        lengths.append(bars)
    assert all(bars == lengths[0] for bars in lengths)
    return found


def sounding(score: Score) -> Counter[Sounding]:
    """The notes of the score as `checked` gives them, tracks without notes left out."""
    quarter = score.ticks_per_quarter
    tracks = [track for track in score.tracks if len(track.notes)]
    return Counter(
        (f"P{number}", note.pitch, Fraction(note.time, quarter), Fraction(note.duration, quarter))
        for number, track in enumerate(tracks, 1)
        for note in track.notes
    )


@st.composite
def written_scores(draw: Any) -> Score:
    """A score that can be written down as it is: each sixteenth of a bar is divided by 64ths or by triplets, alike in all parts."""
    parts: list[Section] = draw(sections())
    ternary = draw(st.lists(st.booleans(), min_size=7, max_size=7))
    score = Score(1680)
    for part in parts:
        score.time_signatures.append(TimeSignature(int(part.start * 4 * 1680), part.numerator, part.denominator))
    last = int((parts[-1].start + parts[-1].length) * 16)

    def time(sixteenth: int, step: int) -> int:
        return 420 * sixteenth + (70 * (step % 6) if ternary[sixteenth % 7] else 105 * (step % 4))

    tracks = [Track(f"part {i}", program, False) for i, (program, _) in enumerate(INSTRUMENTS)]
    place = st.tuples(st.integers(0, max(last - 1, 0)), st.integers(0, 5))
    drawn = draw(
        st.lists(
            st.tuples(st.integers(0, len(tracks) - 1), place, place, st.integers(21, 108)),
            min_size=1,
            max_size=20,
            unique_by=lambda n: (n[0], n[3]),
        )
    )
    for track, one, other, pitch in drawn:
        start, end = sorted((time(*one), time(*other)))
        tracks[track].notes.append(Note(start, end - start if end > start else 420 * (one[0] + 1) - start, pitch, 80))
    score.tracks.extend(tracks)
    score.key_signatures.append(KeySignature(0, draw(st.integers(-7, 7)), draw(st.integers(0, 1))))
    return score


def empty_opening() -> Score:
    """A silent bar of 4/4 before 5/4: as long as a whole rest, which a reader may take for a full bar of 5/4."""
    score = Score(1680)
    score.time_signatures.extend([TimeSignature(0, 4, 4), TimeSignature(6720, 5, 4)])
    score.key_signatures.append(KeySignature(0, 0, 0))
    score.tracks.append(Track("part 0", 0, False))
    score.tracks[0].notes.append(Note(6720, 420, 21, 80))
    return score


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(written_scores())
def test_what_stands_on_the_grid_is_written_as_it_is(score: Score):
    """Pitch, onset and duration of every note, over bar lines and cut bars, in any number of voices."""
    assert checked(musicxml(score)) == sounding(score)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(scores(on_grid=False, velocities=[80]))
def test_any_score_adds_up(score: Score):
    """Tuplets of every kind, drums and hour-long notes: bars stay full, ties are closed, and no pitch is lost."""
    written = {(part, pitch) for part, pitch, _, _ in checked(musicxml(score))}
    assert written == {(part, pitch) for part, pitch, _, _ in sounding(score)}


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@example(empty_opening())
@given(written_scores())
def test_what_is_written_is_read_again(score: Score):
    """The project's own reader finds the same notes, programs, bar lines and key."""
    again = read(musicxml(score).encode())

    def played(score: Score) -> Counter[tuple[int, int, Fraction, Fraction]]:
        quarter = score.ticks_per_quarter
        return Counter(
            (t.program, n.pitch, Fraction(n.time, quarter), Fraction(n.duration, quarter)) for t in score.tracks for n in t.notes
        )

    def lines(score: Score) -> list[Fraction]:
        return [Fraction(int(tick), score.ticks_per_quarter) for tick in bar_starts(score)]

    assert played(again) == played(score)
    assert lines(again)[:-1] == lines(score)[: len(lines(again)) - 1]
    assert (again.key_signatures[0].key, again.key_signatures[0].tonality) == (
        score.key_signatures[0].key,
        score.key_signatures[0].tonality,
    )


@pytest.mark.parametrize("name", list_seeds())
def test_the_bundled_seeds_are_read_again(name: str, tmp_path: Path):
    """Notes, meter, key, tempo and names, from all three kinds of file."""
    seed = load_seed(name)
    for suffix in (".musicxml", ".xml", ".mxl"):
        write(seed, tmp_path / f"seed{suffix}")
        again = read(tmp_path / f"seed{suffix}")
        assert sounding(again) == sounding(seed)
        assert [(s.time, s.numerator, s.denominator) for s in again.time_signatures] == [
            (s.time, s.numerator, s.denominator) for s in seed.time_signatures
        ]
        assert [(s.time, s.key, s.tonality) for s in again.key_signatures] == [(s.time, s.key, s.tonality) for s in seed.key_signatures]
        assert [(t.time, t.qpm) for t in again.tempos] == [(t.time, pytest.approx(t.qpm, rel=1e-5)) for t in seed.tempos]
        assert [(t.name, t.program) for t in again.tracks] == [(t.name, t.program) for t in seed.tracks]


def parsed(score: Score) -> ElementTree.Element:
    """The MusicXML of a score in which everything adds up."""
    text = musicxml(score)
    checked(text)
    return ElementTree.fromstring(text)


def values(root: ElementTree.Element) -> list[str]:
    """The note values in order: rests in brackets, dots and ties behind."""
    return [
        ("({})" if note.find("rest") is not None else "{}").format(f"{note.findtext('type', 'bar')}{'.' * len(note.findall('dot'))}")
        + ("~" if note.find("tie[@type='start']") is not None else "")
        for note in root.iter("note")
        if note.find("chord") is None
    ]


def test_values_show_the_beats():
    """A note over a bar line is tied, a syncopation stays whole, and rests stand on the beats."""
    assert values(parsed(score_of((1440, 960, 60)))) == ["(half)", "(quarter)", "quarter~", "quarter", "(quarter)", "(half)"]
    assert values(parsed(score_of((240, 480, 60)))) == ["(eighth)", "quarter", "(eighth)", "(half)"]
    assert values(parsed(score_of((0, 720, 60), (720, 720, 62), meters=((0, 6, 8),)))) == ["quarter.", "quarter."]
    assert values(parsed(score_of((240, 720, 60), meters=((0, 6, 8),)))) == ["(eighth)", "quarter~", "eighth", "(eighth)", "(eighth)"]


def test_triplets_are_written_as_such():
    """Three eighths in the time of two have a bracket; so have three quarters in a half, five sixteenths and seven."""
    for count, quarters, kind, normal in ((3, 1, "eighth", 2), (3, 2, "quarter", 2), (5, 1, "16th", 4), (7, 1, "16th", 4)):
        step = quarters * 1680 // count
        score = Score(1680)
        score.tracks.append(Track("", 0, False))
        for index in range(count):
            score.tracks[0].notes.append(Note(step * index, step, 60, 80))
        notes = [note for note in parsed(score).iter("note") if note.find("rest") is None]
        assert [note.findtext("type") for note in notes] == [kind] * count
        assert {(number(n, "time-modification/actual-notes"), number(n, "time-modification/normal-notes")) for n in notes} == {
            (count, normal)
        }


def test_a_pickup_is_an_incomplete_first_bar():
    """One quarter in front of 3/4 is bar 0 of 3/4, and is read as one quarter again."""
    score = score_of((0, 480, 60), (480, 1440, 62), meters=((0, 1, 4), (480, 3, 4)))
    measures = parsed(score).findall("part/measure")
    assert [(measure.get("number"), measure.get("implicit")) for measure in measures] == [("0", "yes"), ("1", None)]
    assert [number(measure, "attributes/time/beats") for measure in measures] == [3, 0]
    assert [(s.time, s.numerator) for s in read(musicxml(score).encode()).time_signatures] == [(0, 1), (480, 3)]


def test_meters_keys_and_tempi_are_read_again():
    """Changes at bar lines, tempi also between, in any order of time; a key inside a bar goes to the nearer bar line."""
    score = score_of(*((960 * k, 960, 60) for k in range(12)), meters=((0, 4, 4), (3840, 6, 8), (6720, 5, 8), (9120, 12, 8)))
    score.key_signatures.extend([KeySignature(0, -3, 1), KeySignature(3700, 4, 0)])
    score.tempos.extend([Tempo(0, 90), Tempo(1200, 61.5), Tempo(3840, 132), Tempo(6720, 60)])
    again = read(musicxml(score).encode())
    assert [(s.time, s.numerator, s.denominator) for s in again.time_signatures] == [(0, 4, 4), (3840, 6, 8), (6720, 5, 8), (9120, 12, 8)]
    assert [(s.time, s.key, s.tonality) for s in again.key_signatures] == [(0, -3, 1), (3840, 4, 0)]
    assert [(t.time, round(t.qpm, 3)) for t in again.tempos] == [(0, 90), (1200, 61.5), (3840, 132), (6720, 60)]


def test_a_piano_has_two_staves_and_a_flute_one():
    """Hands are told apart by pitch, each under its clef; a viola reads its own clef, a bass an octave lower."""
    both = [(480 * k, 480, pitch) for k in range(8) for pitch in (36 + k, 43 + k, 67 + k, 76 + k)]
    root = parsed(score_of(*both))
    clefs = [(clef.findtext("sign"), clef.get("number")) for clef in root.iter("clef")]
    assert clefs == [("G", "1"), ("F", "2")]
    pitches = {staff: {n.findtext("pitch/octave") for n in root.iter("note") if n.findtext("staff") == staff} for staff in "12"}
    assert pitches == {"1": {"4", "5"}, "2": {"2", "3"}}
    assert parsed(score_of(*both, program=73)).find("part/measure/attributes/staves") is None
    viola = parsed(score_of((0, 480, 60), program=41))
    assert viola.findtext(".//clef/sign") == "C"
    bass = parsed(score_of((0, 480, 28), program=33))
    assert (bass.findtext(".//clef/sign"), bass.findtext(".//clef/clef-octave-change")) == ("F", "-1")


def test_voices_of_a_staff_are_ordered_and_chords_are_chords():
    """Notes of one onset and one length are a chord; a moving voice over a held one is voice 1."""
    root = parsed(score_of((0, 960, 60), (0, 960, 64), (960, 960, 60), (960, 480, 72), (1440, 480, 74)))
    found = [
        (n.findtext("voice"), n.findtext("pitch/step"), n.find("chord") is not None)
        for n in root.iter("note")
        if n.find("pitch") is not None
    ]
    assert found == [("1", "C", False), ("1", "E", True), ("1", "C", False), ("1", "D", False), ("2", "C", False)]


def test_more_voices_than_a_staff_holds_get_a_staff():
    """Six notes that begin together and end apart are six voices, and none is cut."""
    score = score_of(*((0, 480 * (k + 1), 60 + k) for k in range(6)), program=73)
    assert checked(musicxml(score)) == sounding(score)


def test_drums_are_unpitched_and_come_back():
    """Each drum is an instrument of channel 10, and lasts until the next one."""
    score = score_of((0, 10, 36), (0, 10, 42), (240, 10, 42), (480, 10, 38), (480, 10, 42), drums=True)
    root = parsed(score)
    assert {i.get("id"): (number(i, "midi-channel"), number(i, "midi-unpitched")) for i in root.iter("midi-instrument")} == {
        "P1-I36": (10, 37), "P1-I38": (10, 39), "P1-I42": (10, 43),
    }  # fmt: skip
    assert root.find(".//pitch") is None
    again = read(musicxml(score).encode())
    assert [track.is_drum for track in again.tracks] == [True]
    assert sorted((n.time, n.pitch, n.duration) for n in again.tracks[0].notes) == [
        (0, 36, 240), (0, 42, 240), (240, 42, 240), (480, 38, 480), (480, 42, 480),
    ]  # fmt: skip


def test_played_music_is_written_as_it_is_meant():
    """Eighths that are played up to a twentieth of a beat early or late, and held too short, are eighths."""
    early = [11, -17, 23, -5, 19, -23, 7, 13]
    score = score_of(*((480 + 240 * k + early[k % 8], 197 + early[-k % 8], 60 + k % 5) for k in range(30)))
    assert set(values(parsed(score))) == {"eighth", "(quarter)"}


def test_notes_held_short_of_their_value_are_whole():
    """A quarter of 456 ticks, as notation programs play it, is a quarter; one of 240 stays an eighth."""
    assert values(parsed(score_of(*((480 * k, 456, 60) for k in range(4))))) == ["quarter"] * 4
    assert values(parsed(score_of((0, 240, 60), (480, 1432, 60)))) == ["eighth", "(eighth)", "half."]


def test_accidentals_hold_for_a_bar():
    """In G: F sharp needs none, F natural one for its bar, F sharp after it one; the next bar begins anew."""
    score = score_of((0, 480, 66), (480, 480, 65), (960, 480, 65), (1440, 480, 66), (1920, 480, 66), (2400, 480, 67))
    score.key_signatures.append(KeySignature(0, 1, 0))
    notes = [note for note in parsed(score).iter("note") if note.find("pitch") is not None]
    assert [note.findtext("accidental") for note in notes] == [None, "natural", None, "sharp", None, None]


def test_pitches_are_spelled_by_key():
    """66 is F sharp in G and G flat in D flat; the leading note of A minor is G sharp, the third of C minor E flat."""
    assert spelled(66, 1) == ("F", 1, 4)
    assert spelled(66, -5) == ("G", -1, 4)
    assert spelled(68, 0, minor=True) == ("G", 1, 4)
    assert spelled(63, -3, minor=True) == ("E", -1, 4)
    assert spelled(71, -6) == ("C", -1, 5)
    assert spelled(60, 7) == ("B", 1, 3)
    for fifths in range(-7, 8):
        for pitch in range(128):
            step, alteration, octave = spelled(pitch, fifths)
            assert 12 * (octave + 1) + STEPS[step] + alteration == pitch


def test_the_notes_around_decide_between_two_names():
    """In C major A flat stands in F minor, G sharp in E major."""
    of_f_minor = [(time, pitch) for time in range(12) for pitch in (53, 56, 60)]
    of_e_major = [(time, pitch) for time in range(12) for pitch in (52, 56, 59)]
    assert spelled_notes(of_f_minor, [(0, False)] * 36)[6, 56][:2] == ("A", -1)
    assert spelled_notes(of_e_major, [(0, False)] * 36)[6, 56][:2] == ("G", 1)


def test_thirty_tracks_with_odd_names():
    """Names come back in one line without what XML cannot hold, programs too; tracks without notes are left out."""
    score = Score(480)
    for index in range(30):
        score.tracks.append(Track(f"<{index}> & \x01\n „so“", index * 4, index == 9))
        if index != 7:
            score.tracks[index].notes.append(Note(480 * index, 480, 40 + index, 80))
    again = read(musicxml(score).encode())
    wanted = [(f"<{index}> & „so“", 0 if index == 9 else index * 4, index == 9) for index in range(30) if index != 7]
    assert [(track.name, 0 if track.is_drum else track.program, track.is_drum) for track in again.tracks] == wanted


def test_an_empty_score_is_a_bar_of_rest():
    """No tracks, or none with notes: one bar in the score's meter."""
    for score in (Score(480), score_of(meters=((0, 3, 4),))):
        assert [note.find("rest") is not None for note in parsed(score).iter("note")] == [True]


def test_compressed_files_name_their_score():
    """The container names the member that holds the score, and the same score gives the same bytes."""
    content = musicxml(load_seed("canon")).encode()
    packed = compressed(content)
    assert packed == compressed(content)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist()[0] == "mimetype"
        rootfile = ElementTree.fromstring(archive.read("META-INF/container.xml")).find("rootfiles/rootfile")
        assert rootfile is not None
        assert archive.read(str(rootfile.get("full-path"))) == content


def test_a_runaway_file_is_refused():
    """A note after millions of bars is told in one line, at once."""
    with pytest.raises(InputError, match="bars"):
        musicxml(score_of((0, 480, 60), (2_000_000_000, 480, 60)))

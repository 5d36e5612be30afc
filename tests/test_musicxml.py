"""A score as MusicXML: every bar full, every tie closed, every value printable, and the same music when it is read again."""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from score_strategies import INSTRUMENTS, Section, scores, sections
from symusic import KeySignature, Note, Score, TimeSignature, Track

from symbolic.midi.meter import bar_starts
from symbolic.midi.musicxml import musicxml
from symbolic.midi.reading import read, write
from symbolic.midi.seeds import list_seeds, load_seed

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


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
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

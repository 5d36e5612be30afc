"""Notation is read as it sounds: what is written in MusicXML, kern or ABC comes out as the same notes, in the order of playing."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from symbolic.midi.abc_fields import parts_in_order
from symbolic.midi.abc_notation import read_abc
from symbolic.midi.kern import read_kern
from symbolic.midi.notation import read_musicxml
from symbolic.midi.unfolding import MOST_BARS, Signs, playing_order

Played = tuple[Fraction, Fraction, int]


def played(score, track: int | None = None) -> list[Played]:
    """(onset, duration, pitch) in quarters of all notes, or of those of one track."""
    quarter = score.ticks_per_quarter
    tracks = score.tracks if track is None else [score.tracks[track]]
    return sorted((Fraction(n.time, quarter), Fraction(n.duration, quarter), n.pitch) for t in tracks for n in t.notes)


def in_a_row(*notes: tuple[int | None, Fraction | float | int]) -> list[Played]:
    """Pitches (None: a rest) and quarters, one after another."""
    now, found = Fraction(0), []
    for pitch, length in notes:
        if pitch is not None:
            found.append((now, Fraction(length), pitch))
        now += Fraction(length)
    return found


def meters(score) -> list[tuple[Fraction, int, int]]:
    return [(Fraction(s.time, score.ticks_per_quarter), s.numerator, s.denominator) for s in score.time_signatures]


def keys(score) -> list[tuple[Fraction, int, int]]:
    return [(Fraction(s.time, score.ticks_per_quarter), s.key, s.tonality) for s in score.key_signatures]


# MusicXML in few words; divisions are 12 to the quarter


def note(pitch: str, length: float, inside: str = "", before: str = "") -> str:
    """`note("F#4", 1)`; "r" is a rest; `before` stands before the pitch, such as <chord/>."""
    if pitch == "r":
        body = "<rest/>"
    else:
        alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1:-1], "")
        body = f"<pitch><step>{pitch[0]}</step>{alter}<octave>{pitch[-1]}</octave></pitch>"
    duration = "" if "<grace" in before else f"<duration>{round(12 * length)}</duration>"
    return f"<note>{before}{body}{duration}{inside}</note>"


def bar(*content: str, number: int = 1, meter: str = "", key: int | None = None, more: str = "") -> str:
    """One measure; `meter` such as "3/4"."""
    upper, _, lower = meter.partition("/")
    attributes = f"<key><fifths>{key}</fifths></key>" if key is not None else ""
    attributes += f"<time><beats>{upper}</beats><beat-type>{lower}</beat-type></time>" if meter else ""
    return f'<measure number="{number}"><attributes><divisions>12</divisions>{attributes}{more}</attributes>{"".join(content)}</measure>'


def partwise(*parts: str, declared: str = "") -> str:
    """A score of parts, each its measures in a string."""
    listed = "".join(f'<score-part id="P{n}"><part-name>part {n}</part-name>{declared}</score-part>' for n in range(1, len(parts) + 1))
    bodies = "".join(f'<part id="P{n}">{measures}</part>' for n, measures in enumerate(parts, 1))
    return f"<score-partwise><part-list>{listed}</part-list>{bodies}</score-partwise>"


def words(text: str = "", sound: str = "") -> str:
    return f"<direction><direction-type><words>{text}</words></direction-type>{f'<sound {sound}/>' if sound else ''}</direction>"


def xml(*parts: str, declared: str = ""):
    score, remarks = read_musicxml(partwise(*parts, declared=declared))
    assert remarks == []
    return score


def abc(body: str, head: str = "M:4/4\nL:1/4\nK:C\n"):
    score, remarks = read_abc("X:1\n" + head + body)
    assert remarks == []
    return score


def kern(*lines: str):
    score, remarks = read_kern("\n".join(lines) + "\n")
    assert remarks == []
    return score


REPEAT = '<repeat direction="backward"/>'
BACKWARD = '<barline location="right"><repeat direction="backward"/></barline>'
FORWARD = '<barline location="left"><repeat direction="forward"/></barline>'


def ending(number: str, kind: str, repeat: str = "") -> str:
    side = "left" if kind == "start" else "right"
    return f'<barline location="{side}"><ending number="{number}" type="{kind}"/>{repeat}</barline>'


# one piece, three notations: a pickup, a tie over a bar line into both endings, a triplet, a dotted note, a chord, a grace note,
# an accidental that holds to the bar line, a change of meter and of key

TRIPLET = "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>"
STOP_TIE = '<tie type="stop"/>'

SAME_XML = (
    bar(note("D4", 1), number=0, meter="3/4", key=1)
    + bar(FORWARD, note("G4", 1.5), note("A4", 0.5), note("B4", 1), number=1)
    + bar(
        *(note(p, 1 / 3, TRIPLET) for p in ("C#5", "D5", "C#5")),
        note("D5", 2, before="", inside='<tie type="start"/>'),
        number=2,
    )
    + bar(ending("1", "start"), note("D5", 2, STOP_TIE), note("D4", 1), ending("1", "stop", REPEAT), number=3)
    + bar(ending("2", "start"), note("D5", 2, STOP_TIE), note("r", 1), ending("2", "stop"), number=4)
    + bar(
        note("G4", 1), note("B4", 1, before="<chord/>"), note("D5", 1, before="<chord/>"),
        note("A5", 0, before="<grace/>"), note("G5", 1), number=5, meter="2/4", key=-2,
    )
    + bar(note("Bb4", 1), note("E5", 1), number=6)
)  # fmt: skip
SAME_ABC = """X:1
M:3/4
L:1/8
K:G
D2|:G2>A2 B2|(3^cd=cd4-|[1 d4 D2:|[2 d4 z2||
M:2/4
K:Gm
[GBd]2 {a}g2|
"""
SAME_ABC = SAME_ABC.replace("G2>A2", "G3A").replace("(3^cd=c", "(3^cdc").replace("[GBd]", "[G=Bd]") + "B2 =e2|]\n"
SAME_KERN = """**kern
*>[pickup,A,one,A,two,end]
*>pickup
*k[f#]
*M3/4
4d
=1
*>A
4.g
8a
4b
=2
12cc#
12dd
12cc#
[2dd
=3
*>one
2dd]
4d
=4
*>two
2dd]
4r
=5
*>end
*M2/4
*k[b-e-]
4g 4b 4dd
qaa
4gg
=6
4b-
4ee
==
*-"""
EIGHTH, THIRD = Fraction(1, 8), Fraction(1, 3)
PASSAGE = [(67, Fraction(3, 2)), (69, Fraction(1, 2)), (71, 1), (73, THIRD), (74, THIRD), (73, THIRD), (74, 4)]
SAME = in_a_row((62, 1), *PASSAGE, (62, 1), *PASSAGE, (None, 1), (67, 1), (79, 1), (70, 1), (76, 1))
SAME += [(Fraction(19), Fraction(1), 71), (Fraction(19), Fraction(1), 74), (20 - EIGHTH, EIGHTH, 81)]


@pytest.mark.parametrize(
    "read", [lambda: xml(SAME_XML), lambda: abc(SAME_ABC, ""), lambda: kern(*SAME_KERN.splitlines())], ids=["musicxml", "abc", "kern"]
)
def test_the_same_music_in_three_notations(read: Callable):
    """The notes, their ties, tuplets, grace notes and endings, the meters and the keys are those that were written."""
    score = read()
    assert played(score) == sorted(SAME)
    assert meters(score) == [(0, 1, 4), (1, 3, 4), (19, 2, 4)]
    assert [(time, key) for time, key, _ in keys(score)] == [(0, 1), (19, -2)]


# the order of playing


def order(*signs: Signs) -> list[int]:
    found, remark = playing_order(list(signs))
    assert remark is None
    return found


S = Signs


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([S(), S(), S()], "012"),
        ([S(), S(repeat_end=2), S()], "01012"),
        ([S(), S(repeat_start=True), S(repeat_end=3), S()], "01212123"),
        ([S(repeat_end=2), S(repeat_end=2)], "0011"),
        ([S(), S(endings=frozenset({1}), repeat_end=2), S(endings=frozenset({2})), S()], "01023"),
        ([S(), S(endings=frozenset({1, 2}), repeat_end=2), S(endings=frozenset({3})), S()], "0101023"),
        ([S(), S(endings=frozenset({1}), repeat_end=2), S(endings=frozenset({2}), repeat_end=2), S(endings=frozenset({3}))], "010203"),
        ([S(), S(endings=frozenset({1}), repeat_end=2), S(endings=frozenset({2})), S(repeat_end=2)], "010233"),
        ([S(), S(fine=True), S(), S(da_capo=True)], "012301"),
        ([S(), S(segno=True), S(fine=True), S(dal_segno=True)], "012312"),
        ([S(), S(segno=True), S(to_coda=True), S(dal_segno=True), S(coda=True), S()], "01231245"),
        ([S(), S(to_coda=True), S(da_capo=True), S(coda=True)], "012013"),
        ([S(repeat_end=2), S(fine=True), S(repeat_end=2, da_capo=True)], "00121201"),
        ([S(), S(endings=frozenset({1}), repeat_end=2), S(endings=frozenset({2})), S(da_capo=True)], "01023023"),
        ([S(), S(beginning=True), S(fine=True), S(da_capo=True), S(beginning=True), S()], "01231245"),
        ([S(), S(da_capo=True)], "0101"),
        ([S(), S(to_coda=True), S()], "012"),
        ([S(), S(coda=True), S(segno=True), S(fine=True)], "0123"),
    ],
    ids=["plain", "repeat", "three times", "two from nowhere", "endings", "ending of two passes", "three endings", "a repeat behind",
         "D.C. al Fine", "D.S. al Fine", "D.S. al Coda", "D.C. al Coda", "repeats are not taken again", "the last ending is", "movements",
         "D.C. alone", "a coda that is not there", "signs without a jump"],
)  # fmt: skip
def test_bars_are_played_as_players_play_them(signs: list[Signs], expected: str):
    """Repeats, endings and jumps of every kind."""
    assert "".join(map(str, order(*signs))) == expected


def test_repeats_that_never_end_are_not_played():
    """Sixteen passes through a passage are the most, and fifty thousand bars in all; beyond that each bar is played once."""
    assert len(order(S(repeat_end=10**9))) == 16
    found, remark = playing_order([S(repeat_end=16) for _ in range(MOST_BARS)])
    assert found == list(range(MOST_BARS))
    assert remark is not None
    assert "never end" in remark


SCALE = {"C4": 60, "D4": 62, "E4": 64, "F4": 65, "G4": 67}


def song(**at: str) -> list[int]:
    """The pitches of five bars of MusicXML, one whole note each, with something more in each."""
    bars = [bar(note(pitch, 4), at.get(pitch[0].lower(), ""), number=n, meter="4/4" if n == 1 else "") for n, pitch in enumerate(SCALE, 1)]
    return [pitch for *_, pitch in played(xml("".join(bars)))]


SEGNO, CODA = (f"<direction><direction-type><{name}/></direction-type></direction>" for name in ("segno", "coda"))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ({"d": words("Fine"), "g": words("D.C. al Fine")}, "CDEFGCD"),
        ({"d": words(sound='fine="yes"'), "g": words("Menuet", 'dacapo="yes"')}, "CDEFGCD"),
        ({"d": words("Fine"), "g": words("", 'dacapo="yes"')}, "CDEFGCD"),
        ({"c": SEGNO, "d": CODA, "e": words("D.S. al Coda"), "f": CODA}, "CDECDFG"),
        ({"d": SEGNO, "e": words("To Coda"), "f": words("D.S. al Coda"), "g": words(sound='coda="c"')}, "CDEFDEG"),
        ({"d": words(sound='segno="s"'), "f": words(sound='dalsegno="s"'), "e": words(sound='fine="yes"')}, "CDEFDEG"),
        ({"d": words(sound='dacapo="no"'), "f": words("capo")}, "CDEFG"),
        ({"e": BACKWARD.replace('"backward"', '"backward" times="3"')}, "CDECDECDEFG"),
        ({"d": FORWARD + BACKWARD}, "CDDEFG"),
    ],
    ids=["words", "sounds", "a word and a sound", "two coda glyphs", "to coda", "dal segno al fine", "no", "three times", "one bar"],
)
def test_jumps_in_musicxml(at: dict[str, str], expected: str):
    """`<sound>` says how to go on; where it says nothing, the words do."""
    assert song(**at) == [SCALE[step + "4"] for step in expected]


@pytest.mark.parametrize(
    ("tune", "expected"),
    [
        ("|:C4|D4:|E4|", "CDCDE"),
        ("C4::D4:|", "CCDD"),
        ("C4:||:D4:|", "CCDD"),
        ("C4|1D4:|2E4|]F4|", "CDCEF"),
        ("C4|[1 D4:|[2 E4||F4|", "CDCEF"),
        ("|:C4|1,3 D4:|2 E4:|4 F4||", "CDCECDCF"),
        ("|:C4|D4::|E4|", "CDCDCDE"),
        ("C4|!fine!D4|E4!D.C.!|]", "CDECD"),
        ('C4|D4"^Fine"|E4"^D.C. al Fine"|]', "CDECD"),
        ("C4|!segno!D4!dacoda!|E4!D.S.!|!coda!F4|]", "CDEDF"),
        ("P:A\nC4|D4|\nP:B\nE4|\n", "CDECD"),
    ],
)
def test_the_order_of_playing_in_abc(tune: str, expected: str):
    """Repeats, endings, decorations, words, and the header's order of parts."""
    score = abc(tune, "P:ABA\nM:4/4\nL:1/4\nK:C\n")
    assert [pitch for *_, pitch in played(score)] == [SCALE[step + "4"] for step in expected]


def test_the_order_of_parts_in_abc():
    """Numbers and brackets multiply."""
    assert parts_in_order("A2(BC)3.D") == "AABCBCBCD"
    assert parts_in_order("((AB)2C)2") == "ABABCABABC"
    assert parts_in_order("") == ""


def test_repeats_in_kern():
    """By its signs, and by its list of sections where it has one."""
    lines = ["**kern", "*M4/4", "=1-", "1c", "=2:|!|:", "1d", "=3:|!", "1e", "==", "*-"]
    assert [pitch for *_, pitch in played(kern(*lines))] == [60, 60, 62, 62, 64]
    lines = ["**kern", "*>[A,B,A]", "*>A", "1c", "=", "1d", "=", "*>B", "1e", "==", "*-"]
    assert [pitch for *_, pitch in played(kern(*lines))] == [60, 62, 64, 60, 62]


# bars


def test_a_bar_keeps_its_written_place():
    """A pickup, a bar cut in two by a repeat, a long bar and a change of meter: every bar line stands where it is written."""
    tune = "C|CDEF|GAB:|c|c2 d2|C2 C C D D|\nM:6/8\nL:1/8\nC6|"
    assert meters(abc(tune)) == [(0, 1, 4), (1, 4, 4), (21, 6, 4), (27, 6, 8)]
    score = xml(bar(note("C4", 1), number=0, meter="4/4") + bar(note("C4", 4)) + bar(note("C4", 3)) + bar(note("C4", 2), meter="2/4"))
    assert meters(score) == [(0, 1, 4), (1, 4, 4), (5, 3, 4), (8, 2, 4)]


def test_the_shorter_parts_rest():
    """Parts of unequal numbers of bars are put together by count, and that is told."""
    score, remarks = read_musicxml(partwise(bar(note("C4", 4), meter="4/4") + bar(note("D4", 4)), bar(note("G4", 4), meter="4/4")))
    assert played(score) == [(0, 4, 60), (0, 4, 67), (4, 4, 62)]
    assert remarks == ["the parts have unequal numbers of bars"]


# MusicXML alone


def test_voices_backup_and_forward():
    """Two voices on one staff, the second with a hole in it, sound together."""
    back, hole = "<backup><duration>48</duration></backup>", "<forward><duration>12</duration></forward>"
    voices = [note("C5", 4, "<voice>1</voice>"), back, hole, note("E4", 1, "<voice>2</voice>"), hole, note("F4", 1, "<voice>2</voice>")]
    assert played(xml(bar(*voices, meter="4/4"))) == [(0, 4, 72), (1, 1, 64), (3, 1, 65)]


def test_two_staves_of_one_part_are_two_tracks():
    """A piano's hands stay apart, and both follow one dynamic mark."""
    forte = "<direction><direction-type><dynamics><ff/></dynamics></direction-type><staff>1</staff></direction>"
    back = "<backup><duration>48</duration></backup>"
    content = [forte, note("C5", 4, "<voice>1</voice><staff>1</staff>"), back, note("C3", 4, "<voice>5</voice><staff>2</staff>")]
    score = xml(bar(*content, meter="4/4", more="<staves>2</staves>"))
    assert [played(score, track) for track in range(2)] == [[(0, 4, 72)], [(0, 4, 48)]]
    assert len({n.velocity for t in score.tracks for n in t.notes}) == 1
    assert score.tracks[0].notes[0].velocity > 90


def test_transposing_instruments_sound():
    """A clarinet in B flat sounds two semitones lower than it is written; its key is that of the concert."""
    transpose = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    score = xml(bar(note("D4", 4), meter="4/4", key=2, more=transpose), bar(note("C4", 4), meter="4/4", key=0))
    assert played(score) == [(0, 4, 60), (0, 4, 60)]
    assert [(time, key) for time, key, _ in keys(score)] == [(0, 0)]
    lower = "<transpose><diatonic>0</diatonic><chromatic>0</chromatic><octave-change>-1</octave-change></transpose>"
    assert played(xml(bar(note("C4", 4), meter="4/4", more=lower))) == [(0, 4, 48)]


def test_percussion_is_on_the_drums():
    """Unpitched notes become the drum that their instrument names, on a drum track."""
    declared = """<score-instrument id="I1"><instrument-name>Bass Drum</instrument-name></score-instrument>
    <midi-instrument id="I1"><midi-channel>10</midi-channel><midi-unpitched>37</midi-unpitched></midi-instrument>"""
    unpitched = "<unpitched><display-step>F</display-step><display-octave>4</display-octave></unpitched>"
    hit = f'<note>{unpitched}<duration>12</duration><instrument id="I1"/></note>'
    score = xml(bar(hit, hit, meter="2/4", more="<clef><sign>percussion</sign></clef>"), declared=declared)
    assert [(t.is_drum, [n.pitch for n in t.notes]) for t in score.tracks] == [(True, [36, 36])]


def test_programs_and_tempos():
    """The MIDI program of an instrument and the tempo marks arrive; the metronome's note counts."""
    declared = """<score-instrument id="I1"><instrument-name>Cello</instrument-name></score-instrument>
    <midi-instrument id="I1"><midi-channel>1</midi-channel><midi-program>43</midi-program></midi-instrument>"""
    mark = """<direction><direction-type><metronome><beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>60</per-minute></metronome>
    </direction-type></direction>"""
    score = xml(bar(mark, note("C3", 3), meter="6/8"), declared=declared)
    assert [(t.program, t.is_drum) for t in score.tracks] == [(42, False)]
    assert [(t.time, t.qpm) for t in score.tempos] == [(0, pytest.approx(90))]


def test_chord_symbols_and_cue_rests_make_no_sound():
    """A harmony above the staff is no note."""
    harmony = "<harmony><root><root-step>A</root-step></root><kind>minor</kind></harmony>"
    assert played(xml(bar(harmony, note("C4", 4), meter="4/4"))) == [(0, 4, 60)]


def test_ties_join_only_what_follows():
    """A tie over a repeat sign is not drawn twice: the note that follows when played decides."""
    tied = bar(note("C4", 4, '<tie type="start"/>'), meter="4/4") + bar(note("C4", 4, '<tie type="stop"/><tie type="start"/>'))
    assert played(xml(tied + bar(note("C4", 2, '<tie type="stop"/>'), note("C4", 2)))) == in_a_row((60, 10), (60, 2))
    into = (
        bar(FORWARD, note("D4", 4), meter="4/4")
        + bar(note("C4", 4, '<tie type="start"/>'), BACKWARD)
        + bar(note("C4", 4, '<tie type="stop"/>'))
    )
    assert played(xml(into)) == in_a_row((62, 4), (60, 4), (62, 4), (60, 8))


def test_music_by_bars_is_turned_into_music_by_parts():
    """score-timewise holds the same music."""
    measures = "".join(
        f'<measure number="{n}"><part id="P1"><attributes><divisions>12</divisions></attributes>{note(high, 4)}</part>'
        f'<part id="P2"><attributes><divisions>12</divisions></attributes>{note(low, 4)}</part></measure>'
        for n, (high, low) in enumerate((("C5", "C3"), ("D5", "G3")), 1)
    )
    listed = "".join(f'<score-part id="{name}"><part-name>{name}</part-name></score-part>' for name in ("P1", "P2"))
    score, _ = read_musicxml(f"<score-timewise><part-list>{listed}</part-list>{measures}</score-timewise>")
    assert [played(score, track) for track in range(2)] == [in_a_row((72, 4), (74, 4)), in_a_row((48, 4), (55, 4))]


def test_odd_tuplets_fall_on_ticks():
    """Seven in the time of four, and five in the time of two, have exact ticks: nothing is rounded."""
    sevens = abc("(7:4:7cdefgab|(5:2:5cdefg z2|")
    assert sorted({n.duration for t in sevens.tracks for n in t.notes}) == [
        sevens.ticks_per_quarter * 2 // 5,
        sevens.ticks_per_quarter * 4 // 7,
    ]
    assert sum(duration for _, duration, _ in played(sevens)) == 6


# kern alone


def test_spines_split_join_and_cross():
    """Two voices of a spine are one part; a spine that begins late is another; the last spine is the first part."""
    score = kern(
        "**kern\t**dynam\t**kern", '*I"Low\t*\t*I"High', "*M4/4\t*\t*M4/4", "=1\t=1\t=1", "*^\t*\t*", "2C\t2E\tf\t4c", ".\t.\t.\t4d",
        "2D\t4F\t.\t2e",
        ".\t4G\t.\t.", "*v\t*v\t*\t*", "=2\t=2\t=2", "1C\t.\t1c", "==\t==\t==", "*-\t*-\t*-",
    )  # fmt: skip
    assert [track.name for track in score.tracks] == ["High", "Low"]
    assert played(score, 0) == [(0, 1, 60), (1, 1, 62), (2, 2, 64), (4, 4, 60)]
    assert played(score, 1) == [(0, 2, 48), (0, 2, 52), (2, 1, 53), (2, 2, 50), (3, 1, 55), (4, 4, 48)]


def test_lengths_of_kern():
    """Dots, breves, triplets and 3%2; ties in chords; notes that cross a bar line."""
    score = kern("**kern", "4.c", "8d", "0e", "6f", "3%2g", "[4c [4e", "4c] 4e_", "4e]", "*-")
    lengths = [(60, Fraction(3, 2)), (62, Fraction(1, 2)), (64, 8), (65, Fraction(2, 3)), (67, Fraction(8, 3))]
    end = sum(length for _, length in lengths)
    assert played(score) == [*in_a_row(*lengths), (end, 2, 60), (end, 3, 64)]
    across = kern("**kern\t**kern", "*M2/4\t*M2/4", "1c\t2e", "=\t=", ".\t2f", "==\t==", "*-\t*-")
    assert played(across) == [(0, 2, 64), (0, 4, 60), (2, 2, 65)]
    assert meters(across) == [(0, 2, 4)]


# ABC alone


def test_voices_of_abc_in_any_order():
    """Alternating lines, inline changes and voices one after another are the same two tracks."""
    head = "M:4/4\nL:1/4\nV:1 name=High\nV:2 name=Low clef=bass\nK:C\n"
    tunes = [
        "V:1\nCDEF|\nV:2\nC,4|\nV:1\nG4|\nV:2\nG,,4|\n",
        "V:1\nCDEF|G4|\nV:2\nC,4|G,,4|\n",
        "[V:1]CDEF|G4|\n[V:2]C,4|G,,4|\n",
        "[V:2]C,4|\n[V:1]CDEF|[V:2]G,,4|[V:1]G4|\n",
    ]
    for tune in tunes:
        score = abc(tune, head)
        assert [track.name for track in score.tracks] == ["High", "Low"]
        assert [played(score, 0), played(score, 1)] == [in_a_row((60, 1), (62, 1), (64, 1), (65, 1), (67, 4)), in_a_row((48, 4), (43, 4))]


@pytest.mark.parametrize(
    ("tune", "expected"),
    [
        ("A>B c<d", [(69, 1.5), (71, 0.5), (72, 0.5), (74, 1.5)]),
        ("(A>)B A>>B", [(69, 1.5), (71, 0.5), (69, 1.75), (71, 0.25)]),
        ("A/ B// c/4 d3/2 e3 f/2", [(69, 0.5), (71, 0.25), (72, 0.25), (74, 1.5), (76, 3), (77, 0.5)]),
        ("(3ABc (3:2:2A2B (2AB", [(69, 2 / 3), (71, 2 / 3), (72, 2 / 3), (69, 4 / 3), (71, 2 / 3), (69, 1.5), (71, 1.5)]),
        ("^c c|c _B B|", [(73, 1), (73, 1), (72, 1), (70, 1), (70, 1)]),
        ("^c- c|c=c", [(73, 2), (72, 1), (72, 1)]),
        ("^c2-|c2", [(73, 4)]),
        ("C,, C, C c c' c''", [(36, 1), (48, 1), (60, 1), (72, 1), (84, 1), (96, 1)]),
        ("z2 C x C|Z2|C", [(None, 2), (60, 1), (None, 1), (60, 1), (None, 8), (60, 1)]),
        ('"Am"C "^slow"!trill!.D ~E (FG) y2 uA', [(60, 1), (62, 1), (64, 1), (65, 1), (67, 1), (69, 1)]),
        ("C % a remark\nw: la la\nr: more\nD", [(60, 1), (62, 1)]),
        ("C [L:1/8]D [K:D]F [M:2/4]C", [(60, 1), (62, 0.5), (66, 0.5), (61, 0.5)]),
    ],
)
def test_the_letters_of_abc(tune: str, expected: list):
    """Broken rhythm, lengths, tuplets, accidentals and ties, octaves, rests, decorations and fields inside a line."""
    assert played(abc(tune + "|]")) == in_a_row(*((pitch, Fraction(length).limit_denominator(100)) for pitch, length in expected))


@pytest.mark.parametrize(
    ("key", "fifths", "minor", "pitches"),
    [
        ("G", 1, 0, [65 + 1, 71, 72]),
        ("Bb", -2, 0, [65, 70, 72]),
        ("F#m", 3, 1, [66, 71, 73]),
        ("D dorian", 0, 0, [65, 71, 72]),
        ("Amix", 2, 0, [66, 71, 73]),
        ("C exp ^f _b", 0, 0, [66, 70, 72]),
        ("HP", 2, 0, [66, 71, 73]),
        ("none", 0, 0, [65, 71, 72]),
        ("C clef=treble-8", 0, 0, [53, 59, 60]),
        ("C transpose=-2", 0, 0, [63, 69, 70]),
    ],
)
def test_the_keys_of_abc(key: str, fifths: int, minor: int, pitches: list[int]):
    """Modes, accidentals of their own, pipes, clefs of an octave."""
    score = abc("FBc|", f"M:3/4\nL:1/4\nK:{key}\n")
    assert [pitch for _, _, pitch in played(score)] == pitches
    assert keys(score) == [(0, fifths, minor)]


def test_overlays_sound_together_and_programs_change():
    """`&` goes back to the bar line; `%%MIDI program` begins another track."""
    assert played(abc("C4 & E2 F2|G4|")) == [(0, 2, 64), (0, 4, 60), (2, 2, 65), (4, 4, 67)]
    score = abc("%%MIDI program 40\nC4|[I:MIDI program 73]D4|")
    assert [(track.program, len(track.notes)) for track in score.tracks] == [(40, 1), (73, 1)]


def test_the_tempo_of_abc():
    """A note value, several, words, and the old form in units."""
    for said, quarters in (("1/4=90", 90), ("3/8=60", 90), ('"Lively" 1/2=60', 120), ("1/4 1/8=60", 90), ("100", 50)):
        score = abc("C4|", f"M:4/4\nL:1/8\nQ:{said}\nK:C\n")
        assert [tempo.qpm for tempo in score.tempos] == [pytest.approx(quarters)]


def test_an_abc_tune_without_meter_or_length():
    """The usual ones hold: an eighth, and no bar lines to count."""
    assert played(abc("C2D|", "K:C\n")) == in_a_row((60, 1), (62, 0.5))
    assert played(abc("C2D|", "M:2/4\nK:C\n")) == in_a_row((60, 0.5), (62, 0.25))


def test_runaway_numbers_in_abc_are_bounded():
    """Rests of a million bars, tuplets of nothing, notes of a thousand years: read or refused, in bounded time."""
    from symbolic.errors import InputError

    with pytest.raises(InputError, match="bars"):
        abc("C|Z999999|C")
    with pytest.raises(InputError, match="parts"):
        abc("P:A\nC|\n", "P:" + "(" * 8 + "A" + ")99" * 8 + "\nK:C\n")
    assert len(played(abc("(0:0:0C9999 C99999/99999|(3:0:0CDE|"))) == 5

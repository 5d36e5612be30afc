"""Damaged and unusual MIDI: what can be mended gives the notes of the intact file and says what was mended; the rest is one line."""

import struct

import pytest
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.reading import read_bytes
from symbolic.midi.repair import repaired

END = b"\x00\xff\x2f\x00"
CONDUCTOR = b"\x00\xff\x58\x04\x03\x02\x18\x08" + b"\x00\xff\x51\x03\x07\xa1\x20" + END  # 3/4, 120 quarters a minute
FIRST = b"\x00\xc0\x28" + b"\x00\x90\x3c\x50" + b"\x83\x60\x3c\x00" + b"\x00\x3e\x50" + b"\x83\x60\x3e\x00"  # C and D, a quarter each
SECOND = b"\x00\xc1\x2a" + b"\x00\x91\x24\x40" + b"\x87\x40\x81\x24\x40"  # a low C for a half


def header(tracks: int = 3, kind: int = 1, division: int = 480) -> bytes:
    """The 14 bytes in front of the tracks."""
    return b"MThd" + struct.pack(">IHHH", 6, kind, tracks, division)


def track(body: bytes, length: int | None = None) -> bytes:
    """A chunk; `length` lies about its size."""
    return b"MTrk" + struct.pack(">I", len(body) if length is None else length) + body


INTACT = header() + track(CONDUCTOR) + track(FIRST + END) + track(SECOND + END)
NOTES = [(0, 480, 60, 80, 40), (480, 480, 62, 80, 40), (0, 960, 36, 64, 42)]


def notes_of(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """(onset, duration, pitch, velocity, program) of all notes, track by track."""
    score = read_bytes(data, "it.mid").score
    return [(n.time, n.duration, n.pitch, n.velocity, t.program) for t in score.tracks for n in t.notes]


def test_the_intact_file_is_not_repaired():
    """The measure of all the others."""
    assert notes_of(INTACT) == NOTES
    assert read_bytes(INTACT, "it.mid").repairs == ()


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (b"MThd" + struct.pack(">IHHHH", 8, 1, 3, 480, 0) + INTACT[14:], "a header of 8 bytes"),
        (b"MThd" + struct.pack(">IHHH", 0, 1, 3, 480) + INTACT[14:], "a header of 0 bytes"),
        (b"MThd" + struct.pack(">IHHH", 2**31, 1, 3, 480) + INTACT[14:], "a header of 2147483648 bytes"),
        (header(7) + INTACT[14:], "counts 7 tracks, 3 are there"),
        (header(0) + INTACT[14:], "counts 0 tracks, 3 are there"),
        (header(kind=0) + INTACT[14:], ""),
        (header(kind=5) + INTACT[14:], "format 5"),
        (b"\0" * 128 + INTACT, "MacBinary"),
        (b"junk" + INTACT, "4 bytes before the header"),
        (header() + track(CONDUCTOR) + b"\x01\x02\x03" + track(FIRST + END) + track(SECOND + END), "bytes between tracks left out: 3"),
        (header() + track(CONDUCTOR) + b"Xtra\0\0\0\x02ab" + track(FIRST + END) + track(SECOND + END), ""),
        (header() + track(CONDUCTOR) + track(FIRST + END, 9999) + track(SECOND + END), "wrong length: 1"),
        (header() + track(CONDUCTOR) + track(FIRST + END, 3) + track(SECOND + END), "wrong length: 1"),
        (header() + track(CONDUCTOR, 0) + track(FIRST + END, 0) + track(SECOND + END, 0), "wrong length: 3"),
        (header() + track(CONDUCTOR) + track(FIRST) + track(SECOND), "without an end mark: 2"),
        (INTACT + b"\0" * 50, ""),
        (INTACT + b"TAG of some program", ""),
    ],
    ids=["8-byte header", "header of nothing", "header of gigabytes", "too few tracks", "too many tracks", "format 0 of three", "format 5",
         "macbinary", "junk in front", "junk between", "another chunk", "track too long", "track too short", "tracks of no length",
         "no end of track", "zeros behind", "text behind"],
)  # fmt: skip
def test_frames_that_are_wrong_cost_no_note(data: bytes, remark: str):
    """Whatever is wrong with headers, counts and lengths, the notes are those of the intact file, and the repair is named."""
    assert notes_of(data) == NOTES
    told = "; ".join(read_bytes(data, "it.mid").repairs)
    assert remark in told
    assert bool(told) or not remark


def played(body: bytes) -> list[tuple[int, int, int, int, int]]:
    """The notes of one track with this body."""
    return notes_of(header(1, 0) + track(body + END))


def told(body: bytes) -> str:
    return "; ".join(read_bytes(header(1, 0) + track(body + END), "it.mid").repairs)


C_AND_D = [(0, 480, 60, 80, 0), (480, 480, 62, 80, 0)]
ON, OFF_ON, OFF = b"\x00\x90\x3c\x50", b"\x83\x60\x3c\x00\x00\x3e\x50", b"\x83\x60\x3e\x00"


@pytest.mark.parametrize(
    ("body", "remark"),
    [
        (ON + b"\x00\xff\x01\x02hi" + OFF_ON + OFF, ""),
        (ON + b"\x00\xf0\x02\x01\xf7" + OFF_ON + OFF, "running status after other messages"),
        (b"\x00\x3c\x50" + ON + OFF_ON + OFF, "belong to no message"),
        (b"\x00\xf8" + ON + OFF_ON + OFF, "system messages"),
        (b"\x00\xf2\x01\x02" + ON + OFF_ON + OFF, "system messages"),
        (b"\x00\xc0\xc8" + ON + OFF_ON + OFF, "programs over 127"),
        (b"\x00\xb0\x07\xff" + ON + OFF_ON + OFF, "values over 127 taken as 127: 1"),
        (b"\x00\x90\xbc\x50" + ON + OFF_ON + OFF, "pitches over 127"),
        (b"\x00\xb0\x87\x05" + ON + OFF_ON + OFF, "controllers over 127"),
        (b"\x00\xff\x51\x03\x00\x00\x00" + ON + OFF_ON + OFF, "tempi that do not exist"),
        (b"\x00\xff\x51\x01\x07" + ON + OFF_ON + OFF, "tempi that do not exist"),
        (b"\x00\xff\x58\x04\x00\x02\x18\x08" + ON + OFF_ON + OFF, "meters that do not exist"),
        (b"\x00\xff\x58\x04\x04\x09\x18\x08" + ON + OFF_ON + OFF, "meters that do not exist"),
        (b"\x00\xff\x59\x02\x0b\x00" + ON + OFF_ON + OFF, "keys that do not exist"),
    ],
    ids=["status after meta", "status after sysex", "no status yet", "clock", "song position", "program 200", "volume 255", "pitch 188",
         "controller 135", "no tempo", "short tempo", "meter 0/4", "meter 4/512", "eleven sharps"],
)  # fmt: skip
def test_messages_that_are_wrong_cost_no_note(body: bytes, remark: str):
    """Slips inside a track are passed over or mended, and the two notes stand where they stood."""
    assert played(body) == C_AND_D
    assert remark in told(body)


def test_a_velocity_over_127_is_the_loudest():
    """0x90 0x3C 0xC8 is a note."""
    assert played(b"\x00\x90\x3c\xc8" + OFF_ON + OFF) == [(0, 480, 60, 127, 0), (480, 480, 62, 80, 0)]


def test_notes_without_an_end_get_one():
    """The next onset of the pitch, the end of the track, or a whole note: the first of them."""
    assert played(b"\x00\x90\x3c\x50" + b"\x83\x60\x3c\x50" + b"\x83\x60\x3c\x00") == [(0, 480, 60, 80, 0), (480, 480, 60, 80, 0)]
    assert played(b"\x00\x90\x3c\x50" + b"\x83\x60\x3e\x50" + b"\x83\x60\x3e\x00") == [(0, 960, 60, 80, 0), (480, 480, 62, 80, 0)]
    late = b"\x00\x90\x3c\x50" + b"\xbc\x00\x3e\x50" + b"\x83\x60\x3e\x00"  # 7,680 ticks later
    assert played(late) == [(0, 4 * 480, 60, 80, 0), (7680, 480, 62, 80, 0)]
    assert "without an end, which was set: 1" in told(late)


def test_a_note_off_in_front_of_its_note_on_belongs_to_it():
    """Of zero length, it lasts a tick; the next note of the pitch keeps its own end."""
    body = b"\x00\x80\x3c\x40" + b"\x00\x90\x3c\x50" + b"\x83\x60\x90\x3c\x50" + b"\x83\x60\x80\x3c\x40"
    assert played(body) == [(0, 1, 60, 80, 0), (480, 480, 60, 80, 0)]


@pytest.mark.parametrize(("frames", "per_frame", "second"), [(25, 40, 1000), (24, 80, 1920), (30, 10, 300), (29, 100, 3000 / 1.001)])
def test_time_in_frames_keeps_every_second(frames: int, per_frame: int, second: float):
    """A note from second 1 to second 3 in SMPTE time is there in seconds, whatever tempo event stands in the file."""
    ticks = round(second)

    def delta(value: int) -> bytes:
        return bytes([0x80 | value >> 7 & 0x7F, value & 0x7F])

    body = b"\x00\xff\x51\x03\x01\x00\x00" + delta(ticks) + b"\x90\x3c\x50" + delta(2 * ticks) + b"\x3c\x00" + END
    data = b"MThd" + struct.pack(">IHHbB", 6, 0, 1, -frames, per_frame) + track(body)
    reading = read_bytes(data, "it.mid")
    note = reading.score.to("second").tracks[0].notes[0]
    assert (note.time, note.duration) == pytest.approx((ticks / second, 2 * ticks / second), rel=1e-5)
    assert "SMPTE" in reading.repairs[0]


def test_patterns_of_format_2_come_one_after_another():
    """The second begins on the bar line behind the first."""
    data = header(2, kind=2) + track(FIRST + END) + track(SECOND + END)
    assert notes_of(data) == [(0, 480, 60, 80, 40), (480, 480, 62, 80, 40), (1920, 960, 36, 64, 42)]
    assert "format 2" in read_bytes(data, "it.mid").repairs[0]


def test_a_file_cut_anywhere_keeps_the_notes_in_front_of_the_cut():
    """Cut at every byte: the notes whose note-on is whole are there, those before it with their right ends, or it is refused."""
    for length in range(len(INTACT)):
        cut = INTACT[:length]
        first, second = b"\x00\x90\x3c\x50" in cut, b"\x00\x91\x24\x40" in cut
        if not first:
            with pytest.raises(InputError):
                notes_of(cut)
            continue
        found = {(onset, pitch): duration for onset, duration, pitch, *_ in notes_of(cut)}
        assert set(found) == {(0, 60)} | ({(480, 62)} if b"\x00\x3e\x50" in cut else set()) | ({(0, 36)} if second else set())
        if b"\x3e" in cut:
            assert found[0, 60] == 480
        assert read_bytes(cut, "x").repairs


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (INTACT[:12] + b"\0\0" + INTACT[14:], "0 ticks per quarter"),
        (INTACT[:12] + b"\xe7\0" + INTACT[14:], "25 frames a second of 0 ticks"),
        (INTACT[:12] + b"\xb0\x28" + INTACT[14:], "80 frames a second"),
        (INTACT[:9], "header of 14 bytes"),
        (header(1) + track(END), "no notes"),
        (header(1) + b"\xaa" * 300, "no notes"),
        (header(0), "no notes"),
    ],
    ids=["zero ticks", "zero ticks a frame", "80 frames", "half a header", "no notes", "noise", "no tracks"],
)
def test_what_cannot_be_mended_is_one_line(data: bytes, reason: str):
    """Without time or notes nothing is made up."""
    with pytest.raises(InputError) as caught:
        read_bytes(data, "some.mid")
    assert str(caught.value).startswith("some.mid: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_huge_delta_is_the_end_of_its_track():
    """A wait of years in nine bytes is not carried out: the notes in front of it stay, the file ends soon behind them."""
    runaway = FIRST + b"\xff\xff\xff\xff\x7f\x90\x40\x50" + b"\x83\x60\x40\x00"
    data = header(1, 0) + track(runaway + END)
    assert notes_of(data) == [(0, 480, 60, 80, 40), (480, 480, 62, 80, 40)]
    assert "events after 1,073,741,824 ticks left out" in read_bytes(data, "x").repairs
    hanging = header(1, 0) + track(b"\x00\x90\x3c\x50" + b"\xff\xff\xff\x7f\x90\x40\x50" + b"\x83\x60\x40\x00" + END)
    assert [duration for _, duration, *_ in notes_of(hanging)] == [4 * 480, 480]


def test_two_hours_at_fine_ticks_are_no_runaway():
    """A legal long wait stays as long as it is, also where it is more than one delta can say."""
    wait = b"\x00\x90\x3c\x50\x83\x60\x3c\x00" + b"\xff\xff\xff\x7f\xff\x01\x00" * 2 + b"\x00\x90\x3e\x50\x83\x60\x3e\x00"
    assert played(wait) == [(0, 480, 60, 80, 0), (480 + 2 * (2**28 - 1), 480, 62, 80, 0)]
    clean, _ = repaired(header(9, 0) + track(wait + END))
    assert [n.time for n in ScoreTick.from_midi(clean).tracks[0].notes] == [0, 480 + 2 * (2**28 - 1)]


def test_a_repaired_file_is_sound():
    """Repairing its own output changes nothing, and finds nothing to mend."""
    for broken in (header(9) + INTACT[14:], INTACT[:-9], header(1, 0) + track(ON + b"\x00\xf8" + OFF_ON)):
        clean, remarks = repaired(broken)
        assert remarks
        assert repaired(clean) == (clean, [])


def test_karaoke_is_midi(tmp_path):
    """Words and comments of a .kar file, in a code page of its own, stand beside the notes."""
    words = b"\x00\xff\x01\x06@KMIDI" + b"\x00\xff\x01\x05\\\xc4lla" + b"\x60\xff\x05\x03la " + END
    data = header(4) + INTACT[14:] + track(words)
    (tmp_path / "song.kar").write_bytes(data)
    assert notes_of(data) == NOTES
    assert read_bytes(data, "song.kar").repairs == ()


def test_bytes_at_random_behind_a_header_never_fail_otherwise():
    """Noise of every length is notes or one line."""
    import random

    generator = random.Random(3)
    outcomes = {"notes": 0, "refused": 0}
    for _ in range(1500):
        data = header(generator.randrange(4), generator.randrange(3)) + track(
            generator.randbytes(generator.randrange(120)), generator.randrange(200)
        )
        try:
            outcomes["notes" if notes_of(data) else "refused"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert outcomes["notes"] > 100
    assert outcomes["refused"] > 100

"""What is music is read, what is none is refused with one line that names it."""

import random
from pathlib import Path

import pretty_midi
import pytest
from score_strategies import notes_of, score_of
from symusic import Note, Score, Tempo, TimeSignature, Track

from symbolic.errors import InputError
from symbolic.midi.folder import music_files
from symbolic.midi.reading import read, write


def from_hex(dump: str) -> bytes:
    """Bytes of an annotated hex dump: what follows # on a line is a remark."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in dump.splitlines()))


GOOD = from_hex("""
4D 54 68 64  00 00 00 06     # MThd, 6 bytes follow
00 01  00 02  01 E0          # format 1, two tracks, 480 ticks per quarter
4D 54 72 6B  00 00 00 13     # MTrk, 19 bytes: the conductor
00 FF 58 04 03 02 18 08      # tick 0: 3/4
00 FF 51 03 07 A1 20         # tick 0: 500,000 microseconds per quarter
00 FF 2F 00                  # end of track
4D 54 72 6B  00 00 00 17     # MTrk, 23 bytes: a cello
00 C0 2A                     # program 42
00 90 24 50                  # tick 0: C2 on, velocity 80
83 60 80 24 40               # tick 480: off
00 90 30 40                  # C3 on
60 30 00                     # tick 576, running status: C3 on with velocity 0, which is off
00 FF 2F 00                  # end of track
""")


def refused(source: object) -> str:
    """The message of the refusal, which must be one line."""
    with pytest.raises(InputError) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_midi_file_byte_by_byte():
    """Meter, tempo, program, running status and a note-on of velocity 0 are understood."""
    score = read(GOOD)
    assert score.ticks_per_quarter == 480
    assert [(s.numerator, s.denominator) for s in score.time_signatures] == [(3, 4)]
    assert [t.tempo for t in score.tempos] == [120]
    assert [(t.program, t.is_drum) for t in score.tracks] == [(42, False)]
    assert [(n.time, n.duration, n.pitch, n.velocity) for n in score.tracks[0].notes] == [(0, 480, 36, 80), (480, 96, 48, 64)]


def test_a_path_a_string_and_bytes_give_the_same_score(tmp_path: Path):
    """The three forms of a file are one score; a score itself is given back as it is."""
    path = tmp_path / "cello.mid"
    path.write_bytes(GOOD)
    assert read(path) == read(str(path)) == read(GOOD)
    score = read(GOOD)
    assert read(score) is score


def test_a_score_in_other_units_is_brought_to_ticks():
    """Seconds and quarters become ticks, so that what follows may count in ticks."""
    score = read(GOOD)
    assert notes_of(read(score.to("quarter"))) == notes_of(score)
    assert [n.time for n in read(score.to("second")).tracks[0].notes] == [0, 480]


def test_a_pretty_midi_is_read():
    """Programs, drums, onsets and durations of a `PrettyMIDI` arrive."""
    source = pretty_midi.PrettyMIDI(initial_tempo=60, resolution=100)
    for program, drums in ((40, False), (0, True)):
        instrument = pretty_midi.Instrument(program, drums)
        instrument.notes.append(pretty_midi.Note(velocity=90, pitch=50 + program, start=1.0, end=1.5))
        source.instruments.append(instrument)
    score = read(source)
    assert sorted((t.program, t.is_drum, n.pitch, n.time, n.duration) for t in score.tracks for n in t.notes) == [
        (0, True, 50, 100, 50),
        (40, False, 90, 100, 50),
    ]


def test_a_music21_stream_is_read():
    """Pitches, onsets and lengths of a music21 part arrive."""
    from music21 import meter, note, stream

    part = stream.Part([meter.TimeSignature("3/4"), note.Note("C4", quarterLength=1), note.Note("E4", quarterLength=2)])
    score = read(part)
    quarter = score.ticks_per_quarter
    assert [(n.pitch, n.time / quarter, n.duration / quarter) for n in score.tracks[0].notes] == [(60, 0, 1), (64, 1, 2)]
    assert (score.time_signatures[0].numerator, score.time_signatures[0].denominator) == (3, 4)


def test_what_another_library_cannot_write_is_told_in_one_line():
    """An object that its own library fails to write as MIDI gives an `InputError`, not that library's exception."""
    broken = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(0)
    instrument.notes.append(pretty_midi.Note(velocity=300, pitch=60, start=0, end=1))
    broken.instruments.append(instrument)
    assert "PrettyMIDI" in refused(broken)


@pytest.mark.parametrize("source", [None, 3, ["a.mid"], object()])
def test_what_is_no_music_at_all_is_named_by_its_type(source):
    """Another type is refused with its name and the choices."""
    message = refused(source)
    assert type(source).__name__ in message
    assert "PrettyMIDI" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>Not found</html>\n", "<html>"),
        (b"Dear Sir,\n", "text"),
        (b"RIFF\x00\x00\x00\x00RMIDdata", "RIFF"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "something else"),
        (GOOD[:14], "no notes"),  # the header alone
        (GOOD[:12] + b"\x00\x00" + GOOD[14:], "0 ticks per quarter"),
        (GOOD[: GOOD.index(b"\x00\xc0")], "cut short"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_name_and_reason(content: bytes, reason: str, tmp_path: Path):
    """Each kind of bad file has its own reason, in one line that begins with the file."""
    path = tmp_path / "some tune.mid"
    path.write_bytes(content)
    message = refused(path)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert refused(content).startswith("these bytes: ")


def test_a_file_without_notes_is_refused(tmp_path: Path):
    """Meters and tempos alone are no music."""
    score = Score(480)
    score.tempos.append(Tempo(0, 100))
    score.tracks.append(Track("silent", 0, False))
    assert "no notes" in refused(score.dumps_midi())


def test_a_missing_file_names_its_neighbours(tmp_path: Path):
    """A mistyped name is answered with the MIDI files that are there; without any, with the spelling."""
    assert "check the spelling" in refused(tmp_path / "cannon.mid")
    (tmp_path / "canon.mid").write_bytes(GOOD)
    message = refused(tmp_path / "cannon.mid")
    assert message.startswith(f"{tmp_path / 'cannon.mid'}: no such file")
    assert "canon.mid" in message.split("in that folder")[1]


def test_paths_that_are_no_file_are_refused(tmp_path: Path):
    """A folder, a path below a file, and a name longer than a file system allows are told, not raised by the system."""
    (tmp_path / "x.mid").mkdir()
    assert "folder" in refused(tmp_path / "x.mid")
    (tmp_path / "file").write_bytes(GOOD)
    assert str(tmp_path / "file" / "y.mid") in refused(tmp_path / "file" / "y.mid")
    assert "name too long" in refused(tmp_path / ("z" * 300 + ".mid")).lower()


def test_a_file_cut_anywhere_is_a_score_or_one_line(tmp_path: Path):
    """Truncated at every byte, a file is read from its first note on and refused before it; nothing else ever happens."""
    path = tmp_path / "cut.mid"
    outcomes = {"score": 0, "refused": 0}
    for length in range(len(GOOD)):
        path.write_bytes(GOOD[:length])
        try:
            score = read(path)
        except InputError:
            assert refused(path).startswith(f"{path}: ")
            outcomes["refused"] += 1
        else:
            assert score.note_num() > 0
            outcomes["score"] += 1
    assert outcomes == {"score": len(GOOD) - (first := GOOD.index(b"\x24\x50") + 2), "refused": first}


def test_a_file_with_changed_bytes_is_a_score_or_one_line():
    """Any byte replaced by any of its worst neighbours gives a score with notes and time, or an `InputError`."""
    generator = random.Random(0)
    for place in range(len(GOOD)):
        for value in {0, 0x7F, 0x80, 0xFF, generator.randrange(256)}:
            try:
                score = read(GOOD[:place] + bytes([value]) + GOOD[place + 1 :])
            except InputError:
                continue
            assert score.note_num() > 0
            assert score.ticks_per_quarter > 0


def test_pretty_midi_reads_what_we_write(tmp_path: Path):
    """An independent reader finds the same notes in seconds, programs, drums, meter and tempo in a written file."""
    score = score_of((0, 480, 60), (480, 240, 64), program=73, meters=((0, 3, 4),))
    score.tempos.append(Tempo(0, 90))
    score.tracks.append(Track("drums", 0, True, [Note(960, 120, 38, 100)]))
    write(score, tmp_path / "written.mid")
    found = pretty_midi.PrettyMIDI(str(tmp_path / "written.mid"))
    quarter = 60 / 90
    notes = {(i.program, i.is_drum, n.pitch, n.velocity): (n.start, n.end) for i in found.instruments for n in i.notes}
    assert notes == {
        (73, False, 60, 80): pytest.approx((0, quarter), abs=1e-3),
        (73, False, 64, 80): pytest.approx((quarter, 1.5 * quarter), abs=1e-3),
        (0, True, 38, 100): pytest.approx((2 * quarter, 2.25 * quarter), abs=1e-3),
    }
    assert [(s.numerator, s.denominator) for s in found.time_signature_changes] == [(3, 4)]
    assert found.get_tempo_changes()[1] == pytest.approx([90], rel=1e-4)


def test_more_tracks_than_channels_stay_apart(tmp_path: Path):
    """Forty tracks, two programs and drums, are forty tracks for us and for an independent reader."""
    score = Score(480)
    for number in range(40):
        score.tracks.append(Track(f"t{number}", 40 + number % 2, number % 10 == 0, [Note(number * 10, 100, 60, 80)]))
    write(score, tmp_path / "wide.mid")
    assert notes_of(read(tmp_path / "wide.mid")) == notes_of(score)
    assert len(pretty_midi.PrettyMIDI(str(tmp_path / "wide.mid")).instruments) == 40


def test_writing_refuses_to_replace_unless_told(tmp_path: Path):
    """An existing file stays as it is without `force`, and is replaced with it."""
    path = tmp_path / "new" / "out.mid"
    write(score_of((0, 480, 60)), path)
    with pytest.raises(InputError, match="exists"):
        write(score_of((0, 480, 72)), path)
    assert [n.pitch for n in read(path).tracks[0].notes] == [60]
    write(score_of((0, 480, 72)), path, force=True)
    assert [n.pitch for n in read(path).tracks[0].notes] == [72]
    assert [p.name for p in path.parent.iterdir()] == ["out.mid"]


def test_time_signatures_survive_writing(tmp_path: Path):
    """Meter changes stand at their ticks in the written file."""
    meters = ((0, 1, 4), (480, 4, 4), (2400, 6, 8))
    write(score_of((0, 4000, 60), meters=meters), tmp_path / "m.mid")
    assert list(read(tmp_path / "m.mid").time_signatures) == [TimeSignature(*meter) for meter in meters]


def test_music_files_are_found_below_a_folder_in_order(tmp_path: Path):
    """All spellings of the suffix at any depth are found, sorted; other files and a folder named x.mid are not files of music."""
    for name in ("b/two.MID", "b/a/one.midi", "three.mid", "notes.txt", "x.mid/inside.mid"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(GOOD if name != "notes.txt" else b"no music")
    assert [music.name for music in music_files(tmp_path)] == ["b/a/one.midi", "b/two.MID", "three.mid", "x.mid/inside.mid"]


def test_folders_without_music_are_refused(tmp_path: Path):
    """A missing folder, a file in its place and a folder without music each have their own reason and name the path."""
    (tmp_path / "readme.txt").write_text("no music")
    for path, reason in ((tmp_path / "missing", "no such folder"), (tmp_path / "readme.txt", "a folder"), (tmp_path, "no music in it")):
        with pytest.raises(InputError, match=reason) as caught:
            music_files(path)
        assert str(caught.value).startswith(f"{path}: ")

"""Zip archives are read member by member, and nothing that an archive says of itself is trusted."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
from score_strategies import notes_of, score_of

from symbolic.errors import InputError
from symbolic.midi.archive import members, unpacked
from symbolic.midi.folder import music_files
from symbolic.midi.reading import read, read_bytes

MIDI = score_of((0, 480, 60), (480, 480, 64)).dumps_midi()
OTHER = score_of((0, 240, 72)).dumps_midi()
MUSICXML = b"""<score-partwise><part-list><score-part id="P1"><part-name>A</part-name></score-part></part-list><part id="P1">
<measure number="1"><attributes><divisions>1</divisions></attributes>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note></measure></part></score-partwise>"""
CONTAINER = b'<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


MXL = zipped({"META-INF/container.xml": CONTAINER, "score.xml": MUSICXML})


def listed(tmp_path: Path, archive: bytes) -> dict[str, object]:
    """What a folder with this archive in it holds: the score of each piece by its name, or the message of its refusal."""
    (tmp_path / "box.zip").write_bytes(archive)
    found: dict[str, object] = {}
    for music in music_files(tmp_path):
        try:
            found[music.name] = notes_of(read_bytes(music.read(2**20), music.name).score)
        except InputError as error:
            found[music.name] = str(error)
    assert all(message.startswith(f"{name}: ") and "\n" not in message for name, message in found.items() if isinstance(message, str))
    return found


def test_a_zipped_folder_is_a_folder(tmp_path: Path):
    """Music at any depth is found and read; other files, hidden ones, and what a Macintosh adds are left out; packed or stored alike."""
    files = {
        "deep/er/one.mid": MIDI, "two.KAR": OTHER, "without suffix": MIDI, "readme.txt": b"x", "empty/": b"",
        "__MACOSX/._two.mid": MIDI, ".hidden/a.mid": MIDI,
    }  # fmt: skip
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found = listed(tmp_path, zipped(files, method))
        assert found == {
            "box.zip/deep/er/one.mid": notes_of(read(MIDI)),
            "box.zip/two.KAR": notes_of(read(OTHER)),
            "box.zip/without suffix": notes_of(read(MIDI)),
        }


def test_an_archive_given_in_place_of_a_folder(tmp_path: Path):
    """Its members go by their own names."""
    (tmp_path / "box.zip").write_bytes(zipped({"a/one.mid": MIDI}))
    assert [music.name for music in music_files(tmp_path / "box.zip")] == ["a/one.mid"]


def test_a_compressed_score_inside_an_archive_is_read(tmp_path: Path):
    """An .mxl among other files is opened; a zip in a zip is listed, and told to be unpacked."""
    found = listed(tmp_path, zipped({"s/score.mxl": MXL, "more.zip": zipped({"a.mid": MIDI}), "one.mid": MIDI}))
    assert list(found) == ["box.zip/more.zip", "box.zip/one.mid", "box.zip/s/score.mxl"]
    assert found["box.zip/s/score.mxl"] == notes_of(read(MUSICXML))
    assert notes_of(read(zipped({"score.mxl": MXL}))) == notes_of(read(MUSICXML))


def test_a_compressed_score_is_one_piece(tmp_path: Path):
    """An .mxl in a folder, also under the name .zip, is a score and no folder."""
    (tmp_path / "a.mxl").write_bytes(MXL)
    (tmp_path / "b.zip").write_bytes(MXL)
    assert [(m.name, m.member) for m in music_files(tmp_path)] == [("a.mxl", None), ("b.zip", None)]


def test_a_tune_book_inside_an_archive_is_opened(tmp_path: Path):
    """Each tune is a piece of its own, under what the front of the book says."""
    book = b"M:3/4\nL:1/4\n\nX:1\nK:C\nCDE|\n\nX:2\nK:G\nFGA|\n"
    found = listed(tmp_path, zipped({"book.abc": book}))
    assert list(found) == ["box.zip/book.abc/1", "box.zip/book.abc/2"]
    scores = [read_bytes(music.read(), "x").score for music in music_files(tmp_path)]
    assert [[n.pitch for n in score.tracks[0].notes] for score in scores] == [[60, 62, 64], [66, 67, 69]]
    assert all((s.time_signatures[0].numerator, s.tracks[0].notes[1].time) == (3, s.ticks_per_quarter) for s in scores)


def test_what_unfolds_without_end_is_stopped(tmp_path: Path):
    """A bomb is refused by its stated size, and one that lies about its size is unpacked only up to the bound."""
    bomb = zipped({"bomb.mid": b"MThd" + b"\0" * (20 * 2**20)})
    assert len(bomb) < 2**15
    assert "more than the 1,048,576" in str(listed(tmp_path, bomb)["box.zip/bomb.mid"])
    place = bomb.rindex(b"PK\x01\x02")
    lying = bomb[: place + 24] + struct.pack("<I", 100) + bomb[place + 28 :]
    member = members(lying)[0]
    assert member.size == 100
    with pytest.raises(InputError, match="more than 1,000 bytes when unpacked"):
        unpacked(io.BytesIO(lying), member, 1000)
    assert "more than 1,048,576 bytes" in str(listed(tmp_path, lying)["box.zip/bomb.mid"])


def test_locked_and_unusually_packed_members_are_told(tmp_path: Path):
    """A password, and a method of packing that is not read, are named; the other members are read."""
    archive = zipped({"a.mid": MIDI, "b.mid": OTHER})
    place = archive.index(b"PK\x01\x02")
    locked = archive[: place + 8] + b"\x01" + archive[place + 9 :]
    found = listed(tmp_path, locked)
    assert "password" in str(found["box.zip/a.mid"])
    assert found["box.zip/b.mid"] == notes_of(read(OTHER))
    found = listed(tmp_path, zipped({"a.mid": MIDI}, zipfile.ZIP_LZMA))
    assert "method 14" in str(found["box.zip/a.mid"])


def test_a_damaged_archive_is_one_piece_with_its_reason(tmp_path: Path):
    """Cut in half there is no directory; the archive itself stays in the list."""
    archive = zipped({"a.mid": MIDI, "b.mid": OTHER})
    found = listed(tmp_path, archive[: len(archive) // 2])
    assert list(found) == ["box.zip"]
    assert "damaged zip archive" in str(found["box.zip"])


def test_damage_in_one_member_costs_that_member(tmp_path: Path):
    """Changed bytes inside a member cost nothing else."""
    archive = zipped({"a.mid": MIDI * 40, "b.mid": OTHER})
    inside = 30 + len("a.mid")
    garbled = archive[:inside] + b"\xff" * 20 + archive[inside + 20 :]
    found = listed(tmp_path, garbled)
    assert "damaged here" in str(found["box.zip/a.mid"])
    assert found["box.zip/b.mid"] == notes_of(read(OTHER))
    found = listed(tmp_path, archive[:inside] + archive[inside + 9 :])  # nine bytes of the first member are missing
    assert "damaged here" in str(found["box.zip/a.mid"])
    assert found["box.zip/b.mid"] == notes_of(read(OTHER))


def test_a_directory_that_points_before_the_file_is_damage():
    """Python's own reader gives a negative place for a directory larger than it is; that is no place to seek."""
    archive = zipped({"a.mid": MIDI})
    end = archive.rindex(b"PK\x05\x06")
    (start,) = struct.unpack_from("<I", archive, end + 16)
    wrong = archive[: end + 16] + struct.pack("<I", start + 500) + archive[end + 20 :]
    member = members(wrong)[0]
    assert member.start < 0
    with pytest.raises(InputError, match="damaged here"):
        unpacked(io.BytesIO(wrong), member, 10_000)


def test_names_in_other_encodings_stay_apart_and_readable(tmp_path: Path):
    """A name that is not UTF-8 is read as its archive's old code page says, or spelt out; every name is text that can be stored."""
    archive = zipped({"caf#.mid": MIDI, "naïve/ζ.mid": OTHER}).replace(b"caf#", b"caf\xe9")
    found = listed(tmp_path, archive)
    assert len(found) == 2
    assert "box.zip/naïve/ζ.mid" in found
    assert all(name.encode("utf-8") and not isinstance(value, str) for name, value in found.items())


def test_every_cut_and_every_changed_byte_is_music_or_one_line(tmp_path: Path):
    """An archive damaged anywhere gives its pieces or refusals, never another exception."""
    archive = zipped({"a.mid": MIDI, "META-INF/x": b"y"})
    refused = 0
    for place in range(len(archive)):
        for damaged in (archive[:place], archive[:place] + bytes([archive[place] ^ 0xFF]) + archive[place + 1 :]):
            try:
                reading = read_bytes(damaged, "x")
            except InputError:
                refused += 1
            else:
                assert reading.score.note_num() > 0
    assert 0 < refused < 2 * len(archive)

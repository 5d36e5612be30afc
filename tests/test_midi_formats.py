"""A file is what its bytes are: the name, the encoding and what stands in front of the music do not matter."""

import io
import zipfile
from pathlib import Path

import pytest
from score_strategies import notes_of, score_of

from symbolic.errors import InputError
from symbolic.midi.formats import check_xml, decoded, format_of, inside_riff
from symbolic.midi.reading import read, read_bytes

MIDI = score_of((0, 480, 60), (480, 960, 64)).dumps_midi()
KERN = "**kern\n*M4/4\n=1\n4c\n2e\n4r\n==\n*-\n"
ABC = "X:1\nT:Zwölf\nM:4/4\nL:1/4\nK:C\nC E2 z|]\n"
MUSICXML = """<?xml version="1.0"?>
<score-partwise><part-list><score-part id="P1"><part-name>Flöte</part-name></score-part></part-list><part id="P1"><measure number="1">
<attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>
<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration></note>
<note><pitch><step>E</step><octave>4</octave></pitch><duration>2</duration></note><note><rest/><duration>1</duration></note>
</measure></part></score-partwise>
"""
QUARTERS = [(0, 1, 60), (1, 2, 64)]


def riff(midi: bytes) -> bytes:
    """MIDI in the RIFF chunks of an .rmi file."""
    body = b"RMIDdata" + len(midi).to_bytes(4, "little") + midi + b"\0" * (len(midi) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive of these files, packed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


CONTAINER = b'<container><rootfiles><rootfile full-path="music/one.xml"/></rootfiles></container>'
MXL = zipped({"META-INF/container.xml": CONTAINER, "music/one.xml": MUSICXML.encode()})


def quarters_of(score) -> list[tuple[float, float, int]]:
    """(onset, duration, pitch) of all notes, times in quarters."""
    return sorted((n.time / score.ticks_per_quarter, n.duration / score.ticks_per_quarter, n.pitch) for t in score.tracks for n in t.notes)


@pytest.mark.parametrize("suffix", [".mid", ".krn", ".abc", ".musicxml", ".mxl", ".txt", ""])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (MIDI, "midi"),
        (riff(MIDI), "riff midi"),
        (KERN.encode(), "kern"),
        (ABC.encode(), "abc"),
        (MUSICXML.encode(), "musicxml"),
        (MXL, "compressed musicxml"),
        (zipped({"a folder/song.mid": MIDI}), "midi"),
    ],
    ids=["midi", "rmi", "kern", "abc", "musicxml", "mxl", "zip"],
)
def test_the_name_of_a_file_says_nothing(content: bytes, kind: str, suffix: str, tmp_path: Path):
    """Each format under every suffix is told by its bytes and gives the same two notes."""
    path = tmp_path / f"tune{suffix}"
    path.write_bytes(content)
    assert quarters_of(read(path)) == QUARTERS
    assert read_bytes(content, "x").format == kind


@pytest.mark.parametrize(
    "content",
    [
        ABC.encode("latin-1"),
        ABC.encode("utf-16"),
        ABC.encode("utf-8-sig"),
        ABC.replace("\n", "\r\n").encode(),
        b"%abc-2.1\n% a book\n\n" + ABC.encode(),
        KERN.replace("\n", "\r\n").encode(),
        b"!!!COM: Anonym\xfcs\n" + KERN.encode(),
        "!!!OTL: Zwölf\n".encode("utf-16") + KERN.encode("utf-16")[2:],
        MUSICXML.encode("utf-8-sig"),
        MUSICXML.encode("utf-16"),
        MUSICXML.replace('"1.0"?', '"1.0" encoding="ISO-8859-1"?').encode("latin-1"),
        MUSICXML.replace("<score-p", '<!DOCTYPE score-partwise PUBLIC "-//X//EN" "http://x/y.dtd"><!-- ü -->\n<score-p', 1).encode(),
        riff(MIDI)[:4] + b"\xff\xff\xff\x7f" + riff(MIDI)[8:],
        b"\0" * 128 + MIDI,
        b"HTTP/1.1 200 OK\r\n\r\n" + MIDI,
    ],
    ids=["abc latin-1", "abc utf-16", "abc bom", "abc crlf", "abc remarks", "kern crlf", "kern latin-1", "kern utf-16", "xml bom",
         "xml utf-16", "xml latin-1", "xml doctype", "riff of a wrong size", "macbinary", "something in front"],
)  # fmt: skip
def test_encodings_line_ends_and_wrappings_do_not_matter(content: bytes):
    """The same two notes come out of every dress of a file."""
    assert quarters_of(read(content)) == QUARTERS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAVE"),
        (b"%PDF-1.7\n", "text"),
        (b"\x89PNG\r\n\x1a\n", "something else"),
        (b'<?xml version="1.0"?><!-- <score-part --><svg xmlns="x"></svg>', "<svg>"),
        (b"<!DOCTYPE html><html></html>", "<html>"),
        (b"X: not\na tune without a key\n", "text"),
        (zipped({"a.txt": b"x"}), "0 files of music"),
        (zipped({"a.mid": MIDI, "b.mid": MIDI}), "2 files of music"),
        (zipped({"inside.zip": zipped({"a.mid": MIDI})}), "0 files of music"),
        (zipped({"META-INF/container.xml": b"<container/>"}), "without a score"),
        (b"**kern\n*-\n", "no notes"),
        (ABC.replace("C E2 z", "z4").encode(), "no notes"),
        (b"<score-partwise><part-list/></score-partwise>", "without a part"),
        (MUSICXML[: len(MUSICXML) // 2].encode(), "damaged or cut short"),
        (b"<score-partwise>" + b"<a>" * 200 + b"</a>" * 200 + b"</score-partwise>", "deep"),
        (b'<!DOCTYPE score-partwise [<!ENTITY a "aaaa">]><score-partwise>&a;</score-partwise>', "entity 'a'"),
    ],
    ids=["empty", "wave", "pdf", "png", "svg", "html", "text", "zip of text", "zip of two", "zip in zip", "mxl of nothing", "silent kern",
         "silent abc", "no part", "half xml", "deep xml", "entities"],
)  # fmt: skip
def test_what_is_no_music_is_told_in_one_line(content: bytes, reason: str):
    """Every refusal names the file first and has its own reason."""
    with pytest.raises(InputError) as caught:
        read_bytes(content, "folder/it.mid")
    assert str(caught.value).startswith("folder/it.mid: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kern_file_may_open_with_another_spine():
    """The first spine need not be **kern."""
    assert format_of(b"!!!COM: x\n**dynam\t**kern\n") == "kern"
    assert format_of(b"**text\t**kern\t**kern\n") == "kern"


def test_text_is_decoded_by_its_mark_or_its_bytes():
    """UTF-8, UTF-16 with its mark and Latin-1 give the same letters; a letter cut in two at the end is left out."""
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "latin-1"):
        assert decoded("größer".encode(encoding)) == "größer"
    assert decoded("größ".encode()[:-1]) == "grö"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_of_a_book_the_first_tune_is_read(encoding: str):
    """In every encoding, and that there are more is told."""
    reading = read_bytes((ABC + "\n" + ABC.replace("X:1", "X:2").replace("C E2", "G3")).encode(encoding), "book.abc")
    assert quarters_of(reading.score) == QUARTERS
    assert reading.repairs == ("a book of 2 tunes, the first is read",)


def test_riff_without_midi_in_it_is_refused_and_wrong_sizes_are_told():
    """The size of the data chunk is used where it is right, and named where it is wrong."""
    assert inside_riff(riff(MIDI)) == (MIDI, [])
    damaged = riff(MIDI)[:16] + (5).to_bytes(4, "little") + riff(MIDI)[20:]
    inside, remarks = inside_riff(damaged)
    assert inside.startswith(MIDI)
    assert remarks == ["the sizes of the RIFF chunks are wrong"]
    with pytest.raises(InputError, match="without a MIDI header"):
        inside_riff(b"RIFF\0\0\0\0RMIDdata\0\0\0\0")


def test_entities_that_unfold_to_gigabytes_cost_nothing():
    """The declaration itself is refused, before anything unfolds."""
    steps = zip("abcdefgh", "bcdefghi", strict=True)
    bomb = '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {name} "{f"&{of};" * 10}">' for of, name in steps)
    with pytest.raises(InputError, match="entity"):
        check_xml((bomb + "]><s>&i;</s>").encode())


def test_midi_in_riff_equals_midi_alone():
    """Nothing of a score changes by its wrapping, remarks aside."""
    assert notes_of(read(riff(MIDI))) == notes_of(read(MIDI))
    assert read_bytes(riff(MIDI), "x").repairs == ()

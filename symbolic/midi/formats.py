"""What bytes are, by their content: the name of a file says nothing here.

Text may be UTF-8, UTF-16 with its mark, or Latin-1, as old ABC and kern files are.
"""

import codecs
import re
import struct
import xml.parsers.expat

from symbolic.errors import InputError

SNIFFED = 65_536  # bytes that are looked at
DEEPEST_XML = 100  # elements inside each other; MusicXML needs about ten
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SMALLEST_MIDI = 14 + 8  # bytes: a header and the head of a track
KNOWN = "MIDI (.mid, .midi, .kar, .rmi), MusicXML (.xml, .musicxml, .mxl), ABC (.abc) and kern (.krn) are read"


def format_of(data: bytes) -> str:
    """ "midi", "riff midi", "zip", "musicxml", "abc" or "kern". Raises `InputError`, without a name in front, for anything else."""
    if not data:
        raise InputError("the file is empty (0 bytes)")
    if data[:4] == b"MThd" or is_macbinary(data):
        return "midi"
    if data[:4] == b"RIFF":
        if data[8:12] == b"RMID" or b"MThd" in data[:SNIFFED]:
            return "riff midi"
        raise InputError(f"a RIFF file that holds {data[8:12]!r} and no MIDI; {KNOWN}")
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    text = decoded(data[:SNIFFED])
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        if re.search(r"<score-(partwise|timewise)\b", text):
            return "musicxml"
        root = re.search(r"<([A-Za-z][\w:.-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
        raise InputError(f"not music: this is markup whose root is <{root[1] if root else '?'}>; {KNOWN}")
    if re.search(r"^\*\*kern\b", text, re.MULTILINE) or re.search(r"^\*\*\w+.*\t\*\*kern\b", text, re.MULTILINE):
        return "kern"
    if re.search(r"^X:", text, re.MULTILINE) and re.search(r"^K:", text, re.MULTILINE):
        return "abc"
    if b"MThd" in data[:SNIFFED]:
        return "midi"
    kind = "text" if _is_text(data) else "something else"
    raise InputError(f"not a MIDI file, nor other music: it begins with {data[:4]!r} ({kind}); {KNOWN}")


def is_macbinary(data: bytes) -> bool:
    """An old Macintosh file: 128 bytes of its own before the MIDI header."""
    return data[128:132] == b"MThd"


def inside_riff(data: bytes) -> tuple[bytes, list[str]]:
    """The MIDI bytes in a RIFF file, and what is wrong with its chunks. Raises `InputError` when none are in it."""
    start = data.find(b"MThd")
    if start < 0:
        raise InputError("a RIFF file without a MIDI header in it")
    (size,) = struct.unpack_from("<I", data, start - 4)
    (whole,) = struct.unpack_from("<I", data, 4)
    sound = SMALLEST_MIDI <= size <= len(data) - start and whole in (len(data) - 8, len(data) - 9)
    following = data[start + size + size % 2 :]
    if data[start - 8 : start - 4] == b"data" and sound and (len(following) < 8 or following[:4].isalnum()):
        return data[start : start + size], []
    return data[start:], ["the sizes of the RIFF chunks are wrong"]


def decoded(data: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or else in Latin-1, which takes any byte."""
    if data[:2] in UTF_16_MARKS:
        return data[: len(data) // 2 * 2].decode("utf-16", "replace")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)  # a cut through a letter at the end is no error
    except UnicodeDecodeError:
        return data.decode("latin-1")


def check_xml(data: bytes) -> None:
    """Raise `InputError` unless this is well-formed XML without entities of its own (they can unfold to gigabytes) and not too deep."""
    depth = 0

    def refuse(name: str, *_: object) -> None:
        raise InputError(f"it declares the XML entity '{name}', which a score has no need of")

    def enter(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST_XML:
            raise InputError(f"its XML is more than {DEEPEST_XML} elements deep")

    def leave(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = xml.parsers.expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError as error:
        raise InputError(f"its XML is damaged or cut short ({error})") from error


def _is_text(data: bytes) -> bool:
    return all(byte in (9, 10, 13) or 32 <= byte < 127 or byte > 127 for byte in data[:256])

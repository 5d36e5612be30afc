"""Members of zip archives, read one by one without unpacking and without trusting what the archive says of itself.

A member is found again by its place in the archive, so that each of a hundred thousand is read in constant time.
A small archive can unfold to terabytes: nothing is unpacked beyond the bound that the caller gives.
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from symbolic.errors import InputError

MOST_MEMBERS = 1_000_000


class Member(NamedTuple):
    """One file in an archive: its readable name, unpacked size, and where its local header begins."""

    name: str
    size: int
    start: int
    packed: int
    method: int
    encrypted: bool


def members(archive: Path | bytes) -> list[Member]:
    """The files in a zip archive, in its order, the last of one name only. Raises `InputError` without a name in front."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive) as opened:
            infos = {info.filename: info for info in opened.infolist()[:MOST_MEMBERS] if not info.is_dir()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, OverflowError) as error:
        raise InputError(f"a damaged zip archive ({error})") from error
    return [
        Member(_readable(name), info.file_size, info.header_offset, info.compress_size, info.compress_type, bool(info.flag_bits & 1))
        for name, info in infos.items()
    ]


def unpacked(stream: IO[bytes], member: Member, limit: int) -> bytes:
    """The bytes of a member of the archive in `stream`, `limit` at most. Raises `InputError` without a name in front."""
    if member.encrypted:
        raise InputError("locked with a password; unpack it first")
    if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"packed by method {member.method}, which is not read here; unpack it first")
    header = b""
    if member.start >= 0:  # before the file's first byte when the central directory is not where it says
        stream.seek(member.start)
        header = stream.read(30)
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise InputError("the zip archive is damaged here")
    stream.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), io.SEEK_CUR)
    if member.method == zipfile.ZIP_STORED:
        data = stream.read(min(member.packed, limit + 1))
    else:
        try:
            data = _inflated(stream, member.packed, limit + 1)
        except zlib.error as error:
            raise InputError(f"the zip archive is damaged here ({error})") from error
    if len(data) > limit:
        raise InputError(f"more than {limit:,} bytes when unpacked")
    if len(data) < member.size:
        raise InputError(f"the zip archive is damaged here ({len(data):,} of {member.size:,} bytes)")
    return data


def _inflated(stream: IO[bytes], packed: int, most: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces: list[bytes] = []
    while packed > 0 and most > 0 and not inflater.eof:
        piece = stream.read(min(packed, 65_536))
        if not piece:
            break
        packed -= len(piece)
        while piece and most > 0:
            pieces.append(inflater.decompress(piece, most))
            most -= len(pieces[-1])
            piece = inflater.unconsumed_tail
    return b"".join(pieces)


def _readable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

"""Damaged or unusual MIDI as clean MIDI: what a patient reader would take from it, and what had to be mended.

`repaired` walks the bytes once, takes every event that makes sense and writes a new file of format 1, which symusic reads.
Times are ticks. What it mends: headers of another length, wrong counts and lengths of tracks, bytes between tracks, a file cut short,
a missing end of track, running status after other messages, data bytes over 127, programs, tempi, meters and keys that do not exist,
SMPTE time, patterns of format 2, and notes that never end.
Source: Standard MIDI Files 1.0 (the MIDI Association), and what symusic 0.6 refuses or drops without a word.
"""

import math
import struct
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

from symbolic.errors import InputError

LAST_TICK = 2**30  # of 2**31 that symusic counts with: later events are a runaway delta
LONGEST_DELTA = 2**28 - 1
MOST_BYTES = 8 * 2**20  # more would need gigabytes while it is mended
SMPTE_RATES = {24: (24, 1), 25: (25, 1), 29: (30000, 1001), 30: (30, 1)}
SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}
QUARTERS_OF_A_HANGING_NOTE = 4
HANGING = "notes without an end, which was set: {}"
META_END, META_TEMPO, META_METER, META_KEY = 0x2F, 0x51, 0x58, 0x59


@dataclass
class _Track:
    """Events as (tick, bytes) in file order; `keys` holds per (channel, pitch) the indices of its note-ons and note-offs."""

    events: list[tuple[int, bytes]] = field(default_factory=list)
    keys: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    end: int = 0
    whole: bool = False  # the end of track was found

    def has_notes(self) -> bool:
        return bool(self.keys)


def repaired(data: bytes) -> tuple[bytes, list[str]]:
    """Clean MIDI bytes and what was mended, in plain phrases. Linear in the size of `data`.

    Raises `InputError`, without a name in front, when there is no header or no time in it, or too much of everything.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"damaged, and with {len(data):,} bytes too large to be mended; {MOST_BYTES:,} can be")
    found: Counter[str] = Counter()
    start = data.find(b"MThd")
    if start < 0 or len(data) < start + 14:
        raise InputError(f"a MIDI file has a header of 14 bytes, these are {len(data)} bytes in all")
    length, kind, count, division = struct.unpack_from(">IHHh", data, start + 4)
    tracks, missing = _tracks(data, _after_header(data, start, length, found), found)
    if start:
        found[f"{start} bytes before the header left out"] += 1
    if division == 0:
        raise InputError("the header says 0 ticks per quarter note, so no time can be told")
    if count != len(tracks):
        found[f"the header counts {count} tracks, {len(tracks)} are there"] += 1
    if kind > 2:
        found[f"format {kind} does not exist, read as format 1"] += 1
    head: list[tuple[int, bytes]] = []
    if division < 0:
        division, head = _smpte(division, tracks, found)
    for track in tracks:
        _end_hanging_notes(track, division, found)
    if kind == 2 and sum(track.has_notes() for track in tracks) > 1:
        found["format 2: its patterns are put one after another"] += 1
        _one_after_another(tracks, division)
    size = len(data) - start
    remarks = [f"cut short: {size:,} of {size + missing:,} bytes, the notes before the cut are kept"] if missing else []
    remarks += [phrase.format(count) for phrase, count in found.items() if count]
    return _written([_Track(head), *tracks] if head else tracks, division), remarks


def _after_header(data: bytes, start: int, length: int, found: Counter[str]) -> int:
    """Where the chunks begin: behind a header of any length, or at the first track when its length is nonsense."""
    end = start + 8 + length
    if length != 6:
        found[f"a header of {length} bytes instead of 6"] += 1
        if length < 6 or data[end : end + 4] != b"MTrk":
            first = data.find(b"MTrk", start + 8)
            end = first if first >= 0 else len(data)
    return end


def _tracks(data: bytes, position: int, found: Counter[str]) -> tuple[list[_Track], int]:
    """All tracks from `position` on, and how many bytes the last one should have had more."""
    tracks: list[_Track] = []
    missing = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8])
        end = position + 8 + length
        sound = end == len(data) or (end < len(data) and _is_chunk(data, end))
        if data[position : position + 4] != b"MTrk":
            if _is_chunk(data, position) and sound:  # a chunk of another kind is legal
                position = end
                continue
            following = _next_track(data, position + 1)
            if any(data[position:following]):
                found["bytes between tracks left out: {}"] += following - position
            position = following
            continue
        limit = end if sound else _next_track(data, position + 8)
        track, stop = _walk(data, position + 8, limit, found)
        tracks.append(track)
        if track.whole:
            position = end if sound and data[stop : stop + 4] != b"MTrk" else stop
            found["tracks of a wrong length: {}"] += position != end
        else:
            position = limit
            if end > len(data) == limit:
                missing = end - len(data)
            else:
                found["tracks without an end mark: {}"] += 1
    return tracks, missing


def _next_track(data: bytes, position: int) -> int:
    found = data.find(b"MTrk", position)
    return found if found >= 0 else len(data)


def _is_chunk(data: bytes, position: int) -> bool:
    """Whether a chunk of any kind may begin here: four printable letters."""
    name = data[position : position + 4]
    return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()


def _walk(data: bytes, position: int, end: int, found: Counter[str]) -> tuple[_Track, int]:
    """The events of a track up to its end mark or byte `end`, and the byte behind the last one."""
    track = _Track()
    tick = status = 0
    interrupted = at_status = False
    while position < end:
        if not at_status:
            delta, position = _variable(data, position, end)
            tick += delta
        at_status = False
        if position >= end:
            break
        if tick > LAST_TICK:
            found[f"events after {LAST_TICK:,} ticks left out"] = 1
            break
        track.end = tick
        first = data[position]
        if first >= 0xF0:
            interrupted = True
            if first in (0xF0, 0xF7, 0xFF):
                at = position + (2 if first == 0xFF else 1)
                size, body = _variable(data, at, end)
                if body + size > end:
                    position = end
                    break
                if first == 0xFF and at - 1 < end:
                    _meta(track, tick, data[at - 1], data[body : body + size], found)
                    if data[at - 1] == META_END:
                        track.whole = True
                        return track, body + size
                elif first == 0xF0:
                    track.events.append((tick, data[position : body + size]))
                position = body + size
            else:
                position += 1 + SYSTEM_DATA.get(first, 0)
                found["system messages that no file may hold left out: {}"] += 1
            continue
        if first >= 0x80:
            status = first
            position += 1
        elif not status:
            while position < end and data[position] < 0x80:
                found["bytes that belong to no message left out: {}"] += 1
                position += 1
            at_status = True
            continue
        elif interrupted:
            found["running status after other messages: {}"] += 1
        interrupted = False
        size = 1 if 0xC0 <= status < 0xE0 else 2
        if position + size > end:
            position = end
            break
        _message(track, tick, status, data[position : position + size], found)
        position += size
    return track, min(position, end)


def _variable(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of variable length, and the byte behind it. One of more than four bytes is more than any tick may be."""
    value = 0
    for place in range(position, end):
        value = (value << 7 | data[place] & 0x7F) & 0x7FFFFFFFFF
        if data[place] < 0x80:
            return value, place + 1
    return value, end


def _meta(track: _Track, tick: int, kind: int, body: bytes, found: Counter[str]) -> None:
    """Keep a meta event unless it says what cannot be."""
    if kind == META_END:
        return
    if kind == META_TEMPO and (len(body) != 3 or not any(body)):
        found["tempi that do not exist left out: {}"] += 1
    elif kind == META_METER and (len(body) < 2 or body[0] == 0 or body[1] > 6):
        found["meters that do not exist left out: {}"] += 1
    elif kind == META_KEY and (len(body) != 2 or not -7 <= int.from_bytes(body[:1], signed=True) <= 7 or body[1] > 1):
        found["keys that do not exist left out: {}"] += 1
    else:
        body = (body + b"\x18\x08")[:4] if kind == META_METER and len(body) < 4 else body
        track.events.append((tick, b"\xff" + bytes([kind]) + _number(len(body)) + body))


def _message(track: _Track, tick: int, status: int, body: bytes, found: Counter[str]) -> None:
    """Keep a channel message, its values brought to 0..127 where that is what was meant."""
    kind, channel = status & 0xF0, status & 0x0F
    if max(body) > 127:
        if kind == 0xC0:
            found["programs over 127 left out: {}"] += 1
            return
        if kind in (0x80, 0x90, 0xA0) and body[0] > 127:
            found["notes and note-offs at pitches over 127 left out: {}"] += 1
            return
        if kind == 0xB0 and body[0] > 127:
            found["controllers over 127 left out: {}"] += 1
            return
        found["values over 127 taken as 127: {}"] += 1
        body = bytes(min(value, 127) for value in body)
    if kind in (0x80, 0x90):
        track.keys[channel, body[0]].append(len(track.events))
    track.events.append((tick, bytes([status]) + body))


def _end_hanging_notes(track: _Track, division: int, found: Counter[str]) -> None:
    """Give an end to every note that has none: the end of its twin of the same onset, the next onset of its pitch, or the track's end.

    None lasts more than a whole note. Only pitches with such notes are paired anew; all others stay as they are, first in, first out.
    """
    longest = QUARTERS_OF_A_HANGING_NOTE * division
    dropped: set[int] = set()
    ends: list[tuple[int, bytes]] = []
    for (channel, pitch), indices in track.keys.items():
        if _hanging(track, indices) == 0:
            continue
        notes: list[list[int]] = []  # onset and end
        sounding: deque[list[int]] = deque()  # all of one onset
        twin_end = 0
        early: Counter[int] = Counter()  # note-offs that stand before their note-on at the same tick
        for index in indices:
            tick, event = track.events[index]
            if event[0] & 0xF0 == 0x90 and event[2] > 0:
                if sounding and sounding[0][0] < tick:
                    found[HANGING] += len(sounding)
                    for note in sounding:
                        note[1] = twin_end or min(tick, note[0] + longest)
                    sounding.clear()
                if not sounding:
                    twin_end = 0
                notes.append([tick, tick + 1])
                if early[tick]:
                    early[tick] -= 1
                    found["note-offs before their note-on: {}"] += 1
                else:
                    sounding.append(notes[-1])
            else:
                dropped.add(index)
                if sounding:
                    note = sounding.popleft()
                    twin_end = note[1] = max(tick, note[0] + 1)
                else:
                    early[tick] += 1
        for note in sounding:
            note[1] = twin_end or max(min(track.end, note[0] + longest), note[0] + 1)
        found[HANGING] += len(sounding)
        ends += [(end, bytes([0x80 | channel, pitch, 64])) for _, end in notes]
    if ends:
        kept = [event for index, event in enumerate(track.events) if index not in dropped]
        merged = [(tick, 0, event) for tick, event in ends] + [(tick, 1, event) for tick, event in kept]
        merged.sort(key=lambda entry: entry[:2])
        track.events = [(tick, event) for tick, _, event in merged]
        track.end = max(track.end, merged[-1][0])


def _hanging(track: _Track, indices: list[int]) -> int:
    """How many notes of one channel and pitch are still on at the end, the first note on being the first off."""
    on = 0
    for index in indices:
        event = track.events[index][1]
        on = on + 1 if event[0] & 0xF0 == 0x90 and event[2] > 0 else max(on - 1, 0)
    return on


def _smpte(division: int, tracks: list[_Track], found: Counter[str]) -> tuple[int, list[tuple[int, bytes]]]:
    """Ticks per quarter for a division in frames, and the one tempo that keeps every second: 25 frames of 40 ticks are 500 at 120.

    Tempo and meter events mean nothing in such a file and are left out.
    """
    frames, per_frame = -(division >> 8), division & 0xFF
    if frames not in SMPTE_RATES or per_frame == 0:
        raise InputError(f"the header says {frames} frames a second of {per_frame} ticks, so no time can be told")
    numerator, denominator = SMPTE_RATES[frames]
    nominal = math.ceil(numerator / denominator) * per_frame  # ticks in about a second
    ticks = nominal // 2 if nominal % 2 == 0 else nominal
    microseconds = round(1_000_000 * ticks * denominator / (numerator * per_frame))
    for track in tracks:
        track.events = [(tick, e) for tick, e in track.events if not (e[0] == 0xFF and e[1] in (META_TEMPO, META_METER))]
        track.keys.clear()
        for index, (_, event) in enumerate(track.events):
            if event[0] & 0xF0 in (0x80, 0x90):
                track.keys[event[0] & 0x0F, event[1]].append(index)
    found[f"time in SMPTE frames ({numerator / denominator:.5g} a second) taken as ticks at one tempo"] += 1
    return ticks, [(0, b"\xff\x51\x03" + microseconds.to_bytes(3))]


def _one_after_another(tracks: list[_Track], division: int) -> None:
    """Each pattern of format 2 begins at the bar line after the one before it."""
    start = 0
    for track in tracks:
        meters = [event[3:5] for _, event in track.events if event[:2] == bytes([0xFF, META_METER])]
        numerator, exponent = meters[-1] if meters else (4, 2)
        bar = max(4 * division * numerator >> exponent, 1)
        length = -(-max(track.end, 1) // bar) * bar
        if start + length > LAST_TICK:
            track.events = []
            continue
        track.events = [(tick + start, event) for tick, event in track.events]
        start += length if track.has_notes() else 0


def _written(tracks: list[_Track], division: int) -> bytes:
    parts = [b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), division)]
    for track in tracks:
        body = bytearray()
        now = 0
        for tick, event in track.events:
            while tick - now > LONGEST_DELTA:
                body += _number(LONGEST_DELTA) + b"\xff\x01\x00"  # an empty text, to wait longer than one delta can say
                now += LONGEST_DELTA
            body += _number(tick - now) + event
            now = tick
        body += b"\x00\xff\x2f\x00"
        parts += [b"MTrk" + struct.pack(">I", len(body)), bytes(body)]
    return b"".join(parts)


def _number(value: int) -> bytes:
    """Variable length: 200 is 81 48."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))

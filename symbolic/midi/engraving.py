"""Notes as they are written down: in voices, cut at bar lines and into values that can be printed, with ties and tuplets.

Times are units of `notation_grid`, 1680 to the quarter. A staff has four voices; a note for which none is free cuts the one that
would have stopped first. Where one voice has both halves and thirds of an eighth inside one sixteenth, one kind moves to the other.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from symbolic.midi.notation_grid import SIXTY_FOURTH, UNITS, Measure, WrittenNote

TUPLETS = {70: (3, 2), 84: (5, 4), 60: (7, 4)}  # unit: so many in the time of so many
SHORTEST_TUPLET = UNITS // 4  # the stretch below which a tuplet is not sought
MOST_VOICES = 4
# printable values in 64ths: name and dots
VALUES = {
    128: ("breve", 0), 96: ("whole", 1), 64: ("whole", 0), 48: ("half", 1), 32: ("half", 0), 24: ("quarter", 1), 16: ("quarter", 0),
    12: ("eighth", 1), 8: ("eighth", 0), 6: ("16th", 1), 4: ("16th", 0), 3: ("32nd", 1), 2: ("32nd", 0), 1: ("64th", 0),
}  # fmt: skip


@dataclass(slots=True)
class Chord:
    """Notes of one onset and one end, from low to high."""

    start: int
    end: int
    notes: list[WrittenNote]


@dataclass(slots=True)
class Piece:
    """One printed note, chord or rest (no notes) of `duration` units: `value` in 64ths, inside a tuplet or not."""

    duration: int
    value: int
    notes: list[WrittenNote] = field(default_factory=list)
    tied_from: bool = False
    tied_to: bool = False
    tuplet: tuple[int, int] | None = None
    opens: bool = False
    closes: bool = False


def chords_of(notes: list[WrittenNote]) -> list[Chord]:
    """Notes as chords, by time, and of one onset from high to low."""
    together: dict[tuple[int, int], list[WrittenNote]] = defaultdict(list)
    for note in notes:
        together[note.start, note.end].append(note)
    chords = [Chord(start, end, sorted(found, key=lambda note: note.pitch)) for (start, end), found in together.items()]
    return sorted(chords, key=lambda chord: (chord.start, -chord.notes[-1].pitch, chord.end))


def voices_of(chords: list[Chord], most: int = MOST_VOICES) -> list[list[Chord]]:
    """The chords dealt to at most `most` voices without overlaps in any.

    The first free voice takes the next chord; wherever all voices are free at once they are ordered anew from high to low.
    """
    voices: list[list[Chord]] = [[]]
    stretch: list[list[Chord]] = []
    end = 0
    for chord in chords:
        if chord.start >= end:
            _append(voices, stretch)
            stretch = []
        _deal(stretch, chord, most)
        end = max(voice[-1].end for voice in stretch)
    _append(voices, stretch)
    return [voice for voice in voices if voice]


def surplus_of(chords: list[Chord], most: int = MOST_VOICES) -> int:
    """How many voices more than `most` the chords would need at their thickest."""
    changes = sorted([(chord.start, 1) for chord in chords] + [(chord.end, -1) for chord in chords])
    return max(max(itertools.accumulate((change for _, change in changes)), default=0) - most, 0)


def engraved(voice: list[Chord], measures: list[Measure]) -> list[list[Piece]]:
    """For each measure the pieces of one voice, which fill it from end to end; none for a measure without notes."""
    voice = _aligned(voice, measures)
    borders = _borders(voice)
    written: list[list[Piece]] = []
    first = 0
    for measure in measures:
        while first < len(voice) and voice[first].end <= measure.start:
            first += 1
        last = first
        while last < len(voice) and voice[last].start < measure.end:
            last += 1
        windows = _windows(_inside(borders, measure), measure) if last > first else []
        written.append(list(_pieces(voice[first:last], windows, measure)) if last > first else [])
    return written


def rests(measure: Measure) -> list[Piece]:
    """A measure without notes in printable rests; a lone whole or double whole rest, which readers take for a full bar, in two halves."""
    pieces = list(_pieces([], [(0, measure.length, SIXTY_FOURTH)], measure))
    if len(pieces) == 1 and pieces[0].value >= 64:
        return [Piece(pieces[0].duration // 2, pieces[0].value // 2) for _ in range(2)]
    return pieces


def _append(voices: list[list[Chord]], stretch: list[list[Chord]]) -> None:
    """Put the voices of a stretch behind those of the whole, the highest first."""
    stretch.sort(key=lambda voice: -sum(note.pitch for chord in voice for note in chord.notes) / sum(len(c.notes) for c in voice))
    for index, voice in enumerate(stretch):
        if index == len(voices):
            voices.append([])
        voices[index] += voice


def _deal(voices: list[list[Chord]], chord: Chord, most: int) -> None:
    free = [voice for voice in voices if voice[-1].end <= chord.start]
    earlier = [voice for voice in voices if voice[-1].start < chord.start]
    if free:
        min(free, key=lambda voice: (chord.start - voice[-1].end, abs(voice[-1].notes[-1].pitch - chord.notes[-1].pitch))).append(chord)
    elif len(voices) < most:
        voices.append([chord])
    elif earlier:
        voice = min(earlier, key=lambda voice: voice[-1].end)
        voice[-1].end = chord.start
        voice.append(chord)
    else:
        _join(min(voices, key=lambda voice: abs(voice[-1].end - chord.end))[-1], chord)


def _join(chord: Chord, other: Chord) -> None:
    """Put the pitches of `other` into `chord`."""
    there = {note.pitch for note in chord.notes}
    chord.notes = sorted([*chord.notes, *(note for note in other.notes if note.pitch not in there)], key=lambda note: note.pitch)


def _borders(voice: list[Chord]) -> list[int]:
    return sorted({time for chord in voice for time in (chord.start, chord.end)})


def _inside(borders: list[int], measure: Measure) -> list[int]:
    """The borders strictly inside a measure, counted from its beginning."""
    first, last = bisect_right(borders, measure.start), bisect_left(borders, measure.end)
    return [border - measure.start for border in borders[first:last]]


def _windows(inner: list[int], measure: Measure) -> list[tuple[int, int, int]]:
    """The measure as (start, end, unit): stretches divided by 64ths, and tuplets."""
    if all(border % SIXTY_FOURTH == 0 for border in inner):
        return [(0, measure.length, SIXTY_FOURTH)]
    unit = measure.beat // 3 if measure.beat % 9 == 0 else measure.beat
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < measure.length:
        span = unit if measure.beat % 9 == 0 else 4 * UNITS
        while span > SIXTY_FOURTH and (start % span or start + span > measure.length):
            span //= 2
        found += _divided(inner, start, start + span, min(unit, UNITS))
        start += span
    return found


def _divided(inner: list[int], start: int, end: int, beat: int) -> list[tuple[int, int, int]]:
    """Stretches of one division each: plain tuplets of any length, richer ones inside one beat, 64ths elsewhere."""
    within = [border - start for border in inner[bisect_right(inner, start) : bisect_left(inner, end)]]
    length, middle = end - start, (end - start) // 2
    odd = [border for border in within if border % SIXTY_FOURTH]
    if not odd:
        return [(start, end, SIXTY_FOURTH)]
    for unit, (actual, _) in TUPLETS.items():
        if length % (unit * actual) == 0 and all(border % (length // actual) == 0 for border in within):
            return [(start, end, unit)]
    unit = next((u for u in TUPLETS if length % (u * TUPLETS[u][0]) == 0 and all(border % u == 0 for border in within)), 0)
    halves = length % (2 * SIXTY_FOURTH) == 0 and length >= 2 * SHORTEST_TUPLET
    one_sided = max(odd) < middle or min(odd) > middle
    if halves and (length > beat or middle in within or one_sided or not unit):
        return _divided(inner, start, start + middle, beat) + _divided(inner, start + middle, end, beat)
    if unit:
        return [(start, end, unit)]
    if length % 210:
        return [(start, end, SIXTY_FOURTH)]
    binary, ternary = (sum(abs(_nearest(border, u) - border) for border in within) for u in (SIXTY_FOURTH, 70))
    return [(start, end, 70 if ternary < binary else SIXTY_FOURTH)]


def _nearest(offset: int, unit: int) -> int:
    return round(offset / unit) * unit


def _aligned(voice: list[Chord], measures: list[Measure]) -> list[Chord]:
    """The voice with every border on the division of its window; on 64ths all over where a few attempts do not settle it."""
    for _ in range(4):
        places = _places(voice, measures)
        if all(place == border for border, (place, _) in places.items()):
            return voice
        voice = _moved(voice, places, measures[-1].end)
    return _moved(voice, {border: (_nearest(border, SIXTY_FOURTH), SIXTY_FOURTH) for border in _borders(voice)}, measures[-1].end)


def _places(voice: list[Chord], measures: list[Measure]) -> dict[int, tuple[int, int]]:
    """For each border inside a measure its place on the division of its window, and the unit of that."""
    borders = _borders(voice)
    places: dict[int, tuple[int, int]] = {}
    for measure in measures:
        inner = _inside(borders, measure)
        for start, end, unit in _windows(inner, measure) if inner else ():
            for border in inner[bisect_right(inner, start) : bisect_left(inner, end)]:
                places[measure.start + border] = (measure.start + start + _nearest(border - start, unit), unit)
    return places


def _moved(voice: list[Chord], places: dict[int, tuple[int, int]], last: int) -> list[Chord]:
    """The voice with its borders moved; chords of one onset become one, and one that vanishes lasts a unit where there is room."""
    made: list[Chord] = []
    units: list[int] = []
    for chord in voice:
        start, unit = places.get(chord.start, (chord.start, SIXTY_FOURTH))
        end = places.get(chord.end, (chord.end, 0))[0]
        if made and made[-1].start == start:
            _join(made[-1], chord)
            made[-1].end = max(made[-1].end, end)
        else:
            made.append(Chord(start, end, chord.notes))
            units.append(unit)
    for index, (chord, unit) in enumerate(zip(made, units, strict=True)):
        if chord.end <= chord.start:
            chord.end = min(chord.start + unit, made[index + 1].start if index + 1 < len(made) else last)
    return [chord for chord in made if chord.end > chord.start]


def _pieces(chords: list[Chord], windows: list[tuple[int, int, int]], measure: Measure) -> Iterator[Piece]:
    """The notes and rests of one voice in one measure, in order."""
    tuplets = [window for window in windows if window[2] in TUPLETS]
    inner = _inside(_borders(chords), measure)
    cuts = sorted({0, measure.length, *inner, *(edge for start, end, _ in tuplets for edge in (start, end))})
    which = window = 0
    for start, end in itertools.pairwise(cuts):
        while which < len(chords) and chords[which].end - measure.start <= start:
            which += 1
        sounding = chords[which] if which < len(chords) and chords[which].start - measure.start <= start else None
        while window < len(tuplets) and tuplets[window][1] <= start:
            window += 1
        inside = window < len(tuplets) and tuplets[window][0] <= start
        unit = tuplets[window][2] if inside else SIXTY_FOURTH
        place = start
        for value in _values(start // unit if not inside else 0, (end - start) // unit, measure, sounding is None, inside):
            stop = place + value * unit
            piece = Piece(value * unit, value, tuplet=TUPLETS.get(unit))
            if sounding is not None:
                piece.notes = sounding.notes
                piece.tied_from, piece.tied_to = place + measure.start > sounding.start, stop + measure.start < sounding.end
            if inside:
                piece.opens, piece.closes = place == tuplets[window][0], stop == tuplets[window][1]
            yield piece
            place = stop


def _values(place: int, count: int, measure: Measure, rest: bool, inside: bool) -> Iterator[int]:
    """Printable values, in 64ths, that together last `count`, the first standing `place` 64ths after the bar line."""
    beat = measure.beat // SIXTY_FOURTH
    while count > 0:
        fitting = (value for value in VALUES if value <= count)
        value = next(value for value in fitting if inside or _stands_well(place, value, beat, rest))
        yield value
        place, count = place + value, count - value


def _stands_well(place: int, value: int, beat: int, rest: bool) -> bool:
    """Whether a value may begin here without hiding the beats: on a beat, within one, or as a plain syncopation."""
    dots = VALUES[value][1]
    if rest:
        if beat % 3:
            return not dots and place % value == 0
        return place % beat + value <= beat and place % beat % value == 0 if not dots else place % beat == 0 and value % beat == 0
    if place % beat == 0:
        return beat % 3 > 0 or value < beat or value % beat == 0
    if place // beat == (place + value - 1) // beat:
        return place % (value // 3 if dots else value // 2 or 1) == 0
    return not dots and beat % 3 > 0 and value <= 2 * beat and place % (value // 2 or 1) == 0

"""Ids to a score, whole arrays at a time: what MidiTok's REMI makes of them, and notes that overlap on tracks of their own.

Any ids of the vocabulary decode, in any order, as MidiTok decodes them:
    meters      before the first TimeSig the meter is that one, or 4/4 where a note comes first
    time        a Bar begins one bar of the meter in force after the last; a Position counts from its bar, in the meter in force
    notes       Pitch, Velocity and Duration that follow each other, of the last Program; other such tokens stand for nothing
    the rest    a TimeSig unlike the one in force is a meter where it stands; every Tempo is a tempo where it stands
Source: MidiTok 3.1 `REMI._tokens_to_score`. On purpose other: tracks are called as in `midi/programs.py`.
"""

import itertools

import numpy as np
from symusic.core import (
    NoteTickList,
    ScoreTick,
    TempoTick,
    TempoTickList,
    TimeSignatureTick,
    TimeSignatureTickList,
    TrackTick,
    TrackTickList,
)

from symbolic.errors import InputError
from symbolic.midi.meter import DEFAULT_METER
from symbolic.midi.programs import PROGRAM_NAMES
from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.preparation import DRUM_RANK
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

LAST_TICK = 2**31 - 1
BAR, TIME_SIGNATURE, POSITION, TEMPO, PROGRAM, PITCH, DRUM_PITCH, VELOCITY, DURATION = range(TokenType.BAR, TokenType.DURATION + 1)


class Decoder:
    """The tables of one vocabulary, and the decoding of ids with them. Ticks are positions of the shortest beat."""

    def __init__(self, vocabulary: Vocabulary, settings: TokenizerSettings) -> None:
        self.vocabulary = vocabulary
        self.shortest = max(settings.meters)
        self.ticks_per_quarter = settings.positions_per_beat * self.shortest // 4
        tempos = vocabulary.tempos[vocabulary.of_type(TokenType.TEMPO)]
        self.default_tempo = float(tempos[np.abs(tempos - 120).argmin()])

    def decode(self, ids: np.ndarray) -> ScoreTick:
        """The score of `ids` (T,), none of them PAD, BOS or EOS. Raises `InputError` when it is longer than MIDI can count."""
        vocabulary = self.vocabulary
        types, values = vocabulary.types.take(ids), vocabulary.values.take(ids)
        is_pitch = (types == PITCH) | (types == DRUM_PITCH)
        meter_at, tempo_at = (types == TIME_SIGNATURE).nonzero()[0], (types == TEMPO).nonzero()[0]
        told = list(zip(vocabulary.numerators[ids[meter_at]].tolist(), vocabulary.denominators[ids[meter_at]].tolist(), strict=True))
        before = meter_at[0] if told else len(ids)
        sounds = is_pitch[:before] | (types[:before] == VELOCITY) | (types[:before] == DURATION)
        meters = [told[0] if told and not sounds.any() else DEFAULT_METER, *told]
        steps = np.array([max(1, self.shortest // lower) for _, lower in meters], dtype=np.int64)  # ticks of a position
        lengths = np.array([4 * self.ticks_per_quarter * upper // lower for upper, lower in meters], dtype=np.int64)

        clock_at = ((types == BAR) | (types == POSITION)).nonzero()[0]
        is_bar = types[clock_at] == BAR
        meter = meter_at.searchsorted(clock_at)  # how many TimeSigs came before
        bars = np.where(is_bar, lengths[meter], 0)
        bars[:1] = 0  # the first bar begins at 0; a Position before any bar has begun one
        clock = np.append(0, np.cumsum(bars) + np.where(is_bar, 0, values[clock_at] * steps[meter]))

        note_at = (is_pitch[:-2] & (types[1:-1] == VELOCITY) & (types[2:] == DURATION)).nonzero()[0]
        program_at = (types == PROGRAM).nonzero()[0]
        programs = np.append(0, values[program_at])[program_at.searchsorted(note_at)]
        onsets = clock[clock_at.searchsorted(note_at)]
        durations = values[note_at + 2] * steps[meter_at.searchsorted(note_at)]
        end = int(max(clock.max(), (onsets + durations).max(initial=0)))
        if end > LAST_TICK:
            raise InputError(f"these {len(ids)} tokens last {end} ticks, more than a score can count ({LAST_TICK})")

        score = ScoreTick(self.ticks_per_quarter)
        notes = np.stack([onsets, durations, values[note_at], values[note_at + 1]])
        score.tracks = TrackTickList(part_tracks(programs, notes))
        tempos = list(zip(clock[clock_at.searchsorted(tempo_at)].tolist(), vocabulary.tempos[ids[tempo_at]].tolist(), strict=True))
        if not tempos or tempos[0][0] != 0:
            tempos.insert(0, (0, self.default_tempo))
        score.tempos = TempoTickList([TempoTick(tick, tempo) for tick, tempo in tempos])
        ticks = clock[clock_at.searchsorted(meter_at)].tolist()
        changes = [(tick, *new) for tick, new, old in zip(ticks, told, meters, strict=False) if new != old]
        score.time_signatures = TimeSignatureTickList([TimeSignatureTick(*change) for change in [(0, *meters[0]), *changes]])
        return score


def part_tracks(programs: np.ndarray, notes: np.ndarray) -> list[TrackTick]:
    """Notes by time on one track a program, in the order in which the programs come, and on further tracks where they overlap.

    `programs` (N,) are −1 for drums; `notes` (4, N) are onsets, durations (ticks), pitches and velocities.
    A MIDI file says that a pitch stops, not which of its notes: readers stop the earliest, or all. So no pitch is struck on a
    track while it sounds there.
    Example: C4 from beat 0 to 4 and C4 from 1 to 2 give two tracks, because read back from one they would be 0 to 2 and 1 to 4.
    """
    first = np.full(DRUM_RANK + 1, len(programs))
    first[programs[::-1]] = np.arange(len(programs))[::-1]  # of equal places the last written counts; drums, −1, are the last place
    order = np.argsort(notes[0], kind="stable")
    programs, notes = programs[order], notes[:, order]
    parts = _parts(programs, notes)
    order = np.lexsort((parts, programs)) if parts.any() else np.argsort(programs, kind="stable")
    programs, parts = programs[order], parts[order]
    onsets, durations, pitches, velocities = (
        field[order].astype(kind) for field, kind in zip(notes, (np.int32, np.int32, np.int8, np.int8), strict=True)
    )
    edges = np.flatnonzero((programs[1:] != programs[:-1]) | (parts[1:] != parts[:-1])) + 1
    tracks = []
    for start, stop in itertools.pairwise([0, *edges.tolist(), len(programs)] if len(programs) else []):
        program = int(programs[start])
        drums = program == DRUMS
        track = TrackTick("Drums" if drums else PROGRAM_NAMES[program], 0 if drums else program, drums)
        track.notes = NoteTickList.from_numpy(onsets[start:stop], durations[start:stop], pitches[start:stop], velocities[start:stop])
        tracks.append((int(first[program]), track))
    return [track for _, track in sorted(tracks, key=lambda place_and_track: place_and_track[0])]


def _parts(programs: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """For each note the first track of its program on which its pitch does not sound at its onset, (N,); notes are by time."""
    voices = programs * 128 + notes[2]
    order = voices.astype(np.int16).argsort(kind="stable")
    voice, onset, end = voices[order], notes[0, order], notes[0, order] + notes[1, order]
    apart = voice * (int(end.max(initial=0)) + 1)  # one voice after the other on one line of time
    sounding = np.maximum.accumulate(apart + end)
    begins = np.ones(len(voice), dtype=bool)  # notes struck when their pitch is silent; up to the next such note all overlap
    np.greater_equal((apart + onset)[1:], sounding[:-1], out=begins[1:])
    parts = np.zeros(len(voice), dtype=np.int64)
    if begins.all():
        return parts
    parts[order[~begins]] = 1  # right for a note that overlaps one other
    firsts = begins.nonzero()[0]
    lasts = np.append(firsts[1:], len(voice))
    many = lasts - firsts > 2
    for first, last in zip(firsts[many].tolist(), lasts[many].tolist(), strict=True):
        ends: list[int] = []
        for place, start, stop in zip(order[first:last].tolist(), onset[first:last].tolist(), end[first:last].tolist(), strict=True):
            for part, busy in enumerate(ends):
                if busy <= start:
                    ends[part] = stop
                    break
            else:
                part = len(ends)
                ends.append(stop)
            parts[place] = part
    return parts

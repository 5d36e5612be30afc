"""Notes to ids, whole arrays at a time: the ids of MidiTok's REMI, with the notes of an onset in one order.

How MidiTok tells time, which this follows to the tick:
    grid        a beat of the score's shortest beat has `positions_per_beat` ticks; times are rounded to it, half away from zero
    meters      cut down to the grid, then delayed to the next bar line where they stand inside a bar
    long beats  in meters of longer beats, onsets and tempos are rounded to a position, half to even
    durations   the nearest of the duration steps in the beat of the onset, the longer one where two are as near
    tempos      the nearest step; of several at one tick the last; one like the one before is not told
A bar is Bar TimeSig; every tick with a tempo or a note has a Position, then Tempo, then Program Pitch Velocity Duration of each note.
Source: MidiTok 3.1, `MusicTokenizer.preprocess_score` and `REMI`; on purpose other is the order inside an onset (`order.py`).
"""

import itertools

import numpy as np

from symbolic.tokenizers.names import DRUMS
from symbolic.tokenizers.order import NOTE_TOKENS
from symbolic.tokenizers.preparation import DRUM_RANK, PreparedScore, refuse_runaway
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

PITCH_BITS = 7
RANK_BITS = 8
WORD_BITS = 63
JUST_BELOW_HALF = np.nextafter(0.5, 0)  # added to 0.5 it gives 1 as a half does, and added to itself not


class Encoder:
    """The tables of one vocabulary, and the encoding of prepared scores with them.

    A note is one whole number, from its highest bits down: tick, 1 + rank, pitch, duration step, velocity step. A tempo is
    one too, with the rank 0 and its step below. Sorting these numbers puts the tokens in order.
    """

    def __init__(self, vocabulary: Vocabulary, settings: TokenizerSettings) -> None:
        self.settings = settings
        self.bar = vocabulary.bar
        self.meter_ids = {
            (int(vocabulary.numerators[id_]), int(vocabulary.denominators[id_])): int(id_)
            for id_ in vocabulary.of_type(TokenType.TIME_SIGNATURE)
        }
        velocities, durations = vocabulary.of_type(TokenType.VELOCITY), vocabulary.of_type(TokenType.DURATION)
        tempos = vocabulary.of_type(TokenType.TEMPO)[::-1]  # fast ones have the fewest microseconds
        self.first_position = int(vocabulary.of_type(TokenType.POSITION)[0])
        self.first_velocity, self.first_duration = int(velocities[0]), int(durations[0])
        self.duration_values = vocabulary.values[durations].astype(np.int64)
        self.duration_tables: dict[int, np.ndarray] = {}
        by_byte = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
        self.velocity_steps = _nearest(vocabulary.values[velocities].astype(np.int64), by_byte)
        self.tempo_ids = tempos.astype(np.uint16)
        self.tempo_limits = _limits(60_000_000 / vocabulary.tempos[tempos])
        self.velocity_bits = (len(velocities) - 1).bit_length()
        # The step of a tempo lies where pitch, duration and velocity of a note lie: they must hold it.
        self.duration_bits = max((len(durations) - 1).bit_length(), (len(tempos) - 1).bit_length() - PITCH_BITS - self.velocity_bits)
        self.rank_shift = PITCH_BITS + self.duration_bits + self.velocity_bits
        ids = {
            kind: {int(vocabulary.values[id_]): int(id_) for id_ in vocabulary.of_type(kind)}
            for kind in (TokenType.PROGRAM, TokenType.PITCH, TokenType.DRUM_PITCH)
        }
        ranks = [*range(DRUM_RANK), DRUMS]
        self.program_ids = np.array([0, *(ids[TokenType.PROGRAM][program] for program in ranks)], dtype=np.uint16)
        pitches = [ids[TokenType.DRUM_PITCH if program == DRUMS else TokenType.PITCH] for program in ranks]
        self.pitch_ids = np.array([of[pitch] for of in pitches[:1] + pitches for pitch in range(128)], dtype=np.uint16)

    def encode(self, score: PreparedScore) -> np.ndarray:
        """Ids of a prepared score, uint16, shape (T,). Raises `InputError` for runaway files, see `refuse_runaway`."""
        quarter = self.settings.positions_per_beat * max([denominator for _, _, denominator in score.sections]) // 4
        times, sections, notes = np.concatenate((score.onsets, score.durations, score.tempo_ticks)), score.sections, len(score.onsets)
        if quarter != score.ticks_per_quarter:
            ratio = quarter / score.ticks_per_quarter
            times = _rounded(times * ratio)
            sections = [(int(tick * ratio), numerator, denominator) for tick, numerator, denominator in sections]
        times = times.astype(np.int64, copy=False)
        bars = _Bars(_delayed(sections, quarter), quarter, self.settings.positions_per_beat)
        onsets, tempo_ticks = bars.on_positions(times[:notes]), bars.on_positions(times[2 * notes :])
        fields = ((score.ranks + 1) << PITCH_BITS) + score.pitches
        fields = (fields << self.duration_bits) + self._duration_steps(times[notes : 2 * notes], onsets, bars)
        fields = (fields << self.velocity_bits) + self.velocity_steps.take(score.velocities.view(np.uint8))
        tempo_ticks, tempos = _changes(tempo_ticks, self.tempo_limits.searchsorted(score.tempos, side="right"))
        return self._laid_out(*self._sorted(np.concatenate((tempo_ticks, onsets)), np.concatenate((tempos, fields))), bars)

    def _duration_steps(self, durations: np.ndarray, onsets: np.ndarray, bars: "_Bars") -> np.ndarray:
        """Index of the duration token of each note; 100 ticks of 4 a position are 25 positions."""
        if not bars.mixed:
            return self._duration_table(bars.ticks_per_position[0]).take(durations, mode="clip")
        steps = np.empty_like(durations)
        per_position = np.array(bars.ticks_per_position)[bars.section_of(onsets)]
        for ticks in set(bars.ticks_per_position):
            chosen = per_position == ticks
            steps[chosen] = self._duration_table(ticks).take(durations[chosen], mode="clip")
        return steps

    def _duration_table(self, ticks_per_position: int) -> np.ndarray:
        """The duration step for every length in ticks, the last for all longer ones."""
        if ticks_per_position not in self.duration_tables:
            values = self.duration_values * ticks_per_position
            self.duration_tables[ticks_per_position] = _nearest(values, np.arange(values[-1] + 1))
        return self.duration_tables[ticks_per_position]

    def _sorted(self, ticks: np.ndarray, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both by tick, then field: as one number each, where it fits into 63 bits."""
        bits = RANK_BITS + self.rank_shift
        if int(ticks.max()).bit_length() + bits > WORD_BITS:
            order = np.lexsort((fields, ticks))
            return ticks[order], fields[order]
        words = (ticks << bits) + fields
        words.sort(kind="stable")  # merges the tracks, which are nearly in order
        return words >> bits, words & (1 << bits) - 1

    def _laid_out(self, ticks: np.ndarray, fields: np.ndarray, bars: "_Bars") -> np.ndarray:
        """The ids of sorted events, with Bar, TimeSig and Position tokens between them."""
        opens = np.ones(len(ticks), dtype=bool)
        np.not_equal(ticks[1:], ticks[:-1], out=opens[1:])
        firsts = opens.nonzero()[0]  # the first event of each onset, the tempo if there is one
        is_tempo = fields < 1 << self.rank_shift
        tempo_events = is_tempo.nonzero()[0]
        onsets, notes, count = len(firsts), len(fields) - len(tempo_events), bars.count(int(ticks[-1]))
        refuse_runaway(count, notes, self.settings)
        # Before each onset, and last at the end: a Position for every earlier onset, 4 tokens for a note, 1 for a tempo …
        before = np.empty(onsets + 1, dtype=np.intp)
        before[:-1] = NOTE_TOKENS * firsts + np.arange(onsets) - (NOTE_TOKENS - 1) * tempo_events.searchsorted(firsts)
        before[-1] = NOTE_TOKENS * notes + onsets + len(tempo_events)
        # … and 2 for a bar.
        bar_tokens, lines = 2 * np.arange(count), bars.lines(count)
        meter_ids = bars.of_bars([self.meter_ids[meter] for meter in bars.meters], count)
        first_onsets = np.append(ticks[firsts].searchsorted(lines), onsets)
        onsets_of_bar = first_onsets[1:] - first_onsets[:-1]
        position = bars.positions(ticks[firsts] - lines.repeat(onsets_of_bar), onsets_of_bar)
        at_bars = before[first_onsets[:-1]] + bar_tokens
        at_onsets = before[:-1] + (bar_tokens + 2).repeat(onsets_of_bar)
        places = np.concatenate((at_bars, at_bars + 1, at_onsets, at_onsets[is_tempo[firsts]] + 1))
        tokens = np.concatenate((np.full(count, self.bar), meter_ids, self.first_position + position, self.tempo_ids[fields[tempo_events]]))
        ids = np.empty(2 * count + int(before[-1]), dtype=np.uint16)
        ids[places] = tokens.astype(np.uint16)
        of_notes = np.ones(len(ids), dtype=bool)
        of_notes[places] = False
        ids[of_notes] = self._note_ids(fields[~is_tempo]).ravel()
        return ids

    def _note_ids(self, fields: np.ndarray) -> np.ndarray:
        """Program Pitch Velocity Duration of each note, uint16, shape (N, 4)."""
        ids = np.empty((len(fields), NOTE_TOKENS), dtype=np.uint16)
        ids[:, 0] = self.program_ids.take(fields >> self.rank_shift)
        ids[:, 1] = self.pitch_ids.take(fields >> self.duration_bits + self.velocity_bits)
        ids[:, 2] = (fields & (1 << self.velocity_bits) - 1) + self.first_velocity
        ids[:, 3] = (fields >> self.velocity_bits & (1 << self.duration_bits) - 1) + self.first_duration
        return ids


class _Bars:
    """Where bars and positions lie: sections of one meter each, in ticks of the grid."""

    def __init__(self, sections: list[tuple[int, int, int]], quarter: int, positions_per_beat: int) -> None:
        self.starts = [start for start, _, _ in sections]
        self.meters = [(numerator, denominator) for _, numerator, denominator in sections]
        beats = [4 * quarter // denominator for _, denominator in self.meters]
        self.lengths = [beat * numerator for beat, (numerator, _) in zip(beats, self.meters, strict=True)]
        self.ticks_per_position = [beat // positions_per_beat for beat in beats]
        self.mixed = len(set(beats)) > 1
        self.first_bars = [0]
        for start, stop, length in zip(self.starts, self.starts[1:], self.lengths, strict=False):
            self.first_bars.append(self.first_bars[-1] + (stop - start) // length)

    def section_of(self, ticks: np.ndarray) -> np.ndarray:
        """The section each tick lies in."""
        return np.searchsorted(self.starts[1:], ticks, side="right")

    def count(self, tick: int) -> int:
        """Number of bars, to that of `tick` or to the first in the last meter."""
        return self.first_bars[-1] + max(tick - self.starts[-1], 0) // self.lengths[-1] + 1

    def of_bars(self, of_section: list[int], count: int) -> np.ndarray:
        """For each of `count` bars what its section has, int64."""
        if len(of_section) == 1:
            return np.full(count, of_section[0])
        return np.array(of_section).repeat(np.diff([*self.first_bars, count]))

    def lines(self, count: int) -> np.ndarray:
        """The first tick of each of `count` bars, int64."""
        lengths = self.of_bars(self.lengths, count)
        return lengths.cumsum() - lengths

    def positions(self, ticks: np.ndarray, onsets_of_bar: np.ndarray) -> np.ndarray:
        """Positions in their bars of onsets so many ticks after their bar lines; `onsets_of_bar` says how many each bar has."""
        if not self.mixed:
            return ticks // self.ticks_per_position[0]
        return ticks // self.of_bars(self.ticks_per_position, len(onsets_of_bar)).repeat(onsets_of_bar)

    def on_positions(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks rounded to a position of their beat, half to even, counted from where that beat came into force."""
        if not self.mixed:
            return ticks
        grids = list(zip(self.starts, self.ticks_per_position, strict=True))
        grids = grids[:1] + [grid for last, grid in itertools.pairwise(grids) if grid[1] != last[1]]
        starts, steps = np.array(grids).T
        grid_of = starts[1:].searchsorted(ticks, side="right")
        start, step = starts[grid_of], steps[grid_of]
        return start + np.rint((ticks - start) / step).astype(np.int64) * step


def _delayed(sections: list[tuple[int, int, int]], quarter: int) -> list[tuple[int, int, int]]:
    """Sections by MidiTok's rules: each meter from the next bar line on, the last of one tick, none twice in a row.

    Example, at 48 ticks a quarter: 3/4 from 0 and 2/4 from 100 (the bar ends at 144) gives 2/4 from 144.
    """
    kept: list[tuple[int, int, int]] = []
    for tick, numerator, denominator in sections:
        if kept:
            last, upper, lower = kept[-1]
            if (numerator, denominator) == (upper, lower):
                continue
            length = 4 * quarter // lower * upper
            tick = last - (last - max(tick, last)) // length * length
            if tick == last:
                kept.pop()
                if kept and kept[-1][1:] == (numerator, denominator):
                    continue
        kept.append((tick, numerator, denominator))
    return kept


def _changes(ticks: np.ndarray, tempos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tempos by tick that change something: the last of each tick, unless it is like the one before."""
    if len(ticks) > 1:
        last = np.append(ticks[1:] != ticks[:-1], True)
        ticks, tempos = ticks[last], tempos[last]
        new = np.append(True, tempos[1:] != tempos[:-1])
        ticks, tempos = ticks[new], tempos[new]
    return ticks, tempos


def _rounded(times: np.ndarray) -> np.ndarray:
    """Times from 0 up, rounded half up, int64; below 0 something not above 0."""
    return (times + JUST_BELOW_HALF).astype(np.int64)


def _nearest(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index of the nearest of the ascending `steps` for each value, the upper one where two are as near."""
    upper = np.searchsorted(steps, values)
    lower = np.maximum(upper - 1, 0)
    nearer = np.abs(values - steps[lower]) < np.abs(values - steps.take(upper, mode="clip"))
    return np.where((upper == len(steps)) | nearer, lower, upper)


def _limits(steps: np.ndarray) -> np.ndarray:
    """The least whole number that is nearest to each of the ascending `steps` but the first: for a search instead of distances.

    Example: steps 10.0, 20.0 and 40.0 have the limits 15 and 30 (as near to both: the upper).
    """
    lower, upper = steps[:-1], steps[1:]
    limits = np.floor((lower + upper) / 2) - 1
    for _ in range(3):
        limits += np.abs(limits - lower) < np.abs(limits - upper)
    return limits.astype(np.int64)

"""What of a score is told in tokens: its notes as arrays, its tempos, and complete bars; and bounds on runaway files.

Units: ticks of the score; tempos in microseconds a quarter note. Arrays are in no order: the encoder sorts once, at the end.
"""

from dataclasses import dataclass

import numpy as np
from symusic.core import (
    NoteTickList,
    ScoreQuarter,
    ScoreSecond,
    ScoreTick,
    TempoTickList,
    TimeSignatureTick,
    TimeSignatureTickList,
    TrackTick,
)

from symbolic.errors import InputError
from symbolic.midi.meter import complete_sections, count_section_bars, meter_sections, without_repeats
from symbolic.tokenizers.settings import TokenizerSettings

DRUM_RANK = 128
DEFAULT_TEMPO = 500_000  # microseconds a quarter note: MIDI's own 120
NO_NOTES = (*(np.zeros(0, dtype=np.int32),) * 2, *(np.zeros(0, dtype=np.int8),) * 2)


@dataclass(frozen=True)
class PreparedScore:
    """The notes of a score (N,), its tempos (K,) and complete bars; drums have rank 128, other notes their program."""

    ticks_per_quarter: int
    ranks: np.ndarray
    """Program of each note, int64; 128 for drums."""
    onsets: np.ndarray
    durations: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray
    tempo_ticks: np.ndarray
    """Ascending, the first 0."""
    tempos: np.ndarray
    """Microseconds a quarter note."""
    sections: list[tuple[int, int, int]]
    """Meters as (tick, numerator, denominator), each one of the settings', every bar complete; the first at tick 0."""

    def score(self) -> ScoreTick:
        """The same as a score: one track a program, drums last, notes by time. What a plain REMI tokenizer would be given."""
        score = ScoreTick(self.ticks_per_quarter)
        for rank in np.unique(self.ranks).tolist():
            track = TrackTick("", 0 if rank == DRUM_RANK else rank, rank == DRUM_RANK)
            order = np.flatnonzero(self.ranks == rank)
            order = order[np.argsort(self.onsets[order], kind="stable")]
            track.notes = NoteTickList.from_numpy(self.onsets[order], self.durations[order], self.pitches[order], self.velocities[order])
            score.tracks.append(track)
        score.tempos = TempoTickList.from_numpy(self.tempo_ticks.astype(np.int32), self.tempos.astype(np.int32))
        score.time_signatures = TimeSignatureTickList([TimeSignatureTick(*section) for section in self.sections])
        return score


def prepare_score(
    score: ScoreTick | ScoreQuarter | ScoreSecond, settings: TokenizerSettings, meters: frozenset[tuple[int, int]]
) -> PreparedScore:
    """The music of a score under meters out of `meters`.

    Raises `InputError` for a score without time, with notes before its beginning, or with more bars, or more bars without
    a note, than the settings allow: all by arithmetic, before a bar is made.
    """
    if score.ticks_per_quarter <= 0:
        raise InputError(f"a score of {score.ticks_per_quarter} ticks per quarter note has no time to be told")
    told: ScoreTick = score if isinstance(score, ScoreTick) else score.to("tick")  # type: ignore[assignment]  # symusic types `to` as Self
    ranks, arrays = [], []
    for track in told.tracks:
        if len(track.notes) and (track.is_drum or track.program < DRUM_RANK):  # MIDI has no other programs, a program may make them
            notes = track.notes.numpy()
            ranks.append(DRUM_RANK if track.is_drum else track.program)
            arrays.append((notes["time"], notes["duration"], notes["pitch"], notes["velocity"]))
    end = 0
    onsets, durations, pitches, velocities = (np.concatenate(field) for field in zip(*(arrays or [NO_NOTES]), strict=True))
    if arrays:
        if onsets.min() < 0:
            raise InputError(f"a note begins at tick {onsets.min()}, before the beginning: its delta times are broken")
        end = max(int(np.add(onsets, durations, dtype=np.int64).max()), int(onsets.max()) + 1)  # a note of no length lasts a tick
    tempo_ticks, tempos = _tempos(told)
    sections = complete_sections(meter_sections(told), end, told.ticks_per_quarter, meters)
    # Bars are written up to the last tempo and meter too.
    last = max(end, int(tempo_ticks[-1]) + 1, sections[-1][0] + 1)
    refuse_runaway(count_section_bars(without_repeats(sections), last, told.ticks_per_quarter), len(onsets), settings)
    note_ranks = np.array(ranks, dtype=np.int64).repeat([len(fields[0]) for fields in arrays])
    if arrays and pitches.min() < 0:  # the same: no pitch
        heard = pitches >= 0
        note_ranks, onsets, durations = note_ranks[heard], onsets[heard], durations[heard]
        pitches, velocities = pitches[heard], velocities[heard]
    return PreparedScore(told.ticks_per_quarter, note_ranks, onsets, durations, pitches, velocities, tempo_ticks, tempos, sections)


def refuse_runaway(bars: int, notes: int, settings: TokenizerSettings) -> None:
    """Raise `InputError` for more bars than `max_bars`, or more of them certainly without a note than `max_empty_bars`."""
    if bars > settings.max_bars:
        limit = settings.max_bars
        raise InputError(f"{bars} bars are more than {limit}: a broken tempo or delta time, or raise max_bars in the settings")
    if bars - notes > settings.max_empty_bars:
        raise InputError(
            f"{bars} bars with {notes} notes: at least {bars - notes} bars have none, more than {settings.max_empty_bars}: "
            "a broken tempo or delta time, or raise max_empty_bars in the settings"
        )


def _tempos(score: ScoreTick) -> tuple[np.ndarray, np.ndarray]:
    """Ticks and tempos by time, the first at tick 0: 120 where the score says nothing."""
    found = score.tempos.numpy()
    ticks, tempos = found["time"], found["mspq"]
    if len(ticks) > 1 and (ticks[1:] < ticks[:-1]).any():
        order = np.argsort(ticks, kind="stable")
        ticks, tempos = ticks[order], tempos[order]
    if not len(ticks) or ticks[0] > 0:
        zero, default = np.array([[0], [DEFAULT_TEMPO]], dtype=np.int32)
        return np.concatenate((zero, ticks)), np.concatenate((default, tempos))
    return np.maximum(ticks, 0), tempos

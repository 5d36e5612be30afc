"""The pitch of a voice on sound that comes in blocks of any sizes, with a bounded delay and bounded memory.

Conventions as in `pitch_tracking`, whose autocorrelation, candidates and costs are used: frame i of `hop` samples is described at its
middle. There the path of candidates is decided when all sound is known; here each frame is decided `look_ahead` frames later, on the
path that is the cheapest by then. Frames are computed `together` at a time whatever the blocks, so blocks change no bit of the result.
Frames without a pitch of their own are not filled in: their periodicity says so.
"""

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.pitch_tracking import (
    CANDIDATES,
    LEAP_COST,
    LONG_PERIOD_COST,
    SPAN,
    PitchTrack,
    candidates_of,
    refined_periods,
    repetition_of,
    spans,
)


class PitchStream:
    """Feed it sound (S,); what comes back, and `flush` at the end, is the track of every whole frame so far.

    `needed` samples after the middle of a frame must be known before it is computed.
    """

    def __init__(
        self, sample_rate: int, hop: int, lowest: float = 30.0, highest: float = 4200.0, look_ahead: int = 60, together: int = 64
    ) -> None:
        """Raises `ValueError` unless 0 < lowest < highest < sample_rate / 2, look_ahead ≥ 0 and together ≥ 1."""
        if not 0 < lowest < highest < sample_rate / 2:
            raise ValueError(f"pitches from {lowest} to {highest} Hz: they must rise, above 0 and below half of {sample_rate}")
        if look_ahead < 0 or together < 1:
            raise ValueError(f"look_ahead ({look_ahead}) must be at least 0 and together ({together}) at least 1")
        self.sample_rate, self.hop, self.lowest, self.highest = sample_rate, hop, lowest, highest
        self.look_ahead, self.together = look_ahead, together
        self._window, self._longest, before = spans(sample_rate, lowest, highest)
        self._size = self._window + self._longest - 1
        self.needed = self._size - before
        self._sound = np.zeros(max(0, before - hop // 2), np.float32)  # from the first sample that the next frame looks at
        self._skip = max(0, hop // 2 - before)
        self._samples = self._frames = self._given = 0
        self._repetition = np.zeros((0, self._longest), np.float32)  # of the frames not yet decided
        self._path = _Path(look_ahead)

    def process(self, sound: np.ndarray) -> PitchTrack:
        """The track of the frames (F,) that are decided after the next samples (S,), F may be 0."""
        self._samples += len(sound)
        self._sound = np.concatenate([self._sound, np.asarray(sound, np.float32)])
        if self._skip:
            dropped = min(self._skip, len(self._sound))
            self._sound, self._skip = self._sound[dropped:], self._skip - dropped
        return self._decided(self._whole_groups())

    def flush(self) -> PitchTrack:
        """The last frames, S // hop in all; nothing can be fed after this."""
        total = self._samples // self.hop
        missing = -(-(total - self._frames) // self.together) * self.together
        wanted = (missing - 1) * self.hop + self._size + self._skip
        self._sound = np.pad(self._sound, (0, max(0, wanted - len(self._sound))))[self._skip :]
        self._skip = 0
        track = self._decided(self._whole_groups(until=total), last=True)
        left = total - self._given + len(track.pitch)
        return PitchTrack(track.pitch[:left], track.periodicity[:left])

    def _whole_groups(self, until: int | None = None) -> list[float]:
        """The periods, in samples, of the frames that are decided by all groups whose sound is there."""
        chosen: list[float] = []
        step = self.together * self.hop
        while len(self._sound) >= step - self.hop + self._size and (until is None or self._frames < until):
            places = np.arange(self.together)[:, None] * self.hop + np.arange(self._size)
            repetition = repetition_of(self._sound[places], self._window, self._longest)
            periods, values = candidates_of(repetition, self.sample_rate / self.highest, self.sample_rate / self.lowest)
            chosen += self._path.add(periods, values)
            self._repetition = np.concatenate([self._repetition, repetition])
            self._sound = self._sound[step:]
            self._frames += self.together
        return chosen

    def _decided(self, coarse: list[float], last: bool = False) -> PitchTrack:
        if last:
            coarse = coarse + self._path.rest()
        count = len(coarse)
        self._given += count
        if not count:
            return PitchTrack(np.zeros(0), np.zeros(0))
        seen, self._repetition = self._repetition[:count], self._repetition[count:]
        period, periodicity = refined_periods(seen, np.array(coarse), SPAN * self.sample_rate, known=False)
        return PitchTrack(np.clip(self.sample_rate / period, self.lowest, self.highest), periodicity)


class _Path:
    """The cheapest path through the candidates of the frames so far, each frame decided `look_ahead` frames later."""

    def __init__(self, look_ahead: int) -> None:
        self._look_ahead = look_ahead
        self._periods = np.zeros((0, CANDIDATES))
        self._back = np.zeros((0, CANDIDATES), np.int64)
        self._total = np.zeros(CANDIDATES)
        self._best = 0.0  # of the values of the frame before

    def add(self, periods: np.ndarray, values: np.ndarray) -> list[float]:
        """The periods of the frames that are decided with the next frames (F, CANDIDATES)."""
        kept = len(self._periods)
        self._periods = np.concatenate([self._periods, periods])
        self._back = np.concatenate([self._back, np.zeros(periods.shape, np.int64)])
        chosen = np.zeros(len(self._periods))
        count = int(_decide_loop(self._periods, np.asarray(values, np.float64), self._back, self._total, self._best, kept,
                                 self._look_ahead, LEAP_COST, LONG_PERIOD_COST, chosen))  # fmt: skip
        self._best = float(values[-1].max())
        self._periods, self._back = self._periods[count:], self._back[count:]
        return chosen[:count].tolist()

    def rest(self) -> list[float]:
        """The periods of the frames that are not yet decided."""
        place = int(self._total.argmin())
        found: list[float] = []
        for frame in range(len(self._periods) - 1, -1, -1):
            found.append(float(self._periods[frame, place]))
            place = self._back[frame, place]
        return found[::-1]


@compiled
def _decide_loop(
    periods: np.ndarray,
    values: np.ndarray,
    back: np.ndarray,
    total: np.ndarray,
    best: float,
    kept: int,
    look_ahead: int,
    leap_cost: float,
    long_cost: float,
    chosen: np.ndarray,
) -> int:
    """Frames `kept` … of periods (F, C) join the path; `total` (C,) is the cost of the paths so far. How many were decided, and which."""
    count = 0
    candidates = periods.shape[1]
    following = np.empty(candidates)
    for frame in range(kept, periods.shape[0]):
        own = values[frame - kept]
        strongest = own.max()
        # Where nothing repeats, nothing is learned about leaps.
        weight = max(leap_cost * min(strongest, best), 0.02)
        best = strongest
        lowest = 1e30
        for to in range(candidates):
            octave = np.log2(periods[frame, to])
            cheapest = 1e30
            for before in range(candidates):
                way = total[before] + (weight * abs(np.log2(periods[frame - 1, before]) - octave) if frame > 0 else 0.0)
                if way < cheapest:
                    cheapest = way
                    back[frame, to] = before
            following[to] = cheapest + 1.0 - min(max(own[to], 0.0), 1.0) + long_cost * octave
            lowest = min(lowest, following[to])
        for to in range(candidates):
            total[to] = following[to] - lowest  # else it would grow for hours
        if frame - count >= look_ahead:
            place = 0
            for to in range(candidates):
                if total[to] < total[place]:
                    place = to
            for step in range(frame, count, -1):
                place = back[step, place]
            chosen[count] = periods[count, place]
            count += 1
    return count

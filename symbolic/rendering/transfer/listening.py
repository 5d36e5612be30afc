"""A sound as a player would hear it: how high, how loud, and whether somebody sings at all, 250 times a second.

Sound is (C, S) at any rate, in blocks of any sizes, which change no bit of the result. A frame is 4 ms; what describes it describes its
middle. Loudness is A-weighted, in decibels, in the units of `symbolic.dsp.a_weighting`, −80 for silence.

A frame is sure when it repeats from period to period and is no silence. Five frames in a row that repeat clearly begin a tone, which
lasts as long as frames are sure. Over a tone and 40 ms behind it the gate is open, elsewhere it is shut: noise, breath and consonants do
not sing. Beside a tone, the pitch is that of the one before.
"""

from dataclasses import dataclass

import numpy as np

from symbolic.dsp.a_weighting import FRAME_SIZE, RANGE_DB, loudness_of_frames
from symbolic.dsp.pitch_stream import PitchStream
from symbolic.dsp.pitch_tracking import PERIODIC
from symbolic.dsp.short_delay import ShortDelayResampler

RATE = 16000
FRAME_RATE = 250
HOP = RATE // FRAME_RATE
HIGHEST = 4200.0  # hertz
SILENT = -60.0  # decibels: a sine of 1 kHz at 80 dB below full scale
CLEAR = 0.75  # periodicity with which a tone begins; rooms and clicks reach 0.6
RUN = 5  # such frames in a row
HANG = 10  # frames for which a tone is believed to sound on
RAMP = 4  # frames over which the gate moves
CANCELLED = 0.1  # of the louder channel's power: where the mean of the channels has less, that channel is heard alone
MEMORY = 0.99  # of the channels' powers from frame to frame: they are means over half a second


@dataclass
class Frames:
    """F frames: `pitch` in hertz, `loudness` in decibels, `gate` from 0 (nobody sings) to 1, `periodicity`, all (F,) float64; `sound`
    (F · 64,) is what was listened to, one channel at 16 kHz."""

    pitch: np.ndarray
    loudness: np.ndarray
    gate: np.ndarray
    periodicity: np.ndarray
    sound: np.ndarray


class Listener:
    """Feed it blocks (C, S); what comes back, and `flush` at the end, are frames in order, S · 16000 / rate // 64 in all.

    `delay` is how many seconds of sound after a frame's middle must be known before the frame is given.
    """

    def __init__(self, sample_rate: int, channels: int, lowest: float, look_ahead: int, together: int) -> None:
        self.together = together
        self._resampler = ShortDelayResampler(sample_rate, RATE, channels)
        self._pitch = PitchStream(RATE, HOP, lowest, HIGHEST, look_ahead, together)
        resampled = 0.0 if sample_rate == RATE else self._resampler.delay / sample_rate
        self.delay = resampled + self._pitch.needed / RATE + (look_ahead + RUN - 1) / FRAME_RATE
        self._channels = np.zeros((channels, 0))  # at 16 kHz, less than a frame
        self._powers = np.zeros(channels + 1)  # of the channels and of their mean
        self._sound = np.zeros(FRAME_SIZE // 2 - HOP // 2)  # from where the loudness of the next frame begins
        self._loudness = np.zeros(0)
        self._kept = np.zeros(0)  # sound of the frames that are not given yet
        self._gate = _Gate()

    def process(self, block: np.ndarray) -> Frames:
        """The frames that are ready after the next block (C, S)."""
        return self._heard(self._resampler.process(block), last=False)

    def flush(self) -> Frames:
        """The last frames; nothing can be fed after this."""
        return self._heard(self._resampler.flush(), last=True)

    def _heard(self, channels: np.ndarray, last: bool) -> Frames:
        sound = self._mono(channels)
        track = self._pitch.process(sound)
        pitch, periodicity = track.pitch, track.periodicity
        self._kept = np.concatenate([self._kept, sound])
        self._loudness = np.concatenate([self._loudness, self._loudnesses(sound)])
        if last:
            rest = self._pitch.flush()
            pitch, periodicity = np.concatenate([pitch, rest.pitch]), np.concatenate([periodicity, rest.periodicity])
            missing = len(pitch) - len(self._loudness)
            self._loudness = np.concatenate([self._loudness, self._loudnesses(np.zeros(FRAME_SIZE))])[: len(pitch)]
            assert missing <= FRAME_SIZE // HOP
        loudness, self._loudness = self._loudness[: len(pitch)], self._loudness[len(pitch) :]
        ready = self._gate.add(pitch, loudness, periodicity, last)
        heard, self._kept = self._kept[: ready.shape[1] * HOP], self._kept[ready.shape[1] * HOP :]
        pitch, loudness, gate, periodicity = ready
        return Frames(pitch, loudness, gate, periodicity, heard)

    def _mono(self, channels: np.ndarray) -> np.ndarray:
        """Whole frames of one channel: the mean, or the louder channel while the mean cancels most of the sound."""
        held = np.concatenate([self._channels, channels], axis=1)
        frames = held.shape[1] // HOP
        self._channels = held[:, frames * HOP :]
        cut = held[:, : frames * HOP].reshape(len(held), frames, HOP)
        mean = cut.mean(0)
        if len(cut) == 1 or not frames:
            return mean.reshape(-1)
        powers = np.concatenate([np.square(cut).sum(2), np.square(mean).sum(1)[None]])
        for frame in range(frames):
            self._powers = MEMORY * self._powers + powers[:, frame]
            if self._powers[-1] < CANCELLED * self._powers[:-1].max():
                mean[frame] = cut[int(self._powers[:-1].argmax()), frame]
        return mean.reshape(-1)

    def _loudnesses(self, sound: np.ndarray) -> np.ndarray:
        """Loudness of the frames whose sound is there after the next samples."""
        self._sound = np.concatenate([self._sound, sound])
        count = max(0, (len(self._sound) - FRAME_SIZE) // HOP + 1)
        found = np.zeros(0)
        if count:
            found = loudness_of_frames(np.lib.stride_tricks.sliding_window_view(self._sound, FRAME_SIZE)[: count * HOP : HOP], RATE)
            self._sound = self._sound[count * HOP :]
        return found


class _Gate:
    """Which frames sing, and the pitch of those that do not know their own; knows RUN − 1 frames ahead and some behind."""

    BEHIND = HANG + RUN + RAMP

    def __init__(self) -> None:
        self._frames = np.stack([np.full(self.BEHIND, 440.0), np.full(self.BEHIND, -RANGE_DB), np.zeros(self.BEHIND)])
        self._last = 440.0  # the pitch of the tone before
        self._flowing = False  # whether there was a tone before the first frame that is held

    def add(self, pitch: np.ndarray, loudness: np.ndarray, periodicity: np.ndarray, last: bool) -> np.ndarray:
        """Pitch, loudness, gate and periodicity (4, n) of the frames that are ready after the next ones (F,)."""
        held = np.concatenate([self._frames, np.stack([pitch, loudness, periodicity])], axis=1)
        if last:
            after = np.repeat([[440.0], [-RANGE_DB], [0.0]], RUN - 1, axis=1)
            held = np.concatenate([held, after], axis=1)
        count = held.shape[1] - self.BEHIND - (RUN - 1)
        if count <= 0:
            self._frames = held
            return np.zeros((4, 0))
        self._frames = held[:, count:]
        loud = held[1] > SILENT
        tone = self._tones(_widened(_runs(loud & (held[2] >= CLEAR)), RUN), loud & (held[2] >= PERIODIC), count)
        opened = _widened(tone, HANG + 1)
        total = np.cumsum(np.concatenate([[0], opened.astype(np.int64)]))
        ready = slice(self.BEHIND, self.BEHIND + count)
        places = np.arange(ready.start, ready.stop)
        gate = (total[places + 1] - total[places + 1 - RAMP]) / RAMP
        octaves = np.log2(held[0])
        around = np.stack([octaves[places + d] for d in range(-2, 3)])
        steady = np.median(around, axis=0)
        own = np.where(np.abs(octaves[places] - steady) > 1 / 24, steady, octaves[places])
        return np.stack([self._followed(own, tone[places]), held[1, ready], gate, held[2, ready]])

    def _tones(self, clear: np.ndarray, sure: np.ndarray, count: int) -> np.ndarray:
        """Which frames are clear, or sure since clear ones; the first `count` are not held any more."""
        places = np.arange(1, len(sure) + 1)
        last_clear = np.maximum.accumulate(np.where(clear, places, 1 if self._flowing else 0))
        last_unsure = np.maximum.accumulate(np.where(sure | clear, 0, places))
        tone = clear | (sure & (last_clear > last_unsure))
        self._flowing = bool(tone[count - 1])
        return np.asarray(tone)

    def _followed(self, octaves: np.ndarray, tone: np.ndarray) -> np.ndarray:
        """Hertz (n,): where there is no tone, that of the last one."""
        known = np.concatenate([[np.log2(self._last)], octaves])
        place = np.maximum.accumulate(np.where(np.concatenate([[True], tone]), np.arange(len(known)), 0))
        pitch = np.asarray(2 ** known[place][1:])
        self._last = float(pitch[-1])
        return pitch


def _runs(sure: np.ndarray) -> np.ndarray:
    """Whether each frame begins a run of RUN sure ones; false for the last RUN − 1, which cannot know."""
    total = np.cumsum(np.concatenate([[0], sure.astype(np.int64)]))
    begins = np.zeros(len(sure), bool)
    begins[: len(sure) - RUN + 1] = total[RUN:] - total[:-RUN] == RUN
    return begins


def _widened(marked: np.ndarray, frames: int) -> np.ndarray:
    """Every mark lasts so many frames."""
    total = np.cumsum(np.concatenate([np.zeros(frames, np.int64), marked.astype(np.int64)]))
    return np.asarray(total[frames:] - total[:-frames] > 0)

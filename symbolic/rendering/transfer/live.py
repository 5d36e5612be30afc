"""A transfer block by block, while somebody plays: causal, with a delay that is known, and the same whatever the blocks.

What a file tells when it is heard to its end is here known so far only: loudness is matched to what was heard until now (beginning with
a second of what is usual), and the octave may change where a new note begins. `octave` says it from the start.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symbolic.dsp.units import db_to_gain
from symbolic.errors import InputError, UsageError
from symbolic.rendering.transfer.listening import FRAME_RATE, Frames, Listener
from symbolic.rendering.transfer.matching import MOST_OCTAVES, Folding, Hearsay, loudness_map, octaves_to_compass
from symbolic.rendering.transfer.singing import Singer

LIVE_LOWEST = 60.0  # hertz
LOOK_AHEAD = 4  # frames
LOWEST_RATE, HIGHEST_RATE = 8000, 192_000
LARGEST = 1e9
USUAL_LOUDNESS, USUAL_SPREAD, USUAL_FRAMES = -2.0, 6.0, 250.0  # decibels of a recording, and for how long that is believed
SETTLING = 600.0  # groups of frames, about five seconds
LEVEL = -23.0  # LUFS, about, of the voice's louder quarter
MAGENTA_AT_0_LUFS = 22.8  # decibels of A-weighted loudness
LOUDEST = 3.0  # decibels of A-weighted loudness, at most, of what only one frame in twenty exceeds
ROUNDED = 0.7  # amplitude above which peaks are rounded off, so that none reaches 1
DEEPEST, HIGHEST_LOWEST = 25.0, 400.0  # hertz


class TransferStream:
    """Feed it blocks (S,) or (C, S) of any sizes; each gives as many seconds of sound (N,) float32 at `output_rate` as it lasts.

    The sound lags behind by `latency` seconds (the block that a sound card waits for comes on top); `flush` gives what is left.
    """

    def __init__(
        self,
        sample_rate: int,
        voice: str | Path = "violin",
        *,
        channels: int = 1,
        octave: int | None = None,
        lowest: float = LIVE_LOWEST,
        random_seed: int = 0,
    ) -> None:
        """`lowest` is the deepest pitch in hertz that is heard: the deeper, the more latency.

        Raises `InputError` for an unknown voice, and `UsageError` for a sample rate, octave or lowest pitch out of range.
        """
        check_options(sample_rate, octave, lowest)
        self._singer = Singer(voice, random_seed)
        config = self._singer.config
        self.sample_rate, self.channels, self.output_rate = sample_rate, channels, config.sample_rate
        self._listener = Listener(sample_rate, channels, lowest, LOOK_AHEAD, config.stride)
        self._folding = Folding(config)
        self._hearsay = Hearsay()
        self._hearsay.expect(USUAL_LOUDNESS, USUAL_SPREAD, USUAL_FRAMES)
        self._loudness = loudness_map(self._hearsay, config)
        self._wanted, self._octave, self._sang = octave, octave or 0, False
        quantiles = config.loudness_quantiles or (-5.0,)
        loud, loudest = np.quantile(quantiles, (0.75, 0.95))
        self._gain = np.float32(db_to_gain(min(LEVEL + MAGENTA_AT_0_LUFS - loud, LOUDEST - loudest)))
        # A group of frames is known when the sound after its last one is; it sounds up to the frame before that, and then the next is due.
        group = config.stride / FRAME_RATE
        lag = max(config.hop, config.noise_bands - 1) / config.sample_rate
        self._lag = math.ceil((self._listener.delay + 2 * group - 0.5 / FRAME_RATE + lag) * config.sample_rate) + 4
        self._ready = np.zeros(self._lag, np.float32)
        self._frames = np.zeros((3, 0))  # fewer than a group
        self._taken = self._given = 0
        self.heard: Callable[[Frames], object] | None = None  # told of what was heard
        self.frames: Callable[[np.ndarray], object] | None = None  # told of (5, F): pitch, loudness, gate; pitch and loudness played

    @property
    def sang(self) -> int:
        """Frames in which somebody sang, so far."""
        return self._hearsay.frames

    @property
    def folded(self) -> int:
        """Frames that were folded into the compass, so far."""
        return self._folding.folded

    @property
    def octave(self) -> int:
        """The octaves up by which notes are moved at present."""
        return self._octave

    @property
    def latency(self) -> float:
        """Seconds from a sound to the voice that answers it."""
        return self._lag / self.output_rate

    def process(self, block: np.ndarray) -> np.ndarray:
        """The next sound. Samples that are no numbers are silence. Raises `ValueError` for a block of another number of channels."""
        block = np.atleast_2d(np.asarray(block, np.float64))
        if block.ndim != 2 or len(block) != self.channels:
            raise ValueError(f"a block of the shape {block.shape}: ({self.channels}, samples) is wanted")
        self._taken += block.shape[1]
        block = np.where(np.abs(block) < LARGEST, block, 0.0)
        return self._next(self._sung(self._listener.process(block)))

    def flush(self) -> np.ndarray:
        """The last `latency` seconds; nothing can be fed after this."""
        heard = self._listener.flush()
        last = np.concatenate([self._sung(heard), self._sung(None), self._singer.flush() * self._gain])
        self._ready = np.concatenate([self._ready, last])
        whole = round(self._taken * self.output_rate / self.sample_rate) + self._lag - self._given
        self._ready = np.pad(self._ready, (0, max(0, whole - len(self._ready))))
        return _rounded(self._ready[:whole])

    def _next(self, sound: np.ndarray) -> np.ndarray:
        self._ready = np.concatenate([self._ready, sound])
        until = self._taken * self.output_rate // self.sample_rate
        given, self._ready = self._ready[: until - self._given], self._ready[until - self._given :]
        assert len(given) == until - self._given
        self._given = until
        return _rounded(given)

    def _sung(self, heard: Frames | None) -> np.ndarray:
        """The sound of the next frames, a group at a time, or with None of those that are left."""
        group, pieces = self._listener.together, [np.zeros(0, np.float32)]
        if heard is not None:
            if self.heard is not None:
                self.heard(heard)
            self._frames = np.concatenate([self._frames, np.stack([heard.pitch, heard.loudness, heard.gate])], axis=1)
        while (size := self._frames.shape[1]) >= group or (heard is None and size):
            (pitch, loudness, gate), self._frames = self._frames[:, :group], self._frames[:, group:]
            self._hearsay.add(pitch, loudness, gate)
            begins = bool(gate.any()) and not self._sang
            if self._wanted is None and begins:
                self._octave = octaves_to_compass(self._hearsay, self._singer.config)
            self._sang = bool(gate.any())
            known = loudness_map(self._hearsay, self._singer.config)
            # What was learned meanwhile counts from the next note on, and in a long one little by little.
            self._loudness = known if begins else self._loudness.moved(known, 1.0 / SETTLING)
            told = self._loudness(loudness, gate)
            played = self._folding(pitch, gate, self._octave) if self._wanted is None else pitch * 2.0**self._octave
            if self.frames is not None:
                self.frames(np.stack([pitch, loudness, gate, played, told]))
            pieces.append(self._singer.process(played, told) * self._gain)
        return np.concatenate(pieces)


def _rounded(sound: np.ndarray) -> np.ndarray:
    """Sound (N,) whose peaks stay below 1; what is below `ROUNDED` is untouched."""
    beyond = np.maximum(np.abs(sound) - np.float32(ROUNDED), np.float32(0.0))
    room = np.float32(1.0 - ROUNDED)
    return np.asarray(np.sign(sound) * (np.minimum(np.abs(sound), np.float32(ROUNDED)) + beyond / (1 + beyond / room)))


def check_options(sample_rate: int, octave: int | None, lowest: float) -> None:
    """Raise `UsageError` for what cannot be."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise InputError(f"its sample rate, {sample_rate} Hz, is outside {LOWEST_RATE} … {HIGHEST_RATE} Hz; convert it first")
    if octave is not None and not -MOST_OCTAVES <= octave <= MOST_OCTAVES:
        raise UsageError(
            f"octave {octave}: −{MOST_OCTAVES} to {MOST_OCTAVES} octaves up is wanted, or none to let the voice's compass decide"
        )
    if not DEEPEST <= lowest <= HIGHEST_LOWEST:
        raise UsageError(f"lowest {lowest:g} Hz: the deepest pitch to hear is wanted, {DEEPEST:g} to {HIGHEST_LOWEST:g} Hz")

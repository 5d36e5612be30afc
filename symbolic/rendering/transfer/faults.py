"""Where a sound is not one voice at a time: looked at second by second while it is heard."""

import numpy as np

from symbolic.dsp.pitch_tracking import PitchTrack
from symbolic.dsp.polyphony import fault
from symbolic.rendering.transfer.listening import FRAME_RATE, HOP, RATE, SILENT, Frames

LOUD = 20.0  # dB below the loudest frame so far: frames that count
FEWEST = FRAME_RATE // 3  # such frames in a second, below which nothing is said
MOST = 8  # places that are told


class Faults:
    """Feed it what was heard; `lines()` says where more, or less, than one voice was."""

    def __init__(self) -> None:
        self._held: list[Frames] = []
        self._frames = self._seconds = 0
        self._found: list[tuple[int, int, str, float]] = []  # from second to second, why, and the decibels of the loudest frame
        self._loudest = SILENT

    def add(self, heard: Frames) -> None:
        """The next frames."""
        if not len(heard.pitch):
            return
        self._held.append(heard)
        self._frames += len(heard.pitch)
        while self._frames >= FRAME_RATE:
            parts = {name: np.concatenate([getattr(one, name) for one in self._held]) for name in vars(heard)}
            second = {name: part[: FRAME_RATE * (HOP if name == "sound" else 1)] for name, part in parts.items()}
            self._held = [Frames(**{name: part[len(second[name]) :] for name, part in parts.items()})]
            self._frames -= FRAME_RATE
            self._look(Frames(**second))

    def lines(self) -> list[str]:
        """A line for each stretch, the first few of them."""
        counting = [one for one in self._found if one[-1] > self._loudest - LOUD]
        lines = [f"{_clock(first)} to {_clock(last)}: {why}" for first, last, why, _ in counting[:MOST]]
        left = len(counting) - MOST
        return lines + ([f"and {left} more such places"] if left > 0 else [])

    def _look(self, second: Frames) -> None:
        self._loudest = max(self._loudest, float(second.loudness.max()))
        loud = second.loudness > max(self._loudest - LOUD, SILENT)
        sung, why = loud & (second.gate > 0), ""
        track = PitchTrack(second.pitch, second.periodicity)
        if (loud & ~sung).sum() >= FEWEST and not sung.sum() > (loud & ~sung).sum():
            why = "no pitch: noise, or many notes at once; left silent"
        elif sung.sum() >= FEWEST and fault(second.sound.astype(np.float32), track, sung, RATE, named=False):
            why = "several notes at once; one voice plays what it makes out"
        loudest = float(second.loudness.max())
        if why and self._found and self._found[-1][1:3] == (self._seconds, why):
            self._found[-1] = (self._found[-1][0], self._seconds + 1, why, max(self._found[-1][3], loudest))
        elif why:
            self._found.append((self._seconds, self._seconds + 1, why, loudest))
        self._seconds += 1


def _clock(seconds: int) -> str:
    """75 → "1:15"."""
    return f"{seconds // 60}:{seconds % 60:02d}"

"""Single notes as endless phrases: each row of a batch is a player who plays one note after another, with or without a silence between.

Single notes hold no context; a memory that begins anew with each of them would not know what to do in the second one. So notes follow
each other, in an order drawn anew for each round through all of them, and a row goes on in the next segment where it ended.
All that is drawn comes from one generator, and the state is plain numbers: lanes that are resumed go on as if never stopped.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symbolic.corpus.recordings.phrases import HOP, LOW_HOP
from symbolic.corpus.recordings.store import Note, Recordings
from symbolic.dsp.a_weighting import RANGE_DB


@dataclass
class Segment:
    """B rows of F frames: pitch and loudness (B, F), sound (B, F · 192) at 48 kHz and low (B, F · 64) at 16 kHz."""

    pitch: torch.Tensor
    loudness: torch.Tensor
    sound: torch.Tensor
    low: torch.Tensor


class PhraseLanes:
    """An endless iterator of segments. `gap_share` of the notes are followed by 1 … `longest_gap` frames of silence."""

    def __init__(
        self, recordings: Recordings, notes: list[Note], lanes: int, frames: int, gap_share: float, longest_gap: int, random_seed: int
    ) -> None:
        self.recordings, self.notes, self.frames = recordings, notes, frames
        self.gap_share, self.longest_gap = gap_share, longest_gap
        self._random = np.random.default_rng(random_seed)
        self._deck: list[int] = []
        # What each row plays: a note, or None for a silence; the frame it has come to, and how many there are; the pitch it had.
        self._rows = [self._drawn() for _ in range(lanes)]

    def __next__(self) -> Segment:
        rows = len(self._rows)
        pitch = np.empty((rows, self.frames), np.float32)
        loudness = np.full((rows, self.frames), -RANGE_DB, np.float32)
        sound = np.zeros((rows, self.frames * HOP), np.float32)
        low = np.zeros((rows, self.frames * LOW_HOP), np.float32)
        for row, playing in enumerate(self._rows):
            at = 0
            while at < self.frames:
                count = min(playing["frames"] - playing["at"], self.frames - at)
                place = slice(at, at + count)
                if playing["note"] is None:
                    pitch[row, place] = playing["pitch"]
                else:
                    note, first = self.notes[playing["note"]], playing["at"]
                    pitch[row, place] = self.recordings.array("pitch", note, first, count)
                    loudness[row, place] = self.recordings.array("loudness", note, first, count)
                    sound[row, at * HOP : (at + count) * HOP] = self.recordings.array("sound", note, first, count)
                    low[row, at * LOW_HOP : (at + count) * LOW_HOP] = self.recordings.array("low", note, first, count)
                    playing["pitch"] = float(pitch[row, at + count - 1])
                at += count
                playing["at"] += count
                if playing["at"] == playing["frames"]:
                    playing = self._rows[row] = self._following(playing)
        return Segment(*(torch.from_numpy(one) for one in (pitch, loudness, sound, low)))

    def __iter__(self) -> "PhraseLanes":
        return self

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        state = self._random.bit_generator.state["state"]
        more = {name: self._random.bit_generator.state[name] for name in ("has_uint32", "uinteger")}
        return {"random": {name: str(value) for name, value in (state | more).items()}, "deck": self._deck, "rows": self._rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        numbers = {name: int(value) for name, value in state["random"].items()}
        inner = {name: numbers.pop(name) for name in ("state", "inc")}
        self._random.bit_generator.state = {"bit_generator": "PCG64", "state": inner, **numbers}
        self._deck, self._rows = list(state["deck"]), [dict(row) for row in state["rows"]]

    def _drawn(self) -> dict[str, Any]:
        """The beginning of the next note."""
        if not self._deck:
            self._deck = [int(index) for index in self._random.permutation(len(self.notes))]
        note = self._deck.pop()
        return {"note": note, "at": 0, "frames": self.notes[note].frames, "pitch": 440.0}

    def _following(self, playing: dict[str, Any]) -> dict[str, Any]:
        if playing["note"] is not None and self._random.random() < self.gap_share:
            length = int(self._random.integers(1, self.longest_gap + 1))
            return {"note": None, "at": 0, "frames": length, "pitch": playing["pitch"]}
        return self._drawn()

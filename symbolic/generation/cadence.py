"""Ending like a piece: of several ways to write the last two bars the one that closes best.

Each way ends on the bar line before the last bar asked for, or on the last, and leans to the tonic chord there. A close is
good when its lowest sounding note is the tonic and nothing sounds beside the tonic chord; among equals the model chooses:
the one after which it finds the end of a piece most likely.
"""

from dataclasses import asdict, dataclass

import numpy as np

from symbolic.generation.rules import tonic_chord
from symbolic.midi.keys import TONICS, Key, key_name
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.automaton import BAR, DRUM_PITCH, DURATION, PITCH, POSITION, PROGRAM, TIME_SIGNATURE, TokenAutomaton


@dataclass(frozen=True)
class Close:
    """How a continuation ends: in the seed's own pitch."""

    key: str
    bars: int
    """New bars of the seed."""
    bass: str
    """Its lowest sounding pitch class; "none" where nothing pitched sounds."""
    on_tonic: bool
    """The bass is the tonic."""
    in_chord: bool
    """All that sounds belongs to the tonic chord."""
    end_likelihood: float
    """The probability of the end of a piece here, by the model itself."""

    @property
    def quality(self) -> tuple[bool, bool, float]:
        """To be compared: the greatest closes best."""
        return self.on_tonic and self.in_chord, self.on_tonic, self.end_likelihood

    def told(self) -> dict[str, object]:
        """As it is written into files."""
        return asdict(self) | {"end_likelihood": round(self.end_likelihood, 4)}

    def sentence(self) -> str:
        """The same for people."""
        chord = "with the tonic chord" if self.in_chord else "with notes beside the tonic chord"
        how = (
            f"closes in {self.key} on the tonic, {chord}"
            if self.on_tonic
            else f"no close on the tonic of {self.key} was found (bass {self.bass})"
        )
        return f"{how}, after {self.bars} bars; the end of a piece is {self.end_likelihood:.1%} likely there, says the model"


def judge(ids: np.ndarray, bars: int, key: Key, shift: int, end_nats: float, automaton: TokenAutomaton) -> Close:
    """The close of new `ids`, which stand `shift` semitones above the seed."""
    classes = [pitch - shift for pitch in last_sonority(ids, automaton)]
    bass = classes[0] % 12 if classes else None
    chord = tonic_chord(key)
    return Close(
        key_name(key), bars, "none" if bass is None else TONICS[bass], bass == key[0],
        bool(classes) and all(pitch % 12 in chord for pitch in classes), float(np.exp(-end_nats)),
    )  # fmt: skip


def last_sonority(ids: np.ndarray, automaton: TokenAutomaton) -> list[int]:
    """Pitches, ascending, that sound when the last pitched note begins; drums and noises left out."""
    time = start = 0
    length = step = 0
    program, pitch = 0, 0
    notes: list[tuple[int, int, int]] = []
    for id_ in ids.tolist():
        kind, value = automaton.kinds[id_], automaton.numbers[id_]
        if kind is BAR:
            start, time = start + length * step, start + length * step
        elif kind is POSITION:
            time = start + value * step
        elif kind is PROGRAM:
            program = value
        elif kind is PITCH or kind is DRUM_PITCH:
            pitch = value if kind is PITCH and program not in UNPITCHED_PROGRAMS else -1
        elif kind is TIME_SIGNATURE:
            length, step = value, automaton.steps[id_]
        elif kind is DURATION and pitch >= 0:
            notes.append((time, time + value * step, pitch))
    if not notes:
        return []
    last = max(onset for onset, _, _ in notes)
    return sorted({pitch for onset, end, pitch in notes if end > last})

"""A continuation that one holds: written on bar by bar, taken back, branched from any bar, saved and opened again.

It equals one that was never stopped, note for note: what is kept of each bar is where it ends in the stream and the state of the
random generator, and a session that goes back reads its seed and steps through its own tokens again, as it did the first time.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from symusic.core import NoteTick, ScoreTick

from symbolic.errors import InputError, UsageError
from symbolic.files import new_file
from symbolic.generation.bundle import given_model
from symbolic.generation.constraints import make_constraints
from symbolic.generation.continuation import assemble
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.prompt import prepare_prompt
from symbolic.generation.rules import Ending, make_rules
from symbolic.generation.sampling import Row, begun, log_sums, one_thread, prefill, stepping
from symbolic.midi.reading import read
from symbolic.models.native import NativeModel
from symbolic.models.network import Network
from symbolic.tokenizers.automaton import DRUMS, TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer

FORMAT = 1
ENDLESS = 10**6  # bars


@dataclass(frozen=True)
class WrittenBar:
    """A new bar: its number from 1, its first tick and the one after its last, and its notes in ticks of the seed.

    `notes` are (program, note), −1 for drums, by onset; a note may sound into the next bar.
    """

    number: int
    start: int
    stop: int
    notes: list[tuple[int, NoteTick]]


@dataclass(frozen=True)
class _Mark:
    """The end of a new bar: how many ids were written, and the random generator's state there."""

    ids: int
    random: bytes


@dataclass
class _Options:
    """How a session draws, as it is saved."""

    random_seed: int = 0
    bars: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    likeness: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, Any] = field(default_factory=dict)


class Session:
    """A seed and what is written after it.

    session = symbolic.Session("song.mid")
    for bar in session.write(8): ...        # a `WrittenBar` as soon as it is finished
    session.undo(2)                         # the last two bars away
    other = session.branch(3, random_seed=7)    # another way after new bar 3
    session.save("song.session")            # and Session.load("song.session") later
    """

    def __init__(
        self,
        seed: Any,
        *,
        bars: int | None = None,
        model: Network | str | Path | None = None,
        tokenizer: RemiTokenizer | None = None,
        constraints: Any = None,
        likeness: float = 1.0,
        range_margin: int = 5,
        max_rest: int = 1,
        random_seed: int = 0,
        **sampling: Any,
    ) -> None:
        """Read the seed. With `bars` the music ends after so many, as by `continue_score`; without, it can always go on.

        The other options are those of `continue_takes`, temperatures and the like as `sampling`.
        """
        self.model_name, self.network, self.tokenizer = given_model(model, tokenizer)
        asked = make_constraints(constraints)
        near = LikenessSettings(likeness, range_margin, max_rest)
        self.settings = SamplingSettings(**sampling)
        self.options = _Options(random_seed, bars, asdict(self.settings), asdict(near), asked.told())
        self.prompt = prepare_prompt(read(seed), self.tokenizer)
        ending = Ending(self.prompt.heard_bars + (ENDLESS if bars is None else bars * self.prompt.bars_per_bar))
        self.rules = make_rules(self.prompt, ending, self.tokenizer.vocabulary, asked, near)
        self.automaton = TokenAutomaton(self.tokenizer.vocabulary)
        self.stepper = stepping(self.network)
        self.marks: list[_Mark] = []
        self.ended = False
        self._begin()

    @property
    def bars(self) -> int:
        """New bars written."""
        return len(self.marks)

    def write(self, bars: int | None = None) -> Iterator[WrittenBar]:
        """The next `bars` bars, each as soon as it is finished; without a number, to the end the session was given."""
        if bars is None and self.options.bars is None:
            raise UsageError("this session has no end: say how many bars to write")
        if bars is not None and bars < 1:
            raise UsageError(f"bars is {bars}; a whole number from 1 is wanted")
        wanted = None if bars is None else self.bars + bars
        while not self.ended and (wanted is None or self.bars < wanted):
            self._write_bar()
            yield self.bar(self.bars)

    def bar(self, number: int) -> WrittenBar:
        """A new bar by its number from 1."""
        if not 1 <= number <= self.bars:
            raise UsageError(f"bar {number}: {self.bars} bars are written")
        ids = np.array([*self.prompt.ids[-2:].tolist(), *self.row.new], dtype=np.int64)
        start, stop = (self._place(number - 1), self._place(number))
        decoded = self.tokenizer.decode(ids[start:stop])
        scale = self.prompt.seed.ticks_per_quarter / decoded.ticks_per_quarter
        first = self.prompt.end + round(self._quarters(ids[:start]) * self.prompt.seed.ticks_per_quarter)
        last = self.prompt.end + round(self._quarters(ids[:stop]) * self.prompt.seed.ticks_per_quarter)
        notes = [
            (
                DRUMS if track.is_drum else track.program,
                NoteTick(first + round(n.time * scale), round(n.duration * scale), n.pitch, n.velocity),
            )
            for track in decoded.tracks
            for n in track.notes
        ]
        return WrittenBar(number, first, last, sorted(notes, key=lambda pair: (pair[1].time, pair[0], pair[1].pitch)))

    def score(self) -> ScoreTick:
        """The seed and all new bars."""
        ids = np.array([*self.prompt.ids[-2:].tolist(), *self.row.new], dtype=np.int64)[: self._place(self.bars)]
        told = {"model": self.model_name, "bars": self.bars, "random_seed": self.options.random_seed} | self.options.sampling
        return assemble(self.prompt, self.bars, ids, self.tokenizer, told)

    def undo(self, bars: int = 1) -> None:
        """Take the last bars back; written again they are the same, unless the session is branched. Raises `UsageError` for too many."""
        if not 1 <= bars <= self.bars:
            raise UsageError(f"undo {bars}: {self.bars} bars are written")
        self._go_to(self.bars - bars)

    def branch(self, bar: int | None = None, *, random_seed: int | None = None) -> "Session":
        """Another session that has the first `bar` new bars (all) of this one, and goes on by itself; with a random seed, another way."""
        bar = self.bars if bar is None else bar
        if not 0 <= bar <= self.bars:
            raise UsageError(f"branch from bar {bar}: {self.bars} bars are written")
        other = self._twin()
        other.row.new, other.marks = list(self.row.new), list(self.marks)
        other._go_to(bar)
        if random_seed is not None:
            other.options = replace(other.options, random_seed=random_seed)
            other.row.generator.manual_seed(random_seed)
        return other

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write all of it into one JSON file: the seed, the ids, the options, and which model goes on with it."""
        content = {
            "format": FORMAT, "model": self.model_name, "weights": _fingerprint(self.network), "options": asdict(self.options),
            "seed": _packed(self.prompt.seed.dumps_midi()), "prompt": self.prompt.ids.tolist(), "ids": self.row.new,
            "marks": [[mark.ids, _packed(mark.random)] for mark in self.marks], "random": _packed(self._random()), "ended": self.ended,
        }  # fmt: skip
        with new_file(Path(path), force) as partial:
            partial.write_text(json.dumps(content) + "\n")

    @classmethod
    def load(cls, path: str | Path, *, model: Network | str | Path | None = None, tokenizer: RemiTokenizer | None = None) -> "Session":
        """A saved session, at the bar where it was. Raises `InputError` for a damaged file, or another model than it was written with."""
        try:
            content = json.loads(Path(path).read_text())
            options = _Options(**content["options"])
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
            marks = [_Mark(int(ids), _unpacked(random)) for ids, random in content["marks"]]
            new, prompt, random, ended = content["ids"], content["prompt"], _unpacked(content["random"]), bool(content["ended"])
            seed, weights, name = _unpacked(content["seed"]), content["weights"], content["model"]
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise InputError(f"{path}: not readable as a session ({type(error).__name__}: {error})") from error
        chosen = model if model is not None else name
        if chosen == "given":
            raise InputError(f"{path}: written with a model that was handed over; give it again")
        made = cls(
            seed, bars=options.bars, model=chosen, tokenizer=tokenizer, constraints=options.constraints, random_seed=options.random_seed,
            **options.likeness, **options.sampling,
        )  # fmt: skip
        if _fingerprint(made.network) != weights or made.prompt.ids.tolist() != prompt:
            raise InputError(f"{path}: written with another model (or other weights) than {chosen}; give the one it was written with")
        made.row.new, made.marks = new, marks
        made._go_to(len(marks))
        made.row.generator.set_state(torch.frombuffer(bytearray(random), dtype=torch.uint8))
        made.ended = ended
        return made

    def _begin(self) -> None:
        """Read the seed."""
        mask = StreamMask(self.automaton, self.rules, history=self.settings.loop_heat > 0)
        self.row: Row = begun(0, self.tokenizer.vocabulary, self.prompt.ids, mask, self.options.random_seed)
        with torch.no_grad(), one_thread():
            self.logits, state = prefill(self.network, self.tokenizer.vocabulary, [self.prompt.ids])
        self.state: Any = self.stepper.state(state) if isinstance(self.stepper, NativeModel) else state

    def _write_bar(self) -> None:
        """Draw until a bar of the seed is full; its closing Bar is taken too, which opens the next."""
        closed = 0
        with torch.no_grad(), one_thread():
            while True:
                scores = self.logits.float().numpy()
                norm = log_sums(scores)[0]
                id_ = self.row.draw(scores[0], norm, self.settings)
                if self.row.mask.ends(id_):
                    self.ended = True
                    break
                self._take(id_, float(norm - scores[0, id_]))
                closed += id_ == self.tokenizer.vocabulary.bar
                if closed == self.prompt.bars_per_bar:
                    break
        self.marks.append(_Mark(len(self.row.new), self._random()))

    def _take(self, id_: int, nats: float = 0.0) -> None:
        beat = self.row.take(id_, nats)
        self.logits = self.stepper.step(torch.tensor([id_]), torch.tensor([beat]), self.state)

    def _go_to(self, bars: int) -> None:
        """Stand at the end of new bar `bars`, as when it was written."""
        ids, marks = self.row.new, self.marks[:bars]
        self._begin()
        self.marks, self.ended = marks, False
        with torch.no_grad(), one_thread():
            for id_ in ids[: marks[-1].ids if marks else 0]:
                self._take(id_)
        if marks:
            self.row.generator.set_state(torch.frombuffer(bytearray(marks[-1].random), dtype=torch.uint8))

    def _twin(self) -> "Session":
        return Session(
            self.prompt.seed, bars=self.options.bars, model=self.network, tokenizer=self.tokenizer, constraints=self.options.constraints,
            random_seed=self.options.random_seed, **self.options.likeness, **self.options.sampling,
        )  # fmt: skip

    def _random(self) -> bytes:
        return bytes(self.row.generator.get_state().numpy())

    def _place(self, bars: int) -> int:
        """Where new bar `bars` + 1 begins in the two opening ids and the new ones."""
        if not bars:
            return 0
        ids = self.marks[bars - 1].ids + 2
        return ids if self.ended and bars == self.bars else ids - 1  # less the Bar that opens the next

    def _quarters(self, ids: np.ndarray) -> float:
        vocabulary = self.tokenizer.vocabulary
        meters = ids[vocabulary.numerators[ids] > 0]
        return float((vocabulary.numerators[meters] / vocabulary.denominators[meters]).sum() * 4)


def _fingerprint(model: Network) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))

"""Which tokenizer settings a folder wants, measured: a sample of its files encoded and decoded with each of them.

A finer grid makes more kinds of tokens, and each is seen less often in training; it is worth that where notes were
played beside the coarse grid, and worth nothing where they stand on it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symbolic.corpus.loss import round_trip_loss
from symbolic.corpus.notes import notes_of
from symbolic.corpus.tally import LossTally
from symbolic.errors import InputError
from symbolic.midi.folder import music_files
from symbolic.midi.reading import read_bytes
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

HEARD_MS = 2.0
"""A note moved by so many milliseconds or more counts as moved."""
WORTH = 0.1
"""The finer grid is wanted where it spares so large a share of all notes from being moved."""

CANDIDATES: dict[str, TokenizerSettings] = {
    "score": TokenizerSettings(),
    "performance": TokenizerSettings(
        positions_per_beat=96, duration_grid=((1, 96), (4, 48), (16, 12), (64, 2)), velocities=64, tempos=257, tempo_range=(30.0, 480.0)
    ),
}
"""The settings of configs/tokenizer-score.yaml and configs/tokenizer-performance.yaml, equal by test."""


@dataclass
class Measured:
    """Losses of a sample under each of `CANDIDATES`, over all its files and over the performed ones."""

    files: int = 0
    performed_files: int = 0
    losses: dict[str, LossTally] = field(default_factory=lambda: {name: LossTally() for name in CANDIDATES})
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CANDIDATES, 0))
    vocabulary: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CANDIDATES, 0))

    @classmethod
    def nothing(cls) -> "Measured":
        """No file could be measured."""
        return cls()

    def result(self, folder: Path, report: dict[str, Any]) -> dict[str, Any]:
        """What was used, what was measured, what is recommended and why."""
        used = _used(folder)
        if not self.files:
            return {"used": used, "files": 0, "measured": {}, "recommended": None, "reason": "no file could be read again to measure it"}
        shares = {name: tally.share_moved(HEARD_MS) for name, tally in self.losses.items()}
        measured = {
            name: {
                "notes_moved_percent": round(100 * shares[name], 2),
                "tokens_per_note": round(self.tokens[name] / max(tally.notes, 1), 2),
                "vocabulary_size": self.vocabulary[name],
                "loss": tally.result(),
            }
            for name, tally in self.losses.items()
        }
        spared = shares["score"] - shares["performance"]
        recommended = "performance" if spared >= WORTH else "score"
        reason = (
            f"{shares['score']:.1%} of the notes move by {HEARD_MS:g} ms or more with the settings for scores, "
            f"{shares['performance']:.1%} with those for performances"
        )
        reason += "" if spared >= WORTH else ", too small a gain for so many more kinds of tokens"
        collections = report["collections"].items()
        other = [
            name
            for name, counts in collections
            if counts["pieces"] and (counts["performed"] >= counts["pieces"] / 2) != (recommended == "performance")
        ]
        return {
            "used": used,
            "files": self.files,
            "performed_files": self.performed_files,
            "measured": measured,
            "recommended": recommended,
            "reason": reason,
            "collections_of_the_other_kind": other[:40],
        }


def compare_settings(source: Path, sample: list[tuple[str, bool]]) -> Measured:
    """Read the files of `sample`, (name below `source`, performed) each, and measure what each of `CANDIDATES` loses on them."""
    measured = Measured()
    tokenizers = {name: RemiTokenizer(settings) for name, settings in CANDIDATES.items()}
    measured.vocabulary = {name: len(tokenizer.vocabulary) for name, tokenizer in tokenizers.items()}
    performed_by_name = dict(sample)
    wanted = [music for music in music_files(source) if music.name in performed_by_name]
    for music in wanted:
        try:
            score = read_bytes(music.read(), music.name).score
            notes = notes_of(score)
            rounds = {name: (tokenizer, tokenizer.encode(score).ids) for name, tokenizer in tokenizers.items()}
            losses = {name: round_trip_loss(score, tokenizer.decode(ids), notes) for name, (tokenizer, ids) in rounds.items()}
        except InputError:  # moved or changed since, or more bars than one of the settings allows
            continue
        measured.files += 1
        measured.performed_files += performed_by_name[music.name]
        for name, loss in losses.items():
            measured.losses[name].add(len(notes), loss)
            measured.tokens[name] += len(rounds[name][1])
    return measured


def _used(folder: Path) -> str | None:
    """The name among `CANDIDATES` of the settings that a dataset was made with, "own" for others, None where none are stored."""
    try:
        settings = RemiTokenizer.load(folder).settings
    except InputError:
        return None
    return next((name for name, candidate in CANDIDATES.items() if candidate == settings), "own")

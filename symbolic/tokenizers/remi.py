"""REMI tokens: Bar, TimeSig, Position, Tempo, Program, Pitch, Velocity, Duration, all tracks in one stream.

Source: Huang and Yang, "Pop Music Transformer" (2020), extended to many tracks and meters as in FIGARO (2022).
Names, ids and their meaning are those of MidiTok's `REMI` (`reference.py`); the arrays here give the same ids, faster.
Added: complete bars before encoding (pickups, meter changes inside a bar), one order for the notes of an onset, bounds on
runaway files, beats for every token, the transposition table. It does not keep: pedal, bends, controllers, lyrics, track names.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.decoder import Decoder
from symbolic.tokenizers.encoder import Encoder
from symbolic.tokenizers.names import meters, token_names
from symbolic.tokenizers.preparation import prepare_score
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

SETTINGS_FILE = "tokenizer.json"
FORMAT = 1
LARGEST_VOCABULARY = 2**16  # ids are uint16


@dataclass(frozen=True)
class Encoding:
    """A tokenized score: `ids` (T,) and `beats` (T, 3) as (bar, beat, subdivision); no BOS, no EOS."""

    ids: np.ndarray
    beats: np.ndarray


class RemiTokenizer:
    """Score to ids and back. Two tokenizers with equal settings give equal ids, in every process."""

    def __init__(self, settings: TokenizerSettings | None = None) -> None:
        self.settings = settings or TokenizerSettings()
        names = token_names(self.settings)
        if len(names) > LARGEST_VOCABULARY:
            raise InputError(
                f"these settings make {len(names)} tokens, more than {LARGEST_VOCABULARY}: coarsen positions_per_beat or durations"
            )
        self.vocabulary = Vocabulary(names, self.settings.positions_per_beat)
        self.meters = frozenset(meters(self.settings))
        self._encoder = Encoder(self.vocabulary, self.settings)
        self._decoder = Decoder(self.vocabulary, self.settings)

    def encode(self, score: ScoreTick) -> Encoding:
        """Tokens of a score with their beats; the ids are uint16.

        Raises `InputError` for what `prepare` refuses.
        """
        ids = self._encoder.encode(prepare_score(score, self.settings, self.meters))
        return Encoding(ids, derive_beats(ids, self.vocabulary))

    def decode(self, ids: np.ndarray) -> ScoreTick:
        """The score that `ids` stand for, one track a program; PAD, BOS, EOS and the tokens of tasks are passed over.

        Notes of one pitch that overlap go to further tracks of the same program, see `part_tracks`.
        Raises `InputError` for an unknown id.
        """
        ids = np.asarray(ids, dtype=np.int64)
        unknown = ids[(ids < 0) | (ids >= len(self.vocabulary))]
        if len(unknown):
            raise InputError(f"token id {unknown[0]} is not in the vocabulary 0..{len(self.vocabulary) - 1}")
        types = self.vocabulary.types[ids]
        return self._decoder.decode(ids[(types > TokenType.EOS) & (types < TokenType.GIVEN)])

    def prepare(self, score: ScoreTick) -> ScoreTick:
        """The score as it is told: complete bars, one track a program, notes by time, drums last; nothing of it is rounded.

        Raises `InputError` for a score without time, with notes before its beginning, or with more bars, or more bars
        without a note, than the settings allow.
        """
        return prepare_score(score, self.settings, self.meters).score()

    def save(self, folder: str | Path) -> None:
        """Write the settings into `folder` as one small JSON file; the ids follow from them."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        content = {"type": "remi", "format": FORMAT, "vocabulary_size": len(self.vocabulary), "settings": asdict(self.settings)}
        (Path(folder) / SETTINGS_FILE).write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> "RemiTokenizer":
        """The tokenizer saved in `folder`. Raises `InputError` when there is none, or it makes other ids than when saved."""
        path = Path(folder) / SETTINGS_FILE
        if not path.is_file():
            raise InputError(f"{folder}: no {SETTINGS_FILE} in it, so this is no tokenizer, model or dataset of this program")
        try:
            content = json.loads(path.read_text())
            stored = {"tasks": False, **content["settings"]}  # which older ones do not name
            stored["meters"] = {int(denominator): numerator for denominator, numerator in stored["meters"].items()}
            stored["duration_grid"] = tuple(tuple(step) for step in stored["duration_grid"])
            stored["tempo_range"] = tuple(stored["tempo_range"])
            tokenizer = cls(TokenizerSettings(**stored))
        except (ValueError, KeyError, TypeError, AttributeError, OSError, InputError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{path}: not readable as tokenizer settings ({reason}); damaged, or of another version") from error
        size = content.get("vocabulary_size")
        if content.get("format") != FORMAT or len(tokenizer.vocabulary) != size:
            raise InputError(
                f"{path}: written by another version (format {content.get('format')}, {size} tokens; "
                f"this one writes format {FORMAT}, {len(tokenizer.vocabulary)} tokens)"
            )
        return tokenizer

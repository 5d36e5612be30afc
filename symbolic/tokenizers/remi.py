"""REMI tokens, by MidiTok: Bar, TimeSig, Position, Tempo, Program, Pitch, Velocity, Duration, all tracks in one stream.

Source: Huang and Yang, "Pop Music Transformer" (2020), extended to many tracks and meters as in FIGARO (2022);
MidiTok's `REMI` makes the ids.
Added here: complete bars before encoding (pickups, meter changes inside a bar), a canonical order of tracks, bounds on
runaway files, beats for every token, the transposition table. It does not keep: pedal, bends, controllers, lyrics, track names.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from symusic.core import (
    NoteTick,
    NoteTickList,
    ScoreTick,
    TempoTick,
    TempoTickList,
    TimeSignatureTickList,
    TrackTick,
    TrackTickList,
)

from symbolic.errors import InputError
from symbolic.midi.meter import complete_bars, count_bars, last_note_end
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.order import ordered_notes
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import Vocabulary

SETTINGS_FILE = "tokenizer.json"
FORMAT = 1
DEFAULT_TEMPO = 120.0  # MIDI's own, in quarter notes a minute


@dataclass(frozen=True)
class Encoding:
    """A tokenized score: `ids` (T,) and `beats` (T, 3) as (bar, beat, subdivision); no BOS, no EOS."""

    ids: np.ndarray
    beats: np.ndarray


class RemiTokenizer:
    """Score to ids and back. Two tokenizers with equal settings give equal ids, in every process."""

    def __init__(self, settings: TokenizerSettings | None = None) -> None:
        self.settings = settings or TokenizerSettings()
        self._remi = _miditok_remi(self.settings)
        names = sorted(self._remi.vocab, key=self._remi.vocab.__getitem__)
        self.vocabulary = Vocabulary(names, self.settings.positions_per_beat)
        self.meters = frozenset(self._remi.time_signatures)

    def encode(self, score: ScoreTick) -> Encoding:
        """Tokens of a score with their beats.

        Raises `InputError` when the score has more bars than the settings allow.
        """
        ids = np.asarray(self._remi.encode(self.prepare(score), encode_ids=False).ids, dtype=np.uint16)
        ids = ordered_notes(ids, self.vocabulary)
        return Encoding(ids, derive_beats(ids, self.vocabulary))

    def decode(self, ids: np.ndarray) -> ScoreTick:
        """The score that `ids` stand for, one track a program; PAD, BOS and EOS are passed over.

        Notes of one pitch that overlap go to further tracks of the same program, see `overlaps_apart`.
        Raises `InputError` for an unknown id.
        """
        ids = np.asarray(ids, dtype=np.int64)
        unknown = ids[(ids < 0) | (ids >= len(self.vocabulary))]
        if len(unknown):
            raise InputError(f"token id {unknown[0]} is not in the vocabulary 0..{len(self.vocabulary) - 1}")
        special = np.isin(ids, [self.vocabulary.pad, self.vocabulary.bos, self.vocabulary.eos])
        if not len(ids[~special]):
            return ScoreTick(self._remi.time_division)
        score = self._remi.decode(ids[~special].tolist())
        score.tracks = [part for track in score.tracks for part in overlaps_apart(track)]
        return score

    def prepare(self, score: ScoreTick) -> ScoreTick:
        """The score as it is given to MidiTok: complete bars, everything by time, tracks ordered by program, drums last.

        Raises `InputError` for a score without time, with notes before its beginning, or with more bars than the settings allow.
        """
        if score.ticks_per_quarter <= 0:
            raise InputError(f"a score of {score.ticks_per_quarter} ticks per quarter note has no time to be told")
        prepared = score.copy() if isinstance(score, ScoreTick) else score.to("tick")
        for track in prepared.tracks:
            for unused in (track.controls, track.pitch_bends, track.pedals, track.lyrics):
                unused.clear()
            times = track.notes.numpy()["time"]
            if len(times) and times.min() < 0:
                raise InputError(f"a note begins at tick {times.min()}, before the beginning: its delta times are broken")
            if (np.diff(times) < 0).any():
                track.notes = NoteTickList(sorted(track.notes, key=lambda note: note.time))
        tempos = sorted(prepared.tempos, key=lambda tempo: tempo.time)
        prepared.tempos = TempoTickList(tempos if tempos and tempos[0].time <= 0 else [TempoTick(0, DEFAULT_TEMPO), *tempos])
        prepared.time_signatures = TimeSignatureTickList(complete_bars(prepared, self.meters))
        # Empty bars are written up to the last tempo and meter too.
        last = max(last_note_end(prepared), *(event.time + 1 for event in (*prepared.tempos, *prepared.time_signatures)))
        bars = count_bars(prepared, last)
        if bars > self.settings.max_bars:
            limit = self.settings.max_bars
            raise InputError(f"{bars} bars are more than {limit}: a broken tempo or delta time, or raise max_bars in the settings")
        prepared.tracks = TrackTickList(sorted(prepared.tracks, key=lambda track: (track.is_drum, track.program)))
        return prepared

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
            stored = content["settings"]
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


def overlaps_apart(track: TrackTick) -> list[TrackTick]:
    """The notes of `track` by time, on as many tracks as it takes that no pitch is struck while it sounds.

    A MIDI file says that a pitch stops, not which of its notes: readers stop the earliest, or all.
    Example: C4 from beat 0 to 4 and C4 from 1 to 2 give two tracks, because read back from one they would be 0 to 2 and 1 to 4.
    """
    parts: list[list[NoteTick]] = [[]]
    ends: list[dict[int, int]] = [{}]
    for note in sorted(track.notes, key=lambda note: note.time):
        free = next((index for index, end in enumerate(ends) if end.get(note.pitch, 0) <= note.time), len(parts))
        if free == len(parts):
            parts.append([])
            ends.append({})
        parts[free].append(note)
        ends[free][note.pitch] = note.end
    apart = [TrackTick(track.name, track.program, track.is_drum) for _ in parts]
    for part, notes in zip(apart, parts, strict=True):
        part.notes = NoteTickList(notes)
    return apart


def _miditok_remi(settings: TokenizerSettings):  # type: ignore[no-untyped-def]  # MidiTok is imported late
    """MidiTok's REMI with every option that matters spelt out."""
    # MidiTok imports its torch datasets when torch is installed; we use none of them, and tokenizing must not load torch.
    blocked = "miditok.pytorch_data"
    if blocked not in sys.modules:
        sys.modules[blocked] = None  # type: ignore[assignment]
    from miditok import REMI, TokenizerConfig

    if sys.modules[blocked] is None:
        del sys.modules[blocked]  # whoever wants the datasets can import them

    edges = [0, *(beats for beats, _ in settings.duration_grid)]
    return REMI(
        TokenizerConfig(
            pitch_range=(0, 127),
            beat_res={(low, high): resolution for low, (high, resolution) in zip(edges, settings.duration_grid, strict=False)},
            num_velocities=settings.velocities,
            special_tokens=["PAD", "BOS", "EOS"],
            use_velocities=True,
            use_chords=False,
            use_rests=False,
            use_tempos=True,
            use_time_signatures=True,
            use_sustain_pedals=False,
            use_pitch_bends=False,
            use_programs=True,
            one_token_stream_for_programs=True,
            program_changes=False,
            programs=list(range(-1, 128)),
            use_pitchdrum_tokens=True,
            drums_pitch_range=(0, 127),
            num_tempos=settings.tempos,
            tempo_range=settings.tempo_range,
            log_tempos=True,
            time_signature_range={denominator: list(range(1, top + 1)) for denominator, top in settings.meters.items()},
            remove_duplicated_notes=False,
            delete_equal_successive_tempo_changes=True,
            delete_equal_successive_time_sig_changes=True,
        )
    )

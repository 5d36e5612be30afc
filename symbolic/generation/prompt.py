"""A seed ready to be continued: its tokens up to the bar line where it ends, and one new bar opened."""

from dataclasses import dataclass, replace

import numpy as np
from symusic.core import ScoreTick

from symbolic.errors import InputError
from symbolic.midi.keys import detect_key, key_name
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.transposition import canonical_shift, pitch_bounds
from symbolic.tokenizers.automaton import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer

PROMPT_TOKENS = 4096


@dataclass(frozen=True)
class Prompt:
    """A seed ready to be continued.

    `end` is the bar line in ticks of `seed` where new bars begin; `bars_per_bar` how many token bars make a bar of the seed;
    `ids` stand `shift` semitones above `seed`, and so do the ids that continue them.
    """

    seed: ScoreTick
    ids: np.ndarray
    meter: int
    end: int
    bars_per_bar: int
    shift: int = 0
    seed_bars: int = 0
    """Token bars of the whole seed; `ids` hold the last `heard_bars` of them."""
    heard_bars: int = 0

    def programs(self) -> set[int]:
        """Programs that play in the seed, −1 for drums."""
        return {DRUMS if track.is_drum else track.program for track in self.seed.tracks if len(track.notes)}


def prepare_prompt(seed: ScoreTick, tokenizer: RemiTokenizer) -> Prompt:
    """Tokens of the seed up to the bar line where it ends, and one new bar opened in its last meter.

    Of a seed longer than `PROMPT_TOKENS` the last bars. Raises `InputError` for a seed without notes, or with an endless last bar.
    """
    if not any(len(track.notes) for track in seed.tracks):
        raise InputError("the seed has no notes, so there is nothing to continue")
    vocabulary = tokenizer.vocabulary
    prepared = tokenizer.prepare(seed)
    ids = tokenizer.encode(seed).ids.astype(np.int64)
    lines = bar_starts(prepared)
    onsets = max(int(track.notes.numpy()["time"].max()) for track in seed.tracks if len(track.notes))
    if len(lines) > 2 and onsets < lines[-2] and last_note_end(seed) - lines[-2] <= seed.ticks_per_quarter // 8:
        lines = lines[:-1]  # a played seed whose last notes hang a moment over the bar line ends on that line
    openings = np.flatnonzero(ids == vocabulary.bar)
    ids = ids[: [*openings, len(ids)][min(len(lines) - 1, len(openings))]]  # a tempo or meter after the last note opens no bar
    last = prepared.time_signatures[-1]
    meter = vocabulary.tokens.index(f"TimeSig_{last.numerator}/{last.denominator}")
    missing = len(lines) - 1 - len(openings)
    ids = np.concatenate([[vocabulary.bos], ids, np.tile([vocabulary.bar, meter], max(missing, 0) + 1)])
    seed_lines = bar_starts(seed)
    ratio = (seed_lines[-1] - seed_lines[-2]) / (lines[-1] - lines[-2])
    heard = shortened(ids, vocabulary.bar)
    counts = [int((part == vocabulary.bar).sum()) - 1 for part in (ids, heard)]
    return Prompt(seed, heard, meter, int(lines[-1]), max(1, round(float(ratio))), seed_bars=counts[0], heard_bars=counts[1])


def in_canonical_key(prompt: Prompt, tokenizer: RemiTokenizer) -> tuple[Prompt, str]:
    """The prompt moved to C major or A minor, and the name of the seed's key.

    It stays where it is when the seed has no key ("none") or so wide a range that it cannot be moved.
    """
    key = detect_key(prompt.seed)
    shift = canonical_shift(key, *pitch_bounds(prompt.seed)) if key else 0
    return replace(prompt, ids=tokenizer.vocabulary.transpose_ids(prompt.ids, shift or 0), shift=shift or 0), key_name(key)


def shortened(ids: np.ndarray, bar: int) -> np.ndarray:
    """The last bars that fit into the prompt's length; a seed of one endless bar keeps its end."""
    if len(ids) <= PROMPT_TOKENS:
        return ids
    bars = np.flatnonzero(ids == bar)
    later = bars[(bars >= len(ids) - PROMPT_TOKENS) & (bars < len(ids) - 2)]
    if not len(later):
        raise InputError("the seed's last bar is too crowded to be continued (more than 4,000 tokens in one bar); is its meter right?")
    return ids[later[0] :]

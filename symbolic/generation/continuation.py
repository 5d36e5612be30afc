"""Continuing a score by a number of bars: seed in, longer score out.

The seed's notes stay as they are, in ticks and tracks; the continuation begins at the bar line where the seed ends,
keeps the seed's last meter, its tempo and its programs, and ends on a bar line. In canonical key the model hears and
writes C major or A minor, and what it wrote is moved back.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import NoteTick, ScoreTick, TextMetaTick

import symbolic
from symbolic.errors import InputError, UsageError
from symbolic.generation.bundle import DEFAULT_MODEL, load_model, load_tokenizer
from symbolic.generation.constraints import Constraints, Ending
from symbolic.generation.likeness import LikenessSettings, compasses, leanings, players
from symbolic.generation.parts import add_notes
from symbolic.generation.sampling import SamplingSettings, sample
from symbolic.midi.keys import detect_key, key_name
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.reading import read
from symbolic.midi.transposition import canonical_shift, pitch_bounds, transpose
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.automaton import DRUMS, TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer

PROMPT_TOKENS = 4096
MAX_BARS = 2000
KEY_CHOICES = ("original", "canonical")


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


def continue_score(seed: Any, bars: int = 8, **options: Any) -> ScoreTick:
    """The seed with `bars` more bars: the first of `continue_takes`, which says what the options are."""
    return continue_takes(seed, bars, **options)[0]


def continue_takes(
    seed: Any,
    bars: int = 8,
    *,
    takes: int = 1,
    model: TransformerXL | str | Path | None = None,
    tokenizer: RemiTokenizer | None = None,
    temperature: float = 1.0,
    top_p: float = 0.95,
    likeness: float = 1.0,
    range_margin: int = 5,
    max_rest: int = 1,
    key: str = "original",
    random_seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> list[ScoreTick]:
    """`takes` different continuations, each the whole score with `bars` more bars, made as one batch.

    `seed` is whatever `symbolic.read` takes. `model` is a loaded model (then give its `tokenizer` when it is not the
    bundled one), a bundled name or a folder. `likeness` leans towards the seed's key and registers (0: free);
    `range_margin` bounds each program to its compass in the seed, widened by so many semitones (127: free);
    `max_rest` is for how many bars an instrument that played at the seed's end may be silent.
    `key` is the one the model works in: "original", or "canonical" for C major or A minor and the way back.
    The same `random_seed` gives the same notes; take k is drawn with random_seed + k.
    `progress` is called with the number of bars finished.
    Raises `InputError` for a seed that is no music, `UsageError` for impossible numbers.
    """
    if not 1 <= bars <= MAX_BARS:
        raise UsageError(f"bars is {bars}; a whole number from 1 to {MAX_BARS} is wanted")
    if not 1 <= takes <= 64:
        raise UsageError(f"takes is {takes}; a whole number from 1 to 64 is wanted")
    if key not in KEY_CHOICES:
        raise UsageError(f"key is {key!r}; {' or '.join(KEY_CHOICES)} is wanted")
    settings, near = SamplingSettings(temperature, top_p), LikenessSettings(likeness, range_margin, max_rest)
    name = str(model) if isinstance(model, (str, Path)) else DEFAULT_MODEL if model is None else "given"
    network = model if isinstance(model, TransformerXL) else load_model(model)
    tokenizer = tokenizer or load_tokenizer(None if isinstance(model, TransformerXL) else model)
    if network.config.vocab_size != len(tokenizer.vocabulary):
        raise InputError(
            f"model {name}: it knows {network.config.vocab_size} tokens, the tokenizer {len(tokenizer.vocabulary)}; "
            "give the model's own tokenizer"
        )
    prompt = prepare_prompt(read(seed), tokenizer)
    found: dict[str, Any] = {"key": key}
    if key == "canonical":
        prompt, seed_key = in_canonical_key(prompt, tokenizer)
        found |= {"seed_key": seed_key, "shift": prompt.shift}
    seeds = [random_seed + take for take in range(takes)]
    streams = continue_prompts([prompt] * len(seeds), bars, network, tokenizer, seeds, settings, near, progress)
    origin = {"program": f"symbolic {symbolic.__version__}", "model": name, "bars": bars} | asdict(settings) | asdict(near) | found
    return [assemble(prompt, bars, ids, tokenizer, origin | {"random_seed": s}) for ids, s in zip(streams, seeds, strict=True)]


def prepare_prompt(seed: ScoreTick, tokenizer: RemiTokenizer) -> Prompt:
    """Tokens of the seed up to the bar line where it ends, and one new bar opened in its last meter."""
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
    return Prompt(
        seed, _shortened(ids, vocabulary.bar), meter,
        int(lines[-1]), max(1, round(float(ratio))),
    )  # fmt: skip


def in_canonical_key(prompt: Prompt, tokenizer: RemiTokenizer) -> tuple[Prompt, str]:
    """The prompt moved to C major or A minor, and the name of the seed's key.

    It stays where it is when the seed has no key ("none") or so wide a range that it cannot be moved.
    """
    key = detect_key(prompt.seed)
    shift = canonical_shift(key, *pitch_bounds(prompt.seed)) if key else 0
    return replace(prompt, ids=tokenizer.vocabulary.transpose_ids(prompt.ids, shift or 0), shift=shift or 0), key_name(key)


def continue_prompts(
    prompts: Sequence[Prompt],
    bars: int,
    model: TransformerXL,
    tokenizer: RemiTokenizer,
    random_seeds: Sequence[int],
    settings: SamplingSettings | None = None,
    likeness: LikenessSettings | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[np.ndarray]:
    """New ids for each prompt, as one batch; each stream begins with its first new bar and has exactly `bars` bars of its seed's meter."""
    settings, likeness = settings or SamplingSettings(), likeness or LikenessSettings()
    vocabulary = tokenizer.vocabulary
    automaton = TokenAutomaton(vocabulary)
    rules = []
    for prompt in prompts:
        heard = int((prompt.ids == vocabulary.bar).sum()) - 1
        programs = {DRUMS if track.is_drum else track.program for track in prompt.seed.tracks if len(track.notes)}
        ending = Ending(heard + bars * prompt.bars_per_bar)
        compass = _moved(compasses(prompt.seed, likeness.range_margin), prompt.shift)
        leaning = leanings(transpose(prompt.seed, prompt.shift), vocabulary, likeness.likeness)
        playing = players(prompt.seed, prompt.end)
        rules.append(Constraints(automaton, prompt.meter, programs, ending, compass, leaning, playing, likeness.max_rest))
    new = sample(model, vocabulary, [prompt.ids for prompt in prompts], rules, random_seeds, settings, progress)
    return [np.concatenate([prompt.ids[-2:], ids]) for prompt, ids in zip(prompts, new, strict=True)]


def assemble(prompt: Prompt, bars: int, ids: np.ndarray, tokenizer: RemiTokenizer, origin: dict[str, Any]) -> ScoreTick:
    """The seed with the notes of `ids` after its end; where it came from is written into the score as text markers."""
    new, seed = tokenizer.decode(tokenizer.vocabulary.transpose_ids(ids, -prompt.shift)), prompt.seed
    scale = seed.ticks_per_quarter / new.ticks_per_quarter
    notes: dict[int, list[NoteTick]] = {}
    for track in new.tracks:
        notes.setdefault(DRUMS if track.is_drum else track.program, []).extend(
            NoteTick(prompt.end + round(n.time * scale), max(1, round(n.end * scale) - round(n.time * scale)), n.pitch, n.velocity)
            for n in track.notes
        )
    longer = seed.copy()
    add_notes(longer, notes)
    signature = tokenizer.vocabulary.numerators[prompt.meter] / tokenizer.vocabulary.denominators[prompt.meter]
    length = bars * prompt.bars_per_bar * signature * 4 * seed.ticks_per_quarter
    longer.markers.append(TextMetaTick(prompt.end, f"continuation: {json.dumps(origin)}"))
    longer.markers.append(TextMetaTick(prompt.end + round(length), "end"))
    return longer


def _moved(compass: dict[int, tuple[int, int]], shift: int) -> dict[int, tuple[int, int]]:
    """Lowest and highest pitch of each program, `shift` semitones higher: what they allow can be moved back within 0..127."""
    return {
        program: bounds if program in UNPITCHED_PROGRAMS else (max(0, bounds[0] + shift), min(127, bounds[1] + shift))
        for program, bounds in compass.items()
    }


def _shortened(ids: np.ndarray, bar: int) -> np.ndarray:
    """The last bars that fit into the prompt's length; a seed of one endless bar keeps its end."""
    if len(ids) <= PROMPT_TOKENS:
        return ids
    bars = np.flatnonzero(ids == bar)
    later = bars[(bars >= len(ids) - PROMPT_TOKENS) & (bars < len(ids) - 2)]
    if not len(later):
        raise InputError("the seed's last bar is too crowded to be continued (more than 4,000 tokens in one bar); is its meter right?")
    return ids[later[0] :]

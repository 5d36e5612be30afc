"""Constraints and a seed → the rules of one stream, in its own ids and pitches, once, before the first token.

Rows of programs: 0..127 are programs, 128 is drums. When the model works in another key than the seed's, so do the rules.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from symbolic.errors import UsageError
from symbolic.generation.constraints import ALL, FREE, KEPT, SEED, Constraints, program_name
from symbolic.generation.contradictions import TABLE, Part, conjunction, rank
from symbolic.generation.likeness import LikenessSettings, compasses, leanings, players
from symbolic.generation.prompt import Prompt
from symbolic.generation.scales import MODES, parse_scale
from symbolic.midi.keys import Key, detect_key, key_name
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.transposition import transpose
from symbolic.tokenizers.automaton import DRUM_RANK, DRUMS
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

PITCHED = [program for program in range(DRUM_RANK) if program not in UNPITCHED_PROGRAMS]
TONIC_LEANING = 1.5
SURE = 0.999999  # of a bias: what is hard is a rule


@dataclass(frozen=True)
class Ending:
    """Where to stop: after `bars` bars in all (the seed's and the new ones), the last of them not empty.

    With `pause` the stream stops sooner, at the bar line after so many bars, to be gone on from.
    `tonic` is a pitch class whose chord the last bar leans to.
    """

    bars: int
    pause: int | None = None
    tonic: Key | None = None


@dataclass(frozen=True)
class Rules:
    """What one stream obeys. Where a field is None or empty, it is free."""

    meter: int
    """Id of the time signature that every new bar has; with `meter_free` the one that must always be possible."""
    ending: Ending
    seed_bars: int
    """Bars of the stream that are the seed's; later ones are new."""
    pitches: np.ndarray
    """Which pitches each program may play, bool (129, 128)."""
    meter_free: bool = False
    tempo_free: bool = False
    velocities: dict[int, np.ndarray] = field(default_factory=dict)
    """By row, bool (V,)."""
    polyphony: dict[int, int] = field(default_factory=dict)
    """By row."""
    notes_per_beat: int | None = None
    max_repeat: int | None = None
    players: Collection[int] = ()
    """Rows that may rest for `max_rest` bars at most."""
    max_rest: int = 1
    leanings: dict[int, np.ndarray] = field(default_factory=dict)
    """By row, what is added to the logits of its pitches, float64 (V,)."""
    likeness: float = 0.0
    """How strongly the pitched rows lean to striking pitches again as seldom as in the seed."""
    pitched: Collection[int] = ()
    closing: np.ndarray | None = None
    """What is added in the last bar, float64 (V,)."""


def make_rules(prompt: Prompt, ending: Ending, vocabulary: Vocabulary, constraints: Constraints, likeness: LikenessSettings) -> Rules:
    """The rules of a stream that continues `prompt`. Raises `UsageError` for constraints that contradict each other."""
    if constraints.meter == FREE and prompt.bars_per_bar > 1:
        name = vocabulary.tokens[prompt.meter].removeprefix("TimeSig_")
        raise UsageError(f"meter free and this seed's meter contradict each other: its bars are told as {prompt.bars_per_bar} of {name}")
    parts = _parts(prompt, constraints, likeness)
    playing = np.logical_and.reduce([part.allowed.any(axis=1) for part in parts[:2]])
    allowed = conjunction(parts, [] if constraints.programs == FREE else np.flatnonzero(playing).tolist())
    rows = np.flatnonzero(allowed.any(axis=1)).tolist()
    programs = [DRUMS if row == DRUM_RANK else row for row in rows]
    limits = {rank(program): constraints.of(constraints.polyphony, program) for program in programs}
    return Rules(
        meter=prompt.meter,
        ending=ending,
        seed_bars=prompt.heard_bars,
        pitches=_moved(allowed, prompt.shift),
        meter_free=constraints.meter == FREE,
        tempo_free=constraints.tempo == FREE,
        velocities=_velocities(prompt, rows, vocabulary) if constraints.velocity == KEPT else {},
        polyphony={row: limit for row, limit in limits.items() if limit is not None},
        notes_per_beat=constraints.notes_per_beat,
        max_repeat=constraints.max_repeat,
        players=sorted({rank(program) for program in players(prompt.seed, prompt.end)} & set(rows)),
        max_rest=likeness.max_rest,
        leanings=_leanings(prompt, programs, vocabulary, constraints, likeness),
        likeness=likeness.likeness,
        pitched=frozenset(rows) & frozenset(PITCHED),
        closing=_towards(ending.tonic, prompt.shift, vocabulary) if ending.tonic else None,
    )


def home_key(prompt: Prompt, constraints: Constraints) -> Key | None:
    """The key a continuation closes in: that of the constraints' scale, where it has one, or the seed's. In the seed's own pitch."""
    if constraints.scale not in (None, SEED):
        tonic, classes = parse_scale(constraints.scale)
        if tonic is not None:
            return tonic, "major" if (tonic + 4) % 12 in classes else "minor"
    return detect_key(prompt.seed)


def scale_of(prompt: Prompt, constraints: Constraints) -> tuple[str, frozenset[int]] | None:
    """Name and pitch classes of the constraints' scale in the seed's own pitch; None without one, or when the seed has no key to keep."""
    if constraints.scale is None:
        return None
    if constraints.scale != SEED:
        return constraints.scale, parse_scale(constraints.scale)[1]
    key = detect_key(prompt.seed)
    return (key_name(key), frozenset((key[0] + step) % 12 for step in MODES[key[1]])) if key else None


def tonic_chord(key: Key) -> frozenset[int]:
    """Pitch classes of the chord a piece in this key closes on."""
    return frozenset((key[0] + step) % 12 for step in ((0, 4, 7) if key[1] == "major" else (0, 3, 7)))


def _parts(prompt: Prompt, constraints: Constraints, likeness: LikenessSettings) -> list[Part]:
    """The constraints as tables, the first two about who plays; in the seed's own pitch."""
    seed_programs = prompt.programs()
    if constraints.programs == SEED:
        parts = [Part(f"the seed's instruments ({_names(seed_programs)})", _rows(seed_programs))]
    elif constraints.programs == FREE:
        parts = [Part("programs free", np.ones(TABLE, dtype=bool))]
    else:
        parts = [Part(f"programs {_names(constraints.programs)}", _rows(constraints.programs))]
    parts.append(Part(f"never {_names(constraints.never)}", ~_rows(constraints.never)))
    pitches = np.arange(128)
    asked = {program: constraints.of(constraints.ranges, program) for program in (*range(DRUM_RANK), DRUMS)}
    for program, bounds in asked.items():
        if bounds:
            name = f"range {bounds[0]} to {bounds[1]} of {program_name(program) if program in constraints.ranges else ALL}"
            parts.append(_row_part(name, program, (pitches >= bounds[0]) & (pitches <= bounds[1])))
    for program, (low, high) in compasses(prompt.seed, likeness.range_margin).items():
        if not asked[program]:
            name = f"range margin {likeness.range_margin} ({low} to {high} of {program_name(program)})"
            parts.append(_row_part(name, program, (pitches >= low) & (pitches <= high)))
    scale = scale_of(prompt, constraints)
    if scale and constraints.scale_strength > SURE:
        allowed = np.ones(TABLE, dtype=bool)
        allowed[PITCHED] = np.isin(pitches % 12, list(scale[1]))
        parts.append(Part(f"scale {scale[0]}", allowed))
    if prompt.shift:  # what the model may write in its key is what can be moved back
        allowed = np.ones(TABLE, dtype=bool)
        allowed[PITCHED] = (pitches + prompt.shift >= 0) & (pitches + prompt.shift <= 127)
        parts.append(Part("the canonical key", allowed))
    return parts


def _leanings(
    prompt: Prompt, programs: Collection[int], vocabulary: Vocabulary, constraints: Constraints, likeness: LikenessSettings
) -> dict[int, np.ndarray]:
    """What is added to the logits of the pitches of each row; a scale that is asked for takes the place of the seed's own."""
    scale = scale_of(prompt, constraints)
    near = leanings(transpose(prompt.seed, prompt.shift), vocabulary, likeness.likeness, scale is None, programs)
    if scale and constraints.scale_strength <= SURE:
        ids = vocabulary.of_type(TokenType.PITCH)
        outside = ids[~np.isin((vocabulary.values[ids] - prompt.shift) % 12, list(scale[1]))]
        for program in set(programs) & set(PITCHED):
            near.setdefault(program, np.zeros(len(vocabulary)))[outside] += np.log(1 - constraints.scale_strength)
    return {rank(program): leaning for program, leaning in near.items() if leaning.any()}


def _velocities(prompt: Prompt, rows: Collection[int], vocabulary: Vocabulary) -> dict[int, np.ndarray]:
    """By row the velocities it has in the prompt, or those of all where it has none."""
    at = np.flatnonzero(vocabulary.types[prompt.ids] == TokenType.VELOCITY)
    heard, told = prompt.ids[at], [rank(program) for program in vocabulary.values[prompt.ids[at - 2]].tolist()]
    result = {}
    for row in rows:
        own = heard[np.array(told, dtype=int) == row]
        result[row] = np.zeros(len(vocabulary), dtype=bool)
        result[row][own if len(own) else heard if len(heard) else vocabulary.of_type(TokenType.VELOCITY)] = True
    return result


def _towards(key: Key, shift: int, vocabulary: Vocabulary) -> np.ndarray:
    """A leaning to the notes of the tonic chord, most of all to the tonic."""
    result = np.zeros(len(vocabulary))
    ids = vocabulary.of_type(TokenType.PITCH)
    classes = (vocabulary.values[ids] - shift) % 12
    result[ids[np.isin(classes, list(tonic_chord(key)))]] = TONIC_LEANING
    result[ids[classes == key[0]]] += TONIC_LEANING / 3
    return result


def _moved(allowed: np.ndarray, shift: int) -> np.ndarray:
    """The table `shift` semitones higher; drums and noises stay."""
    if not shift:
        return allowed
    moved = allowed.copy()
    moved[PITCHED] = False
    moved[PITCHED, max(0, shift) : 128 + min(0, shift)] = allowed[PITCHED, max(0, -shift) : 128 + min(0, -shift)]
    return moved


def _rows(programs: Collection[int]) -> np.ndarray:
    table = np.zeros(TABLE, dtype=bool)
    table[[rank(program) for program in programs]] = True
    return table


def _row_part(name: str, program: int, pitches: np.ndarray) -> Part:
    table = np.ones(TABLE, dtype=bool)
    table[rank(program)] = pitches
    return Part(name, table)


def _names(programs: Collection[int]) -> str:
    return ", ".join(program_name(program) for program in sorted(programs)) or "nobody"

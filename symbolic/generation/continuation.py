"""Continuing a score: seed in, longer score out.

The seed's notes stay as they are, in ticks and tracks; the continuation begins at the bar line where the seed ends, keeps
the seed's last meter, its tempo and its programs unless told otherwise, and ends on a bar line. In canonical key the model
hears and writes C major or A minor, and what it wrote is moved back.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from symusic.core import NoteTick, ScoreTick, TempoTick, TextMetaTick, TimeSignatureTick

import symbolic
from symbolic.errors import UsageError
from symbolic.generation.bundle import given_model
from symbolic.generation.constraints import Constraints, make_constraints
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.length import DEFAULT_BARS, wanted_bars
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.parts import add_notes
from symbolic.generation.prompt import Prompt, in_canonical_key, prepare_prompt
from symbolic.generation.ranking import best_first, score_take
from symbolic.generation.writing import write_streams, write_to_cadence
from symbolic.midi.reading import read
from symbolic.models.network import Network
from symbolic.tokenizers.automaton import DRUMS
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

KEY_CHOICES = ("original", "canonical")
MOST_TAKES = 64


def continue_score(seed: Any, bars: int | None = None, *, stream: bool = False, **options: Any) -> Any:
    """The seed with more bars: the first of `continue_takes`, which says what the options are.

    With `stream` an iterator over the same bars instead, each a `session.WrittenBar` as soon as it is finished; it takes the
    options of `session.Session`.
    """
    if not stream:
        return continue_takes(seed, bars, **options)[0]
    from symbolic.generation.session import Session

    impossible = [name for name in ("seconds", "until_cadence", "takes", "key") if options.get(name)]
    if impossible:
        raise UsageError(f"stream and {impossible[0]} contradict each other: bars are given away before the whole is known")
    return Session(seed, bars=bars or DEFAULT_BARS, **options).write()


def continue_takes(
    seed: Any,
    bars: int | None = None,
    *,
    seconds: float | None = None,
    until_cadence: bool = False,
    takes: int = 1,
    model: Network | str | Path | None = None,
    tokenizer: RemiTokenizer | None = None,
    constraints: Constraints | Mapping[str, Any] | str | Path | None = None,
    temperature: float = 1.1,
    top_p: float = 0.95,
    top_k: int = 0,
    min_p: float = 0.0,
    pitch_temperature: float | None = None,
    rhythm_temperature: float | None = None,
    velocity_temperature: float | None = None,
    loop_heat: float = 0.0,
    likeness: float = 1.0,
    range_margin: int = 5,
    max_rest: int = 1,
    key: str = "original",
    random_seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> list[ScoreTick]:
    """`takes` different continuations, each the whole score with `bars` more bars (8), made as one batch; the best first.

    `seed` is whatever `symbolic.read` takes. `seconds` gives the length to the nearest bar line instead; with `until_cadence`
    the last bar is sought among the last two, where the music closes best. `model` is a loaded model (then give its `tokenizer`
    when it is not the bundled one), a bundled name or a folder. `constraints` are a `Constraints`, a mapping or a YAML file.
    Temperatures, `top_k`, `top_p`, `min_p` and `loop_heat` are those of `SamplingSettings`. `likeness` leans towards the
    seed's key and registers (0: free); `range_margin` bounds each program to its compass in the seed, widened by so many
    semitones (127: free); `max_rest` is for how many bars an instrument that played at the seed's end may be silent.
    `key` is the one the model works in: "original", or "canonical" for C major or A minor and the way back.
    The same `random_seed` gives the same notes; one take of several is drawn with random_seed + 0, one with + 1 and so on,
    and is the same as alone. `progress` is called with the number of bars finished.
    Raises `InputError` for a seed that is no music, `UsageError` for impossible numbers and contradicting constraints.
    """
    if not 1 <= takes <= MOST_TAKES:
        raise UsageError(f"takes is {takes}; a whole number from 1 to {MOST_TAKES} is wanted")
    if key not in KEY_CHOICES:
        raise UsageError(f"key is {key!r}; {' or '.join(KEY_CHOICES)} is wanted")
    settings = SamplingSettings(
        temperature, top_p, top_k, min_p, pitch_temperature, rhythm_temperature, velocity_temperature, loop_heat
    )  # fmt: skip
    near, asked = LikenessSettings(likeness, range_margin, max_rest), make_constraints(constraints)
    name, network, tokenizer = given_model(model, tokenizer)
    prompt = prepare_prompt(read(seed), tokenizer)
    bars = wanted_bars(bars, seconds, prompt, tokenizer.vocabulary, asked)
    found: dict[str, Any] = {"key": key}
    if key == "canonical":
        prompt, seed_key = in_canonical_key(prompt, tokenizer)
        found |= {"seed_key": seed_key, "shift": prompt.shift}
    if asked.told():
        found["constraints"] = asked.told()
    if prompt.heard_bars < prompt.seed_bars:
        found |= {"seed_bars": prompt.seed_bars, "heard_bars": prompt.heard_bars}
    if seconds is not None:
        found["seconds"] = seconds
    seeds = [random_seed + take for take in range(takes)]
    write = write_to_cadence if until_cadence else write_streams
    streams = write([prompt] * takes, bars, network, tokenizer, seeds, settings, near, asked, progress)
    origin = {"program": f"symbolic {symbolic.__version__}", "model": name, "bars": bars} | asdict(settings) | asdict(near) | found
    scored = []
    for (stream, close), own_seed in zip(streams, seeds, strict=True):
        more: dict[str, Any] = {"random_seed": own_seed}
        if close:
            more |= {"bars": close.bars, "close": close.told()}
        if stream.unkept:
            more["repetitions_against_the_rule"] = stream.unkept
        longer = assemble(prompt, close.bars if close else bars, stream.ids, tokenizer, {})
        start, stop = (marker.time for marker in longer.markers[-2:])
        scores = score_take(longer, start, stop, stream.nats / max(stream.notes, 1))
        longer.markers[-2].text = _marker(origin | more | {"scores": scores.told()})
        scored.append((longer, scores))
    return [scored[take][0] for take in best_first([scores for _, scores in scored])]


def continue_prompts(
    prompts: Sequence[Prompt],
    bars: int,
    model: Network,
    tokenizer: RemiTokenizer,
    random_seeds: Sequence[int],
    settings: SamplingSettings | None = None,
    likeness: LikenessSettings | None = None,
    progress: Callable[[int], object] | None = None,
    constraints: Constraints | None = None,
) -> list[np.ndarray]:
    """New ids for each prompt, as one batch; each stream begins with its first new bar and has exactly `bars` bars of its seed's meter."""
    settings, likeness, constraints = settings or SamplingSettings(), likeness or LikenessSettings(), constraints or Constraints()
    streams = write_streams(prompts, bars, model, tokenizer, random_seeds, settings, likeness, constraints, progress)
    return [stream.ids for stream, _ in streams]


def assemble(prompt: Prompt, bars: int, ids: np.ndarray, tokenizer: RemiTokenizer, origin: dict[str, Any]) -> ScoreTick:
    """The seed with the notes of `ids` after its end; where it came from is written into the score as text markers, the last two.

    Tempos and meters of `ids` that are not those of the seed's end are written too.
    """
    vocabulary = tokenizer.vocabulary
    new, seed = tokenizer.decode(vocabulary.transpose_ids(ids, -prompt.shift)), prompt.seed
    scale = seed.ticks_per_quarter / new.ticks_per_quarter
    notes: dict[int, list[NoteTick]] = {}
    for track in new.tracks:
        notes.setdefault(DRUMS if track.is_drum else track.program, []).extend(
            NoteTick(prompt.end + round(n.time * scale), max(1, round(n.end * scale) - round(n.time * scale)), n.pitch, n.velocity)
            for n in track.notes
        )
    longer = seed.copy()
    add_notes(longer, notes)
    meters = ids[vocabulary.types[ids] == TokenType.TIME_SIGNATURE]
    if (meters != prompt.meter).any():
        last = (int(vocabulary.numerators[prompt.meter]), int(vocabulary.denominators[prompt.meter]))
        for change in new.time_signatures:
            if (change.numerator, change.denominator) != last:
                longer.time_signatures.append(
                    TimeSignatureTick(prompt.end + round(change.time * scale), change.numerator, change.denominator)
                )
            last = (change.numerator, change.denominator)
    tempos = int((vocabulary.types[ids] == TokenType.TEMPO).sum())
    for tempo in list(new.tempos)[len(new.tempos) - tempos :]:
        longer.tempos.append(TempoTick(prompt.end + round(tempo.time * scale), mspq=tempo.mspq))
    length = float((vocabulary.numerators[meters] / vocabulary.denominators[meters]).sum() * 4 * seed.ticks_per_quarter)
    longer.markers.append(TextMetaTick(prompt.end, _marker(origin)))
    longer.markers.append(TextMetaTick(prompt.end + round(length), "end"))
    return longer


def _marker(origin: dict[str, Any]) -> str:
    return f"continuation: {json.dumps(origin)}"

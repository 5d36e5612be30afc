"""From prompts to streams: so many bars, or to a close.

A close is sought by writing the last two bars several times over, from where they begin.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from symbolic.errors import UsageError
from symbolic.generation.cadence import Close, judge
from symbolic.generation.constraints import Constraints
from symbolic.generation.drawing import SamplingSettings
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.prompt import Prompt
from symbolic.generation.rules import Ending, Rules, home_key, make_rules
from symbolic.generation.sampling import Stream, sample
from symbolic.midi.keys import Key
from symbolic.models.network import Network
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer

CLOSING_BARS = 2
WAYS = 8
ANOTHER_WAY = 1_000_003  # so far apart are the random seeds of the ways to close
Progress = Callable[[int], object]


def write_streams(
    prompts: Sequence[Prompt],
    bars: int,
    model: Network,
    tokenizer: RemiTokenizer,
    random_seeds: Sequence[int],
    settings: SamplingSettings,
    likeness: LikenessSettings,
    constraints: Constraints,
    progress: Progress | None = None,
    endings: Sequence[Ending] | None = None,
) -> list[tuple[Stream, Close | None]]:
    """Each prompt gone on from for `bars` bars of its seed, or to its own of `endings`; ids begin with the first new bar."""
    vocabulary, automaton = tokenizer.vocabulary, TokenAutomaton(tokenizer.vocabulary)
    endings = endings or [Ending(_after(prompt, bars)) for prompt in prompts]
    rules: dict[tuple[int, Ending], Rules] = {}
    masks = []
    for prompt, ending in zip(prompts, endings, strict=True):
        key = (id(prompt), ending)
        if key not in rules:
            rules[key] = make_rules(prompt, ending, vocabulary, constraints, likeness)
        masks.append(StreamMask(automaton, rules[key], history=settings.loop_heat > 0))
    streams = sample(model, vocabulary, [prompt.ids for prompt in prompts], masks, random_seeds, settings, progress)
    for prompt, stream in zip(prompts, streams, strict=True):
        stream.ids = np.concatenate([prompt.ids[-2:], stream.ids])
    return [(stream, None) for stream in streams]


def write_to_cadence(
    prompts: Sequence[Prompt],
    bars: int,
    model: Network,
    tokenizer: RemiTokenizer,
    random_seeds: Sequence[int],
    settings: SamplingSettings,
    likeness: LikenessSettings,
    constraints: Constraints,
    progress: Progress | None = None,
) -> list[tuple[Stream, Close | None]]:
    """The same for `bars` bars or one less: the last two are written in `WAYS` ways, half to each end, and the best close is kept."""
    arguments = (bars, model, tokenizer)
    rules = (settings, likeness, constraints)
    keys = [_closing_key(prompt, constraints) for prompt in prompts]
    common = max(0, bars - CLOSING_BARS)
    begun: list[Stream | None] = [None] * len(prompts)
    halfway = list(prompts)
    if common:
        pauses = [Ending(_after(prompt, bars - 1), pause=_after(prompt, common)) for prompt in prompts]
        for place, (stream, _) in enumerate(write_streams(prompts, *arguments, random_seeds, *rules, progress, pauses)):
            begun[place], prompt = stream, prompts[place]
            opened = np.array([tokenizer.vocabulary.bar, prompt.meter])
            halfway[place] = replace(prompt, ids=np.concatenate([prompt.ids[:-2], stream.ids, opened]))
    lengths = [max(1, bars - way % CLOSING_BARS) for way in range(WAYS)]
    endings = [Ending(_after(prompt, length), tonic=key) for prompt, key in zip(prompts, keys, strict=True) for length in lengths]
    seeds = [random_seed + (way + 1) * ANOTHER_WAY for random_seed in random_seeds for way in range(WAYS)]
    ways = write_streams([prompt for prompt in halfway for _ in lengths], *arguments, seeds, *rules, None, endings)
    automaton = TokenAutomaton(tokenizer.vocabulary)
    result: list[tuple[Stream, Close | None]] = []
    for place, prompt in enumerate(prompts):
        streams = [_joined(begun[place], stream) for stream, _ in ways[place * WAYS : (place + 1) * WAYS]]
        closes = [
            judge(stream.ids, length, keys[place], prompt.shift, stream.end_nats, automaton)
            for stream, length in zip(streams, lengths, strict=True)
        ]
        best = max(range(WAYS), key=lambda way: closes[way].quality)
        result.append((streams[best], closes[best]))
        if progress:
            progress(closes[best].bars - common)
    return result


def _after(prompt: Prompt, bars: int) -> int:
    """Bars of a stream in all, when it has `bars` new bars of the seed."""
    return prompt.heard_bars + bars * prompt.bars_per_bar


def _joined(first: Stream | None, second: Stream) -> Stream:
    """Two streams of which the second goes on from the first."""
    if first is None:
        return second
    ids, unkept = np.concatenate([first.ids, second.ids]), first.unkept + second.unkept
    return Stream(ids, first.nats + second.nats, first.notes + second.notes, second.end_nats, unkept)


def _closing_key(prompt: Prompt, constraints: Constraints) -> Key:
    key = home_key(prompt, constraints)
    if key is None:
        raise UsageError("until-cadence and this seed contradict each other: a cadence wants a key, and the seed has none")
    return key

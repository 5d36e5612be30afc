"""Is everything that is written valid? From random logits, from adversarial logits and from the model, for every shipped tokenizer.

    python benchmarks/validity.py [--sequences 10000] [--bars 2] [--sources random adversarial model] [--workers 1]

Seeds are made by chance: meters with changes and pickups, one to six programs, drums, chords, unisons, rests; half of the sequences
obey constraints, also made by chance. Every sequence must
    be what a fresh automaton accepts, from the first token of the seed to the end of the piece,
    decode, and encode to the same ids,
    have the bars asked for, the last with a note, and no note past its end,
    obey its constraints, told from the notes of the MIDI file that is written and read again.
Random logits are normal, new at every token. An adversary wants the same things at every token, a hundred times more than others:
one kind of token, the highest or lowest ids, or a handful of ids. "model" is the bundled one where the tokenizer is its own,
or else an untrained network.
"""

import argparse
import multiprocessing
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from symusic.core import NoteTick, ScoreTick, TimeSignatureTick, TrackTick

from symbolic.errors import InputError
from symbolic.generation.bundle import load_model, load_tokenizer
from symbolic.generation.constraints import Constraints
from symbolic.generation.continuation import assemble
from symbolic.generation.drawing import SamplingSettings, draw
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.prompt import Prompt, prepare_prompt
from symbolic.generation.rules import Ending, make_rules
from symbolic.generation.scales import parse_scale
from symbolic.generation.writing import write_streams
from symbolic.midi.programs import is_pitched
from symbolic.midi.reading import read
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.settings import load_settings
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

CONFIGS = Path(__file__).parent.parent / "configs"
METERS = [(4, 4), (3, 4), (6, 8), (5, 4), (7, 8), (2, 2), (12, 8), (3, 16), (1, 16), (2, 4)]
SCALES = ["C major", "F# minor", "Bb major pentatonic", "seed", "C,D,E,G"]
TOGETHER = 50  # sequences of one seed and one set of constraints
QUARTER = 480


def shipped_tokenizers() -> dict[str, RemiTokenizer]:
    """The default tokenizer and those of configs/, by name; equal settings under one name."""
    found: dict[str, RemiTokenizer] = {}
    for name, path in [("default", None), *((path.stem, path) for path in sorted(CONFIGS.glob("tokenizer-*.yaml")))]:
        settings = load_settings(TokenizerSettings, path)
        same = next((other for other, tokenizer in found.items() if tokenizer.settings == settings), None)
        found[f"{same} = {name}" if same else name] = found.pop(same) if same else RemiTokenizer(settings)
    return found


def made_seed(generator: np.random.Generator) -> ScoreTick:
    """A seed of one to four bars."""
    score = ScoreTick(QUARTER)
    tick = 0
    for _ in range(int(generator.integers(1, 3))):
        upper, lower = METERS[generator.integers(len(METERS))]
        if generator.random() < 0.2:  # a pickup
            tick += QUARTER // 2
        score.time_signatures.append(TimeSignatureTick(tick, upper, lower))
        tick += int(generator.integers(1, 3)) * upper * 4 * QUARTER // lower
    programs = generator.choice(128, int(generator.integers(1, 7)), replace=False).tolist()
    parts = [(program, False) for program in programs] + [(0, True)] * (generator.random() < 0.4)
    for program, drums in parts[-1:] if generator.random() < 0.1 else parts:
        track = TrackTick("", program, drums)
        middle = int(generator.integers(30, 90))
        for onset in np.unique(generator.integers(0, max(tick // 60, 1), int(generator.integers(2, 10)))).tolist():
            for pitch in np.unique(generator.integers(max(0, middle - 12), middle + 12, int(generator.integers(1, 4)))).tolist():
                track.notes.append(NoteTick(onset * 60, min(60 * int(generator.integers(1, 9)), max(60, tick - onset * 60)), pitch, 80))
        score.tracks.append(track)
    return score


def made_constraints(generator: np.random.Generator, seed: ScoreTick) -> Constraints:
    """Some constraints by chance; none in half of the cases."""
    if generator.random() < 0.5:
        return Constraints()
    chance = generator.random(11)
    given: dict[str, Any] = {}
    if chance[0] < 0.3:
        given["programs"] = [0, 40, "drums"] if chance[0] < 0.2 else "free"
    if chance[1] < 0.3:
        low = int(generator.integers(20, 80))
        given["ranges"] = {"all": [low, low + int(generator.integers(0, 30))]}
    if chance[2] < 0.4:
        given["scale"] = SCALES[generator.integers(len(SCALES))]
    if chance[3] < 0.4:
        given["polyphony"] = int(generator.integers(1, 4))
    if chance[4] < 0.3:
        given["notes_per_beat"] = int(generator.integers(1, 6))
    if chance[5] < 0.4:
        given["max_repeat"] = int(generator.integers(0, 2))
    for place, name in enumerate(("tempo", "meter", "velocity"), start=6):
        if chance[place] < 0.3:
            given[name] = "kept" if name == "velocity" else "free"
    return Constraints(**given)


def logits_of(source: str, vocabulary: Vocabulary, generator: np.random.Generator) -> Any:
    """A function that gives the logits of the next token, (V,)."""
    V = len(vocabulary)
    if source == "random":
        return lambda: generator.standard_normal(V, dtype=np.float32) * 3
    wish = np.zeros(V, dtype=np.float32)
    kind = generator.integers(4)
    if kind == 0:
        wish[vocabulary.types == generator.integers(1, TokenType.DURATION + 1)] = 100
    elif kind == 1:
        wish = np.linspace(0, 100, V, dtype=np.float32)
    elif kind == 2:
        wish = np.linspace(100, 0, V, dtype=np.float32)
    else:
        wish[generator.integers(0, V, 40)] = 100
    return lambda: wish


def written(
    source: str,
    prompt: Prompt,
    bars: int,
    tokenizer: RemiTokenizer,
    constraints: Constraints,
    seeds: list[int],
    model: TransformerXL | None,
) -> list[np.ndarray]:
    """New ids, one array for each random seed, from the first new bar on."""
    near, settings = LikenessSettings(max_rest=1 + seeds[0] % 3), SamplingSettings()
    if model is not None:
        prompts = [prompt] * len(seeds)
        return [stream.ids for stream, _ in write_streams(prompts, bars, model, tokenizer, seeds, settings, near, constraints)]
    vocabulary, result = tokenizer.vocabulary, []
    rules = make_rules(prompt, Ending(prompt.heard_bars + bars * prompt.bars_per_bar), vocabulary, constraints, near)
    automaton = TokenAutomaton(vocabulary)
    for seed in seeds:
        mask = StreamMask(automaton, rules)
        mask.read(prompt.ids)
        logits, chance = logits_of(source, vocabulary, np.random.default_rng(seed)), torch.Generator().manual_seed(seed)
        new = prompt.ids[-2:].tolist()
        while not mask.ends(id_ := draw(logits() + mask.leaning(), mask.legal(), settings, chance, 1.0)):
            mask.follow(id_)
            new.append(id_)
        result.append(np.array(new))
    return result


def faults(prompt: Prompt, bars: int, ids: np.ndarray, tokenizer: RemiTokenizer, constraints: Constraints) -> list[str]:
    """What is wrong with one sequence."""
    vocabulary, found = tokenizer.vocabulary, []
    whole = np.concatenate([prompt.ids[:-2], ids, [vocabulary.eos]])
    automaton = TokenAutomaton(vocabulary)
    state = automaton.state_after(prompt.ids[:-2])
    for id_ in whole[len(prompt.ids) - 2 :].tolist():
        if not automaton.legal(state)[id_]:
            found.append("an illegal token")
        automaton.advance(state, id_)
    if not np.array_equal(tokenizer.encode(tokenizer.decode(whole)).ids, whole[1:-1]):
        found.append("other ids after decoding and encoding")
    if (ids == vocabulary.bar).sum() != bars * prompt.bars_per_bar or state.notes_in_bar == 0:
        found.append("not the bars asked for")
    longer = assemble(prompt, bars, ids, tokenizer, {})
    again = read(longer.dumps_midi())
    stop = longer.markers[-1].time
    notes = [
        (track.program if not track.is_drum else -1, is_pitched(track), note.time, note.end, note.pitch)
        for track in again.tracks for note in track.notes if note.time >= prompt.end
    ]  # fmt: skip
    if not notes or max(end for *_, end, _ in notes) > stop:
        found.append("a note past the end")
    if len(notes) != (vocabulary.types[ids] == TokenType.DURATION).sum():
        found.append("another number of notes in the file")
    playing = prompt.programs() if constraints.programs == "seed" else constraints.programs
    if constraints.programs != "free" and any(program not in playing for program, *_ in notes):
        found.append("a program that may not play")
    bounds = [(constraints.of(constraints.ranges, program), pitch) for program, *_, pitch in notes]
    if any(bound and not bound[0] <= pitch <= bound[1] for bound, pitch in bounds):
        found.append("a pitch out of its range")
    if constraints.scale not in (None, "seed"):
        classes = parse_scale(constraints.scale)[1]
        if any(pitched and pitch % 12 not in classes for _, pitched, *_, pitch in notes):
            found.append("a pitch out of its scale")
    for program, _, start, _, _ in notes:
        limit = constraints.of(constraints.polyphony, program)
        if limit and sum(other == program and onset <= start < end for other, _, onset, end, _ in notes) > limit:
            found.append("too many notes at once")
    return sorted(set(found))


def batch(job: tuple[str, str, int, int, int]) -> tuple[Counter[str], list[str]]:
    """Counts of one seed's sequences, and what was wrong with the first bad one."""
    name, source, number, count, bars = job
    torch.set_num_threads(1)
    tokenizer, generator = shipped_tokenizers()[name], np.random.default_rng([number, len(name)])
    model = model_for(tokenizer) if source == "model" else None
    counts: Counter[str] = Counter()
    seed = made_seed(generator)
    while True:
        constraints = made_constraints(generator, seed)
        try:
            prompt = prepare_prompt(seed, tokenizer)
            streams = written(
                source, prompt, bars, tokenizer, constraints, list(range(number * TOGETHER, number * TOGETHER + count)), model
            )
            break
        except InputError:  # a contradiction, told before a token was drawn
            counts["refused"] += 1
    examples = []
    for ids in streams:
        wrong = faults(prompt, bars, ids, tokenizer, constraints)
        counts.update(["sequences", "valid" if not wrong else "bad", *wrong])
        counts["tokens"] += len(ids)
        counts["constrained"] += constraints != Constraints()
        if wrong and not examples:
            examples.append(f"{job}: {wrong}, {constraints.told()}")
    return counts, examples


def model_for(tokenizer: RemiTokenizer) -> TransformerXL:
    """The bundled model where the tokenizer is its own, or else an untrained network of the same tokens."""
    if tokenizer.settings == load_tokenizer().settings:
        return load_model()
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 64}
    grid = {"positions_per_beat": tokenizer.settings.positions_per_beat, "beats_per_bar": tokenizer.vocabulary.max_beats}
    return TransformerXL(make_config(vocab_size=len(tokenizer.vocabulary), initializer_range=0.3, **shape, **grid)).eval()


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=10_000, help="of each tokenizer and source")
    parser.add_argument("--bars", type=int, default=2)
    parser.add_argument("--sources", nargs="+", default=["random", "adversarial", "model"])
    parser.add_argument("--tokenizers", nargs="+", help="names that hold one of these words (default: all)")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print("| tokenizer | logits | sequences | valid | constrained | tokens | tokens/s |")
    print("|---|---|---|---|---|---|---|")
    for name in shipped_tokenizers():
        if options.tokenizers and not any(word in name for word in options.tokenizers):
            continue
        for source in options.sources:
            jobs = [
                (name, source, number, min(TOGETHER, options.sequences - number * TOGETHER), options.bars)
                for number in range(-(-options.sequences // TOGETHER))
            ]
            counts: Counter[str] = Counter()
            examples: list[str] = []
            clock = time.perf_counter()
            with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
                for found, bad in pool.imap_unordered(batch, jobs):
                    counts += found
                    examples += bad
            rate = counts["tokens"] / (time.perf_counter() - clock)
            print(
                f"| {name} | {source} | {counts['sequences']:,} | {counts['valid']:,} | {counts['constrained']:,} | {counts['tokens']:,} "
                f"| {rate:,.0f} |", flush=True,
            )  # fmt: skip
            for example in examples[:5]:
                print("  bad:", example)
            wrong = {what: number for what, number in counts.items() if " " in what}
            if wrong:
                print("  ", wrong)


if __name__ == "__main__":
    main()

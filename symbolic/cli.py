"""The `symbolic` command: one function a verb, heavy imports inside it.

stdout has what was made (with --json one JSON object); progress bars and errors go to stderr.
Exit: 0 done, 1 bad input (one line), 2 wrong usage (one line), 130 interrupted.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symbolic.commands.blend import add_blend
from symbolic.commands.console import MODEL_HELP, SEED_HELP, Outcome, Progress, music_output, render_to, seed_of, told_sound
from symbolic.commands.enhance import add_enhance
from symbolic.commands.middle import add_middle
from symbolic.commands.originality import add_originality, index_for
from symbolic.commands.signal_bench import add_signal
from symbolic.commands.transfer import add_transfer
from symbolic.commands.voice import add_voice
from symbolic.errors import InputError, UsageError

CONTINUE_OPTIONS = (
    "seconds", "until_cadence", "temperature", "top_p", "top_k", "min_p", "pitch_temperature", "rhythm_temperature",
    "velocity_temperature", "loop_heat", "likeness", "range_margin", "max_rest", "key",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 2
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        result, lines = options.run(options)
    except InputError as error:
        print(f"symbolic {options.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt as interruption:
        print(f"symbolic {options.command}: {interruption or 'interrupted, nothing half written'}", file=sys.stderr)
        return 130
    except MemoryError:
        print(f"symbolic {options.command}: not enough memory for this input; try a shorter file", file=sys.stderr)
        return 1
    try:
        print(json.dumps(result, indent=2) if options.json else "\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def continue_command(options: argparse.Namespace) -> Outcome:
    """`symbolic continue`: the seed with N more bars, as MIDI or MusicXML, and on request as sound and picture."""
    from symbolic.files import refuse_existing

    seed, name = seed_of(options.seed)
    output = music_output(options.output or f"{name}-continued.mid")
    targets = [output] if options.takes == 1 else [output.with_stem(f"{output.stem}-{k + 1}") for k in range(options.takes)]
    suffixes = [".json", *([".wav"] if options.wav else []), *([".png"] if options.plot else [])]
    for path in targets:
        for target in (path, *(path.with_suffix(suffix) for suffix in suffixes)):
            refuse_existing(target, options.force)
    sampling = {key: getattr(options, key) for key in CONTINUE_OPTIONS} | {"constraints": _constraints(options)}
    return _continue(
        seed, name, targets, options.bars, options.model, options.random_seed, sampling,
        wav=options.wav, plot=options.plot, force=options.force,
        index=None if options.originality is None else index_for(options.originality, options.model),
    )  # fmt: skip


def demo_command(options: argparse.Namespace) -> Outcome:
    """`symbolic demo`: the bundled Canon continued by the bundled model, drawn and rendered."""
    seed, name = seed_of("canon")
    target = Path(options.output) / "canon-continued.mid"
    return _continue(seed, name, [target], options.bars, options.model, options.random_seed, {}, wav=True, plot=True, force=True)


def render_command(options: argparse.Namespace) -> Outcome:
    """`symbolic render`: a MIDI file as sound."""
    from symbolic.files import refuse_existing

    score, name = seed_of(options.file)
    output = Path(options.output or f"{name}.wav")
    refuse_existing(output, options.force)
    report, seconds = render_to(
        score, output, options.force, sample_rate=options.sample_rate, bit_depth=options.bit_depth, voices=options.voices,
        stems=Path(options.stems) if options.stems else None,
    )  # fmt: skip
    return report | {"output": str(output)}, [f"{output}: {told_sound(report, seconds)}", *report["remarks"]]


def tokenize_command(options: argparse.Namespace) -> Outcome:
    """`symbolic tokenize`: a folder of MIDI as a dataset to train on."""
    from symbolic.corpus.tokenizing import tokenize_folder
    from symbolic.settings import load_settings
    from symbolic.tokenizers.settings import TokenizerSettings

    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: at least 1 is wanted")
    if not 0 <= options.held_out < 1:
        raise UsageError(f"--held-out {options.held_out}: a share from 0 up to 1 is wanted, such as 0.04")
    for name in ("file_seconds", "file_megabytes"):
        if not 0 < getattr(options, name) < 1e6:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(options, name):g}: a number above 0 is wanted, such as 30")
    report = tokenize_folder(
        options.folder, options.output, load_settings(TokenizerSettings, options.settings), workers=options.workers,
        held_out=options.held_out, exclude=tuple(options.exclude), file_seconds=options.file_seconds,
        file_megabytes=options.file_megabytes, force=options.force,
    )  # fmt: skip
    alike = f"{report['pieces_in_duplicate_clusters']:,} pieces in {report['duplicate_clusters']:,} clusters"
    lines = [
        f"{options.output}: {report['pieces']:,} pieces, {report['notes']:,} notes, {report['tokens']:,} tokens",
        "split: " + ", ".join(f"{count:,} {split}" for split, count in sorted(report["splits"].items())),
        f"alike, also transposed: {alike}, kept on one side of the split",
    ]
    if report["skipped"]:
        lines.append(f"skipped {report['skipped']:,}: " + "; ".join(f"{reason} ({n})" for reason, n in report["skip_reasons"].items()))
    if others := report["not_music"]:
        kinds = ", ".join(f"{suffix or 'no suffix'} ({count:,})" for suffix, count in list(others.items())[:6])
        lines.append(f"not opened, no music by name and first bytes: {kinds}{' and more' if len(others) > 6 else ''}")
    lines.append(f"report: {Path(options.output) / 'report.html'}; each file and why: {Path(options.output) / 'verdicts.jsonl'}")
    return report, lines


def train_command(options: argparse.Namespace) -> Outcome:
    """`symbolic train`: a model from a dataset; with `accelerate launch -m symbolic train …` on several processes."""
    from symbolic.training.loop import train

    figures = train(
        options.dataset, options.output, options.settings, from_model=options.from_model, resume=options.resume, processes=options.processes
    )
    lines = [f"{options.output}: {figures['steps']:,} steps done; loss.png shows the curve, best/ and last/ are models"]
    if "before_nats_per_note" in figures:
        before, best = figures["before_nats_per_note"], figures["best_nats_per_note"]
        lines.append(
            f"held-out: {before:.3f} nats per note before, {best:.3f} ({best / before - 1:+.1%}) at best, at step {figures['best_step']:,}"
        )
    elif "best_nats_per_note" in figures:
        lines.append(f"held-out: {figures['best_nats_per_note']:.3f} nats per note at best, at step {figures['best_step']:,}")
    lines.append(f"next: symbolic continue SEED.mid --model {options.output}")
    return figures, lines


def evaluate_command(options: argparse.Namespace) -> Outcome:
    """`symbolic evaluate`: nats per note, beat and token of a model on held-out pieces, on any folder or on one file."""
    from symbolic.generation.bundle import model_folder
    from symbolic.training.evaluation import evaluate
    from symbolic.training.table import evaluation_lines

    result = evaluate(
        model_folder(options.model), options.source, split=options.split, memory=options.memory, twelve_keys=options.twelve_keys,
        plot=options.plot, force=options.force,
    )  # fmt: skip
    name = f"{options.source}, {options.split} pieces" if "collections" in result else options.source
    return result, evaluation_lines(result, name) + ([f"{options.plot}: the surprise curve"] if options.plot else [])


def inspect_command(options: argparse.Namespace) -> Outcome:
    """`symbolic inspect`: what is in one file, what its tokens lose, what looks wrong; on request its tokens."""
    from symbolic.corpus.inspection import inspect, table, token_table
    from symbolic.midi.seeds import list_seeds, load_seed

    if options.tokens is not None and options.tokens < 1:
        raise UsageError(f"--tokens {options.tokens}: a number from 1 is wanted, or none for the first 64")
    bundled = options.file in list_seeds() and not Path(options.file).exists()
    facts = inspect(load_seed(options.file) if bundled else options.file, options.settings, tokens=options.tokens or 0)
    facts["file"] = options.file
    return facts, [*table(facts), *(["", *token_table(facts["token_list"], facts["tokens"])] if options.tokens else [])]


def _continue(
    seed: Any, name: str, targets: list[Path], bars: int | None, model: str | None, random_seed: int, sampling: dict[str, Any],
    *, wav: bool, plot: bool, force: bool, index: Any = None,
) -> Outcome:  # fmt: skip
    from symbolic.midi.meter import bar_starts

    starts = bar_starts(seed)
    lines = [f"read {name}: {len(starts) - 1} bars, {seed.note_num():,} notes, {len(seed.tracks)} tracks"]
    clock = time.perf_counter()
    import symbolic
    from symbolic.files import new_file
    from symbolic.generation.cadence import Close

    with Progress(None if bars is None else bars * len(targets), "continue", "bar") as progress:
        scores = symbolic.continue_takes(
            seed, bars, takes=len(targets), model=model, random_seed=random_seed, progress=progress, **sampling
        )
    origins = [_origin(score) for score in scores]
    made_bars = max(origin["bars"] for origin in origins)
    result: dict[str, Any] = {"seed": name, "bars": made_bars, "outputs": []}
    lines.append(
        f"continued by {made_bars} bars, {len(targets)} {'take' if len(targets) == 1 else 'takes'}: {time.perf_counter() - clock:.1f} s"
    )
    for place, (target, score, origin) in enumerate(zip(targets, scores, origins, strict=True)):
        symbolic.write(score, target, force)
        told = origin | {"seed": name, "output": target.name, "place": place + 1, "takes": len(targets)}
        if index:
            from symbolic.corpus.originality import originality, report_lines

            begin = [marker.time for marker in score.markers if marker.text.startswith("continuation: ")][-1]
            told["originality"] = originality(score, index, begin)
        with new_file(target.with_suffix(".json"), force) as path:
            path.write_text(json.dumps(told, indent=2) + "\n")
        if place == 0:
            lines.extend(_told_once(origin))
        made: dict[str, Any] = {"midi": str(target), "new_notes": score.note_num() - seed.note_num(), "scores": origin["scores"]}
        lines.append(f"{target}: {made['new_notes']} new notes{_told_scores(origin) if len(targets) > 1 else ''}")
        if "close" in origin:
            made["close"] = origin["close"]
            lines.append(f"{target}: {Close(**origin['close']).sentence()}")
        if broken := origin.get("repetitions_against_the_rule"):
            lines.append(f"{target}: {broken} bars repeat against max_repeat, nothing else could be written there")
        if index:
            made["originality"] = told["originality"]
            lines.extend(f"{target}: {line}" for line in report_lines(told["originality"]))
        if plot:
            clock = time.perf_counter()
            picture = target.with_suffix(".png")
            end = next(m.time for m in score.markers if m.text.startswith("continuation: "))
            symbolic.plot_piano_roll(score, picture, seed_end_ticks=end, title=f"{name}, continued", force=force)
            made["picture"] = str(picture)
            lines.append(f"{picture}: piano roll, {time.perf_counter() - clock:.1f} s")
        if wav:
            sound = target.with_suffix(".wav")
            report, seconds = render_to(score, sound, force)
            made |= {"sound": str(sound), "render": report}
            lines.append(f"{sound}: {told_sound(report, seconds)}")
        result["outputs"].append(made)
    return result, lines


def _constraints(options: argparse.Namespace) -> Any:
    """The constraints of a YAML file, with those of flags in place of its own."""
    from symbolic.generation.constraints import by_instrument, make_constraints

    plain = ("scale", "scale_strength", "notes_per_beat", "max_repeat", "tempo", "meter", "velocity", "programs", "never")
    given = {name: getattr(options, name) for name in plain if getattr(options, name) is not None}
    for field, flag in (("ranges", "range"), ("polyphony", "polyphony")):
        if getattr(options, flag):
            given[field] = by_instrument(getattr(options, flag), flag)
    return make_constraints(options.constraints, **given)


def _origin(score: Any) -> dict[str, Any]:
    """Where a continued score says it comes from."""
    texts = [marker.text for marker in score.markers if marker.text.startswith("continuation: ")]
    origin: dict[str, Any] = json.loads(texts[-1].removeprefix("continuation: "))
    return origin


def _told_once(origin: dict[str, Any]) -> list[str]:
    """What holds for all takes: how much of the seed was heard, and in which key the model worked."""
    lines = []
    if "heard_bars" in origin:
        heard, bars = origin["heard_bars"], origin["seed_bars"]
        lines.append(f"the seed is longer than the model remembers: the last {heard} of its {bars} bars were heard")
    if origin["key"] == "canonical":
        lines.append(_told_key(origin["seed_key"], origin["shift"]))
    return lines


def _told_scores(origin: dict[str, Any]) -> str:
    scores = origin["scores"]
    likely, distance = scores["nats_per_note"], scores["distance"]
    return f", {likely:.2f} nats per note, distance from the seed {distance:.2f}, random seed {origin['random_seed']}"


def _told_key(key: str, shift: int) -> str:
    """Which way a continuation in canonical key went, in one line."""
    home = "A minor" if key.endswith("minor") else "C major"
    if key == "none":
        return "key: none to be found, because nothing pitched or all pitches alike play; continued as it is"
    if key == home:
        return f"key: {key}, continued as it is"
    if not shift:
        return f"key: {key}; its range is too wide to be moved to {home}, continued as it is"
    return f"key: {key}, continued in {home} ({shift:+d} semitones) and moved back"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("symbolic", description="Continue any score, train on yours, hear it.")
    parser.add_argument("--version", action="version", version=_version())
    verbs = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")

    def verb(name: str, run: Callable[[argparse.Namespace], Outcome], text: str, force: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        if force:
            sub.add_argument("--force", action="store_true", help="replace outputs that exist")
        sub.set_defaults(run=run)
        return sub

    sub = verb("continue", continue_command, "continue a score by a number of bars")
    sub.add_argument("seed", metavar="SEED", help=SEED_HELP)
    sub.add_argument("-o", "--output", metavar="OUT", help="where to write: .mid, .musicxml, .mxl or .xml (default: SEED-continued.mid)")
    sub.add_argument("--bars", type=int, metavar="N", help="bars to add (default: 8)")
    sub.add_argument("--seconds", type=float, metavar="S", help="add so many seconds instead, to the nearest bar line")
    sub.add_argument("--until-cadence", action="store_true", help="end on the tonic, in the last or the last but one of the bars")
    sub.add_argument("--takes", type=int, default=1, metavar="K", help="different continuations to make at once: OUT-1.mid, OUT-2.mid, …")
    sub.add_argument("--model", metavar="MODEL", help=MODEL_HELP)
    sub.add_argument("--temperature", type=float, default=1.1, metavar="T", help="below 1 tamer, above 1 wilder")
    sub.add_argument(
        "--top-p", type=float, default=0.95, metavar="P", help="keep the likeliest tokens that together reach this probability"
    )
    sub.add_argument("--top-k", type=int, default=0, metavar="K", help="keep the K likeliest tokens; 0 keeps all")
    sub.add_argument("--min-p", type=float, default=0.0, metavar="P", help="keep tokens at least P times as likely as the likeliest")
    for kind, what in (("pitch", "pitches"), ("rhythm", "onsets, lengths and bar ends"), ("velocity", "velocities")):
        sub.add_argument(f"--{kind}-temperature", type=float, metavar="T", help=f"temperature of {what} (default: as --temperature)")
    sub.add_argument(
        "--loop-heat", type=float, default=0.0, metavar="H", help="heat up while bars repeat exactly, the more the longer; 0 is off"
    )
    sub.add_argument("--likeness", type=float, default=1.0, metavar="L", help="lean towards the seed's key and registers; 0 is free")
    sub.add_argument("--range-margin", type=int, default=5, metavar="N", help="semitones an instrument may leave its range in the seed")
    sub.add_argument("--max-rest", type=int, default=1, metavar="N", help="bars for which an instrument of the seed's end may be silent")
    sub.add_argument(
        "--key", default="original", metavar="KEY",
        help="original, or canonical: let the model work in C major or A minor, and move its notes back",
    )  # fmt: skip
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="the same number gives the same music")
    sub.add_argument(
        "--originality", nargs="?", const="", metavar="DATASET",
        help="also tell the longest passages shared with the training set: the bundled model's, or that of DATASET",
    )  # fmt: skip
    _constraint_flags(sub)
    sub.add_argument("--wav", action="store_true", help="also render OUT.wav")
    sub.add_argument("--plot", action="store_true", help="also draw OUT.png, a piano roll")

    add_middle(verb)
    add_originality(verb)

    sub = verb("demo", demo_command, "continue the bundled Canon, draw it and render it", force=False)
    sub.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="where to write; what is there from before is replaced")
    sub.add_argument("--bars", type=int, default=16, metavar="N", help="bars to add")
    sub.add_argument("--model", metavar="MODEL", help=MODEL_HELP)
    sub.add_argument("--random-seed", type=int, default=3, metavar="S", help="another number, another continuation")

    sub = verb("render", render_command, "render a MIDI file as sound")
    sub.add_argument("file", metavar="FILE.mid", help=SEED_HELP)
    sub.add_argument(
        "-o", "--output", metavar="OUT.wav", help="where to write: .wav, .flac, .ogg or .mp3 (default: FILE.wav in this folder)"
    )
    sub.add_argument(
        "--voices", default="learned", metavar="VOICES",
        help="learned (from recordings, where an instrument has such a voice), synthesized (all by the synthesizer), or wavenet (sample by "
        "sample, where a bundled WaveNet plays the instrument; wavenet:FOLDER with one's own)",
    )  # fmt: skip
    sub.add_argument("--sample-rate", type=int, default=48000, metavar="HZ", help="samples a second")
    sub.add_argument("--bit-depth", type=int, default=24, metavar="BITS", help="bits of a sample in WAV and FLAC")
    sub.add_argument("--stems", metavar="FOLDER", help="also write each track alone into this folder")

    add_signal(verb)
    add_voice(verb)
    add_transfer(verb)
    add_blend(verb)
    add_enhance(verb)

    sub = verb("tokenize", tokenize_command, "turn a folder of MIDI into a dataset to train on")
    sub.add_argument("folder", metavar="FOLDER", help="searched with all folders below it; each first-level folder is a collection")
    sub.add_argument("-o", "--output", required=True, metavar="DATASET", help="the dataset folder to make")
    sub.add_argument("--settings", metavar="YAML", help="tokenizer settings")
    sub.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    sub.add_argument("--held-out", type=float, default=0.04, metavar="SHARE", help="share of pieces kept for validation and test")
    sub.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="leave out paths like this, such as '*Pachelbel*'; repeatable"
    )
    sub.add_argument("--file-seconds", type=float, default=30, metavar="S", help="a file that takes longer is skipped")
    sub.add_argument("--file-megabytes", type=float, default=64, metavar="MB", help="a larger file is skipped")

    sub = verb("inspect", inspect_command, "tell what is in one file, what its tokens lose and what looks wrong", force=False)
    sub.add_argument("file", metavar="FILE", help="a score of any format that is read, or the name of a bundled seed (canon)")
    sub.add_argument("--tokens", type=int, nargs="?", const=64, metavar="N", help="also show the first N tokens (64), with beats and notes")
    sub.add_argument("--settings", metavar="YAML", help="tokenizer settings to look through; see configs/ (default: the bundled model's)")

    sub = verb("train", train_command, "train a model on a dataset", force=False)
    sub.add_argument("dataset", metavar="DATASET", help="made by symbolic tokenize")
    sub.add_argument("-o", "--output", required=True, metavar="RUN", help="the run's folder: metrics, loss curve, checkpoints, models")
    sub.add_argument(
        "--from", dest="from_model", metavar="MODEL", help="fine-tune: start from a bundled model's name, a model folder or a run"
    )
    sub.add_argument("--settings", metavar="YAML", help="training settings; see configs/")
    sub.add_argument("--resume", action="store_true", help="go on from RUN/last")
    sub.add_argument(
        "--processes", type=int, metavar="N", help="begin only if so many processes were started; see docs/training-at-scale.md"
    )

    sub = verb("evaluate", evaluate_command, "measure how well a model predicts pieces")
    sub.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    sub.add_argument("source", metavar="DATASET_OR_FOLDER", help="a dataset (its held-out pieces), a folder of MIDI, or one file")
    sub.add_argument("--split", default="test", metavar="SPLIT", help="train, validation or test, for a dataset")
    sub.add_argument(
        "--memory", type=int, nargs="+", metavar="N",
        help="tokens remembered, 0 for none; several numbers give a column each (default: as the model was trained)",
    )  # fmt: skip
    sub.add_argument("--twelve-keys", action="store_true", help="also the mean over all transpositions that fit")
    sub.add_argument("--plot", metavar="OUT.png", help="draw the surprise curve of one file over its bars")
    return parser


def _constraint_flags(sub: argparse.ArgumentParser) -> None:
    """The fields of `symbolic.generation.constraints.Constraints` as flags; those of a YAML file give way to them."""
    group = sub.add_argument_group("constraints", "what the new bars must obey; instruments are General MIDI names or numbers, or drums")
    group.add_argument("--constraints", metavar="YAML", help="a file with any of these; see docs/continuing.md")
    group.add_argument("--programs", metavar="LIST", help="who plays: seed, free, or a list such as violin,cello,drums (default: seed)")
    group.add_argument("--never", metavar="LIST", help="who does not play")
    group.add_argument(
        "--range", action="append", default=[], metavar="[WHO:]LOW-HIGH", help="pitches of an instrument, such as violin:G3-E6; repeatable"
    )
    group.add_argument("--scale", metavar="SCALE", help="'D major', 'A minor pentatonic', 'C,D,E,G', or seed for the seed's key")
    group.add_argument("--scale-strength", type=float, metavar="X", help="from 0 (free) to 1 (no pitch outside; default)")
    group.add_argument(
        "--polyphony", action="append", default=[], metavar="[WHO:]N", help="notes that sound at once, such as flute:1; repeatable"
    )
    group.add_argument("--notes-per-beat", type=int, metavar="N", help="notes that begin in a beat, all instruments together")
    group.add_argument("--max-repeat", type=int, metavar="K", help="bars in a row that may be exact repetitions; 0 for none")
    for name in ("tempo", "meter", "velocity"):
        group.add_argument(
            f"--{name}", metavar="HOW", help=f"kept (as in the seed) or free (default: {'free' if name == 'velocity' else 'kept'})"
        )


def _version() -> str:
    import symbolic

    return f"symbolic {symbolic.__version__}"

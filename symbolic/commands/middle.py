"""`symbolic fill`, `accompany`, `harmonise` and `vary`: writing inside a score."""

import argparse
import json
import re
import time
from collections.abc import Callable
from typing import Any

from symbolic.commands.console import MODEL_HELP, SEED_HELP, Outcome, Progress, music_output, render_to, seed_of, told_sound
from symbolic.errors import UsageError

Verb = Callable[[str, Callable[[argparse.Namespace], Outcome], str], argparse.ArgumentParser]
SHARED = ("temperature", "top_p", "likeness", "range_margin", "random_seed", "constraints")


def fill_command(options: argparse.Namespace) -> Outcome:
    """`symbolic fill`: bars written anew between what stands before and behind them."""
    bars = bar_span(options.bars)
    return _written(options, "fill", "filled", lambda how: ((bars,), how))


def accompany_command(options: argparse.Namespace) -> Outcome:
    """`symbolic accompany`: one more instrument."""
    return _written(options, "accompany", "accompanied", lambda how: ((options.program,), how | {"melody": options.melody}))


def harmonise_command(options: argparse.Namespace) -> Outcome:
    """`symbolic harmonise`: chords for a melody."""
    wishes = {"programs": options.program or ["0"], "top_line": options.top_line}
    return _written(options, "harmonise", "harmonised", lambda how: ((), how | wishes))


def vary_command(options: argparse.Namespace) -> Outcome:
    """`symbolic vary`: other pitches in the same rhythm, or the other way round."""
    bars = None if options.bars is None else bar_span(options.bars)
    return _written(options, "vary", "varied", lambda how: ((options.keep, bars), how))


def bar_span(text: str) -> tuple[int, int]:
    """ "9-12" as (9, 12), "9" as (9, 9). Raises `UsageError` for anything else."""
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text.strip())
    if not found:
        raise UsageError(f"--bars {text}: the first and the last bar are wanted, such as 9-12, or one bar")
    return int(found[1]), int(found[2] or found[1])


def add_middle(verb: Verb) -> None:
    """The four commands."""
    sub = _common(verb("fill", fill_command, "write bars anew, between what stands before and behind them"), "filled")
    sub.add_argument("--bars", required=True, metavar="A-B", help="the first and the last bar to write, counted from 1 (a pickup is bar 1)")
    sub = _common(verb("accompany", accompany_command, "add a part of one more instrument"), "accompanied")
    sub.add_argument("--program", required=True, metavar="P", help="General MIDI number 0 to 127 or name (violin), or drums")
    sub.add_argument("--melody", action="store_true", help="let it be the tune")
    sub = _common(verb("harmonise", harmonise_command, "give a melody chords and basses"), "harmonised")
    sub.add_argument("--program", action="append", metavar="P", help="who plays them; repeatable (default: 0, a piano)")
    sub.add_argument("--top-line", action="store_true", help="of a seed of several lines take the top line of the highest part")
    sub = _common(verb("vary", vary_command, "other pitches in the same rhythm, or another rhythm for the same pitches"), "varied")
    sub.add_argument("--keep", required=True, metavar="WHAT", help="rhythm or pitch")
    sub.add_argument("--bars", metavar="A-B", help="the first and the last bar to vary (default: all)")


def _common(sub: argparse.ArgumentParser, done: str) -> argparse.ArgumentParser:
    sub.add_argument("seed", metavar="SEED", help=SEED_HELP)
    sub.add_argument("-o", "--output", metavar="OUT", help=f"where to write: .mid, .musicxml, .mxl or .xml (default: SEED-{done}.mid)")
    sub.add_argument("--model", metavar="MODEL", help=MODEL_HELP)
    sub.add_argument("--temperature", type=float, default=1.0, metavar="T", help="below 1 tamer, above 1 wilder")
    sub.add_argument("--top-p", type=float, default=0.95, metavar="P", help="keep the likeliest tokens that reach this probability")
    sub.add_argument("--likeness", type=float, default=1.0, metavar="L", help="lean towards the seed's key and registers; 0 is free")
    sub.add_argument("--range-margin", type=int, default=5, metavar="N", help="semitones an instrument may leave its range in the seed")
    sub.add_argument("--constraints", metavar="YAML", help="what new notes must obey; see docs/continuing.md")
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="the same number gives the same music")
    sub.add_argument("--wav", action="store_true", help="also render OUT.wav")
    sub.add_argument("--plot", action="store_true", help="also draw OUT.png, a piano roll")
    return sub


def _written(
    options: argparse.Namespace, name: str, done: str, call: Callable[[dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
) -> Outcome:
    """Write with `symbolic.generation.middle`'s function `name`, and what was asked for beside the score."""
    from symbolic.files import new_file, refuse_existing
    from symbolic.midi.reading import write

    seed, short = seed_of(options.seed)
    output = music_output(options.output or f"{short}-{done}.mid")
    beside = [output.with_suffix(suffix) for suffix, wanted in ((".json", True), (".wav", options.wav), (".png", options.plot)) if wanted]
    for path in (output, *beside):
        refuse_existing(path, options.force)
    from symbolic.generation import middle
    from symbolic.midi.pianoroll import plot_piano_roll

    clock = time.perf_counter()
    with Progress(None, name, "bar") as progress:
        arguments, more = call({key: getattr(options, key) for key in SHARED} | {"model": options.model, "progress": progress})
        score = getattr(middle, name)(seed, *arguments, **more)
    write(score, output, options.force)
    told = json.loads(score.markers[-1].text.removeprefix("written: ")) | {"seed": short, "output": output.name}
    with new_file(output.with_suffix(".json"), options.force) as path:
        path.write_text(json.dumps(told, indent=2) + "\n")
    old, new = ({(t.program, t.is_drum, n.time, n.duration, n.pitch) for t in s.tracks for n in t.notes} for s in (seed, score))
    result: dict[str, Any] = {"seed": short, "midi": str(output), "new_notes": len(new - old), "gone_notes": len(old - new)}
    lines = [f"{output}: {len(new - old):,} new notes, {len(old - new):,} of the seed's gone, {time.perf_counter() - clock:.1f} s"]
    if options.plot:
        picture = output.with_suffix(".png")
        plot_piano_roll(score, picture, title=f"{short}, {done}", force=options.force)
        result["picture"] = str(picture)
        lines.append(f"{picture}: piano roll")
    if options.wav:
        sound = output.with_suffix(".wav")
        report, seconds = render_to(score, sound, options.force)
        result |= {"sound": str(sound), "render": report}
        lines.append(f"{sound}: {told_sound(report, seconds)}")
    return result, lines

"""`symbolic voice`: learn a voice from recordings, and tell what is known of one."""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symbolic.commands.console import Outcome
from symbolic.errors import UsageError

TRAINERS = {"ddsp": "symbolic.training.voices.loop:train_voice"}
"""Kinds of voices, and what trains one: a function of (folder, output, settings, resume=, tell=) that gives its facts.

The facts hold `word` ("good", "usable", "not yet usable"), `held_out` with `loss` and `step`, `steps` and `training_seconds`.
"""


def voice_train_command(options: argparse.Namespace) -> Outcome:
    """`symbolic voice train`: a voice from a folder of recordings."""
    if options.kind not in TRAINERS:
        raise UsageError(f"--kind {options.kind}: unknown; choose {' or '.join(TRAINERS)}")
    module, name = TRAINERS[options.kind].split(":")
    train: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), name)
    facts = train(options.folder, options.output, options.settings, resume=options.resume, tell=lambda line: print(line, file=sys.stderr))
    return facts | {"output": options.output}, _lines(options.output, facts)


def voice_show_command(options: argparse.Namespace) -> Outcome:
    """`symbolic voice show`: compass, loudness and figures of a voice."""
    from symbolic.dsp.units import hz_to_midi
    from symbolic.models.voices.bundled import voice_folder

    path = voice_folder(options.voice) / "config.json"
    kind = _kind_of(path)
    if kind != "ddsp":
        return {"kind": kind}, [f"{options.voice}: a voice of kind {kind}"]
    from symbolic.corpus.recordings.labels import note_name
    from symbolic.models.voices.configuration import read_config

    config, facts = read_config(path)
    low, high = (note_name(round(float(hz_to_midi(hertz)))) for hertz in (config.lowest_pitch, config.highest_pitch))
    lines = [f"{options.voice}: {config.partials} partials and {config.noise_bands} noise bands at {config.sample_rate} Hz"]
    lines.append(f"compass of its recordings: {low} to {high}")
    return {"kind": kind, "lowest_pitch": config.lowest_pitch, "highest_pitch": config.highest_pitch, **facts}, [
        *lines,
        *(_lines(options.voice, facts) if facts else []),
    ]


def add_voice(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands."""
    parent = verb("voice", _neither, "learn a voice from recordings: voice train; voice show", force=False)
    verbs = parent.add_subparsers(title="commands", dest="what", metavar="train|show")

    def child(name: str, run: Callable[[argparse.Namespace], Outcome], text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")
        sub.set_defaults(run=run)
        return sub

    sub = child("train", voice_train_command, "learn a voice from 10 to 20 minutes of one instrument, one note at a time")
    sub.add_argument("folder", metavar="FOLDER", help="recordings (WAV, FLAC, MP3, OGG; any rate), also in folders below it")
    sub.add_argument("-o", "--output", required=True, metavar="VOICE", help="the voice's folder to make")
    sub.add_argument("--kind", default="ddsp", metavar="KIND", help=f"the kind of voice: {', '.join(TRAINERS)}")
    sub.add_argument("--settings", metavar="YAML", help="training settings; see docs/voices.md")
    sub.add_argument("--resume", action="store_true", help="go on where a training stopped")
    sub = child("show", voice_show_command, "tell what is known of a voice")
    sub.add_argument("voice", metavar="VOICE", help="a bundled voice's name, or a folder made by symbolic voice train")


def _neither(options: argparse.Namespace) -> Outcome:
    raise UsageError("say what to do: symbolic voice train FOLDER -o VOICE, or symbolic voice show VOICE")


def _kind_of(path: Path) -> str:
    """The kind that a voice's config.json names; "ddsp" where that cannot be read, for the reader of that kind to explain."""
    try:
        return str(json.loads(path.read_text()).get("kind", "ddsp"))
    except (OSError, ValueError, AttributeError):
        return "ddsp"


def _lines(output: str, facts: dict[str, Any]) -> list[str]:
    """What is known of a voice, for a person."""
    recordings, held_out = facts.get("recordings", {}), facts.get("held_out", {})
    lines = [
        f"{output}: learned from {recordings.get('minutes', 0):.1f} minutes, {facts['steps']:,} steps, "
        f"{facts['training_seconds'] / 60:.0f} minutes of training"
    ]
    if held_out.get("step"):
        lines.append(f"held-out loss {held_out['loss']:.2f}: {facts['word']} (5 is good, 6 is usable), at step {held_out['step']:,}")
    if "pitch_cents" in held_out:
        off = f"{held_out['pitch_outliers']:.1%} of the frames off by more than half a semitone"
        lines.append(f"loudness error {held_out['loudness_error']:.3f}, pitch off by {held_out['pitch_cents']:.1f} cents, {off}")
    return lines

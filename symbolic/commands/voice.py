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

TRAINERS = {
    "ddsp": "symbolic.training.voices.loop:train_voice",
    "struck": "symbolic.training.voices.struck:train_struck",
    "drums": "symbolic.training.voices.drums:train_drums",
    "wavenet": "symbolic.training.wavenet:train_wavenet",
    "sample-rnn": "symbolic.training.sample_rnn:train_sample_rnn",
}
"""Kinds of voices, and what trains one: a function of (folder, output, settings, resume=, tell=) that gives its facts.

The facts hold `kind` (ddsp where it is missing), `word` ("good", or what the held-out loss is), `held_out` with `loss` and `step`,
`steps` and `training_seconds`. Every kind but ddsp keeps them in VOICE/voice.json, with the compass as MIDI pitches.
"""
SIZES = ("channels", "layers", "partials", "recurrent", "hidden", "keys", "modes")
"""What config.json says of the size of a network, as far as a kind has it."""


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
    from symbolic.corpus.recordings.labels import note_name
    from symbolic.dsp.units import hz_to_midi

    folder = _folder_of(options.voice, options.kind)
    config = _read(folder / "config.json")
    kind = str(config.get("kind", "ddsp")).removeprefix("symbolic-")
    low: float | None
    high: float | None
    if kind == "ddsp":
        from symbolic.models.voices.configuration import read_config

        shape, facts = read_config(folder / "config.json")
        low, high = (float(hz_to_midi(hertz)) for hertz in (shape.lowest_pitch, shape.highest_pitch))
        what = f"{shape.partials} partials and {shape.noise_bands} noise bands at {shape.sample_rate} Hz"
        result: dict[str, Any] = {"kind": kind, "lowest_pitch": shape.lowest_pitch, "highest_pitch": shape.highest_pitch, **facts}
    else:
        facts = _read(folder / "voice.json")
        low, high = facts.get("lowest_pitch"), facts.get("highest_pitch")
        sizes = " and ".join(f"{config[name]} {name}" for name in SIZES if name in config)
        what = f"{kind} of {sizes} at {config.get('sample_rate')} Hz"
        result = config | facts | {"kind": kind}
    lines = [f"{options.voice}: {what}"]
    if low is not None and high is not None:
        lines.append(f"compass of its recordings: {note_name(round(low))} to {note_name(round(high))}")
    return result, [*lines, *(_lines(options.voice, facts) if "steps" in facts else [])]


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
    sub.add_argument("--settings", metavar="YAML", help="training settings; see docs/voices.md; docs/waveforms.md for wavenet, sample-rnn")
    sub.add_argument("--resume", action="store_true", help="go on where a training stopped")
    sub = child("show", voice_show_command, "tell what is known of a voice")
    sub.add_argument("voice", metavar="VOICE", help="a bundled voice's name, or a folder made by symbolic voice train")
    sub.add_argument(
        "--kind",
        metavar="KIND",
        help="where bundled voices of several kinds have the name: ddsp, wavenet, sample-rnn (default: in this order)",
    )


def _neither(options: argparse.Namespace) -> Outcome:
    raise UsageError("say what to do: symbolic voice train FOLDER -o VOICE, or symbolic voice show VOICE")


def _folder_of(voice: str, kind: str | None) -> Path:
    """The folder of a voice of a kind, or of any."""
    from symbolic.models.voices.bundled import bundled_voices, voice_folder
    from symbolic.models.wavenet.bundled import bundled_wavenets, wavenet_folder

    if kind not in (None, *TRAINERS):
        raise UsageError(f"--kind {kind}: unknown; choose {' or '.join(TRAINERS)}")
    for sampled in ("wavenet", "sample-rnn"):
        if kind == sampled or (kind is None and voice not in bundled_voices() and voice in bundled_wavenets(sampled)):
            return wavenet_folder(voice, sampled)
    return voice_folder(voice)


def _read(path: Path) -> dict[str, Any]:
    """What a file of JSON holds; {} where that cannot be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(output: str, facts: dict[str, Any]) -> list[str]:
    """What is known of a voice, for a person."""
    recordings, held_out = facts.get("recordings", {}), facts.get("held_out", {})
    lines = [
        f"{output}: learned from {recordings.get('minutes', 0):.1f} minutes, {facts['steps']:,} steps, "
        f"{facts['training_seconds'] / 60:.0f} minutes of training"
    ]
    if held_out.get("step"):
        scale = " (5 is good, 6 is usable)" if facts.get("kind", "ddsp") == "ddsp" else ""
        lines.append(f"held-out loss {held_out['loss']:.2f}: {facts['word']}{scale}, at step {held_out['step']:,}")
        if "without_code" in held_out:
            lines.append(f"told pitch and loudness alone, as songs are played: {held_out['without_code']['loss']:.2f}")
    if "pitch_cents" in held_out:
        off = f"{held_out['pitch_outliers']:.1%} of the frames off by more than half a semitone"
        lines.append(f"loudness error {held_out['loudness_error']:.3f}, pitch off by {held_out['pitch_cents']:.1f} cents, {off}")
    return lines

"""`symbolic blend`: from one recorded note to another in steps, or one note at another length and pitch."""

import argparse
from dataclasses import asdict
from pathlib import Path

from symbolic.commands.console import Outcome, percents
from symbolic.commands.middle import Verb
from symbolic.errors import UsageError


def blend_command(options: argparse.Namespace) -> Outcome:
    """`symbolic blend`: notes as temporal codes of a WaveNet, mixed, stretched or moved, and played."""
    from symbolic.rendering.blending import blend_files

    if len(options.files) > 2:
        raise UsageError(f"{len(options.files)} files; one note, or two to blend, are wanted")
    names = [Path(file).stem for file in options.files]
    output = Path(options.output or f"{'-'.join(names)}-{'blended' if len(names) > 1 else 'changed'}.wav")
    picture = output.with_suffix(".png") if options.plot else None
    given = {} if options.temperature is None else {"temperature": options.temperature}
    with percents("blend") as tell:
        report = blend_files(
            options.files, output, model=options.model, steps=options.steps, pitch=None if options.pitch is None else _pitch(options.pitch),
            seconds=options.length, separate=options.separate, sample_rate=options.sample_rate, bit_depth=options.bit_depth,
            random_seed=options.random_seed, codes=options.codes, picture=picture, force=options.force, progress=tell, **given,
        )  # fmt: skip
    lines = []
    for place, step in enumerate(report.steps):
        name = step.output if options.separate or len(report.steps) == 1 else f"{output}, step {place + 1}"
        share = f"{1 - step.share:.0%} {names[0]}, {step.share:.0%} {names[1]}, " if len(names) > 1 else ""
        heard = "no pitch is heard" if step.heard is None else f"heard {100 * (step.heard - step.pitch):+.0f} cents beside it"
        lines.append(f"{name}: {share}{step.seconds:.2f} s, pitch {_named(step.pitch)}, {heard}")
    lines.extend(report.remarks)
    if options.codes:
        lines.append(f"{options.codes}: the codes of {names[0]}, to be given in place of it")
    if picture:
        lines.append(f"{picture}: a spectrogram of each step")
    return asdict(report) | ({"picture": str(picture)} if picture else {}), lines


def add_blend(verb: Verb) -> None:
    """The command."""
    sub = verb("blend", blend_command, "go from one recorded note to another in steps, or give one another length and pitch")
    sub.add_argument("files", nargs="+", metavar="NOTE.wav", help="one or two recordings of single notes, or codes kept with --codes")
    sub.add_argument("-o", "--output", metavar="OUT.wav", help="where to write: .wav, .flac, .ogg or .mp3 (default: A-B-blended.wav)")
    sub.add_argument("--steps", type=int, default=5, metavar="N", help="sounds in all, both notes included; 1 is half way")
    sub.add_argument("--pitch", metavar="PITCH", help="of all steps: A4, Bb3, or a MIDI number such as 69.5 (default: those of the notes)")
    sub.add_argument("--length", type=float, metavar="SECONDS", help="of each step (default: those of the notes)")
    sub.add_argument("--separate", action="store_true", help="each step into its own file: OUT-1.wav, OUT-2.wav, …")
    sub.add_argument("--model", default="four", metavar="MODEL", help="a bundled WaveNet's name, or a folder made by symbolic voice train")
    sub.add_argument("--temperature", type=float, metavar="T", help="below 1 cleaner, at 1 as learned")
    sub.add_argument("--sample-rate", type=int, default=48000, metavar="HZ", help="samples a second of the output")
    sub.add_argument("--bit-depth", type=int, default=24, metavar="BITS", help="bits of a sample in WAV and FLAC")
    sub.add_argument("--codes", metavar="OUT.safetensors", help="also keep the codes of a single note in a file")
    sub.add_argument("--plot", action="store_true", help="also draw OUT.png: a spectrogram of each step")
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="another number, other draws of the samples")


def _pitch(text: str) -> float:
    from symbolic.generation.scales import parse_pitch

    try:
        return float(text)
    except ValueError:
        return float(parse_pitch(text))


def _named(pitch: float) -> str:
    """60.25 → "C4 +25 cents"."""
    from symbolic.corpus.recordings.labels import note_name

    cents = round(100 * (pitch - round(pitch)))
    return note_name(round(pitch)) + (f" {cents:+d} cents" if cents else "")

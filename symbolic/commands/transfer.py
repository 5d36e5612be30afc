"""`symbolic transfer`: what a recording plays, played by a learned voice."""

import argparse
from dataclasses import asdict
from pathlib import Path

from symbolic.commands.console import Outcome, percents
from symbolic.commands.middle import Verb


def transfer_command(options: argparse.Namespace) -> Outcome:
    """`symbolic transfer`: pitch and loudness of a recording, given to a voice."""
    from symbolic.rendering.transfer import transfer_file

    output = Path(options.output or f"{Path(options.file).stem}-{Path(options.voice).name}.wav")
    picture = output.with_suffix(".png") if options.plot else None
    with percents("transfer") as tell:
        report = transfer_file(
            options.file, output, options.voice, octave=options.octave, lowest=options.lowest, block=options.block,
            bit_depth=options.bit_depth, picture=picture, random_seed=options.random_seed, force=options.force, progress=tell,
        )  # fmt: skip
    moved = f", moved by {report.octave:+d} octave{'s' * (abs(report.octave) != 1)}" if report.octave else ""
    level = f"{report.lufs:.1f} LUFS, peak {report.true_peak:.1f} dBTP"
    lines = [f"{output}: {report.seconds:.1f} s, {report.voice} sounds {report.sang:.0%} of the time{moved}, {level}"]
    if report.latency is not None:
        waited = options.block / report.from_rate
        whole = 1000 * (report.latency + waited)
        lines.append(
            f"latency {whole:.1f} ms: {1000 * waited:.1f} to fill a block of {options.block} samples and {1000 * report.latency:.1f} "
            "to hear and to play; taken back in the file"
        )
    lines.extend(f"{options.file}: {note}" for note in report.notes)
    if picture:
        lines.append(f"{picture}: pitch, loudness and spectrograms, before and after")
    return asdict(report) | {"output": str(output)} | ({"picture": str(picture)} if picture else {}), lines


def add_transfer(verb: Verb) -> None:
    """The command."""
    sub = verb("transfer", transfer_command, "let a learned voice play what a recording plays")
    sub.add_argument("file", metavar="IN.wav", help="one voice or instrument, one note at a time: WAV, FLAC, OGG or MP3, 8 to 192 kHz")
    sub.add_argument("--voice", default="violin", metavar="VOICE", help="a bundled voice's name, or a folder made by symbolic voice train")
    sub.add_argument("-o", "--output", metavar="OUT.wav", help="where to write: .wav, .flac, .ogg or .mp3 (default: IN-VOICE.wav)")
    sub.add_argument("--octave", type=int, metavar="N", help="move by N octaves (default: into the voice's compass)")
    sub.add_argument("--lowest", type=float, metavar="HZ", help="the deepest pitch to hear (default: 40; with --block 60)")
    sub.add_argument(
        "--block", type=int, metavar="SAMPLES", help="as if played live: in blocks of so many samples, knowing nothing of what follows"
    )
    sub.add_argument("--bit-depth", type=int, default=24, metavar="BITS", help="bits of a sample in WAV and FLAC")
    sub.add_argument("--plot", action="store_true", help="also draw OUT.png: pitch, loudness and spectrograms, before and after")
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="another number, other noise of bow or breath")

"""`symbolic enhance`: a recording at a higher rate, with what may have stood above its old one."""

import argparse
from dataclasses import asdict
from pathlib import Path

from symbolic.commands.console import Outcome, percents
from symbolic.commands.middle import Verb


def enhance_command(options: argparse.Namespace) -> Outcome:
    """`symbolic enhance`: a recording through a super-resolution network."""
    from symbolic.rendering.enhancing import enhance_file

    output = Path(options.output or f"{Path(options.file).stem}-enhanced.wav")
    picture = output.with_suffix(".png") if options.plot else None
    with percents("enhance") as tell:
        report = enhance_file(
            options.file, output, options.sample_rate, from_rate=options.from_rate, model=options.model, bit_depth=options.bit_depth,
            picture=picture, random_seed=options.random_seed, force=options.force, progress=tell,
        )  # fmt: skip
    channels = f"{report.channels} channel{'s' * (report.channels != 1)}"
    lines = [f"{output}: {report.seconds:.1f} s, {channels}, {report.from_rate:,} Hz → {report.rate:,} Hz"]
    if report.networks and report.filled_from is not None:
        level = "nothing, because it is silent" if report.added_db is None else f"{report.added_db:.1f} dB of the whole"
        through = " and ".join(f"{rate:,} Hz" for rate in report.networks)
        lines.append(f"filled in above {report.filled_from:,.0f} Hz by the network to {through}: {level}")
    lines.extend(f"{options.file}: {note}" for note in report.notes)
    if picture:
        lines.append(f"{picture}: spectrogram before and after")
    return asdict(report) | {"output": str(output)} | ({"picture": str(picture)} if picture else {}), lines


def add_enhance(verb: Verb) -> None:
    """The command."""
    sub = verb("enhance", enhance_command, "raise the sample rate of a recording, and fill in what may have stood above")
    sub.add_argument("file", metavar="IN.wav", help="WAV, FLAC, OGG or MP3, of any rate and number of channels")
    sub.add_argument("-o", "--output", metavar="OUT.wav", help="where to write: .wav, .flac, .ogg or .mp3 (default: IN-enhanced.wav)")
    sub.add_argument("--sample-rate", type=int, default=48000, metavar="HZ", help="samples a second")
    sub.add_argument(
        "--from-rate", type=int, metavar="HZ", help="the rate it once had, where it holds less than its rate says: all above is made anew"
    )
    sub.add_argument("--model", metavar="FOLDER", help="a network of your own (default: those of the package, by the rates)")
    sub.add_argument("--bit-depth", type=int, default=24, metavar="BITS", help="bits of a sample in WAV and FLAC")
    sub.add_argument("--plot", action="store_true", help="also draw OUT.png: spectrograms, before and after")
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="another number, other noise")

"""`symbolic signal`: hear what sampling, rounding and holding do to a recording, one step at a time."""

import argparse
from dataclasses import asdict
from pathlib import Path

from symbolic.commands.console import Outcome, percents
from symbolic.commands.middle import Verb


def signal_command(options: argparse.Namespace) -> Outcome:
    """`symbolic signal`: a recording at another rate and with few bits, and its spectrogram before and after."""
    from symbolic.rendering.conversion import convert_file

    output = Path(options.output or f"{Path(options.file).stem}-{options.rate}-{options.bits}.wav")
    picture = output.with_suffix(".png")
    with percents("signal") as tell:
        report = convert_file(
            options.file, output, options.rate, options.bits, anti_alias=options.filter, dither=options.dither, mu_law=options.mu_law,
            held=options.hold, picture=picture, random_seed=options.random_seed, force=options.force, progress=tell,
        )  # fmt: skip
    steps = f"{report.from_rate:,} Hz → {report.rate:,} Hz {'filtered' if report.filtered else 'without a filter'}, {report.bits} bits"
    how = " µ-law" if report.mu_law else f", dither {report.dither}"
    held = f", held at {report.written_rate:,} Hz" if report.written_rate != report.rate else ""
    lines = [f"{output}: {report.seconds:.1f} s, {report.channels} channel{'s' * (report.channels != 1)}, {steps}{how}{held}"]
    if report.snr_db is not None:
        theory = "" if report.expected_snr_db is None else f" (theory for this sound: {report.expected_snr_db:.1f} dB)"
        lines.append(f"the rounding lies {report.snr_db:.1f} dB below the sound{theory}")
    if report.above_half_rate_db is not None:
        fate = "was taken out" if report.filtered else "folded down"
        lines.append(f"what lay above {report.rate / 2:,.0f} Hz, {report.above_half_rate_db:.1f} dB of the whole, {fate}")
    lines.extend(f"{options.file}: {note}" for note in report.notes)
    lines.append(f"{picture}: spectrogram before and after")
    return asdict(report) | {"output": str(output), "picture": str(picture)}, lines


def add_signal(verb: Verb) -> None:
    """The command."""
    sub = verb("signal", signal_command, "hear sampling, aliasing, rounding, dither, µ-law and holding on a recording")
    sub.add_argument("file", metavar="FILE", help="WAV, FLAC, OGG or MP3, of any rate and number of channels")
    sub.add_argument("-o", "--output", metavar="OUT.wav", help="where to write, with a .png beside it (default: FILE-RATE-BITS.wav)")
    sub.add_argument("--rate", type=int, default=8000, metavar="HZ", help="samples a second")
    sub.add_argument("--bits", type=int, default=8, metavar="BITS", help="bits of a sample, 2 to 24")
    sub.add_argument("--no-filter", dest="filter", action="store_false", help="sample without the anti-alias filter")
    sub.add_argument("--dither", metavar="KIND", help="none, rpdf, tpdf or shaped (default: tpdf; none with --mu-law)")
    sub.add_argument("--mu-law", action="store_true", help="steps that are small for soft sounds and large for loud ones")
    sub.add_argument("--hold", action="store_true", help="write the steps of a sample-and-hold, at a rate several times higher")
    sub.add_argument("--random-seed", type=int, default=0, metavar="S", help="another number, another dither")

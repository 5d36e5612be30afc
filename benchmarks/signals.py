"""The figures of docs/signals.md, and the numbers of quantisers and resamplers beside theory, from the functions of symbolic.dsp alone.

python benchmarks/signals.py            writes docs/signals-*.png and prints the tables
python benchmarks/signals.py FOLDER     writes the pictures there instead
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from symbolic.dsp.dither import dequantise, quantise, shaping_filter
from symbolic.dsp.filters import apply_fir, apply_iir, fir_filter, iir_filter, response
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.dsp.resampling import PointSampler, resample
from symbolic.dsp.sampling import droop, droop_compensation, hold, reconstruct, sample
from symbolic.dsp.signal_to_noise import mu_law_snr, snr, uniform_snr
from symbolic.dsp.spectra import griffin_lim, magnitudes_of_mel, mel_filters, mel_spectrogram, mel_to_hz, spectral_convergence, stft

BLUE, ORANGE, GREEN, GREY = "#2f6fde", "#e8590c", "#2b9348", "#868e96"
RATE_PAIRS = [(48000, 16000), (48000, 8000), (44100, 16000), (44100, 8000), (48000, 44100), (96000, 48000), (192000, 8000)]
TONE = math.sqrt(5) / 2 - 1  # cycles a sample; it meets every phase


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs"
    torch.set_num_threads(1)
    quantiser_table()
    mu_law_table()
    resampler_table()
    for draw in (sampling, aliasing, holding, rounding, dithering, bending, spectra):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained", facecolor="white")
        draw(figure)
        path = folder / f"signals-{draw.__name__}.png"
        figure.savefig(path, dpi=85, pil_kwargs={"optimize": True})
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def quantiser_table() -> None:
    """SNR of sines through the uniform quantiser: the farthest from theory over eight levels."""
    print("bits  dither  theory at full scale  measured − theory, full scale … −21 dB")
    for bits in (4, 6, 8, 10, 12, 16, 20, 24):
        for kind in ("none", "rpdf", "tpdf", "shaped"):
            taps = shaping_filter(48000) if kind == "shaped" else None
            dither = "tpdf" if kind == "shaped" else kind
            apart = []
            for level in (0, -3, -6, -9, -12, -15, -18, -21):
                if bits == 4 and level < -3:  # a sine over three steps is no longer one that crosses many
                    continue
                sound = 10 ** (level / 20) * tone()[None] - (2.0**-bits if level == 0 else 0.0)
                if level == 0 and kind != "none":  # dither on top of full scale is clipped
                    continue
                got = dequantise(quantise(sound, bits, np.random.default_rng(0), dither, taps), bits)
                apart.append(snr(sound, got) - uniform_snr(bits, level, dither, taps))
            print(f"{bits:4}  {kind:6}  {uniform_snr(bits, 0, dither, taps):20.2f}  {min(apart):+.2f} … {max(apart):+.2f} dB")


def mu_law_table() -> None:
    """SNR through µ-law of evenly spread samples and of sines, against theory."""
    generator = np.random.default_rng(0)
    print("levels  peak dB  theory  even spread − theory   sines of 41 levels in the 6 dB up to the peak − theory: mean, farthest")
    for levels in (64, 256, 1024, 65536):
        for peak in (0, -20, -40):
            even = 10 ** (peak / 20) * generator.uniform(-1, 1, 200_000)
            sines = [10 ** (level / 20) * tone(30_000) for level in np.linspace(peak - 6, peak, 41)]
            apart = [snr(one, bent(one, levels)) - mu_law_snr(one, levels) for one in sines]
            print(
                f"{levels:6}  {peak:7}  {mu_law_snr(even, levels):6.2f}  {snr(even, bent(even, levels)) - mu_law_snr(even, levels):+20.2f}"
                f"   {np.mean(apart):+.2f}, {max(apart, key=abs):+.2f}"
            )


def resampler_table() -> None:
    """The loudest of 40 tones above half the new rate, and the change of level of 40 tones below 0.9 of it."""
    print("from → to  loudest alias  passband")
    for from_rate, to_rate in RATE_PAIRS:
        time = np.arange(from_rate // 2) / from_rate
        above = np.linspace(to_rate / 2 * 1.01, from_rate / 2 * 0.99, 40)
        left = [resample(np.sin(2 * np.pi * one * time), from_rate, to_rate)[to_rate // 8 : -to_rate // 8] for one in above]
        loudest = max(10 * math.log10(2 * float(np.mean(one**2))) for one in left)
        below = [40 * round(one / 40) for one in np.linspace(40, 0.9 * to_rate / 2, 40)]  # whole cycles in the quarter second measured
        quarter = slice(to_rate // 8, to_rate // 8 + to_rate // 4)
        kept = [resample(np.sin(2 * np.pi * one * time), from_rate, to_rate)[quarter] for one in below]
        passband = [10 * math.log10(2 * float(np.mean(one**2))) for one in kept]
        print(f"{from_rate:6} → {to_rate:5}  {loudest:7.1f} dB  {min(passband):+.4f} … {max(passband):+.4f} dB")


def sampling(figure: Figure) -> None:
    """A sine told by its samples; a sine above half the rate and its alias."""
    for axis, frequency, other in zip(figure.subplots(1, 2), (900, 5000), (None, 3000), strict=True):
        times = np.linspace(0.02, 0.0225, 800)
        grid = np.arange(160, 181) / 8000
        samples = sample(sine(frequency), 8000, 0.05)
        axis.plot(1000 * times, sine(frequency)(times), color=BLUE, lw=1.6, label=f"{frequency:,} Hz")
        between = reconstruct(samples, 8000, times)
        name = "read between its samples" if other is None else f"read between its samples: {other:,} Hz"
        axis.plot(1000 * times, between, color=ORANGE, lw=1.4, ls=(0, (4, 4)), label=name)
        axis.plot(1000 * grid, samples[160:181], "o", color="black", ms=4)
        axis.set(title=f"{frequency:,} Hz, 8,000 samples a second", xlabel="milliseconds", ylim=(-1.2, 1.55))
        axis.legend(loc="upper right", ncols=2, frameon=False, fontsize=8)


def aliasing(figure: Figure) -> None:
    """A rising tone from 48 kHz to 8 kHz, without a filter and with one, as a spectrogram."""
    seconds = np.arange(2 * 48000) / 48000
    sweep = 0.5 * np.sin(2 * np.pi * (100 * seconds + 3000 * seconds**2))
    point = PointSampler(48000, 8000, 1)
    bare = np.concatenate([point.process(sweep[None]), point.flush()], 1)[0]
    panels = (("48 kHz", sweep, 48000), ("8 kHz without a filter", bare, 8000), ("8 kHz through soxr", resample(sweep, 48000, 8000), 8000))
    for axis, (title, sound, rate) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        picture(axis, sound, rate, rate // 100)
        axis.set(title=title, xlabel="seconds", ylim=(0, 12))
    figure.axes[0].set(ylabel="kHz")


def holding(figure: Figure) -> None:
    """The steps of a hold, its spectrum, and the droop with its remedy."""
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.3, 1))
    samples = sample(sine(1000), 8000, 1.0)
    held = hold(samples, 16)
    left.plot(np.arange(0, 320) / 128, held[:320], color=ORANGE, lw=1.3)
    left.plot(np.arange(0, 20) / 8, samples[:20], "o", color="black", ms=3)
    left.set(title="1,000 Hz held at 8 kHz", xlabel="milliseconds")
    levels = 20 * np.log10(np.maximum(np.abs(np.fft.rfft(held[:64000] * np.hanning(64000))) / 16000, 1e-6))
    middle.plot(np.arange(len(levels)) / 500, levels, color=ORANGE, lw=1)
    frequency = np.linspace(1, 34000, 2000)
    middle.plot(
        frequency / 1000, 20 * np.log10(np.maximum(droop(frequency, 8000), 1e-4)), color=GREY, lw=1, ls="--", label="sinc(f / 8 kHz)"
    )
    middle.set(title="its images", xlabel="kHz", ylabel="dB", ylim=(-70, 5), xlim=(0, 34))
    middle.legend(frameon=False, fontsize=8)
    relative = np.linspace(1e-4, 0.5, 500)
    bare = 20 * np.log10(droop(relative, 1.0))
    mended = bare + 20 * np.log10(np.abs(response(droop_compensation(), relative, 1.0)))
    right.plot(relative, bare, color=ORANGE, label="held")
    right.plot(relative, mended, color=BLUE, label="compensated, held")
    right.set(title="droop", xlabel="frequency / rate", ylabel="dB", ylim=(-4.5, 1))
    right.legend(frameon=False, fontsize=8)


def rounding(figure: Figure) -> None:
    """SNR against bits and against level, with theory."""
    left, right = figure.subplots(1, 2)
    bits = np.arange(3, 25)
    for kind, colour in (("none", BLUE), ("tpdf", GREEN)):
        level = 0.0 if kind == "none" else -1.0
        got = [snr(*rounded(10 ** (level / 20) * tone() - (2.0**-b if kind == "none" else 0), int(b), kind)) for b in bits]
        left.plot(bits, got, "o", color=colour, ms=4, label=f"dither {kind}, {level:.0f} dB")
        left.plot(bits, [uniform_snr(int(b), level, kind) for b in bits], color=colour, lw=0.8)
    left.set(title="a sine, and 6.02 b + 1.76 dB", xlabel="bits", ylabel="SNR in dB")
    levels = np.linspace(-70, 0, 71)
    for kind, colour in (("none", BLUE), ("rpdf", ORANGE), ("tpdf", GREEN)):
        got = [snr(*rounded(10 ** (level / 20) * tone(30_000), 8, kind)) for level in levels]
        right.plot(levels, np.maximum(got, -30), color=colour, lw=1.2, label=kind)
    right.plot(levels, [uniform_snr(8, level) for level in levels], color=GREY, lw=0.8, ls="--", label="theory, no dither")
    right.set(title="8 bits", xlabel="level of the sine in dB", ylabel="SNR in dB")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)


def dithering(figure: Figure) -> None:
    """A tone of three quarters of a step: its spectrum bare, dithered and shaped."""
    sound = 0.75 / 128 * sample(sine(440), 48000, 4.0)[None]
    ways = (("no dither", "none", None, ORANGE), ("TPDF", "tpdf", None, GREEN), ("TPDF, shaped", "tpdf", shaping_filter(48000), BLUE))
    for axis, (title, kind, taps, colour) in zip(figure.subplots(1, 3, sharey=True), ways, strict=True):
        got = dequantise(quantise(sound, 8, np.random.default_rng(0), kind, taps), 8)[0]
        frames = got[: len(got) // 8192 * 8192].reshape(-1, 8192) * np.hanning(8192)
        levels = 10 * np.log10((np.abs(np.fft.rfft(frames)) ** 2).mean(0) / 2048**2)
        axis.semilogx(np.arange(1, 4097) * 48000 / 8192, levels[1:], color=colour, lw=0.7)
        axis.set(title=f"8 bits, {title}", xlabel="Hz", xlim=(100, 24000), ylim=(-125, -35))
    figure.axes[0].set(ylabel="dB")


def bending(figure: Figure) -> None:
    """The curve of µ-law, and what it gives at each level beside even steps."""
    left, right = figure.subplots(1, 2)
    ramp = np.linspace(-1, 1, 4001)
    left.plot(ramp, mu_law_encode(ramp, 16), color=ORANGE, lw=1.4, label="µ-law, 16 levels")
    left.plot(ramp, quantise(ramp, 4, np.random.default_rng(0), "none") + 8, color=BLUE, lw=1.4, label="even steps, 4 bits")
    left.set(xlabel="sound", ylabel="code")
    levels = np.linspace(-70, 0, 141)
    right.plot(
        levels, [snr(one := 10 ** (level / 20) * tone(20_000), bent(one)) for level in levels], color=ORANGE, lw=1.2, label="µ-law, 256"
    )
    right.plot(levels, [mu_law_snr(10 ** (level / 20) * tone(2_000)) for level in levels], color=GREY, ls="--", lw=1, label="theory")
    right.plot(levels, [uniform_snr(8, level) for level in levels], color=BLUE, lw=1.2, label="even steps, 8 bits (theory)")
    right.set(xlabel="level of the sine in dB", ylabel="SNR in dB", ylim=(-20, 55))
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)


def spectra(figure: Figure) -> None:
    """Filters of both kinds, mel bands, and what Griffin-Lim makes of magnitudes."""
    left, middle, right = figure.subplots(1, 3)
    frequency = np.linspace(0, 12000, 3000)
    finite, recursive = fir_filter("low", 4000, 48000, 1000, 80), iir_filter("low", 4000, 48000, 6)
    for line, name, colour in ((finite, f"FIR, {len(finite)} taps", BLUE), (recursive, "Butterworth, order 6", ORANGE)):
        left.plot(
            frequency / 1000, 20 * np.log10(np.maximum(np.abs(response(line, frequency, 48000)), 1e-6)), color=colour, lw=1.2, label=name
        )
    left.set(title="two low passes at 4 kHz", xlabel="kHz", ylabel="dB", ylim=(-105, 5))
    left.legend(frameon=False, fontsize=8)
    filters = mel_filters(16, 1024, 16000)
    corners = mel_to_hz(np.linspace(31.7, 2840, 18))
    middle.plot(np.arange(513) * 16 / 1024, filters.T, lw=1)
    middle.set(title="16 mel bands", xlabel="kHz", xlim=(0, corners[-1] / 1000))
    seconds = np.arange(8000) / 16000
    glide = torch.from_numpy(0.5 * np.sin(2 * np.pi * (200 * seconds + 1800 * seconds**2)))
    magnitudes = stft(glide).abs()
    bands = torch.from_numpy(mel_filters(80, 1024, 16000))
    guessed = magnitudes_of_mel(mel_spectrogram(glide, bands), bands)
    steps = (1, 2, 5, 10, 20, 40, 60, 100)
    for momentum, wanted, name, colour in (
        (0.0, magnitudes, "plain", ORANGE),
        (0.99, magnitudes, "momentum 0.99", BLUE),
        (0.99, guessed, "the same, from 80 mel bands", GREEN),
    ):
        got = [spectral_convergence(griffin_lim(wanted, 8000, steps=n, momentum=momentum), magnitudes) for n in steps]
        right.semilogx(steps, got, "o-", ms=3, lw=1.2, color=colour, label=name)
    right.set(title="Griffin-Lim", xlabel="steps", ylabel="error of the magnitudes in dB")
    right.legend(frameon=False, fontsize=8)
    check = sample(sine(1000), 48000, 0.1)  # both filters pass 1 kHz
    for passed in (apply_fir(check, finite), apply_iir(check, recursive)):
        assert abs(np.abs(passed[2000:]).max() - 1) < 0.01


def sine(frequency: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda seconds: np.sin(2 * np.pi * frequency * seconds + 0.3)


def tone(samples: int = 100_000) -> np.ndarray:
    return np.sin(2 * np.pi * TONE * np.arange(samples))


def bent(sound: np.ndarray, levels: int = 256) -> np.ndarray:
    return mu_law_decode(mu_law_encode(sound, levels), levels)


def rounded(sound: np.ndarray, bits: int, dither: str) -> tuple[np.ndarray, np.ndarray]:
    return sound, dequantise(quantise(sound, bits, np.random.default_rng(0), dither), bits)


def picture(axis: Axes, sound: np.ndarray, rate: int, hop: int) -> None:
    levels = 20 * torch.log10(stft(torch.from_numpy(sound), max(64, 2 ** round(math.log2(rate / 40))), hop).abs() + 1e-9).numpy()
    extent = (0.0, len(sound) / rate, 0.0, rate / 2000)
    axis.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=levels.max() - 70, vmax=levels.max())
    axis.set_facecolor("#dee2e6")


if __name__ == "__main__":
    main()

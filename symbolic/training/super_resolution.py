"""Training a super-resolution network: sounds in, a folder with a network out.

MODEL/config.json, model.safetensors    the best network so far, by its `score` on held-out sounds; an average of the weights over steps
MODEL/network.json                      what is known of it, and its figures beside soxr's
MODEL/training/                         what `AveragedRun` keeps

The loss is the difference of log spectra at three resolutions, half of it by the measure that is told in the end, and the logarithm of the
error's energy over that of soxr: levels above the old rate come right without paying much in the signal-to-noise ratio.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symbolic.dsp.signal_to_noise import snr
from symbolic.dsp.spectral_distance import log_spectral_distance
from symbolic.errors import InputError
from symbolic.models.super_resolution import SuperResolution, SuperResolutionConfig, enhanced, noise_at, only_above, write_super_resolution
from symbolic.training.averaged_run import AveragedRun, check_run_settings
from symbolic.training.folder_run import settings_of_run
from symbolic.training.low_rate_pairs import LEARNED, cleaned, left_of
from symbolic.training.wavenet_notes import RecordedNote, check_notes, fingerprint

WINDOWS = (2048, 512, 128)
CONTEXT = 2048  # samples around a piece in which the filters settle
FLOOR = 2e-7  # of a magnitude, 134 dB below a full-scale sine, as in the distance that is measured
LONGEST_SCORED = 4.0  # seconds of a held-out sound


@dataclass
class SuperResolutionSettings:
    """A run."""

    network: SuperResolutionConfig = field(default_factory=SuperResolutionConfig)
    steps: int = 10000
    lanes: int = 4
    """Pieces side by side."""
    samples: int = 16384
    """Of a piece; a multiple of the network's block."""
    cleaned: float = 0.3
    """Share of the pieces out of which soft noise is taken before anything else, as codecs and editors do."""
    onsets: float = 0.3
    """Share of the pieces that begin where the sound does."""
    error_weight: float = 0.6
    error_bound: float = 0.5
    """Decibels by which the signal-to-noise ratio of a network that is kept may lie below soxr's."""
    learning_rate: float = 0.001
    warmup_steps: int = 50
    decay_share: float = 0.5
    gradient_clip: float = 1.0
    average: float = 0.998
    precision: str = "auto"
    evaluate_every: int = 1000
    evaluation_notes: int = 16
    checkpoint_every: int = 250
    random_seed: int = 0

    def __post_init__(self) -> None:
        check_run_settings(self)
        for name in ("lanes", "evaluation_notes"):
            if getattr(self, name) < 1:
                raise InputError(f"training setting {name} is {getattr(self, name)}; at least 1 is needed")
        if self.samples < max(WINDOWS) or self.samples % self.network.block:
            raise InputError(f"samples is {self.samples}; a multiple of {self.network.block} from {max(WINDOWS)} is needed")
        for name in ("cleaned", "onsets"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a share from 0 to 1 is needed")
        if not self.error_weight >= 0:
            raise InputError(f"error_weight is {self.error_weight}; 0 or more is needed")


def train_super_resolution(
    source: str | Path | Sequence[RecordedNote], output: str | Path, settings: SuperResolutionSettings | str | Path | None = None, *,
    resume: bool = False, progress: Callable[[float, float], None] | None = None, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Learn from a folder of recordings, or from sounds at the high rate, into the folder `output`; gives its facts.

    Raises `InputError` as `train_wavenet` does.
    """
    output = Path(output)
    settings = settings_of_run(SuperResolutionSettings, output, settings, resume)
    if isinstance(source, str | Path):
        from symbolic.corpus.recordings.phrases import LOW_RATE
        from symbolic.corpus.recordings.pieces import SAMPLE_RATE
        from symbolic.corpus.recordings.store import examine

        arrays = {LOW_RATE: "low", SAMPLE_RATE: "sound"}
        if settings.network.sample_rate not in arrays:
            raise InputError(
                f"network: sample_rate is {settings.network.sample_rate}; recordings are read at {' and '.join(map(str, arrays))}"
            )
        recordings = examine(Path(source), output / "training" / "recordings", progress)
        name, where = arrays[settings.network.sample_rate], str(source)
        notes = [RecordedNote(recordings.array(name, note), 0.0, 0.0, note.held_out, note.name) for note in recordings.notes]
    else:
        notes, where = list(source), "the sounds given"
    notes = [note for note in notes if len(note.sound) and np.abs(note.sound).max() > 0]
    check_notes(notes, where)
    if tell:
        tell(f"{where}: {sum(not note.held_out for note in notes):,} sounds to learn from, {sum(note.held_out for note in notes)} held out")
    return SuperResolutionRun(notes, where, output, settings, resume).go()


def score_sounds(
    model: SuperResolution | None, notes: Sequence[RecordedNote], sample_rate: int, ratio: int, shapes: Sequence[str], random_seed: int = 0
) -> dict[str, float]:
    """Means over sounds and filter shapes: `snr` in dB and `lsd` of the network, or of soxr alone where `model` is None."""
    ratios, distances = [], []
    for number, note in enumerate(notes):
        sound = note.sound[: round(LONGEST_SCORED * sample_rate)].astype(np.float32)
        for shape in shapes:
            got = left_of(sound, sample_rate, ratio, shape, np.random.default_rng([random_seed, number]))
            got = got if model is None else enhanced(model, got, sample_rate / ratio)
            ratios.append(snr(sound, got))
            distances.append(log_spectral_distance(sound, got, sample_rate))
    return {"snr": float(np.mean(ratios)), "lsd": float(np.mean(distances))}


def log_spectra_apart(made: Tensor, wanted: Tensor) -> Tensor:
    """How unlike sounds (B, T) are, in units of 10 dB: the mean of two figures.

    One is the mean difference of the logarithms of powers over three sizes of windows; the other is, for the largest windows, the root of
    its mean square over bins, as `log_spectral_distance` takes it.
    """
    differences = []
    for size in WINDOWS:
        window = torch.hann_window(size, device=made.device)
        levels = []
        for sound in (made, wanted):
            spectrum = torch.stft(sound, size, size // 4, window=window, center=False, return_complex=True)
            power = torch.view_as_real(spectrum).square().sum(-1) * (4 / size) ** 2
            levels.append(torch.log10(power + FLOOR**2))
        differences.append(levels[0] - levels[1])
    plain = torch.stack([difference.abs().mean() for difference in differences]).mean()
    return (plain + (differences[0].square().mean(1) + 1e-4).sqrt().mean()) / 2


class SuperResolutionRun(AveragedRun):
    """A run over sounds."""

    figure = "score"
    model: SuperResolution
    averaged: SuperResolution
    settings: SuperResolutionSettings

    def __init__(self, notes: Sequence[RecordedNote], where: str, output: Path, settings: SuperResolutionSettings, resume: bool) -> None:
        self.learned = [note for note in notes if not note.held_out]
        held_out = [note for note in notes if note.held_out]
        self.scored = held_out[:: -(-len(held_out) // settings.evaluation_notes)]
        self.rate = settings.network.sample_rate
        shapes = tuple(LEARNED)
        self.soxr = {ratio: score_sounds(None, self.scored, self.rate, ratio, shapes) for ratio in settings.network.ratios}
        torch.manual_seed(settings.random_seed)
        super().__init__(SuperResolution(settings.network), where, fingerprint(self.learned), output, settings, resume)

    def losses(self) -> dict[str, Tensor]:
        """The difference of log spectra, and the weighted logarithm of the error's energy over soxr's."""
        s = self.settings
        wanted, given, noise, low = (part.to(self.device) for part in self._batch())
        with self.precision():
            made = self.model(given, noise)
        made = given + only_above(made.float() - given, low)
        floor = 1e-9 * wanted.square().sum(1) + 1e-9
        error = torch.log(((made - wanted).square().sum(1) + floor) / ((given - wanted).square().sum(1) + floor))
        return {"log_spectra": log_spectra_apart(made, wanted), "error": s.error_weight * error.mean()}

    def held_out(self) -> dict[str, float]:
        """`score`: mean log-spectral distance, and every decibel by which a signal-to-noise ratio is too far below soxr's; all by ratio."""
        figures: dict[str, float] = {}
        short = 0.0
        for ratio, base in self.soxr.items():
            found = score_sounds(self.averaged, self.scored, self.rate, ratio, tuple(LEARNED))
            short += max(0.0, base["snr"] - self.settings.error_bound - found["snr"])
            figures |= {f"{name}_{ratio}": value for name, value in found.items()}
            figures |= {f"soxr_{name}_{ratio}": value for name, value in base.items()}
        mean = float(np.mean([figures[f"lsd_{ratio}"] for ratio in self.soxr]))
        return {"score": mean + short} | figures

    def write(self, folder: Path) -> None:
        """The network, rounded to bfloat16, and what is known of it."""
        write_super_resolution(self.averaged, folder)
        (folder / "network.json").write_text(json.dumps(self.facts(), indent=2) + "\n")

    def facts(self) -> dict[str, Any]:
        """What is known of the network, plain."""
        seconds = sum(len(note.sound) for note in self.learned) / self.rate
        return {
            "kind": "super-resolution", "recordings": {"notes": len(self.learned), "minutes": round(seconds / 60, 2)},
            "held_out_sounds": len(self.scored), "shapes": list(LEARNED), "word": "log-spectral distance in units of 10 dB",
        } | self.course()  # fmt: skip

    def _batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What is wanted, what is given, noise: (B, T) each; half the low rates in cycles a sample (B,)."""
        s = self.settings
        random = np.random.default_rng([s.random_seed, self.step])
        lengths = np.array([len(note.sound) for note in self.learned], dtype=np.float64)
        wanted, given = np.zeros((2, s.lanes, s.samples), dtype=np.float32)
        ratios = random.choice(s.network.ratios, s.lanes)
        for lane, index in enumerate(random.choice(len(lengths), s.lanes, p=lengths / lengths.sum())):
            sound = self.learned[index].sound
            begin = 0 if random.random() < s.onsets else int(random.integers(0, max(1, len(sound) - s.samples // 2)))
            low = max(0, begin - CONTEXT)
            part = sound[low : begin + s.samples + CONTEXT].astype(np.float32) * 10 ** random.uniform(-0.5, 0.1)
            if random.random() < s.cleaned:
                part = cleaned(part, random)
            left = left_of(part, self.rate, int(ratios[lane]), str(random.choice(list(LEARNED))), random)
            piece = slice(begin - low, begin - low + s.samples)
            wanted[lane, : len(part[piece])], given[lane, : len(left[piece])] = part[piece], left[piece]
        noise = np.stack([noise_at(int(random.integers(0, 1 << 20)), s.samples) for _ in range(s.lanes)])
        return torch.from_numpy(wanted), torch.from_numpy(given), torch.from_numpy(noise), torch.from_numpy(0.5 / ratios).float()

"""Training a WaveNet autoencoder: notes in, a folder with a voice out.

VOICE/config.json, model.safetensors    the best voice so far, by bits per sample of held-out notes; an average of the weights over steps
VOICE/voice.json                        what is known of it: compass, notes, bits per sample
VOICE/training/                         recordings/ (examined once), settings.yaml, metrics.jsonl, last/ (to go on from)

The loss is the cost of the true sound in bits per sample, each sample predicted from the true ones before it; beside it the code writer
learns the encoder's codes. On a processor a resumed run equals one never stopped, bit for bit.
"""

import contextlib
import copy
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from symbolic.dsp.mu_law import mu_law_encode
from symbolic.errors import InputError
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.decoder import bits_per_sample
from symbolic.models.wavenet.saving import write_wavenet
from symbolic.settings import load_settings, to_mapping
from symbolic.training.checkpoint import swap_in, whole_or_gone
from symbolic.training.log import RunLog
from symbolic.training.wavenet_notes import Batch, RecordedNote, check_notes, codes_heard, draw_batch, margin_of, notes_of

LONGEST_SCORED = 64000  # samples of a held-out note that are scored: 4 s


@dataclass(frozen=True)
class WavenetSettings:
    """A run. Samples of one step = lanes × frames × 512."""

    wavenet: WavenetConfig = field(default_factory=WavenetConfig)
    steps: int = 20000
    lanes: int = 8
    """Pieces of notes side by side."""
    frames: int = 12
    """Temporal codes of a piece: 12 are 384 ms."""
    learning_rate: float = 0.001
    warmup_steps: int = 200
    decay_share: float = 0.5
    """The last part of the run in which the learning rate falls in a straight line to 0."""
    gradient_clip: float = 1.0
    average: float = 0.999
    """Of the averaged weights, which are evaluated and kept, so much stays at each step."""
    onsets: float = 0.2
    """Share of the pieces that begin with their note."""
    warmup_samples: int = 1024
    """At the beginning of a piece from the middle of a note, predicted without being counted."""
    shift_semitones: float = 3.0
    """The encoder hears each piece up to so much higher or lower, so that codes do not tell the pitch; 0: as it is."""
    code_noise: float = 0.02
    """Standard deviation of what is added to the codes, which lie within −1 … 1."""
    precision: str = "auto"
    """auto: bf16 where the hardware has it; or float32, bf16."""
    evaluate_every: int = 500
    evaluation_notes: int = 24
    checkpoint_every: int = 250
    random_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "lanes", "frames", "evaluate_every", "evaluation_notes", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"training setting {name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("decay_share", "onsets", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"training setting {name} is {getattr(self, name)}; 0 to 1 is needed")
        if not 0 <= self.shift_semitones <= 12 or not self.code_noise >= 0:
            raise InputError(f"shift_semitones is {self.shift_semitones}, code_noise {self.code_noise}; 0 to 12, and 0 or more are needed")
        if not 0 <= self.warmup_samples < self.frames * self.wavenet.code_samples:
            raise InputError(
                f"warmup_samples is {self.warmup_samples}; fewer than a piece's {self.frames * self.wavenet.code_samples} are needed"
            )
        if not 0 < self.learning_rate < 1:
            raise InputError(f"training setting learning_rate is {self.learning_rate}; a number between 0 and 1 is needed")
        if self.precision not in ("auto", "float32", "bf16"):
            raise InputError(f"precision is {self.precision!r}; choose auto, float32 or bf16")


def train_wavenet(
    source: str | Path | Sequence[RecordedNote], output: str | Path, settings: WavenetSettings | str | Path | None = None, *,
    resume: bool = False, progress: Callable[[float, float], None] | None = None, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Learn a voice from a folder of recorded notes, or from notes themselves, into the folder `output`; gives its facts.

    `progress` is told how many files of how many are examined, `tell` gets lines for a person. Raises `InputError` when nothing can be
    learned from, a voice is there already (unless `resume`), the loss is no longer a number, or nothing more can be written.
    """
    output = Path(output)
    training = output / "training"
    if output.is_file():
        raise InputError(f"{output}: this is a file, a folder for the voice is wanted; choose another -o")
    if resume:
        if not (training / "last" / "training.pt").is_file():
            raise InputError(f"{output}: no training to go on with in it (training/last is missing); start without --resume")
        if not isinstance(settings, WavenetSettings):
            settings = load_settings(WavenetSettings, settings or training / "settings.yaml")
    elif (output / "config.json").exists() or (training / "last").exists():
        raise InputError(f"{output}: a voice is in this folder already; go on with --resume, or choose another -o")
    elif not isinstance(settings, WavenetSettings):
        settings = load_settings(WavenetSettings, settings)
    if isinstance(source, str | Path):
        from symbolic.corpus.recordings.phrases import LOW_RATE
        from symbolic.corpus.recordings.store import examine

        if settings.wavenet.sample_rate != LOW_RATE:
            raise InputError(f"wavenet: sample_rate is {settings.wavenet.sample_rate}; recordings are read at {LOW_RATE}")
        recordings = examine(Path(source), training / "recordings", progress)
        notes, where = notes_of(recordings), str(source)
        for line in recordings.verdicts[:20] if tell else ():
            assert tell
            tell(line)
    else:
        notes, where = list(source), "the notes given"
    notes = [note for note in notes if len(note.sound)]
    check_notes(notes, where)
    if tell:
        minutes = sum(len(note.sound) for note in notes if not note.held_out) / settings.wavenet.sample_rate / 60
        held_out = sum(note.held_out for note in notes)
        tell(f"{where}: {len(notes):,} notes of one pitch, {minutes:.1f} minutes to learn from, {held_out} held out")
    return _Training(notes, where, output, settings, resume).go()


@torch.no_grad()
def score_notes(model: Wavenet, notes: Sequence[RecordedNote]) -> dict[str, float]:
    """Bits per sample of whole notes (4 s of each at most), and the mean squared error of the code writer."""
    config, bits, samples, error = model.config, 0.0, 0, 0.0
    device = model.decoder.embedding.device
    for note in notes:
        sound = torch.from_numpy(note.sound[:LONGEST_SCORED].astype("float32"))
        length = len(sound)
        sound = functional.pad(sound, (0, -length % config.code_samples))[None].to(device)
        pitch, velocity = (torch.tensor([float(value)], device=device) for value in (note.pitch, note.velocity))
        temporal = model.encoder(sound)
        codes = mu_law_encode(sound)
        logits = model.decoder(codes, model.conditioning(temporal, pitch, velocity))
        bits += float(bits_per_sample(logits[:, :length], codes[:, :length])) * length
        samples += length
        written = model.writer(pitch, velocity, torch.tensor([len(note.sound)], device=device))[:, : temporal.shape[1]]
        error += float((written - temporal).square().mean()) * length
    return {"bits_per_sample": bits / samples, "writer_error": error / samples}


class _Training:
    def __init__(self, notes: list[RecordedNote], where: str, output: Path, settings: WavenetSettings, resume: bool) -> None:
        self.where, self.output, self.settings, self.folder = where, output, settings, output / "training"
        self.learned = [note for note in notes if not note.held_out]
        held_out = [note for note in notes if note.held_out]
        self.held_out = held_out[:: -(-len(held_out) // settings.evaluation_notes)]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.random_seed)
        self.model = Wavenet(settings.wavenet).to(self.device)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.0, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        self.margin = margin_of(self.model.encoder, settings.frames, settings.shift_semitones)
        self.step, self.best = 0, {"bits_per_sample": math.inf, "step": 0.0}
        self.interrupted = False
        if resume:
            self._restore()

    def go(self) -> dict[str, Any]:
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
            with RunLog(self.folder, self.step) as log:
                self._train(log)
        except OSError as error:
            reason = error.strerror or error
            again = "the same with --resume"
            raise InputError(
                f"{self.output}: cannot be written at step {self.step} ({reason}); make room and go on with {again}"
            ) from error
        finally:
            signal.signal(signal.SIGINT, before)
        return self._facts()

    def _train(self, log: RunLog) -> None:
        s, stopped = self.settings, False
        with tqdm(total=s.steps, initial=self.step, desc="wavenet", unit="step", disable=None) as bar:
            while self.step < s.steps and not stopped:
                bits, written, norm = self._one_step()
                if not (math.isfinite(bits) and math.isfinite(norm)):
                    raise InputError(
                        f"{self.output}: the loss is {bits} at step {self.step}; go on with --resume and a lower learning_rate "
                        f"(now {s.learning_rate}) in training/settings.yaml"
                    )
                stopped, ends = self.interrupted, self.step == s.steps
                bar.update()
                if self.step % 10 == 0 or ends:
                    bar.set_postfix_str(f"{bits:.3f} bits per sample, held-out {self.best['bits_per_sample']:.3f}")
                    log.write(self.step, bits_per_sample=bits, writer_error=written, gradient_norm=norm)
                if ends or self.step % s.evaluate_every == 0:
                    self._evaluate(log)
                if ends or stopped or self.step % s.checkpoint_every == 0:
                    self._save()
        if stopped and not ends:
            raise InputError(f"stopped at step {self.step} and saved; go on with --resume")

    def _one_step(self) -> tuple[float, float, float]:
        """Bits per sample, the writer's error and the gradient's norm."""
        s, config = self.settings, self.model.config
        batch = draw_batch(
            self.learned, self.step, s.random_seed, lanes=s.lanes, frames=s.frames, size=config.code_samples, margin=self.margin,
            warmup=s.warmup_samples, onsets=s.onsets, shift_semitones=s.shift_semitones,
        ).to(self.device)  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        temporal = codes_heard(self.model.encoder, batch, s.frames)
        written = self._writer_error(batch, temporal.detach())
        noise = torch.randn(temporal.shape, generator=torch.Generator().manual_seed(s.random_seed * 1_000_003 + self.step)).to(self.device)
        conditioning = self.model.conditioning(temporal + s.code_noise * noise, batch.pitch, batch.velocity)
        with self._precision():
            logits = self.model.decoder(batch.codes, conditioning)
        bits = bits_per_sample(logits, batch.codes, batch.counted)
        (bits + written).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        share = 1 - min(s.average, self.step / (self.step + 10))  # the first steps are forgotten soon
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), share)
        return float(bits.detach()), float(written.detach()), float(norm)

    def _writer_error(self, batch: Batch, temporal: Tensor) -> Tensor:
        """Mean squared error of the written codes of each piece that are within its note."""
        all_codes = self.model.writer(batch.pitch, batch.velocity, batch.samples)
        frames = temporal.shape[1]
        place = batch.first[:, None] + torch.arange(frames, device=self.device)
        within = place * self.model.config.code_samples < batch.samples[:, None]
        rows = torch.arange(len(temporal), device=self.device)[:, None]
        written = all_codes[rows, place.clamp(max=all_codes.shape[1] - 1)]
        return ((written - temporal).square().mean(-1) * within).sum() / within.sum().clamp(min=1)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        wanted = self.settings.precision
        if wanted == "auto":
            cpu = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
            wanted = (
                "bf16" if (self.device.type == "cuda" and torch.cuda.is_bf16_supported()) or (self.device.type == "cpu" and cpu) else ""
            )
        return torch.autocast(self.device.type, torch.bfloat16) if wanted == "bf16" else contextlib.nullcontext()

    def _rate(self) -> float:
        """Learning rate of the coming step: a rise, a plateau, a straight fall to 0."""
        s = self.settings
        decay = max(1, round(s.steps * s.decay_share))
        return s.learning_rate * min(1.0, (self.step + 1) / max(1, s.warmup_steps), (s.steps - self.step) / decay)

    def _evaluate(self, log: RunLog) -> None:
        figures = score_notes(self.averaged, self.held_out)
        log.write(self.step, held_out=figures)
        if figures["bits_per_sample"] < self.best["bits_per_sample"]:
            self.best = figures | {"step": float(self.step)}
            partial = self.folder / "best-partial"
            with whole_or_gone(partial):
                partial.mkdir()
                write_wavenet(self.averaged, partial, rounded=True)
                (partial / "voice.json").write_text(json.dumps(self._facts(), indent=2) + "\n")
                for name in ("model.safetensors", "voice.json", "config.json"):  # the weights first
                    (partial / name).replace(self.output / name)
                partial.rmdir()

    def _facts(self) -> dict[str, Any]:
        """What is known of the voice, plain."""
        pitches = [note.pitch for note in self.learned]
        seconds = sum(len(note.sound) for note in self.learned) / self.model.config.sample_rate
        return {
            "kind": "wavenet", "name": self.output.name, "notes": len(self.learned), "minutes": round(seconds / 60, 2),
            "lowest_pitch": round(min(pitches), 2), "highest_pitch": round(max(pitches), 2), "steps": self.step,
            "held_out_notes": len(self.held_out), "held_out": {name: round(value, 4) for name, value in self.best.items()},
            "parameters": sum(part.numel() for part in self.model.parameters()),
        }  # fmt: skip

    def _save(self) -> None:
        partial = self.folder / "last-partial"
        state = {
            "model": self.model.state_dict(), "averaged": self.averaged.state_dict(), "optimizer": self.optimizer.state_dict(),
            "step": self.step, "best": self.best, "notes": self._fingerprint(),
        }  # fmt: skip
        with whole_or_gone(partial):
            partial.mkdir()
            with (partial / "training.pt").open("wb") as stream:
                torch.save(state, stream)
            swap_in(partial, self.folder / "last")

    def _restore(self) -> None:
        path = self.folder / "last" / "training.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for damaged files
            raise InputError(f"{path}: the checkpoint is damaged ({type(error).__name__}); start again with another -o") from error
        if state["notes"] != self._fingerprint():
            raise InputError(f"{self.where}: not the notes this training began with; give those, or start again with another -o")
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise InputError(f"{path}: of a voice of another shape than the settings say; resume without --settings") from error
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]

    def _fingerprint(self) -> list[float]:
        """Numbers that tell these notes from others."""
        sums = [float(abs(note.sound[:: max(1, len(note.sound) // 64)]).sum()) for note in self.learned]
        return [float(len(sums)), round(sum(sums), 3), round(sum(note.pitch for note in self.learned), 3)]

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        """The first Ctrl-C ends the training after this step; the second one ends it at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if sys.stderr.isatty():
            print("\nstopping after this step and saving; Ctrl-C again stops at once", file=sys.stderr)

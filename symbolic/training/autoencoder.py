"""Training an autoencoder, whatever its decoder: notes in, a folder with a voice out.

VOICE/config.json, model.safetensors    the best voice so far, by bits per sample of held-out notes; an average of the weights over steps
VOICE/voice.json                        what is known of it: compass, notes, bits per sample
VOICE/training/                         recordings/ (examined once), and what `AveragedRun` keeps

The loss is the cost of the true sound in bits per sample, each sample predicted from the true ones before it; beside it the code writer
learns the encoder's codes.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from symbolic.corpus.recordings.phrases import LOW_RATE
from symbolic.dsp.mu_law import mu_law_encode
from symbolic.errors import InputError
from symbolic.models.wavenet.autoencoder import Autoencoder
from symbolic.models.wavenet.bundled import wavenet_folder
from symbolic.models.wavenet.configuration import AutoencoderConfig
from symbolic.models.wavenet.decoder import bits_per_sample
from symbolic.models.wavenet.saving import load_wavenet, new_autoencoder, write_wavenet
from symbolic.settings import load_settings
from symbolic.training.averaged_run import AveragedRun, check_run_settings
from symbolic.training.folder_run import examining, settings_of_run
from symbolic.training.wavenet_notes import (
    Batch,
    RecordedNote,
    check_notes,
    codes_heard,
    draw_batch,
    fingerprint,
    margin_of,
    notes_of,
    strayed,
)

LONGEST_SCORED = 64000  # samples of a held-out note that are scored: 4 s


@dataclass
class AutoencoderSettings:
    """A run. Samples of one step = lanes × frames × 512."""

    NETWORK: ClassVar[str]
    """The field that holds the network's configuration, which a subclass adds."""

    from_voice: str | None = None
    """A bundled voice's name (of the same kind) or a folder with one, from whose weights to start; its configuration is then the run's."""
    steps: int = 4000
    lanes: int = 3
    """Pieces of notes side by side."""
    frames: int = 12
    """Temporal codes of a piece: 12 are 384 ms."""
    learning_rate: float = 0.002
    warmup_steps: int = 60
    decay_share: float = 0.7
    """The last part of the run in which the learning rate falls in a straight line to 0."""
    gradient_clip: float = 1.0
    average: float = 0.995
    """Of the averaged weights, which are evaluated and kept, so much stays at each step."""
    onsets: float = 0.2
    """Share of the pieces that begin with their note."""
    warmup_samples: int = 1024
    """At the beginning of a piece from the middle of a note, predicted without being counted."""
    shift_semitones: float = 3.0
    """The encoder hears each piece up to so much higher or lower, so that codes do not tell the pitch; 0: as it is."""
    code_noise: float = 0.05
    """Standard deviation of what is added to the codes, whose own is 1."""
    stray_gain: float = 6.0
    """Standard deviation in decibels by which a piece begins too loud or soft; that dies away, so that the decoder learns to go back."""
    stray_noise: float = -30.0
    """Most noise, in decibels beside the sound, that a piece begins with, and that dies away as well; -200: none."""
    precision: str = "auto"
    """auto: bf16 where the hardware has it; or float32, bf16."""
    evaluate_every: int = 400
    evaluation_notes: int = 24
    checkpoint_every: int = 200
    random_seed: int = 0

    def __post_init__(self) -> None:
        check_run_settings(self)
        for name in ("lanes", "frames", "evaluation_notes"):
            if getattr(self, name) < 1:
                raise InputError(f"training setting {name} is {getattr(self, name)}; at least 1 is needed")
        if not 0 <= self.onsets <= 1:
            raise InputError(f"training setting onsets is {self.onsets}; 0 to 1 is needed")
        if not 0 <= self.shift_semitones <= 12 or not self.code_noise >= 0:
            raise InputError(f"shift_semitones is {self.shift_semitones}, code_noise {self.code_noise}; 0 to 12, and 0 or more are needed")
        if not 0 <= self.stray_gain <= 20 or not -200 <= self.stray_noise <= 0:
            raise InputError(f"stray_gain is {self.stray_gain}, stray_noise {self.stray_noise}; 0 to 20, and -200 to 0 are needed")
        piece = self.frames * self.network.code_samples
        if not 0 <= self.warmup_samples < piece:
            raise InputError(f"warmup_samples is {self.warmup_samples}; 0 or more and fewer than a piece's {piece} are needed")

    @property
    def network(self) -> AutoencoderConfig:
        """The network's configuration."""
        config: AutoencoderConfig = getattr(self, self.NETWORK)
        return config


Settings = TypeVar("Settings", bound=AutoencoderSettings)


def train_autoencoder(
    kind: type[Settings], source: str | Path | Sequence[RecordedNote], output: str | Path, settings: Settings | str | Path | None = None, *,
    resume: bool = False, progress: Callable[[float, float], None] | None = None, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Learn a voice from a folder of recorded notes, or from notes themselves, into the folder `output`; gives its facts.

    `progress` is told how many files of how many are examined, `tell` gets lines for a person. Raises `InputError` when nothing can be
    learned from, a voice is there already (unless `resume`), the loss is no longer a number, or nothing more can be written.
    """
    output = Path(output)
    settings = settings_of_run(kind, output, settings, resume)
    if settings.from_voice is not None:
        settings = _started_from(settings, output if resume else None)
    if settings.network.sample_rate != LOW_RATE:
        raise InputError(f"{kind.NETWORK}: sample_rate is {settings.network.sample_rate}; recorded notes are at {LOW_RATE}")
    if isinstance(source, str | Path):
        from symbolic.corpus.recordings.store import examine

        with examining(progress) as tell_files:
            recordings = examine(Path(source), output / "training" / "recordings", tell_files)
        notes, where = notes_of(recordings), str(source)
        for line in recordings.verdicts[:20] if tell else ():
            assert tell
            tell(line)
    else:
        notes, where = list(source), "the notes given"
    notes = [note for note in notes if len(note.sound)]
    check_notes(notes, where)
    if tell:
        minutes = sum(len(note.sound) for note in notes if not note.held_out) / settings.network.sample_rate / 60
        held_out = sum(note.held_out for note in notes)
        tell(f"{where}: {len(notes):,} notes of one pitch, {minutes:.1f} minutes to learn from, {held_out} held out")
    return AutoencoderRun(notes, where, output, settings, resume).go()


@torch.no_grad()
def score_notes(model: Autoencoder, notes: Sequence[RecordedNote]) -> dict[str, float]:
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
        cycles = torch.from_numpy(note.cycles(0, sound.shape[1] // config.hold, config.hold))[None]
        logits = model.decoder(codes, model.conditioning(temporal, pitch, velocity), cycles)
        bits += float(bits_per_sample(logits[:, :length], codes[:, :length])) * length
        samples += length
        written = model.writer(pitch, velocity, torch.tensor([len(note.sound)], device=device))[:, : temporal.shape[1]]
        error += float((written - temporal).square().mean()) * length
    return {"bits_per_sample": bits / samples, "writer_error": error / samples}


class AutoencoderRun(AveragedRun):
    """A run over notes."""

    figure = "bits_per_sample"
    model: Autoencoder
    averaged: Autoencoder
    settings: AutoencoderSettings

    def __init__(self, notes: Sequence[RecordedNote], where: str, output: Path, settings: AutoencoderSettings, resume: bool) -> None:
        self.learned = [note for note in notes if not note.held_out]
        held_out = [note for note in notes if note.held_out]
        self.scored = held_out[:: -(-len(held_out) // settings.evaluation_notes)]
        torch.manual_seed(settings.random_seed)
        model = new_autoencoder(settings.network)
        if settings.from_voice is not None and not resume:
            model.load_state_dict(load_wavenet(wavenet_folder(settings.from_voice, settings.network.KIND)).state_dict())
        self.margin = margin_of(model.encoder, settings.frames, settings.shift_semitones)
        super().__init__(model, where, fingerprint(self.learned), output, settings, resume)

    def losses(self) -> dict[str, Tensor]:
        """Bits per sample, and the mean squared error of the written codes."""
        s, config = self.settings, self.model.config
        batch = draw_batch(
            self.learned, self.step, s.random_seed, lanes=s.lanes, frames=s.frames, size=config.code_samples, hold=config.hold,
            margin=self.margin, warmup=s.warmup_samples, onsets=s.onsets, shift_semitones=s.shift_semitones,
        ).to(self.device)  # fmt: skip
        temporal = codes_heard(self.model.encoder, batch, s.frames)
        noise = torch.randn(temporal.shape, generator=torch.Generator().manual_seed(s.random_seed * 1_000_003 + self.step))
        codes = strayed(batch.codes, s.random_seed * 1_000_003 + self.step, s.stray_gain, s.stray_noise, config.levels)
        conditioning = self.model.conditioning(temporal + s.code_noise * noise.to(self.device), batch.pitch, batch.velocity)
        with self.precision():
            logits = self.model.decoder(codes, conditioning, batch.cycles)
        bits = bits_per_sample(logits, codes, batch.counted)
        return {"bits_per_sample": bits, "writer_error": self._writer_error(batch, temporal.detach())}

    def _writer_error(self, batch: Batch, temporal: Tensor) -> Tensor:
        """Of the written codes of each piece that are within its note."""
        all_codes = self.model.writer(batch.pitch, batch.velocity, batch.samples)
        place = batch.first[:, None] + torch.arange(temporal.shape[1], device=self.device)
        within = place * self.model.config.code_samples < batch.samples[:, None]
        rows = torch.arange(len(temporal), device=self.device)[:, None]
        written = all_codes[rows, place.clamp(max=all_codes.shape[1] - 1)]
        return ((written - temporal).square().mean(-1) * within).sum() / within.sum().clamp(min=1)

    def held_out(self) -> dict[str, float]:
        """Bits per sample of held-out notes."""
        return score_notes(self.averaged, self.scored)

    def write(self, folder: Path) -> None:
        """A voice, rounded to bfloat16, and what is known of it."""
        write_wavenet(self.averaged, folder, rounded=True)
        (folder / "voice.json").write_text(json.dumps(self.facts(), indent=2) + "\n")

    def again(self) -> str:
        """How a person goes on with the run."""
        if not Path(self.where).is_dir():
            return "--resume"
        return f"symbolic voice train {self.where} -o {self.output} --kind {self.model.config.KIND} --resume"

    def facts(self) -> dict[str, Any]:
        """What is known of the voice, plain."""
        pitches = [note.pitch for note in self.learned]
        seconds = sum(len(note.sound) for note in self.learned) / self.model.config.sample_rate
        return {
            "kind": self.model.config.KIND, "name": self.output.name,
            "recordings": {"notes": len(self.learned), "minutes": round(seconds / 60, 2)},
            "lowest_pitch": round(min(pitches), 2), "highest_pitch": round(max(pitches), 2), "held_out_notes": len(self.scored),
            "word": "bits per sample, where a guess costs 8",
        } | ({"from_voice": self.settings.from_voice} if self.settings.from_voice else {}) | self.course()  # fmt: skip


def _started_from(settings: Settings, resumed: Path | None) -> Settings:
    """The settings with the configuration of the voice that a run starts from; where it is `resumed`, as it was then."""
    assert settings.from_voice is not None
    name, kind = settings.NETWORK, type(settings)
    config: Any
    if resumed is not None:
        config = load_settings(kind, resumed / "training" / "settings.yaml").network
    else:
        config = load_wavenet(wavenet_folder(settings.from_voice, settings.network.KIND)).config
        if config.KIND != settings.network.KIND:
            raise InputError(f"from_voice {settings.from_voice}: this is a {config.KIND}, and a {settings.network.KIND} is to be trained")
        if settings.network not in (config, kind().network):
            raise InputError(
                f"from_voice {settings.from_voice}: its shape is not the one that {name}: in the settings asks for; leave {name}: out"
            )
    return dataclasses.replace(settings, **{name: config})

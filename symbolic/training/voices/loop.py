"""Training a voice: recordings in, a folder with a voice out.

VOICE/config.json, voice.safetensors    the best voice so far, by held-out loss; complete at any time. Its weights are the running
                                        mean of those of the steps, which plays unheard notes far better than those of any step
VOICE/training/                         recordings/ (examined once), settings.yaml, metrics.jsonl, sounds/, last/ (to go on from)

`training` may be deleted once the voice is done. On a processor a resumed run equals one never stopped, bit for bit.
"""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from symbolic.corpus.recordings.phrases import HOP
from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings, examine
from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import VoiceConfig, with_compass
from symbolic.models.voices.voice import save_voice, synthesise
from symbolic.training.checkpoint import whole_or_gone
from symbolic.training.folder_run import FolderRun, examining, settings_of_run
from symbolic.training.log import RunLog
from symbolic.training.optimizing import learning_rate
from symbolic.training.voices.beginning import take_weights
from symbolic.training.voices.evaluation import all_figures, heard_of, rounded
from symbolic.training.voices.loss import training_loss, word
from symbolic.training.voices.phrase_lanes import PhraseLanes, Segment
from symbolic.training.voices.settings import VoiceSettings
from symbolic.training.voices.sounds import write_comparison

FAR = 5.0  # semitones
TOLD = 20  # verdicts on the recordings in the terminal; all are in training/recordings/notes.json


def train_voice(
    folder: str | Path, output: str | Path, settings: VoiceSettings | str | Path | None = None, *,
    resume: bool = False, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Learn a voice from the recordings below `folder` into the folder `output`; gives its facts.

    `tell` gets what a person should know of the recordings, line by line. Raises `InputError` when nothing can be learned from, a voice
    is there already (unless `resume`), the loss is no longer a number, or nothing more can be written.
    """
    folder, output = Path(folder), Path(output)
    tell = tell or (lambda line: None)
    settings = settings_of_run(VoiceSettings, output, settings, resume, made="a voice")
    with examining(None) as progress:
        recordings = examine(folder, output / "training" / "recordings", progress)
    for line in _told(recordings, folder):
        tell(line)
    return _Training(recordings, folder, output, settings, resume).go()


class _Training(FolderRun):
    def __init__(self, recordings: Recordings, folder: Path, output: Path, settings: VoiceSettings, resume: bool) -> None:
        torch.manual_seed(settings.random_seed)
        self.recordings, self.learned = recordings, recordings.chosen(False)
        self.held_out = heard_of(recordings)
        voice = VoiceAutoencoder(_fitted(settings.voice, recordings, self.learned), settings.dropout)
        super().__init__(voice, str(folder), recordings.fingerprint, output, settings, "loss")
        self.voice = voice
        if settings.from_voice is not None and not resume:
            take_weights(voice, settings.from_voice)
        self.optimizer = torch.optim.Adam(self.voice.parameters(), lr=settings.learning_rate, fused=True)
        self.lanes = PhraseLanes(
            recordings, self.learned, settings.lanes, settings.segment_frames, settings.gap_share, settings.longest_gap,
            settings.random_seed,
        )  # fmt: skip
        self.average = copy.deepcopy(self.voice)
        self.memory: torch.Tensor | None = None
        self.figures: dict[str, Any] = {}
        if resume:
            state = self.load()
            self.lanes.load_state_dict(state["lanes"])
            self.average.load_state_dict(state["average"])
            torch.set_rng_state(state["random"])
            self.memory = None if state["memory"] is None else state["memory"].to(self.device)

    def train(self, log: RunLog) -> None:
        """The steps, up to the last or until `interrupted`."""
        s = self.settings
        smooth, stopped = math.nan, False
        with tqdm(total=s.steps, initial=self.step, desc="voice", unit="step", disable=None) as bar:
            while self.step < s.steps and not stopped:
                clock = time.perf_counter()
                loss, norm = self._one_step(next(self.lanes))
                self.seconds += time.perf_counter() - clock
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    saved = (self.folder / "last").exists()
                    then = f"lower it in training/settings.yaml and go on with {self.again()}" if saved else "start again with a lower one"
                    raise InputError(f"{self.output}: the loss is {loss} at step {self.step}; learning_rate is {s.learning_rate}: {then}")
                smooth = loss if math.isnan(smooth) else 0.95 * smooth + 0.05 * loss
                stopped, ends = self.interrupted, self.step == s.steps
                bar.update()
                if self.step % 10 == 0 or ends:
                    bar.set_postfix_str(self._state_of_things(smooth))
                    log.write(self.step, loss=loss, gradient_norm=norm, seconds=round(self.seconds, 2))
                if ends or self.step % s.evaluate_every == 0:
                    self._evaluate(log)
                    bar.set_postfix_str(self._state_of_things(smooth))
                if ends or stopped or self.step % s.checkpoint_every == 0:
                    more = {"average": self.average.state_dict(), "memory": self.memory, "random": torch.get_rng_state()}
                    self.save(lanes=self.lanes.state_dict(), **more)
                if self.step % s.sound_every == 0 or ends:
                    path = self.folder / "sounds" / f"step-{self.step:06d}.wav"
                    write_comparison(path, self._on_processor(), self.recordings, self.held_out)
        if stopped and not ends:
            raise InputError(f"stopped at step {self.step} and saved; go on with: {self.again()}")

    def _one_step(self, segment: Segment) -> tuple[float, float]:
        s = self.settings
        pitch, loudness, sound, low = (getattr(segment, name).to(self.device) for name in ("pitch", "loudness", "sound", "low"))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(s, self.step)
        self.voice.train()
        code = self.voice.code(low, pitch, loudness)
        if code is not None:
            told = torch.rand(len(code), 1, 1, device=self.device) < s.code_share
            code = told * (code + s.code_noise * torch.randn_like(code))
        controls, memory = self.voice.decoder(pitch, loudness, self.memory, code)
        self.memory = memory.detach()
        made = synthesise(pitch, controls, self.voice.config)
        loss = training_loss(made, sound, low, SAMPLE_RATE, self.step, s.high_weight)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.voice.parameters(), s.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        with torch.no_grad():
            share = 1 - min(s.averaging, self.step / (self.step + 9))  # young weights are forgotten soon
            for kept, new in zip(self.average.parameters(), self.voice.parameters(), strict=True):
                kept.lerp_(new, share)
        return float(loss.detach()), float(norm)

    def _evaluate(self, log: RunLog) -> None:
        self.figures = all_figures(self._on_processor(), self.recordings, self.held_out)
        log.write(self.step, held_out=self.figures)
        if self.figures["loss"] <= self.best["loss"]:
            self.best = self.figures | {"step": self.step}
            partial = self.folder / "best-partial"
            with whole_or_gone(partial):
                save_voice(partial, self.average, self.facts())
                for name in ("voice.safetensors", "config.json"):  # the weights first: a config without them would be a broken voice
                    (partial / name).replace(self.output / name)
                partial.rmdir()

    def _on_processor(self) -> VoiceAutoencoder:
        """The averaged voice where voices are played."""
        return self.average if self.device.type == "cpu" else copy.deepcopy(self.average).cpu()

    def facts(self) -> dict[str, Any]:
        """What is known of the voice, plain."""
        r = self.recordings
        learned = {"files": len({note.file for note in r.notes}), "notes": len(self.learned), "minutes": round(r.minutes(False), 2)}
        verdict = word(self.best["loss"]) if self.best["step"] else "not evaluated yet"
        return {
            "name": self.output.name, "recordings": learned, "held_out_minutes": round(r.minutes(True), 2), "steps": self.step,
            "training_seconds": round(self.seconds, 1), "held_out": rounded(self.best), "word": verdict,
            "parameters": sum(part.numel() for part in self.voice.parameters()),
        }  # fmt: skip

    def _state_of_things(self, loss: float) -> str:
        held = f", held-out {self.figures['loss']:.2f} ({word(self.figures['loss'])})" if self.figures else ""
        return f"loss {loss:.2f}{held}"

    def again(self) -> str:
        """How a person goes on with the run."""
        return f"symbolic voice train {self.where} -o {self.output} --resume"


def _fitted(config: VoiceConfig, recordings: Recordings, notes: list[Note]) -> VoiceConfig:
    """The configuration with the compass and the loudness of these notes."""
    if (config.sample_rate, config.hop) != (SAMPLE_RATE, HOP):
        raise InputError(f"voice: sample_rate {config.sample_rate} and hop {config.hop}; recordings are read at {SAMPLE_RATE} and {HOP}")
    medians = np.array([float(np.median(recordings.array("pitch", note))) for note in notes])
    low, high = compass_of(medians)
    inside = [note for note, median in zip(notes, medians, strict=True) if low <= median <= high]
    loudness = np.concatenate([recordings.array("loudness", note) for note in notes])
    sounding = loudness > loudness.max() - 50
    pitch, level = (np.concatenate([recordings.array(name, note) for note in inside]) for name in ("pitch", "loudness"))
    lowest, highest = (float(np.percentile(pitch[level > loudness.max() - 50], share)) for share in (0.2, 99.8))
    quantiles = tuple(round(float(value), 2) for value in np.percentile(loudness[sounding], np.arange(0, 101, 5)))
    return with_compass(config, round(lowest, 2), round(highest, 2), quantiles)


def compass_of(pitches: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of the pitches of notes (N,) in hertz, less a lone one far from all others at either end.

    One wrongly heard note would let a voice be told pitches that it never learned. A lone note is far when the next one is more than five
    semitones away and three times as far as that one is from its next: notes recorded at every octave all count.
    """
    ends = []
    for order in (np.sort(pitches), np.sort(pitches)[::-1]):
        steps = np.abs(np.diff(12 * np.log2(order)))
        different = steps[steps > 0.5]
        lone = len(different) > 1 and steps[0] > FAR and different[0] > 3 * different[1]
        ends.append(float(order[1 if lone else 0]))
    return ends[0], ends[1]


def _told(recordings: Recordings, folder: Path) -> list[str]:
    """What a person should know before the training begins."""
    learned, held_out = recordings.minutes(False), recordings.minutes(True)
    lines = list(recordings.verdicts[:TOLD])
    if len(recordings.verdicts) > TOLD:
        lines.append(f"and {len(recordings.verdicts) - TOLD} more such lines, in training/recordings/notes.json")
    notes = recordings.notes
    lines.append(
        f"{folder}: {len(notes):,} notes and phrases, {learned:.1f} minutes to learn from, "
        f"{held_out:.1f} held out ({len(recordings.chosen(True))} notes)"
    )
    if learned < 5:
        lines.append(f"{learned:.1f} minutes are little: 10 to 20 make a voice")
    return lines

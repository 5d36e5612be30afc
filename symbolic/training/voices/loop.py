"""Training a voice: recordings in, a folder with a voice out.

VOICE/config.json, voice.safetensors    the best voice so far, by held-out loss; complete at any time
VOICE/training/                         recordings/ (examined once), settings.yaml, metrics.jsonl, sounds/, last/ (to go on from)

`training` may be deleted once the voice is done. On a processor a resumed run equals one never stopped, bit for bit.
"""

import copy
import dataclasses
import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tqdm import tqdm

from symbolic.corpus.recordings.phrases import HOP
from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings, examine
from symbolic.errors import InputError
from symbolic.models.voices.configuration import VoiceConfig, with_compass
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.voice import save_voice, synthesise
from symbolic.settings import load_settings, to_mapping
from symbolic.training.checkpoint import swap_in, whole_or_gone
from symbolic.training.log import RunLog
from symbolic.training.voices.evaluation import evaluate_voice
from symbolic.training.voices.loss import training_loss, word
from symbolic.training.voices.phrase_lanes import PhraseLanes, Segment
from symbolic.training.voices.settings import VoiceSettings
from symbolic.training.voices.sounds import write_comparison

EVALUATED_NOTES = 48
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
    training, tell = output / "training", tell or (lambda line: None)
    if output.is_file():
        raise InputError(f"{output}: this is a file, a folder for the voice is wanted; choose another -o")
    if resume:
        if not (training / "last" / "training.pt").is_file():
            raise InputError(f"{output}: no training to go on with in it (training/last is missing); start without --resume")
        if not isinstance(settings, VoiceSettings):
            settings = load_settings(VoiceSettings, settings or training / "settings.yaml")
    elif (output / "config.json").exists() or (training / "last").exists():
        raise InputError(f"{output}: a voice is in this folder already; go on with --resume, or choose another -o")
    elif not isinstance(settings, VoiceSettings):
        settings = load_settings(VoiceSettings, settings)
    with tqdm(desc="recordings", unit="file", disable=None, leave=False) as bar:

        def progress(done: int, files: int) -> None:
            bar.total = files
            bar.update(done - bar.n)

        recordings = examine(folder, training / "recordings", progress)
    for line in _told(recordings, folder):
        tell(line)
    return _Training(recordings, folder, output, settings, resume).go()


class _Training:
    def __init__(self, recordings: Recordings, folder: Path, output: Path, settings: VoiceSettings, resume: bool) -> None:
        self.recordings, self.source, self.output, self.settings = recordings, folder, output, settings
        self.training = output / "training"
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.random_seed)
        self.learned, held_out = recordings.chosen(False), recordings.chosen(True)
        self.held_out = held_out[:: -(-len(held_out) // EVALUATED_NOTES)]
        self.decoder = VoiceDecoder(_fitted(settings.voice, recordings, self.learned)).to(self.device)
        self.optimizer = torch.optim.Adam(self.decoder.parameters(), lr=settings.learning_rate, fused=True)
        self.lanes = PhraseLanes(
            recordings, self.learned, settings.lanes, settings.segment_frames, settings.gap_share, settings.longest_gap,
            settings.random_seed,
        )  # fmt: skip
        self.memory: torch.Tensor | None = None
        self.step, self.seconds, self.best = 0, 0.0, {"loss": math.inf, "step": 0}
        self.figures: dict[str, Any] = {}
        self.interrupted = False
        if resume:
            self._restore()

    def go(self) -> dict[str, Any]:
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self.training.mkdir(parents=True, exist_ok=True)
            (self.training / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
            with RunLog(self.training, self.step) as log:
                self._train(log)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.output}: cannot be written at step {self.step} ({reason}); make room and go on with {self._again()}"
            ) from error
        finally:
            signal.signal(signal.SIGINT, before)
        return self._facts()

    def _train(self, log: RunLog) -> None:
        s = self.settings
        smooth, stopped = math.nan, False
        with tqdm(total=s.steps, initial=self.step, desc="voice", unit="step", disable=None) as bar:
            while self.step < s.steps and not stopped:
                clock = time.perf_counter()
                loss, norm = self._one_step(next(self.lanes))
                self.seconds += time.perf_counter() - clock
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    saved = (self.training / "last").exists()
                    then = f"lower it in training/settings.yaml and go on with {self._again()}" if saved else "start again with a lower one"
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
                    self._save()
                if self.step % s.sound_every == 0 or ends:
                    path = self.training / "sounds" / f"step-{self.step:06d}.wav"
                    write_comparison(path, self._on_processor(), self.recordings, self.held_out)
        if stopped and not ends:
            raise InputError(f"stopped at step {self.step} and saved; go on with: {self._again()}")

    def _one_step(self, segment: Segment) -> tuple[float, float]:
        s = self.settings
        pitch, loudness, sound, low = (getattr(segment, name).to(self.device) for name in ("pitch", "loudness", "sound", "low"))
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.decoder.train()
        controls, memory = self.decoder(pitch, loudness, self.memory)
        self.memory = memory.detach()
        made = synthesise(pitch, controls, self.decoder.config)
        loss = training_loss(made, sound, low, SAMPLE_RATE, self.step, s.high_weight)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), s.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return float(loss.detach()), float(norm)

    def _rate(self) -> float:
        """Learning rate of the coming step: a rise, a plateau, a straight fall to 0."""
        s = self.settings
        decay = max(1, round(s.steps * s.decay_share))
        return s.learning_rate * min(1.0, (self.step + 1) / max(1, s.warmup_steps), (s.steps - self.step) / decay)

    def _evaluate(self, log: RunLog) -> None:
        figures = evaluate_voice(self._on_processor(), self.recordings, self.held_out)
        self.figures = dataclasses.asdict(figures)
        log.write(self.step, held_out=self.figures)
        if figures.loss <= self.best["loss"]:
            self.best = self.figures | {"step": self.step}
            partial = self.training / "best-partial"
            with whole_or_gone(partial):
                save_voice(partial, self.decoder, self._facts())
                for name in ("voice.safetensors", "config.json"):  # the weights first: a config without them would be a broken voice
                    (partial / name).replace(self.output / name)
                partial.rmdir()

    def _on_processor(self) -> VoiceDecoder:
        """The decoder where voices are played."""
        return self.decoder if self.device.type == "cpu" else copy.deepcopy(self.decoder).cpu()

    def _facts(self) -> dict[str, Any]:
        """What is known of the voice, plain."""
        r = self.recordings
        learned = {"files": len({note.file for note in r.notes}), "notes": len(self.learned), "minutes": round(r.minutes(False), 2)}
        best = {name: round(value, 4) if isinstance(value, float) else value for name, value in self.best.items()}
        verdict = word(self.best["loss"]) if self.best["step"] else "not evaluated yet"
        return {
            "name": self.output.name, "recordings": learned, "held_out_minutes": round(r.minutes(True), 2), "steps": self.step,
            "training_seconds": round(self.seconds, 1), "held_out": best, "word": verdict,
            "parameters": sum(part.numel() for part in self.decoder.parameters()),
        }  # fmt: skip

    def _save(self) -> None:
        partial = self.training / "last-partial"
        state: dict[str, Any] = {
            "decoder": self.decoder.state_dict(), "optimizer": self.optimizer.state_dict(), "random": torch.get_rng_state(),
            "lanes": self.lanes.state_dict(), "memory": self.memory, "step": self.step, "seconds": self.seconds, "best": self.best,
            "fingerprint": self.recordings.fingerprint,
        }  # fmt: skip
        with whole_or_gone(partial):
            partial.mkdir()
            with (partial / "training.pt").open("wb") as stream:
                torch.save(state, stream)
            swap_in(partial, self.training / "last")

    def _restore(self) -> None:
        path = self.training / "last" / "training.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for damaged files
            raise InputError(f"{path}: the checkpoint is damaged ({type(error).__name__}); start again with another -o") from error
        if state["fingerprint"] != self.recordings.fingerprint:
            raise InputError(f"{self.source}: not the recordings this training began with; give those, or start again with another -o")
        try:
            self.decoder.load_state_dict(state["decoder"])
        except RuntimeError as error:
            raise InputError(f"{path}: of a voice of another shape than the settings say; resume without --settings") from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.lanes.load_state_dict(state["lanes"])
        torch.set_rng_state(state["random"])
        self.memory = None if state["memory"] is None else state["memory"].to(self.device)
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]

    def _state_of_things(self, loss: float) -> str:
        held = f", held-out {self.figures['loss']:.2f} ({word(self.figures['loss'])})" if self.figures else ""
        return f"loss {loss:.2f}{held}"

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        """The first Ctrl-C ends the training after this step; the second one ends it at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if sys.stderr.isatty():
            print("\nstopping after this step and saving; Ctrl-C again stops at once", file=sys.stderr)

    def _again(self) -> str:
        return f"symbolic voice train {self.source} -o {self.output} --resume"


def _fitted(config: VoiceConfig, recordings: Recordings, notes: list[Note]) -> VoiceConfig:
    """The configuration with the compass and the loudness of these notes."""
    if (config.sample_rate, config.hop) != (SAMPLE_RATE, HOP):
        raise InputError(f"voice: sample_rate {config.sample_rate} and hop {config.hop}; recordings are read at {SAMPLE_RATE} and {HOP}")
    pitch, loudness = (np.concatenate([recordings.array(name, note) for note in notes]) for name in ("pitch", "loudness"))
    sounding = loudness > loudness.max() - 50
    lowest, highest = (float(np.percentile(pitch[sounding], share)) for share in (0.2, 99.8))
    quantiles = tuple(round(float(value), 2) for value in np.percentile(loudness[sounding], np.arange(0, 101, 5)))
    return with_compass(config, round(lowest, 2), round(highest, 2), quantiles)


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

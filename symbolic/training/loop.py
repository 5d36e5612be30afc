"""The training loop: accelerate owns devices, processes and precision; lanes bring the data; memory runs along each lane.

A run's folder: settings.yaml, metrics.jsonl (a line each 10 steps and at each evaluation), loss.png, samples/, last/ and best/.
"""

import contextlib
import ctypes
import dataclasses
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.distributed.tensor import DTensor
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError, UsageError
from symbolic.models.memory import Memory
from symbolic.models.transformer_xl import TransformerXL
from symbolic.settings import load_settings, to_mapping
from symbolic.tokenizers.tasks import MIXTURE
from symbolic.tokenizers.vocabulary import TokenType
from symbolic.training.beginning import first_network, settings_for
from symbolic.training.checkpoint import (
    load_training_state,
    newest,
    save_model,
    save_training_state,
    swap_in,
    training_state,
    whole_or_gone,
)
from symbolic.training.curve import plot_curve
from symbolic.training.evaluation import sum_up, token_nats
from symbolic.training.lanes import Lanes, Segment
from symbolic.training.log import RunLog
from symbolic.training.optimizing import learning_rate, make_optimizer
from symbolic.training.samples import write_sample
from symbolic.training.settings import TrainingSettings
from symbolic.training.sharding import gathered, local_parts, shard, with_shards
from symbolic.training.stopping import HeldOut

EVALUATED_TOKENS = 1024


def train(
    dataset: str | Path, run: str | Path, settings: TrainingSettings | str | Path | None = None, *,
    from_model: str | Path | None = None, resume: bool = False, processes: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train on `dataset` into the folder `run`; gives the last held-out figures, the best ones and their step, and `steps` done.

    `settings` are complete, or a YAML file's over the defaults; without any a new run takes the defaults, a resumed run those it had.
    `from_model` is a bundled name, a model folder or a run to start from: its shape stays, and defaults are those of
    `beginning.fine_tuning_settings`. With `processes` the run begins only if so many take part.
    Raises `InputError` when they do not, the run exists (unless `resume`), the dataset holds no training pieces or was
    made with another tokenizer than the model's, the loss is no longer a number, or nothing more can be written.
    """
    run, corpus = Path(run), Corpus(dataset)
    if run.is_file():
        raise InputError(f"{run}: this is a file, a folder for the run is wanted; choose another -o")
    checkpoint: Path | None = None
    if resume:
        if from_model is not None:
            raise UsageError(f"--from {from_model}: a resumed run goes on from its own checkpoint; leave out --from or --resume")
        checkpoint = newest(run)
        if not isinstance(settings, TrainingSettings):
            settings = load_settings(TrainingSettings, settings or run / "settings.yaml")
    elif (run / "metrics.jsonl").exists():
        raise InputError(f"{run}: a run is in this folder already; go on with --resume, or choose another -o")
    elif not isinstance(settings, TrainingSettings):
        settings = settings_for(corpus, settings, None if from_model is None else str(from_model))
    elif from_model is not None:
        settings = dataclasses.replace(settings, from_model=str(from_model))
    before = torch.get_float32_matmul_precision()
    if _precision(settings.precision) != "no":  # "no" means float32 and nothing less, on processors with bf16 units too
        torch.set_float32_matmul_precision("medium")
    try:
        return _Run(corpus, run, settings, checkpoint, processes).go()
    finally:
        torch.set_float32_matmul_precision(before)


class _Run:
    """One process of a run."""

    def __init__(self, corpus: Corpus, folder: Path, settings: TrainingSettings, checkpoint: Path | None, processes: int | None) -> None:
        _keep_memory()
        self.accelerator = _accelerator(_precision(settings.precision), processes)
        self.corpus, self.folder, self.settings = corpus, folder, settings
        self.main = self.accelerator.is_main_process
        if not len(corpus.pieces("train")):
            raise InputError(f"{corpus.folder}: no training pieces in this dataset ({len(corpus.rows['split'])} held out)")
        torch.manual_seed(settings.random_seed)
        model = first_network(corpus, settings, checkpoint)
        if settings.sharded:
            self.model = shard(model, self.accelerator.device)
            self.optimizer = self.accelerator.prepare(make_optimizer(model, settings))
        else:
            self.model, self.optimizer = self.accelerator.prepare(model, make_optimizer(model, settings))
        if self.accelerator.process_index:
            torch.manual_seed(settings.random_seed + self.accelerator.process_index)  # its own dropout
        mixture = settings.tasks
        if mixture is None and len(corpus.tokenizer.vocabulary.of_type(TokenType.TASK)):
            mixture = MIXTURE
        self.lanes = Lanes(
            corpus, settings.lanes, settings.segment_length, twelve_keys=settings.twelve_keys, balance=settings.balance,
            tasks=mixture, random_seed=settings.random_seed, rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )  # fmt: skip
        self.step, self.saved_step, self.held_out = 0, 0, HeldOut()
        self.memory: Memory | None = None
        if checkpoint:
            self._restore(checkpoint)
        self.interrupted = False

    def go(self) -> dict[str, float]:
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            if not self.main:
                return self._train(None)
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
            with RunLog(self.folder, self.step) as log:
                return self._train(log)
        except OSError as error:
            kept = f"the checkpoint of step {self.saved_step} is kept in last/" if self.saved_step else "no checkpoint was saved yet"
            then = f"make room and {'go on with: ' + self._again() if self.saved_step else 'start again'}"
            raise InputError(f"{self.folder}: cannot be written at step {self.step} ({error.strerror or error}); {kept}; {then}") from error
        finally:
            signal.signal(signal.SIGINT, before)

    def _train(self, log: RunLog | None) -> dict[str, float]:
        """Steps until the last one, until hope is lost or someone presses Ctrl-C; `log` is that of the main process."""
        s = self.settings
        tokens = s.lanes * s.segment_length * self.accelerator.num_processes
        self.accelerator.wait_for_everyone()
        figures: dict[str, float] = {}
        if not self.step and s.from_model is not None:
            figures = self._evaluate(log)
        stopped, hopeless = False, self._anyone(self.held_out.hopeless(s.patience))
        with tqdm(total=s.steps, initial=self.step, desc="train", unit="step", disable=None if self.main else True) as bar:
            clock, done = time.perf_counter(), self.step
            while self.step < s.steps and not stopped and not hopeless:
                loss, norm = self._one_step(next(self.lanes))
                bar.update()
                stopped = self._anyone(self.interrupted)
                ends = self.step == s.steps
                evaluates = ends or self.step % s.evaluate_every == 0
                saves = ends or stopped or self.step % s.checkpoint_every == 0
                if self.step % 10 == 0 or evaluates or saves:
                    value = self._finite(loss, norm)
                if self.step % 10 == 0:
                    rate = (self.step - done) * tokens / (time.perf_counter() - clock)
                    clock, done = time.perf_counter(), self.step
                    bar.set_postfix_str(f"loss {value:.3f}, {rate:,.0f} tokens/s")
                    if log:
                        used = self.optimizer.param_groups[0]["lr"]
                        log.write(self.step, loss=value, gradient_norm=norm, learning_rate=used, tokens_per_second=rate)
                if evaluates:
                    figures = self._evaluate(log)
                    hopeless = not ends and self._anyone(self.held_out.hopeless(s.patience))
                if saves or hopeless:
                    self._save()
                if s.sample_every and self.step % s.sample_every == 0 and (model := self._whole_model()):
                    write_sample(model, self.corpus, self.folder / "samples", self.step)
                if evaluates or saves:
                    clock, done = time.perf_counter(), self.step
        if stopped and not ends and not hopeless:
            raise InputError(f"stopped at step {self.step} and saved; go on with: {self._again()}")
        return figures | self.held_out.figures() | {"steps": self.step}

    def _one_step(self, segment: Segment) -> tuple[torch.Tensor, float]:
        device = self.accelerator.device
        parts = (segment.ids, segment.labels, segment.ages, segment.beats)
        ids, labels, ages, beats = (torch.from_numpy(part).to(device) for part in parts)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        self.model.train()
        with self.accelerator.autocast():
            output = self.model(ids, beats, self.memory, ages=ages, labels=labels)
        self.memory = output.memory
        self.accelerator.backward(output.loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return output.loss.detach(), float(norm)

    def _finite(self, loss: torch.Tensor, norm: float) -> float:
        """The loss as a number, asked before every save, so that no checkpoint is ever made of broken weights."""
        value = float(loss)
        if not math.isfinite(value) or (not math.isfinite(norm) and self.accelerator.scaler is None):  # a scaler leaves such a step out
            saved = (self.folder / "last").exists()
            kept = "the checkpoint before is kept in last/; resume" if saved else "none was saved yet; start again"
            raise InputError(
                f"{self.folder}: the loss is {value} and the gradient's norm {norm} at step {self.step}; "
                f"{kept} with a lower learning_rate (now {self.settings.learning_rate})"
            )
        return value

    def _evaluate(self, log: RunLog | None) -> dict[str, float]:
        vocabulary = self.corpus.tokenizer.vocabulary
        held_out = self.corpus.pieces("validation")
        chosen = held_out[:: max(1, -(-len(held_out) // max(1, self.settings.evaluation_pieces)))]
        model = self._whole_model() if len(chosen) else None
        if log is None or model is None:
            return {}
        pieces = [self.corpus.piece(int(index))[:EVALUATED_TOKENS] for index in chosen]
        score = sum_up(pieces, token_nats(model, pieces, vocabulary), vocabulary)
        figures = score.summary()
        log.write(self.step, validation=figures)
        if self.held_out.told(self.step, score.nats_per_note):
            partial = self.folder / "best-partial"
            with whole_or_gone(partial):
                save_model(partial, model, self.corpus.tokenizer)
                swap_in(partial, self.folder / "best")
        plot_curve(self.folder)
        return figures

    def _save(self) -> None:
        partial = self.folder / "last-partial"
        model = self._whole_model()
        with whole_or_gone(partial) if self.main else contextlib.nullcontext():
            if model is not None:
                save_model(partial, model, self.corpus.tokenizer)
            self.accelerator.wait_for_everyone()
            held_out = dataclasses.asdict(self.held_out)
            state = training_state(local_parts(self.optimizer.state_dict()), self.memory, self.lanes.state_dict(), self.step, held_out)
            if self.accelerator.scaler is not None:
                state["scaler"] = self.accelerator.scaler.state_dict()
            save_training_state(state, partial, self.accelerator.process_index)
            self.accelerator.wait_for_everyone()
            if self.main:
                swap_in(partial, self.folder / "last")
        self.saved_step = self.step
        self.accelerator.wait_for_everyone()

    def _restore(self, checkpoint: Path) -> None:
        state = load_training_state(checkpoint, self.accelerator.process_index, self.accelerator.device)
        self.optimizer.load_state_dict(with_shards(state["optimizer"], self.optimizer))
        self.lanes.load_state_dict(state["lanes"])
        self.memory = Memory(**state["memory"]) if "memory" in state else None
        self.step = self.saved_step = state["step"]
        self.held_out = HeldOut(**state["held_out"]) if "held_out" in state else HeldOut(best=state["best"])
        if self.accelerator.scaler is not None and "scaler" in state:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def _whole_model(self) -> TransformerXL | None:
        """The network in the main process, None in the others."""
        if self.settings.sharded:
            return gathered(self.model)
        return self.accelerator.unwrap_model(self.model) if self.main else None

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        """The first Ctrl-C ends the run after this step; the second one ends it at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        if self.main and sys.stderr.isatty():
            print("\nstopping after this step and saving; Ctrl-C again stops at once", file=sys.stderr)

    def _anyone(self, told: bool) -> bool:
        """Whether any process was told so: all leave at the same step, or one would wait for the others for ever."""
        if self.accelerator.num_processes == 1:
            return told
        return float(self.accelerator.reduce(torch.tensor(float(told), device=self.accelerator.device), "sum")) > 0

    def _again(self) -> str:
        return f"symbolic train {self.corpus.folder} -o {self.folder} --resume"


def _accelerator(precision: str, processes: int | None) -> Accelerator:
    """The processes of this run. Raises `InputError` when accelerate does not see all that were started: each would train for itself.

    `accelerate launch --cpu --num_processes 2` starts one and says nothing, hence `processes`.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    AcceleratorState._reset_state()  # a run before in this process may have had another precision, which accelerate keeps for ever
    # without cpu=True accelerate takes the processes of torchrun on a machine without a GPU for single ones, and says nothing
    accelerator = Accelerator(mixed_precision=precision, cpu=started > 1 and not torch.accelerator.is_available())
    if accelerator.num_processes != started:
        raise InputError(f"{started} processes were started, but accelerate sees {accelerator.num_processes}; start them with torchrun")
    if processes not in (None, started):
        raise InputError(
            f"{processes} processes are wanted, and {'one runs' if started == 1 else f'{started} run'}; on CPUs start them with "
            f"torchrun --nproc_per_node {processes} -m symbolic train … (accelerate launch --cpu starts one, whatever it is told)"
        )
    return accelerator


def _precision(wanted: str) -> str:
    if wanted not in ("auto", "no", "bf16", "fp16"):
        raise InputError(f"precision is {wanted!r}; choose auto, no, bf16 or fp16")
    if wanted == "fp16" and not torch.cuda.is_available():
        raise InputError("precision is 'fp16', which needs a GPU; choose auto, no or bf16")
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "no"


def _keep_memory() -> None:
    """Tell glibc's allocator to keep what it has: large temporaries mapped anew at every step cost a quarter of it."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        return

"""The training loop: accelerate owns devices, processes and precision; lanes bring the data; memory runs along each lane.

A run's folder: settings.yaml, metrics.jsonl (a line each 10 steps and at each evaluation), loss.png, last/ and best/.
"""

import ctypes
import json
import math
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from accelerate import Accelerator
from tqdm import tqdm

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.models.configuration import make_config
from symbolic.models.memory import Memory
from symbolic.models.transformer_xl import TransformerXL, load_weights
from symbolic.settings import load_settings, to_mapping
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.training.checkpoint import load_training_state, newest, save_model, swap_in, training_state
from symbolic.training.evaluation import sum_up, token_nats
from symbolic.training.lanes import Lanes, Segment
from symbolic.training.settings import TrainingSettings

EVALUATED_TOKENS = 1024


def train(dataset: str | Path, run: str | Path, settings: TrainingSettings | None = None, *, resume: bool = False) -> dict[str, float]:
    """Train on `dataset` into the folder `run`; gives the last held-out figures.

    Without `settings` a new run takes the defaults, a resumed run those it was started with.
    Raises `InputError` when the run exists (unless `resume`), the dataset holds no training pieces, or the loss is no longer a number.
    """
    run, corpus = Path(run), Corpus(dataset)
    if run.is_file():
        raise InputError(f"{run}: this is a file, a folder for the run is wanted; choose another -o")
    if resume:
        checkpoint: Path | None = newest(run)
        settings = settings or load_settings(TrainingSettings, run / "settings.yaml")
    elif (run / "metrics.jsonl").exists():
        raise InputError(f"{run}: a run is in this folder already; go on with --resume, or choose another -o")
    else:
        checkpoint = None
    settings = settings or TrainingSettings()
    before = torch.get_float32_matmul_precision()
    if _precision(settings.precision) != "no":  # "no" means float32 and nothing less, on processors with bf16 units too
        torch.set_float32_matmul_precision("medium")
    try:
        return _Run(corpus, run, settings, checkpoint).go()
    finally:
        torch.set_float32_matmul_precision(before)


class _Run:
    """One process of a run."""

    def __init__(self, corpus: Corpus, folder: Path, settings: TrainingSettings, checkpoint: Path | None) -> None:
        _keep_memory()
        self.accelerator = _accelerator(_precision(settings.precision))
        self.corpus, self.folder, self.settings = corpus, folder, settings
        self.main = self.accelerator.is_main_process
        if not len(corpus.pieces("train")):
            raise InputError(f"{corpus.folder}: no training pieces in this dataset ({len(corpus.rows['split'])} held out)")
        torch.manual_seed(settings.random_seed)
        model = _saved_model(checkpoint, corpus, settings) if checkpoint else TransformerXL(_config(corpus, settings))
        optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=0.0, betas=(0.9, 0.95), fused=True)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        if self.accelerator.process_index:
            torch.manual_seed(settings.random_seed + self.accelerator.process_index)  # its own dropout
        self.lanes = Lanes(
            corpus, settings.lanes, settings.segment_length, twelve_keys=settings.twelve_keys, balance=settings.balance,
            random_seed=settings.random_seed, rank=self.accelerator.process_index, world=self.accelerator.num_processes,
        )  # fmt: skip
        self.step, self.best = 0, math.inf
        self.memory: Memory | None = None
        if checkpoint:
            self._restore(checkpoint)
        self.interrupted = False

    def go(self) -> dict[str, float]:
        if self.main:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
            _keep_lines(self.folder / "metrics.jsonl", self.step)
        self.accelerator.wait_for_everyone()
        figures: dict[str, float] = {}
        stopped = False
        before = signal.signal(signal.SIGINT, self._interrupt)
        tokens = self.settings.lanes * self.settings.segment_length * self.accelerator.num_processes
        bar = tqdm(total=self.settings.steps, initial=self.step, desc="train", unit="step", disable=None if self.main else True)
        try:
            with (self.folder / "metrics.jsonl").open("a") if self.main else open("/dev/null", "a") as metrics:
                clock, done = time.perf_counter(), self.step
                while self.step < self.settings.steps and not stopped:
                    loss, norm = self._one_step(next(self.lanes))
                    bar.update()
                    stopped = self._anyone_interrupted()
                    ends = self.step == self.settings.steps
                    evaluates = ends or self.step % self.settings.evaluate_every == 0
                    saves = ends or stopped or self.step % self.settings.checkpoint_every == 0
                    if self.step % 10 == 0 or evaluates or saves:
                        value = self._finite(loss, norm)
                    if self.step % 10 == 0:
                        rate = (self.step - done) * tokens / (time.perf_counter() - clock)
                        clock, done = time.perf_counter(), self.step
                        bar.set_postfix_str(f"loss {value:.3f}, {rate:,.0f} tokens/s")
                        used = self.optimizer.param_groups[0]["lr"]
                        _log(metrics, step=self.step, loss=value, gradient_norm=norm, learning_rate=used, tokens_per_second=rate)
                    if evaluates:
                        figures = self._evaluate(metrics)
                        clock, done = time.perf_counter(), self.step
                    if saves:
                        self._save()
        finally:
            bar.close()
            signal.signal(signal.SIGINT, before)
        if stopped and not ends:
            again = f"symbolic train {self.corpus.folder} -o {self.folder} --resume"
            raise InputError(f"stopped at step {self.step} and saved; go on with: {again}")
        return figures

    def _one_step(self, segment: Segment) -> tuple[torch.Tensor, float]:
        device = self.accelerator.device
        parts = (segment.ids, segment.labels, segment.ages, segment.beats)
        ids, labels, ages, beats = (torch.from_numpy(part).to(device) for part in parts)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.model.train()
        output = self.model(ids, beats, self.memory, ages=ages, labels=labels)
        self.memory = output.memory
        self.accelerator.backward(output.loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return output.loss.detach(), float(norm)

    def _rate(self) -> float:
        """Learning rate of the coming step: a rise, a plateau, a straight fall to 0."""
        s = self.settings
        decay = max(1, round(s.steps * s.decay_share))
        return s.learning_rate * min(1.0, (self.step + 1) / max(1, s.warmup_steps), (s.steps - self.step) / decay)

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

    def _evaluate(self, metrics: TextIO) -> dict[str, float]:
        vocabulary = self.corpus.tokenizer.vocabulary
        held_out = self.corpus.pieces("validation")
        chosen = held_out[:: max(1, -(-len(held_out) // max(1, self.settings.evaluation_pieces)))]
        if not self.main or not len(chosen):
            return {}
        pieces = [self.corpus.piece(int(index))[:EVALUATED_TOKENS] for index in chosen]
        model = self.accelerator.unwrap_model(self.model)
        score = sum_up(pieces, token_nats(model, pieces, vocabulary), vocabulary)
        figures = score.summary()
        _log(metrics, step=self.step, validation=figures)
        if score.nats_per_note < self.best:
            self.best = score.nats_per_note
            partial = self.folder / "best-partial"
            save_model(partial, model, self.corpus.tokenizer)
            swap_in(partial, self.folder / "best")
        from symbolic.training.curve import plot_curve

        plot_curve(self.folder)
        return figures

    def _save(self) -> None:
        partial = self.folder / "last-partial"
        if self.main:
            shutil.rmtree(partial, ignore_errors=True)
            save_model(partial, self.accelerator.unwrap_model(self.model), self.corpus.tokenizer)
        self.accelerator.wait_for_everyone()
        state = training_state(self.optimizer, self.memory, self.lanes.state_dict(), self.step, self.best)
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        torch.save(state, partial / f"training-{self.accelerator.process_index}.pt")
        self.accelerator.wait_for_everyone()
        if self.main:
            swap_in(partial, self.folder / "last")
        self.accelerator.wait_for_everyone()

    def _restore(self, checkpoint: Path) -> None:
        state = load_training_state(checkpoint, self.accelerator.process_index, self.accelerator.device)
        self.optimizer.load_state_dict(state["optimizer"])
        self.lanes.load_state_dict(state["lanes"])
        self.memory = Memory(**state["memory"]) if "memory" in state else None
        self.step, self.best = state["step"], state["best"]
        if self.accelerator.scaler is not None and "scaler" in state:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def _interrupt(self, _signal: int, _frame: Any) -> None:
        self.interrupted = True

    def _anyone_interrupted(self) -> bool:
        """Whether any process was told to stop: all leave at the same step, or one would wait for the others for ever."""
        if self.accelerator.num_processes == 1:
            return self.interrupted
        told = torch.tensor(float(self.interrupted), device=self.accelerator.device)
        return float(self.accelerator.reduce(told, "sum")) > 0


def _saved_model(checkpoint: Path, corpus: Corpus, settings: TrainingSettings) -> TransformerXL:
    """The model to go on with. Raises `InputError` when the dataset's tokenizer or the settings belong to another one."""
    corpus.require_tokenizer(RemiTokenizer.load(checkpoint), checkpoint)
    model = load_weights(checkpoint).train()
    wanted = to_mapping(settings.model).items()
    different = [f"{name} is {getattr(model.config, name)}, not {value}" for name, value in wanted if getattr(model.config, name) != value]
    if different:
        raise InputError(f"{checkpoint}: the saved model's {', '.join(different)}; a resumed run keeps its model")
    return model


def _config(corpus: Corpus, settings: TrainingSettings) -> Any:
    vocabulary = corpus.tokenizer.vocabulary
    return make_config(
        vocab_size=len(vocabulary), beats_per_bar=vocabulary.max_beats, positions_per_beat=vocabulary.positions_per_beat,
        pad_token_id=vocabulary.pad, bos_token_id=vocabulary.bos, eos_token_id=vocabulary.eos, **to_mapping(settings.model),
    )  # fmt: skip


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices; none for tables, norms and biases."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and id(p) not in tables and not n.endswith("_bias")]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _accelerator(precision: str) -> Accelerator:
    """The processes of this run. Raises `InputError` when accelerate does not see all that were started: each would train for itself."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    # without cpu=True accelerate takes the processes of torchrun on a machine without a GPU for single ones, and says nothing
    accelerator = Accelerator(mixed_precision=precision, cpu=started > 1 and not torch.accelerator.is_available())
    if accelerator.num_processes != started:
        raise InputError(f"{started} processes were started, but accelerate sees {accelerator.num_processes}; start them with torchrun")
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


def _keep_lines(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint, which is done again, and a line it left half written."""
    kept = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            continue
    path.write_text("".join(kept))


def _log(metrics: TextIO, **values: Any) -> None:
    metrics.write(json.dumps(values) + "\n")
    metrics.flush()

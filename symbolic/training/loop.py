"""The training loop: accelerate owns devices, processes and precision; lanes bring the data; memory runs along each lane.

A run's folder: settings.yaml, metrics.jsonl (a line each 10 steps and at each evaluation), loss.png, last/ and best/.
"""

import ctypes
import json
import math
import signal
import time
from pathlib import Path
from typing import Any, TextIO

import torch
import yaml
from accelerate import Accelerator
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.models.configuration import make_config
from symbolic.models.memory import Memory
from symbolic.models.transformer_xl import TransformerXL, load_weights
from symbolic.settings import to_mapping
from symbolic.training.checkpoint import load_training_state, newest, save_model, swap_in, training_state
from symbolic.training.corpus import Corpus
from symbolic.training.evaluation import sum_up, token_nats
from symbolic.training.lanes import Lanes, Segment
from symbolic.training.settings import TrainingSettings

EVALUATED_TOKENS = 1024


def train(dataset: str | Path, run: str | Path, settings: TrainingSettings | None = None, *, resume: bool = False) -> dict[str, float]:
    """Train on `dataset` into the folder `run`; gives the last held-out figures.

    Raises `InputError` when the run exists (unless `resume`), the dataset holds no training pieces, or the loss is no longer a number.
    """
    settings, run, corpus = settings or TrainingSettings(), Path(run), Corpus(dataset)
    if resume:
        checkpoint: Path | None = newest(run)
    elif (run / "metrics.jsonl").exists():
        raise InputError(f"{run}: a run is in this folder already; go on with --resume, or choose another -o")
    else:
        checkpoint = None
    return _Run(corpus, run, settings, checkpoint).go()


class _Run:
    """One process of a run."""

    def __init__(self, corpus: Corpus, folder: Path, settings: TrainingSettings, checkpoint: Path | None) -> None:
        _keep_memory()
        torch.set_float32_matmul_precision("medium")
        self.accelerator = Accelerator(mixed_precision=_precision(settings.precision))
        self.corpus, self.folder, self.settings = corpus, folder, settings
        self.main = self.accelerator.is_main_process
        if not len(corpus.pieces("train")):
            raise InputError(f"{corpus.folder}: no training pieces in this dataset ({len(corpus.rows['split'])} held out)")
        torch.manual_seed(settings.random_seed)
        model = load_weights(checkpoint).train() if checkpoint else TransformerXL(_config(corpus, settings))
        if checkpoint and model.config.vocab_size != len(corpus.tokenizer.vocabulary):
            raise InputError(
                f"{checkpoint}: the model knows {model.config.vocab_size} tokens, "
                f"the dataset {corpus.folder} has {len(corpus.tokenizer.vocabulary)}: another tokenizer made it"
            )
        optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=0.0, betas=(0.9, 0.95), fused=True)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.lanes = Lanes(
            corpus, settings.lanes, settings.segment_length, twelve_keys=settings.twelve_keys, balance=settings.balance,
            random_seed=settings.random_seed, rank=self.accelerator.process_index, world=self.accelerator.num_processes,
        )  # fmt: skip
        self.step, self.best, self.memory = 0, math.inf, None
        if checkpoint:
            self._restore(checkpoint)
        self.stopped = False

    def go(self) -> dict[str, float]:
        if self.main:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "settings.yaml").write_text(yaml.safe_dump(to_mapping(self.settings), sort_keys=False))
        self.accelerator.wait_for_everyone()
        figures: dict[str, float] = {}
        before = signal.signal(signal.SIGINT, self._stop)
        tokens = self.settings.lanes * self.settings.segment_length * self.accelerator.num_processes
        bar = tqdm(total=self.settings.steps, initial=self.step, desc="train", unit="step", disable=None if self.main else True)
        try:
            with (self.folder / "metrics.jsonl").open("a") if self.main else open("/dev/null", "a") as metrics:
                clock, done = time.perf_counter(), self.step
                while self.step < self.settings.steps and not self.stopped:
                    loss, norm = self._one_step(next(self.lanes))
                    bar.update()
                    if self.step % 10 == 0:
                        value = self._finite(loss)
                        rate = (self.step - done) * tokens / (time.perf_counter() - clock)
                        clock, done = time.perf_counter(), self.step
                        bar.set_postfix_str(f"loss {value:.3f}, {rate:,.0f} tokens/s")
                        _log(metrics, step=self.step, loss=value, gradient_norm=norm, learning_rate=self._rate(), tokens_per_second=rate)
                    if self.step % self.settings.evaluate_every == 0 or self.step == self.settings.steps:
                        figures = self._evaluate(metrics)
                        clock, done = time.perf_counter(), self.step
                    if self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps or self.stopped:
                        self._save()
                if self.stopped:
                    self._save()
        finally:
            bar.close()
            signal.signal(signal.SIGINT, before)
        if self.stopped:
            raise InputError(f"stopped at step {self.step} and saved; go on with: symbolic train {self.corpus.folder} -o {self.folder} --resume")
        return figures

    def _one_step(self, segment: Segment) -> tuple[torch.Tensor, float]:
        device = self.accelerator.device
        ids, labels, ages, beats = (torch.from_numpy(part).to(device) for part in (segment.ids, segment.labels, segment.ages, segment.beats))
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

    def _finite(self, loss: torch.Tensor) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise InputError(
                f"{self.folder}: the loss is {value} at step {self.step}; the checkpoint before is kept in last/; "
                f"resume with a lower learning_rate (now {self.settings.learning_rate})"
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
            save_model(partial, self.accelerator.unwrap_model(self.model), self.corpus.tokenizer)
        self.accelerator.wait_for_everyone()
        state = training_state(self.optimizer, self.memory, self.lanes.state_dict(), self.step, self.best)
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

    def _stop(self, _signal: int, _frame: Any) -> None:
        self.stopped = True


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
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": [p for p in model.parameters() if id(p) not in chosen], "weight_decay": 0.0}]


def _precision(wanted: str) -> str:
    if wanted not in ("auto", "no", "bf16", "fp16"):
        raise InputError(f"precision is {wanted!r}; choose auto, no, bf16 or fp16")
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


def _log(metrics: TextIO, **values: Any) -> None:
    metrics.write(json.dumps(values) + "\n")
    metrics.flush()

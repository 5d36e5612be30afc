"""How fast a training step is, beside other implementations, all in turn in one run.

    python benchmarks/training.py                                    shape S, two threads
    python benchmarks/training.py --shape L --only "4.35 defaults" gpt-2 symbolic        (all rows at once need 24 GB)
    python benchmarks/training.py --device cuda --shape 100M         on a GPU

A step is forward, backward, clipping of the gradient and AdamW (fused, for everyone) on random ids; its memory goes on to the next
step. Each implementation lives in a process of its own, and each round every process in turn makes a few steps; the table gives
medians over rounds. The peers that need old libraries (transformers 4.35 for its Transformer-XL, x-transformers) get an environment
of their own in --environment, made on the first run; it borrows torch from this one, so that all rows use the same.

Rows end with what they are given. "defaults": float32 as torch comes. "tuned": `torch.set_float32_matmul_precision("medium")` and
an allocator that keeps its memory, both of which `symbolic train` sets by itself. "bf16": tuned, and under autocast.
Dropout is 0.1 wherever an implementation has it, except on attention weights, where nobody has any.

Share of peak = operations the formula needs / operations of a large matrix product in the same precision measured in this run.
Counted are matrix products only: three times the forward pass, a query seeing the keys of its window and no others.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = ("transformers==4.35.2", "numpy<2", "einops==0.8.2", "einx==0.4.3", "loguru==0.7.3", "frozendict==2.5.1")
WITHOUT_TORCH = ("x-transformers==2.31.10", "torch-einops-utils==0.2.0")  # they ask for torch, which is borrowed
DROPOUT, CLIP = 0.1, 0.25
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


@dataclass(frozen=True)
class Shape:
    """Of the network, and of a step: `batch` rows of `segment` tokens."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    segment: int
    memory: int
    batch: int

    def operations(self, *, recurrent: bool, projected: bool) -> float:
        """Floating-point operations of the matrix products of a step, for a Transformer-XL or for a GPT-2.

        projected: memory is hidden states, whose keys and values are made again in every step.
        """
        tokens, width = self.batch * self.segment, self.width
        linear = tokens * (4 * width * width + 2 * width * self.inner) * self.layers + tokens * width * self.vocabulary
        if recurrent:
            linear += self.layers * 2 * width * width * self.batch * self.memory * projected
            linear += self.layers * width * width * (self.memory + 1)  # keys of the distances
            attention = 3 * tokens * (self.memory + 1) * width * self.layers  # content, distance, values
        else:
            attention = 2 * tokens * (self.segment + 1) / 2 * width * self.layers
        return 3 * 2 * (linear + attention)


SHAPES = {
    "S": Shape(vocabulary=512, width=256, layers=6, heads=8, inner=1024, segment=256, memory=256, batch=8),
    "L": Shape(vocabulary=512, width=512, layers=12, heads=8, inner=2048, segment=256, memory=512, batch=4),
    "bundled": Shape(vocabulary=1703, width=192, layers=6, heads=6, inner=768, segment=256, memory=512, batch=12),
    "100M": Shape(vocabulary=1679, width=768, layers=13, heads=12, inner=3072, segment=512, memory=512, batch=32),
}


@dataclass(frozen=True)
class Row:
    """One implementation with its settings."""

    build: str
    precision: str
    tuned: bool
    old: bool = False

    @property
    def recurrent(self) -> bool:
        return self.build != "gpt2"

    @property
    def projected(self) -> bool:
        return not self.build.startswith("symbolic")


ROWS = {
    "Transformer-XL of transformers 4.35, defaults": Row("transfo_xl", "fp32", tuned=False, old=True),
    "Transformer-XL of transformers 4.35, tuned": Row("transfo_xl", "fp32", tuned=True, old=True),
    "Transformer-XL of transformers 4.35, bf16": Row("transfo_xl", "bf16", tuned=True, old=True),
    "x-transformers, T5 bias, memory, defaults": Row("x_transformers", "fp32", tuned=False, old=True),
    "x-transformers, T5 bias, memory, bf16": Row("x_transformers", "bf16", tuned=True, old=True),
    "GPT-2, SDPA, no memory, defaults": Row("gpt2", "fp32", tuned=False),
    "GPT-2, SDPA, no memory, tuned": Row("gpt2", "fp32", tuned=True),
    "GPT-2, SDPA, no memory, bf16": Row("gpt2", "bf16", tuned=True),
    "symbolic, tuned": Row("symbolic", "fp32", tuned=True),
    "symbolic, bf16": Row("symbolic", "bf16", tuned=True),
    "symbolic, bf16, a piece begins every 500 tokens": Row("symbolic_pieces", "bf16", tuned=True),
}
REFERENCE = "Transformer-XL of transformers 4.35, defaults"


# ---- one process: a model and its step ----


def build_symbolic(shape: Shape, device: str, piece: int = 10**9) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Our model; `piece` tokens after the last one another piece begins, rows out of step with each other."""
    import torch

    from symbolic.models.configuration import make_config
    from symbolic.models.transformer_xl import TransformerXL

    config = make_config(
        vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        intermediate_size=shape.inner, memory_length=shape.memory, dropout=DROPOUT,
    )  # fmt: skip
    model = TransformerXL(config).to(device)
    beats = torch.zeros(shape.batch, shape.segment, 3, dtype=torch.long, device=device)
    places = torch.arange(shape.segment, device=device) + 131 * torch.arange(shape.batch, device=device)[:, None]
    state: dict[str, Any] = {"memory": None, "place": 0}

    def loss(ids: Any, labels: Any) -> Any:
        output = model(ids, beats, state["memory"], ages=(places + state["place"]) % piece, labels=labels)
        state["memory"], state["place"] = output.memory, state["place"] + shape.segment
        return output.loss

    return model, loss


def build_symbolic_pieces(shape: Shape, device: str) -> tuple[Any, Callable[[Any, Any], Any]]:
    """The same with many beginnings of pieces, as in training."""
    return build_symbolic(shape, device, piece=500)


def build_transfo_xl(shape: Shape, device: str) -> tuple[Any, Callable[[Any, Any], Any]]:
    """Transformer-XL of transformers 4.35, the adaptive softmax off (no cutoffs)."""
    import torch
    from transformers import TransfoXLConfig, TransfoXLLMHeadModel

    config = TransfoXLConfig(
        vocab_size=shape.vocabulary, cutoffs=[], d_model=shape.width, d_embed=shape.width, n_head=shape.heads,
        d_head=shape.width // shape.heads, d_inner=shape.inner, div_val=1, n_layer=shape.layers, mem_len=shape.memory,
        clamp_len=-1, dropout=DROPOUT, dropatt=0.0,
    )  # fmt: skip
    model = TransfoXLLMHeadModel(config).to(device)
    state: dict[str, Any] = {"memory": None}

    def loss(ids: Any, _labels: Any) -> Any:
        output = model.transformer(ids, mems=state["memory"])
        state["memory"] = output.mems
        with torch.autocast(torch.device(device).type, enabled=False):  # its loss fails under autocast
            return model.crit(output.last_hidden_state.float(), ids).mean()  # it shifts the labels by itself

    return model, loss


def build_x_transformers(shape: Shape, device: str) -> tuple[Any, Callable[[Any, Any], Any]]:
    """x-transformers with memory and the relative position bias of T5."""
    from torch.nn import functional
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(
        dim=shape.width, depth=shape.layers, heads=shape.heads, attn_dim_head=shape.width // shape.heads, rel_pos_bias=True,
        ff_mult=shape.inner // shape.width, ff_dropout=DROPOUT,
    )  # fmt: skip
    model = TransformerWrapper(
        num_tokens=shape.vocabulary, max_seq_len=shape.segment, max_mem_len=shape.memory, attn_layers=layers, emb_dropout=DROPOUT
    ).to(device)
    state: dict[str, Any] = {"memory": None}

    def loss(ids: Any, labels: Any) -> Any:
        logits, memory = model(ids, mems=state["memory"], return_mems=True)
        state["memory"] = [part.detach() for part in memory]
        return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())

    return model, loss


def build_gpt2(shape: Shape, device: str) -> tuple[Any, Callable[[Any, Any], Any]]:
    """GPT-2 of transformers 5 with scaled_dot_product_attention; it sees its segment only."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape.vocabulary, n_positions=shape.segment, n_embd=shape.width, n_layer=shape.layers, n_head=shape.heads,
        n_inner=shape.inner, resid_pdrop=DROPOUT, embd_pdrop=DROPOUT, attn_pdrop=0.0, use_cache=False,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "sdpa"
    model = GPT2LMHeadModel(config).to(device)
    return model, lambda ids, _labels: model(input_ids=ids, labels=ids).loss


def serve(arguments: argparse.Namespace) -> None:
    """A worker: build, then for every line of standard input make so many steps and answer with a line of JSON."""
    import torch

    row, shape, device = ROWS[arguments.serve], SHAPES[arguments.shape], arguments.device
    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("medium" if row.tuned else "highest")
    torch.manual_seed(0)
    model, loss_of = globals()[f"build_{row.build}"](shape, device)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(0)
    size = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"parameters": size}), flush=True)
    for line in sys.stdin:
        clock, processor, loss = time.perf_counter(), time.process_time(), None
        for _ in range(int(line)):
            ids = torch.randint(0, shape.vocabulary, (shape.batch, shape.segment + 1), generator=generator).to(device)
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=row.precision == "bf16"):
                loss = loss_of(ids[:, :-1], ids[:, 1:])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
        seconds = [float(loss.detach()), time.perf_counter() - clock, time.process_time() - processor]  # reading the loss waits for a GPU
        print(json.dumps({"loss": seconds[0], "clock": seconds[1], "processor": seconds[2], "memory": peak_memory(device)}), flush=True)


def peak_memory(device: str) -> float:
    """High-water mark in MB: of the process, or of its tensors on a GPU."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def serve_peak(arguments: argparse.Namespace) -> None:
    """A worker that answers every line with the operations per second of a large matrix product in three precisions."""
    import torch

    torch.set_num_threads(arguments.threads)
    size = 2048 if arguments.device == "cpu" else 8192
    print("{}", flush=True)
    for _ in sys.stdin:
        rates = {}
        for name, setting, kind in (
            ("fp32", "highest", torch.float32), ("medium", "medium", torch.float32), ("bf16", "medium", torch.bfloat16)
        ):  # fmt: skip
            torch.set_float32_matmul_precision(setting)
            a, b = (torch.randn(size, size, device=arguments.device).to(kind) for _ in range(2))
            times = []
            for _ in range(4):
                begun = time.process_time() if arguments.threads == 1 and arguments.device == "cpu" else time.perf_counter()
                (a @ b)[0, 0].item()
                end = time.process_time() if arguments.threads == 1 and arguments.device == "cpu" else time.perf_counter()
                times.append(end - begun)
            rates[name] = 2 * size**3 / min(times[1:])
        print(json.dumps(rates), flush=True)


# ---- the run: processes in turn ----


def peers_python(folder: Path) -> Path:
    """The interpreter of the environment of the old libraries, made in `folder` unless it is there."""
    import torch

    python = folder / "bin" / "python"
    mark = folder / "peers.txt"
    wanted = "\n".join((*PEERS, *WITHOUT_TORCH, torch.__version__))
    if mark.exists() and mark.read_text() == wanted:
        return python
    print(f"making the environment of the peers in {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True, stdout=sys.stderr)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *WITHOUT_TORCH], check=True, stdout=sys.stderr)
    site = Path(torch.__file__).parents[1]  # behind the environment's own packages, so only what is missing there is found here
    next(folder.glob("lib/python*/site-packages")).joinpath("borrowed.pth").write_text(f"{site}\n")
    mark.write_text(wanted)
    return python


class Worker:
    """A process that makes steps when told."""

    def __init__(self, python: Path, name: str, arguments: argparse.Namespace, *, tuned: bool) -> None:
        threads = str(arguments.threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"} | (KEEP_MEMORY if tuned else {})
        command = [python, __file__, "--serve", name, "--shape", arguments.shape, "--threads", threads, "--device", arguments.device]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.answer()

    def answer(self) -> dict[str, float]:
        """The next line the worker prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: the process ended (exit {self.process.wait()}); its message is above")
        return json.loads(line)

    def ask(self, steps: int) -> dict[str, float]:
        """Let it make so many steps."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        """Close its input, upon which it leaves."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Run all rows and print the table."""
    phrases = [phrase.lower().split() for phrase in arguments.only]
    chosen = {name: row for name, row in ROWS.items() if any(all(word in name.lower() for word in phrase) for phrase in phrases)}
    if not chosen:
        raise SystemExit(f"--only {' '.join(arguments.only)!r} fits no row; rows are: {'; '.join(ROWS)}")
    here = Path(sys.executable)
    there = peers_python(folder) if any(row.old for row in chosen.values()) else here
    shape, tokens = SHAPES[arguments.shape], SHAPES[arguments.shape].batch * SHAPES[arguments.shape].segment
    workers = {name: Worker(there if row.old else here, name, arguments, tuned=row.tuned) for name, row in chosen.items()}
    peak = Worker(here, "peak", arguments, tuned=True)
    rates: dict[str, list[float]] = {name: [] for name in workers}
    memory: dict[str, float] = {}
    peaks: dict[str, list[float]] = {"fp32": [], "medium": [], "bf16": []}
    loads = []
    for worker in workers.values():
        worker.ask(arguments.warmup)
    measured = "processor" if arguments.threads == 1 and arguments.device == "cpu" else "clock"
    for round_ in range(arguments.rounds):
        for name, value in peak.ask(1).items():
            peaks[name].append(value)
        loads.append(os.getloadavg()[0])
        for name, worker in workers.items():
            figures = worker.ask(arguments.steps)
            rates[name].append(arguments.steps * tokens / figures[measured])
            memory[name] = figures["memory"]
        print(f"round {round_ + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    for worker in (*workers.values(), peak):
        worker.end()

    fastest = {name: statistics.median(values) for name, values in peaks.items()}
    median = {name: statistics.median(values) for name, values in rates.items()}
    import torch

    place = f"{os.cpu_count()} cores, {arguments.threads} threads" if arguments.device == "cpu" else torch.cuda.get_device_name()
    print(
        f"{place}, load {statistics.median(loads):.1f}, {processor_name()}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"{shape}; {arguments.rounds} rounds of {arguments.steps} steps; tokens per second of {measured} time")
    print(f"matrix product: {', '.join(f'{name} {value / 1e9:,.0f} GFLOP/s' for name, value in fastest.items())}")
    print(f"{'':52}{'tokens/s':>10}{'lowest':>9}{'highest':>9}{'ratio':>8}{'of peak':>9}{'MB':>8}")
    for name, row in chosen.items():
        precision = "bf16" if row.precision == "bf16" else "medium" if row.tuned else "fp32"
        share = shape.operations(recurrent=row.recurrent, projected=row.projected) / tokens * median[name] / fastest[precision]
        ratio = f"{median[name] / median[REFERENCE]:.2f}" if REFERENCE in median else "–"
        spread = f"{min(rates[name]):9,.0f}{max(rates[name]):9,.0f}"
        print(f"{name:52}{median[name]:10,.0f}{spread}{ratio:>8}{share:9.0%}{memory[name]:8,.0f}")
    for precision in ("tuned", "bf16"):
        ours, theirs = f"symbolic, {precision}", f"GPT-2, SDPA, no memory, {precision}"
        if ours in median and theirs in median:
            print(f"{ours} / {theirs}: {median[ours] / median[theirs]:.2f} × the speed, {memory[ours] / memory[theirs]:.2f} × the memory")


def processor_name() -> str:
    """What the machine calls its processor, and whether it has the units that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line for line in lines if line.startswith("flags")), "")
    return " ".join([name, *(flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags)])


def main() -> None:
    """Read the options; run the comparison, or be one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="S")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="steps of a round")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the first round")
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose names have all words of one of these: 'gpt-2 bf16' symbolic")
    parser.add_argument("--environment", type=Path, help="folder for the environment of the peers, kept for the next run")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        (serve_peak if arguments.serve == "peak" else serve)(arguments)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, arguments.environment or Path(name) / "peers")


if __name__ == "__main__":
    main()

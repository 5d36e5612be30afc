"""How fast tokens come out, beside other implementations, all in turn in one run.

    python benchmarks/generation.py                                  batch 1 and 8, one thread
    NEW_TOKENS=256 python benchmarks/generation.py --rounds 1 --only symbolic

Every row reads the same number of random tokens (256) and draws 1,024 more from the softmax, one by one, each fed back.
Each implementation lives in a process of its own, and each round every process in turn makes one run; the table gives medians.
The peers that need old libraries get the environment of `benchmarks/training.py`, in --environment or made anew.
Shape S: vocabulary 512, width 256, 6 layers, 8 heads, inner 1024, memory 256. GPT-2 has no memory and keeps all 1,280 tokens.

tokens/s: of all rows of the batch together, after the first token, by processor time when there is one thread.
first token: clock time from the seed's ids to the first new id in the first run of a process; the native step packs its weights and
makes its machine code in that time.
of bound: bytes of the weights read in a second (once a step) / bytes that a sum over as large an array reads in a second.
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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import training

SEED, NEW = 256, int(os.environ.get("NEW_TOKENS", "1024"))
SHAPE = replace(training.SHAPES["S"], segment=SEED)


@dataclass(frozen=True)
class Row:
    """One implementation; `bytes` a weight takes; `old` when it needs the peers' environment."""

    run: str
    bytes: int = 4
    old: bool = False


ROWS = {
    "Transformer-XL of transformers 4.35, memory": Row("transfo_xl", old=True),
    "x-transformers, T5 bias, memory": Row("x_transformers", old=True),
    "GPT-2, generate(), dynamic cache": Row("gpt2"),
    "symbolic, generate()": Row("symbolic_generate"),
    "symbolic, eager step": Row("symbolic_eager"),
    "symbolic, native step, weights as saved (half)": Row("symbolic_native", bytes=2),
    "symbolic, native step, 8-bit weights": Row("symbolic_int8", bytes=1),
}
REFERENCES = ("Transformer-XL of transformers 4.35, memory", "GPT-2, generate(), dynamic cache")


# ---- one process: a model and its loop; each gives the moment of the first token ----

Moment = tuple[float, float]


def draw(logits: Any) -> Any:
    """One id a row (B, 1) from the softmax of logits (B, V)."""
    import torch

    return torch.multinomial(torch.softmax(logits, dim=-1), 1)


def now() -> Moment:
    """Seconds of the clock and of the processor."""
    return time.perf_counter(), time.process_time()


def stepwise(ids: Any, forward: Callable[[Any], Any]) -> Moment:
    """The plain loop of a model that gives logits (B, V) after ids and remembers by itself."""
    new = draw(forward(ids))
    first = now()
    for _ in range(NEW - 1):
        new = draw(forward(new))
    return first


def transfo_xl() -> tuple[Any, Callable[[Any], Moment]]:
    """Transformer-XL of transformers 4.35: hidden states of the last 256 tokens as memory."""
    model = training.build_transfo_xl(SHAPE, "cpu")[0].eval()

    def run(ids: Any) -> Moment:
        memory: list[Any] = [None]

        def forward(new: Any) -> Any:
            output = model(input_ids=new, mems=memory[0])
            memory[0] = output.mems
            return output.prediction_scores[:, -1]

        return stepwise(ids, forward)

    return model, run


def x_transformers() -> tuple[Any, Callable[[Any], Moment]]:
    """x-transformers with memory and T5 bias."""
    model = training.build_x_transformers(SHAPE, "cpu")[0].eval()

    def run(ids: Any) -> Moment:
        memory: list[Any] = [None]

        def forward(new: Any) -> Any:
            logits, memory[0] = model(new, mems=memory[0], return_mems=True)
            return logits[:, -1]

        return stepwise(ids, forward)

    return model, run


def generated(model: Any, **more: Any) -> Callable[[Any], Moment]:
    """`generate()`, sampling from the whole softmax; a stopping criterion sees the first token."""

    def run(ids: Any) -> Moment:
        options = {"do_sample": True, "top_k": 0, "use_cache": True, "eos_token_id": None, "pad_token_id": 0} | more
        from transformers.generation import StoppingCriteria, StoppingCriteriaList

        class Clock(StoppingCriteria):
            first: Moment | None = None

            def __call__(self, input_ids: Any, _scores: Any, **_named: Any) -> Any:
                self.first = self.first or now()
                return input_ids.new_zeros(len(input_ids)).bool()

        clock = Clock()
        mask = ids.new_ones(ids.shape)
        made = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, stopping_criteria=StoppingCriteriaList([clock]), **options)
        assert made.shape[1] == SEED + NEW
        assert clock.first
        return clock.first

    return run


def gpt2() -> tuple[Any, Callable[[Any], Moment]]:
    """GPT-2 of transformers 5."""
    model = training.build_gpt2(replace(SHAPE, segment=SEED + NEW), "cpu")[0].eval()
    return model, generated(model)


def symbolic() -> Any:
    """Our model, its weights as they are after saving: in half precision."""
    return training.build_symbolic(SHAPE, "cpu")[0].eval().half().float()


def symbolic_generate() -> tuple[Any, Callable[[Any], Moment]]:
    """Ours under `generate()`."""
    import torch

    model = symbolic()
    return model, generated(model, beats=lambda ids: torch.zeros(*ids.shape, 3, dtype=torch.long))


def symbolic_eager(precision: str = "") -> tuple[Any, Callable[[Any], Moment]]:
    """Ours step by step: with PyTorch, or natively with weights in `precision`."""
    import torch

    from symbolic.models.native import NativeModel

    model = symbolic()

    def run(ids: Any) -> Moment:
        stepper: Any = NativeModel(model, precision) if precision else model
        state: list[Any] = [None]

        def forward(new: Any) -> Any:
            beats = torch.zeros(*new.shape, 3, dtype=torch.long)
            if state[0] is None:
                output = model(new, beats)
                state[0] = model.decoding_state(output.memory)
                if precision:
                    state[0] = stepper.state(state[0])
                    stepper.code.result()  # the machine code, made meanwhile
                return output.logits[:, -1]
            return stepper.step(new[:, 0], beats[:, 0], state[0])

        return stepwise(ids, forward)

    return model, run


def symbolic_native() -> tuple[Any, Callable[[Any], Moment]]:
    """Ours in machine code."""
    return symbolic_eager("exact")


def symbolic_int8() -> tuple[Any, Callable[[Any], Moment]]:
    """Ours in machine code with 8-bit weights."""
    return symbolic_eager("int8")


def bandwidth(size: int) -> float:
    """Bytes a second that a sum over a float32 array of `size` bytes reads, on one thread."""
    import numpy as np

    array = np.ones(size // 4, dtype=np.float32)
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        np.dot(array, array)
        times.append(time.perf_counter() - begun)
    return size / statistics.median(times)


def serve(arguments: argparse.Namespace) -> None:
    """A worker: build, then for every line of standard input (a batch) make one run and answer with a line of JSON."""
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, run = globals()[ROWS[arguments.serve].run]()
    size = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"parameters": size}), flush=True)
    for line in sys.stdin:
        ids = torch.randint(0, SHAPE.vocabulary, (int(line), SEED))
        rate = bandwidth(ROWS[arguments.serve].bytes * size)
        with torch.no_grad():
            begun, first, end = now(), run(ids), now()
        times = {"clock": end[0] - first[0], "processor": end[1] - first[1], "first": first[0] - begun[0]}
        print(json.dumps(times | {"bandwidth": rate}), flush=True)


# ---- the run: processes in turn ----


class Worker(training.Worker):
    """A process that makes a run when told."""

    def __init__(self, python: Path, name: str, arguments: argparse.Namespace) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "PYTHONWARNINGS": "ignore"}
        command = [python, __file__, "--serve", name, "--threads", str(arguments.threads)]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.parameters = int(self.answer()["parameters"])


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Run all rows and print a table for each batch."""
    chosen = {name: row for name, row in ROWS.items() if not arguments.only or any(part in name for part in arguments.only)}
    if not chosen:
        raise SystemExit(f"--only {arguments.only!r} fits no row; rows are: {'; '.join(ROWS)}")
    here = Path(sys.executable)
    there = training.peers_python(folder) if any(row.old for row in chosen.values()) else here
    workers = {name: Worker(there if row.old else here, name, arguments) for name, row in chosen.items()}
    measured = "processor" if arguments.threads == 1 else "clock"
    import torch
    import transformers

    print(
        f"{os.cpu_count()} cores, {arguments.threads} threads, {training.processor_name()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__} and 4.35.2"
    )
    print(f"{SEED} tokens read, {NEW} drawn; medians of {arguments.rounds} rounds; tokens per second of {measured} time")
    for batch in arguments.batch:
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        loads = []
        for round_ in range(arguments.rounds):
            for name, worker in workers.items():
                figures[name].append(worker.ask(batch))
            loads.append(os.getloadavg()[0])
            print(f"batch {batch}: round {round_ + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
        median = {
            name: {key: statistics.median(run[key] for run in runs) for key in ("clock", "processor", "bandwidth")}
            for name, runs in figures.items()
        }
        speed = {name: batch * (NEW - 1) / values[measured] for name, values in median.items()}
        print(f"\nbatch {batch}, load {statistics.median(loads):.1f}")
        print(f"{'':50}{'tokens/s':>9}{'lowest':>8}{'highest':>8}{'/ 4.35':>8}{'/ GPT-2':>8}{'of bound':>9}{'first token':>12}")
        for name, worker in workers.items():
            rates = [batch * (NEW - 1) / run[measured] for run in figures[name]]
            ratios = "".join(f"{speed[name] / speed[other]:8.1f}" if other in speed else f"{'–':>8}" for other in REFERENCES)
            share = speed[name] / batch * worker.parameters * chosen[name].bytes / median[name]["bandwidth"]
            first = f"{figures[name][0]['first'] * 1000:9,.0f} ms"
            print(f"{name:50}{speed[name]:9,.0f}{min(rates):8,.0f}{max(rates):8,.0f}{ratios}{share:9.0%}{first:>12}", flush=True)
    for worker in workers.values():
        worker.end()


def main() -> None:
    """Read the options; run the comparison, or be one of its workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="rows whose names contain one of these")
    parser.add_argument("--environment", type=Path, help="folder for the environment of the peers, kept for the next run")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, arguments.environment or Path(name) / "peers")


if __name__ == "__main__":
    main()

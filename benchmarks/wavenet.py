"""How fast a WaveNet plays: samples of all notes together per second, beside the ways without machine code.

    python benchmarks/wavenet.py [--rounds 5] [--kernel 3] [--layers 30] [--channels 64] [--only native]

full convolution: for each sample a pass over the receptive field. queues: sample by sample in PyTorch, one thread. native: the same in
machine code, weights rounded to bfloat16, drawing included; on two threads each plays half of the notes.
Weights are random, which changes no speed. Each figure is the median of the rounds by processor time of the threads that work, because
a busy machine makes clock times meaningless; where two threads work, their speeds are added, and the clock's figure stands beside it.
share of peak: products of weights and numbers per second / products that a loop of fused multiply-adds in registers makes in a second.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from symbolic.models.native_code import FLOAT, INTEGER, LANES, Array, Code, Variable, ir, machine_code
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.excitation import counted
from symbolic.models.wavenet.native import NativeDecoder
from symbolic.models.wavenet.queues import TensorDecoder


@dataclass
class Speed:
    """Samples per second of processor time, summed over threads, and per second of the clock."""

    processor: float
    clock: float


def peak(rounds: int) -> float:
    """Fused multiply-adds of float32 per second on one core: sixteen independent sums in registers."""
    module, turns, sums = ir.Module("peak"), 5_000_000, 16
    code = Code(module, "peak", [INTEGER.as_pointer()])
    floats = code.builder.inttoptr(Array(code, code.function.args[0], "int64")[0].value, FLOAT.as_pointer())
    numbers = Array(code, floats)
    totals = [Variable(code, numbers.vector(LANES * place)) for place in range(sums)]
    weight, value = numbers.vector(LANES * sums), numbers.vector(LANES * (sums + 1))
    with code.loop(turns):
        for total in totals:
            total.set(code.fused(total.get(), weight, value))
    for place, total in enumerate(totals):
        numbers.set_vector(LANES * place, total.get())
    code.builder.ret_void()
    function = machine_code(module, "peak")
    memory = np.zeros(LANES * (sums + 2), dtype=np.float32)
    addresses = np.array([memory.ctypes.data])
    times = [timed(lambda: function(addresses.ctypes.data))[0] for _ in range(rounds + 1)]
    return turns * sums * LANES / statistics.median(times[1:])


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds of this thread's processor time, and of the clock."""
    start, clock = time.thread_time(), time.perf_counter()
    function()
    return time.thread_time() - start, time.perf_counter() - clock


def full_convolution(model: Wavenet, rounds: int) -> Speed:
    """A pass over the receptive field for each sample."""
    size = -(-model.config.receptive_field // model.config.hold)
    codes, told = torch.zeros(1, size * model.config.hold, dtype=torch.long), torch.zeros(1, size, model.config.conditioning)
    cycles = torch.from_numpy(counted(69.0, size, model.config))[None]
    with torch.no_grad():
        times = [timed(lambda: model.decoder(codes, told, cycles)) for _ in range(rounds + 1)][1:]
    return Speed(1 / statistics.median(first for first, _ in times), 1 / statistics.median(second for _, second in times))


def playing(decoder: NativeDecoder | TensorDecoder, lanes: int, samples: int, threads: int, rounds: int) -> Speed:
    """`lanes` in all, shared by the threads."""
    share, config = lanes // threads, decoder.config
    frames = -(-samples // config.hold)
    length = frames * config.hold
    random = np.random.default_rng(0).random((share, length), dtype=np.float32)
    told = np.zeros((frames, share, config.conditioning), dtype=np.float32)
    cycles = np.tile(counted(69.0, frames, config), (share, 1))
    states = [decoder.lanes(share) for _ in range(threads)]

    def one(state: object) -> tuple[float, float]:
        return timed(lambda: decoder.play(state, told, cycles, random, np.ones(share)))  # type: ignore[arg-type]

    processor, clock = [], []
    with ThreadPoolExecutor(threads) as pool:
        for place in range(rounds + 1):
            start = time.perf_counter()
            times = list(pool.map(one, states))
            if place:
                processor.append(sum(share * length / seconds for seconds, _ in times))
                clock.append(lanes * length / (time.perf_counter() - start))
    return Speed(statistics.median(processor), statistics.median(clock))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kernel", type=int, default=WavenetConfig.kernel)
    parser.add_argument("--layers", type=int, default=WavenetConfig.layers)
    parser.add_argument("--channels", type=int, default=WavenetConfig.channels)
    parser.add_argument("--only", choices=("native",))
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = WavenetConfig(channels=given.channels, layers=given.layers, kernel=given.kernel)
    model = Wavenet(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16().float())
    size = sum(parameter.numel() for parameter in model.decoder.parameters())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    best = peak(given.rounds)
    print(
        f"{config.channels} channels, {config.layers} layers, kernel {config.kernel}: {size / 1e6:.2f} M weights in the decoder, "
        f"{config.multiplications / 1e6:.2f} M products a sample; peak of one core {best / 1e9:.1f} G products a second\n"
    )
    start = time.process_time()
    native = NativeDecoder(model.decoder)
    print(f"packing weights and making the machine code: {time.process_time() - start:.2f} s of processor time\n")
    plain = TensorDecoder(model.decoder)
    base = playing(plain, 1, 512, 1, given.rounds).processor
    print("| way | notes | threads | samples/s | × real time, all notes | × queues at 1 note | share of peak | samples/s by the clock |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")

    def row(way: str, lanes: int, threads: int, speed: Speed) -> None:
        cells = [
            f"{speed.processor:,.0f}", f"{speed.processor / config.sample_rate:.2f}", f"{speed.processor / base:.2f}",
            f"{speed.processor * config.multiplications / best / threads:.0%}", f"{speed.clock:,.0f}",
        ]  # fmt: skip
        print(f"| {way} | {lanes} | {threads} | {' | '.join(cells)} |", flush=True)

    if given.only is None:
        row("full convolution", 1, 1, full_convolution(model, 3))
        for lanes in (1, 8, 32):
            row("queues, PyTorch", lanes, 1, playing(plain, lanes, 256, 1, given.rounds))
    for lanes, threads in ((1, 1), (8, 1), (8, 2), (32, 1), (32, 2)):
        row("native", lanes, threads, playing(native, lanes, max(512, 8192 // lanes), threads, given.rounds))


if __name__ == "__main__":
    main()

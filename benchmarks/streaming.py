"""Is a bar written before the one before it has been played? Bars as they come from `Session.write`, on one thread.

    python benchmarks/streaming.py [--seed canon] [--bars 32] [--model small]

The seed has four parts, the Canon three violins and a bass. A bar counts from the moment the one before it was finished; the first
also reads the seed, which is told apart. What it plays is its length at 120 quarters a minute.
"""

import argparse
import statistics
import time

import torch

import symbolic
from symbolic.midi.seeds import load_seed

QUARTER = 0.5  # seconds


def main() -> None:
    """Write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default="canon")
    parser.add_argument("--bars", type=int, default=32)
    parser.add_argument("--model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock, processor = time.perf_counter(), time.process_time()
    session = symbolic.Session(load_seed(options.seed), model=options.model)
    last, spent, played, notes = time.process_time(), [], [], 0
    print(f"model loaded and seed read: {time.perf_counter() - clock:.2f} s by the clock, {last - processor:.2f} s of a processor")
    for bar in session.write(options.bars):
        now = time.process_time()
        spent.append(now - last)
        played.append((bar.stop - bar.start) / session.prompt.seed.ticks_per_quarter * QUARTER)
        notes, last = notes + len(bar.notes), now
    ratios = [long / short for long, short in zip(played, spent, strict=True)]
    took = f"a bar takes {1000 * statistics.median(spent):.0f} ms (median), {1000 * max(spent):.0f} ms (longest)"
    print(f"{options.bars} bars, {notes} notes: {took} of a processor")
    times = f"{statistics.median(ratios):.0f} times that (median), at least {min(ratios):.1f}"
    print(f"it plays {statistics.median(played):.2f} s at 120: {times}")


if __name__ == "__main__":
    main()

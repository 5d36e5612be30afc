"""Broken files by the thousand: does any of them end a run, hang it, or escape without a verdict?

    python benchmarks/fuzz.py FOLDER_OF_MUSIC [--files 20000] [--notation 300] [--random-seed 0] [--keep FOLDER]

Takes files of the folder, mutates each (bits flipped, cut short, spliced with another, huge and impossible values, chunk
sizes and delta times broken, bytes repeated or inserted, wrapped in zip archives that are themselves damaged), tokenizes them
all with one `symbolic tokenize` under its worker processes, and counts verdicts. Exit 1 when a file has no verdict, the
run fails, anything like a traceback is printed, or one file took longer than the bound.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

MIDI, NOTATION = (".mid", ".midi", ".kar", ".rmi"), (".xml", ".musicxml", ".mxl", ".abc", ".krn")
LARGEST_SEED = 60_000
FILE_SECONDS = 30


def flipped(data: bytes, generator: np.random.Generator) -> bytes:
    """One to thirty bits turned."""
    broken = bytearray(data)
    for place in generator.integers(0, len(data), generator.integers(1, 31)).tolist():
        broken[place] ^= 1 << int(generator.integers(8))
    return bytes(broken)


def cut(data: bytes, generator: np.random.Generator) -> bytes:
    """Only a beginning, an end, or a file without its middle."""
    first, second = sorted(generator.integers(0, len(data) + 1, 2).tolist())
    return [data[:first], data[first:], data[:first] + data[second:]][int(generator.integers(3))]


def spliced(data: bytes, other: bytes, generator: np.random.Generator) -> bytes:
    """The beginning of one file, the end of another."""
    return data[: int(generator.integers(len(data) + 1))] + other[int(generator.integers(len(other) + 1)) :]


def huge(data: bytes, generator: np.random.Generator) -> bytes:
    """Runs of bytes that mean the largest and smallest values: long delta times, sizes, counts."""
    broken = bytearray(data)
    for _ in range(int(generator.integers(1, 6))):
        values = [
            b"\xff\xff\xff\x7f",
            b"\xff\xff\xff\xff",
            b"\x00\x00\x00\x00",
            b"\x80\x80\x80\x00",
            b"\x7f\xff\xff\xff",
            b"\x80\x00\x00\x00",
        ]
        value = values[int(generator.integers(len(values)))]
        place = int(generator.integers(len(broken) + 1))
        if generator.random() < 0.5:
            broken[place : place + len(value)] = value
        else:
            broken[place:place] = value
    return bytes(broken)


def header(data: bytes, generator: np.random.Generator) -> bytes:
    """Another header: length, format, track count, division, each possibly impossible; or the sizes of chunks changed."""
    broken = bytearray(data)
    if generator.random() < 0.5:
        place = int(generator.integers(4, 14))
        broken[place : place + 1] = bytes([int(generator.integers(256))])
    else:
        tracks = [place for place in range(len(data) - 8) if data[place : place + 4] == b"MTrk"]
        for place in tracks[: int(generator.integers(1, 4))]:
            broken[place + 4 : place + 8] = generator.bytes(4) if generator.random() < 0.5 else b"\x00\x00\x00\x01"
    return bytes(broken)


def repeated(data: bytes, generator: np.random.Generator) -> bytes:
    """A piece of the file many times over."""
    first, second = sorted(generator.integers(0, len(data) + 1, 2).tolist())
    return data[:second] + data[first : min(second, first + 400)] * int(generator.integers(2, 60)) + data[second:]


def text_mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """A number of a text format made huge, negative, zero, fractional or a word."""
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return flipped(data, generator)
    place = digits[int(generator.integers(len(digits)))]
    words = [b"999999999999", b"-1", b"0", b"1e400", b"NaN", b"<", b"\xff", b"1/0", b""]
    return data[:place] + words[int(generator.integers(len(words)))] + data[place + 1 :]


def zipped(data: bytes, name: str, generator: np.random.Generator) -> bytes:
    """The file in an archive, which may be damaged itself."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    packed = stream.getvalue()
    return packed if generator.random() < 0.4 else flipped(packed, generator) if generator.random() < 0.6 else cut(packed, generator)


def mutate(data: bytes, other: bytes, suffix: str, generator: np.random.Generator) -> bytes:
    """One to three mutations after one another."""
    for _ in range(int(generator.choice([1, 1, 1, 2, 3]))):
        if not data:
            break
        choices = [flipped, cut, huge, repeated, header if suffix in MIDI else text_mutated]
        pick = int(generator.integers(len(choices) + 1))
        data = spliced(data, other, generator) if pick == len(choices) else choices[pick](data, generator)
    return data


def make(sources: list[Path], count: int, folder: Path, generator: np.random.Generator) -> None:
    """`count` mutated files below `folder`, a thousand in each folder."""
    contents = {path: path.read_bytes() for path in sources}
    for number in tqdm(range(count), desc="mutate", unit="file", disable=None, leave=False):
        path, other = (sources[int(generator.integers(len(sources)))] for _ in range(2))
        suffix = path.suffix.lower()
        broken = mutate(contents[path], contents[other], suffix, generator)
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        if generator.random() < 0.02:
            (place / f"{number:06}.zip").write_bytes(zipped(broken, f"inner{suffix}", generator))
        else:
            (place / f"{number:06}{suffix}").write_bytes(broken)


def main() -> None:
    """Make the files, run the command, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=20_000, help="mutated MIDI files")
    parser.add_argument("--notation", type=int, default=0, help="mutated MusicXML, ABC and kern files, which are slow to read")
    parser.add_argument("--notation-folder", type=Path, help="where to take those from (default: the same folder)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where to leave files and dataset (default: a temporary folder)")
    options = parser.parse_args()
    generator = np.random.default_rng(options.random_seed)
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        for folder, suffixes, count in (
            (options.folder, MIDI, options.files),
            (options.notation_folder or options.folder, NOTATION, options.notation),
        ):
            found = sorted(
                p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file() and 0 < p.stat().st_size <= LARGEST_SEED
            )
            if count and not found:
                raise SystemExit(f"{folder}: no files ending in {', '.join(suffixes)} up to {LARGEST_SEED:,} bytes")
            if count:
                chosen = generator.permutation(len(found))[: min(len(found), 2000)]
                make([found[index] for index in chosen.tolist()], count, place / "files" / suffixes[0][1:], generator)
        raise SystemExit(run(place, options.files + options.notation, options.workers))


def run(place: Path, made: int, workers: int) -> int:
    """Tokenize all; print what came of it; 0 when every file has its verdict and nothing else happened."""
    command = [sys.executable, "-m", "symbolic", "tokenize", str(place / "files"), "-o", str(place / "dataset"), "--json", "--force"]
    clock = time.perf_counter()
    done = subprocess.run([*command, "--workers", str(workers), "--file-seconds", str(FILE_SECONDS)], capture_output=True, text=True)
    seconds = time.perf_counter() - clock
    verdicts = (
        [json.loads(line) for line in (place / "dataset" / "verdicts.jsonl").read_text().splitlines()] if done.returncode == 0 else []
    )
    files = {line["path"].split(".zip/")[0].removesuffix(".zip") for line in verdicts}
    kinds = Counter(line["kind"] or line["verdict"] for line in verdicts)
    repaired = sum(line["verdict"] == "kept" and bool(line.get("repairs")) for line in verdicts)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    # names in damaged archives are broken too
    unnamed = sum(json.loads(done.stdout)["not_music"].values()) if done.returncode == 0 else 0
    print(f"{made:,} files, {len(files):,} with a verdict, {unnamed} told as no music, {seconds:.0f} s", end="")
    print(f", largest process {peak:.0f} MB, exit {done.returncode}")
    print(f"kept {sum(line['verdict'] == 'kept' for line in verdicts):,}, {repaired:,} of them repaired")
    for kind, count in kinds.most_common():
        print(f"  {kind:<28}{count:>8,}")
    raised = Counter(line["reason"] for line in verdicts if line["kind"] in ("error", "reader error"))
    for reason, count in raised.most_common(10):
        print(f"  unforeseen: {reason} ({count})")
    bad = done.returncode != 0 or len(files) + unnamed != made or "Traceback" in done.stderr + done.stdout
    if bad:
        print(done.stderr[-3000:])
    print("FAILED" if bad else "no crash, no hang, no traceback; every file is accounted for")
    return int(bad)


if __name__ == "__main__":
    main()

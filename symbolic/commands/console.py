"""What the commands share: a seed by file or name, progress bars, sound."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symbolic.errors import UsageError

Outcome = tuple[dict[str, Any], list[str]]
"""What --json prints, and the lines for a person."""

SEED_HELP = "a MIDI, MusicXML, ABC or kern file, or the name of a bundled seed (canon)"
MODEL_HELP = "a bundled model's name, or a folder with a trained one (default: the bundled model)"


def music_output(name: str) -> Path:
    """Where to write music. Raises `UsageError` for a suffix that no music has here."""
    from symbolic.midi.reading import MUSICXML_SUFFIXES

    output = Path(name)
    if output.suffix.lower() not in (".mid", ".midi", *MUSICXML_SUFFIXES):
        choices = ", ".join((".mid", *MUSICXML_SUFFIXES))
        raise UsageError(f"-o {output}: a name ending in one of {choices} is wanted; sound and picture are added with --wav and --plot")
    return output


@contextmanager
def percents(name: str) -> Iterator[Callable[[float, float], None]]:
    """A progress bar in percent, moved by telling it what is done and what is to be done."""
    with Progress(100, name, "%") as progress:
        done = 0

        def tell(seconds: float, total: float) -> None:
            nonlocal done
            percent = int(100 * seconds / max(total, 1e-9))
            progress(percent - done)
            done = percent

        yield tell


def render_to(score: Any, output: Path, force: bool, **options: Any) -> tuple[dict[str, Any], float]:
    """Render `score` to a file with a progress bar: the report, and the seconds it took."""
    from symbolic.rendering import render_file

    clock = time.perf_counter()
    with percents("render") as tell:
        report = asdict(render_file(score, output, force=force, progress=tell, **options))
    return report, time.perf_counter() - clock


def told_sound(report: dict[str, Any], seconds: float) -> str:
    """What was rendered, in a line."""
    return f"{report['seconds']:.0f} s of sound, {report['lufs']:.1f} LUFS, peak {report['true_peak']:.1f} dBTP, made in {seconds:.1f} s"


def seed_of(name: str) -> tuple[Any, str]:
    """The score of a file or of a bundled seed, and a short name for outputs."""
    from symbolic.midi.reading import read
    from symbolic.midi.seeds import list_seeds, load_seed

    if name in list_seeds() and not Path(name).exists():
        return load_seed(name), name
    return read(name), Path(name).stem


class Progress:
    """A progress bar on stderr that is quiet when stderr is no terminal; calling it moves it on."""

    def __init__(self, total: int | None, what: str, unit: str) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=total, desc=what, unit=unit, disable=None, leave=False)

    def __enter__(self) -> Callable[[int], object]:
        return self.bar.update

    def __exit__(self, *_: object) -> None:
        self.bar.close()

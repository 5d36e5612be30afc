"""What finer tokenizer grids keep of played music, and what they cost: the measurement behind configs/tokenizer-performance.yaml.

    python benchmarks/grids.py FOLDER_OF_PLAYED_MIDI FOLDER_OF_PIANO_SCORES [--files 200]

Played files are taken as they are; of the scores those that only pianos play are performed by `played`: rubato, uneven hands
and touch, written without a tempo at 120 quarters a minute, as a keyboard records. Every note is compared with its image after
encoding and decoding: onsets and durations in quarters and, at the file's own tempo, in ms; the drift is by how much a minute
becomes longer or shorter because tempos are rounded.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from symusic.core import NoteTick, ScoreTick, TrackTick
from tqdm import tqdm

from symbolic.errors import InputError
from symbolic.midi.reading import MIDI_SUFFIXES, read
from symbolic.settings import load_settings
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

PIANOS = range(8)
TICKS, TICKS_PER_SECOND = 480, 960  # 120 quarters a minute
CONFIGS = Path(__file__).parent.parent / "configs"
SCORE, PERFORMANCE = (load_settings(TokenizerSettings, CONFIGS / f"tokenizer-{name}.yaml") for name in ("score", "performance"))
GRIDS = {
    "48, 32 velocities, 64 tempos (score)": SCORE,
    "48, 32 velocities": replace(SCORE, tempos=PERFORMANCE.tempos, tempo_range=PERFORMANCE.tempo_range),
    "96, 32 velocities": replace(PERFORMANCE, velocities=32),
    "96, 64 velocities (performance)": PERFORMANCE,
    "96, 64 velocities, fine to 4 beats": replace(PERFORMANCE, duration_grid=((4, 96), (16, 48), (64, 4))),
    "96, 127 velocities": replace(PERFORMANCE, velocities=127),
    "192, 64 velocities": replace(PERFORMANCE, positions_per_beat=192, duration_grid=((1, 192), (4, 48), (16, 12), (64, 2))),
    "480, 127 velocities": replace(
        PERFORMANCE, positions_per_beat=480, duration_grid=((1, 480), (4, 120), (16, 12), (64, 2)), velocities=127
    ),
}


def main() -> None:
    """Run and print a table for the played files and one for the performed scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("played", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--files", type=int, default=200, help="files of each kind, drawn at random")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    tables = {
        "played files": list(drawn(options.played, options.files, generator, lambda score: True)),
        "piano scores, performed": [played(score, generator) for score in drawn(options.scores, options.files, generator, is_piano)],
    }
    for name, pieces in tables.items():
        notes = sum(piece.note_num() for piece in pieces)
        print(f"{name}: {len(pieces)} files, {notes:,} notes")
        print(f"{'':<38}{'ids':>7}{'tokens':>8}{'onset':>17}{'onset':>14}{'duration':>14}{'velocity':>10}{'drift':>8}{'lost':>7}")
        print(f"{'median / 99 %':<38}{'':>7}{'a note':>8}{'quarter/1000':>17}{'ms':>14}{'ms':>14}{'mean':>10}{'s/min':>8}{'%':>7}")
        for label, settings in GRIDS.items():
            print(row(label, settings, pieces), flush=True)


def drawn(folder: Path, count: int, generator: np.random.Generator, wanted: Callable[[ScoreTick], bool]) -> Iterator[ScoreTick]:
    """`count` scores of a folder in random order."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    found = 0
    for index in generator.permutation(len(paths)):
        try:
            score = read(paths[index])
        except InputError:
            continue
        if wanted(score):
            yield score
            found += 1
        if found == count:
            return


def is_piano(score: ScoreTick) -> bool:
    """Whether only pianos play."""
    return all(not track.is_drum and track.program in PIANOS for track in score.tracks if len(track.notes))


def played(score: ScoreTick, generator: np.random.Generator) -> ScoreTick:
    """A score as a pianist might record it on a keyboard without a metronome: 480 ticks a quarter, no tempo, no meter.

    The tempo sways by a tenth, each note comes 10 ms early or late (standard deviation) and lasts 60 to 110 % of what is written, loudness
    follows phrases and wavers by 6.
    """
    seconds = score.to("second")
    end = max(seconds.end(), 1e-3)
    clock = np.arange(0, end + 0.5, 0.25)
    sway = 0.07 * np.sin(2 * np.pi * clock / 7 + generator.uniform(0, 6)) + 0.04 * np.sin(2 * np.pi * clock / 2.3 + generator.uniform(0, 6))
    warped = np.concatenate([[0], np.cumsum(0.25 * np.exp(sway))[:-1]])
    performed = ScoreTick(TICKS)
    for track in seconds.tracks:
        part = TrackTick(track.name, track.program, False)
        for note in track.notes:
            start = float(np.interp(note.time, clock, warped)) + 0.05 + generator.normal(0, 0.01)
            length = max(0.02, note.duration * generator.uniform(0.6, 1.1))
            velocity = 64 + 24 * np.sin(2 * np.pi * note.time / 9) + generator.normal(0, 6)
            part.notes.append(
                NoteTick(
                    max(0, round(start * TICKS_PER_SECOND)), max(1, round(length * TICKS_PER_SECOND)), note.pitch,
                    int(np.clip(velocity, 1, 127)),
                )
            )  # fmt: skip
        performed.tracks.append(part)
    return performed


def row(label: str, settings: TokenizerSettings, pieces: list[ScoreTick]) -> str:
    """One line of the table: errors over all notes of all pieces."""
    tokenizer = RemiTokenizer(settings)
    tokens = lost = 0
    errors: list[np.ndarray] = []
    drifts = []
    for piece in tqdm(pieces, desc=label, disable=None, leave=False):
        ids = tokenizer.encode(piece).ids
        again = tokenizer.decode(ids)
        tokens += len(ids)
        before, after = table_of(piece), table_of(again)
        kept = [rows for rows in (paired(before, after, key) for key in np.unique(before[:, 0])) if len(rows)]
        pairs = np.concatenate(kept)
        lost += len(before) - len(pairs)
        tempo = seconds_per_quarter(piece)
        difference = np.abs(pairs[:, 0, 1:] - pairs[:, 1, 1:])
        errors.append(np.column_stack([difference[:, 0], difference[:, 0] * tempo * 1e3, difference[:, 1] * tempo * 1e3, difference[:, 2]]))
        drifts.append(abs(seconds_per_quarter(again) / tempo - 1) * 60)
    stacked = np.concatenate(errors)
    notes = sum(piece.note_num() for piece in pieces)
    median, most = np.median(stacked, axis=0), np.quantile(stacked, 0.99, axis=0)
    columns = [f"{middle:.1f} / {high:.1f}" for middle, high in zip(median * [1e3, 1, 1, 1], most * [1e3, 1, 1, 1], strict=True)]
    return (
        f"{label:<38}{len(tokenizer.vocabulary):>7,}{tokens / notes:>8.2f}{columns[0]:>17}{columns[1]:>14}{columns[2]:>14}"
        f"{stacked[:, 3].mean():>10.2f}{np.mean(drifts):>8.2f}{100 * lost / notes:>7.2f}"
    )


def seconds_per_quarter(score: ScoreTick) -> float:
    """Of the first tempo; a file without one has 120 quarters a minute."""
    return 60 / score.tempos[0].qpm if len(score.tempos) else 0.5


def table_of(score: ScoreTick) -> np.ndarray:
    """(instrument and pitch as one number, onset, duration, velocity) of every note by instrument, pitch and onset; times in quarters."""
    rows = []
    for track in score.tracks:
        notes = track.notes.numpy()
        voice = (128 if track.is_drum else track.program) * 128
        rows.append(np.column_stack([voice + notes["pitch"].astype(float), notes["time"], notes["duration"], notes["velocity"]]))
    table = np.concatenate(rows)
    table[:, 1:3] /= score.ticks_per_quarter
    return table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]


def paired(before: np.ndarray, after: np.ndarray, voice: float) -> np.ndarray:
    """The k-th note of an instrument's pitch with the k-th of its image, (n, 2, 4); none of them when notes were lost."""
    a, b = before[before[:, 0] == voice], after[after[:, 0] == voice]
    return np.stack([a, b], axis=1) if len(a) == len(b) else np.empty((0, 2, 4))


if __name__ == "__main__":
    main()

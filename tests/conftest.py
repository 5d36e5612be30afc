"""Music, datasets and a network small enough to be made in code by every test run."""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Track

from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.training.settings import ModelSettings, TrainingSettings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small lose by threads, and on a busy machine they lose a hundredfold
COARSE = TokenizerSettings(positions_per_beat=4, duration_grid=((4, 4),), velocities=4, tempos=4, meters={4: 4})


@pytest.fixture(autouse=True, scope="session")
def _heed_ctrl_c() -> None:
    """A shell gives its background jobs an ignored SIGINT, which children inherit: tests of Ctrl-C need the usual one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _melody(pitches: Iterable[int], program: int = 0, drums: bool = False):
    """Pitches one after another, eighth notes at 480 ticks per quarter."""
    track = Track("", program, drums)
    for place, pitch in enumerate(pitches):
        track.notes.append(Note(240 * place, 240, int(pitch), 80))
    score = Score(480)
    score.tracks.append(track)
    return score


def _drawn(seed: int, notes: int = 24, low: int = 50, high: int = 75) -> list[int]:
    """Pitches without any pattern: two seeds give two different pieces of music."""
    return np.random.default_rng(seed).integers(low, high, notes).tolist()


def _folder_of(folder: Path, scores: dict) -> Path:
    """MIDI files below `folder`, by their names."""
    for name, score in scores.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(score.dumps_midi())
    return folder


@pytest.fixture(scope="session")
def melody() -> Callable:
    """`melody(pitches, program=0, drums=False)` as a score."""
    return _melody


@pytest.fixture(scope="session")
def drawn() -> Callable:
    """`drawn(seed, notes=24)`: pitches without any pattern."""
    return _drawn


@pytest.fixture(scope="session")
def folder_of() -> Callable:
    """`folder_of(folder, {name: score})` writes MIDI files."""
    return _folder_of


@pytest.fixture(scope="session")
def coarse() -> TokenizerSettings:
    """A tokenizer of few tokens: sixteenths, four velocities."""
    return COARSE


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pieces of 12 to 58 notes in two collections, some of drums alone, about half of them held out."""
    folder = tmp_path_factory.mktemp("music")
    scores = {f"{'ab'[n % 2]}/{n:02}.mid": _melody(_drawn(n, 12 + 2 * n), drums=n % 8 == 5) for n in range(24)}
    tokenize_folder(_folder_of(folder / "midi", scores), folder / "dataset", COARSE, held_out=0.5)
    return folder / "dataset"


@pytest.fixture(scope="session")
def corpus(dataset: Path) -> Corpus:
    """The dataset, opened."""
    return Corpus(dataset)


@pytest.fixture(scope="session")
def tiny_settings() -> TrainingSettings:
    """A run of 40 short steps of a network of two layers, with dropout, in float32."""
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 24}
    return TrainingSettings(
        model=ModelSettings(**shape, dropout=0.1), steps=40, lanes=3, segment_length=32, learning_rate=0.01, warmup_steps=4,
        precision="no", checkpoint_every=7, evaluate_every=15, evaluation_pieces=4,
    )  # fmt: skip

"""The shipped tokenizer settings: the score's are the defaults, the performance's keep played music to 1/192 of a beat."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import notes_of, scores
from symusic import Note, Score, Tempo, Track

from symbolic.cli import main
from symbolic.corpus.dataset import Corpus
from symbolic.settings import load_settings, to_mapping
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(CONFIGS.glob("tokenizer-*.yaml"))
SCORE, PERFORMANCE = (load_settings(TokenizerSettings, CONFIGS / f"tokenizer-{name}.yaml") for name in ("score", "performance"))
TOKENIZERS = {"score": RemiTokenizer(SCORE), "performance": RemiTokenizer(PERFORMANCE)}


def test_the_score_settings_are_the_defaults_spelt_out():
    """Every setting stands in the file, with the value that is taken without a file."""
    assert load_settings(TokenizerSettings, CONFIGS / "tokenizer-score.yaml") == TokenizerSettings()
    assert set(yaml.safe_load((CONFIGS / "tokenizer-score.yaml").read_text())) == set(to_mapping(TokenizerSettings()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_folder_is_tokenized_with_the_shipped_settings(path: Path, tmp_path, melody, folder_of, capsys):
    """`symbolic tokenize --settings` takes the file, the dataset keeps its settings, and the ids fit into the 16 bits of a dataset."""
    assert "symbolic tokenize" in path.read_text()
    folder_of(tmp_path / "midi", {"a.mid": melody([60, 62, 64]), "b.mid": melody([38, 42, 38], drums=True)})
    assert main(["tokenize", str(tmp_path / "midi"), "-o", str(tmp_path / "out"), "--settings", str(path), "--workers", "1"]) == 0
    corpus = Corpus(tmp_path / "out")
    assert corpus.tokenizer.settings == load_settings(TokenizerSettings, path)
    assert len(corpus.tokenizer.vocabulary) <= 2**16
    decoded = sorted(corpus.tokenizer.decode(corpus.piece(i)).note_num() for i in range(2))
    assert decoded == [3, 3]
    capsys.readouterr()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_saved_and_loaded_is_the_same(name: str, tmp_path):
    """A tokenizer of the shipped settings is saved as a file and comes back with the same ids."""
    TOKENIZERS[name].save(tmp_path)
    assert RemiTokenizer.load(tmp_path).vocabulary.tokens == TOKENIZERS[name].vocabulary.tokens


def velocities(name: str) -> list[int]:
    vocabulary = TOKENIZERS[name].vocabulary
    return vocabulary.values[vocabulary.of_type(TokenType.VELOCITY)].tolist()


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_the_score_grid_is_in_the_performance_grid(data):
    """Notes on the score's grid, up to a sixteenth long, come back exactly from the performance's too, in all meters, but for velocity."""
    score = data.draw(scores(on_grid=True, velocities=velocities("score")))
    short = score.copy()
    for track in short.tracks:
        for note in track.notes:
            note.duration = min(note.duration, 6720 // 4)  # a beat of a sixteenth: all durations up to a beat are on both grids
    again = TOKENIZERS["performance"].decode(TOKENIZERS["performance"].encode(short).ids)
    assert {key[:5]: n for key, n in sorted_by_velocity(short).items()} == {key[:5]: n for key, n in sorted_by_velocity(again).items()}


def sorted_by_velocity(score: Score) -> dict:
    """How often each note stands in the score, whatever its velocity."""
    counted: dict = {}
    for (*rest, _), n in notes_of(score).items():
        counted[tuple(rest)] = counted.get(tuple(rest), 0) + n
    return counted


def performed(notes: int, tempo: float | None, random_seed: int = 0) -> Score:
    """Notes anywhere at 480 ticks a quarter, of 10 to 20,000 ticks, each of its own pitch and program, of every velocity."""
    generator = np.random.default_rng(random_seed)
    score = Score(480)
    if tempo:
        score.tempos.append(Tempo(0, tempo))
    times, lengths = generator.integers(0, 40_000, notes), np.exp(generator.uniform(np.log(10), np.log(20_000), notes)).astype(int)
    for index in range(notes):
        track = Track("", index // 128, False, [Note(int(times[index]), int(lengths[index]), index % 128, index % 127 + 1)])
        score.tracks.append(track)
    return score


def errors(score: Score, tokenizer: RemiTokenizer) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Onset and duration error, and duration, in quarters, and velocity error of each note; a program has a pitch only once."""
    again = tokenizer.decode(tokenizer.encode(score).ids)
    tables = []
    for music in (score, again):
        quarter = music.ticks_per_quarter
        rows = {(t.program, n.pitch): (n.time / quarter, n.duration / quarter, n.velocity) for t in music.tracks for n in t.notes}
        tables.append(np.array([rows[key] for key in sorted(rows)]))
    before, after = tables
    assert len(before) == len(after) == score.note_num()
    return abs(after[:, 0] - before[:, 0]), abs(after[:, 1] - before[:, 1]), before[:, 1], abs(after[:, 2] - before[:, 2])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_played_notes_move_by_half_a_position_at_most(name: str):
    """Onsets and short durations come back within half a position (2.6 ms at 120 a minute), long ones within half a step too."""
    tokenizer = TOKENIZERS[name]
    onset, duration, length, velocity = errors(performed(1500, None), tokenizer)
    half = 0.5 / tokenizer.settings.positions_per_beat
    assert onset.max() <= half + 1e-9
    shortest = 0.0
    for beats, steps in tokenizer.settings.duration_grid:
        chosen = (length > shortest) & (length <= beats - 1 / steps)
        assert chosen.any()
        rounded_again = 0.5 / steps if shortest else 0.0
        assert duration[chosen].max() <= half + rounded_again + 1e-9
        shortest = beats
    assert velocity.max() <= 64 / tokenizer.settings.velocities + 1


@pytest.mark.parametrize("tempo", [30.0, 60.0, 120.0, 240.0, 480.0])
def test_the_tempos_of_recordings_are_exact(tempo: float):
    """120 quarters a minute, what a recording without tempo has, comes back as it is, and so do its octaves; another within 0.6 %."""
    tokenizer = TOKENIZERS["performance"]
    for given_, tolerance in ((tempo, 0), (tempo * 0.993, 0.006) if tempo > 30 else (tempo * 1.007, 0.006)):
        (found,) = tokenizer.decode(tokenizer.encode(performed(3, given_)).ids).tempos
        assert abs(found.qpm / given_ - 1) <= tolerance + 1e-5

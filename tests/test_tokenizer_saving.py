"""Tokenizers are saved as settings, damaged ones are refused in one line, and tokenizing stays light and safe."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from score_strategies import score_of
from symusic import Score, Tempo, TimeSignature

from symbolic.errors import InputError
from symbolic.midi.reading import read
from symbolic.tokenizers.remi import SETTINGS_FILE, RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

TOKENIZER = RemiTokenizer()


def run(code: str) -> list[str]:
    """Lines printed by a new Python process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def midi_of(track: str, quarter: int = 1) -> bytes:
    """A file of one track from hex, with its header and length; `quarter` are the ticks of a quarter."""
    body = bytes.fromhex(track)
    return b"MThd\x00\x00\x00\x06\x00\x00\x00\x01" + quarter.to_bytes(2, "big") + b"MTrk" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "settings",
    [
        TokenizerSettings(),
        TokenizerSettings(velocities=8, tempos=16, tempo_range=(40.0, 200.0), meters={4: 6, 8: 12}, max_bars=500),
        TokenizerSettings(positions_per_beat=12, duration_grid=((4, 12), (32, 1))),
    ],
)
def test_a_loaded_tokenizer_is_the_saved_one(settings: TokenizerSettings, tmp_path: Path):
    """Settings, vocabulary and ids are equal after saving and loading."""
    saved = RemiTokenizer(settings)
    saved.save(tmp_path / "new" / "folder")
    loaded = RemiTokenizer.load(tmp_path / "new" / "folder")
    assert loaded.settings == settings
    assert loaded.vocabulary.tokens == saved.vocabulary.tokens
    score = score_of((0, 480, 60), (480, 240, 64), meters=((0, 6, 8),))
    np.testing.assert_array_equal(loaded.encode(score).ids, saved.encode(score).ids)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: "\x00\xff",
        lambda text: text.replace('"settings"', '"setting"'),
        lambda text: text.replace('"vocabulary_size"', '"size"'),
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace('"velocities": 32', '"velocities": 31'),  # other ids than were saved
        lambda text: text.replace('"velocities": 32', '"velocities": "32"'),
        lambda text: text.replace('"velocities": 32', '"velocities": 32, "unheard_of": 1'),
        lambda text: text.replace('"positions_per_beat": 48', '"positions_per_beat": 24'),
        lambda text: json.dumps(json.loads(text) | {"settings": {"meters": 5}}),
        lambda text: json.dumps({"version": "1.0", "model": {"type": "BPE"}}),  # Hugging Face's file of the same name
    ],
)
def test_a_damaged_or_foreign_tokenizer_is_refused_in_one_line(damage, tmp_path: Path):
    """Whatever is wrong with the file, the refusal names it and is one line."""
    TOKENIZER.save(tmp_path)
    path = tmp_path / SETTINGS_FILE
    original = path.read_text()
    path.write_text(damage(original))
    assert path.read_text() != original
    with pytest.raises(InputError) as caught:
        RemiTokenizer.load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path):
    """No file, no folder: the path is named and what was looked for; nothing is asked of the network."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=f"{folder}: no {SETTINGS_FILE}"):
            RemiTokenizer.load(folder)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"positions_per_beat": 24}, "positions_per_beat"),
        ({"positions_per_beat": 96}, "positions_per_beat"),
        ({"duration_grid": ((4, 48), (2, 24))}, "ascend"),
        ({"duration_grid": ((4, 48), (16, 7))}, "divide"),
        ({"duration_grid": ()}, "duration_grid"),
        ({"meters": {3: 4}}, "4/3"),
        ({"meters": {4: 0}}, "0/4"),
        ({"meters": {}}, "meters"),
        ({"velocities": 0}, "velocities"),
        ({"tempo_range": (200.0, 20.0)}, "tempo_range"),
        ({"max_bars": 0}, "max_bars"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict, named: str):
    """A tokenizer that could not keep its promises is not made; the refusal names the setting."""
    with pytest.raises(InputError, match=named):
        TokenizerSettings(**settings)


@pytest.mark.parametrize(
    "bomb",
    [
        midi_of("00 90 3C 40  FF FF FF 7F 80 3C 00  00 FF 2F 00"),  # a note of 2**28 quarters
        midi_of("FF FF FF 7F 90 3C 40  01 80 3C 00  00 FF 2F 00"),  # a rest of 2**28 quarters
        midi_of("FF FF FF 7F 90 3C 40 " * 12 + "01 80 3C 00  00 FF 2F 00"),  # ticks that leave 32 bits
        midi_of("00 90 3C 40  01 80 3C 00  FF FF FF 7F FF 51 03 07 A1 20  00 FF 2F 00"),  # a tempo long after the music
        midi_of("00 90 3C 40  01 80 3C 00  FF FF FF 7F FF 58 04 03 02 18 08  00 FF 2F 00"),  # a meter long after the music
    ],
)
def test_a_small_file_of_huge_times_is_refused(bomb: bytes):
    """Some 45 bytes that would be millions of empty bars are refused with the number of bars or as damaged, before tokenizing."""
    assert len(bomb) < 150
    with pytest.raises(InputError, match=r"bars are more than 20000|bars with \\d+ notes|no notes in it"):
        TOKENIZER.encode(read(bomb))


def test_a_meter_of_endless_bars_is_no_way_around_the_bound():
    """Bars are counted as they will be told: 255/1, unknown to the vocabulary, is 85 bars of 6/2."""
    score = score_of((0, 480 * 4 * 255 * 300, 60), meters=((0, 127, 1),))
    with pytest.raises(InputError, match="bars are more than 20000"):
        TOKENIZER.encode(score)


def test_the_bound_is_the_setting():
    """A score of exactly max_bars bars is taken, one of a tick more is not."""
    tokenizer = RemiTokenizer(TokenizerSettings(max_bars=3))
    assert len(tokenizer.encode(score_of((0, 5760, 60))).ids)
    with pytest.raises(InputError, match="4 bars are more than 3"):
        tokenizer.encode(score_of((0, 5761, 60)))


def test_scores_without_time_or_before_the_beginning_are_refused():
    """Zero ticks to the quarter and negative onsets, which no file has but a program may make, are told."""
    with pytest.raises(InputError, match="0 ticks per quarter"):
        TOKENIZER.encode(Score(0))
    with pytest.raises(InputError, match="begins at tick -5"):
        TOKENIZER.encode(score_of((-5, 480, 60)))


def test_a_score_without_notes_has_only_its_frame():
    """No notes, but a meter and a tempo, make one bar; nothing fails."""
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, 3, 4))
    score.tempos.append(Tempo(0, 100))
    encoding = TOKENIZER.encode(score)
    assert [TOKENIZER.vocabulary.tokens[i].partition("_")[0] for i in encoding.ids] == ["Bar", "TimeSig", "Position", "Tempo"]
    assert TOKENIZER.decode(encoding.ids).note_num() == 0


def test_tokenizing_loads_no_torch_and_no_miditok():
    """A worker that tokenizes pays for neither torch, transformers nor MidiTok; the reference loads MidiTok without torch."""
    code = """
import sys
from symusic import Note, Score, Track
from symbolic.tokenizers.remi import RemiTokenizer
score = Score(480)
score.tracks.append(Track("", 0, False, [Note(0, 480, 60, 80)]))
tokenizer = RemiTokenizer()
tokenizer.decode(tokenizer.encode(score).ids)
print(sorted({"torch", "transformers", "miditok", "music21", "pretty_midi", "matplotlib"} & set(sys.modules)))
from symbolic.tokenizers.reference import miditok_remi
from symbolic.tokenizers.names import TASK_NAMES
print(len(miditok_remi(tokenizer.settings).vocab) + len(TASK_NAMES) == len(tokenizer.vocabulary), "torch" in sys.modules)
from miditok.pytorch_data import DatasetMIDI
print(DatasetMIDI.__name__)
"""
    assert run(code) == ["[]", "True False", "DatasetMIDI"]


def test_tokenizers_is_hugging_faces_package():
    """Our package of that name lies inside `symbolic`: MidiTok and transformers find Hugging Face's, whichever is imported first."""
    code = """
import symbolic.tokenizers.remi
import miditok.midi_tokenizer, tokenizers, transformers.tokenization_utils_tokenizers
print("symbolic" in tokenizers.__file__)
print(miditok.midi_tokenizer._HFTokenizer is tokenizers.Tokenizer)
print(transformers.PreTrainedTokenizerFast.__module__, transformers.tokenization_utils_tokenizers.TokenizerFast is tokenizers.Tokenizer)
"""
    assert run(code) == ["False", "True", "transformers.tokenization_utils_tokenizers True"]

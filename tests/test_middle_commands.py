"""`symbolic fill`, `accompany`, `harmonise` and `vary` from the command line: files written, errors in one line."""

import json
from pathlib import Path

import pytest
import torch

from symbolic.cli import main
from symbolic.midi.reading import read
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.training.checkpoint import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A folder with a tiny network that knows the tokens of tasks and nothing else."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = RemiTokenizer(TokenizerSettings(tasks=True))
    torch.manual_seed(0)
    config = make_config(
        vocab_size=len(tokenizer.vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        memory_length=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    save_model(folder, TransformerXL(config), tokenizer)
    return str(folder)


@pytest.fixture
def seed(tmp_path, melody, drawn, folder_of) -> str:
    """Six bars of one line, and its name."""
    return str(folder_of(tmp_path, {"tune.mid": melody(drawn(0, 48), program=73)}) / "tune.mid")


@pytest.mark.parametrize(
    ("command", "name", "told"),
    [
        (["fill", "--bars", "3-4"], "filled", {"task": "fill", "bars": "3-4"}),
        (["accompany", "--program", "cello"], "accompanied", {"task": "accompany", "programs": [42]}),
        (["accompany", "--program", "40", "--melody"], "accompanied", {"task": "melody", "programs": [40]}),
        (["harmonise"], "harmonised", {"task": "harmonise", "programs": [0]}),
        (["vary", "--keep", "pitch"], "varied", {"task": "vary", "keep": "pitch", "bars": "1-6"}),
        (["vary", "--keep", "rhythm", "--bars", "2"], "varied", {"task": "vary", "keep": "rhythm", "bars": "2-2"}),
    ],
)
def test_each_command_writes_its_file(command, name, told, model, seed, tmp_path, monkeypatch, capsys):
    """SEED-done.mid beside where the command is typed, and a JSON that says how it was made; a second run is refused."""
    monkeypatch.chdir(tmp_path)
    arguments = [command[0], seed, *command[1:], "--model", model, "--json", "--random-seed", "3"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["midi"] == f"tune-{name}.mid"
    assert read(tmp_path / f"tune-{name}.mid").note_num() == 48 - result["gone_notes"] + result["new_notes"]
    origin = json.loads(Path(f"tune-{name}.json").read_text())
    assert origin | told == origin
    assert origin["random_seed"] == 3
    assert main(arguments) == 1
    assert f"tune-{name}.mid: this output exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["fill", "--bars", "3,4"], "--bars 3,4: the first and the last bar are wanted, such as 9-12"),
        (["fill", "--bars", "5-9"], "bars 5-9: the seed has bars 1 to 6"),
        (["accompany", "--program", "flute"], "the seed has this instrument already"),
        (["vary", "--keep", "tempo"], "keep is 'tempo'; rhythm or pitch is wanted"),
        (["harmonise", "-o", "out.wav"], "-o out.wav: a name ending in one of .mid"),
    ],
)
def test_bad_wishes_are_one_line(command, told, model, seed, tmp_path, monkeypatch, capsys):
    """With the value and the choices, exit 2, and nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main([command[0], seed, *command[1:], "--model", model]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"symbolic {command[0]}: ")
    assert told in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tune.mid"]

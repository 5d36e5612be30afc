"""Fine-tuning: a run that starts from a model keeps its shape and tokenizer, is never worse than it, and stops when nothing is gained."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml

from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError, UsageError
from symbolic.generation.bundle import model_folder
from symbolic.models.transformer_xl import load_weights
from symbolic.models.variants import variant
from symbolic.settings import to_mapping
from symbolic.training.beginning import FEWEST_STEPS, MOST_STEPS, fine_tuning_settings, settings_for
from symbolic.training.evaluation import sum_up, token_nats
from symbolic.training.loop import train
from symbolic.training.settings import TrainingSettings
from symbolic.training.stopping import HeldOut


def validations(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["validation"]["nats_per_note"] for line in lines if "validation" in line}


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_weights(folder).state_dict() for folder in (one, other))
    return all(torch.equal(first[name], second[name]) for name in first)


def nats_per_note(folder: Path, corpus: Corpus) -> float:
    pieces = [corpus.piece(int(index)) for index in corpus.pieces("validation")]
    return sum_up(pieces, token_nats(load_weights(folder), pieces, corpus.tokenizer.vocabulary), corpus.tokenizer.vocabulary).nats_per_note


@pytest.fixture(scope="module")
def trained(dataset, tiny_settings, tmp_path_factory) -> Path:
    """A run to start from, of pieces without any pattern."""
    run = tmp_path_factory.mktemp("trained") / "run"
    train(dataset, run, tiny_settings)
    return run


@pytest.fixture(scope="module")
def narrow(tmp_path_factory, melody, drawn, folder_of, coarse) -> Path:
    """A small dataset of another style: tunes that keep to four neighbouring notes."""
    folder = tmp_path_factory.mktemp("narrow")
    scores = {f"{n:02}.mid": melody(drawn(100 + n, 40, 60, 64)) for n in range(20)}
    tokenize_folder(folder_of(folder / "midi", scores), folder / "set", coarse, held_out=0.4)
    return folder / "set"


@pytest.fixture(scope="module")
def quick(trained, narrow) -> TrainingSettings:
    return fine_tuning_settings(
        Corpus(narrow), trained, steps=60, lanes=3, segment_length=32, learning_rate=0.01, warmup_steps=3, evaluate_every=12,
        checkpoint_every=7, sample_every=0, precision="no",
    )  # fmt: skip


@pytest.fixture(scope="module")
def tuned(narrow, trained, quick, tmp_path_factory) -> tuple[Path, dict]:
    """A fine-tuned run and what it reported; tests only read it."""
    run = tmp_path_factory.mktemp("tuned") / "run"
    return run, train(narrow, run, quick)


def test_a_fine_tuned_model_gains_on_pieces_it_never_saw(tuned, trained, narrow):
    """The figure before is the model's own, the one at best that of best/, and between them lies what was learnt."""
    run, figures = tuned
    corpus = Corpus(narrow)
    assert figures["before_nats_per_note"] == pytest.approx(nats_per_note(trained / "best", corpus), rel=1e-5)
    assert figures["best_nats_per_note"] == pytest.approx(nats_per_note(run / "best", corpus), rel=1e-5)
    assert figures["best_nats_per_note"] < 0.8 * figures["before_nats_per_note"]
    course = validations(run)
    assert list(course) == [0, 12, 24, 36, 48, 60]
    assert course[0] == figures["before_nats_per_note"]
    assert figures["best_nats_per_note"] == min(course.values()) == course[figures["best_step"]]


def test_the_best_model_is_what_is_used(tuned):
    """`--model RUN` means RUN/best."""
    assert model_folder(tuned[0]) == tuned[0] / "best"


def test_a_run_that_gains_nothing_stops_and_keeps_the_model_it_started_from(narrow, trained, quick, tmp_path):
    """A rate that spoils everything: after `patience` evaluations the run ends, best/ has the starting weights, and it stays ended."""
    run = tmp_path / "run"
    figures = train(narrow, run, dataclasses.replace(quick, learning_rate=3.0, patience=2, gradient_clip=1e9))
    assert (figures["steps"], figures["best_step"]) == (24, 0)
    assert list(validations(run)) == [0, 12, 24]
    assert same_weights(run / "best", trained / "best")
    assert not same_weights(run / "last", trained / "best")
    again = train(narrow, run, resume=True)
    assert (again["steps"], again["best_nats_per_note"]) == (24, figures["best_nats_per_note"])
    more = train(narrow, run, dataclasses.replace(quick, learning_rate=3.0, patience=0, gradient_clip=1e9, steps=30), resume=True)
    assert more["steps"] == 30


def test_without_patience_a_run_goes_to_its_end():
    """Evaluations in a row count, a better one begins the count anew, and a figure that is no number is never the best."""
    course = HeldOut()
    told = [course.told(step, nats) for step, nats in enumerate([5.0, 4.0, float("nan"), 4.5, 3.9, 4.1, 4.2])]
    assert told == [True, True, False, False, True, False, False]
    assert (course.before, course.best, course.best_step, course.since_best) == (5.0, 3.9, 4, 2)
    assert [course.hopeless(patience) for patience in (0, 1, 2, 3)] == [False, True, True, False]
    assert HeldOut().figures() == {}


def test_a_resumed_fine_tuning_equals_an_uninterrupted_one(narrow, tuned, quick, tmp_path):
    """Stopped by Ctrl-C and resumed without a word about the model: the same weights, log and report, bit for bit."""
    run, done = tmp_path / "run", threading.Event()

    def interrupt() -> None:
        while not done.wait(0.002):
            if (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_bytes().count(b"\n") >= 3:
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(InputError, match="stopped at step"):
            train(narrow, run, quick)
    finally:
        done.set()
        thread.join()
    assert train(narrow, run, resume=True) == tuned[1]
    assert same_weights(run / "last", tuned[0] / "last")
    assert same_weights(run / "best", tuned[0] / "best")
    assert validations(run) == validations(tuned[0])


def test_another_tokenizer_is_refused(trained, melody, drawn, folder_of, coarse, tmp_path):
    """The setting that differs is named, with both values, and nothing is written."""
    scores = {f"{n}.mid": melody(drawn(n)) for n in range(8)}
    other = dataclasses.replace(coarse, velocities=5)
    tokenize_folder(folder_of(tmp_path / "midi", scores), tmp_path / "set", other, held_out=0.5)
    with pytest.raises(InputError, match=r"not made with the tokenizer of .*: velocities is 5 in the dataset and 4 in the model"):
        train(tmp_path / "set", tmp_path / "run", from_model=trained)
    assert not (tmp_path / "run").exists()


def test_another_shape_is_refused_and_a_free_field_is_not(trained, narrow, tmp_path):
    """A YAML may change dropout and memory, and nothing that the weights have the shape of."""
    corpus, path = Corpus(narrow), tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({"model": {"hidden_size": 32, "num_hidden_layers": 3}, "steps": 1}))
    told = r"model's hidden_size is 16, not 32, num_hidden_layers is 2, not 3; a run that starts from a model keeps its shape"
    with pytest.raises(InputError, match=told):
        train(narrow, tmp_path / "run", path, from_model=trained)
    path.write_text(yaml.safe_dump({"model": {"memory_length": 40, "dropout": 0.25}, "steps": 1, "patience": 0, "precision": "no"}))
    settings = settings_for(corpus, path, str(trained))
    assert (settings.model.memory_length, settings.model.dropout, settings.model.hidden_size, settings.steps) == (40, 0.25, 16, 1)
    assert settings.learning_rate == fine_tuning_settings(corpus, trained).learning_rate
    train(narrow, tmp_path / "run", path, from_model=trained)
    config = load_weights(tmp_path / "run/last").config
    assert (config.memory_length, config.dropout) == (40, 0.25)


def test_a_yaml_can_name_the_model(trained, narrow, tmp_path):
    """`from_model` in a YAML is `--from`, and what is typed goes before it; settings.yaml of the run says which it was."""
    corpus, path = Corpus(narrow), tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({"from_model": str(trained), "steps": 3}))
    assert settings_for(corpus, path, None).from_model == str(trained)
    assert settings_for(corpus, path, str(trained / "last")).from_model == str(trained / "last")
    path.write_text("steps: 3\n")
    assert settings_for(corpus, path, None) == TrainingSettings(steps=3)


def test_steps_follow_the_size_of_the_dataset(trained, narrow, dataset):
    """A tiny dataset has the fewest steps, and the defaults hold back: a rate below that of training, dropout, patience, all keys."""
    settings = fine_tuning_settings(Corpus(narrow), trained)
    assert settings.steps == FEWEST_STEPS
    assert settings.learning_rate < TrainingSettings().learning_rate
    assert settings.model.dropout > 0
    assert settings.patience > 0
    assert settings.twelve_keys
    assert settings.steps == 10 * settings.evaluate_every
    large = Corpus(narrow)
    large.offsets = large.offsets * 1000
    assert fine_tuning_settings(large, trained).steps == MOST_STEPS


def test_what_makes_no_sense_is_told(trained, narrow, dataset, melody, drawn, folder_of, coarse, tmp_path):
    """--from with --resume, no such model, and a dataset that holds nothing out."""
    with pytest.raises(UsageError, match="leave out --from or --resume"):
        train(narrow, trained, from_model="small", resume=True)
    with pytest.raises(InputError, match="no bundled model of this name"):
        train(narrow, tmp_path / "run", from_model="nobody")
    tokenize_folder(folder_of(tmp_path / "midi", {"a.mid": melody(drawn(1))}), tmp_path / "set", coarse, held_out=0)
    with pytest.raises(InputError, match=r"0 pieces are held out for validation.*--held-out 0\.2, or set patience: 0"):
        train(tmp_path / "set", tmp_path / "run", from_model=trained)
    assert not (tmp_path / "run").exists()


def test_weights_can_remember_more_or_less(trained):
    """A variant has the same weights and leaves model and random state alone; what the weights depend on is refused."""
    model = load_weights(trained / "best")
    state = torch.get_rng_state()
    other = variant(model, memory_length=7)
    assert torch.equal(state, torch.get_rng_state())
    assert (other.config.memory_length, model.config.memory_length) == (7, 24)
    assert all(torch.equal(one, two) for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    for fields, told in [
        ({"hidden_size": 8}, "weights depend on it"),
        ({"memory_length": -1}, "memory_length is -1"),
        ({"dropout": 1.0}, "share"),
    ]:
        with pytest.raises(InputError, match=told):
            variant(model, **fields)


def test_the_command_line_tells_before_and_after(trained, narrow, quick, tmp_path):
    """`symbolic train DATASET -o RUN --from MODEL --settings YAML`: one line has both figures; the next command is said."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(to_mapping(dataclasses.replace(quick, from_model=None, steps=12))))
    command = [sys.executable, "-m", "symbolic", "train", str(narrow), "-o", str(tmp_path / "run"), "--from", str(trained)]
    done = subprocess.run([*command, "--settings", str(tmp_path / "s.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    course = validations(tmp_path / "run")
    assert f"{course[0]:.3f} nats per note before, {course[12]:.3f} (" in done.stdout
    assert f"symbolic continue SEED.mid --model {tmp_path / 'run'}" in done.stdout
    assert yaml.safe_load((tmp_path / "run/settings.yaml").read_text())["from_model"] == str(trained)

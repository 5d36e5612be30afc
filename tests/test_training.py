"""A run learns, and can be stopped, killed, spread over processes and resumed without changing a bit of what it becomes."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from symbolic.cli import main
from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError
from symbolic.midi.meter import bar_starts
from symbolic.midi.reading import read
from symbolic.models.transformer_xl import load_weights
from symbolic.settings import to_mapping
from symbolic.training.checkpoint import newest, swap_in
from symbolic.training.curve import plot_curve
from symbolic.training.evaluation import sum_up, token_nats
from symbolic.training.loop import train
from symbolic.training.samples import write_sample
from symbolic.training.settings import ModelSettings, TrainingSettings


def with_changes(settings: TrainingSettings, **changes) -> TrainingSettings:
    """The settings with some changed; those of the model by their own names."""
    shape = {name: changes.pop(name) for name in list(changes) if name in ModelSettings.__dataclass_fields__}
    return dataclasses.replace(settings, model=dataclasses.replace(settings.model, **shape), **changes)


def metrics(run: Path) -> list[dict]:
    """The lines of metrics.jsonl, without the speed, which differs from run to run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "tokens_per_second"} for line in lines]


def saved(run: Path, rank: int = 0) -> dict:
    """All tensors and numbers of a checkpoint under flat names: weights, optimizer, memory, lanes, random state."""
    state = torch.load(run / f"last/training-{rank}.pt", weights_only=True)
    return flattened({"weights": dict(load_weights(run / "last").state_dict()), "state": state})


def flattened(value, name: str = "") -> dict:
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for part, item in items for key, leaf in flattened(item, f"{name}/{part}").items()}
    return {name: value}


def differences(one: dict, other: dict) -> list[str]:
    """Names of what differs in any bit."""
    equal = {key: torch.equal(one[key], other[key]) if torch.is_tensor(one[key]) else one[key] == other[key] for key in one.keys() & other}
    return sorted([key for key in equal if not equal[key]] + list(one.keys() ^ other.keys()))


class SignalAfterLines:
    """Sends this process a signal as soon as a run has logged so many lines; a context manager."""

    def __init__(self, run: Path, lines: int) -> None:
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, args=(run / "metrics.jsonl", lines))

    def _watch(self, path: Path, lines: int) -> None:
        while not self.done.wait(0.002):
            if path.exists() and path.read_bytes().count(b"\n") >= lines:
                os.kill(os.getpid(), signal.SIGINT)
                return

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_) -> None:
        self.done.set()
        self.thread.join()


@pytest.fixture(scope="module")
def finished(dataset, tiny_settings, tmp_path_factory):
    """An uninterrupted run; tests only read it."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(dataset, run, tiny_settings)
    return run


def test_the_loss_falls_where_there_is_something_to_learn(tmp_path, melody, folder_of, coarse, tiny_settings):
    """A scale over and over is learnt in 150 steps, from more than 2 nats a token to a few hundredths, and the saved model knows it."""
    scale = melody([48 + step % 12 for step in range(60)])
    tokenize_folder(folder_of(tmp_path / "midi", {"a.mid": scale}), tmp_path / "out", coarse, held_out=0)
    settings = with_changes(
        tiny_settings, steps=150, lanes=4, segment_length=64, dropout=0.0, hidden_size=32, intermediate_size=64, twelve_keys=False, tasks={}
    )
    assert train(tmp_path / "out", tmp_path / "run", settings) == {"steps": 150}
    corpus = Corpus(tmp_path / "out")
    vocabulary, piece = corpus.tokenizer.vocabulary, corpus.piece(0)
    after = sum_up([piece], token_nats(load_weights(tmp_path / "run/last"), [piece], vocabulary), vocabulary)
    losses = [line["loss"] for line in metrics(tmp_path / "run")]
    assert losses[0] > 2
    assert losses[-1] < 0.1
    assert after.nats_per_token < 0.1


def test_a_run_leaves_what_it_promises(finished, dataset, corpus, tiny_settings):
    """Metrics every ten steps and at evaluations, the settings, the curve, and two model folders; figures are those of the last model."""
    lines = metrics(finished)
    assert [line["step"] for line in lines if "loss" in line] == [10, 20, 30, 40]
    assert [line["step"] for line in lines if "validation" in line] == [15, 30, 40]
    left = {path.name for path in finished.iterdir()} - {"tensorboard"}  # only where that is installed
    assert left == {"best", "last", "loss.png", "metrics.jsonl", "settings.yaml"}
    assert load_weights(finished / "best").config.hidden_size == 16
    held_out = corpus.pieces("validation")
    chosen = held_out[:: -(-len(held_out) // tiny_settings.evaluation_pieces)]
    assert 1 < len(chosen) <= tiny_settings.evaluation_pieces
    pieces = [corpus.piece(int(index)) for index in chosen]
    nats = token_nats(load_weights(finished / "last"), pieces, corpus.tokenizer.vocabulary)
    expected = sum_up(pieces, nats, corpus.tokenizer.vocabulary).summary()
    assert lines[-1]["validation"] == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_rises_stays_and_falls(dataset, tmp_path, tiny_settings):
    """The rate logged with a step is the one it used: a rise, a plateau, a straight fall that would be 0 one step after the last."""
    train(dataset, tmp_path / "run", with_changes(tiny_settings, steps=60, warmup_steps=20, decay_share=0.5, learning_rate=0.006))
    rates = {line["step"]: line["learning_rate"] for line in metrics(tmp_path / "run") if "loss" in line}
    assert rates == pytest.approx({10: 0.003, 20: 0.006, 30: 0.006, 40: 0.0042, 50: 0.0022, 60: 0.0002})


def test_a_resumed_run_equals_an_uninterrupted_one(dataset, finished, tmp_path, tiny_settings):
    """Stopped by Ctrl-C twice, wherever it is, and resumed: weights, optimizer, memory, lanes and log are the same bit for bit."""
    run, told = tmp_path / "run", r"stopped at step \d+ and saved; go on with: symbolic train .*--resume"
    for resume in (False, True):
        lines = len(metrics(run)) + 1 if resume else 1
        with SignalAfterLines(run, lines), pytest.raises(InputError, match=told):
            train(dataset, run, None if resume else tiny_settings, resume=resume)
        assert metrics(run)[-1]["step"] < 40
    train(dataset, run, resume=True)
    assert differences(saved(run), saved(finished)) == []
    assert metrics(run) == metrics(finished)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_was_logged_after_the_checkpoint_is_forgotten(dataset, finished, tmp_path, tiny_settings):
    """Lines of steps that are done again, and half a line of a killed run, do not stay in the metrics of the resumed run."""
    run = tmp_path / "run"
    with SignalAfterLines(run, 1), pytest.raises(InputError, match="stopped"):
        train(dataset, run, tiny_settings)
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 40, "loss": 99.0}\n{"step": 41, "lo')
    train(dataset, run, resume=True)
    assert metrics(run) == metrics(finished)


def test_a_killed_run_loses_no_more_than_its_last_steps(dataset, tmp_path, tiny_settings):
    """After kill -9 at any moment a whole checkpoint is there, at most `checkpoint_every` steps old, and the run goes on from it."""
    run = tmp_path / "run"
    settings = with_changes(tiny_settings, steps=100_000, checkpoint_every=3, evaluate_every=50_000)
    program = (
        "from symbolic.settings import from_mapping; from symbolic.training.loop import train;"
        "from symbolic.training.settings import TrainingSettings as T;"
        f"train({str(dataset)!r}, {str(run)!r}, from_mapping(T, {to_mapping(settings)!r}, ''))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    try:
        while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").read_bytes().count(b"\n") < 4:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate()
    reached = metrics(run)[-1]["step"]
    step = torch.load(newest(run) / "training-0.pt", weights_only=True)["step"]
    assert step >= reached - 3
    assert step % 3 == 0
    train(dataset, run, with_changes(settings, steps=step + 10), resume=True)
    assert saved(run)["/state/step"] == step + 10
    steps = [line["step"] for line in metrics(run)]
    assert steps[:4] == [10, 20, 30, 40]
    assert steps == sorted(steps)


def test_a_checkpoint_is_swapped_in_or_the_old_one_stays(tmp_path):
    """Killed between the two renames of a swap, or in the next swap after that, a run still has its checkpoint."""
    last, old = tmp_path / "last", tmp_path / "last-old"
    for folder in (last, old):
        folder.mkdir()
        (folder / "training-0.pt").touch()
    assert newest(tmp_path) == last
    with pytest.raises(FileNotFoundError):
        swap_in(tmp_path / "last-partial", last)
    assert newest(tmp_path) == old
    with pytest.raises(FileNotFoundError):
        swap_in(tmp_path / "last-partial", last)
    assert newest(tmp_path) == old
    (tmp_path / "last-partial").mkdir()
    (tmp_path / "last-partial/training-0.pt").write_bytes(b"new")
    swap_in(tmp_path / "last-partial", last)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert (newest(tmp_path) / "training-0.pt").read_bytes() == b"new"


def test_a_run_that_exists_is_refused(dataset, finished, tmp_path, tiny_settings):
    """No run is overwritten; without one there is nothing to resume; a file is no folder for a run."""
    before = saved(finished)
    with pytest.raises(InputError, match="a run is in this folder already; go on with --resume"):
        train(dataset, finished, tiny_settings)
    assert differences(saved(finished), before) == []
    with pytest.raises(InputError, match="no checkpoint to resume"):
        train(dataset, tmp_path, tiny_settings, resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this is a file"):
        train(dataset, tmp_path / "file", tiny_settings)


def test_a_loss_that_is_no_number_ends_the_run_and_spoils_no_checkpoint(dataset, tmp_path, tiny_settings):
    """A rate far too high is told with its value, and what was saved before stays whole and can be resumed with a lower one."""
    run = tmp_path / "run"
    tiny_settings = with_changes(tiny_settings, checkpoint_every=3)
    train(dataset, run, with_changes(tiny_settings, steps=12))
    with pytest.raises(InputError, match=r"loss is (nan|inf).*at step 15.*kept in last/; resume with a lower learning_rate \(now 1e\+30\)"):
        train(dataset, run, with_changes(tiny_settings, learning_rate=1e30), resume=True)
    assert saved(run)["/state/step"] == 12
    assert all(bool(weights.isfinite().all()) for weights in load_weights(run / "last").state_dict().values())
    train(dataset, run, tiny_settings, resume=True)
    with pytest.raises(InputError, match="none was saved yet; start again with a lower"):
        train(dataset, tmp_path / "other", with_changes(tiny_settings, learning_rate=1e30))
    assert not (tmp_path / "other/last").exists()


@pytest.mark.parametrize("change", [{"tempo_range": (30.0, 300.0)}, {"velocities": 5}])
def test_another_tokenizer_is_told_on_resume(dataset, finished, tmp_path, melody, drawn, folder_of, coarse, change):
    """A dataset of other tokens is refused with the setting that differs, also where the vocabulary has the same size."""
    other = dataclasses.replace(coarse, **change)
    tokenize_folder(folder_of(tmp_path / "midi", {"a.mid": melody(drawn(1))}), tmp_path / "out", other, held_out=0)
    sizes = [len(Corpus(folder).tokenizer.vocabulary) for folder in (dataset, tmp_path / "out")]
    assert (sizes[0] == sizes[1]) == ("tempo_range" in change)
    with pytest.raises(InputError, match=f"not made with the tokenizer of .*last: {next(iter(change))} is"):
        train(tmp_path / "out", finished, resume=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"hidden_size": 32}, "saved model's hidden_size is 16, not 32"), ({"lanes": 4}, "lanes was 3 and is 4"),
     ({"random_seed": 1}, "random_seed was 0 and is 1")],
)  # fmt: skip
def test_settings_that_cannot_change_are_told_on_resume(dataset, finished, tiny_settings, change, told):
    """A resumed run keeps its network, its lanes and its stream of pieces."""
    with pytest.raises(InputError, match=told):
        train(dataset, finished, with_changes(tiny_settings, **change), resume=True)


def test_impossible_settings_are_told(dataset, tmp_path, tiny_settings):
    """Zero steps, lanes or intervals, an unknown precision, and heads that do not divide the width are one line each."""
    for name in ("steps", "lanes", "segment_length", "checkpoint_every", "evaluate_every"):
        with pytest.raises(InputError, match=f"{name} is 0; at least 1"):
            with_changes(tiny_settings, **{name: 0})
    with pytest.raises(InputError, match="choose auto, no, bf16 or fp16"):
        train(dataset, tmp_path / "run", with_changes(tiny_settings, precision="int8"))
    with pytest.raises(InputError, match="must divide"):
        train(dataset, tmp_path / "run", with_changes(tiny_settings, num_attention_heads=3))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="needs a GPU"):
            train(dataset, tmp_path / "run", with_changes(tiny_settings, precision="fp16"))
    assert not (tmp_path / "run").exists()


def test_training_leaves_the_precision_of_others_alone(finished):
    """Products in float32 stay float32 in the process that has trained."""
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_curve_is_drawn(finished, tmp_path):
    """The picture shows something, and a run without evaluations or without losses has one too."""
    from matplotlib.image import imread

    assert imread(finished / "loss.png")[..., :3].std() > 0.01
    blank = None
    for lines in ["", *(f"{line}\n" for line in (finished / "metrics.jsonl").read_text().splitlines()[:2])]:
        (tmp_path / "metrics.jsonl").write_text(lines)
        plot_curve(tmp_path)
        picture = imread(tmp_path / "loss.png")
        assert blank is None or not np.array_equal(picture, blank)
        blank = picture if blank is None else blank


def test_samples_are_written_in_bf16_too(dataset, tmp_path, tiny_settings):
    """What autocast remembers in bf16 is handed to a step in float32."""
    train(dataset, tmp_path / "run", with_changes(tiny_settings, steps=2, sample_every=2, precision="bf16"))
    assert [path.name for path in sorted((tmp_path / "run/samples").iterdir())] == ["step-000002.mid", "step-000002.png"]


def test_samples_are_written_and_change_nothing(dataset, finished, tmp_path, tiny_settings):
    """At intervals a held-out piece's beginning with eight more bars, and its picture; the run is the same as without, bit for bit."""
    run = tmp_path / "run"
    train(dataset, run, with_changes(tiny_settings, sample_every=20))
    assert sorted(path.name for path in (run / "samples").iterdir()) == [
        f"step-0000{n}.{kind}" for n in (20, 40) for kind in ("mid", "png")
    ]
    sample, corpus = read(run / "samples/step-000040.mid"), Corpus(dataset)
    piece = corpus.tokenizer.decode(corpus.piece(int(corpus.pieces("validation")[0])))
    end = next(marker.time for marker in sample.markers if marker.text.startswith("continuation: "))
    assert (end, len(bar_starts(sample)) - 1) == (4 * 4 * sample.ticks_per_quarter, 12)
    begun = [(note.time, note.pitch) for note in sample.tracks[0].notes if note.time < end]
    scale = piece.ticks_per_quarter / sample.ticks_per_quarter
    assert begun == [(note.time / scale, note.pitch) for note in piece.tracks[0].notes if note.time / scale < end]
    assert differences(saved(run), saved(finished)) == []
    assert metrics(run) == metrics(finished)


def test_a_piece_that_cannot_be_continued_makes_room_for_the_next(tmp_path, melody, drawn, folder_of, coarse, finished):
    """A piece that begins with bars of silence is passed over; when all do, there is no sample and no complaint."""
    late = melody(drawn(1))
    for note in late.tracks[0].notes:
        note.time += 480 * 4 * 6
    model = load_weights(finished / "last")
    for name, scores in {"some": {"a.mid": late, "b.mid": melody(drawn(2))}, "none": {"a.mid": late}}.items():
        tokenize_folder(folder_of(tmp_path / name / "midi", scores), tmp_path / name / "set", coarse, held_out=0)
        made = write_sample(model, Corpus(tmp_path / name / "set"), tmp_path / name / "samples", 1)
        assert (made is None) == (name == "none")
        assert (tmp_path / name / "samples").exists() == (name == "some")


def test_fewer_processes_than_wanted_are_told(dataset, tmp_path, tiny_settings):
    """`accelerate launch --cpu --num_processes 2` starts one process: with the number told nothing begins, and one line says why."""
    with pytest.raises(InputError, match=r"2 processes are wanted, and one runs; .* torchrun --nproc_per_node 2"):
        train(dataset, tmp_path / "run", tiny_settings, processes=2)
    assert not (tmp_path / "run").exists()


def test_two_precisions_in_one_process(dataset, tmp_path, tiny_settings):
    """A second run in the same process may have another precision."""
    for precision in ("no", "bf16", "no"):
        figures = train(
            dataset, tmp_path / f"{precision}-{len(list(tmp_path.iterdir()))}", with_changes(tiny_settings, steps=2, precision=precision)
        )
        assert figures["steps"] == 2


FULL_DISK = """
import resource, signal, sys, threading, time
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = Path(sys.argv[sys.argv.index("-o") + 1])

def fill():
    while not (run / "last/training-0.pt").exists():
        time.sleep(0.001)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))

threading.Thread(target=fill, daemon=True).start()
from symbolic.cli import main
limit = sys.argv[1]
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [4_000, 40_000, 200])
def test_a_full_disk_ends_the_run_and_keeps_the_checkpoint(dataset, finished, tmp_path, tiny_settings, limit):
    """When nothing more can be written, whatever was being written, one line says so and how to go on; the checkpoint before is whole.

    The three sizes break off the model's weights, the optimizer's state and the log.
    """
    run, settings = tmp_path / "run", tmp_path / "settings.yaml"
    settings.write_text(json.dumps(to_mapping(tiny_settings)))
    command = [sys.executable, "-c", FULL_DISK, str(limit), "train", str(dataset), "-o", str(run), "--settings", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.search(
        r"cannot be written at step \d+ \(.*[Ff]ile too large.*the checkpoint of step \d+ is kept in last/; make room and go on",
        done.stderr,
    )
    assert not list(run.glob("*-partial"))
    assert saved(run)["/state/step"] == int(re.search(r"checkpoint of step (\d+) is kept", done.stderr)[1])
    train(dataset, run, resume=True)
    assert differences(saved(run), saved(finished)) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "training-0.pt"])
def test_a_checkpoint_cut_short_is_told(dataset, finished, tmp_path, name, capsys):
    """Whichever file of a checkpoint is cut, resuming says which one in one line, without a traceback."""
    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run/last" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["train", str(dataset), "-o", str(tmp_path / "run"), "--resume"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "run/last") in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learning_rte: 0.1", "'learning_rte' is unknown; did you mean 'learning_rate'?"),
        ("model: {hidden_sise: 8}", "did you mean 'hidden_size'?"),
        ("learning_rate: 1e-3", "learning_rate is '1e-3', a number is wanted (YAML reads 1e-3 as text: write 0.001 or 1.0e-3)"),
        ("learning_rate: fast", "learning_rate is 'fast', a number is wanted"),
        ("learning_rate: -0.1", "learning_rate is -0.1; a number above 0"),
        ("optimizer: sgd", "optimizer is 'sgd'; choose adamw or muon"),
        ("tasks: {contine: 1}", "tasks: 'contine' is none of them; weights of 0 or more of continue, fill, accompany"),
        ("tasks: {fill: -1}", "weights are {'fill': -1.0}"),
        ("patience: -1", "patience is -1; 0 or more is needed"),
        ("steps: [", "not readable as YAML"),
    ],
)
def test_bad_settings_are_one_line(dataset, tmp_path, text, told, capsys):
    """What a YAML gets wrong is told with file, key, value and what is wanted, and no run is begun."""
    (tmp_path / "s.yaml").write_text(text)
    assert main(["train", str(dataset), "-o", str(tmp_path / "run"), "--settings", str(tmp_path / "s.yaml")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "s.yaml: " in said
    assert told in said
    assert not (tmp_path / "run").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(dataset, finished, tmp_path, tiny_settings):
    """The command stopped by Ctrl-C ends with one line, and what that line says to type goes on to the very same end."""
    run, settings = tmp_path / "run", tmp_path / "settings.yaml"
    settings.write_text(json.dumps(to_mapping(tiny_settings)))
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from symbolic.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "train", str(dataset), "-o", str(run), "--settings", str(settings)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").stat().st_size:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("\n") == 1
    again = said.strip().partition("go on with: symbolic ")[2].split()
    assert again == ["train", str(dataset), "-o", str(run), "--resume"]
    assert main(again) == 0
    assert differences(saved(run), saved(finished)) == []


def test_tensorboard_gets_what_the_log_gets(dataset, tmp_path, tiny_settings):
    """Where tensorboard is installed, every loss and held-out figure is a point of a curve, and a resumed run goes on with them."""
    pytest.importorskip("tensorboard", reason="an optional extra: pip install 'symbolic-xl[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    train(dataset, run, with_changes(tiny_settings, steps=20))
    train(dataset, run, tiny_settings, resume=True)
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    lines = metrics(run)
    points = {point.step: point.value for point in board.Scalars("training/loss")}
    assert points == pytest.approx({line["step"]: line["loss"] for line in lines if "loss" in line}, rel=1e-6)
    points = {point.step: point.value for point in board.Scalars("validation/nats_per_note")}
    assert points == pytest.approx({line["step"]: line["validation"]["nats_per_note"] for line in lines if "validation" in line}, rel=1e-6)


TWO_PROCESSES = """
import dataclasses, os, signal, sys, threading, time
from pathlib import Path
from symbolic.errors import InputError
from symbolic.training.loop import train
from symbolic.settings import load_settings
from symbolic.training.settings import TrainingSettings

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
settings = load_settings(TrainingSettings, folder / "settings.yaml")

def interrupt_one():
    while not (folder / "stopped/metrics.jsonl").exists() or not (folder / "stopped/metrics.jsonl").stat().st_size:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGINT)

train(folder / "out", folder / "two", settings)
if rank == 1:
    threading.Thread(target=interrupt_one).start()
try:
    train(folder / "out", folder / "stopped", settings)
except InputError as error:
    (folder / f"said-{rank}").write_text(str(error))
train(folder / "out", folder / "stopped", resume=True)

sharded = dataclasses.replace(settings, sharded=True)
train(folder / "out", folder / "sharded", sharded, processes=2)
steady = dataclasses.replace(sharded, decay_share=0.0, steps=9)
train(folder / "out", folder / "steady", steady)
train(folder / "out", folder / "longer", dataclasses.replace(steady, steps=5))
train(folder / "out", folder / "longer", steady, resume=True)
"""


def test_two_processes_equal_one(tmp_path, melody, drawn, folder_of, coarse, tiny_settings):
    """Two processes of one lane become what one process of two lanes becomes: gradients to 1e-6, each with its own pieces and memory.

    A signal to one of them stops both at the same step, and resumed they equal an uninterrupted run bit for bit.
    With the weights sharded between them they become the same, each holds half of the optimizer's state, and a resumed run is exact.
    """
    scores = {f"{n}.mid": melody(drawn(n)) for n in range(7)}
    tokenize_folder(folder_of(tmp_path / "midi", scores), tmp_path / "out", coarse, held_out=0)
    assert len(set(Corpus(tmp_path / "out").lengths().tolist())) == 1
    settings = with_changes(tiny_settings, dropout=0.0, lanes=1, steps=21, learning_rate=0.003)
    (tmp_path / "settings.yaml").write_text(json.dumps(to_mapping(settings)))
    (tmp_path / "program.py").write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[1])}
    command += [str(tmp_path / "program.py"), str(tmp_path)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.terminate()  # torchrun then ends its processes, which a kill would leave behind
        process.wait()
    assert process.returncode == 0, said[-3000:]
    train(tmp_path / "out", tmp_path / "one", with_changes(settings, lanes=2))

    train(tmp_path / "out", tmp_path / "alone", settings)

    one, alone, (first, second) = saved(tmp_path / "one"), saved(tmp_path / "alone"), (saved(tmp_path / "two", rank) for rank in (0, 1))
    moved = 0.0
    for key in one:
        if key.startswith("/weights/"):
            # Adam divides by the gradient's size, so that rounding in weights of tiny gradients shows here
            torch.testing.assert_close(first[key], one[key], atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
            moved += float((first[key] - alone[key]).abs().max() > 1e-3)
        if key.endswith("/exp_avg"):
            torch.testing.assert_close(first[key], one[key], atol=1e-6, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
        if key.startswith("/state/memory/"):
            lanes = 0 if key.endswith(("/ages", "/recent")) else 1
            torch.testing.assert_close(torch.cat([first[key], second[key]], lanes), one[key], atol=1e-4, rtol=0)
        if key.startswith("/state/lanes/lanes/0/"):
            assert first[key] == one[key]
            assert second[key] == one[key.replace("lanes/0", "lanes/1")]
    assert moved > 10, "half of the batch would do as well: the test says nothing"
    assert not torch.equal(first["/state/random"], second["/state/random"])

    said = {(tmp_path / f"said-{rank}").read_text() for rank in (0, 1)}
    assert len(said) == 1
    assert "stopped at step" in said.pop()
    for rank in (0, 1):
        assert differences(saved(tmp_path / "stopped", rank), saved(tmp_path / "two", rank)) == []

    sharded = [saved(tmp_path / "sharded", rank) for rank in (0, 1)]
    halves = [key for key in first if key.endswith("/exp_avg") and sharded[0][key].shape != first[key].shape]
    assert len(halves) > 10
    for key in first:
        if key.startswith("/weights/"):
            torch.testing.assert_close(sharded[0][key], first[key], atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
        if key.endswith("/exp_avg"):
            whole = torch.cat([part[key] for part in sharded]) if key in halves else sharded[0][key]
            torch.testing.assert_close(whole, first[key], atol=1e-6, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
    for rank in (0, 1):
        assert differences(saved(tmp_path / "longer", rank), saved(tmp_path / "steady", rank)) == []
    with pytest.raises(InputError, match="processes was 2 and is 1"):
        train(tmp_path / "out", tmp_path / "two", resume=True)

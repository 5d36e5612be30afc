"""Training of a voice: every note is heard, the loss falls, a resumed run equals one never stopped, the saved voice is as good as told."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from symbolic.cli import main
from symbolic.corpus.recordings.labels import note_name
from symbolic.corpus.recordings.phrases import HOP, LOW_HOP
from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.dsp.a_weighting import loudness_error
from symbolic.dsp.decimation import decimate
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import SIZES, spectral_loss
from symbolic.errors import InputError
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.voice import load_autoencoder
from symbolic.settings import from_mapping, to_mapping
from symbolic.training.voices.evaluation import evaluate_voice, played
from symbolic.training.voices.loop import compass_of, train_voice
from symbolic.training.voices.loss import training_loss, word
from symbolic.training.voices.phrase_lanes import PhraseLanes
from symbolic.training.voices.settings import VoiceSettings

RATE = 48000
SMALL = VoiceConfig(partials=16, noise_bands=17, envelope_points=12, width=12, memory=12, code=3)
QUICK = VoiceSettings(
    steps=6, lanes=2, segment_frames=50, evaluate_every=3, checkpoint_every=3, sound_every=6, warmup_steps=2, longest_gap=20, voice=SMALL
)


def reed(hertz: float, seconds: float = 0.4) -> np.ndarray:
    """A note with six odd partials and breath, (S,)."""
    time = np.arange(round(seconds * RATE)) / RATE
    shape = np.minimum(1, np.minimum(time, time[-1] - time) / 0.05)
    breath = 0.03 * np.random.default_rng(int(hertz)).standard_normal(len(time))
    return 0.2 * shape * (sum(np.sin(2 * np.pi * k * hertz * time) / k for k in (1, 3, 5, 7, 9, 11)) + breath)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten labelled notes from A3 up, as files."""
    made = tmp_path_factory.mktemp("reed")
    for number, semitones in enumerate((0, 2, 4, 5, 7, 9, 11, 12, 14, 16)):
        silence = np.zeros(4000)
        sound = np.concatenate([silence, reed(220 * 2 ** (semitones / 12), 0.3 + 0.02 * number), silence])
        soundfile.write(made / f"reed_{note_name(57 + semitones)}_{number}.wav", sound, RATE)
    return made


@pytest.fixture(scope="module")
def recordings(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return examine(folder, tmp_path_factory.mktemp("store") / "recordings")


def lanes_of(recordings: Recordings, gap_share: float = 0.5, seed: int = 0) -> PhraseLanes:
    return PhraseLanes(recordings, recordings.chosen(False), 3, 40, gap_share, 30, seed)


def test_every_note_is_heard_whole_and_in_order(recordings: Recordings):
    """The rows of the segments, joined, are notes from their first frame to their last, and silences; each round has every note once."""
    lanes = lanes_of(recordings)
    segments = [next(lanes) for _ in range(40)]
    notes = recordings.chosen(False)
    known = {recordings.array("loudness", note)[:5].tobytes(): note for note in notes}
    heard = []
    for row in range(3):
        loudness, sound, low, pitch = (
            torch.cat([getattr(segment, name)[row] for segment in segments]).numpy() for name in ("loudness", "sound", "low", "pitch")
        )
        at = 0
        while at + max(note.frames for note in notes) <= len(loudness):
            note = known.get(loudness[at : at + 5].tobytes())
            if note is None:
                assert loudness[at] == -80
                assert np.abs(sound[at * HOP : (at + 1) * HOP]).max() == 0
                at += 1
                continue
            for name, whole, width in (("loudness", loudness, 1), ("pitch", pitch, 1), ("sound", sound, HOP), ("low", low, LOW_HOP)):
                np.testing.assert_array_equal(whole[at * width : (at + note.frames) * width], recordings.array(name, note))
            heard.append(note.file)
            at += note.frames
    counts = [heard.count(note.file) for note in notes]
    assert len(heard) > 3 * len(notes)
    assert max(counts) - min(counts) <= 3  # one round is under way, and each row's last note is not counted
    assert not {note.file for note in recordings.chosen(True)} & set(heard)


def test_lanes_go_on_where_they_were(recordings: Recordings):
    """State written as JSON and read into other lanes gives the segments that would have followed."""
    lanes, other = lanes_of(recordings), lanes_of(recordings, seed=5)
    for _ in range(3):
        next(lanes)
    state = json.dumps(lanes.state_dict())
    assert json.loads(state)["deck"]
    following = [next(lanes) for _ in range(12)]
    other.load_state_dict(json.loads(state))
    for expected in following:
        given = next(other)
        for name in ("pitch", "loudness", "sound", "low"):
            assert torch.equal(getattr(given, name), getattr(expected, name))


def test_two_steps_hear_all_sizes():
    """Without the part above 8 kHz, the mean of two steps' losses is Magenta's loss with all six sizes."""
    torch.manual_seed(0)
    sound, target = torch.randn(2, 2, 14400) * 0.1
    one, low = decimate(sound, 3), decimate(target, 3)
    two = sum(float(training_loss(sound, target, low, RATE, step, 0.0)) for step in (0, 1)) / 2
    assert two == pytest.approx(float(spectral_loss(one, low, floor="added").mean()), rel=1e-5)
    assert len(SIZES[::2]) == len(SIZES[1::2])
    high = [
        float(training_loss(sound, target, low, RATE, step, 1.0) - training_loss(sound, target, low, RATE, step, 0.0)) for step in range(4)
    ]
    assert min(high) > 0.3


def test_the_documented_settings_are_the_defaults():
    """The YAML in docs/voices.md loads, and says what holds without it."""
    text = (Path(__file__).parent.parent / "docs" / "voices.md").read_text()
    documented = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert from_mapping(VoiceSettings, documented, "docs/voices.md") == VoiceSettings()
    assert len(documented) + len(documented["voice"]) == 23


@pytest.mark.parametrize(("loss", "said"), [(4.9, "good"), (5.0, "good"), (5.5, "usable"), (6.01, "not yet usable")])
def test_a_loss_is_told_in_words(loss: float, said: str):
    """5 and below is good, up to 6 is usable."""
    assert word(loss) == said


def test_training_learns_and_says_how_well(folder: Path, tmp_path: Path):
    """The held-out loss falls far below the first, and the voice in the folder has the figures that its facts state."""
    settings = VoiceSettings(**{**vars(QUICK), "steps": 60, "evaluate_every": 20, "learning_rate": 0.01, "sound_every": 60})
    told: list[str] = []
    facts = train_voice(folder, tmp_path / "reed", settings, tell=told.append)
    lines = [json.loads(line) for line in (tmp_path / "reed" / "training" / "metrics.jsonl").read_text().splitlines()]
    store = Recordings(tmp_path / "reed" / "training" / "recordings")
    torch.manual_seed(settings.random_seed)
    untrained = evaluate_voice(VoiceAutoencoder(SMALL), store, store.chosen(True))
    assert facts["held_out"]["loss"] < untrained.loss - 2
    assert facts["steps"] == 60
    assert facts["held_out"]["step"] in (20, 40, 60)
    assert facts["held_out"]["loss"] == pytest.approx(min(line["held_out"]["loss"] for line in lines if "held_out" in line), abs=1e-3)
    assert any("0.1 minutes to learn from, 0.0 held out (1 notes)" in line for line in told)
    voice, saved = load_autoencoder(tmp_path / "reed")
    assert saved["held_out"] == facts["held_out"]
    figures = evaluate_voice(voice, store, store.chosen(True))
    assert figures.loss == pytest.approx(facts["held_out"]["loss"], abs=1e-3)
    without = evaluate_voice(voice, store, store.chosen(True), coded=False)
    assert without.loss == pytest.approx(facts["held_out"]["without_code"]["loss"], abs=1e-3)
    assert without.loss != figures.loss
    assert figures.pitch_cents < 5
    assert voice.config.lowest_pitch == pytest.approx(220, rel=0.01)
    assert np.all(np.diff(voice.config.loudness_quantiles) >= 0)
    comparison, rate = soundfile.read(tmp_path / "reed" / "training" / "sounds" / "step-000060.wav")
    assert rate == RATE
    assert np.abs(comparison).max() == pytest.approx(0.5, abs=0.01)


def test_a_voice_from_a_voice_begins_where_that_one_was(folder: Path, tmp_path: Path):
    """From another voice's weights the first figures are about that one's last, also if it has no code; other shapes are told."""
    plain = VoiceSettings(**{**vars(QUICK), "steps": 40, "evaluate_every": 40, "learning_rate": 0.01, "voice": replace(SMALL, code=0)})
    learned = train_voice(folder, tmp_path / "plain", plain)["held_out"]["loss"]
    settings = VoiceSettings(**{**vars(QUICK), "steps": 1, "evaluate_every": 1, "from_voice": str(tmp_path / "plain")})
    begun = train_voice(folder, tmp_path / "begun", settings)["held_out"]["loss"]
    anew = train_voice(folder, tmp_path / "anew", VoiceSettings(**{**vars(settings), "from_voice": None}))["held_out"]["loss"]
    assert abs(begun - learned) < 0.5 < anew - learned
    assert "without_code" not in load_autoencoder(tmp_path / "plain")[1]["held_out"]
    other = VoiceSettings(**{**vars(settings), "voice": replace(SMALL, memory=13)})
    with pytest.raises(InputError, match="its memory is 12, not 13"):
        train_voice(folder, tmp_path / "other", other)


def test_figures_are_those_of_whole_notes(recordings: Recordings):
    """The reported loss is Magenta's, of each held-out note at 16 kHz, and the loudness error likewise."""
    torch.manual_seed(1)
    voice = VoiceAutoencoder(SMALL)
    notes = recordings.chosen(False)[:2]
    losses, errors = [], []
    for note in notes:
        pair = [resample(sound, RATE, 16000)[None] for sound in (played(voice, recordings, note), recordings.array("sound", note))]
        one, other = (torch.from_numpy(sound).float() for sound in pair)
        losses.append(float(spectral_loss(one, other)))
        errors.append(float(loudness_error(one, other)))
    figures = evaluate_voice(voice, recordings, notes)
    assert figures.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert figures.loudness_error == pytest.approx(np.mean(errors), rel=1e-4)
    assert figures.notes == 2


@pytest.mark.parametrize(
    ("notes", "low", "high"),
    [
        ([40, *range(58, 90), *range(58, 90)], 58, 89),  # a subharmonic heard once
        ([*range(58, 90), 101], 58, 89),
        ([40, 40, *range(58, 90)], 40, 89),  # twice is no accident
        ([36, 48, 60, 72], 36, 72),  # every octave
        ([52, 58, 64, 65], 52, 65),
        ([60], 60, 60),
        ([60, 80], 60, 80),
    ],
)
def test_a_lone_note_far_from_all_others_is_no_compass(notes: list[int], low: int, high: int):
    """The compass ends where notes are, not where one was heard wrongly; sparse recordings keep theirs."""
    found = compass_of(440 * 2 ** ((np.array(notes) - 69) / 12))
    assert np.round(69 + 12 * np.log2(np.array(found) / 440)).tolist() == [low, high]


def test_ctrl_c_saves_and_resuming_changes_nothing(folder: Path, tmp_path: Path):
    """A training stopped by Ctrl-C says how to go on; resumed it ends with the weights, the optimizer and the log of one never stopped."""
    settings = VoiceSettings(**{**vars(QUICK), "steps": 30, "evaluate_every": 10, "checkpoint_every": 10, "sound_every": 30})
    train_voice(folder, tmp_path / "whole", settings)

    def press() -> None:
        log = tmp_path / "stopped" / "training" / "metrics.jsonl"
        while not (log.exists() and '"step": 10,' in log.read_text()):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(InputError, match=r"stopped at step \d+ and saved; go on with: symbolic voice train .* --resume"):
        train_voice(folder, tmp_path / "stopped", settings)
    presser.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train_voice(folder, tmp_path / "stopped", resume=True)
    states = [torch.load(tmp_path / name / "training" / "last" / "training.pt", weights_only=True) for name in ("whole", "stopped")]
    assert states[0]["step"] == states[1]["step"] == 30
    for name, part in states[0]["model"].items():
        assert torch.equal(part, states[1]["model"][name]), name
    for key, moments in states[0]["optimizer"]["state"].items():
        assert torch.equal(moments["exp_avg_sq"], states[1]["optimizer"]["state"][key]["exp_avg_sq"])
    logs = [
        [json.loads(line) for line in (tmp_path / name / "training" / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "stopped")
    ]
    assert [(line["step"], line.get("loss"), line.get("held_out")) for line in logs[0]] == [
        (line["step"], line.get("loss"), line.get("held_out")) for line in logs[1]
    ]


def test_a_loss_that_is_no_number_is_never_saved(folder: Path, tmp_path: Path):
    """Where the loss is lost the training ends with one line, and the checkpoint and the voice before stay as they were."""
    voice = tmp_path / "reed"
    train_voice(folder, voice, QUICK)
    kept = [voice / "voice.safetensors", voice / "training" / "last" / "training.pt"]
    before = [path.read_bytes() for path in kept]
    sound = voice / "training" / "recordings" / "sound.f32"
    np.full(sound.stat().st_size // 4, np.nan, np.float32).tofile(sound)
    longer = VoiceSettings(**{**vars(QUICK), "steps": 12})
    with pytest.raises(InputError, match=r"the loss is nan at step \d+; learning_rate is 0\.002: lower it .* --resume"):
        train_voice(folder, voice, longer, resume=True)
    assert [path.read_bytes() for path in kept] == before


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`voice train` with a settings file and --json, and `voice show`, as a person types them."""
    settings = tmp_path / "quick.yaml"
    settings.write_text(yaml.safe_dump(to_mapping(QUICK)))
    voice = tmp_path / "reed"
    assert main(["voice", "train", str(folder), "-o", str(voice), "--settings", str(settings), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == 6
    assert facts["recordings"]["files"] == 10
    assert main(["voice", "show", str(voice)]) == 0
    shown = capsys.readouterr().out
    assert "compass of its recordings: A3 to " in shown
    assert f"held-out loss {facts['held_out']['loss']:.2f}: {facts['word']}" in shown
    assert f"told pitch and loudness alone, as songs are played: {facts['held_out']['without_code']['loss']:.2f}" in shown
    assert main(["voice", "train", str(folder), "-o", str(voice)]) == 1
    assert "a voice is in this folder already" in capsys.readouterr().err
    soundfile.write(folder / "zz_new.wav", np.concatenate([reed(300), np.zeros(9000), reed(330)]), RATE)
    try:
        assert main(["voice", "train", str(folder), "-o", str(voice), "--resume"]) == 1
    finally:
        (folder / "zz_new.wav").unlink()
    assert "not the recordings this training began with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["voice"], 2, "say what to do"),
        (["voice", "train", "FOLDER", "-o", "VOICE", "--kind", "organ"], 2, "choose ddsp"),
        (["voice", "train", "NOWHERE", "-o", "VOICE"], 1, "no such folder"),
        (["voice", "train", "FOLDER", "-o", "VOICE", "--resume"], 1, "no training to go on with"),
        (["voice", "train", "FOLDER", "-o", "FILE"], 1, "this is a file"),
        (["voice", "train", "FOLDER", "-o", "VOICE", "--settings", "SETTINGS"], 1, "segment_frames (51) must be a multiple"),
        (["voice", "show", "FOLDER"], 1, "no folder of a voice"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
):
    """Each wrong use ends with one line and its status, and leaves no voice."""
    (tmp_path / "file").write_text("")
    (tmp_path / "settings.yaml").write_text("segment_frames: 51\n")
    places = {
        "FOLDER": folder, "VOICE": tmp_path / "voice", "NOWHERE": tmp_path / "nowhere", "FILE": tmp_path / "file",
        "SETTINGS": tmp_path / "settings.yaml",
    }  # fmt: skip
    assert main([str(places.get(argument, argument)) for argument in arguments]) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "voice" / "config.json").exists()

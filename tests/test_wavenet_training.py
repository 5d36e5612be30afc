"""A WaveNet learns from notes, goes on where it stopped, and keeps a voice that plays."""

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from symbolic.cli import main
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.errors import InputError
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.sampling import Note, play_notes
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.settings import load_settings, to_mapping
from symbolic.training.autoencoder import AutoencoderRun, score_notes
from symbolic.training.wavenet import WavenetSettings, train_wavenet
from symbolic.training.wavenet_notes import RecordedNote, codes_heard, draw_batch, margin_of, strayed

TINY = WavenetConfig(channels=32, layers=6, cycle=6, kernel=2, code_samples=128, hold=16, conditioning=32, encoder_channels=16)
QUICK = WavenetSettings(
    wavenet=TINY, steps=8, lanes=3, frames=6, warmup_steps=4, warmup_samples=64, learning_rate=0.004, average=0.9, evaluate_every=4,
    evaluation_notes=1, checkpoint_every=4, precision="float32",
)  # fmt: skip


def tone(pitch: float, seconds: float = 0.3, level: float = 0.5) -> np.ndarray:
    """A note with two partials that dies away."""
    time = np.arange(round(16000 * seconds)) / 16000
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = np.sin(2 * np.pi * hertz * time) + 0.3 * np.sin(4 * np.pi * hertz * time)
    return (level * wave * np.exp(-3 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def notes() -> list[RecordedNote]:
    return [
        RecordedNote(tone(pitch, 0.2 + 0.01 * pitch / 10), pitch, 40 + pitch / 2, pitch % 5 == 0, str(pitch)) for pitch in range(60, 76)
    ]


@pytest.fixture(scope="module")
def trained(notes, tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("wavenet") / "voice"
    return folder, train_wavenet(notes, folder, replace(QUICK, steps=80))


def test_it_learns(trained, notes):
    """Held-out notes, 8 bits a sample for a guess, cost far less; what was best is kept, rounded, and costs as much as is said."""
    folder, facts = trained
    lines = [json.loads(line) for line in (folder / "training" / "metrics.jsonl").read_text().splitlines()]
    costs = [line["held_out"]["bits_per_sample"] for line in lines if "held_out" in line]
    assert costs[-1] < costs[0] < 8
    assert facts["held_out"]["loss"] == facts["held_out"]["bits_per_sample"] == pytest.approx(min(costs), abs=1e-4)
    assert facts["held_out"]["step"] in (line["step"] for line in lines if "held_out" in line)
    assert facts["training_seconds"] > 0
    assert min(costs) < 7
    model = load_wavenet(folder)
    codes = torch.cat([model.encode(torch.from_numpy(note.sound)) for note in notes])
    assert codes.std(0).min() > 0.2  # no number says the same of every sound
    held_out = [note for note in notes if note.held_out]
    scored = score_notes(model, held_out[:: -(-len(held_out) // QUICK.evaluation_notes)])
    assert scored["bits_per_sample"] == pytest.approx(min(costs), abs=0.03)
    assert json.loads((folder / "voice.json").read_text())["kind"] == "wavenet"


def test_the_voice_plays(trained):
    """A note from pitch, velocity and length alone, in machine code, with weights of half the size."""
    model = load_wavenet(trained[0])
    pitch, velocity, samples = torch.tensor([64.0]), torch.tensor([80.0]), torch.tensor([1000])
    codes = model.writer(pitch, velocity, samples)[0]
    made = play_notes(model, [Note(codes, 64.0, 80.0, 1000)])[0]
    np.testing.assert_array_equal(made, play_notes(model, [Note(codes, 64.0, 80.0, 1000)], native=False)[0])
    assert len(np.unique(made)) > 20


def test_a_resumed_run_equals_one_never_stopped(notes, tmp_path):
    """Weights, averages and best figures bit for bit."""
    whole = train_wavenet(notes, tmp_path / "whole", replace(QUICK, decay_share=0.0))
    train_wavenet(notes, tmp_path / "parts", replace(QUICK, steps=4, decay_share=0.0))
    parts = train_wavenet(notes, tmp_path / "parts", replace(QUICK, decay_share=0.0), resume=True)
    state, other = (torch.load(tmp_path / name / "training/last/training.pt", weights_only=True) for name in ("whole", "parts"))
    for name, value in state["model"].items():
        assert torch.equal(value, other["model"][name]), name
    for name, value in state["averaged"].items():
        assert torch.equal(value, other["averaged"][name]), name
    assert parts["steps"] == whole["steps"] == 8
    assert state["best"] == other["best"]


def test_ctrl_c_saves(notes, tmp_path):
    """The step is finished, the state is saved, and one line says how to go on."""
    calls = 0

    class Stopping(list):
        def __getitem__(self, index):
            nonlocal calls
            calls += 1
            if calls == 40:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(index)

    run = tmp_path / "voice"
    training = AutoencoderRun(notes, "notes", run, replace(QUICK, steps=1000), False)
    training.learned = Stopping(training.learned)
    with pytest.raises(InputError, match=r"stopped at step \d+ and saved"):
        training.go()
    assert (run / "training/last/training.pt").is_file()


def test_a_batch_depends_on_the_step_alone(notes):
    """The same step gives the same batch, another step another one; µ-law silence fills what is beyond a note, uncounted."""
    options = {"lanes": 40, "frames": 20, "size": 128, "hold": 32, "margin": 4, "warmup": 100, "onsets": 0.5, "shift_semitones": 2.0}
    one, two, other = (draw_batch(notes, step, 0, **options) for step in (3, 3, 4))
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(two, name)), name
    assert not torch.equal(one.codes, other.codes)
    assert one.codes.shape == (40, 2560)
    for lane in range(40):
        begin, length = int(one.first[lane]) * 128, int(one.samples[lane])
        inside = torch.arange(begin, begin + 2560) < length
        assert (one.codes[lane, ~inside] == 128).all()
        counted = inside & ((torch.arange(2560) >= 100) | (begin == 0))
        assert torch.equal(one.counted[lane], counted)
        note = next(note for note in notes if note.pitch == one.pitch[lane])
        heard = one.heard[lane, 512 : 512 + int(inside.sum())]
        torch.testing.assert_close(heard, torch.from_numpy(note.sound[begin : begin + 2560]))
    assert (one.first == 0).sum() >= 10


def test_a_sound_that_strayed_comes_back():
    """It begins at another level by so many decibels and as noisy as is said, and both die away; without either nothing changes."""
    sound = torch.from_numpy(np.stack([tone(48, 0.8, 0.2)] * 90))
    sound[:, 10000:] = 0
    codes = mu_law_encode(sound, 65536)
    assert torch.equal(strayed(codes, 1, 0.0, -200.0, 65536), codes)
    assert torch.equal(strayed(codes, 1, 3.0, -20.0, 65536), strayed(codes, 1, 3.0, -20.0, 65536))
    assert not torch.equal(strayed(codes, 1, 3.0, -20.0, 65536), strayed(codes, 2, 3.0, -20.0, 65536))

    def decibels(made: torch.Tensor, begin: int) -> torch.Tensor:
        beside = (part[:, begin : begin + 490].square().mean(1) for part in (made, sound))  # four waves of 131 Hz
        return 10 * torch.log10(next(beside) / next(beside))

    level = mu_law_decode(strayed(codes, 1, 3.0, -200.0, 65536), 65536)
    assert decibels(level, 0).std() == pytest.approx(3.0 * math.exp(-0.0153 / 0.12), abs=0.4)
    assert decibels(level, 5760).std() == pytest.approx(3.0 * math.exp(-0.3753 / 0.12), abs=0.03)
    noise = mu_law_decode(strayed(codes, 1, 0.0, -3.0, 65536), 65536) - sound
    for begin in (600, 5760):
        depth = decibels(noise, begin)
        died = 20 * math.log10(math.e) * (begin + 245) / 16000 / 0.12
        assert depth.max() == pytest.approx(-3 - died, abs=1.0)
        assert depth.min() == pytest.approx(-43 - died, abs=1.5)
    assert not noise[:, 10600:].any()


def test_codes_of_a_piece_are_those_of_the_whole_note(notes):
    """Without shift the codes of a piece equal those cut from the whole note's; shifted, a steady sound keeps its course in time."""
    torch.manual_seed(0)
    encoder = Wavenet(TINY).encoder.eval()
    long = [RecordedNote(tone(60, 1.0) * np.linspace(1, 0, 16000).astype(np.float32), 60, 64)]
    for shift in (0.0, 3.0):
        margin = margin_of(encoder, 8, shift)
        batch = draw_batch(long, 1, 0, lanes=6, frames=8, size=128, hold=32, margin=margin, warmup=0, onsets=0.2, shift_semitones=shift)
        with torch.no_grad():
            codes = codes_heard(encoder, batch, 8)
            whole = encoder(torch.from_numpy(long[0].sound)[None])[0]
        cut = torch.stack([whole[int(first) : int(first) + 8] for first in batch.first])
        if shift:
            assert (codes - cut).abs().max() > 1e-3
        else:
            torch.testing.assert_close(codes, cut, atol=1e-5, rtol=0)


def test_codes_at_another_speed_are_put_back_in_time():
    """A click in the sound stays at its place in the codes, whatever speed the encoder hears it at."""
    torch.manual_seed(0)
    encoder = Wavenet(TINY).encoder.eval()
    sound = np.zeros(128 * 40, dtype=np.float32)
    sound[128 * 23 : 128 * 24] = np.random.default_rng(0).uniform(-1, 1, 128)
    note = [RecordedNote(sound, 60, 64)]
    margin = margin_of(encoder, 40, 4.0)
    batch = draw_batch(note, 0, 0, lanes=8, frames=40, size=128, hold=32, margin=margin, warmup=0, onsets=1.0, shift_semitones=4.0)
    assert batch.scale.std() > 0.05
    with torch.no_grad():
        codes = codes_heard(encoder, batch, 40)
        quiet = encoder(torch.zeros(1, 128 * 40))[0]
    apart = (codes - quiet).abs().sum(-1)
    middle = (apart * torch.arange(40)).sum(1) / apart.sum(1)
    assert (middle - 23).abs().max() < 0.75


def test_a_folder_of_recordings(tmp_path):
    """Files named after their notes; dynamics become velocities, one gain serves all."""
    for number, pitch in enumerate(("A4", "C5", "E5", "A5")):
        for dynamic, level in (("pianissimo", 0.02), ("forte", 0.2)):
            midi = 69 + (0, 3, 7, 12)[number]
            soundfile.write(tmp_path / f"flute_{pitch}_1_{dynamic}.wav", np.pad(tone(midi, 0.4, level), (800, 800)), 16000)
    voice = tmp_path / "voice"
    lines: list[str] = []
    facts = train_wavenet(tmp_path, voice, replace(QUICK, steps=2), tell=lines.append)
    assert facts["recordings"]["notes"] == 7
    assert "8 notes of one pitch" in lines[-1]
    assert 68.8 < facts["lowest_pitch"] < facts["highest_pitch"] < 81.2
    with pytest.raises(InputError, match="a trained model is in this folder already"):
        train_wavenet(tmp_path, voice, QUICK)
    with pytest.raises(InputError, match="recorded notes are at 16000"):
        train_wavenet(tmp_path, tmp_path / "other", replace(QUICK, wavenet=replace(TINY, sample_rate=8000)))


def test_what_cannot_be_trained_is_refused(notes, tmp_path):
    """No notes, none held out, no run to go on with, other notes, a damaged checkpoint: one line each."""
    with pytest.raises(InputError, match="0 notes of one pitch to learn from"):
        train_wavenet([], tmp_path / "a", QUICK)
    with pytest.raises(InputError, match="0 held out"):
        train_wavenet([notes[1]], tmp_path / "a", QUICK)
    with pytest.raises(InputError, match="no training to go on with"):
        train_wavenet(notes, tmp_path / "a", QUICK, resume=True)
    run = tmp_path / "run"
    train_wavenet(notes, run, replace(QUICK, steps=1))
    with pytest.raises(InputError, match="not the recordings this training began with"):
        train_wavenet(notes[:9], run, QUICK, resume=True)
    with pytest.raises(InputError, match="of another shape"):
        train_wavenet(notes, run, replace(QUICK, wavenet=replace(TINY, layers=4)), resume=True)
    (run / "training/last/training.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        train_wavenet(notes, run, QUICK, resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder is wanted"):
        train_wavenet(notes, tmp_path / "file", QUICK)
    broken = [replace(note, sound=np.full(2000, math.nan, np.float32)) for note in notes]
    with pytest.raises(InputError, match=r"the loss is nan|the loss is"):
        train_wavenet(broken, tmp_path / "b", replace(QUICK, shift_semitones=0.0))


@pytest.mark.parametrize(
    "line", ["steps: 0", "onsets: 2.0", "learning_rate: 3.0", "warmup_samples: 99999", "precision: half", "shift_semitones: 20.0",
             "stray_gain: -1.0", "stray_noise: 3.0", "wavenet: {channels: 20}", "stepz: 3"],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path, line):
    """Each is refused in one line that names it."""
    (tmp_path / "settings.yaml").write_text(line)
    with pytest.raises(InputError, match=line.split(":")[-2].strip(" {")) as caught:
        load_settings(WavenetSettings, tmp_path / "settings.yaml")
    assert "\n" not in str(caught.value)


def test_a_run_that_starts_from_a_voice(trained, notes, tmp_path):
    """It has that voice's shape and weights, costs less at once than one from nothing, and goes on when the voice is gone."""
    voice, output = tmp_path / "voice", tmp_path / "finer"
    shutil.copytree(trained[0], voice, ignore=shutil.ignore_patterns("training"))
    settings = replace(QUICK, wavenet=WavenetSettings().wavenet, from_voice=str(voice), learning_rate=1e-6, steps=1, warmup_steps=0)
    facts = train_wavenet(notes, output, settings)
    assert load_wavenet(output).config == TINY
    assert facts["held_out"]["loss"] == pytest.approx(trained[1]["held_out"]["loss"], abs=0.01)
    shutil.rmtree(voice)
    assert train_wavenet(notes, output, replace(settings, steps=2), resume=True)["steps"] == 2
    (tmp_path / "settings.yaml").write_text(f"from_voice: {voice}\n")
    with pytest.raises(InputError, match="no folder of one"):
        train_wavenet(notes, tmp_path / "other", tmp_path / "settings.yaml")
    with pytest.raises(InputError, match="its shape is not the one"):
        train_wavenet(notes, tmp_path / "other", replace(QUICK, wavenet=replace(TINY, layers=4), from_voice=str(trained[0])))


def test_the_commands(tmp_path, capsys):
    """`voice train --kind wavenet` and `voice show`, as a person types them; what they say is true of this kind."""
    folder, voice = tmp_path / "recordings", tmp_path / "voice"
    folder.mkdir()
    for pitch, name in ((69, "A4"), (72, "C5"), (76, "E5"), (81, "A5"), (84, "C6")):
        soundfile.write(folder / f"flute_{name}_1_forte.wav", np.pad(tone(pitch, 0.4), (800, 800)), 16000)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(to_mapping(replace(QUICK, steps=2, evaluate_every=2))))
    assert main(["voice", "train", str(folder), "-o", str(voice), "--kind", "wavenet", "--settings", str(settings)]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = json.loads((voice / "voice.json").read_text())
    assert lines[0].startswith(f"{voice}: learned from 0.0 minutes, 2 steps")
    assert lines[1] == f"held-out loss {facts['held_out']['loss']:.2f}: bits per sample, where a guess costs 8, at step 2"
    assert main(["voice", "show", str(voice)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{voice}: wavenet of 32 channels and 6 layers at 16000 Hz"
    assert shown[1] == "compass of its recordings: A4 to A5"  # the fifth note is held out
    assert shown[2:] == lines
    assert main(["voice", "show", str(voice), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["channels"], told["held_out"]) == ("wavenet", 32, facts["held_out"])
    (voice / "voice.json").unlink()
    assert main(["voice", "show", str(voice)]) == 0
    assert capsys.readouterr().out.splitlines() == shown[:1]
    assert main(["voice", "train", str(folder), "-o", str(voice), "--kind", "wavenet"]) == 1
    assert "is in this folder already" in capsys.readouterr().err
    assert main(["voice", "show", "nothing", "--kind", "wavenet"]) == 1
    assert "no bundled WaveNet of this name" in capsys.readouterr().err
    assert main(["voice", "show", "nothing", "--kind", "organ"]) == 2

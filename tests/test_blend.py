"""Two notes blended, one note stretched and moved: lengths to the sample, pitches as told, and what is no note refused in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from symbolic.cli import main
from symbolic.dsp.mu_law import mu_law_encode
from symbolic.dsp.resampling import resample
from symbolic.errors import InputError, UsageError
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.sampling import Note
from symbolic.models.wavenet.saving import save_wavenet
from symbolic.models.wavenet.temporal_codes import sustained
from symbolic.rendering.blending import blend, blend_files, heard_note
from symbolic.rendering.blending.hearing import REACH
from symbolic.rendering.blending.steps import put_together
from symbolic.rendering.in_tune import heard_pitch, play_in_tune

TINY = WavenetConfig(channels=32, layers=3, cycle=3, kernel=2, conditioning=32, encoder_channels=16)


def tone(pitch: float, seconds: float = 0.4, rate: int = 16000) -> np.ndarray:
    """Four partials that die away."""
    time = np.arange(round(rate * seconds)) / rate
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    return sum(0.4**k * np.sin(2 * np.pi * k * hertz * time) for k in range(1, 5)) * np.exp(-3 * time)


@pytest.fixture(scope="module")
def model() -> Wavenet:
    torch.manual_seed(0)
    return Wavenet(TINY).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def voice(model: Wavenet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice") / "tiny"
    save_wavenet(model, folder)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("notes")
    first, second = folder / "first.wav", folder / "second.flac"
    soundfile.write(first, np.pad(0.1 * tone(69, 0.4, 44100), (9000, 20000)), 44100, "FLOAT")
    soundfile.write(second, np.stack([0.3 * tone(76.2, 0.6, 48000), 0.2 * tone(76.2, 0.6, 48000)], 1), 48000, "PCM_24")
    return str(first), str(second)


def test_a_note_is_heard(model):
    """Whatever its rate, level, channels and the silence around it: pitch to 5 cents, length to 8 ms, the same peak."""
    for rate in (8000, 22050, 96000):
        audio = np.pad(np.stack([tone(66.3, 0.5, rate)] * 3), ((0, 0), (rate // 3, rate // 2)))
        note = heard_note(0.02 * audio, rate, model)
        assert note.pitch == pytest.approx(66.3, abs=0.05)
        assert note.samples / 16000 == pytest.approx(0.5, abs=0.008)
        assert np.abs(note.sound).max() == pytest.approx(0.35)
        assert 16 <= note.velocity <= 127


def test_a_pitch_far_away_is_heard_at_another_speed(model):
    """Within three semitones codes are those of the sound; beyond, those of the sound played faster or slower by the rest."""
    note = heard_note(tone(69, 0.6), 16000, model)
    own = model.encode(torch.from_numpy(note.sound))
    for pitch in (68.9 - REACH + 0.2, 70.5, 68.9 + REACH):
        assert torch.equal(note.codes_at(model, pitch), own)
    for pitch in (76, 64):
        semitones = pitch - note.pitch - np.sign(pitch - 69) * REACH
        codes = note.codes_at(model, pitch)
        assert codes.shape == own.shape
        faster = resample(note.sound, 2 ** (semitones / 12), 1.0)
        assert heard_pitch(faster, 16000)[0] == pytest.approx(note.pitch + semitones, abs=0.05)
        again = model.encode(torch.from_numpy(faster))
        torch.testing.assert_close(codes[0], again[0])
        torch.testing.assert_close(codes[-1], again[-1])


def test_what_is_put_together(model):
    """Codes lie between those of both notes at one length; pitch, velocity and samples are those asked for, or lie between."""
    first, second = heard_note(tone(69, 0.7), 16000, model), heard_note(tone(71, 0.5), 16000, model)
    note = put_together(model, first, second, 0.25, seconds=1.001, random_seed=3)
    assert (note.samples, note.pitch, note.random_seed) == (16016, pytest.approx(69.5, abs=0.03), 3)
    assert note.velocity == pytest.approx(0.75 * first.velocity + 0.25 * second.velocity)
    count = -(-16016 // TINY.code_samples)
    wanted = 0.75 * sustained(first.codes_at(model, 69.5), count) + 0.25 * sustained(second.codes_at(model, 69.5), count)
    torch.testing.assert_close(note.codes, wanted)
    assert put_together(model, first, second, 0.5).samples == round((first.samples + second.samples) / 2)
    assert put_together(model, first, pitch=72.25).pitch == 72.25


def test_steps(model):
    """The first is the first note alone, the last the second; the same random seed gives the same sound, another another."""
    first, second = heard_note(tone(69), 16000, model), heard_note(tone(71), 16000, model)
    done = []
    made = blend(model, first, second, steps=3, seconds=0.2, progress=lambda now, all_: done.append((now, all_)), tries=1)
    assert [step.share for step in made] == [0, 0.5, 1]
    assert [len(step.sound) for step in made] == [3200] * 3
    assert done[-1] == (9600, 9600)
    assert all(np.abs(step.sound).max() <= 1 and step.sound.dtype == np.float32 and step.sound[-1] == 0 for step in made)
    again, other = (blend(model, first, second, steps=3, seconds=0.2, random_seed=seed, tries=1) for seed in (0, 1))
    assert all(np.array_equal(a.sound, b.sound) for a, b in zip(made, again, strict=True))
    assert not np.array_equal(made[1].sound, other[1].sound)
    alone = blend(model, first, seconds=0.2, tries=1)
    np.testing.assert_array_equal(alone[0].sound, made[0].sound)
    assert blend(model, first, second, steps=1, seconds=0.1, tries=1)[0].share == 0.5


class Chance:
    """A player whose every note is a sine between 220 and 440 Hz, by the first of its random numbers."""

    def __init__(self, config: WavenetConfig) -> None:
        self.config = config

    def lanes(self, count: int) -> dict[str, np.ndarray]:
        return {"hertz": np.zeros(count), "phase": np.zeros(count)}

    def silence(self, lanes: dict[str, np.ndarray], lane: int) -> None:
        lanes["hertz"][lane] = lanes["phase"][lane] = 0.0

    def chosen(self, lanes: dict[str, np.ndarray], index: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[index].copy() for name, values in lanes.items()}

    def play(self, lanes, conditioning, cycles, random, temperature) -> np.ndarray:
        lanes["hertz"] = np.where(lanes["hertz"] > 0, lanes["hertz"], 220 * 2 ** random[:, 0])
        phase = lanes["phase"][:, None] + 2 * np.pi * lanes["hertz"][:, None] * np.arange(1, random.shape[1] + 1) / 16000
        lanes["phase"] = phase[:, -1]
        return mu_law_encode((0.4 * np.sin(phase)).astype(np.float32))


class ChanceNet(Wavenet):
    """An autoencoder with that player."""

    def player(self, native=None):
        return Chance(self.config)


def test_a_note_off_pitch_is_drawn_again():
    """Of the draws that are made the nearest is kept; none is made after one within 30 cents, and the first is that of one try."""
    model = ChanceNet(TINY).eval()
    asked = [57.5 + place for place in range(11)]
    notes = [Note(torch.zeros(8, 16), pitch, 80.0, 3000, place) for place, pitch in enumerate(asked)]
    draws = []
    for turn in range(6):
        played = play_in_tune(model, [replace(note, random_seed=note.random_seed + 7919 * turn) for note in notes], tries=1)
        draws.append([abs(one.heard - pitch) for one, pitch in zip(played, asked, strict=True)])
    for tries in (1, 3, 6):
        counted: list[int] = []
        kept = play_in_tune(model, notes, tries=tries, progress=counted.append)
        assert sum(counted) == 3000 * len(notes)  # the first draws
        for place, one in enumerate(kept):
            off = [draws[turn][place] for turn in range(tries)]
            within = [distance for distance in off if distance <= 0.3]
            assert abs(one.heard - asked[place]) == pytest.approx(within[0] if within else min(off), abs=1e-6)
    assert any(first > 0.3 >= min(others) for first, *others in zip(*draws, strict=True))


def test_the_command(voice, recordings, tmp_path, capsys):
    """Two files into one with a silence between steps, or into one each; a picture; and --json says what was made."""
    output = tmp_path / "out.wav"
    arguments = ["blend", *recordings, "--model", str(voice), "--length", "0.25", "--steps", "3", "-o", str(output)]
    assert main([*arguments, "--plot", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    sound, rate = soundfile.read(output)
    assert (rate, sound.shape) == (48000, (3 * 12000 + 2 * 14400, 2))
    assert not sound[12100:26300].any() or np.abs(sound[12100:26300]).max() < 1e-6  # dither
    assert np.abs(sound).max() == pytest.approx(0.7, abs=0.01)
    assert [step["share"] for step in told["steps"]] == [0, 0.5, 1]
    assert [step["seconds"] for step in told["steps"]] == [0.25] * 3
    assert told["steps"][0]["pitch"] == pytest.approx(69, abs=0.05)
    assert told["steps"][2]["pitch"] == pytest.approx(76.2, abs=0.05)
    assert output.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "--separate", "--pitch", "C5", "--sample-rate", "16000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"{tmp_path / 'out-2.wav'}: 50% first, 50% second, 0.25 s, pitch C5, ")
    for number in (1, 2, 3):
        assert soundfile.info(tmp_path / f"out-{number}.wav").frames == 4000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-1.wav", "out-2.wav", "out-3.wav", "out.png", "out.wav"]


def test_one_note_and_its_codes(voice, recordings, tmp_path, capsys):
    """One file is stretched and moved; its codes, kept in a file, give the same sound later, where nothing was heard anew."""
    codes, first, second = tmp_path / "first.safetensors", tmp_path / "a.wav", tmp_path / "b.wav"
    arguments = ["--model", str(voice), "--length", "0.5", "--pitch", "70.5"]
    assert main(["blend", recordings[0], *arguments, "--codes", str(codes), "-o", str(first)]) == 0
    assert "pitch A#4 +50 cents" in capsys.readouterr().out or "pitch B4 -50 cents" in capsys.readouterr().out
    assert main(["blend", str(codes), *arguments, "-o", str(second)]) == 0
    assert soundfile.info(first).frames == 24000
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("silent", "it is silent"),
        ("empty", "without a single sample"),
        ("text", "audio"),
        ("missing", "no such file"),
        ("noise", "no pitch is to be heard"),
        ("hour", "are too long for a note"),
        ("click", "ms sound in it"),
    ],
)
def test_files_that_hold_no_note(voice, tmp_path, capsys, name, message):
    """Each is one line that names the file, and nothing is written."""
    path, output = tmp_path / f"{name}.wav", tmp_path / "out.wav"
    sounds = {
        "silent": np.zeros(8000), "empty": np.zeros(0), "noise": np.random.default_rng(0).standard_normal(8000) * 0.1,
        "hour": np.zeros(3600 * 1000, np.int16), "click": np.pad([0.5, -0.5], (4000, 4000)),
    }  # fmt: skip
    if name in sounds:
        soundfile.write(path, sounds[name], 1000 if name == "hour" else 16000)
    if name == "text":
        path.write_text("no sound")
    assert main(["blend", str(path), "--model", str(voice), "-o", str(output)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error
    assert error.count("\n") == 1
    assert not output.exists()


def test_damaged_sound_is_told_and_taken(voice, recordings, tmp_path):
    """Clipped samples, and samples that are no numbers: a remark, and a sound."""
    sound = 4 * tone(69, 0.5)
    sound[4000] = np.nan
    path = tmp_path / "loud.wav"
    soundfile.write(path, sound, 16000, "FLOAT")
    report = blend_files([path], tmp_path / "out.wav", model=voice, seconds=0.1)
    assert any("no numbers" in line for line in report.remarks)
    assert any("beyond full scale" in line for line in report.remarks)
    glide = np.sin(2 * np.pi * np.cumsum(np.geomspace(300, 600, 12000)) / 16000)
    soundfile.write(path, glide, 16000)
    report = blend_files([path], tmp_path / "glide.wav", model=voice, seconds=0.1)
    assert any("pitch wanders by" in line for line in report.remarks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "steps 0"),
        (["--pitch", "H4"], "no pitch"),
        (["--pitch", "300"], "pitch 300"),
        (["--pitch", "nan"], "pitch nan"),
        (["--length", "0"], "length 0"),
        (["--length", "3600"], "length 3600"),
        (["--temperature", "-1"], "temperature -1"),
        (["--codes", "x.safetensors"], "the codes of one note"),
        (["third.wav"], "3 files"),
    ],
)
def test_what_cannot_be_asked_for(voice, recordings, tmp_path, capsys, monkeypatch, arguments, message):
    """One line, and the status of wrong usage."""
    monkeypatch.chdir(tmp_path)
    assert main(["blend", *recordings, *arguments, "--model", str(voice)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_such_model(recordings, tmp_path, capsys):
    """A name that is none tells which there are."""
    assert main(["blend", *recordings, "--model", "five", "-o", str(tmp_path / "x.wav")]) == 1
    assert "five: no bundled WaveNet of this name" in capsys.readouterr().err
    with pytest.raises(InputError, match="no bundled WaveNet"):
        blend_files(recordings, tmp_path / "x.wav", model=tmp_path)
    with pytest.raises(UsageError, match="0 recordings"):
        blend_files([], tmp_path / "x.wav")

"""A recording at a higher rate, filled in above its old one: files of any kind in, one line where something is wrong."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import symbolic
from symbolic.cli import main
from symbolic.dsp.filters import apply_fir, fir_filter
from symbolic.dsp.resampling import resample
from symbolic.dsp.signal_to_noise import snr
from symbolic.errors import InputError
from symbolic.models.super_resolution import SuperResolution, SuperResolutionConfig, write_super_resolution
from symbolic.rendering.enhancing import Enhancer, bundled_folder, bundled_networks, chosen_networks, enhance_file, enhanced_to

TINY = SuperResolutionConfig(
    sample_rate=16000, widths=(8, 12), strides=(4, 4), bottom_layers=1, noise_bands=4, level_window=64, ratios=(2, 4)
)


def tone(rate: int, seconds: float = 1.0, pitch: float = 220.0) -> np.ndarray:
    """A note with all its harmonics below half the rate, dying away, and some breath."""
    time = np.arange(round(rate * seconds)) / rate
    numbers = np.arange(1, int(rate / 2 / pitch))
    sound = sum(np.sin(2 * np.pi * pitch * n * time + n * n) / n for n in numbers) * np.exp(-2 * time)
    return 0.1 * sound + 0.002 * np.random.default_rng(0).standard_normal(len(time))


def above(sound: np.ndarray, rate: int, edge: float) -> float:
    """Power above `edge` hertz, in dB of the whole."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    return float(10 * np.log10(power[np.fft.rfftfreq(len(sound), 1 / rate) > edge].sum() / power.sum() + 1e-20))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights that do change the sound."""
    torch.manual_seed(0)
    model = SuperResolution(TINY).eval().requires_grad_(False)
    torch.nn.init.normal_(model.last.weight, std=0.05)
    folder = tmp_path_factory.mktemp("own")
    write_super_resolution(model, folder)
    return folder


@pytest.mark.parametrize("rate", bundled_networks())
def test_a_bundled_network_is_small_and_has_a_card(rate):
    """Two megabytes at most, at the rate that its folder says, with licence and figures in words."""
    folder = bundled_folder(rate)
    assert json.loads((folder / "config.json").read_text())["sample_rate"] == rate
    assert (folder / "model.safetensors").stat().st_size < 2_000_000
    card = (folder / "README.md").read_text()
    for word in ("## Data", "## Licence", "## Training", "soxr"):
        assert word in card


def test_both_rates_come_along():
    """16 kHz for the low rates, 48 kHz for the rest; what is not there is refused by its name."""
    assert bundled_networks() == [16000, 48000]
    with pytest.raises(InputError, match="16000, 48000"):
        bundled_folder(22050)


@pytest.mark.parametrize(
    ("rate", "wanted", "networks", "told"),
    [
        (8000, 48000, [48000], None), (16000, 48000, [48000], None), (4000, 48000, [16000, 48000], None), (8000, 16000, [16000], None),
        (16000, 22050, [48000], None), (16000, 96000, [48000], None), (44100, 48000, [], "only resampled"),
        (48000, 48000, [], "--from-rate"), (48000, 16000, [], "nothing was filled in"), (1000, 16000, [16000], "learned from"),
    ],
)  # fmt: skip
def test_the_networks_go_by_the_rates(rate, wanted, networks, told):
    """Through 16 kHz from below 8, straight to 48 from there, none where nothing is missing; what is doubtful is told."""
    lines: list[str] = []
    assert [network.config.sample_rate for network in chosen_networks(rate, wanted, tell=lines.append)] == networks
    assert (told in lines[0]) if told else not lines


@pytest.mark.parametrize(("low", "high"), [(4000, 16000), (8000, 16000), (16000, 48000)])
def test_it_fills_in_above_and_leaves_what_is_below(low, high):
    """Above the old edge there is what soxr has not, and not more than there was; well below the edge the sound is the same."""
    truth = tone(high)
    given = resample(truth, high, low)
    plain, made = resample(given, low, high), enhanced_to(given, low, high)
    assert made.dtype == np.float32
    assert len(made) == len(truth)
    edge = 0.55 * low
    assert above(plain, high, edge) < -120
    assert -80 < above(made, high, edge) < above(truth, high, edge) + 3
    taps = fir_filter("low", 0.35 * low, high, 0.1 * low, attenuation_db=60)
    assert snr(apply_fir(truth, taps), apply_fir(made.astype(np.float64), taps)) > 30


def test_silence_stays_silence_and_equal_channels_stay_equal():
    """Nothing is made of nothing; noise is not drawn anew for each channel; another random seed gives other noise."""
    assert not enhanced_to(np.zeros(4000, np.float32), 8000, 16000).any()
    both = enhanced_to(np.stack([tone(8000, 0.3)] * 2), 8000, 16000)
    np.testing.assert_array_equal(both[0], both[1])
    assert not np.array_equal(enhanced_to(tone(8000, 0.3), 8000, 16000, random_seed=1), both[0])


def test_blocks_give_what_the_whole_gives(own):
    """Blocks of odd sizes through resamplers and network, for two channels."""
    sound = np.stack([tone(8000, 2.2), tone(8000, 2.2, 330)])
    whole = enhanced_to(sound, 8000, 22050, model=own)
    enhancer = Enhancer(8000, 22050, 2, own)
    pieces, place = [], 0
    for size in (1, 777, 5000, 3, 8000, 10**6):
        pieces.append(enhancer.process(sound[:, place : place + size]))
        place += size
    pieces.append(enhancer.flush())
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=3e-6)
    assert enhancer.power == pytest.approx(float(np.sum(np.square(whole, dtype=np.float64))), rel=1e-3)
    plain = resample(sound, 8000, 22050)
    assert enhancer.added == pytest.approx(float(np.sum(np.square(whole - plain))), rel=0.02)


def test_memory_does_not_grow_with_the_sound(own):
    """What is held between blocks after two minutes is what is held after ten seconds."""
    enhancer = Enhancer(8000, 16000, 1, own)
    block, held, ahead = np.zeros((1, 8000)), [], 0
    for second in range(120):
        ahead += 16000 - enhancer.process(block).shape[1]
        if second >= 10:
            held.append(ahead)
    assert max(held) < 16000 * 10
    assert max(held[60:]) <= max(held[:60])


@pytest.mark.parametrize(("length", "made"), [(0, 0), (1, 2), (7, 14)])
def test_sounds_of_next_to_nothing(length, made):
    """None, one and a few samples; other shapes and rates are refused in a line."""
    assert enhanced_to(np.ones(length), 8000, 16000).shape == (made,)
    with pytest.raises(InputError, match="transpose"):
        enhanced_to(np.ones((8000, 2)), 8000, 16000)
    with pytest.raises(InputError, match="sample-rate 10 "):
        enhanced_to(np.ones(5), 8000, 10)


def test_the_command_writes_sound_picture_and_report(tmp_path, capsys):
    """A stereo WAV at 8 kHz becomes one at 48, of its length, as `enhanced_to` has it; an existing file is replaced with --force only."""
    source, output = tmp_path / "in.wav", tmp_path / "out.wav"
    sound = np.stack([tone(8000, 0.5), 0.5 * tone(8000, 0.5, 300)])
    soundfile.write(source, sound.T, 8000, "PCM_16")
    arguments = ["enhance", str(source), "-o", str(output), "--plot", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["networks"], report["filled_from"], report["channels"], report["notes"]) == ([48000], 4000, 2, [])
    assert -80 < report["added_db"] < 0
    assert report["picture"] == str(output.with_suffix(".png"))
    assert output.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    made, rate = soundfile.read(output)
    assert (rate, made.shape, soundfile.info(output).subtype) == (48000, (24000, 2), "PCM_24")
    np.testing.assert_allclose(made.T, enhanced_to(soundfile.read(source)[0].T, 8000, 48000), atol=2e-6)
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_the_command_tells_in_words(tmp_path, capsys, monkeypatch):
    """Where it filled in and by how much; a name is made up where none is given."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.flac", tone(8000), 8000)
    assert main(["enhance", "in.flac", "--sample-rate", "16000"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "in-enhanced.wav: 1.0 s, 1 channel, 8,000 Hz → 16,000 Hz"
    assert re.fullmatch(r"filled in above 4,000 Hz by the network to 16,000 Hz: -\d+\.\d dB of the whole", second)


def test_a_recording_that_holds_less_than_its_rate_says(tmp_path):
    """At 48 kHz already nothing is filled in, and that is told; with `from_rate` what lies above the old rate is made."""
    source = tmp_path / "in.wav"
    soundfile.write(source, resample(tone(16000), 16000, 48000), 48000, "FLOAT")
    report = enhance_file(source, tmp_path / "same.wav")
    assert report.networks == []
    assert "--from-rate" in report.notes[0]
    np.testing.assert_allclose(soundfile.read(tmp_path / "same.wav")[0], soundfile.read(source)[0], atol=1e-6)
    report = enhance_file(source, tmp_path / "more.wav", from_rate=16000)
    assert (report.networks, report.filled_from, report.notes) == ([48000], 8000, [])
    made, plain = (soundfile.read(tmp_path / name)[0] for name in ("more.wav", "same.wav"))
    assert above(plain, 48000, 8800) < -110  # its dither
    assert above(made, 48000, 8800) > -80


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.zeros(4000), "silent"), (np.clip(3 * tone(8000, pitch=100), -0.2, 0.2) * 5, "clipped"),
        (np.r_[tone(8000), np.nan, np.inf], "no numbers"), (12 * tone(8000), "beyond full scale"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_recording_is_told_in_a_line(tmp_path, content, told):
    """Silent, clipped, not numbers, too loud: a file is made all the same, without a sample that is no number."""
    source, output = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, content, 8000, "FLOAT")
    report = enhance_file(source, output, 16000)
    assert any(told in note for note in report.notes)
    made = soundfile.read(output)[0]
    assert len(made) == 2 * len(content)
    assert np.isfinite(made).all()
    assert made.any() == content.any()
    assert (report.overloaded > 0) == any("--bit-depth 32" in note for note in report.notes)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.wav", b"", "empty"),
        ("in.wav", b"no sound" * 99, "not an audio file"),
        ("nowhere.wav", None, "no such file"),
        (".", None, "a folder"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path, capsys, name, content, told):
    """The exit status is 1, and nothing is left behind."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["enhance", str(tmp_path / name), "-o", str(tmp_path / "out.wav")]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--sample-rate", "500"], 2, "sample-rate 500"), (["--from-rate", "16000"], 2, "only 8000 Hz"),
        (["--from-rate", "1"], 2, "from-rate 1"),
        (["--bit-depth", "12"], 1, "bit depth 12"), (["--model", "nowhere"], 1, "no config.json"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused_in_one_line(tmp_path, capsys, arguments, status, told):
    """Each by its name and value."""
    source = tmp_path / "in.wav"
    soundfile.write(source, tone(8000, 0.2), 8000)
    assert main(["enhance", str(source), "-o", str(tmp_path / "out.wav"), *arguments]) == status
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_network_of_ones_own(tmp_path, own):
    """A folder by --model: its rate is used, rates it did not learn from are told, a damaged one is refused by its name."""
    source, folder = tmp_path / "in.wav", tmp_path / "network"
    soundfile.write(source, tone(8000, 0.2), 8000)
    shutil.copytree(own, folder)
    assert enhance_file(source, tmp_path / "a.wav", 44100, model=folder).networks == [16000]
    assert enhance_file(source, tmp_path / "b.wav", 8000, from_rate=2000, model=folder).notes == [
        f"{folder} learned from 4,000 Hz on; 2,000 Hz is less than that"
    ]
    soundfile.write(source, tone(48000, 0.2), 48000)
    report = enhance_file(source, tmp_path / "c.wav", model=folder)
    assert report.networks == []
    assert "nothing to fill in" in report.notes[0]
    broken = tmp_path / "broken"
    shutil.copytree(own, broken)
    (broken / "model.safetensors").write_bytes((own / "model.safetensors").read_bytes()[:500])
    with pytest.raises(InputError, match="broken: the weights cannot be loaded"):
        enhance_file(source, tmp_path / "d.wav", 48000, from_rate=8000, model=broken)


def test_other_formats_rates_and_channels(tmp_path):
    """A compressed file of six channels, and out as FLAC; from Python by the same names."""
    source = tmp_path / "in.ogg"
    soundfile.write(source, np.stack([tone(11025, 0.4, 200 + 50 * n) for n in range(6)], 1), 11025)
    report = symbolic.enhance_file(source, tmp_path / "out.flac", bit_depth=16)
    assert (report.channels, report.from_rate, report.networks) == (6, 11025, [48000])
    made, rate = soundfile.read(tmp_path / "out.flac")
    assert (rate, made.shape[1]) == (48000, 6)
    assert abs(len(made) - round(soundfile.info(source).frames * 48000 / 11025)) <= 1
    assert symbolic.enhanced_to(made[:4800, 0], 48000, 48000).shape == (4800,)

"""`symbolic signal` as a person meets it: exact values, any file, one line for bad ones, nothing half written, flat memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from symbolic.cli import main
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectrogram import COLUMNS, Spectrogram
from symbolic.errors import InputError
from symbolic.rendering.conversion import convert_file
from symbolic.rendering.recordings import Recording

RATE = 44100


def two_tones(seconds: float = 0.5, rate: int = RATE, channels: int = 2) -> np.ndarray:
    """(S, C): a tone below 4 kHz and a softer one above it; each channel a little softer than the one before."""
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 5000 * time)
    return sound[:, None] * 0.9 ** np.arange(channels)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "tones.wav"
    soundfile.write(path, two_tones(), RATE, "PCM_24")
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def level_of(path: Path, frequency: float) -> float:
    sound, rate = soundfile.read(path, always_2d=True)
    turned = sound[:, 0] * np.hanning(len(sound)) * np.exp(-2j * np.pi * frequency * np.arange(len(sound)) / rate)
    return 20 * np.log10(2 * abs(turned.sum()) / np.hanning(len(sound)).sum() + 1e-12)


def test_one_command_writes_sound_and_picture(recording, tmp_path, capsys):
    """The file has the rate and bits asked for, the picture stands beside it, and the report tells what was done and lost."""
    out = tmp_path / "made" / "low.wav"
    assert run("signal", recording, "--rate", 8000, "--bits", 8, "-o", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    made = soundfile.info(out)
    assert (made.samplerate, made.channels, made.subtype, made.frames) == (8000, 2, "PCM_U8", 4000)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in out.parent.iterdir()) == ["low.png", "low.wav"]
    assert told["snr_db"] == pytest.approx(told["expected_snr_db"], abs=0.3)
    assert told["above_half_rate_db"] == pytest.approx(10 * np.log10(0.2**2 / (0.5**2 + 0.2**2)), abs=0.2)
    assert (told["filtered"], told["dither"], told["seconds"], told["notes"]) == (True, "tpdf", 0.5, [])


def test_a_filter_is_the_difference_between_silence_and_an_alias(recording, tmp_path):
    """At 8 kHz the tone of 5,000 Hz is gone, and without the filter stands at 3,000 Hz as loud as it was."""
    for name, extra in (("filtered", []), ("folded", ["--no-filter"])):
        assert run("signal", recording, "--rate", 8000, "--bits", 24, "-o", tmp_path / f"{name}.wav", *extra) == 0
    assert level_of(tmp_path / "filtered.wav", 3000) < -100
    assert level_of(tmp_path / "folded.wav", 3000) == pytest.approx(20 * np.log10(0.2), abs=0.05)
    for name in ("filtered", "folded"):
        assert level_of(tmp_path / f"{name}.wav", 440) == pytest.approx(20 * np.log10(0.5), abs=0.05)


@pytest.mark.parametrize(("suffix", "bits"), [(".wav", 3), (".wav", 8), (".wav", 11), (".wav", 24), (".flac", 5), (".flac", 20)])
def test_files_hold_the_values_of_the_quantiser(recording, tmp_path, suffix, bits):
    """Without dither and at the same rate, what is read back is the recording rounded to whole steps, bit for bit."""
    convert_file(recording, tmp_path / f"out{suffix}", RATE, bits, dither="none")
    sound, _ = soundfile.read(recording)
    np.testing.assert_array_equal(soundfile.read(tmp_path / f"out{suffix}")[0], np.rint(sound * 2 ** (bits - 1)) / 2 ** (bits - 1))


def test_mu_law_is_written_as_it_decodes(recording, tmp_path):
    """With --mu-law each sample is one of the 256 values of the table."""
    report = convert_file(recording, tmp_path / "out.wav", 16000, 8, mu_law=True)
    sound = resample(soundfile.read(recording)[0].T, RATE, 16000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="float32")[0].T, mu_law_decode(mu_law_encode(sound)))
    assert report.snr_db == pytest.approx(report.expected_snr_db, abs=0.8)


def test_held_steps_last_equally_long(recording, tmp_path):
    """--hold writes each sample as often as the factor says, at a rate so many times higher."""
    plain = convert_file(recording, tmp_path / "plain.wav", 8000, 8, dither="shaped")
    held = convert_file(recording, tmp_path / "held.wav", 8000, 8, dither="shaped", held=True)
    assert (plain.written_rate, held.written_rate) == (8000, 48000)
    steps, rate = soundfile.read(tmp_path / "held.wav")
    assert rate == 48000
    np.testing.assert_array_equal(steps, np.repeat(soundfile.read(tmp_path / "plain.wav")[0], 6, axis=0))


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "channels"),
    [
        (".wav", "PCM_U8", 8000, 1), (".wav", "PCM_16", 11025, 3), (".wav", "DOUBLE", 192000, 2), (".wav", "ULAW", 8000, 1),
        (".flac", "PCM_24", 96000, 8), (".ogg", "VORBIS", 44100, 2), (".mp3", "MPEG_LAYER_III", 22050, 2), (".wav", "PCM_32", 37123, 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", [1000, 44100])
def test_any_rate_width_and_number_of_channels(tmp_path, suffix, subtype, rate, channels, target):
    """Files of every kind come out with the same length, to half a sample (a frame for MP3), and all their channels."""
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.wav"
    soundfile.write(source, two_tones(0.3, rate, channels), rate, subtype)
    report = convert_file(source, out, target, 16, anti_alias=target > 1000)
    made = soundfile.info(out)
    assert (made.samplerate, made.channels) == (target, channels)
    assert abs(made.frames - target * soundfile.info(source).frames / rate) <= 0.5
    assert level_of(out, 440) == pytest.approx(20 * np.log10(0.5), abs=0.5)
    assert report.channels == channels


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_other_formats_are_written(recording, tmp_path, suffix):
    """FLAC, OGG and MP3 come out as such, with the tone in place."""
    convert_file(recording, tmp_path / f"out{suffix}", 16000, 12)
    assert soundfile.info(tmp_path / f"out{suffix}").format == {".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}[suffix]
    assert level_of(tmp_path / f"out{suffix}", 440) == pytest.approx(20 * np.log10(0.5), abs=0.5)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_recording_in_blocks_is_the_whole_recording(tmp_path, suffix):
    """Blocks join to what reading at once gives, sample for sample."""
    path = tmp_path / f"in{suffix}"
    soundfile.write(path, two_tones(2.0, 22050), 22050)
    with Recording(path) as recording:
        joined = np.concatenate(list(recording.blocks(0.3)), 1)
        np.testing.assert_allclose(joined.T, soundfile.read(path)[0], atol=2e-7)
        assert recording.samples == recording.expected == 44100
        assert recording.notes() == []


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_long_sound_is_written_in_pieces_without_a_seam(tmp_path, suffix):
    """A compressed file longer than one piece of writing has the tone throughout, and next to nothing beside it."""
    source, out = tmp_path / "in.wav", tmp_path / f"out{suffix}"
    soundfile.write(source, 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000 * 4) / 48000), 48000)
    convert_file(source, out, 48000, 16)
    sound = soundfile.read(out)[0][4000:-4000]
    waves = np.stack([np.sin(2 * np.pi * np.arange(len(sound)) / 48), np.cos(2 * np.pi * np.arange(len(sound)) / 48)], 1)
    fit = waves @ np.linalg.lstsq(waves, sound, rcond=None)[0]
    assert np.abs(sound - fit).max() < 0.01


def odd_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are read with a remark, by name, with a word of the remark."""
    files = {name: folder / f"{name}.wav" for name in ("nan", "silent", "clipped", "beyond", "short")}
    sound = two_tones(0.2, channels=1)
    broken = sound.copy()
    broken[100:106], broken[150], broken[200] = np.nan, 1e300, np.inf
    soundfile.write(files["nan"], broken, RATE, "FLOAT")
    soundfile.write(files["silent"], 0 * sound, RATE, "PCM_16")
    soundfile.write(files["clipped"], np.clip(5 * sound, -1, 1), RATE, "PCM_16")
    soundfile.write(files["beyond"], 4 * sound, RATE, "FLOAT")
    soundfile.write(files["short"], sound, RATE, "PCM_16")
    files["short"].write_bytes(files["short"].read_bytes()[:9001])
    words = {"nan": "8 samples were no numbers", "silent": "silent", "clipped": "full scale in runs", "beyond": "beyond full scale"}
    return {name: (path, words.get(name, "ends early")) for name, path in files.items()}


@pytest.mark.parametrize("name", ["nan", "silent", "clipped", "beyond", "short"])
def test_odd_recordings_are_converted_with_a_remark(tmp_path, capsys, name):
    """No numbers, silence, clipping, too much level and a lost end: the file is made, finite, and one line tells what was found."""
    path, word = odd_files(tmp_path)[name]
    if name == "short" and soundfile.info(path).frames < 8820:
        word = ""  # this libsndfile believes the file's size, not its header
    assert run("signal", path, "-o", tmp_path / "out.wav") == 0
    told = capsys.readouterr().out
    assert word in told
    sound, _ = soundfile.read(tmp_path / "out.wav")
    assert len(sound) > 700
    assert np.isfinite(sound).all()


def bad_cases(folder: Path, recording: Path) -> dict[str, tuple[list[object], int, list[str]]]:
    out = ["-o", folder / "never.wav"]
    for name, content in (("empty.wav", b""), ("text.wav", b"this is no sound\n" * 9), ("cut.wav", recording.read_bytes()[:30])):
        (folder / name).write_bytes(content)
    soundfile.write(folder / "none.wav", np.zeros((0, 2)), RATE)
    soundfile.write(folder / "one.wav", np.zeros((1, 1)), RATE)
    soundfile.write(folder / "five.wav", two_tones(channels=5), RATE)
    soundfile.write(folder / "fast.wav", np.zeros((9, 1)), 2_000_000)
    (folder / "folder").mkdir()
    (folder / "taken.png").write_bytes(b"precious")
    return {
        "missing": ([folder / "nowhere.wav", *out], 1, ["nowhere.wav", "no such file"]),
        "folder": ([folder / "folder", *out], 1, ["folder", "one audio file"]),
        "empty": ([folder / "empty.wav", *out], 1, ["empty.wav", "0 bytes"]),
        "text": ([folder / "text.wav", *out], 1, ["text.wav", "not an audio file"]),
        "cut": ([folder / "cut.wav", *out], 1, ["cut.wav"]),
        "no samples": ([folder / "none.wav", *out], 1, ["none.wav", "without a single sample"]),
        "one sample": ([folder / "one.wav", *out], 1, ["one.wav", "too short"]),
        "header": ([folder / "fast.wav", *out], 1, ["2000000 Hz", "header"]),
        "rate": ([recording, *out, "--rate", 0], 2, ["rate 0", "192000"]),
        "bits": ([recording, *out, "--bits", 1], 2, ["1 bits", "2 to 24"]),
        "mu-law bits": ([recording, *out, "--bits", 20, "--mu-law"], 2, ["20 bits", "2 to 16"]),
        "dither": ([recording, *out, "--dither", "gauss"], 2, ["gauss", "none, rpdf, tpdf, shaped"]),
        "both": ([recording, *out, "--dither", "tpdf", "--mu-law"], 2, ["µ-law", "none"]),
        "hold": ([recording, *out, "--hold", "--rate", 100_000], 2, ["100000", "held"]),
        "suffix": ([recording, "-o", folder / "never.xyz"], 1, [".xyz", ".wav"]),
        "mp3 rate": ([recording, "-o", folder / "never.mp3", "--rate", 9000], 1, ["9000", "MP3"]),
        "mp3 channels": ([folder / "five.wav", "-o", folder / "never.mp3"], 1, ["5 channels", ".wav"]),
        "taken": ([recording, "-o", folder / "taken.wav"], 1, ["taken.png", "--force"]),
        "source": ([recording, "-o", recording], 1, ["tones.wav", "--force"]),
    }


BAD = [
    "missing", "folder", "empty", "text", "cut", "no samples", "one sample", "header", "rate", "bits", "mu-law bits", "dither", "both",
    "hold", "suffix", "mp3 rate", "mp3 channels", "taken", "source",
]  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, recording, capsys, case):
    """Each bad input gives one line that names what and why, the right exit status, and leaves every file as it was."""
    arguments, status, words = bad_cases(tmp_path, recording)[case]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run("signal", *arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_recording_may_replace_itself(recording):
    """With --force the output may be the input: it is read to its end before it is replaced."""
    assert run("signal", recording, "-o", recording, "--rate", 8000, "--force") == 0
    assert soundfile.info(recording).frames == 4000


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".wav"])
def test_damaged_recordings_never_end_in_a_traceback(tmp_path, capfd, suffix):
    """Files cut off or overwritten anywhere give the sound up to the damage, or are refused in a line that names them."""
    source, bad = tmp_path / f"in{suffix}", tmp_path / f"bad{suffix}"
    soundfile.write(source, two_tones(3.0, 16000), 16000)
    whole = source.read_bytes()
    generator = np.random.default_rng(0)
    read, refusals = 0, []
    for trial in range(12):
        place = int(generator.integers(4, len(whole)))
        bad.write_bytes(whole[:place] if trial % 2 else whole[:place] + generator.bytes(200) + whole[place + 200 :])
        try:
            with Recording(bad) as recording:
                blocks = list(recording.blocks())
            assert np.isfinite(np.concatenate(blocks, 1)).all()
            read += 1
        except InputError as error:
            refusals.append(str(error))
    assert all(str(bad) in told for told in refusals)
    assert read >= 6
    assert capfd.readouterr().err == ""


def test_a_recording_cut_off_keeps_what_came_before(tmp_path, capsys):
    """Of a FLAC file of ten seconds whose second half is lost nearly five seconds are converted, and a line tells."""
    source = tmp_path / "in.flac"
    soundfile.write(source, two_tones(10.0, 16000), 16000)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert run("signal", source, "-o", tmp_path / "out.wav") == 0
    assert "the rest is left out" in capsys.readouterr().out
    assert soundfile.info(tmp_path / "out.wav").duration == pytest.approx(4.8, abs=0.3)


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """When writing fails in the middle, one line says so, and no part of the sound or the picture stays."""
    soundfile.write(tmp_path / "long.flac", two_tones(20, channels=1), RATE)
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
    code += "from symbolic.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "signal", "long.flac", "--rate", "44100", "--bits", "16", "-o", "big.wav"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"NUMBA_DISABLE_CACHE": "1"})
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "big.wav" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["long.flac"]


def test_a_long_sound_makes_a_picture_of_bounded_size():
    """A minute or a second: the columns stay within bounds, each a mean of its windows, and block sizes do not matter."""
    generator = np.random.default_rng(1)
    sound = 0.1 * generator.standard_normal((1, 60 * 8000))
    sound[:, : 30 * 8000] += np.sin(2 * np.pi * 1000 * np.arange(30 * 8000) / 8000)
    pictures = []
    for size in (8000, 4999):
        picture = Spectrogram(8000, seconds=1.0)
        for start in range(0, sound.shape[1], size):
            picture.add(sound[:, start : start + size])
        picture.finish()
        pictures.append(picture.levels())
    levels = pictures[0]
    np.testing.assert_allclose(pictures[1], levels, atol=1e-9)
    assert COLUMNS <= levels.shape[1] <= 2 * COLUMNS
    line = levels[round(1000 / 8000 * picture.size)]
    middle = levels.shape[1] // 2
    assert line[5 : middle - 5] == pytest.approx(0.0, abs=0.3)
    assert line[middle + 5 :].max() < -15


def test_the_same_random_seed_gives_the_same_file(recording, tmp_path):
    """Dither is drawn from the seed given."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        convert_file(recording, tmp_path / f"{name}.wav", 8000, 4, random_seed=seed)
    one, same, other = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert one == same != other

"""The command line as a person meets it: outputs whole or not at all, errors in one line, exit statuses, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from symusic.core import NoteTick, ScoreTick, TrackTick

from symbolic.cli import main
from symbolic.midi.meter import bar_starts
from symbolic.midi.reading import read
from symbolic.midi.seeds import load_seed


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    score = ScoreTick(480)
    track = TrackTick("", 0, False)
    for beat in range(8):
        track.notes.append(NoteTick(beat * 480, 480, 60 + beat, 80))
    score.tracks.append(track)
    path = tmp_path / "tune.mid"
    score.dump_midi(path)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_continue_writes_music_picture_sound_and_provenance(seed_file, tmp_path, capsys):
    """One command gives the longer score, its piano roll, its sound and where it came from."""
    out = tmp_path / "out" / "longer.mid"
    assert run("continue", seed_file, "-o", out, "--bars", 2, "--wav", "--plot", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert len(bar_starts(read(out))) - 1 == 4
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    sound = soundfile.info(out.with_suffix(".wav"))
    assert (sound.samplerate, sound.channels, sound.subtype) == (48000, 2, "PCM_24")
    assert json.loads(out.with_suffix(".json").read_text())["random_seed"] == 0
    assert result["outputs"][0]["midi"] == str(out)
    assert sorted(p.name for p in out.parent.iterdir()) == ["longer.json", "longer.mid", "longer.png", "longer.wav"]


def test_the_same_random_seed_gives_the_same_file(seed_file, tmp_path):
    """Two runs with one random seed write the same bytes."""
    for name in ("a", "b"):
        assert run("continue", seed_file, "-o", tmp_path / f"{name}.mid", "--bars", 1, "--random-seed", 7) == 0
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_takes_are_numbered_and_differ(seed_file, tmp_path):
    """--takes 2 writes two different continuations with numbers in their names."""
    assert run("continue", seed_file, "-o", tmp_path / "t.mid", "--bars", 2, "--takes", 2) == 0
    one, two = ((tmp_path / f"t-{k}.mid").read_bytes() for k in (1, 2))
    assert one != two


def test_existing_outputs_are_not_replaced_unless_asked(seed_file, tmp_path, capsys):
    """A file that is there stays as it is, the message names it and --force; with --force it is replaced."""
    out = tmp_path / "mine.mid"
    out.write_bytes(b"precious")
    assert run("continue", seed_file, "-o", out, "--bars", 1) == 1
    error = capsys.readouterr().err
    assert str(out) in error
    assert "--force" in error
    assert out.read_bytes() == b"precious"
    assert run("continue", seed_file, "-o", out, "--bars", 1, "--force") == 0
    assert out.read_bytes().startswith(b"MThd")


def bad_inputs(tmp_path: Path, seed_file: Path) -> dict[str, tuple[list[object], int, list[str]]]:
    out = ["-o", tmp_path / "never.mid"]
    empty, text, cut, silent = (tmp_path / name for name in ("empty.mid", "text.mid", "cut.mid", "silent.mid"))
    empty.write_bytes(b"")
    text.write_text("this is no music\n")
    cut.write_bytes(seed_file.read_bytes()[:28])
    ScoreTick(480).dump_midi(silent)
    (tmp_path / "bare").mkdir()
    return {
        "missing": (["continue", tmp_path / "nowhere.mid", *out], 1, ["nowhere.mid", "no such file"]),
        "empty": (["continue", empty, *out], 1, ["empty.mid", "empty (0 bytes)"]),
        "text": (["continue", text, *out], 1, ["text.mid", "not a MIDI file"]),
        "cut": (["continue", cut, *out], 1, ["cut.mid"]),
        "silent": (["continue", silent, *out], 1, ["silent.mid", "no notes"]),
        "folder": (["continue", tmp_path / "bare", *out], 1, ["bare", "folder"]),
        "model": (["continue", seed_file, *out, "--model", "nobody"], 1, ["nobody", "small"]),
        "bars": (["continue", seed_file, *out, "--bars", 0], 2, ["bars is 0"]),
        "temperature": (["continue", seed_file, *out, "--temperature", -1], 2, ["temperature is -1"]),
        "suffix": (["continue", seed_file, "-o", tmp_path / "never.txt"], 2, ["never.txt", ".mid"]),
        "voice": (["render", seed_file, "-o", tmp_path / "never.wav", "--voices", "kazoo"], 1, ["kazoo", "learned", "synthesized"]),
        "sound": (["render", seed_file, "-o", tmp_path / "never.xyz"], 1, [".xyz", ".wav"]),
        "render": (["render", text, "-o", tmp_path / "never.wav"], 1, ["text.mid"]),
        "no music": (["tokenize", tmp_path / "bare", "-o", tmp_path / "never"], 1, ["bare", "no music"]),
        "no folder": (["tokenize", tmp_path / "gone", "-o", tmp_path / "never"], 1, ["gone", "no such folder"]),
        "no dataset": (["train", tmp_path / "bare", "-o", tmp_path / "never"], 1, ["bare", "no dataset"]),
        "evaluate": (["evaluate", "nobody", tmp_path / "bare"], 1, ["nobody", "small"]),
    }


CASES = [
    "missing", "empty", "text", "cut", "silent", "folder", "model", "bars", "temperature", "suffix", "voice", "sound", "render",
    "no music", "no folder", "no dataset", "evaluate",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, seed_file, capsys):
    """Each bad input gives one line that names what and why, the right exit status, and leaves no file behind."""
    arguments, status, words = bad_inputs(tmp_path, seed_file)[case]
    before = sorted(tmp_path.rglob("*"))
    assert run(*arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_file_in_a_folder_is_skipped_counted_and_named(tmp_path, seed_file, capsys):
    """`tokenize` goes on past bad files and says how many and where the names are."""
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / "good.mid").write_bytes(seed_file.read_bytes())
    (folder / "bad.mid").write_text("no music")
    assert run("tokenize", folder, "-o", tmp_path / "set", "--workers", 1) == 0
    out = capsys.readouterr().out
    assert "skipped 1" in out
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert [item["path"] for item in report["skipped_files"]] == ["bad.mid"]


def test_wrong_usage_exits_with_2():
    """A word that is no option is wrong usage; so is no command at all."""
    for arguments in (["continue"], ["continue", "x.mid", "--bars", "many"], ["dance"], []):
        status = subprocess.run([sys.executable, "-m", "symbolic", *arguments], capture_output=True).returncode
        assert status == 2


def test_help_loads_nothing_heavy():
    """`symbolic --help` answers without torch, transformers, numpy or music libraries."""
    code = "import sys; from symbolic.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch','transformers','numpy','symusic','miditok','datasets','numba') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    for verb in ("continue", "demo", "render", "tokenize", "train", "evaluate"):
        assert verb in out


def test_full_disk_leaves_nothing_half_written(seed_file, tmp_path):
    """When writing fails in the middle, one line says so, and no part of the file stays."""
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
    code += "from symbolic.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"NUMBA_DISABLE_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "render", str(seed_file), "-o", str(tmp_path / "big.wav")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "big.wav" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["tune.mid"]


def test_demo_continues_the_canon_by_sixteen_bars(tmp_path, capsys):
    """The demo writes MIDI, picture and sound, says it in at most ten lines, and the seed is in it note for note."""
    assert run("demo", "-o", tmp_path) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 10
    seed, longer = load_seed("canon"), read(tmp_path / "canon-continued.mid")
    assert len(bar_starts(longer)) == len(bar_starts(seed)) + 16
    line = int(bar_starts(seed)[-1])
    for part, track in zip(seed.tracks, longer.tracks, strict=True):
        kept = [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes if n.time < line]
        assert kept == [(n.time, n.duration, n.pitch, n.velocity) for n in part.notes]
    for suffix in (".mid", ".png", ".wav", ".json"):
        assert (tmp_path / f"canon-continued{suffix}").stat().st_size > 100

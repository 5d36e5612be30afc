"""A folder of music becomes a dataset: whole or not at all, the same by any number of workers, and without leaks between splits."""

import glob
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError
from symbolic.midi.transposition import transpose
from symbolic.tokenizers.remi import RemiTokenizer


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory, melody, drawn, folder_of):
    """Five good files, nested, and one of each kind of bad file."""
    scores = {name: melody(drawn(n)) for n, name in enumerate(["a/one.mid", "a/deep/er/two.MID", "a/three.midi", "b/four.mid", "five.mid"])}
    folder = folder_of(tmp_path_factory.mktemp("mixed"), scores)
    (folder / "a/words.mid").write_text("this is no music")
    (folder / "b/cut.mid").write_bytes((folder / "b/four.mid").read_bytes()[:28])
    (folder / "b/empty.mid").write_bytes(b"")
    folder_of(folder, {"b/silent.mid": melody([])})
    (folder / "a/notes.txt").write_text("not looked at")
    (folder / "a/folder.mid").mkdir()
    return folder


def contents(dataset: Path) -> tuple:
    """All that a dataset says: ids, offsets, manifest, tokenizer and report."""
    files = [(dataset / name).read_bytes() for name in ("ids.bin", "offsets.npy", "tokenizer.json", "report.json")]
    return *files, *(path.read_bytes() for path in sorted((dataset / "manifest").glob("*.arrow"))), Corpus(dataset).rows


def splits(dataset: Path) -> dict[str, str]:
    rows = Corpus(dataset).rows
    return dict(zip(rows["path"], rows["split"], strict=True))


def test_bad_files_are_skipped_counted_and_named(mixed_folder, tmp_path, coarse):
    """Text, cut, empty and silent files stop nothing: the report counts them and says which and why."""
    report = tokenize_folder(mixed_folder, tmp_path / "out", coarse)
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    assert (report["pieces"], report["skipped"], report["excluded"]) == (5, 4, 0)
    reasons = {item["path"]: item["reason"] for item in report["skipped_files"]}
    assert set(reasons) == {"a/words.mid", "b/cut.mid", "b/empty.mid", "b/silent.mid"}
    for name, word in [("a/words.mid", "(text)"), ("b/cut.mid", "cut short"), ("b/empty.mid", "0 bytes"), ("b/silent.mid", "no notes")]:
        assert word in reasons[name]
        assert str(mixed_folder) not in reasons[name]
    assert sum(report["skip_reasons"].values()) == 4
    assert report["skip_reasons"]["the file is empty"] == 1
    assert sorted(Corpus(tmp_path / "out").rows["path"]) == ["a/deep/er/two.MID", "a/one.mid", "a/three.midi", "b/four.mid", "five.mid"]


def test_the_dataset_holds_each_piece_between_bos_and_eos(mixed_folder, tmp_path, coarse):
    """Piece i is ids[offsets[i]:offsets[i + 1]]: BOS, what the tokenizer gives for the file, EOS; the manifest's counts are theirs."""
    report = tokenize_folder(mixed_folder, tmp_path / "out", coarse)
    corpus, tokenizer = Corpus(tmp_path / "out"), RemiTokenizer(coarse)
    from symbolic.midi.reading import read

    for index, name in enumerate(corpus.rows["path"]):
        ids = tokenizer.encode(read(mixed_folder / name)).ids
        assert corpus.piece(index).tolist() == [tokenizer.vocabulary.bos, *ids.tolist(), tokenizer.vocabulary.eos]
        assert corpus.rows["tokens"][index] == len(ids) + 2 == corpus.lengths()[index]
        assert corpus.rows["notes"][index] == 24
        assert corpus.rows["bars"][index] == 3
    assert corpus.rows["collection"] == [Path(name).parts[0] if "/" in name else "" for name in corpus.rows["path"]]
    assert report["notes"] == 5 * 24
    assert report["tokens"] == len(corpus.ids)
    assert {name: numbers["pieces"] for name, numbers in report["collections"].items()} == {"": 1, "a": 3, "b": 1}


def test_the_number_of_workers_changes_no_byte(mixed_folder, tmp_path, coarse):
    """One worker and two give the same ids, offsets, manifest and report, byte by byte."""
    tokenize_folder(mixed_folder, tmp_path / "one", coarse, workers=1)
    tokenize_folder(mixed_folder, tmp_path / "two", coarse, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_excluded_files_are_left_out_and_counted(mixed_folder, tmp_path, coarse):
    """Patterns are of paths below the folder; what they match is neither read nor skipped."""
    report = tokenize_folder(mixed_folder, tmp_path / "out", coarse, exclude=("a/*", "*silent*"))
    assert sorted(splits(tmp_path / "out")) == ["b/four.mid", "five.mid"]
    assert report["excluded"] == 5
    assert [item["path"] for item in report["skipped_files"]] == ["b/cut.mid", "b/empty.mid"]


def test_an_existing_output_is_refused_before_any_work(mixed_folder, tmp_path, coarse):
    """What exists stays as it is; force replaces a dataset whole, and nothing that is none."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        tokenize_folder(mixed_folder, tmp_path / "out", coarse)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]
    with pytest.raises(InputError, match="replaces a dataset, and this is none"):
        tokenize_folder(mixed_folder, tmp_path / "out", coarse, force=True)
    assert (tmp_path / "out/mine.txt").read_text() == "precious"
    tokenize_folder(mixed_folder, tmp_path / "set", coarse)
    (tmp_path / "set/mine.txt").write_text("old")
    tokenize_folder(mixed_folder, tmp_path / "set", coarse, force=True)
    assert not (tmp_path / "set/mine.txt").exists()
    assert len(Corpus(tmp_path / "set").rows["path"]) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_leaves_no_dataset(tmp_path, melody, drawn, folder_of, workers):
    """Ctrl-C in the middle, with workers too: one line, exit status 130, no output and no partial folder."""
    folder_of(tmp_path / "midi", {f"{n}.mid": melody(drawn(n, 1000)) for n in range(200)})
    (tmp_path / "away").mkdir()
    command = [
        sys.executable,
        "-m",
        "symbolic",
        "tokenize",
        str(tmp_path / "midi"),
        "-o",
        str(tmp_path / "away/out"),
        "--workers",
        str(workers),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not any(os.path.getsize(path) for path in glob.glob(str(tmp_path / "away/.partial-*/ids.bin"))):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert err == "symbolic tokenize: interrupted, nothing half written\n"
    assert list((tmp_path / "away").iterdir()) == []


def test_a_killed_worker_ends_the_run_with_a_message(tmp_path, coarse, melody, drawn, folder_of):
    """A worker that the system kills (out of memory) is told, with the file it was near; nobody waits for it for ever."""
    folder_of(tmp_path / "midi", {f"{n}.mid": melody(drawn(n)) for n in range(40)})
    done = threading.Event()

    def kill():
        while not done.is_set():
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
                return
            done.wait(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(InputError, match=r"\.mid: a worker was killed"):
            tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse, workers=2)
    finally:
        done.set()
        killer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["midi"]


def test_nothing_readable_is_an_error(tmp_path, coarse):
    """A folder of bad files alone, or wholly excluded, gives no empty dataset but a reason."""
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi/a.mid").write_text("words")
    with pytest.raises(InputError, match=r"none of the 1 files could be read; the first, a\.mid: not a MIDI file"):
        tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse)
    with pytest.raises(InputError, match="all 1 are excluded"):
        tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse, exclude=("*",))
    assert [path.name for path in tmp_path.iterdir()] == ["midi"]


def test_file_names_in_any_encoding_are_held(tmp_path, coarse, melody, drawn, folder_of):
    """A name that is no UTF-8, as old collections have them, is spelt out in the manifest and stops nothing."""
    folder_of(tmp_path, {"midi/plain.mid": melody(drawn(1))})
    name = os.fsencode(tmp_path / "midi") + b"/caf\xe9.mid"
    with open(name, "wb") as stream:
        stream.write(melody(drawn(2)).dumps_midi())
    tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse)
    assert sorted(Corpus(tmp_path / "out").rows["path"]) == [r"caf\xe9.mid", "plain.mid"]


@pytest.fixture(scope="module")
def families(tmp_path_factory, melody, drawn, folder_of, coarse):
    """Twenty pieces, each as it is, again under another name, and a transposed copy; half of all are held out."""
    folder = tmp_path_factory.mktemp("families")
    scores = {}
    for n in range(20):
        original = melody(drawn(100 + n, 6 + n))
        scores |= {f"x/{n}.mid": original, f"y/again-{n}.mid": original, f"z/moved-{n}.mid": transpose(original, n % 11 - 5 or 6)}
    tokenize_folder(folder_of(folder / "midi", scores), folder / "out", coarse, held_out=0.5)
    return folder


def test_copies_never_straddle_a_split(families):
    """The same file under two names, and its transposed copy, are in one split, however short the piece; other pieces spread over all."""
    found = splits(families / "out")
    for n in range(20):
        assert found[f"x/{n}.mid"] == found[f"y/again-{n}.mid"] == found[f"z/moved-{n}.mid"]
    assert set(found.values()) == set(SPLITS)
    assert len(set(Corpus(families / "out").rows["cluster"])) == 20


def test_a_split_depends_on_the_music_alone(families, tmp_path, coarse):
    """Renamed, in another order and without half of the other pieces, every piece keeps its split."""
    before = splits(families / "out")
    kept = {f"{19 - n}-renamed.mid": f"x/{n}.mid" for n in range(0, 20, 2)}
    for new, old in kept.items():
        (tmp_path / "midi").mkdir(exist_ok=True)
        for copy, family in [(new, old), (f"copy-{new}", old.replace("x/", "z/moved-"))]:
            shutil.copy(families / "midi" / family, tmp_path / "midi" / copy)
    tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse, held_out=0.5)
    after = splits(tmp_path / "out")
    assert {new: after[new] for new in kept} == {new: before[old] for new, old in kept.items()}


@pytest.mark.parametrize(("share", "wanted"), [(0.0, {"train"}), (1.0, {"validation", "test"})])
def test_the_held_out_share_is_kept(families, tmp_path, coarse, share, wanted):
    """Nothing held out leaves all to training, all held out leaves it nothing."""
    tokenize_folder(families / "midi", tmp_path / "out", coarse, held_out=share)
    assert set(splits(tmp_path / "out").values()) == wanted


def test_opening_what_is_no_dataset_says_how_to_make_one(tmp_path):
    """A missing or other folder names the command that makes a dataset."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="symbolic tokenize"):
            Corpus(folder)


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("ids.bin", _shorten),
        ("ids.bin", lambda path: path.write_bytes(b"")),
        ("ids.bin", lambda path: path.write_bytes(path.read_bytes() + b"x")),
        ("offsets.npy", Path.unlink),
        ("offsets.npy", _shorten),
        ("offsets.npy", lambda path: np.save(path, np.delete(np.load(path), 1))),
        ("manifest", shutil.rmtree),
        ("manifest/state.json", lambda path: path.write_text("{")),
    ],
)
def test_a_damaged_dataset_is_told(dataset, tmp_path, name, damage):
    """A missing, cut or inconsistent part of a dataset is one line, when it is opened and not in the middle of a run."""
    shutil.copytree(dataset, tmp_path / "copy")
    damage(tmp_path / "copy" / name)
    with pytest.raises(InputError, match=r"damaged.*make it again"):
        Corpus(tmp_path / "copy")


def test_tokenizing_imports_no_torch(mixed_folder, tmp_path):
    """Making a dataset and opening it starts in a second: neither torch nor transformers is loaded."""
    program = (
        "import sys; import symbolic; from symbolic.corpus.dataset import Corpus;"
        f"symbolic.tokenize_folder({str(mixed_folder)!r}, {str(tmp_path / 'out')!r}); Corpus({str(tmp_path / 'out')!r});"
        "print(sorted({'torch', 'transformers', 'accelerate', 'music21', 'matplotlib'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"

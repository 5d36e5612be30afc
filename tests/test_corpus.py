"""A folder of music becomes a dataset: whole or not at all, the same by any number of workers, and without leaks between splits."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from symusic import Note

from symbolic.corpus.dataset import SPLITS, Corpus
from symbolic.corpus.pieces import make_recorder, tokenize_file
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.corpus.workers import Failure, Limits, supervised
from symbolic.errors import InputError
from symbolic.midi.folder import MusicFile, music_files
from symbolic.midi.transposition import transpose
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings


@pytest.fixture(scope="module")
def mixed_folder(tmp_path_factory, melody, drawn, folder_of):
    """Five good files, nested, and one of each kind of bad file."""
    scores = {name: melody(drawn(n)) for n, name in enumerate(["a/one.mid", "a/deep/er/two.MID", "a/three.midi", "b/four.mid", "five.mid"])}
    folder = folder_of(tmp_path_factory.mktemp("mixed"), scores)
    (folder / "a/words.mid").write_text("this is no music")
    (folder / "b/cut.mid").write_bytes((folder / "b/four.mid").read_bytes()[:10])
    (folder / "b/empty.mid").write_bytes(b"")
    folder_of(folder, {"b/silent.mid": melody([])})
    (folder / "a/notes.txt").write_text("not looked at")
    (folder / "a/folder.mid").mkdir()
    return folder


def contents(dataset: Path) -> tuple:
    """All that a dataset says, file by file, and its manifest as it is read."""
    return *((path.relative_to(dataset), path.read_bytes()) for path in sorted(dataset.rglob("*")) if path.is_file()), Corpus(dataset).rows


def verdicts(dataset: Path) -> dict[str, dict]:
    lines = [json.loads(line) for line in (dataset / "verdicts.jsonl").read_text().splitlines()]
    assert len({verdict["path"] for verdict in lines}) == len(lines)
    return {verdict["path"]: verdict for verdict in lines}


def splits(dataset: Path) -> dict[str, str]:
    rows = Corpus(dataset).rows
    return dict(zip(rows["path"], rows["split"], strict=True))


def test_bad_files_are_skipped_counted_and_named(mixed_folder, tmp_path, coarse):
    """Text, cut, empty and silent files stop nothing: the report counts them and says which and why."""
    report = tokenize_folder(mixed_folder, tmp_path / "out", coarse)
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    assert (report["pieces"], report["skipped"], report["excluded"]) == (5, 4, 0)
    assert report["skip_reasons"] == {"damaged": 1, "empty": 1, "no music": 1, "no notes": 1}
    reasons = {item["path"]: item["reason"] for item in report["skipped_files"]}
    assert set(reasons) == {"a/words.mid", "b/cut.mid", "b/empty.mid", "b/silent.mid"}
    for name, word in [("a/words.mid", "(text)"), ("b/cut.mid", "10 bytes"), ("b/empty.mid", "0 bytes"), ("b/silent.mid", "no notes")]:
        assert word in reasons[name]
        assert str(mixed_folder) not in reasons[name]
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
    assert report["tokens"] == len(corpus.ids) - 5 * 2  # BOS and EOS tell no music
    assert {name: numbers["pieces"] for name, numbers in report["collections"].items()} == {"": 1, "a": 3, "b": 1}


def test_the_number_of_workers_changes_no_byte(mixed_folder, tmp_path, coarse):
    """One worker and three give the same files, byte by byte."""
    tokenize_folder(mixed_folder, tmp_path / "one", coarse, workers=1)
    tokenize_folder(mixed_folder, tmp_path / "two", coarse, workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_excluded_files_are_left_out_and_counted(mixed_folder, tmp_path, coarse):
    """Patterns are of paths below the folder; what they match is neither read nor skipped."""
    report = tokenize_folder(mixed_folder, tmp_path / "out", coarse, exclude=("a/*", "*silent*"))
    assert sorted(splits(tmp_path / "out")) == ["b/four.mid", "five.mid"]
    assert report["excluded"] == 5
    assert [item["path"] for item in report["skipped_files"]] == ["b/cut.mid", "b/empty.mid"]
    assert verdicts(tmp_path / "out")["b/silent.mid"]["reason"] == "left out by --exclude '*silent*'"


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


def test_every_file_found_has_a_verdict(families, tmp_path, coarse):
    """Kept, skipped or excluded: one line each in the order of the listing, which repeats the manifest's cluster and split."""
    shutil.copytree(families / "midi", tmp_path / "midi")
    for name in ("x/bad.mid", "q.mid"):
        (tmp_path / "midi" / name).write_bytes(b"MThd")
    tokenize_folder(tmp_path / "midi", tmp_path / "out", coarse, exclude=("y/again-1*",))
    found = verdicts(tmp_path / "out")
    assert list(found) == sorted(path.relative_to(tmp_path / "midi").as_posix() for path in (tmp_path / "midi").rglob("*.mid"))
    for name, verdict in found.items():
        expected = "skipped" if name in ("x/bad.mid", "q.mid") else "excluded" if name.startswith("y/again-1") else "kept"
        assert verdict["verdict"] == expected
        assert (verdict["reason"] is None) == (verdict["kind"] is None) == (expected == "kept")
        assert (verdict["facts"] is not None) == (expected == "kept")
    rows = Corpus(tmp_path / "out").rows
    kept = {name: verdict for name, verdict in found.items() if verdict["verdict"] == "kept"}
    assert list(kept) == rows["path"]
    for column in ("content", "cluster", "split"):
        assert [verdict[column] for verdict in kept.values()] == rows[column]


def test_verdicts_say_how_pieces_repeat_each_other(tmp_path, melody, drawn, folder_of, coarse):
    """The same file, the same notes in another file, a transposition, a variation; single chords and single notes too."""
    tune, single = melody(drawn(1, 60)), melody([60])
    renamed = melody(drawn(1, 60))
    renamed.tracks[0].name = "another name"
    varied = melody([*drawn(1, 60)[:50], *drawn(2, 10)])
    scores = {"1.mid": tune, "2.mid": tune, "3.mid": renamed, "4.mid": transpose(tune, 5), "5.mid": varied, "6.mid": melody(drawn(3, 60))}
    scores |= {"7.mid": single, "8.mid": transpose(single, 1)}
    tokenize_folder(folder_of(tmp_path / "midi", scores), tmp_path / "out", coarse)
    found = [verdict["relation"] for verdict in verdicts(tmp_path / "out").values()]
    assert found == [None, "same bytes", "same notes", "transposed", "alike", None, None, "transposed"]
    assert Corpus(tmp_path / "out").rows["cluster"] == [0, 0, 0, 0, 0, 5, 6, 6]


@pytest.fixture(scope="module")
def huge_file(tmp_path_factory) -> MusicFile:
    """600,000 notes in 6 MB, sound but more than some bounds allow."""
    notes = b"".join(bytes([0x81, 0x70, 0x90, 60 + n, 80, 0x81, 0x70, 0x80, 60 + n, 0]) for n in range(12)) * 50_000 + b"\0\xff\x2f\0"
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 1, 0xE0]) + b"MTrk" + len(notes).to_bytes(4, "big")
    folder = tmp_path_factory.mktemp("huge")
    (folder / "huge.mid").write_bytes(header + notes)
    return music_files(folder)[0]


@pytest.mark.parametrize(
    ("limits", "kind"), [(Limits(seconds=0.2, megabytes=4000), "too slow"), (Limits(seconds=60, megabytes=300), "out of memory")]
)
def test_a_real_file_beyond_the_bounds_is_a_verdict(huge_file, limits, kind):
    """The reader at work, in native code or not, is ended at its time, and an allocation past the bound is told as such."""
    ((_, outcome),) = supervised(make_recorder, (TokenizerSettings(max_bars=10**6), 64, 60), [huge_file], 1, limits)
    assert isinstance(outcome, Failure)
    assert outcome.kind == kind


def test_a_file_that_is_too_large_is_not_read(huge_file, tmp_path, coarse, melody, drawn, folder_of):
    """Beyond --file-megabytes nothing is read; the others are."""
    folder = folder_of(tmp_path / "midi", {"a.mid": melody(drawn(1))})
    shutil.copy(huge_file.path, folder / "huge.mid")
    tokenize_folder(folder, tmp_path / "out", coarse, file_megabytes=2)
    found = verdicts(tmp_path / "out")
    assert (found["a.mid"]["verdict"], found["huge.mid"]["kind"], found["huge.mid"]["content"]) == ("kept", "too large", None)


def test_a_small_file_with_one_huge_delta_is_refused(tmp_path, coarse, melody, drawn, folder_of):
    """A rest of 268 million ticks does not become tokens of empty bars: the file is named as runaway."""
    score = melody([60, 62])
    score.tracks[0].notes.append(Note(2**28 - 1, 240, 64, 80))
    tokenize_folder(folder_of(tmp_path / "midi", {"good.mid": melody(drawn(1)), "long.mid": score}), tmp_path / "out", coarse)
    assert verdicts(tmp_path / "out")["long.mid"]["kind"] == "runaway"
    assert len(Corpus(tmp_path / "out").ids) < 200


def test_what_lies_beside_music_is_counted(tmp_path, coarse, melody, drawn, folder_of):
    """Texts and other archives are told by suffix, in the folder and in a zip archive; hidden files and MIDI of another name are not."""
    folder = folder_of(tmp_path / "midi", {"a.mid": melody(drawn(1)), "b.unknown": melody(drawn(2))})
    (folder / "b.unknown").replace(folder / "b.bin")
    for name in ("README", "notes.txt", "more.tar.xz", ".hidden"):
        (folder / name).write_text("no music")
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("cover.JPG", "no music")
        archive.write(folder / "a.mid", "inner.mid")
    report = tokenize_folder(folder, tmp_path / "out", coarse)
    assert (report["pieces"], report["not_music"]) == (3, {"": 1, ".jpg": 1, ".txt": 1, ".xz": 1})


def test_a_file_that_is_gone_or_locked_is_a_verdict(tmp_path, coarse, melody, drawn, folder_of):
    """Deleted after the folder was listed, or never to be opened: named so, and no reason holds the path of this machine."""
    folder = folder_of(tmp_path / "midi", {"a.mid": melody(drawn(1)), "b.mid": melody(drawn(2))})
    files = music_files(folder)
    (folder / "a.mid").unlink()
    (folder / "b.mid").unlink()
    (folder / "b.mid").mkdir()  # nobody, not even root, can read a folder as a file
    outcomes = [tokenize_file(file, RemiTokenizer(coarse)) for file in files]
    assert [outcome.failure.kind for outcome in outcomes] == ["disappeared", "unreadable"]
    assert not any(str(tmp_path) in outcome.failure.reason for outcome in outcomes)


def test_columns_of_the_manifest_are_read_when_they_are_asked_for(dataset):
    """`rows` is a mapping of all columns, and holds lists of those that were asked for."""
    rows = Corpus(dataset).rows
    assert set(rows._lists) == {"split"}
    table = datasets.load_from_disk(str(dataset / "manifest"))
    assert dict(rows) == table.to_dict()
    assert len(rows) == len(table.column_names)


def test_the_manifest_is_what_datasets_writes(dataset, tmp_path):
    """The table and its description, written row by row here, are those of `save_to_disk`; so filters and the Hub take it."""
    table = datasets.load_from_disk(str(dataset / "manifest"))
    table.save_to_disk(str(tmp_path / "manifest"))
    again = datasets.load_from_disk(str(tmp_path / "manifest"))
    assert again.features == table.features
    assert again.to_dict() == table.to_dict()
    for name in ("dataset_info.json", "state.json"):
        ours, theirs = (json.loads((folder / "manifest" / name).read_text()) for folder in (dataset, tmp_path))
        assert ours | {"_fingerprint": None} == theirs | {"_fingerprint": None}


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

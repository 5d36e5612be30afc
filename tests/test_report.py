"""The report counts what the verdicts say, proves the split, stays small and can be shown to anyone."""

import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from symbolic.corpus.examination import examine
from symbolic.corpus.findings import share
from symbolic.corpus.recommendation import CANDIDATES
from symbolic.corpus.report import write_report
from symbolic.corpus.tally import EDGES, Groups, Sample
from symbolic.errors import InputError
from symbolic.midi.reading import Reading
from symbolic.tokenizers.remi import RemiTokenizer

TOKENIZER = RemiTokenizer()
EVIL = "a/<script>alert(1)</script> & \"b\" 'c'.mid"


def piece(seed: int, milliseconds: float = 0.0, notes: int = 64) -> ScoreTick:
    """Eighth notes without a pattern, struck with a normal error of so many milliseconds."""
    generator = np.random.default_rng(seed)
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, 120.0))
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    track = TrackTick("", seed % 128, False)
    for place in range(notes):
        late = generator.normal(0, milliseconds) * 0.96
        track.notes.append(
            NoteTick(max(round(240 * place + late), 0), 200, int(generator.integers(50, 80)), int(generator.integers(1, 128)))
        )
    score.tracks.append(track)
    return score


def kept(name: str, score: ScoreTick, **more: object) -> dict:
    facts = examine(Reading(score, "midi"), TOKENIZER.encode(score), TOKENIZER)
    verdict = {"path": name, "verdict": "kept", "reason": None, "kind": None, "format": "midi", "repairs": [], "facts": facts}
    number = hashlib.sha256(name.encode()).hexdigest()
    return verdict | {"content": number, "notes_hash": number, "shape_hash": number, "cluster": 0, "split": "train"} | more


def skipped(name: str, kind: str = "damaged", reason: str = "cut short") -> dict:
    return {"path": name, "verdict": "skipped", "reason": reason, "kind": kind, "format": None, "repairs": [], "facts": None}


def dataset(folder: Path, verdicts: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    TOKENIZER.save(folder)
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(verdict) + "\n" for verdict in verdicts))
    return folder


def test_totals_are_those_of_the_verdicts(tmp_path):
    """Files, notes, tokens, seconds, collections and every histogram add up to what a plain sum gives."""
    scores = {f"{'ab'[n % 2]}/{n}.mid": piece(n, notes=10 + 7 * n) for n in range(12)}
    verdicts = [kept(name, score, cluster=n, split="test" if n == 3 else "train") for n, (name, score) in enumerate(scores.items())]
    verdicts += [skipped("a/x.mid"), skipped("b/y.mid"), skipped("z.mid", "no notes"), {"path": "b/out.mid", "verdict": "excluded"}]
    report = write_report(dataset(tmp_path / "set", verdicts))
    facts = [verdict["facts"] for verdict in verdicts[:12]]
    assert report == json.loads((tmp_path / "set" / "report.json").read_text())
    assert (report["files"], report["pieces"], report["skipped"], report["excluded"]) == (16, 12, 3, 1)
    for name in ("notes", "tokens", "bars"):
        assert report[name] == sum(fact[name] for fact in facts)
    for name in ("notes", "tokens", "pieces", "skipped", "excluded"):
        assert report[name] == sum(collection[name] for collection in report["collections"].values())
    assert report["hours"] == pytest.approx(sum(fact["seconds"] for fact in facts) / 3600, abs=1e-3)
    assert report["skip_reasons"] == {"damaged": 2, "no notes": 1}
    assert {name: c["pieces"] for name, c in report["collections"].items()} == {"": 0, "a": 6, "b": 6}
    assert report["splits"] == {"train": 11, "test": 1}
    assert report["collections"]["b"]["splits"] == {"test": 1, "train": 5}
    for name in EDGES:
        assert sum(report["histograms"][name]["counts"]) == 12
    assert sum(report["histograms"]["velocity"]["counts"]) == report["notes"] == report["loss"]["notes"]
    lost = [fact["loss"]["velocity"][0] * fact["notes"] for fact in facts]
    assert report["loss"]["velocity"]["mean"] == pytest.approx(sum(lost) / report["notes"], rel=1e-3)
    assert report["loss"]["velocity"]["max"] == max(fact["loss"]["velocity"][1] for fact in facts)


def test_every_value_falls_into_its_bin(tmp_path):
    """A file of 64 notes stands in the bin from 50 to 99, and the last bin has no end."""
    report = write_report(dataset(tmp_path, [kept("a.mid", piece(0)), kept("b.mid", piece(1, notes=1))]))
    counts = dict(zip(EDGES["notes"], report["histograms"]["notes"]["counts"], strict=True))
    assert {edge for edge, count in counts.items() if count} == {0, 50}


def groups_of(files: list[tuple[str, str, str, int, str]]) -> dict:
    groups = Groups()
    for content, notes, shape, cluster, split in files:
        groups.add({"path": content, "content": content, "notes_hash": notes, "shape_hash": shape, "cluster": cluster, "split": split})
    return groups.result()


def test_repeats_are_told_by_how_they_repeat():
    """Six files: a copy, the same notes in another file, a transposition, one only alike, and one of its own."""
    result = groups_of(
        [("1", "a", "f", 0, "train"), ("1", "a", "f", 0, "train"), ("2", "a", "f", 0, "train"), ("3", "b", "f", 0, "train"),
         ("4", "c", "e", 0, "train"), ("5", "d", "d", 5, "test")]
    )  # fmt: skip
    assert result["repeats"] == {"the same file": 1, "the same notes": 1, "transposed": 1, "alike": 1}
    assert result["different"] == 2
    assert result["levels"]["cluster"] == {"groups": 1, "files": 5, "straddling": 0, "largest": 5}


def test_a_cluster_on_two_sides_of_the_split_is_counted_and_told(tmp_path):
    """The proof is a count: one straddling cluster is found, and the page warns of it first."""
    verdicts = [kept(f"{n}.mid", piece(n), cluster=n // 2, split="test" if n == 5 else "train") for n in range(8)]
    report = write_report(dataset(tmp_path, verdicts))
    assert report["duplicates"]["levels"]["cluster"]["straddling"] == 1
    assert report["duplicates"]["levels"]["content"]["straddling"] == 0
    assert "straddle" in report["findings"][0]
    assert "ON TWO SIDES" in (tmp_path / "report.html").read_text()


def test_the_largest_clusters_are_listed(tmp_path):
    """Largest first, with examples and how many different files are in them."""
    verdicts = [kept(f"{n:02}.mid", piece(n), cluster=0 if n < 5 else 5 if n < 8 else n) for n in range(10)]
    for verdict in verdicts[:3]:
        verdict["content"] = "ab"
    first, second = write_report(dataset(tmp_path, verdicts))["largest_clusters"]
    assert (first["files"], first["different_files"], first["examples"]) == (5, 3, [f"{n:02}.mid" for n in range(5)])
    assert second["files"] == 3


class Checked(HTMLParser):
    """Collects what a page holds, and whether every element that opens also closes."""

    VOID = ("meta", "rect", "path", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path) -> Checked:
    page = Checked()
    page.feed((folder / "report.html").read_text())
    page.close()
    assert page.open == []
    return page


def test_names_of_files_are_shown_and_never_run(tmp_path):
    """A file, a reason, a collection, a meter or an instrument named like HTML is text on the page."""
    verdicts = [kept(EVIL, piece(0)), kept(EVIL + "2", piece(0)), skipped(EVIL, "<b>kind</b>", "<img src=x onerror=alert(1)>")]
    verdicts[0]["facts"]["format"] = verdicts[0]["facts"]["key"] = "<i>x</i>"
    verdicts[0]["facts"]["meters"] = {"<u>3/4</u>": 4}
    verdicts[0]["facts"]["repairs"] = ["<script>"]
    verdicts[0]["facts"]["suspicious"] = {"one pitch": "<script>detail"}
    verdicts[0]["split"] = "<script>split"
    write_report(dataset(tmp_path / "<script>", verdicts))
    page = page_of(tmp_path / "<script>")
    assert page.tags.isdisjoint({"script", "img", "i", "u", "iframe", "link", "object"})
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert EVIL in page.text
    assert "<img src=x onerror=alert(1)>" in page.text


def test_the_page_needs_nothing_else(tmp_path):
    """No script, nothing from the network: every link is to a place on the page itself, which exists."""
    write_report(dataset(tmp_path, [kept(f"{n}.mid", piece(n)) for n in range(4)]))
    page = page_of(tmp_path)
    links = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    places = {value for name, value in page.attributes if name == "id"}
    assert links
    assert {f"#{place}" for place in places} >= set(links)
    assert "http" not in (tmp_path / "report.html").read_text().replace("http-equiv", "")


def test_every_picture_is_told_in_words(tmp_path):
    """Each picture has a label, and its numbers in a table below it."""
    write_report(dataset(tmp_path, [kept(f"{n}.mid", piece(n, notes=9 + 9 * n)) for n in range(9)]))
    text = (tmp_path / "report.html").read_text()
    assert text.count("<svg") == text.count('role="img"') == text.count("aria-label=") == text.count(">numbers</summary>")
    assert text.count("<svg") >= 8


def test_reports_do_not_grow_with_the_number_of_files(tmp_path):
    """Ten times the files, failures and collections: the page and the JSON stay of one size, and say how many more there are."""
    sizes = []
    for count in (3_000, 30_000):
        bad = [skipped(f"folder{n}/file {n}.mid", f"kind {n % 7}", "x" * 600) for n in range(count)]
        folder = dataset(tmp_path / str(count), [kept(f"{n}/k.mid", piece(0)) for n in range(3)] + bad)
        write_report(folder)
        sizes.append([(folder / name).stat().st_size for name in ("report.json", "report.html")])
        assert f"and {count - 300:,} more" in (folder / "report.html").read_text()
    assert sizes[1][0] < 1.05 * sizes[0][0]
    assert sizes[1][1] < 1.05 * sizes[0][1]


def test_the_same_verdicts_give_the_same_bytes(tmp_path):
    """Written twice, in two folders of one name, the files are equal byte for byte."""
    verdicts = [kept(f"a/{n}.mid", piece(n), cluster=n) for n in range(6)] + [skipped(f"b/{n}.mid") for n in range(20)]
    one, two = (dataset(tmp_path / place / "set", verdicts) for place in "ab")
    for folder in (one, two):
        write_report(folder)
    for name in ("report.json", "report.html"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_sample_does_not_depend_on_the_order_told():
    """The same few of a thousand, whichever came first."""
    forwards, backwards = Sample(5), Sample(5)
    for n in range(1000):
        forwards.add(f"file {n}", n)
        backwards.add(f"file {999 - n}", 999 - n)
    assert forwards.items() == backwards.items()
    assert len(forwards.items()) == 5


@pytest.mark.parametrize(("milliseconds", "wanted"), [(0.0, "score"), (12.0, "performance")])
def test_the_settings_a_folder_wants_are_measured(tmp_path, milliseconds: float, wanted: str):
    """Music on the grid wants the settings for scores; the same music played wants the finer grid, and loses less with it."""
    (tmp_path / "music").mkdir()
    verdicts = []
    for n in range(4):
        score = piece(n, milliseconds)
        (tmp_path / "music" / f"{n}.mid").write_bytes(score.dumps_midi())
        verdicts.append(kept(f"{n}.mid", score, cluster=n))
    settings = write_report(dataset(tmp_path / "set", verdicts), tmp_path / "music")["settings"]
    assert (settings["recommended"], settings["used"], settings["files"]) == (wanted, "score", 4)
    coarse, fine = (settings["measured"][name]["loss"]["onset_ms"]["mean"] for name in CANDIDATES)
    assert fine < coarse or fine == coarse == 0
    assert settings["performed_files"] == (4 if milliseconds else 0)
    assert f"tokenizer-{wanted}.yaml" in page_of(tmp_path / "set").text


def test_a_collection_of_the_other_kind_is_named(tmp_path):
    """Among scores a folder of played music is to be tokenized apart."""
    verdicts = []
    for n in range(12):
        name, score = (f"drums/{n}.mid", piece(n, 12.0, 16)) if n == 0 else (f"scores/{n}.mid", piece(n))
        (tmp_path / "music" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "music" / name).write_bytes(score.dumps_midi())
        verdicts.append(kept(name, score, cluster=n))
    report = write_report(dataset(tmp_path / "set", verdicts), tmp_path / "music")
    assert report["settings"]["recommended"] == "score"
    assert report["settings"]["collections_of_the_other_kind"] == ["drums"]
    assert any("drums holds performances" in finding for finding in report["findings"])


def test_repairs_are_counted_by_kind(tmp_path):
    """The same repair with other numbers is one kind, a file counts once."""
    verdicts = [kept(f"{n}.mid", piece(n)) for n in range(3)]
    for verdict, repairs in zip(verdicts, (["ends set: 3"], ["ends set: 14", "ends set: 2"], ["2 notes left out"]), strict=True):
        verdict["facts"]["repairs"] = repairs
    assert write_report(dataset(tmp_path, verdicts))["repairs"] == {"ends set": 2, "notes left out": 1}


def test_what_is_no_music_is_counted_and_archives_are_told(tmp_path):
    """Files beside the music are counted by suffix, the most first; archives that are not opened are said to be unpacked."""
    folder = dataset(tmp_path, [kept(f"{n}.mid", piece(n)) for n in range(4)])
    report = write_report(folder, others={"": 1, ".xz": 2, ".pdf": 3})
    assert list(report["not_music"].items()) == [(".pdf", 3), (".xz", 2), ("", 1)]
    assert any("2 archives (.xz) were not opened" in finding for finding in report["findings"])
    assert "no suffix" in (folder / "report.html").read_text()
    assert not any("archive" in finding for finding in write_report(folder, others={".pdf": 3})["findings"])


def test_files_that_are_gone_are_passed_over(tmp_path):
    """A file deleted since is not measured; with none left nothing is recommended, and the page says so."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "other.mid").write_bytes(piece(1).dumps_midi())
    report = write_report(dataset(tmp_path / "set", [kept("gone.mid", piece(0))]), tmp_path / "music")
    assert report["settings"]["recommended"] is None
    assert "Nothing is recommended" in page_of(tmp_path / "set").text


def test_a_folder_without_any_kept_file_has_a_report(tmp_path):
    """Nothing but failures: the report says so and divides by no zero."""
    report = write_report(dataset(tmp_path, [skipped("a.mid"), skipped("b.mid")]))
    assert (report["pieces"], report["skipped"]) == (0, 2)
    assert "2 of 2 files could not be used" in page_of(tmp_path).text


@pytest.mark.parametrize("content", [None, "{", '{"path": "a"}', "[]"])
def test_damaged_verdicts_are_one_line(tmp_path, content: str | None):
    """A missing or damaged verdicts.jsonl is an error that names the file, or the folder and what to type."""
    if content is not None:
        (tmp_path / "verdicts.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"verdicts\.jsonl"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 9, "0 %"), (9, 9, "100 %"), (1, 3, "33 %"), (1, 30, "3.3 %"), (1, 1000, "0.10 %"), (999999, 1000000, "over 99.99 %"),
     (1, 1000000, "under 0.01 %"), (998, 1000, "99.8 %"), (0, 0, "0 %")],
)  # fmt: skip
def test_shares_never_round_to_all_or_nothing(part: int, whole: int, text: str):
    """What is not all is not told as 100 %, what is not nothing not as 0."""
    assert share(part, whole) == text

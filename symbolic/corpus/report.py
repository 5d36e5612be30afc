"""The report of a dataset: what its files hold, which were refused and why, what tokens lose, what looks wrong.

DATASET/verdicts.jsonl is read line by line, so that memory does not grow with the number of files. Out come
DATASET/report.json, with every number, and DATASET/report.html, a page of its own that opens offline.
Nothing in either depends on the clock or the machine: the same verdicts give the same bytes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from symbolic.corpus.findings import findings
from symbolic.corpus.recommendation import Measured, compare_settings
from symbolic.corpus.report_page import page
from symbolic.corpus.suspicions import MEANINGS
from symbolic.corpus.tally import EDGES, OTHERS, Collection, Groups, Histogram, LossTally, Sample, count_capped, number_of
from symbolic.errors import InputError
from symbolic.files import new_file
from symbolic.tokenizers.remi import SETTINGS_FILE

VERDICTS = "verdicts.jsonl"
MOST_EXAMPLES = 12
MOST_SKIPPED = 300
MOST_CLUSTERS = 20
SAMPLE = 50
SLOW_SAMPLE = 10
"""Of MusicXML, ABC and kern, which take long to read again."""
SAMPLE_NOTES = 20_000
"""Files with more notes are not used to compare settings: a few would take all the time."""


def write_report(folder: str | Path, source: str | Path | None = None, others: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Write report.json and report.html into the dataset `folder` from its verdicts.jsonl; gives what report.json holds.

    `source` is the folder of music the verdicts speak of: up to 50 of its files are read again and encoded with the
    settings for scores and for performances, so that the recommendation is measured; without it none is given.
    `others` counts by suffix what lay in the folder beside music.
    Raises `InputError` when there are no verdicts or they are damaged.
    """
    folder = Path(folder)
    report = collect(folder, Path(source) if source is not None else None, others or {})
    with new_file(folder / "report.json", force=True) as path:
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="backslashreplace")
    with new_file(folder / "report.html", force=True) as path:
        path.write_text(page(report), encoding="utf-8", errors="backslashreplace")
    return report


def collect(folder: Path, source: Path | None, others: Mapping[str, int]) -> dict[str, Any]:
    """The content of report.json."""
    tally = Tally()
    for verdict in verdicts(folder):
        tally.add(verdict)
    largest = tally.groups.largest_clusters(MOST_CLUSTERS)
    report = tally.result()
    report["folder"] = (source or folder).resolve().name
    report["not_music"] = dict(sorted(others.items(), key=lambda item: (-item[1], item[0])))
    report["vocabulary_size"] = _vocabulary_size(folder)
    report["largest_clusters"] = _clusters(folder, largest) if largest else []
    measured = compare_settings(source, [*tally.sample.items(), *tally.slow_sample.items()]) if source is not None else Measured.nothing()
    report["settings"] = measured.result(folder, report)
    report["findings"] = findings(report)
    return report


def verdicts(folder: Path) -> Iterator[dict[str, Any]]:
    """The verdicts of a dataset, one a file."""
    path = folder / VERDICTS
    if not path.is_file():
        raise InputError(f"{folder}: no {VERDICTS} in it, so there is nothing to report; make a dataset with: symbolic tokenize FOLDER")
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                verdict = json.loads(line)
                _ = verdict["path"], verdict["verdict"]
            except (ValueError, KeyError, TypeError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise InputError(f"{path}: line {number} is no verdict ({reason}); make the dataset again") from error
            yield verdict


class Tally:
    """Everything that is counted while the verdicts stream by."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.counters: dict[str, Counter[str]] = {
            name: Counter() for name in ("formats", "repairs", "skip_reasons", "splits", "keys", "notated_keys", "meters", "first_meters")
        }
        self.programs: dict[str, Counter[str]] = {"files": Counter(), "notes": Counter()}
        self.dropped: dict[str, Counter[str]] = {"files": Counter(), "events": Counter()}
        self.histograms = {name: Histogram(name) for name in EDGES}
        self.velocities = [0] * 8
        self.loss = LossTally()
        self.collections: dict[str, Collection] = {}
        self.suspicious: dict[str, Sample] = {name: Sample(MOST_EXAMPLES) for name in MEANINGS}
        self.suspicious_files: Counter[str] = Counter()
        self.skipped = Sample(MOST_SKIPPED)
        self.skipped_examples: dict[str, Sample] = {}
        self.excluded = Sample(MOST_EXAMPLES)
        self.groups = Groups()
        self.sample, self.slow_sample = Sample(SAMPLE), Sample(SLOW_SAMPLE)

    def add(self, verdict: dict[str, Any]) -> None:
        """Count one file."""
        path, kind = str(verdict["path"]), verdict["verdict"]
        collection = self._collection(path)
        self.counts["files"] += 1
        self.counts[kind] += 1
        if kind == "kept":
            self._add_kept(path, verdict, collection)
            return
        if kind == "excluded":
            collection.counts["excluded"] += 1
            self.excluded.add(path, path)
            return
        collection.counts["skipped"] += 1
        why, reason = str(verdict.get("kind") or "unknown"), str(verdict.get("reason") or "")[:400]
        count_capped(self.counters["skip_reasons"], why)
        self.skipped.add(path, {"path": path, "kind": why, "reason": reason})
        if why in self.counters["skip_reasons"]:
            self.skipped_examples.setdefault(why, Sample(MOST_EXAMPLES)).add(path, {"path": path, "reason": reason})

    def _add_kept(self, path: str, verdict: dict[str, Any], collection: Collection) -> None:
        facts, split = verdict["facts"], str(verdict.get("split") or "")
        notes, performed = facts["notes"], facts["performed"] >= 0.5
        sums = {"notes": notes, "tokens": facts["tokens"], "pieces": 1, "performed": performed, "suspicious": bool(facts["suspicious"])}
        collection.counts.update(sums)
        self.counts.update(sums | {"bars": facts["bars"], "performed_notes": round(facts["performed"] * notes)})
        self.counts["milliseconds"] += round(1000 * facts["seconds"])
        self.counts["milli_beats"] += round(1000 * facts["beats"])
        collection.splits[split] += 1
        collection.loss.add(notes, facts["loss"])
        self.loss.add(notes, facts["loss"])
        for name, value in (
            ("formats", facts["format"]), ("splits", split), ("keys", facts["key"] or "none"),
            ("notated_keys", facts["notated_key"] or "none"), ("first_meters", next(iter(facts["meters"]), "none")),
            *(("repairs", kind) for kind in sorted({_kind_of_repair(repair) for repair in facts["repairs"]})),
        ):  # fmt: skip
            count_capped(self.counters[name], value)
        for meter, bars in facts["meters"].items():
            count_capped(self.counters["meters"], meter, bars)
        for program, count in facts["programs"].items():
            self.programs["files"][program] += 1
            self.programs["notes"][program] += count
        for what, events in facts["dropped"].items():
            self.dropped["files"][what] += 1
            self.dropped["events"][what] += events
        for name, value in (
            ("seconds", facts["seconds"]), ("bars", facts["bars"]), ("notes", notes), ("tokens", facts["tokens"]),
            ("tracks", facts["tracks"]), ("polyphony", facts["polyphony"][0]), ("tempo", facts["tempi"]["first"]),
        ):  # fmt: skip
            self.histograms[name].add(value)
        self.velocities = [a + b for a, b in zip(self.velocities, facts["velocity_counts"], strict=True)]
        for name, detail in facts["suspicious"].items():
            self.suspicious_files[name] += 1
            if name in self.suspicious:
                self.suspicious[name].add(path, {"path": path, "detail": detail})
        self.groups.add(verdict)
        if notes <= SAMPLE_NOTES:
            (self.sample if "midi" in facts["format"] else self.slow_sample).add(path, (path, performed))

    def _collection(self, path: str) -> Collection:
        parts = PurePosixPath(path).parts
        name = parts[0] if len(parts) > 1 else ""
        if name not in self.collections and len(self.collections) >= 500:
            name = OTHERS
        return self.collections.setdefault(name, Collection())

    def result(self) -> dict[str, Any]:
        """All counts by name."""
        duplicates = self.groups.result()
        clusters = duplicates["levels"]["cluster"]
        return {
            "files": self.counts["files"],
            "pieces": self.counts["kept"],
            "skipped": self.counts["skipped"],
            "excluded": self.counts["excluded"],
            **{name: self.counts[name] for name in ("notes", "tokens", "bars")},
            "beats": round(self.counts["milli_beats"] / 1000, 1),
            "hours": round(self.counts["milliseconds"] / 3_600_000, 3),
            "performed": {"files": self.counts["performed"], "notes": self.counts["performed_notes"]},
            **{name: dict(sorted(counter.items(), key=lambda item: (-item[1], item[0]))) for name, counter in self.counters.items()},
            "skipped_files": self.skipped.items(),
            "skipped_examples": {kind: sample.items() for kind, sample in sorted(self.skipped_examples.items())},
            "excluded_files": self.excluded.items(),
            "collections": {name: collection.result() for name, collection in sorted(self.collections.items())},
            "histograms": {name: {"edges": h.edges, "counts": h.counts} for name, h in self.histograms.items()}
            | {"velocity": {"edges": list(range(0, 128, 16)), "counts": self.velocities}},
            "programs": {
                program: {"files": files, "notes": self.programs["notes"][program]}
                for program, files in sorted(self.programs["files"].items(), key=lambda item: (-self.programs["notes"][item[0]], item[0]))
            },
            "loss": self.loss.result(),
            "dropped": {
                what: {"files": files, "events": self.dropped["events"][what]} for what, files in sorted(self.dropped["files"].items())
            },
            "suspicious": {
                name: {"files": self.suspicious_files[name], "meaning": meaning, "examples": self.suspicious[name].items()}
                for name, meaning in MEANINGS.items()
                if self.suspicious_files[name]
            },
            "suspicious_files": self.counts["suspicious"],
            "duplicates": duplicates,
            "duplicate_clusters": clusters["groups"],
            "pieces_in_duplicate_clusters": clusters["files"],
            "largest_cluster": clusters["largest"],
        }


def _clusters(folder: Path, largest: dict[int, int]) -> list[dict[str, Any]]:
    """The largest clusters with some of their files, read in a second pass."""
    samples = {number: Sample(MOST_EXAMPLES) for number in largest}
    distinct: dict[int, dict[str, set[int]]] = {number: {level: set() for level in Groups.LEVELS[:3]} for number in largest}
    splits: dict[int, set[str]] = {number: set() for number in largest}
    for verdict in verdicts(folder):
        number = number_of(verdict, "cluster")
        if verdict["verdict"] != "kept" or number not in samples:
            continue
        samples[number].add(verdict["path"], verdict["path"])
        splits[number].add(str(verdict.get("split") or ""))
        for level, seen in distinct[number].items():
            seen.add(number_of(verdict, level))
    return [
        {
            "files": size,
            "different_files": len(distinct[number]["content"]),
            "different_notes": len(distinct[number]["notes_hash"]),
            "different_when_transposed": len(distinct[number]["shape_hash"]),
            "splits": sorted(splits[number]),
            "examples": samples[number].items(),
        }
        for number, size in largest.items()
    ]


def _kind_of_repair(repair: str) -> str:
    """Without the number: "3 grace notes left out" and "4 grace notes left out" are one kind."""
    return re.sub(r"^[\d,]+ |: [\d,]+$", "", repair)


def _vocabulary_size(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["vocabulary_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""The report as one HTML page: no script, nothing loaded from anywhere, light, dark and on paper.

Names of files come from strangers: every text goes through `html.escape`.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from symbolic.corpus.findings import share
from symbolic.corpus.report_figures import bars, folded, histogram, paths, table
from symbolic.midi.programs import PROGRAM_NAMES

_STYLE = """
:root{color-scheme:light dark;--paper:#fdfcf9;--ink:#22242a;--soft:#676b75;--line:#d9d6cc;--bar:#3d6b8e;--warn:#a4502a;--card:#f4f1e9}
@media(prefers-color-scheme:dark){:root{--paper:#191b1f;--ink:#e4e2dc;--soft:#9c9fa8;--line:#3a3d44;--bar:#7fb0d4;--warn:#e2976f;--card:#23262b}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem clamp(.8rem,3vw,2rem) 4rem;max-width:66rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.2;margin:.6rem 0 .8rem}
h2{font-size:1.2rem;margin:2.6rem 0 .5rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{max-width:44rem;margin:.5rem 0}.soft{color:var(--soft);font-size:.9rem}
.lead{font-size:1.1rem}
.findings{background:var(--card);border-left:4px solid var(--warn);padding:.8rem 1rem .8rem 2.2rem;margin:1rem 0;max-width:48rem}
.findings li{margin:.35rem 0}
nav a{margin-right:.9rem;white-space:nowrap}a{color:var(--bar)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19rem,100%),1fr));gap:1.4rem 2rem;margin:1rem 0}
figure{margin:0;break-inside:avoid}figcaption{margin-bottom:.25rem}
svg{width:100%;max-width:24rem;height:auto;display:block;overflow:visible}
.bars rect,.bar span{fill:var(--bar);background:var(--bar)}.line{stroke:var(--line);fill:none}
.names text{font-size:13px;fill:var(--soft);text-anchor:middle}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.18rem .7rem .18rem 0;text-align:right;vertical-align:top;font-weight:400}
th:first-child,.words{text-align:left}td{white-space:nowrap}.words{white-space:normal}
thead th{color:var(--soft);border-bottom:1px solid var(--line);vertical-align:bottom}
tbody tr+tr>*{border-top:1px solid var(--line)}.lying tr+tr>*{border-top:0}
.wide{overflow-x:auto;margin:.6rem 0}.wide th:first-child{min-width:9rem}
.lying{width:100%;table-layout:fixed}.lying th{width:36%}.lying td:last-child{width:27%;white-space:nowrap}
.bar span{display:block;height:.8rem;margin-top:.35rem;border-radius:2px;-webkit-print-color-adjust:exact;print-color-adjust:exact}
details{margin:.3rem 0}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
ul{padding-left:1.1rem;margin:.3rem 0}li{margin:.1rem 0}code{font-size:.86rem}
@media print{body{max-width:none;padding:0;font-size:11pt}nav,details:not([open]){display:none}h2{break-after:avoid}}
"""

_OPEN = 5
_FIFTHS_MAJOR = ["Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
_FIFTHS_MINOR = ["F", "C", "G", "D", "A", "E", "B", "F#", "C#", "Ab", "Eb", "Bb"]
_SECTIONS = (
    ("refused", "Files that could not be used"), ("music", "What the music is like"), ("loss", "What tokens lose"),
    ("suspicious", "What looks wrong"), ("repeats", "The same music more than once"), ("split", "The split"),
    ("settings", "Which tokenizer settings"),
)  # fmt: skip


def page(report: dict[str, Any]) -> str:
    """The whole page for a report as `symbolic.corpus.report.collect` gives it."""
    bodies = {
        "refused": _refused(report), "music": _music(report), "loss": _loss(report), "suspicious": _suspicious(report),
        "repeats": _repeats(report), "split": _split(report), "settings": _settings(report),
    }  # fmt: skip
    title = escape(f"{report['folder']}: what is in this music")
    links = "".join(f'<a href="#{name}">{escape(heading)}</a> ' for name, heading in _SECTIONS)
    sections = "".join(f'<section id="{name}"><h2>{escape(heading)}</h2>{bodies[name]}</section>' for name, heading in _SECTIONS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>{_lead(report)}<nav>{links}</nav>\n{sections}"
        '<p class="soft">All numbers are in report.json, every file’s own in verdicts.jsonl. Made by symbolic.</p></body></html>\n'
    )


def _lead(report: dict[str, Any]) -> str:
    tried, used = report["pieces"] + report["skipped"], report["pieces"]
    read = f"All {used:,} files" if used == tried else f"{used:,} of {tried:,} files ({share(used, tried)})"
    performed = report["performed"]["files"]
    kind = "none performed" if not performed else "all performed" if performed == used else f"{performed:,} of the files performed"
    left_out = f" {report['excluded']:,} more were left out as asked." if report["excluded"] else ""
    told = (
        f"{read} became {report['tokens']:,} tokens: {report['notes']:,} notes, {_duration(report['hours'])} of music, {kind}.{left_out} "
        f"{_percent(report['loss']['kept_percent'])} % of the notes come back from their tokens within 1/48 of a quarter note."
    )
    points = "".join(f"<li>{escape(sentence)}</li>" for sentence in report["findings"])
    most = f"<h3>What to know first</h3><ol class=findings>{points}</ol>" if points else "<p>Nothing in it calls for your attention.</p>"
    return f"<p class=lead>{escape(told)}</p>{most}"


def _refused(report: dict[str, Any]) -> str:
    parts = []
    if not report["skipped"]:
        parts.append("<p>None: every file could be read and encoded.</p>")
    for kind, count in report["skip_reasons"].items():
        examples = [(item["path"], item["reason"]) for item in report["skipped_examples"].get(kind, [])]
        parts.append(f"<h3>{escape(kind)}: {count:,}</h3>{paths(examples[:_OPEN], min(count, _OPEN))}")
        if count > _OPEN:
            parts.append(folded("more", paths(examples[_OPEN:], count - _OPEN)))
    if report["skipped"] > len(report["skip_reasons"]) * _OPEN:
        listed = [(item["path"], item["reason"]) for item in report["skipped_files"]]
        every = "all of them in one list" if len(listed) == report["skipped"] else f"{len(listed):,} of them in one list"
        parts.append(folded(every, paths(listed, report["skipped"])))
    if report["excluded"]:
        left_out = [(path, "") for path in report["excluded_files"]]
        parts.append(f"<h3>left out as asked: {report['excluded']:,}</h3>{paths(left_out, report['excluded'])}")
    if report["repairs"]:
        parts.append("<h3>Read after a repair</h3>" + table(["repair", "files"], [(k, f"{n:,}") for k, n in report["repairs"].items()]))
    if report["not_music"]:
        rows = [(suffix or "no suffix", f"{n:,}") for suffix, n in report["not_music"].items()]
        parts.append("<h3>Not opened: by name and first bytes no music</h3>" + table(["ending in", "files"], rows[:_OPEN]))
    return "".join(parts)


def _music(report: dict[str, Any]) -> str:
    def drawn(name: str, title: str, note: str, unit: str = "", whole: bool = True) -> str:
        edges, counts = report["histograms"][name]["edges"], report["histograms"][name]["counts"]
        last = max((place for place, count in enumerate(counts) if count), default=0) + 1
        first = min((place for place, count in enumerate(counts) if count), default=0)
        labels = [_bin(edges, place, unit, whole) for place in range(len(edges))]
        short = _clock if name == "seconds" else _number
        return histogram(title, labels[first:last], counts[first:last], note, [short(edge) for edge in edges[first:last]])

    keys = report["keys"]
    keyed = [
        histogram(f"{mode.capitalize()} keys", [f"{tonic} {mode}" for tonic in order], [keys.get(f"{tonic} {mode}", 0) for tonic in order],
                  "files, around the circle of fifths", list(order))
        for mode, order in (("major", _FIFTHS_MAJOR), ("minor", _FIFTHS_MINOR))
    ]  # fmt: skip
    programs = [(_program(program), counts["notes"]) for program, counts in report["programs"].items()]
    figures = [
        drawn("seconds", "Length", "files by length", " s"),
        drawn("notes", "Notes", "files by number of notes"),
        drawn("bars", "Bars", "files by number of bars"),
        drawn("tracks", "Parts", "files by number of tracks with notes"),
        drawn("polyphony", "Polyphony", "files by mean number of notes sounding at once", whole=False),
        drawn("tempo", "First tempo", "files by quarter notes a minute"),
        *keyed,
        drawn("velocity", "Velocity", "notes by how hard they are struck, 0 to 127"),
        drawn("tokens", "Tokens", "files by number of tokens"),
        bars("Meters", list(report["meters"].items()), "bars"),
        bars("Instruments", programs, "notes"),
    ]
    without = keys.get("none", 0)
    note = f"<p class=soft>{without:,} files have no key: only drums play, or all pitches alike.</p>" if without else ""
    formats = ", ".join(f"{count:,} {name}" for name, count in report["formats"].items())
    return f'<p class="soft">Formats: {escape(formats)}.</p><div class="grid">{"".join(figures)}</div>{note}'


def _loss(report: dict[str, Any]) -> str:
    loss = report["loss"]
    if not loss["notes"]:
        return "<p>No notes were encoded.</p>"
    rows = [
        (name or "(no collection)", *_loss_row(counts["loss"]))
        for name, counts in sorted(report["collections"].items(), key=lambda item: -item[1]["notes"])[:40]
        if counts["notes"]
    ]
    head = [
        "collection", "notes", "come back, %", "onset, mean ms", "largest, ms", "95 % below, ms", "duration, mean ms",
        "velocity, mean steps", "tempo, mean %",
    ]  # fmt: skip
    moved = histogram(
        "How far onsets move", [f"{label} ms" if label != "more" else "50 ms or more" for label in loss["onset_ms_counts"]],
        list(loss["onset_ms_counts"].values()), "notes by milliseconds", ["< 1", "< 2", "< 5", "< 10", "< 20", "< 50", "more"],
    )  # fmt: skip
    dropped = [(what, f"{counts['events']:,}", f"{counts['files']:,}") for what, counts in report["dropped"].items()]
    tuplet_names = {"3": "triplets", "5": "quintuplets", "7": "septuplets"}
    tuplets = [
        (tuplet_names[kind], f"{counts['notes']:,}", f"{counts['moved']:,} ({share(counts['moved'], counts['notes'])})")
        for kind, counts in loss["tuplets"].items()
    ]
    meters = [(name, f"{count:,}") for name, count in loss["meter_changes"].items()]
    return (
        "<p>Every file was turned into tokens and back, and its notes compared one by one. A note comes back when it is there again "
        "and begins and lasts the same to within 1/48 of a quarter note. Velocities run from 1 to 127.</p>"
        + table(head, [*rows, ("all", *_loss_row(loss))] if len(rows) > 1 else rows)
        + f'<div class="grid">{moved}<div>'
        + (f"<h3>Notes in tuplets</h3>{table(['of scores', 'notes', 'moved'], tuplets)}" if tuplets else "")
        + f"<h3>Meter changes</h3>{table(['', 'changes'], meters)}</div></div>"
        + ("<h3>In the files and in no token</h3>" + table(["", "events", "files"], dropped) if dropped else "")
    )


def _loss_row(loss: dict[str, Any]) -> Sequence[str]:
    below = loss["onset_ms_95_percent_below"]
    return (
        f"{loss['notes']:,}", _percent(loss["kept_percent"]), f"{loss['onset_ms']['mean']:.2f}", f"{loss['onset_ms']['max']:.1f}",
        "over 50" if below is None else f"{below:g}", f"{loss['duration_ms']['mean']:.2f}", f"{loss['velocity']['mean']:.2f}",
        f"{loss['tempo_percent']['mean']:.2f}",
    )  # fmt: skip


def _suspicious(report: dict[str, Any]) -> str:
    if not report["suspicious"]:
        return "<p>Nothing.</p>"
    items = sorted(report["suspicious"].items(), key=lambda item: -item[1]["files"])
    parts = [
        f"<h3>{escape(name)}: {found['files']:,} ({share(found['files'], report['pieces'])})</h3><p>{escape(found['meaning'])}</p>"
        + folded("which", paths([(item["path"], item["detail"]) for item in found["examples"]], found["files"]))
        for name, found in items
    ]
    told = f"<p>{report['suspicious_files']:,} files have something odd. They are kept: nothing here is a fault for certain.</p>"
    return told + "".join(parts)


def _repeats(report: dict[str, Any]) -> str:
    repeats = report["duplicates"]["repeats"]
    names = {
        "the same file": "byte for byte the same file", "the same notes": "the same notes in another file",
        "transposed": "the same notes in another key", "alike": "much the same melody (clusters)",
    }  # fmt: skip
    if not sum(repeats.values()):
        return "<p>No file repeats another.</p>"
    parts = [
        f"<p>{report['duplicates']['different']:,} of {report['pieces']:,} files are different music; the others repeat one of them.</p>",
        table(["a file repeats another as", "files"], [(names[kind], f"{count:,}") for kind, count in repeats.items()]),
        "<h3>Largest clusters</h3>",
    ]
    for cluster in report["largest_clusters"]:
        told = (
            f"{cluster['files']:,} files, {cluster['different_files']:,} different ones, "
            f"{cluster['different_when_transposed']:,} when transposed to one key, all in {' and '.join(cluster['splits'])}"
        )
        first = cluster["examples"][0] if cluster["examples"] else ""
        parts.append(folded(f"{first} … {told}", paths([(path, "") for path in cluster["examples"]], cluster["files"])))
    return "".join(parts)


def _split(report: dict[str, Any]) -> str:
    splits = list(report["splits"])
    rows = [
        (name or "(no collection)", *(f"{n:,}" for n in (*(counts["splits"].get(s, 0) for s in splits), counts["notes"], counts["tokens"])))
        for name, counts in sorted(report["collections"].items(), key=lambda item: -item[1]["pieces"])[:40]
    ]
    total = ("all", *(f"{n:,}" for n in (*report["splits"].values(), report["notes"], report["tokens"])))
    levels = report["duplicates"]["levels"]
    names = {"content": "the same file", "notes_hash": "the same notes", "shape_hash": "the same notes in any key", "cluster": "clusters"}
    proof = [(names[level], f"{n['groups']:,}", f"{n['files']:,}", f"{n['straddling']:,}") for level, n in levels.items()]
    straddling = sum(n["straddling"] for n in levels.values())
    said = "no group of like files is on two sides of the split" if not straddling else "SOME GROUPS ARE ON TWO SIDES OF THE SPLIT"
    return (
        table(["collection", *(split or "(none)" for split in splits), "notes", "tokens"], [*rows, total] if len(rows) > 1 else rows)
        + f"<p>Counted over all {report['pieces']:,} files: {said}.</p>"
        + table(["groups of", "groups", "files in them", "groups on two sides"], proof)
    )


def _settings(report: dict[str, Any]) -> str:
    settings = report["settings"]
    if settings["recommended"] is None:
        return f"<p>Nothing is recommended: {escape(settings['reason'])}.</p>"
    rows = [
        (f"configs/tokenizer-{name}.yaml", _percent(100 - measured["notes_moved_percent"]),
         *(f"{measured['loss'][what]['mean']:.2f}" for what in ("onset_ms", "duration_ms", "velocity")),
         f"{measured['tokens_per_note']:.2f}", f"{measured['vocabulary_size']:,}")
        for name, measured in settings["measured"].items()
    ]  # fmt: skip
    head = [
        "settings",
        "onsets kept to 2 ms, %",
        "onset, mean ms",
        "duration, mean ms",
        "velocity, steps",
        "tokens a note",
        "kinds of tokens",
    ]
    other = settings["collections_of_the_other_kind"]
    apart = (
        f"<p>Of the other kind, to be tokenized apart: {escape(', '.join(name or '(no collection)' for name in other))}.</p>"
        if other
        else ""
    )
    return (
        f"<p>This folder wants <b>configs/tokenizer-{settings['recommended']}.yaml</b>: {escape(settings['reason'])} "
        f"(measured on {settings['files']:,} of its files, {settings['performed_files']:,} of them performed).</p>"
        + table(head, rows)
        + apart
    )


def _bin(edges: Sequence[float], place: int, unit: str, whole: bool) -> str:
    """The name of a bin: "10 to 19 s", "60 s or more"; for numbers that are not whole "1.5 to 2"."""
    low = edges[place]
    if place + 1 == len(edges):
        return f"{_number(low)}{unit} or more"
    high = edges[place + 1] - 1 if whole else edges[place + 1]
    return f"{_number(low)}{unit}" if low == high else f"{_number(low)} to {_number(high)}{unit}"


def _number(value: float) -> str:
    """10000 as "10k": short enough to stand below a bar."""
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _clock(seconds: float) -> str:
    """30 as "30s", 90 as "1.5m", 3600 as "1h": short enough to stand below a bar."""
    return f"{seconds:g}s" if seconds < 60 else f"{seconds / 60:g}m" if seconds < 3600 else f"{seconds / 3600:g}h"


def _percent(value: float) -> str:
    """A share in percent that is never rounded up to 100."""
    text = f"{value:.3f}"
    return "100" if value == 100 else "99.999" if float(text) == 100 else text


def _program(number: str) -> str:
    return "Drums" if number == "-1" else PROGRAM_NAMES[int(number)]


def _duration(hours: float) -> str:
    """ "2.5 hours", "12 minutes"."""
    return f"{hours:,.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"

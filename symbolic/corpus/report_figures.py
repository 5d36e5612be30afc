"""The pictures of a report as HTML and SVG text: histograms and bars, sharp at any size, no script, nothing loaded.

Colours come from the page (`--bar`, `--line`, `--soft`), so that a picture follows light, dark and paper.
Every picture has its numbers beside it as a table, for who cannot see it, and for copying.
"""

from collections.abc import Iterable, Sequence
from html import escape

WIDTH, HEIGHT, FOOT, TOP = 360, 130, 20, 18


def histogram(title: str, labels: Sequence[str], counts: Sequence[int], note: str = "", ticks: Sequence[str] | None = None) -> str:
    """A figure of upright bars; `labels` name the bins in full, `ticks` (or they) stand below, as many as have room."""
    if not sum(counts):
        return ""
    most, step = max(counts), WIDTH / len(counts)
    ticks = labels if ticks is None else ticks
    room = max(len(tick) for tick in ticks) * 7.5 + 6
    every = max(1, -(-int(room) // int(step)))
    bars, names = [], []
    for place, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height = (HEIGHT - TOP) * count / most
        drawn = max(height, 1.5) if count else 0
        bars.append(
            f'<rect x="{place * step + 1:.1f}" y="{HEIGHT - drawn:.1f}" width="{step - 2:.1f}" height="{drawn:.1f}" rx="1.5">'
            f"<title>{escape(label)}: {count:,}</title></rect>"
        )
        if place % every == 0:
            names.append(f'<text x="{(place + 0.5) * step:.1f}" y="{HEIGHT + 15}">{escape(ticks[place])}</text>')
    top = counts.index(most)
    anchor = "start" if top < len(counts) / 6 else "end" if top > len(counts) * 5 / 6 else "middle"
    at = {"start": top * step + 1, "middle": (top + 0.5) * step, "end": (top + 1) * step - 1}[anchor]
    told = f"{title}: most, {most:,}, at {labels[top]}"
    return (
        f"<figure><figcaption><b>{escape(title)}</b>{' ' + escape(note) if note else ''}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" aria-label="{escape(told)}">'
        f'<g class="bars">{"".join(bars)}</g><path class="line" d="M0 {HEIGHT + 0.5}H{WIDTH}"/>'
        f'<g class="names">{"".join(names)}<text x="{at:.1f}" y="{TOP - 5}" style="text-anchor:{anchor}">{most:,}</text></g></svg>'
        f"{_numbers(zip(labels, counts, strict=True))}</figure>"
    )


def bars(title: str, rows: Sequence[tuple[str, int]], note: str = "", most: int = 12) -> str:
    """A figure of lying bars, one a row, the longest first; rows past `most` are told as one line."""
    rows = [row for row in rows if row[1]]
    if not rows:
        return ""
    shown, rest = rows[:most], rows[most:]
    longest = max(count for _, count in shown)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar"><span style="width:{max(100 * count / longest, 0.6):.1f}%"></span></td>'
        f"<td>{count:,}</td></tr>"
        for name, count in shown
    )
    more = f'<p class="soft">and {len(rest):,} more with {sum(count for _, count in rest):,} together</p>' if rest else ""
    caption = f"<figcaption><b>{escape(title)}</b>{' ' + escape(note) if note else ''}</figcaption>"
    return f'<figure>{caption}<table class="lying">{body}</table>{more}</figure>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table; the first `words` columns are text, the others numbers, set to the right."""
    cells = [
        "".join(
            f'<th scope="row">{escape(cell)}</th>' if place == 0 else f"<td{' class=words' if place < words else ''}>{escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        for row in rows
    ]
    top = "".join(f'<th scope="col"{" class=words" if place < words else ""}>{escape(name)}</th>' for place, name in enumerate(head))
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """`content` behind a line that opens at a click."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def paths(items: Sequence[tuple[str, str]], total: int) -> str:
    """A list of files, each with a detail; below it how many more there are."""
    rows = "".join(f"<li><code>{escape(path)}</code>{' – ' + escape(detail) if detail else ''}</li>" for path, detail in items)
    more = f'<p class="soft">and {total - len(items):,} more: see verdicts.jsonl</p>' if total > len(items) else ""
    return f"<ul>{rows}</ul>{more}"


def _numbers(rows: Iterable[tuple[str, int]]) -> str:
    body = "".join(f'<tr><th scope="row">{escape(label)}</th><td>{count:,}</td></tr>' for label, count in rows if count)
    return folded("numbers", f"<table>{body}</table>")

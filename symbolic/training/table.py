"""What `evaluate` found, as lines of text with aligned columns: one for each memory and choice of keys."""

from typing import Any

from symbolic.training.evaluation import ANEW

TOTALS = {
    "note": "nats_per_note",
    "beat (quarter note)": "nats_per_beat",
    "token": "nats_per_token",
    "bits per note": "bits_per_note",
    "perplexity of a token": "perplexity_per_token",
}
KEYS = {"original": "own key", "twelve": "twelve keys"}


def evaluation_lines(result: dict[str, Any], name: str) -> list[str]:
    """The lines a person reads; `name` is what was scored."""
    columns = result["columns"]
    kinds = [key for key in columns[0] if key.startswith("nats_per_") and key not in TOTALS.values()]
    rows = [("nats per", [f"memory {column['memory']}" for column in columns]), ("", [KEYS[column["keys"]] for column in columns])]
    rows += [(label, [f"{column[key]:.4f}" for column in columns]) for label, key in TOTALS.items()]
    rows += [("by kind of token", [""] * len(columns))]
    rows += [(f"  {key.removeprefix('nats_per_').replace('_', ' ')}", [f"{c.get(key, 0.0):.4f}" for c in columns]) for key in kinds]
    named = [collection for collection in columns[0].get("collections", {}) if collection]
    if named:
        rows += [("note, by collection", [""] * len(columns))]
        rows += [(f"  {collection}", [f"{column['collections'][collection]:.4f}" for column in columns]) for collection in named]
    left = max(len(label) for label, _ in rows)
    widths = [max(len(cells[place]) for _, cells in rows) for place in range(len(columns))]
    lines = [f"{name}: {result['pieces']:,} pieces, {result['notes']:,} notes, {result['tokens']:,} tokens", ""]
    for label, cells in rows:
        lines.append("  ".join([label.ljust(left), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))]).rstrip())
    if any(not column["memory"] for column in columns):
        lines += ["", f"memory 0: every segment of {ANEW} tokens from its own tokens alone"]
    if result["skipped"]:
        first = result["skipped_files"][0]
        lines += ["", f"skipped {result['skipped']:,} files; the first, {first['path']}: {first['reason']}"]
    return lines

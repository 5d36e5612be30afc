"""Where the loops of samples begin, as an .sfz beside them tells: what is behind was made to be repeated, and does not fall as the
instrument does.

An .sfz is text: headers in angle brackets, opcodes `name=value`, comments behind `//`; a region inherits from its group, its master and
from <global>, and <control> may name a `default_path` (sfzformat.com). `loop_start` counts samples at the file's own rate.
"""

import functools
import re
from pathlib import Path

WORD = re.compile(r"<(\w+)>|(\w+)=([^\n]*?)(?=\s+\w+=|\s*<\w+>|\s*\n|\s*\Z)")
LEVELS = ("global", "master", "group", "region")
UNLOOPED = ("no_loop", "one_shot")


def loop_start(path: Path) -> int | None:
    """The sample of a recording at which its loop begins, by an .sfz in its folder or the one above; None where none tells."""
    starts = [
        told[path.resolve()]
        for told in (_starts(folder.resolve()) for folder in (path.parent, path.parent / ".."))
        if path.resolve() in told
    ]
    return min(starts, default=None)


@functools.lru_cache(maxsize=16)
def _starts(folder: Path) -> dict[Path, int]:
    """The first loop start of each sample that any .sfz of a folder names."""
    found: dict[Path, int] = {}
    for file in sorted(folder.glob("*.sfz")):
        try:
            told = loops_of(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        for name, start in told:
            path = (folder / name).resolve()
            found[path] = min(start, found.get(path, start))
    return found


def loops_of(text: str) -> list[tuple[str, int]]:
    """The samples of an .sfz with loops and the samples at which these begin, one entry for each region."""
    opcodes: dict[str, dict[str, str]] = {level: {} for level in LEVELS}
    current, default_path, found = dict[str, str](), "", list[tuple[str, int]]()

    def close() -> None:
        merged = {name: value for level in LEVELS for name, value in opcodes[level].items()}
        start = merged.get("loop_start", "")
        if "sample" in merged and start.isdigit() and merged.get("loop_mode") not in UNLOOPED:
            found.append(((default_path + merged["sample"]).replace("\\", "/"), int(start)))

    for header, name, value in WORD.findall(re.sub(r"//[^\n]*", "", text)):
        if header:
            if opcodes["region"]:
                close()
            inner = LEVELS.index(header) if header in LEVELS else len(LEVELS)
            for level in LEVELS[inner:] if inner < len(LEVELS) else ():
                opcodes[level] = {}
            opcodes["region"] = {}
            current = opcodes[header] if header in LEVELS else {}
        elif name == "default_path":
            default_path = value.strip()
        else:
            current[name] = value.strip()
    if opcodes["region"]:
        close()
    return found

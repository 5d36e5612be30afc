"""The few sentences a person reads first: what the numbers of a report mean and what to do about them, most urgent first."""

from typing import Any

from symbolic.corpus.recommendation import HEARD_MS

MOST_FINDINGS = 3
ARCHIVES = (".tar", ".gz", ".tgz", ".xz", ".bz2", ".zst", ".7z", ".rar")


def findings(report: dict[str, Any]) -> list[str]:
    """At most `MOST_FINDINGS` sentences about a report, the most urgent first; none about an empty one."""
    found = [*_refused(report), *_wrong_grid(report), *_straddling(report), *_repeats(report), *_suspicious(report), *_one_sided(report)]
    found += [*_dropped(report), *_packed(report)]
    return [sentence for urgency, sentence in sorted(found, key=lambda item: -item[0]) if urgency > 0][:MOST_FINDINGS]


def share(part: float, whole: float) -> str:
    """ "41 %"; small shares keep two digits, and what is not nothing or all is never told as 0 or 100 %."""
    percent = 100 * part / whole if whole else 0.0
    digits = 0 if 10 <= percent <= 99 or percent in (0, 100) else 1 if 1 <= percent <= 99.9 else 2
    text = f"{percent:.{digits}f}"
    if float(text) == 0 and part:
        return "under 0.01 %"
    return "over 99.99 %" if float(text) == 100 and part < whole else f"{text} %"


Found = list[tuple[float, str]]


def _refused(report: dict[str, Any]) -> Found:
    tried = report["pieces"] + report["skipped"]
    if not report["skipped"]:
        return []
    kind, count = next(iter(report["skip_reasons"].items()))
    told = f"{report['skipped']:,} of {tried:,} files could not be used, mostly “{kind}” ({count:,}): see which below."
    return [(0.3 + 5 * report["skipped"] / tried, told)]


def _packed(report: dict[str, Any]) -> Found:
    packed = {suffix: count for suffix, count in report["not_music"].items() if suffix in ARCHIVES}
    if not packed:
        return []
    kinds = ", ".join(packed)
    return [(2.0, f"{sum(packed.values()):,} archives ({kinds}) were not opened, only .zip is: unpack them if they hold music.")]


def _straddling(report: dict[str, Any]) -> Found:
    levels = report["duplicates"]["levels"]
    straddling = {level: numbers["straddling"] for level, numbers in levels.items() if numbers["straddling"]}
    if not straddling:
        return []
    return [(10.0, f"{max(straddling.values()):,} groups of like files straddle the split: do not trust a loss measured on it.")]


def _wrong_grid(report: dict[str, Any]) -> Found:
    settings = report["settings"]
    wanted, used = settings["recommended"], settings["used"]
    if wanted is None:
        return []
    told = f"the folder wants the settings for {wanted}s (--settings configs/tokenizer-{wanted}.yaml): {settings['reason']}."
    if used != wanted:
        return [(4.0 if used in ("score", "performance") else 0.5, f"Tokenize again: {told}" if used else told[0].upper() + told[1:])]
    other = settings["collections_of_the_other_kind"]
    kind = "scores" if wanted == "performance" else "performances"
    if other:
        names = ", ".join(name or "the folder itself" for name in other[:3]) + (" and others" if len(other) > 3 else "")
        hold = "holds" if len(other) == 1 else "hold"
        told = f"{names} {hold} {kind}, unlike most of this folder: tokenize apart, with configs/tokenizer-{kind[:-1]}.yaml."
        return [(1.2, told)]
    return []


def _repeats(report: dict[str, Any]) -> Found:
    repeats = report["duplicates"]["repeats"]
    total = sum(repeats.values())
    if not total:
        return []
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in repeats.items() if count)
    told = f"{share(total, report['pieces'])} of the files repeat another ({kinds}): they weigh more in training than they should."
    return [(3 * total / report["pieces"], told)]


_ADVICE: dict[str, tuple[float, str]] = {
    "bars of one beat": (3.0, "their meter makes a bar of every beat, and a model would learn no bars from them: write the true meter"),
    "hidden drums": (3.0, "drums stand on a pitched channel and would be learnt, and transposed, as melodies"),
    "all parts piano": (1.0, "every part is program 0: a model learns no instruments from them"),
    "one velocity": (0.9, "all notes are equally loud: a model learns no dynamics from them"),
    "no tempo": (0.8, "no tempo is written: a model learns 120 quarter notes a minute from them"),
    "no meter": (0.8, "no meter is written: bars of 4/4 are assumed, and may be wrong"),
}


def _suspicious(report: dict[str, Any]) -> Found:
    found: Found = []
    for name, (weight, sentence) in _ADVICE.items():
        files = report["suspicious"].get(name, {}).get("files", 0)
        if files:
            found.append((weight * files / report["pieces"], f"In {files:,} files ({share(files, report['pieces'])}) {sentence}."))
    return found


def _one_sided(report: dict[str, Any]) -> Found:
    if not report["tokens"] or len(report["collections"]) < 2:
        return []
    name, counts = max(report["collections"].items(), key=lambda item: item[1]["tokens"])
    part = counts["tokens"] / report["tokens"]
    where = name or "files outside any collection"
    told = f"{share(counts['tokens'], report['tokens'])} of all tokens come from {where}: weigh the others up."
    return [(part - 0.3 if part > 0.6 else 0.0, told)]


def _dropped(report: dict[str, Any]) -> Found:
    found: Found = []
    loss = report["loss"]
    if loss["lost"]:
        found.append((2.0, f"{loss['lost']:,} notes do not come back from the tokens."))
    moved = 1 - sum(loss["onset_ms_counts"][f"below {edge}"] for edge in ("1", "2")) / max(loss["notes"], 1)
    if moved > 0.05 and report["settings"]["recommended"] is None:
        found.append((moved, f"{share(moved, 1)} of the notes move by {HEARD_MS:g} ms or more when they become tokens."))
    pedal = report["dropped"].get("pedal", {}).get("files", 0)
    if pedal:
        told = f"{pedal:,} files ({share(pedal, report['pieces'])}) use the sustain pedal, which tokens do not keep."
        found.append((0.7 * pedal / report["pieces"], told))
    return found

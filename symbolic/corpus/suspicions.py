"""What looks wrong about a file, each with a short name: nothing is refused for it, it is told.

The sentences of `MEANINGS` are what the report and docs/report.md say about each name.
"""

import re
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.beats_in_bar import quarters_in_bar
from symbolic.corpus.notes import Notes

MEANINGS: dict[str, str] = {
    "bars of one beat": "The meter is 1/4, 1/8, 2/8 or the like nearly throughout, so that every beat begins a bar; "
    "some converters write this for any music.",
    "bars of many beats": "A bar is eight quarter notes or longer nearly throughout.",
    "no tempo": "The file has no tempo event; 120 quarter notes a minute are assumed.",
    "no meter": "The file has no time signature; 4/4 is assumed.",
    "performed": "Most notes were played and are not on a grid: bars and beats of the file may mean nothing.",
    "partly performed": "Some parts were played and are not on a grid.",
    "one velocity": "All notes are equally loud.",
    "one duration": "All notes are equally long.",
    "one pitch": "All notes have the same pitch.",
    "empty tracks": "The file has tracks without notes.",
    "silent start": "Two whole bars or more are silent before the first note.",
    "long silence": "Thirty seconds or more are silent between two notes.",
    "very short": "The music is shorter than four bars.",
    "very long": "The music lasts longer than an hour, or has more than 100,000 notes.",
    "all parts piano": "Four parts or more, and all are program 0: the instruments were probably lost.",
    "hidden drums": "A part looks or is named like a drum kit and is not on the drum channel: it would be played as pitches.",
    "no key signature": "The file says no key; the tokens need none.",
    "key contradicted": "The key signature is three fifths or more away from the key that the notes speak for.",
    "repaired": "The file was damaged or unusual and could be read after a repair.",
}

_DRUM_NAME = re.compile(r"\b(drums?|drumset|drumkit|percussion|perc|snare|hi-?hat|cymbals?|schlagzeug|batterie|bateria)\b", re.IGNORECASE)
_KIT = np.isin(np.arange(128), [35, 36, 37, 38, 39, 40, 42, 44, 46, 49, 51, 57])
_KICK, _SNARE, _HAT = [35, 36], [38, 40], [42, 44, 46]


def suspicions(facts: dict[str, Any], score: ScoreTick, notes: Notes) -> dict[str, str]:
    """Names of `MEANINGS` that hold for a file, each with a detail or an empty text; in the order of `MEANINGS`."""
    found: dict[str, str] = {}
    short, long = _bar_lengths(facts)
    if facts["bars"] >= 8 and max(short, long) > 0.9:
        said = next(iter(facts["meters"]))
        quarters = quarters_in_bar(notes, score.ticks_per_quarter)
        found["bars of one beat" if short > long else "bars of many beats"] = f"{said}, " + (
            f"the accents speak for {quarters}/4" if quarters else "and the accents do not say what it should be"
        )
    performed = facts["performed"]
    signature_distance = fifths_apart(facts["notated_key"], facts["key"])
    hidden = hidden_drums(score)
    several = len(notes) > 4
    checks: dict[str, tuple[bool, str]] = {
        "no tempo": (not facts["tempi"]["events"], ""),
        "no meter": (not facts["meter_events"], ""),
        "performed": (performed >= 0.5, ""),
        "partly performed": (0.05 <= performed < 0.5, f"{performed:.0%} of the notes"),
        "one velocity": (several and facts["velocities"][0] == 1, str(facts["velocities"][1])),
        "one duration": (several and facts["durations"] == 1, f"{notes.duration[:1].sum() / score.ticks_per_quarter:.3g} beats"),
        "one pitch": (several and len(np.unique(notes.pitch)) == 1, ""),
        "empty tracks": (facts["empty_tracks"] > 0, f"{facts['empty_tracks']} of {facts['empty_tracks'] + facts['tracks']}"),
        "silent start": (facts["silent_bars_at_start"] >= 2, f"{facts['silent_bars_at_start']} bars"),
        "long silence": (facts["longest_silence"][1] >= 30, f"{facts['longest_silence'][1]:.0f} s"),
        "very short": (facts["bars"] < 4, f"{facts['bars']} bars"),
        "very long": (facts["seconds"] > 3600 or facts["notes"] > 100_000, f"{facts['seconds'] / 60:.0f} min, {facts['notes']:,} notes"),
        "all parts piano": (facts["tracks"] >= 4 and list(facts["programs"]) == ["0"], f"{facts['tracks']} parts"),
        "hidden drums": (bool(hidden), hidden),
        "no key signature": (facts["notated_key"] is None and facts["key"] is not None, ""),
        "key contradicted": (
            signature_distance >= 3 and facts["key_margin"] >= 0.03,
            f"{facts['notated_key']}, the notes speak for {facts['key']}",
        ),
        "repaired": (bool(facts["repairs"]), "; ".join(facts["repairs"])[:120]),
    }
    found |= {name: detail for name, (holds, detail) in checks.items() if holds}
    return {name: found[name] for name in MEANINGS if name in found}


def fifths_apart(one: str | None, other: str | None) -> int:
    """Distance of the key signatures of two named keys on the circle of fifths, 0 to 6; 0 where one is unknown.

    Example: C major and A minor 0, C major and E major 4.
    """
    if one is None or other is None:
        return 0
    distance = (_sharps(one) - _sharps(other)) % 12
    return min(distance, 12 - distance)


def hidden_drums(score: ScoreTick) -> str:
    """The name of the first part that is a drum kit by name or by its keys and is played as pitches; "" for none."""
    for number, track in enumerate(score.tracks):
        if track.is_drum or len(track.notes) < 16 or track.program >= 112:
            continue
        if _DRUM_NAME.search(track.name) and "steel" not in track.name.lower():
            return track.name[:40]
        counts = np.bincount(track.notes.numpy()["pitch"], minlength=128)
        enough = 0.04 * counts.sum()
        if counts[_KIT].sum() >= 0.85 * counts.sum() and all(counts[keys].sum() > enough for keys in (_KICK, _SNARE, _HAT)):
            return (track.name or f"part {number + 1}")[:40]
    return ""


def _bar_lengths(facts: dict[str, Any]) -> tuple[float, float]:
    """Share of bars that are one quarter or shorter, and of those that are eight quarters or longer."""
    short = long = 0
    for name, bars in facts["meters"].items():
        upper, lower = (int(part) for part in name.split("/"))
        short += bars * (4 * upper <= lower)
        long += bars * (4 * upper >= 8 * lower)
    return short / max(facts["bars"], 1), long / max(facts["bars"], 1)


def _sharps(key: str) -> int:
    """Sharps of a key's signature modulo 12: "A minor" 0, "Eb major" 9."""
    tonic, mode = key.split()
    place = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[tonic[0]] + tonic.count("#") - tonic[1:].count("b")
    return (place + (3 if mode == "minor" else 0)) * 7 % 12

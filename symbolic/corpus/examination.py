"""The truth about one file: what is in it, what its tokens do not keep, and what looks wrong.

Facts are plain numbers, lists and short texts, ready for JSON; the same file gives the same facts in every run.
What each one means stands in docs/report.md. Beats are quarter notes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.loss import round_trip_loss
from symbolic.corpus.notes import DRUMS, Notes, TempoMap, notes_of
from symbolic.corpus.performed import on_grid, sameness
from symbolic.corpus.suspicions import suspicions
from symbolic.midi.keys import KEYS, key_correlations, key_name, pitch_class_durations
from symbolic.midi.meter import meter_sections, ticks_per_bar
from symbolic.tokenizers.remi import Encoding, RemiTokenizer

if TYPE_CHECKING:
    from symbolic.midi.reading import Reading

MOST_METERS = 8
MOST_PROGRAMS = 24
SUSTAIN_PEDAL = 64
FIFTHS_OF_NAMES = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#"]  # C is the 7th


def examine(reading: "Reading", encoding: Encoding, tokenizer: RemiTokenizer) -> dict[str, Any]:
    """Facts about one file, JSON-able; `encoding` is what `tokenizer` made of `reading.score`."""
    score = reading.score
    notes = notes_of(score)
    facts = {"format": reading.format, "repairs": list(reading.repairs)} | score_facts(score, notes)
    facts |= {"tokens": len(encoding.ids), "tokens_per_note": round(len(encoding.ids) / max(len(notes), 1), 2)}
    facts["loss"] = round_trip_loss(score, tokenizer.decode(encoding.ids), notes)
    facts["suspicious"] = suspicions(facts, score, notes)
    return facts


def score_facts(score: ScoreTick, notes: Notes) -> dict[str, Any]:
    """What is in a score, before any token; `notes` are its own."""
    ticks = score.ticks_per_quarter
    end = int((notes.onset + np.maximum(notes.duration, 1)).max()) if len(notes) else 0
    tempi = TempoMap.of(score)
    same, performed = sameness(notes, ticks)
    return {
        "beats": round(end / ticks, 3),
        "seconds": round(float(tempi.seconds_at(np.array([end / ticks]))[0]), 3),
        "notes": len(notes),
        "drum_notes": int((notes.program == DRUMS).sum()),
        "tracks": sum(len(track.notes) > 0 for track in score.tracks),
        "empty_tracks": sum(len(track.notes) == 0 for track in score.tracks),
        "polyphony": polyphony(notes),
        **_meters(score, end),
        **_key(score),
        "tempi": _tempi(score, tempi),
        "programs": _programs(notes),
        "velocities": _distinct(notes.velocity),
        "velocity_counts": np.bincount(notes.velocity >> 4, minlength=8).tolist(),
        "pitches": _distinct(notes.pitch[notes.program != DRUMS]),
        "durations": len(np.unique(notes.duration)),
        "grid": {
            "sixteenths": round(on_grid(notes.onset, ticks, (4,)), 4),
            "triplets": round(on_grid(notes.onset, ticks, (12,)), 4),
            "48ths": round(on_grid(notes.onset, ticks, (48,)), 4),
        },
        "sameness": round(same, 4),
        "performed": round(performed, 4),
        **_silences(score, notes, tempi),
        "dropped": _dropped(score),
    }


def polyphony(notes: Notes) -> list[float]:
    """Mean and largest number of notes sounding together while anything sounds; drums only where nothing else plays.

    Example: a note of two beats and one of its last beat: mean 1.5, largest 2.
    """
    pitched = notes.program != DRUMS
    chosen = pitched if pitched.any() else ~pitched
    onset, end = notes.onset[chosen], (notes.onset + np.maximum(notes.duration, 1))[chosen]
    if not len(onset):
        return [0.0, 0]
    events = np.sort(np.r_[2 * end, 2 * onset + 1])  # what ends at a tick ends before what begins there
    sounding = np.cumsum(2 * (events & 1) - 1)
    lengths = np.diff(events >> 1)
    return [round(float((end - onset).sum() / max(lengths[sounding[:-1] > 0].sum(), 1)), 2), int(sounding.max())]


def _meters(score: ScoreTick, end: int) -> dict[str, Any]:
    sections = [section for section in meter_sections(score) if section[0] < max(end, 1)]
    stops = [*(start for start, _, _ in sections[1:]), end]
    bars: dict[str, int] = {}
    cut = 0
    for (start, upper, lower), stop in zip(sections, stops, strict=True):
        length = ticks_per_bar(upper, lower, score.ticks_per_quarter)
        name = f"{upper}/{lower}"
        bars[name] = bars.get(name, 0) - (start - stop) // length
        cut += stop != end and (stop - start) % length > 0
    most = sorted(bars.items(), key=lambda item: (-item[1], item[0]))
    pickup = 0.0
    if len(sections) > 1:
        second = ticks_per_bar(*sections[1][1:], score.ticks_per_quarter)
        first = ticks_per_bar(*sections[0][1:], score.ticks_per_quarter)
        if sections[1][0] <= first and sections[1][0] < second:
            pickup = round(sections[1][0] / score.ticks_per_quarter, 3)
    facts: dict[str, Any] = {"bars": sum(bars.values()), "meters": dict(most[:MOST_METERS])}
    if len(most) > MOST_METERS:
        facts["more_meters"] = len(most) - MOST_METERS
    return facts | {
        "meter_events": len(score.time_signatures),
        "meter_changes": len(sections) - 1,
        "bars_cut_short": int(cut),
        "pickup": pickup,
    }


def _key(score: ScoreTick) -> dict[str, Any]:
    histogram = pitch_class_durations(score)
    signatures = sorted(score.key_signatures, key=lambda signature: signature.time)
    notated = notated_key(signatures[0].key, signatures[0].tonality) if signatures else None
    if np.ptp(histogram) == 0:
        return {"key": None, "key_correlation": 0.0, "key_margin": 0.0, "notated_key": notated}
    correlations = key_correlations(histogram).round(9)
    best = int(np.argmax(correlations))
    first, second = np.sort(correlations)[[-1, -2]]
    return {
        "key": key_name(KEYS[best]),
        "key_correlation": round(float(first), 3),
        "key_margin": round(float(first - second), 3),
        "notated_key": notated,
    }


def notated_key(sharps: int, tonality: int) -> str | None:
    """The key of a key signature: 2 sharps, major is "D major"; -3, minor "C minor"; None outside 7 flats to 7 sharps."""
    if not -7 <= sharps <= 7:
        return None
    return f"{FIFTHS_OF_NAMES[sharps + 7 + (3 if tonality == 1 else 0)]} {'minor' if tonality == 1 else 'major'}"


def _tempi(score: ScoreTick, tempi: TempoMap) -> dict[str, Any]:
    speeds = 60 / tempi.seconds_per_quarter
    return {
        "events": len(score.tempos),
        "first": round(float(speeds[0]), 2),
        "min": round(float(speeds.min()), 2),
        "max": round(float(speeds.max()), 2),
        "changes": int((np.diff(speeds) != 0).sum()),
    }


def _programs(notes: Notes) -> dict[str, int]:
    """Notes of each program, the most first, -1 for drums."""
    counts = np.bincount(notes.program + 1, minlength=129)
    order = np.argsort(-counts, kind="stable")[: min(MOST_PROGRAMS, np.count_nonzero(counts))]
    return {str(program - 1): int(counts[program]) for program in order}


def _distinct(values: np.ndarray) -> list[int]:
    """How many different values, the lowest, the highest."""
    return [int(np.count_nonzero(np.bincount(values))), int(values.min()), int(values.max())] if len(values) else [0, 0, 0]


def _silences(score: ScoreTick, notes: Notes, tempi: TempoMap) -> dict[str, Any]:
    """Whole bars before the first note, and the longest silence between notes as [beats, seconds]."""
    if not len(notes):
        return {"silent_bars_at_start": 0, "longest_silence": [0.0, 0.0]}
    order = np.argsort(notes.onset)
    onsets = notes.onset[order]
    heard = np.maximum.accumulate((notes.onset + notes.duration)[order])
    gaps = onsets[1:] - heard[:-1]
    longest = [0.0, 0.0]
    if len(gaps) and gaps.max() > 0:
        at = int(np.argmax(gaps))
        span = np.array([heard[at], onsets[at + 1]]) / score.ticks_per_quarter
        longest = [round(float(np.diff(span)[0]), 3), round(float(np.diff(tempi.seconds_at(span))[0]), 3)]
    start, silent = int(onsets[0]), 0
    sections = meter_sections(score)
    for (tick, upper, lower), stop in zip(sections, [*(section[0] for section in sections[1:]), start], strict=True):
        silent += max(0, min(stop, start) - tick) // ticks_per_bar(upper, lower, score.ticks_per_quarter)
    return {"silent_bars_at_start": silent, "longest_silence": longest}


def _dropped(score: ScoreTick) -> dict[str, int]:
    """What is in the file and in no token."""
    pedals = sum(len(track.pedals) for track in score.tracks)
    controls = sum(int((track.controls.numpy()["number"] != SUSTAIN_PEDAL).sum()) for track in score.tracks if len(track.controls))
    counts = {
        "pedal": pedals,
        "bends": sum(len(track.pitch_bends) for track in score.tracks),
        "controllers": controls,
        "lyrics": sum(len(track.lyrics) for track in score.tracks),
        "markers": len(score.markers),
        "key signatures": len(score.key_signatures),
        "names": sum(bool(track.name) for track in score.tracks),
    }
    return {name: count for name, count in counts.items() if count}

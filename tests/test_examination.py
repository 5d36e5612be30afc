"""The facts about one file are true: counted by hand, equal to slow plain formulas, found again in music made to have them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from symusic.core import (
    ControlChangeTick,
    KeySignatureTick,
    NoteTick,
    PitchBendTick,
    ScoreTick,
    TempoTick,
    TextMetaTick,
    TimeSignatureTick,
    TrackTick,
)

from symbolic.corpus.beats_in_bar import quarters_in_bar
from symbolic.corpus.examination import examine, notated_key, polyphony, score_facts
from symbolic.corpus.loss import match, round_trip_loss
from symbolic.corpus.notes import TempoMap, notes_of
from symbolic.corpus.performed import on_grid, sameness
from symbolic.corpus.recommendation import CANDIDATES
from symbolic.corpus.suspicions import MEANINGS, fifths_apart, suspicions
from symbolic.midi.reading import Reading
from symbolic.settings import load_settings
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

TOKENIZER = RemiTokenizer()
Row = tuple[float, float, int, int]  # onset and duration in quarter notes, pitch, velocity


def score_of(*parts: list[Row], programs: tuple[int, ...] = (), ticks: int = 480, meter: tuple[int, int] | None = (4, 4)) -> ScoreTick:
    """A score with a tempo of 120, D major and a meter; program -1 makes drums."""
    score = ScoreTick(ticks)
    score.tempos.append(TempoTick(0, 120.0))
    score.key_signatures.append(KeySignatureTick(0, 2, 0))
    if meter:
        score.time_signatures.append(TimeSignatureTick(0, *meter))
    for part, program in zip(parts, programs or (0,) * len(parts), strict=True):
        track = TrackTick("", max(program, 0), program < 0)
        for onset, duration, pitch, velocity in part:
            track.notes.append(NoteTick(round(onset * ticks), round(duration * ticks), pitch, velocity))
        score.tracks.append(track)
    return score


def tune(quarters: int = 32, step: float = 0.5, seed: int = 0) -> list[Row]:
    """A melody in D major with accents on each fourth quarter, every velocity another, lengths alternating."""
    generator = np.random.default_rng(seed)
    pitches = generator.choice([62, 64, 66, 67, 69, 71, 73, 74], int(quarters / step))
    pitches[::4], pitches[-1] = 62, 69
    return [(i * step, step if i % 3 else step / 2, int(p), 60 + i % 40) for i, p in enumerate(pitches)]


def facts_of(score: ScoreTick) -> dict:
    return examine(Reading(score, "midi"), TOKENIZER.encode(score), TOKENIZER)


def test_the_facts_of_a_score_counted_by_hand():
    """Every count of a small score with a pickup, two meters, two tempi, drums, pedal, bends and lyrics."""
    violin = [(0, 1, 74, 80), (1, 2, 66, 90), (3, 2, 69, 100), (5, 4, 74, 64)]
    drums = [(1 + i, 0.25, 38, 100) for i in range(8)]
    score = score_of(violin, drums, [], programs=(40, -1, 0), meter=(1, 4))
    score.time_signatures.append(TimeSignatureTick(480, 4, 4))
    score.time_signatures.append(TimeSignatureTick(5 * 480, 3, 4))
    score.tempos.append(TempoTick(5 * 480, 60.0))
    for tick, value in ((0, 127), (480, 0)):
        score.tracks[0].controls.append(ControlChangeTick(tick, 64, value))
    score.tracks[0].controls.append(ControlChangeTick(0, 7, 100))
    score.tracks[0].pitch_bends.append(PitchBendTick(0, 100))
    score.tracks[0].lyrics.append(TextMetaTick(0, "la"))
    facts = facts_of(ScoreTick.from_midi(score.dumps_midi()))
    wanted = {
        "beats": 9.0, "seconds": 6.5, "notes": 12, "drum_notes": 8, "tracks": 2, "polyphony": [1.0, 1], "bars": 4,
        "meters": {"3/4": 2, "1/4": 1, "4/4": 1}, "meter_changes": 2, "bars_cut_short": 0, "pickup": 1.0,
        "tempi": {"events": 2, "first": 120.0, "min": 60.0, "max": 120.0, "changes": 1}, "programs": {"-1": 8, "40": 4},
        "velocities": [4, 64, 100], "velocity_counts": [0, 0, 0, 0, 1, 2, 9, 0], "pitches": [3, 66, 74], "durations": 4,
        "notated_key": "D major", "key": "D major", "silent_bars_at_start": 0, "longest_silence": [0.0, 0.0],
        "grid": {"sixteenths": 1.0, "triplets": 1.0, "48ths": 1.0}, "performed": 0.0,
    }  # fmt: skip
    assert {name: facts[name] for name in wanted} == wanted
    assert {name: facts["dropped"][name] for name in ("pedal", "bends", "controllers", "lyrics", "key signatures")} == {
        "pedal": 1, "bends": 1, "controllers": 1, "lyrics": 1, "key signatures": 1,
    }  # fmt: skip
    assert facts["loss"]["lost"] == facts["loss"]["changed"] == 0
    assert facts["loss"]["meters"] == [3, 0, 0, 0]


def test_a_bar_cut_short_is_counted_and_silences_are_measured():
    """A meter change inside a bar is one bar cut short; silence is told in beats and in seconds of the tempo there."""
    score = score_of([(8, 1, 62, 80), (20, 1, 66, 80)])
    score.time_signatures.append(TimeSignatureTick(10 * 480, 3, 4))
    score.tempos.append(TempoTick(9 * 480, 60.0))
    facts = score_facts(score, notes_of(score))
    assert (facts["bars_cut_short"], facts["silent_bars_at_start"], facts["longest_silence"]) == (1, 2, [11.0, 11.0])
    assert facts["meters"] == {"3/4": 4, "4/4": 3}


def test_polyphony_equals_counting_tick_by_tick():
    """Mean and largest number of notes sounding, against a table of every tick."""
    generator = np.random.default_rng(1)
    for _ in range(20):
        rows = [(int(a), int(b), int(c)) for a, b, c in zip(*generator.integers(1, [[60], [20], [100]], (3, 12)), strict=True)]
        score = score_of([(onset / 480, length / 480, pitch, 80) for onset, length, pitch in rows])
        sounding = np.zeros(100, dtype=int)
        for onset, length, _ in rows:
            sounding[onset : onset + length] += 1
        assert polyphony(notes_of(score)) == [round(sounding.sum() / (sounding > 0).sum(), 2), sounding.max()]


def test_ticks_become_seconds_by_the_tempo_in_force():
    """Against symusic's own conversion, with the first tempo late and two tempi at one place."""
    score = score_of(tune(40))
    score.tempos.clear()
    for quarter, tempo in ((4, 90.0), (10, 33.0), (10, 200.0), (20, 61.5)):
        score.tempos.append(TempoTick(quarter * 480, tempo))
    expected = score.to("second").tracks[0].notes.numpy()["time"]
    onsets = np.sort(score.tracks[0].notes.numpy()["time"]) / 480
    np.testing.assert_allclose(TempoMap.of(score).seconds_at(onsets), expected, atol=1e-4)


def test_each_kind_of_loss_is_told_apart():
    """Of five notes one is lost, one late, one longer, one louder, one as it was; tempo and length change too."""
    before = score_of([(0, 1, 60, 80), (2, 1, 62, 80), (4, 1, 64, 80), (6, 1, 65, 80), (8, 1, 67, 80)])
    after = score_of([(2.1, 1, 62, 80), (4, 1.25, 64, 80), (6, 1, 65, 87), (8, 1, 67, 80)], ticks=960, meter=(2, 4))
    after.tempos[0].qpm = 100.0
    loss = round_trip_loss(before, after)
    assert (loss["lost"], loss["changed"], loss["onset_changed"], loss["duration_changed"]) == (1, 2, 1, 1)
    assert loss["onset_beats"] == [0.025, 0.0, 0.1]
    assert loss["onset_ms"] == [12.5, 0.0, 50.0]
    assert loss["onset_ms_counts"] == [3, 0, 0, 0, 0, 0, 1]
    assert loss["duration_beats"][2] == 0.25
    assert loss["velocity"] == [1.75, 7]
    assert loss["velocities"] == [1, 2]
    assert loss["tempo_percent"] == [16.67, 16.67]
    assert loss["length_percent"] == 20.0
    assert loss["meters"] == [0, 1, 0, 0]


def test_notes_are_matched_whatever_their_order():
    """A score against itself with its tracks and notes shuffled loses nothing, unisons and overlaps included."""
    generator = np.random.default_rng(2)
    rows = [(int(a) / 4, int(b) / 4, 60 + int(c), 1 + int(d)) for a, b, c, d in generator.integers(1, [20, 9, 4, 100], (300, 4))]
    mixed = [rows[i] for i in generator.permutation(len(rows))]
    one, two = notes_of(score_of(rows)), notes_of(score_of(mixed[:100], mixed[100:]))
    left, right = match(one, 480, two, 480)
    for field in ("onset", "duration", "pitch"):
        assert (getattr(one, field)[left] == getattr(two, field)[right]).all()
    assert sorted(left) == sorted(right) == list(range(300))


def test_unisons_that_come_to_one_onset_keep_their_durations():
    """A long and a short note of one pitch, one tick apart, both land on the same grid step: nothing is stretched."""
    before = score_of([(1 / 480, 4, 60, 80), (2 / 480, 1, 60, 80)])
    loss = round_trip_loss(before, TOKENIZER.decode(TOKENIZER.encode(before).ids))
    assert loss["changed"] == 0


def test_only_the_missing_notes_are_lost():
    """When some notes do not come back, the others are still matched with themselves."""
    generator = np.random.default_rng(3)
    rows = [
        (int(a) / 8, 0.5, 60 + int(b), 80) for a, b in zip(generator.permutation(500)[:200], generator.integers(0, 3, 200), strict=True)
    ]
    loss = round_trip_loss(score_of(rows), score_of([row for i, row in enumerate(rows) if i % 7]))
    assert loss["lost"] == 29
    assert loss["changed"] == 0
    heap = score_of([(1, 1, 60, 80)] * 500)
    assert round_trip_loss(heap, score_of([(1, 1, 60, 80)] * 400))["lost"] == 100
    assert round_trip_loss(score_of(rows), score_of([]))["lost"] == 200


def test_tuplets_are_told_and_those_beside_the_grid_counted():
    """Triplets come back in place from 48 positions a beat; quintuplets and septuplets move, but for their first notes."""
    for division, moved in ((3, 0), (5, 4 * 16), (7, 6 * 16)):
        rows = [(i / division, 1 / division, 60 + i % 5, 80) for i in range(division * 16)]
        score = score_of(rows, ticks=1680)
        assert facts_of(score)["loss"]["tuplets"] == {str(division): [(division - 1) * 16, moved]}


@pytest.mark.parametrize("ticks", [24, 96, 100, 120, 480, 960, 1024])
def test_scores_are_scores_at_every_resolution(ticks: int):
    """Sixteenths and triplets are no performance, also when the file begins late."""
    rows = [(i // 12 + (i % 12) / (4 if i // 12 % 2 else 3), 0.2, 60 + i % 7, 80) for i in range(300)]
    for late in (0, 0.07):
        notes = notes_of(score_of([(onset + late, *rest) for onset, *rest in rows], ticks=ticks))
        assert sameness(notes, ticks)[1] == 0.0


@pytest.mark.parametrize("milliseconds", [5, 10, 20])
@pytest.mark.parametrize("drums", [False, True])
def test_played_music_is_performed(milliseconds: int, drums: bool):
    """A normal error of a few milliseconds at 120 quarter notes a minute makes a performance of drums and of pitches."""
    generator = np.random.default_rng(milliseconds)
    moved = [(max(onset + generator.normal(0, milliseconds / 500), 0), *rest) for onset, *rest in tune(64, 0.25)]
    assert sameness(notes_of(score_of(moved, programs=(-1 if drums else 0,))), 480)[1] == 1.0


def test_rubato_is_performed_and_a_tempo_map_is_not():
    """Swaying between the beats is a performance; the same sway written as tempi over notes on the grid is a score."""
    straight = score_of(tune(64, 0.25))
    swaying = score_of([(onset + 0.3 + 0.25 * np.sin(onset / 2.5), *rest) for onset, *rest in tune(64, 0.25)])
    for quarter in range(64):
        straight.tempos.append(TempoTick(quarter * 480, 100 + 30 * np.sin(quarter / 2.5)))
    assert sameness(notes_of(swaying), 480)[1] == 1.0
    assert sameness(notes_of(straight), 480)[1] == 0.0


def test_the_performed_share_counts_the_notes_of_played_parts():
    """One played part among three on the grid: a quarter of the notes."""
    generator = np.random.default_rng(4)
    played = [(max(onset + generator.normal(0, 0.03), 0), *rest) for onset, *rest in tune(64, 0.25, seed=3)]
    score = score_of(tune(64, 0.25), tune(64, 0.25, 1), tune(64, 0.25, 2), played)
    assert sameness(notes_of(score), 480)[1] == 0.25


def test_on_grid_is_the_share_of_onsets_on_a_division():
    """To the nearest tick, as a file can say it: a third of 100 ticks is 33."""
    assert on_grid(np.array([0, 33, 67, 25]), 100, (3,)) == 0.75
    assert on_grid(np.array([0, 33, 67, 25]), 100, (3, 4)) == 1.0


@pytest.mark.parametrize(("beats", "heard"), [(3, 3), (4, 4), (1, None)])
def test_bars_are_heard_from_their_accents(beats: int, heard: int | None):
    """A low long note at each bar line and short high ones between speak for its bars; all beats alike speak for none."""
    rows = [(q, 1.0 if q % beats == 0 else 0.4, 40 if q % beats == 0 else 70, 80) for q in range(96)]
    assert quarters_in_bar(notes_of(score_of(rows)), 480) == heard


def with_no(what: str) -> ScoreTick:
    score = score_of(tune())
    getattr(score, what).clear()
    return score


def named(name: str) -> ScoreTick:
    score = score_of(tune())
    score.tracks[0].name = name
    return score


def in_key(sharps: int) -> ScoreTick:
    score = score_of(tune())
    score.key_signatures[0] = KeySignatureTick(0, sharps, 0)
    return score


def at_tempo(tempo: float) -> ScoreTick:
    score = score_of(tune())
    score.tempos[0] = TempoTick(0, tempo)
    return score


def waltz(meter: tuple[int, int]) -> ScoreTick:
    return score_of([(q, 1.0 if q % 3 == 0 else 0.4, 50 if q % 3 == 0 else 74, 50 + q % 30) for q in range(96)], meter=meter)


def played(share: int) -> ScoreTick:
    generator = np.random.default_rng(5)
    rows = [(max(onset + generator.normal(0, 0.03), 0), *rest) for onset, *rest in tune(64, 0.25)]
    return score_of(rows, *(tune(64, 0.25, seed) for seed in range(share - 1)))


KIT = [(q / 2, 0.25, (36, 42, 38, 42)[q % 4], 50 + q % 40) for q in range(64)]
SUSPICIOUS: dict[str, Callable[[], ScoreTick]] = {
    "bars of one beat": lambda: waltz((1, 4)),
    "bars of many beats": lambda: waltz((8, 4)),
    "no tempo": lambda: with_no("tempos"),
    "no meter": lambda: with_no("time_signatures"),
    "performed": lambda: played(1),
    "partly performed": lambda: played(4),
    "one velocity": lambda: score_of([(*row[:3], 90) for row in tune()]),
    "one duration": lambda: score_of([(row[0], 0.5, *row[2:]) for row in tune()]),
    "one pitch": lambda: score_of([(*row[:2], 62, row[3]) for row in tune()]),
    "empty tracks": lambda: score_of(tune(), []),
    "silent start": lambda: score_of([(row[0] + 8, *row[1:]) for row in tune()]),
    "long silence": lambda: score_of(tune() + [(row[0] + 100, *row[1:]) for row in tune()]),
    "very short": lambda: score_of(tune(8)),
    "very long": lambda: at_tempo(0.5),
    "all parts piano": lambda: score_of(*(tune(seed=seed) for seed in range(4))),
    "hidden drums": lambda: score_of(tune(), KIT),
    "no key signature": lambda: with_no("key_signatures"),
    "key contradicted": lambda: in_key(-3),
}


@pytest.mark.parametrize("name", SUSPICIOUS)
def test_each_suspicion_is_raised(name: str):
    """A score made to be so is called so."""
    score = SUSPICIOUS[name]()
    assert name in facts_of(score)["suspicious"]


def test_nothing_is_suspicious_about_plain_music():
    """A tune with tempo, meter, key and dynamics raises nothing; a repaired one says so; every name has its sentence."""
    assert facts_of(score_of(tune()))["suspicious"] == {}
    repaired = examine(Reading(score_of(tune()), "midi", ("no end of track",)), TOKENIZER.encode(score_of(tune())), TOKENIZER)
    assert repaired["suspicious"] == {"repaired": "no end of track"}
    assert [*SUSPICIOUS, "repaired"] == list(MEANINGS)


def test_the_true_meter_is_told_where_the_accents_say_it():
    """A waltz written in 1/4 probably has bars of 3/4; where all beats are alike nothing is guessed."""
    assert facts_of(waltz((1, 4)))["suspicious"]["bars of one beat"] == "1/4, the accents speak for 3/4"
    even = score_of([(q, 1.0, 72 + q % 5, 80) for q in range(96)], meter=(1, 4))
    assert "do not say" in facts_of(even)["suspicious"]["bars of one beat"]


def test_a_drum_part_is_known_by_its_name_too():
    """A pitched part called Drums is one; steel drums and a bass part are not."""
    for name, hidden in (("Drums", True), ("E-Drums 2", True), ("Steel Drums", False), ("Drumond's theme", False)):
        assert ("hidden drums" in facts_of(named(name))["suspicious"]) is hidden
    assert "hidden drums" not in suspicions(facts_of(score_of(tune(), KIT, programs=(0, -1))), score_of(tune()), notes_of(score_of(tune())))


def test_keys_by_their_signatures():
    """Names of key signatures, and how far apart two keys are on the circle of fifths."""
    assert [notated_key(*key) for key in ((2, 0), (-3, 1), (0, 1), (7, 0), (-7, 1), (9, 0))] == [
        "D major", "C minor", "A minor", "C# major", "Ab minor", None,
    ]  # fmt: skip
    pairs = (("C major", "A minor"), ("C major", "E major"), ("Eb major", "F# major"), ("B minor", "D major"), (None, "C major"))
    assert [fifths_apart(*pair) for pair in pairs] == [0, 4, 3, 0, 0]


def test_facts_are_small_equal_and_json():
    """The worst file still has facts of some kilobytes, twice the same, that JSON gives back as they were."""
    generator = np.random.default_rng(6)
    parts = [[(o / 97, d / 97, p, v) for o, d, p, v in generator.integers(1, [3000, 300, 127, 127], (60, 4)).tolist()] for _ in range(129)]
    score = score_of(*parts, programs=tuple(range(-1, 128)), ticks=97)
    for bar in range(60):
        score.time_signatures.append(TimeSignatureTick(bar * 400, 1 + bar % 11, (2, 4, 8, 16)[bar % 4]))
    first, second = json.dumps(facts_of(score)), json.dumps(facts_of(score))
    assert first == second
    assert json.loads(first) == facts_of(score)
    assert len(first) < 2500
    assert len(json.dumps(facts_of(score_of(tune())))) < 2000


@pytest.mark.parametrize("ticks", [1, 2, 7, 32767])
def test_odd_files_have_facts(ticks: int):
    """One note, a note of no length, any resolution, a tempo of nearly no time: facts, and no error."""
    score = score_of([(1, 0, 60, 1)], ticks=ticks)
    score.tempos.append(TempoTick(0, 3e7))
    facts = facts_of(score)
    assert (facts["notes"], facts["bars"]) == (1, 1)
    assert np.isfinite(facts["seconds"])


def test_a_heap_of_unisons_is_examined():
    """Ten thousand notes of one pitch, two hundred at a time, come back one by one."""
    rows = [(i % 50, 1, 60, 1 + i % 127) for i in range(10_000)]
    facts = facts_of(score_of(rows))
    assert (facts["notes"], facts["loss"]["lost"], facts["polyphony"][1]) == (10_000, 0, 200)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_settings_compared_are_those_shipped(name: str):
    """The report compares the settings of configs/tokenizer-score.yaml and configs/tokenizer-performance.yaml."""
    assert load_settings(TokenizerSettings, Path(__file__).parents[1] / "configs" / f"tokenizer-{name}.yaml") == CANDIDATES[name]

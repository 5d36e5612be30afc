"""Constraints hold whatever the logits are, compose, come from flags, YAML and objects alike, and contradictions are told first."""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from symbolic.errors import InputError, UsageError
from symbolic.generation.constraints import Constraints, by_instrument, make_constraints
from symbolic.generation.continuation import assemble
from symbolic.generation.drawing import SamplingSettings, draw
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.prompt import Prompt, in_canonical_key, prepare_prompt
from symbolic.generation.repetition import BarHistory
from symbolic.generation.rules import Ending, make_rules
from symbolic.generation.scales import MODES, parse_pitch, parse_scale
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
AUTOMATON = TokenAutomaton(VOCABULARY)
Logits = Callable[[], np.ndarray]


def made_seed(meter: tuple[int, int] = (4, 4), programs: tuple[int, ...] = (40, 0), drums: bool = True) -> ScoreTick:
    """Two bars of a G major scale, a note a beat in each part; drums play with them."""
    score = ScoreTick(480)
    score.time_signatures.append(TimeSignatureTick(0, *meter))
    score.tempos.append(TempoTick(0, qpm=100.0))
    beat = 480 * 4 // meter[1]
    for program, is_drum in [*((program, False) for program in programs), *([(0, True)] if drums else [])]:
        track = TrackTick("", program, is_drum)
        for step in range(2 * meter[0]):
            pitch = 38 if is_drum else 67 + (0, 2, 4, 5, 7, 9, 11, 12)[step % 8] - 12 * (program == 0)
            track.notes.append(NoteTick(step * beat, beat, pitch, 80 if program else 60))
        score.tracks.append(track)
    return score


def random_logits(seed: int) -> Logits:
    generator = np.random.default_rng(seed)
    return lambda: generator.standard_normal(len(VOCABULARY), dtype=np.float32) * 3


def wishing(*kinds: TokenType, lowest: bool = False) -> Logits:
    """Wants these kinds of tokens at every place, of all the highest or the lowest ids."""
    wish = np.linspace(0, 1e4, len(VOCABULARY)) * (-1 if lowest else 1) + 1e5 * np.isin(VOCABULARY.types, kinds)
    return lambda: wish


LOGITS = st.one_of(
    st.integers(0, 10**6).map(random_logits), st.lists(st.sampled_from(list(TokenType)), min_size=1, max_size=3).map(lambda k: wishing(*k))
)


def write(prompt: Prompt, bars: int, logits: Logits, near: LikenessSettings | None = None, **constraints: object) -> np.ndarray:
    """New ids under constraints, from the first new bar on, checked for what always holds: grammar, length, round trip."""
    ending = Ending(prompt.heard_bars + bars * prompt.bars_per_bar)
    mask = StreamMask(AUTOMATON, make_rules(prompt, ending, VOCABULARY, Constraints(**constraints), near or LikenessSettings()))
    mask.read(prompt.ids)
    new, chance = prompt.ids[-2:].tolist(), torch.Generator().manual_seed(0)
    while not mask.ends(id_ := draw(logits() + mask.leaning(), mask.legal(), SamplingSettings(), chance, 1.0)):
        mask.follow(id_)
        new.append(id_)
    ids = np.array(new)
    whole = np.concatenate([prompt.ids[:-2], ids, [VOCABULARY.eos]])
    assert AUTOMATON.accepts(whole) is None
    assert np.array_equal(TOKENIZER.encode(TOKENIZER.decode(whole)).ids, whole[1:-1])
    assert (ids == VOCABULARY.bar).sum() == bars * prompt.bars_per_bar
    assert mask.unkept == 0
    return ids


def notes_of(prompt: Prompt, bars: int, ids: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """(program or −1, onset, end, pitch, velocity) of the new notes in ticks from the seed's end."""
    longer = assemble(prompt, bars, ids, TOKENIZER, {})
    stop = longer.markers[-1].time
    notes = [
        (-1 if track.is_drum else track.program, note.time - prompt.end, note.end - prompt.end, note.pitch, note.velocity)
        for track in longer.tracks for note in track.notes if note.time >= prompt.end
    ]  # fmt: skip
    assert notes
    assert max(end for _, _, end, _, _ in notes) <= stop - prompt.end
    return notes


@given(
    logits=LOGITS,
    meter=st.sampled_from([(4, 4), (3, 4), (6, 8), (1, 16), (2, 2)]),
    bars=st.integers(1, 4),
    programs=st.sampled_from(["seed", "free", [40], [0, 71, "drums"], ["drums"]]),
    low=st.integers(0, 120),
    width=st.integers(0, 30),
    scale=st.sampled_from([None, "C major", "F# minor", "Bb,D"]),
    polyphony=st.sampled_from([{}, 1, 2, {"violin": 1}]),
    per_beat=st.sampled_from([None, 1, 3]),
    repeat=st.sampled_from([None, 0, 1]),
    free=st.lists(st.sampled_from(["tempo", "meter"]), unique=True),
    velocity=st.sampled_from(["kept", "free"]),
    max_rest=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_constraints_hold_together(
    logits, meter, bars, programs, low, width, scale, polyphony, per_beat, repeat, free, velocity, max_rest
):  # fmt: skip
    """Any constraints with any logits: either refused before the first token, or obeyed to the last, in whole bars."""
    prompt = prepare_prompt(made_seed(meter), TOKENIZER)
    bounds = {"all": [low, min(127, low + width)]} if width % 2 else {}
    given_ = {
        "programs": programs, "ranges": bounds, "scale": scale, "polyphony": polyphony, "notes_per_beat": per_beat, "max_repeat": repeat,
        "velocity": velocity,
    } | dict.fromkeys(free, "free")  # fmt: skip
    constraints = Constraints(**given_)
    try:
        ids = write(prompt, bars, logits, LikenessSettings(max_rest=max_rest), **given_)
    except UsageError as error:
        assert "contradict" in str(error)  # noqa: PT017  (not every choice is refused)
        return
    notes = notes_of(prompt, bars, ids)
    playing = {40, 0, -1} if programs == "seed" else constraints.programs
    assert programs == "free" or {program for program, *_ in notes} <= set(playing)
    for program, onset, _, pitch, loudness in notes:
        if bounds and program != -1:
            assert low <= pitch <= min(127, low + width)
        if scale and program != -1 and program not in UNPITCHED_PROGRAMS:
            assert pitch % 12 in parse_scale(scale)[1]
        if limit := constraints.of(constraints.polyphony, program):
            assert sum(other == program and start <= onset < end for other, start, end, _, _ in notes) <= limit
        if velocity == "kept" and program in (0, 40):
            assert loudness == (59 if program == 0 else 79)  # the steps of the tokenizer next to 60 and 80
    if per_beat and "meter" not in free:
        assert max(Counter(onset // (480 * 4 // meter[1]) for _, onset, *_ in notes).values()) <= per_beat
    if "tempo" not in free:
        assert not (VOCABULARY.types[ids] == TokenType.TEMPO).any()
    if "meter" not in free:
        assert set(ids[VOCABULARY.types[ids] == TokenType.TIME_SIGNATURE].tolist()) == {prompt.meter}


@pytest.mark.parametrize("meter", ["kept", "free"])
def test_a_held_note_leaves_room_for_the_next(meter):
    """One voice alone that wants the longest notes does not hold one through a bar in which a note must begin."""
    prompt = prepare_prompt(made_seed(programs=(40,), drums=False), TOKENIZER)
    for kinds in ([TokenType.DURATION], [TokenType.BAR], [TokenType.TIME_SIGNATURE, TokenType.POSITION]):
        notes = notes_of(prompt, 6, write(prompt, 6, wishing(*kinds), polyphony=1, meter=meter))
        assert all(end <= start for (_, _, end, *_), (_, start, *_) in itertools.pairwise(sorted(notes, key=lambda n: n[1])))
        assert max(end - start for _, start, end, *_ in notes) > 960


def test_in_a_free_meter_held_notes_end_with_the_piece():
    """A model that wants the longest notes and then the shortest bars gets bars that hold what already sounds."""
    prompt = prepare_prompt(made_seed(programs=(40,), drums=False), TOKENIZER)
    short = np.where(VOCABULARY.types == TokenType.TIME_SIGNATURE, -VOCABULARY.values / np.maximum(VOCABULARY.denominators, 1), 0)
    wish = wishing(TokenType.POSITION)() * (VOCABULARY.types == TokenType.DURATION) + 1e6 * short
    notes = notes_of(prompt, 3, write(prompt, 3, lambda: wish, meter="free"))
    assert max(end - start for _, start, end, *_ in notes) > 2 * 1920


def contents(ids: np.ndarray) -> list[tuple]:
    """Each bar's tokens without velocities and tempos."""
    kept = ids[~np.isin(VOCABULARY.types[ids], [TokenType.VELOCITY, TokenType.TEMPO, TokenType.BOS])]
    return [tuple(bar.tolist()) for bar in np.split(kept, np.flatnonzero(kept == VOCABULARY.bar))[1:]]


def longest_repetition(seed_bars: int, bars: list[tuple]) -> int:
    """The longest run of new bars that stands earlier in the piece, by comparing everything with everything."""
    runs = [
        length
        for start in range(seed_bars, len(bars))
        for length in range(1, len(bars) - start + 1)
        if any(bars[earlier : earlier + length] == bars[start : start + length] for earlier in range(start))
    ]
    return max(runs, default=0)


@pytest.mark.parametrize("most", [0, 1, 2, None])
def test_no_more_bars_repeat_than_allowed(most):
    """A model that writes the same bar for ever repeats at most K bars in a row, and without the rule all of them."""
    prompt = prepare_prompt(made_seed(programs=(0,), drums=False), TOKENIZER)
    ids = write(prompt, 12, wishing(TokenType.BAR, lowest=True), max_repeat=most)
    longest = longest_repetition(2, contents(np.concatenate([prompt.ids[:-2], ids])))
    assert longest <= most if most is not None else longest > 5


def test_repetitions_inside_the_seed_do_not_count():
    """Bars that the seed repeats are not held against the new ones; a bar is its meter and notes, not its velocities."""
    history = BarHistory(1)
    note = (0, 40, 60, 48)
    for bar in range(4):
        if bar == 2:
            history.begin()
        history.open(7)
        if bar < 3:
            assert not history.is_repeated()
        history.add(note)
        assert history.is_repeated() == (bar == 3)
        history.close()
    assert history.run == 2
    history.open(8)
    history.add(note)
    assert not history.is_repeated()


def test_a_last_note_that_would_repeat_too_much_gets_another_length():
    """The durations that would complete a forbidden bar are named, at the note that completes it only."""
    history = BarHistory(0)
    history.open(7)
    for note in ((0, 40, 60, 48), (48, 40, 62, 24)):
        history.add(note)
    history.close()
    history.open(7)
    assert history.last_durations(0, 40, 60) == []
    history.add((0, 40, 60, 48))
    assert history.last_durations(48, 40, 62) == [24]
    assert history.last_durations(48, 40, 63) == []


@pytest.mark.parametrize(("strength", "low", "high"), [(0.0, 0.3, 0.7), (0.9, 0.8, 0.99), (1.0, 1.0, 1.0)])
def test_the_scale_goes_from_free_to_hard(strength, low, high):
    """At strength s a pitch outside is 1 − s times as likely: nothing at 0, a leaning between, a rule at 1."""
    prompt = prepare_prompt(made_seed(programs=(0,), drums=False), TOKENIZER)
    near = LikenessSettings(likeness=0, range_margin=127)
    pitches = [
        pitch
        for seed in range(6)
        for *_, pitch, _ in notes_of(prompt, 3, write(prompt, 3, random_logits(seed), near, scale="B major", scale_strength=strength))
    ]
    share = np.isin(np.array(pitches) % 12, list(parse_scale("B major")[1])).mean()
    assert low <= share <= high


def test_in_another_key_the_constraints_move_along():
    """What the model writes in C major is moved back to where ranges and scale are told."""
    prompt, name = in_canonical_key(prepare_prompt(made_seed(drums=False), TOKENIZER), TOKENIZER)
    assert (name, prompt.shift) == ("E minor", 5)
    for seed in range(3):
        notes = notes_of(prompt, 2, write(prompt, 2, random_logits(seed), scale="Ab major", ranges={"violin": "C#6-F6", 0: [40, 50]}))
        assert {pitch % 12 for *_, pitch, _ in notes} <= parse_scale("Ab major")[1]
        assert all(85 <= pitch <= 89 if program == 40 else 40 <= pitch <= 50 for program, _, _, pitch, _ in notes)


def test_at_the_edge_of_midi_no_two_pitches_become_one():
    """In canonical key nothing is written that could not be moved back within 0..127."""
    prompt, _ = in_canonical_key(prepare_prompt(made_seed(drums=False), TOKENIZER), TOKENIZER)
    ids = write(
        prompt, 2, wishing(TokenType.PROGRAM, TokenType.PITCH), LikenessSettings(likeness=0, range_margin=127), ranges={"all": [0, 127]}
    )
    assert len(notes_of(prompt, 2, ids)) == len({note[:2] + note[3:4] for note in notes_of(prompt, 2, ids)})
    assert min(pitch - prompt.shift for pitch in VOCABULARY.values[ids[VOCABULARY.types[ids] == TokenType.PITCH]]) >= 0


def test_a_listed_instrument_that_the_seed_lacks_gets_a_track():
    """programs: flute makes a flute play, on a track with its name."""
    prompt = prepare_prompt(made_seed(drums=False), TOKENIZER)
    longer = assemble(prompt, 1, write(prompt, 1, random_logits(0), programs=["flute"]), TOKENIZER, {})
    assert [(track.program, track.name) for track in longer.tracks[2:]] == [(73, "Flute")]
    assert len(longer.tracks[2].notes)
    assert [len(track.notes) for track in longer.tracks[:2]] == [8, 8]


def test_a_free_meter_and_tempo_are_written_into_the_score():
    """Changes that the model makes stand in the file where they sound, and the end is where the bars end."""
    prompt = prepare_prompt(made_seed(), TOKENIZER)
    ids = write(prompt, 4, random_logits(1), meter="free", tempo="free")
    longer = assemble(prompt, 4, ids, TOKENIZER, {})
    told = ids[VOCABULARY.types[ids] == TokenType.TIME_SIGNATURE]
    lengths = VOCABULARY.numerators[told] * 4 * 480 // VOCABULARY.denominators[told]
    assert longer.markers[-1].time - prompt.end == lengths.sum()
    changes = [(sign.time - prompt.end, sign.numerator, sign.denominator) for sign in longer.time_signatures if sign.time >= prompt.end]
    starts = [0, *itertools.accumulate(lengths.tolist())][: len(told)]
    meters = [(4, 4), *((int(VOCABULARY.numerators[id_]), int(VOCABULARY.denominators[id_])) for id_ in told)]
    new = [(start, *meter) for start, meter, last in zip(starts, meters[1:], meters, strict=False) if meter != last]
    assert changes == new
    assert new
    tempos = ids[VOCABULARY.types[ids] == TokenType.TEMPO]
    assert len(tempos)
    assert [round(tempo.qpm, 2) for tempo in longer.tempos if tempo.time >= prompt.end] == VOCABULARY.tempos[tempos].tolist()


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"programs": ["violin"], "never": "violin"}, ["programs Violin", "never Violin", "no instrument"]),
        ({"never": ["violin", "piano", "drums"]}, ["no instrument is called 'piano'"]),
        ({"never": [40, 0, "drums"]}, ["the seed's instruments", "never drums, Acoustic Grand Piano, Violin"]),
        ({"ranges": {"violin": "C#4-C#4"}, "scale": "C major"}, ["range 61 to 61 of Violin", "scale C major", "Violin has no pitch"]),
        ({"programs": [200]}, ["knows no program 200", "0 to 127"]),
        ({"programs": ["viollin"]}, ["'viollin'", "did you mean violin?"]),
        ({"programs": []}, ["programs is []"]),
        ({"ranges": {"violin": "E6-G3"}}, ["upside down"]),
        ({"ranges": {"violin": "high"}}, ["'high' is no range"]),
        ({"ranges": {"violin": [60, 128]}}, ["128 is no pitch"]),
        ({"scale": "C majr"}, ["did you mean C major?"]),
        ({"scale_strength": -0.1}, ["scale strength is -0.1"]),
        ({"polyphony": 0}, ["polyphony is 0"]),
        ({"notes_per_beat": 0}, ["notes per beat is 0"]),
        ({"max_repeat": -1}, ["max repeat is -1"]),
        ({"tempo": "slow"}, ["tempo is 'slow'", "kept or free"]),
    ],
)
def test_what_cannot_be_is_told_in_one_line(given_, words):
    """Contradictions name the two, wrong values the choices, before a token is drawn."""
    with pytest.raises(UsageError) as error:
        write(prepare_prompt(made_seed(), TOKENIZER), 1, random_logits(0), **given_)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_narrow_range_margin_that_contradicts_a_scale_is_named():
    """Also what holds by default is named when it contradicts."""
    seed = made_seed(programs=(40,), drums=False)
    for note in seed.tracks[0].notes:
        note.pitch = 61
    with pytest.raises(UsageError, match=r"range margin 0 \(61 to 61 of Violin\) and scale C major contradict"):
        write(prepare_prompt(seed, TOKENIZER), 1, random_logits(0), LikenessSettings(range_margin=0), scale="C major")


def test_yaml_flags_and_objects_say_the_same(tmp_path):
    """One set of constraints three ways; a flag takes the place of what the file says."""
    text = "programs: [violin, drums]\nranges: {violin: [G3, E6], all: 36-84}\nscale: D major\npolyphony: {violin: 1}\nmax_repeat: 2\n"
    (tmp_path / "c.yaml").write_text(text)
    flags = {
        "programs": "40,drums", "ranges": by_instrument(["violin:55-88", "36-84"], "range"), "scale": "D major",
        "polyphony": by_instrument(["violin:1"], "polyphony"), "max_repeat": 2,
    }  # fmt: skip
    ranges = {40: (55, 88), "all": (36, 84)}
    objects = Constraints(programs=(-1, 40), ranges=ranges, scale="D major", polyphony={40: 1}, max_repeat=2)
    assert make_constraints(tmp_path / "c.yaml") == make_constraints(None, **flags) == objects
    assert make_constraints(objects.told()) == objects
    assert make_constraints(tmp_path / "c.yaml", max_repeat=0).max_repeat == 0
    (tmp_path / "wrong.yaml").write_text("rangs: {violin: [G3, E6]}\n")
    with pytest.raises(InputError, match=r"wrong.yaml: the setting 'rangs' is unknown; did you mean 'ranges'"):
        make_constraints(tmp_path / "wrong.yaml")
    (tmp_path / "wrong.yaml").write_text("polyphony: {violin: none}\n")
    with pytest.raises(InputError, match=r"wrong.yaml: polyphony is 'none'; a whole number from 1"):
        make_constraints(tmp_path / "wrong.yaml")


def test_the_documented_file_is_a_set_of_constraints(tmp_path):
    """The YAML that the documents show loads, and every field of the constraints stands in it."""
    text = (Path(__file__).parent.parent / "docs" / "continuing.md").read_text()
    (tmp_path / "calm.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    found = make_constraints(tmp_path / "calm.yaml")
    assert found.ranges == {40: (55, 88), "all": (36, 84)}
    assert all(f"{field.name}:" in text for field in fields(Constraints))


def test_names_of_notes_and_scales():
    """C4 is 60; a scale is its tonic and its steps; every mode lies within the octave."""
    assert [parse_pitch(name) for name in ("C4", "60", 60, "A0", "Bb3", "C-1", "g9")] == [60, 60, 60, 21, 58, 0, 127]
    assert parse_scale("Bb major") == (10, frozenset({10, 0, 2, 3, 5, 7, 9}))
    assert parse_scale("c, e G") == (None, frozenset({0, 4, 7}))
    assert parse_scale("A natural minor")[1] == parse_scale("C major")[1]
    assert all(steps[0] == 0 and list(steps) == sorted(set(steps)) and steps[-1] < 12 for steps in MODES.values())

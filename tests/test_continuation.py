"""A continuation has exactly the bars asked for, leaves the seed alone, and is the same for the same random seed."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from symbolic.errors import InputError, UsageError
from symbolic.generation.continuation import continue_prompts, continue_score, continue_takes
from symbolic.generation.drawing import SamplingSettings, draw
from symbolic.generation.likeness import leanings
from symbolic.generation.mask import MAX_NOTES_AT_ONSET
from symbolic.generation.parts import deal
from symbolic.generation.prompt import prepare_prompt
from symbolic.generation.sampling import prefill
from symbolic.midi.meter import bar_starts, last_note_end
from symbolic.midi.reading import read
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.automaton import TokenAutomaton
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary


def untrained_model(seed: int = 0) -> TransformerXL:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 24}
    return TransformerXL(make_config(vocab_size=len(VOCABULARY), initializer_range=0.3, **shape)).eval()


MODEL = untrained_model()


def seed_score(
    meter: tuple[int, int] = (4, 4), bars: int = 2, programs: tuple[int, ...] = (40, 42), drums: bool = False, tpq: int = 480
) -> ScoreTick:
    score = ScoreTick(tpq)
    score.time_signatures.append(TimeSignatureTick(0, *meter))
    score.tempos.append(TempoTick(0, qpm=90.0))
    beat = tpq * 4 // meter[1]
    for program in programs:
        track = TrackTick(f"part {program}", program, False)
        for step in range(bars * meter[0]):
            track.notes.append(NoteTick(step * beat, beat, 60 + (step * 5 + program) % 12, 80))
        score.tracks.append(track)
    if drums:
        track = TrackTick("drums", 0, True)
        for step in range(bars * meter[0]):
            track.notes.append(NoteTick(step * beat, beat // 2, 38, 90))
        score.tracks.append(track)
    return score


def notes_before(score: ScoreTick, end: int) -> list[list[tuple[int, int, int, int]]]:
    return [[(n.time, n.duration, n.pitch, n.velocity) for n in track.notes if n.time < end] for track in score.tracks]


@given(
    meter=st.sampled_from([(4, 4), (3, 4), (6, 8), (5, 4), (7, 8), (2, 2), (12, 8), (3, 16)]),
    seed_bars=st.integers(1, 3),
    bars=st.integers(1, 4),
    drums=st.booleans(),
    random_seed=st.integers(0, 10**6),
)
@settings(max_examples=25, deadline=None)
def test_exactly_the_bars_asked_for(meter, seed_bars, bars, drums, random_seed):
    """Whatever the meter, the output has N bars more, the last one not empty, and ends on the bar line; the seed stays as it is."""
    seed = seed_score(meter, seed_bars, drums=drums)
    before = notes_before(seed, 10**9)
    longer = continue_score(seed, bars, model=MODEL, tokenizer=TOKENIZER, random_seed=random_seed)
    line = int(bar_starts(seed)[-1])
    closing = line + bars * 480 * 4 * meter[0] // meter[1]
    assert len(bar_starts(longer)) - 1 == seed_bars + bars
    assert last_note_end(longer) <= closing == int(bar_starts(longer)[-1])
    assert longer.end() == closing
    assert notes_before(longer, line) == before == notes_before(seed, 10**9)
    assert {(t.program, t.is_drum) for t in longer.tracks} == {(t.program, t.is_drum) for t in seed.tracks}


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_pickups_partial_bars_and_meter_changes_are_kept(data):
    """A seed that begins with a pickup, changes its meter or stops in mid-bar is continued from its own bar line in its last meter."""
    tpq = data.draw(st.sampled_from([96, 120, 384, 480, 960]))
    pickup = data.draw(st.sampled_from([0, 1, 2]))
    last = data.draw(st.sampled_from([(3, 4), (6, 8), (2, 4), (2, 2)]))
    score = ScoreTick(tpq)
    if pickup:
        score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    score.time_signatures.append(TimeSignatureTick(pickup * tpq, *last))
    track = TrackTick("", 0, False)
    for beat in range(pickup + data.draw(st.integers(4, 9))):
        track.notes.append(NoteTick(beat * tpq, tpq, 60 + beat, 70))
    score.tracks.append(track)
    lines = bar_starts(score)
    longer = continue_score(score, 2, model=MODEL, tokenizer=TOKENIZER)
    assert np.array_equal(bar_starts(longer)[: len(lines)], lines)
    assert len(bar_starts(longer)) == len(lines) + 2


def test_notes_hanging_over_the_last_bar_line_do_not_add_a_bar():
    """A played seed whose last note ends a moment late is continued from the line it meant; a note held on counts its bars."""
    seed = seed_score(bars=2, programs=(0,))
    seed.tracks[0].notes[-1].duration += 20
    assert prepare_prompt(seed, TOKENIZER).end == 2 * 4 * 480
    seed.tracks[0].notes[-1].duration += 2 * 4 * 480
    assert prepare_prompt(seed, TOKENIZER).end == 4 * 4 * 480


def test_events_after_the_last_note_do_not_move_the_end():
    """A tempo or meter written after the music ends opens no bars before the continuation."""
    seed = seed_score(bars=2)
    seed.tempos.append(TempoTick(10 * 4 * 480, qpm=60.0))
    prompt = prepare_prompt(seed, TOKENIZER)
    assert prompt.end == 2 * 4 * 480
    assert (prompt.ids == VOCABULARY.bar).sum() == 3


def test_the_same_random_seed_gives_the_same_bytes_and_another_does_not():
    """Same seed, same file; the takes are the runs with random_seed + 0, 1, 2, in the order of their scores."""
    seed = seed_score()
    one = continue_score(seed, 2, model=MODEL, tokenizer=TOKENIZER, random_seed=3)
    assert one.dumps_midi() == continue_score(seed, 2, model=MODEL, tokenizer=TOKENIZER, random_seed=3).dumps_midi()
    takes = continue_takes(seed, 2, takes=3, model=MODEL, tokenizer=TOKENIZER, random_seed=3)
    alone = [continue_score(seed, 2, model=MODEL, tokenizer=TOKENIZER, random_seed=3 + k) for k in range(3)]
    assert sorted(t.dumps_midi() for t in takes) == sorted(a.dumps_midi() for a in alone)
    assert len({t.dumps_midi() for t in takes}) == 3


def test_prompts_of_different_lengths_share_a_batch():
    """A prompt among longer ones is continued as it is alone."""
    prompts = [
        prepare_prompt(seed_score(bars=bars, programs=programs), TOKENIZER) for bars, programs in ((1, (0,)), (3, (40, 42)), (2, (7,)))
    ]
    settings_ = SamplingSettings()
    together = continue_prompts(prompts, 2, MODEL, TOKENIZER, [5, 6, 7], settings_)
    for prompt, random_seed, ids in zip(prompts, [5, 6, 7], together, strict=True):
        assert np.array_equal(continue_prompts([prompt], 2, MODEL, TOKENIZER, [random_seed], settings_)[0], ids)


def test_new_tokens_are_legal_and_follow_the_prompt():
    """Prompt and continuation together are a stream the automaton accepts to the last token."""
    prompt = prepare_prompt(seed_score(drums=True), TOKENIZER)
    for random_seed in range(5):
        ids = continue_prompts([prompt], 3, MODEL, TOKENIZER, [random_seed], SamplingSettings())[0]
        assert TokenAutomaton(VOCABULARY).accepts(np.concatenate([prompt.ids[:-2], ids, [VOCABULARY.eos]])) is None


class Adversary(TransformerXL):
    """A network that wants one token type above all others, whatever it has heard."""

    wish = 0

    def step(self, ids, beats, state):
        logits = torch.zeros(len(ids), len(VOCABULARY))
        logits[:, torch.from_numpy(VOCABULARY.types == self.wish)] = 50.0
        return logits


@pytest.mark.parametrize("wish", range(12))
def test_an_adversarial_model_still_ends_on_the_bar_line(wish):
    """A model that always wants bars, notes, or anything else cannot break the length or run on for ever."""
    torch.manual_seed(0)
    model = Adversary(MODEL.config).eval()
    model.wish = wish
    longer = continue_score(seed_score(drums=True), 2, model=model, tokenizer=TOKENIZER)
    assert len(bar_starts(longer)) - 1 == 4
    new = [(n.time, t.is_drum, t.program) for t in longer.tracks for n in t.notes if n.time >= 2 * 4 * 480]
    assert new
    assert max(np.unique([time for time, *_ in new], return_counts=True)[1]) <= MAX_NOTES_AT_ONSET


def test_prefill_equals_one_pass_for_padded_prompts():
    """The logits after prompts of different lengths are those of each prompt read alone."""
    generator = np.random.default_rng(0)
    prompts = [np.concatenate([[VOCABULARY.bos], generator.integers(3, len(VOCABULARY), n)]) for n in (3, 700, 40)]
    together, _ = prefill(MODEL, VOCABULARY, prompts)
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(prefill(MODEL, VOCABULARY, [prompt])[0][0], together[row], atol=1e-4, rtol=0)


def test_draw_follows_the_distribution_among_legal_ids():
    """Drawn frequencies are the softmax over the legal ids at the temperature; top-p keeps the likeliest only."""
    logits = np.array([2.0, 1.0, 0.0, 5.0], dtype=np.float32)
    legal = np.array([True, True, True, False])
    generator = torch.Generator().manual_seed(0)
    counts = np.bincount([draw(logits, legal, SamplingSettings(top_p=1.0), generator, 2.0) for _ in range(4000)], minlength=4) / 4000
    expected = np.exp(logits[:3] / 2) / np.exp(logits[:3] / 2).sum()
    assert np.abs(counts[:3] - expected).max() < 0.03
    assert counts[3] == 0
    assert {draw(logits, legal, SamplingSettings(top_p=0.5), generator, 1.0) for _ in range(50)} == {0}


def test_notes_are_dealt_to_the_parts_they_fit():
    """Three parts of one program each get the voice near their own line."""
    notes = [NoteTick(beat * 480, 480, pitch + beat, 80) for beat in range(4) for pitch in (72, 60, 48)]
    high, low, middle = deal(notes, [71.0, 50.0, 61.0])
    assert [n.pitch for n in high] == [72, 73, 74, 75]
    assert [n.pitch for n in middle] == [60, 61, 62, 63]
    assert [n.pitch for n in low] == [48, 49, 50, 51]


@given(margin=st.integers(0, 12), random_seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_instruments_stay_in_their_compass(margin, random_seed):
    """No note leaves its program's range in the seed by more than the margin, whatever the model wants."""
    seed = seed_score(programs=(40, 42), drums=True)
    longer = continue_score(seed, 2, model=MODEL, tokenizer=TOKENIZER, range_margin=margin, random_seed=random_seed)
    for before, track in zip(seed.tracks, longer.tracks, strict=True):
        heard = [n.pitch for n in before.notes]
        new = [n.pitch for n in track.notes if n.time >= 2 * 4 * 480]
        assert before.is_drum or all(min(heard) - margin <= pitch <= max(heard) + margin for pitch in new)


def test_likeness_leans_and_zero_is_free():
    """With likeness the seed's pitch classes and registers prevail, at the top only its pitch classes, and at 0 nothing is added."""
    seed = ScoreTick(480)
    seed.tracks.append(TrackTick("", 0, False))
    for step, pitch in enumerate([60, 62, 64, 65, 67, 69, 71, 72] * 2):
        seed.tracks[0].notes.append(NoteTick(step * 480, 480, pitch, 80))
    scale = {0, 2, 4, 5, 7, 9, 11}

    def share(strength: float) -> float:
        takes = continue_takes(seed, 4, takes=8, model=MODEL, tokenizer=TOKENIZER, likeness=strength)
        new = [n.pitch % 12 in scale for t in takes for n in t.tracks[0].notes if n.time >= 16 * 480]
        return sum(new) / len(new)

    assert share(0) < 0.8 < share(1)
    assert share(100) == 1
    assert not leanings(seed, VOCABULARY, 0)[0].any()
    leaning = leanings(seed, VOCABULARY, 1.0)[0]
    at = {int(VOCABULARY.values[id_]): leaning[id_] for id_ in VOCABULARY.of_type(TokenType.PITCH)}
    assert leaning.max() <= 0
    assert at[67] > at[79] > at[91]
    assert at[67] > at[66]
    assert not leaning[VOCABULARY.types != TokenType.PITCH].any()


@pytest.mark.parametrize("max_rest", [1, 2, 3])
def test_no_instrument_falls_silent_for_longer_than_allowed(max_rest):
    """A model that never wants the bass or the drums must let them in: every player of the seed's end sounds in any max_rest + 1 bars."""
    torch.manual_seed(0)
    model = Adversary(MODEL.config).eval()
    model.wish = int(TokenType.BAR)
    longer = continue_score(seed_score(drums=True), 8, model=model, tokenizer=TOKENIZER, max_rest=max_rest)
    for track in longer.tracks:
        bars = {n.time // (4 * 480) - 2 for n in track.notes if n.time >= 2 * 4 * 480}
        for first in range(8 - max_rest):
            assert bars & set(range(first, first + max_rest + 1))


def test_provenance_is_in_the_file():
    """The written MIDI says which model, settings and random seed made it, and where the continuation begins."""
    longer = read(continue_score(seed_score(), 1, model=MODEL, tokenizer=TOKENIZER, random_seed=9).dumps_midi())
    marker = next(m for m in longer.markers if m.text.startswith("continuation: "))
    origin = json.loads(marker.text.removeprefix("continuation: "))
    assert marker.time == 2 * 4 * 480
    assert origin["random_seed"] == 9
    assert origin["bars"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bars": 0}, "bars is 0"),
        ({"bars": -3}, "bars is -3"),
        ({"takes": 0}, "takes is 0"),
        ({"temperature": 0}, "temperature is 0"),
        ({"top_p": 2}, "top-p is 2"),
        ({"likeness": -1}, "likeness is -1"),
        ({"max_rest": 0}, "max rest is 0"),
        ({"range_margin": -1}, "range margin is -1"),
    ],
)
def test_impossible_numbers_are_wrong_usage(options, words):
    """Numbers that make no sense are told with the value and the choices before any work."""
    with pytest.raises(UsageError, match=words):
        continue_takes(seed_score(), **{"bars": 1, "model": MODEL, "tokenizer": TOKENIZER} | options)


def test_an_unknown_model_names_the_choices():
    """A model that is neither bundled nor a folder is refused with the bundled names."""
    with pytest.raises(InputError, match="no bundled model of this name"):
        continue_score(seed_score(), 1, model="no-such-model")

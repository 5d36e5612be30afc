"""How tokens are drawn, how long a continuation is, how it closes, and which take is best."""

import json
import math

import numpy as np
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick
from transformers import LogitsProcessorList

from symbolic.cli import main
from symbolic.errors import InputError, UsageError
from symbolic.generation.cadence import judge, last_sonority
from symbolic.generation.constraints import Constraints
from symbolic.generation.continuation import continue_score, continue_takes
from symbolic.generation.drawing import SamplingSettings, draw
from symbolic.generation.length import seconds_at, wanted_bars
from symbolic.generation.likeness import LikenessSettings
from symbolic.generation.mask import StreamMask
from symbolic.generation.processor import LegalTokens
from symbolic.generation.prompt import PROMPT_TOKENS, prepare_prompt
from symbolic.generation.ranking import Scores, best_first, score_take
from symbolic.generation.rules import Ending, make_rules
from symbolic.generation.writing import write_streams
from symbolic.midi.meter import bar_starts
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.automaton import DRUM_PITCH, DURATION, PITCH, POSITION, PROGRAM, TIME_SIGNATURE, VELOCITY, TokenAutomaton
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType

TOKENIZER = RemiTokenizer()
VOCABULARY = TOKENIZER.vocabulary
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 24}


def untrained(kind: type[TransformerXL] = TransformerXL) -> TransformerXL:
    torch.manual_seed(0)
    return kind(make_config(vocab_size=len(VOCABULARY), initializer_range=0.3, **SHAPE)).eval()


MODEL = untrained()
MINE = {"model": MODEL, "tokenizer": TOKENIZER}


def made_seed(bars: int = 2, drums_alone: bool = False, qpm: float = 90.0) -> ScoreTick:
    """A tune in C major, a note a beat in 4/4."""
    score = ScoreTick(480)
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    score.tempos.append(TempoTick(0, qpm=qpm))
    track = TrackTick("", 0, drums_alone)
    for beat in range(4 * bars):
        track.notes.append(NoteTick(beat * 480, 480, 60 + (0, 4, 7, 12, 7, 5, 2, 0)[beat % 8], 80))
    score.tracks.append(track)
    return score


def origin_of(score: ScoreTick) -> dict:
    return json.loads(next(m.text for m in score.markers if m.text.startswith("continuation: ")).removeprefix("continuation: "))


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (SamplingSettings(top_p=1.0), {0, 1, 2, 3}),
        (SamplingSettings(top_p=1.0, top_k=2), {0, 1}),
        (SamplingSettings(top_p=1.0, min_p=0.3), {0, 1}),
        (SamplingSettings(top_p=1.0, min_p=0.1), {0, 1, 2}),
        (SamplingSettings(top_p=0.9), {0, 1, 2}),
        (SamplingSettings(top_p=0.5), {0}),
        (SamplingSettings(top_p=0.9, top_k=3, min_p=0.3), {0, 1}),
    ],
)
def test_what_is_kept_of_the_likeliest(settings, kept):
    """Of probabilities 0.64, 0.24, 0.09 and 0.03 each rule keeps a first part, and together they keep the shortest."""
    logits, legal = np.array([2.0, 1.0, 0.0, -1.0, 9.0], dtype=np.float32), np.array([True] * 4 + [False])
    generator = torch.Generator().manual_seed(0)
    assert {draw(logits, legal, settings, generator, 1.0) for _ in range(400)} == kept


def test_each_kind_of_token_has_its_temperature():
    """Pitches come after a program, velocities after a pitch, rhythm where a length, an onset or a bar's end is chosen."""
    own = SamplingSettings(1.0, pitch_temperature=0.5, rhythm_temperature=0.7, velocity_temperature=0.2)
    found = {last: own.temperature_after(last) for last in (PROGRAM, PITCH, DRUM_PITCH, VELOCITY, DURATION, TIME_SIGNATURE, POSITION)}
    assert list(found.values()) == [0.5, 0.2, 0.2, 0.7, 0.7, 0.7, 1.0]
    assert SamplingSettings(0.8).temperature_after(PROGRAM) == 0.8
    assert SamplingSettings(0.8, loop_heat=0.5).temperature_after(PROGRAM, 3) == pytest.approx(0.8 * (1 + 0.5 * math.log(4)))
    assert SamplingSettings(0.8).temperature_after(PROGRAM, 3) == 0.8


def test_a_cold_velocity_leaves_the_rest_warm():
    """With a velocity temperature near 0 the takes agree on how loud their first note is, and on little else."""
    takes = continue_takes(made_seed(), 1, takes=8, velocity_temperature=1e-3, rhythm_temperature=1e-3, max_rest=1, top_p=1.0, **MINE)
    firsts = [min((n.time, n.velocity, n.pitch) for n in take.tracks[0].notes if n.time >= 8 * 480) for take in takes]
    assert len({time for time, _, _ in firsts}) == 1
    assert len({pitch for _, _, pitch in firsts}) > 2


class Broken(TransformerXL):
    """A network whose weights have become NaN."""

    def step(self, ids, beats, state):
        return super().step(ids, beats, state) * float("nan")


def test_logits_that_are_no_numbers_are_told_in_one_line():
    """NaN stops the run with the bar and the likely cause, instead of choosing some token."""
    with pytest.raises(InputError, match=r"no numbers \(NaN\) in bar 3: its weights are damaged"):
        continue_score(made_seed(), 2, model=untrained(Broken), tokenizer=TOKENIZER)


def test_a_take_is_the_same_in_every_batch():
    """The same random seed gives the same file alone, among three and among eight."""
    by_seed = [
        {origin_of(take)["random_seed"]: take.dumps_midi() for take in continue_takes(made_seed(), 2, takes=takes, **MINE)}
        for takes in (1, 3, 8)
    ]
    assert list(by_seed[0]) == [0]
    assert by_seed[0][0] == by_seed[1][0] == by_seed[2][0]
    assert all(by_seed[2][seed] == data for seed, data in by_seed[1].items())


def test_nats_are_those_of_the_model_alone():
    """What a stream says of its likelihood is what one pass of the network over the same ids says, without rules and temperature."""
    prompt = prepare_prompt(made_seed(), TOKENIZER)
    settings = SamplingSettings(0.7, 0.9)
    ((stream, _),) = write_streams([prompt], 2, MODEL, TOKENIZER, [3], settings, LikenessSettings(), Constraints())
    ids = np.concatenate([prompt.ids, stream.ids[2:]])
    with torch.no_grad():
        output = MODEL(torch.from_numpy(ids[None]), torch.from_numpy(derive_beats(ids, VOCABULARY)[None].astype(np.int64)))
    logs = torch.log_softmax(output.logits[0].double(), dim=-1)
    own = -logs[len(prompt.ids) - 1 : -1].gather(1, torch.from_numpy(stream.ids[2:, None])).sum()
    assert stream.nats == pytest.approx(float(own), abs=1e-2)
    assert stream.end_nats == pytest.approx(-float(logs[-1, VOCABULARY.eos]), abs=1e-3)
    assert stream.notes == (VOCABULARY.types[stream.ids] == TokenType.DURATION).sum()


@pytest.mark.parametrize(("seconds", "bars"), [(0.1, 1), (8.0, 3), (9.2, 3), (9.4, 4), (59.0, 22)])
def test_seconds_end_on_the_nearest_bar_line(seconds, bars):
    """At 90 quarters a minute a bar of 4/4 lasts 2.667 s; a slower tempo at the seed's end counts from there."""
    seed = made_seed()
    assert wanted_bars(None, seconds, prepare_prompt(seed, TOKENIZER), VOCABULARY, Constraints()) == bars
    seed.tempos.append(TempoTick(4 * 480, qpm=45.0))
    prompt = prepare_prompt(seed, TOKENIZER)
    assert wanted_bars(None, 2 * seconds, prompt, VOCABULARY, Constraints()) == bars
    assert seconds_at(seed, np.array([0, 480, 4 * 480, 5 * 480])) == pytest.approx([0, 2 / 3, 8 / 3, 4])


def test_the_file_lasts_as_long_as_asked():
    """12 s at 90 quarters a minute are 4.5 bars of 4/4: four or five of them, and the end is a bar line."""
    longer = continue_score(made_seed(), seconds=12.1, **MINE)
    assert len(bar_starts(longer)) - 1 == 2 + 5
    assert origin_of(longer)["bars"] == 5
    assert origin_of(longer)["seconds"] == 12.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bars": 2, "seconds": 9}, ["bars 2 and seconds 9 contradict"]),
        ({"seconds": 9, "constraints": {"tempo": "free"}}, ["tempo free and seconds 9 contradict"]),
        ({"seconds": -1}, ["seconds is -1"]),
        ({"seconds": 1e5}, ["2000 bars"]),
        ({"top_k": -1}, ["top-k is -1"]),
        ({"min_p": 1.0}, ["min-p is 1.0"]),
        ({"pitch_temperature": -0.5}, ["pitch temperature is -0.5"]),
        ({"velocity_temperature": float("nan")}, ["velocity temperature is nan"]),
        ({"loop_heat": -1}, ["loop heat is -1"]),
    ],
)
def test_impossible_lengths_and_temperatures(options, words):
    """Each is told with its value and the choices, before any token."""
    with pytest.raises(UsageError) as error:
        continue_takes(made_seed(), **options, **MINE)
    for word in words:
        assert word in str(error.value)


def test_a_cadence_is_sought_in_the_last_two_bars():
    """The piece ends after N or N − 1 bars, on the bar line, nearly always on the tonic, and says how: what stands in the file."""
    closes = []
    for random_seed in range(4):
        longer = continue_score(made_seed(), 3, until_cadence=True, random_seed=random_seed, **MINE)
        close = origin_of(longer)["close"]
        assert close["key"] == "C major"
        assert close["bars"] == origin_of(longer)["bars"] == len(bar_starts(longer)) - 3
        assert close["bars"] in (2, 3)
        notes = [(n.time, n.end, n.pitch) for n in longer.tracks[0].notes]
        last = max(time for time, _, _ in notes)
        sounding = sorted(pitch for _, end, pitch in notes if end > last)
        assert close["on_tonic"] == (sounding[0] % 12 == 0)
        assert close["in_chord"] == ({pitch % 12 for pitch in sounding} <= {0, 4, 7})
        closes.append(close["on_tonic"])
    assert sum(closes) >= 3  # a network that knows nothing, bound by rules alone


def test_of_several_closes_the_best_is_taken():
    """On the tonic in its chord comes before on the tonic, and that before elsewhere; then the likelier end of a piece."""
    automaton = TokenAutomaton(VOCABULARY)

    def close(*pitches: int, end_nats: float = 1.0):
        names = "Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_30 Velocity_63 Duration_1.0.48 Position_48"
        names += "".join(f" Program_0 Pitch_{pitch} Velocity_63 Duration_2.0.48" for pitch in pitches)
        ids = np.array([VOCABULARY.tokens.index(name) for name in f"{names} Program_-1 PitchDrum_38 Velocity_63 Duration_1.0.48".split()])
        assert last_sonority(ids, automaton) == sorted(pitches)
        return judge(ids, 8, (7, "major"), 5, end_nats, automaton)

    best, worse, worst = close(48, 52, 55), close(48, 53), close(47, 48)  # in C: G major is five semitones lower
    assert (best.on_tonic, best.in_chord, best.bass) == (True, True, "G")
    assert best.quality > worse.quality > worst.quality
    assert close(48, end_nats=0.5).quality > best.quality
    assert "on the tonic, with the tonic chord, after 8 bars" in best.sentence()
    assert "no close on the tonic of G major was found (bass F#)" in worst.sentence()


def test_a_cadence_wants_a_key():
    """A seed of drums alone has none, unless a scale names one."""
    with pytest.raises(UsageError, match="until-cadence and this seed contradict"):
        continue_takes(made_seed(drums_alone=True), 2, until_cadence=True, **MINE)


def test_takes_come_best_first():
    """The order is that of the two places, by likelihood and by likeness; the one more like the seed of two equals comes first."""
    scores = [Scores(5.0, 0.1, 0.1, 0.1), Scores(3.0, 0.2, 0.2, 0.2), Scores(4.0, 0.0, 0.0, 0.0), Scores(9.0, 0.9, 0.9, 0.9)]
    assert best_first(scores) == [2, 1, 0, 3]
    assert best_first([Scores(1.8, 0.4, 0.4, 0.4), Scores(3.3, 0.2, 0.2, 0.2)]) == [1, 0]
    takes = continue_takes(made_seed(), 2, takes=6, **MINE)
    told = [origin_of(take)["scores"] for take in takes]
    assert best_first([Scores(t["nats_per_note"], *[t["distance"]] * 3) for t in told]) == list(range(6))
    assert len({t["nats_per_note"] for t in told}) == 6


def test_distances_are_0_for_the_same_and_1_for_the_opposite():
    """A take like the seed is at 0; other pitch classes, other density and another register are each at 1."""
    score = made_seed(4)
    same = score_take(score, 8 * 480, 16 * 480, 1.0)
    assert (same.pitch_classes, same.onsets_per_beat, same.range, same.distance) == (0, 0, 0, 0)
    other = made_seed(2)
    for beat in range(32):
        other.tracks[0].notes.append(NoteTick(8 * 480 + beat * 120, 120, 90 + (0, 2)[beat % 2], 80))
    far = score_take(other, 8 * 480, 16 * 480, 1.0)
    assert (far.pitch_classes, far.onsets_per_beat, far.range) == (1, 1, 1)


def test_of_a_long_seed_the_last_bars_are_heard():
    """A seed longer than the prompt says how many of its bars were heard; a short one says nothing."""
    seed = made_seed(300)
    longer = continue_score(seed, 1, **MINE)
    told = origin_of(longer)
    assert told["seed_bars"] == 300
    prompt = prepare_prompt(seed, TOKENIZER)
    assert len(prompt.ids) <= PROMPT_TOKENS
    assert told["heard_bars"] == (prompt.ids == VOCABULARY.bar).sum() - 1 < 300
    assert len(bar_starts(longer)) - 1 == 301
    assert "heard_bars" not in origin_of(continue_score(made_seed(), 1, **MINE))


def test_a_seed_without_notes_is_refused():
    """There is nothing to go on from, and that is said."""
    with pytest.raises(InputError, match="the seed has no notes"):
        prepare_prompt(ScoreTick(480), TOKENIZER)


def test_flags_reach_the_music(tmp_path, capsys):
    """Constraints by flag and by file, a length in seconds and the scores of the takes: all in the files that are written."""
    made_seed().dump_midi(tmp_path / "tune.mid")
    (tmp_path / "c.yaml").write_text("polyphony: 1\nscale: C major\nrange: 1\n")
    run = ["continue", str(tmp_path / "tune.mid"), "-o", str(tmp_path / "out.mid"), "--constraints", str(tmp_path / "c.yaml"), "--force"]
    assert main(run) == 1
    assert "c.yaml: the setting 'range' is unknown; did you mean 'ranges'" in capsys.readouterr().err
    (tmp_path / "c.yaml").write_text("polyphony: 1\nscale: C major\n")
    more = ["--scale", "G major", "--range", "all:60-72", "--seconds", "5", "--takes", "2", "--velocity", "kept", "--json"]
    assert main([*run, *more]) == 0
    result = json.loads(capsys.readouterr().out)
    told = [json.loads((tmp_path / f"out-{take}.json").read_text()) for take in (1, 2)]
    assert [t["place"] for t in told] == [1, 2]
    assert result["bars"] == told[0]["bars"] == 2
    constraints = {"ranges": {"all": [60, 72]}, "scale": "G major", "polyphony": {"all": 1}, "velocity": "kept"}
    assert told[0]["constraints"] == constraints
    assert [output["scores"] for output in result["outputs"]] == [t["scores"] for t in told]
    assert main([*run, "--programs", "violin", "--never", "violin"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "programs Violin and never Violin contradict each other" in error


def test_generate_of_transformers_obeys_the_same_rules():
    """With the mask as a logits processor `model.generate()` writes legal music of the bars asked for, in every row of a batch."""
    prompts = [prepare_prompt(made_seed(bars), TOKENIZER) for bars in (1, 3)]
    automaton = TokenAutomaton(VOCABULARY)
    masks = [
        StreamMask(
            automaton, make_rules(prompt, Ending(prompt.heard_bars + 2), VOCABULARY, Constraints(scale="C major"), LikenessSettings())
        )
        for prompt in prompts
    ]
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = np.stack([np.concatenate([np.full(longest - len(p.ids), VOCABULARY.pad), p.ids]) for p in prompts])

    def beats(so_far: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.from_numpy(derive_beats(row, VOCABULARY).astype(np.int64)) for row in so_far.numpy()])

    torch.manual_seed(0)
    written = MODEL.generate(
        torch.from_numpy(ids), beats=beats, attention_mask=torch.from_numpy(ids != VOCABULARY.pad).long(), do_sample=True, top_k=0,
        eos_token_id=VOCABULARY.eos, pad_token_id=VOCABULARY.pad, max_new_tokens=4000,
        logits_processor=LogitsProcessorList([LegalTokens(masks, VOCABULARY)]),
    )  # fmt: skip
    for prompt, row in zip(prompts, written.numpy(), strict=True):
        stream = row[row != VOCABULARY.pad]
        assert automaton.accepts(stream) is None
        assert stream[-1] == VOCABULARY.eos
        assert (stream == VOCABULARY.bar).sum() == prompt.heard_bars + 2
        new = stream[len(prompt.ids) :]
        pitches = VOCABULARY.values[new[VOCABULARY.types[new] == TokenType.PITCH]]
        assert len(pitches)
        assert set((pitches % 12).tolist()) <= {0, 2, 4, 5, 7, 9, 11}

"""Keys are found as music21 finds them, drawn evenly in training, and a continuation in canonical key comes back to its own."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from score_strategies import notes_of, score_of, scores
from symusic import Note, Score, Track

from symbolic.cli import main
from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import UsageError
from symbolic.generation.continuation import continue_prompts, continue_score, in_canonical_key, prepare_prompt
from symbolic.generation.likeness import LikenessSettings
from symbolic.midi.keys import KEYS, MAJOR, MINOR, detect_key, key_correlations, key_name, pitch_class_durations
from symbolic.midi.programs import UNPITCHED_PROGRAMS
from symbolic.midi.transposition import pitch_bounds, transpose
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType
from symbolic.training.lanes import Lanes

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11, 12)
TOKENIZER = RemiTokenizer()


def melody_in(scale: tuple[int, ...], tonic: int = 60) -> Score:
    """The scale up in eighths, with the tonic chord held under it: one bar of 4/4."""
    notes = [(i * 240, 240, tonic + step) for i, step in enumerate(scale)]
    return score_of(*notes, *((0, 1920, tonic - 12 + step) for step in (0, scale[2], 7)))


# Finding the key


@pytest.mark.parametrize("semitones", range(12))
@pytest.mark.parametrize(("scale", "mode"), [(MAJOR_SCALE, "major"), (MINOR_SCALE, "minor")])
def test_the_key_found_moves_with_the_music(scale: tuple[int, ...], mode: str, semitones: int):
    """A scale over its tonic chord is found in its key, in all twelve keys and both modes."""
    assert detect_key(transpose(melody_in(scale), semitones)) == (semitones, mode)


@given(st.lists(st.integers(0, 10**6), min_size=12, max_size=12))
def test_correlations_are_pearsons(durations):
    """The correlation with each key's profile is that of the textbook; all alike correlate with none."""
    histogram = np.array(durations, dtype=float)
    if len(set(durations)) == 1:
        assert not key_correlations(histogram).any()
        return
    for found, (tonic, mode) in zip(key_correlations(histogram), KEYS, strict=True):
        profile = {"major": MAJOR, "minor": MINOR}[mode]
        turned = [profile[(pitch_class - tonic) % 12] for pitch_class in range(12)]
        assert found == pytest.approx(np.corrcoef(histogram, turned)[0, 1], abs=1e-9)


def test_keys_are_those_of_music21():
    """On streams of music21 with the same notes and durations `analyze('key')` finds the same key; drums are heard by neither."""
    from music21 import note, stream

    generator = np.random.default_rng(0)
    for scale in [MAJOR_SCALE, MINOR_SCALE, range(12)] * 20:
        tonic = int(generator.integers(48, 60))
        notes = [(240 * i, 60 * int(generator.integers(1, 9)), tonic + int(generator.choice(scale))) for i in range(20)]
        score = score_of(*notes)
        score.tracks.append(Track("drums", 0, True, [Note(0, 10**5, 38, 80)]))
        parts = stream.Score(
            [stream.Part([note.Note(p, quarterLength=d / 480) for _, d, p in notes]), stream.Part([note.Unpitched(quarterLength=200)])]
        )
        theirs = parts.analyze("key")
        assert detect_key(score) == (theirs.tonic.pitchClass, theirs.mode)


@pytest.mark.parametrize("chord", [(0, 4, 8), (0, 3, 6, 9), (0, 2, 4, 6, 8, 10), (0, 6)])
def test_ties_go_to_the_first_key(chord: tuple[int, ...]):
    """A chord that divides the octave evenly fits several keys alike: the first of them in the order of `KEYS`, however it is written."""
    step = 12 // len(chord)
    found = set()
    for turn in range(len(chord)):
        score = score_of(*((0, 7 * 480 + 1, 48 + turn * step + pitch) for pitch in chord))
        found.add(detect_key(score))
        score.tracks[0].notes.sort(key=lambda n: -n.pitch)
        found.add(detect_key(score))
    assert len(found) == 1
    (key,) = found
    assert key[0] < step


@pytest.mark.parametrize("length", [1, 480, 7 * 10**7])
def test_no_key_without_a_difference(length: int):
    """Drums alone, noises alone, nothing, or all twelve pitch classes alike have no key."""
    for score in (
        Score(480),
        score_of((0, length, 38), drums=True),
        score_of((0, length, 60), (0, length, 64), program=UNPITCHED_PROGRAMS[-1]),
        score_of(*((0, length, 60 + i) for i in range(12))),
    ):
        assert detect_key(score) is None
    assert key_name(None) == "none"


def test_notes_without_length_count_only_when_none_has_one():
    """Notes of no length weigh nothing beside others; in a score of nothing else each counts 1."""
    score = score_of(*((0, 0, 60 + step) for step in (0, 4, 7, 7)))
    assert pitch_class_durations(score).tolist() == [1, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0]
    assert detect_key(score) == (0, "major")
    score.tracks.append(Track("", 0, False, [Note(0, 3, 61, 80)]))
    assert pitch_class_durations(score).tolist() == [0, 3, *[0] * 10]


@given(scores(on_grid=False, velocities=[80]))
@settings(max_examples=60, deadline=None)
def test_durations_of_pitch_classes_rotate(score):
    """Transposing by k turns the histogram of pitch classes by k, and drums and noises are not in it."""
    low, high = pitch_bounds(score)
    shift = 3 if high <= 124 else -3
    if low > high or low + shift < 0:
        return
    before, after = pitch_class_durations(score), pitch_class_durations(transpose(score, shift))
    assert [after[(i + shift) % 12] for i in range(12)] == list(before)
    pitched = [t for t in score.tracks if not t.is_drum and t.program not in UNPITCHED_PROGRAMS]
    assert before.sum() == sum(n.duration for t in pitched for n in t.notes)


def test_names_of_keys():
    """A key is told by tonic and mode."""
    assert key_name((2, "major")) == "D major"
    assert key_name((10, "minor")) == "Bb minor"


# Twelve keys in training


def test_training_draws_every_key_alike_and_leaves_drums_and_noises(tmp_path, melody, drawn, folder_of, coarse):
    """Each epoch draws anew and uniformly; a gunshot and a drum stay at their pitches, which do not bound what fits."""
    score = melody(drawn(1))
    score.tracks.append(melody([0, 127, 60], program=127).tracks[0])
    score.tracks.append(melody([0, 127, 38], drums=True).tracks[0])
    tokenize_folder(folder_of(tmp_path / "midi", {"a.mid": score}), tmp_path / "out", coarse, held_out=0)
    corpus = Corpus(tmp_path / "out")
    original, names = corpus.piece(0), np.array(corpus.tokenizer.vocabulary.tokens)
    pitches = np.char.startswith(names[original], "Pitch_")
    pitched = pitches & (np.roll(names[original], 1) == "Program_0")
    assert (pitches.sum(), pitched.sum()) == (27, 24)
    lanes, epochs = Lanes(corpus, 1, len(original)), 1200
    values, drawn_shifts = corpus.tokenizer.vocabulary.values, []
    for _ in range(epochs):
        ids = next(lanes).ids[0]
        (shift,) = set((values[ids[pitched]] - values[original[pitched]]).tolist())
        assert np.array_equal(ids[~pitched], original[~pitched])
        drawn_shifts.append(shift)
    counts = Counter(drawn_shifts)
    assert set(counts) == set(range(-5, 7))
    assert sum((count - epochs / 12) ** 2 / (epochs / 12) for count in counts.values()) < 31.3  # chi-squared, 11 degrees, one in a thousand
    again = Counter(drawn_shifts[i + 1] - drawn_shifts[i] == 0 for i in range(epochs - 1))
    assert 0.05 < again[True] / (epochs - 1) < 0.12  # one in twelve: an epoch's key says nothing about the next one's


# Canonical key


def untrained_model() -> TransformerXL:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 24}
    return TransformerXL(make_config(vocab_size=len(TOKENIZER.vocabulary), initializer_range=0.3, **shape)).eval()


MODEL = untrained_model()


def seed_in(tonic: int, scale: tuple[int, ...] = MAJOR_SCALE, extra: bool = True) -> Score:
    """Two instruments, drums and a gunshot, two tracks of one program, two bars."""
    score = melody_in(scale, tonic)
    score.tracks[0].notes.extend(Note(n.time + 1920, n.duration, n.pitch, n.velocity) for n in melody_in(scale, tonic).tracks[0].notes)
    score.tracks.append(Track("second", 0, False, [Note(480, 960, tonic + 7, 70)]))
    score.tracks.append(Track("flute", 73, False, [Note(1920, 480, tonic + 12, 70)]))
    if extra:
        score.tracks.append(Track("shot", 127, False, [Note(0, 480, 40, 70), Note(1920, 480, 90, 70)]))
        score.tracks.append(Track("drums", 0, True, [Note(0, 120, 38, 90), Note(1920, 120, 42, 90)]))
    return score


def continued(seed: Score, **options) -> Score:
    return continue_score(seed, 3, model=MODEL, tokenizer=TOKENIZER, **options)


def origin_of(score: Score) -> dict:
    return json.loads(next(m.text for m in score.markers if m.text.startswith("continuation: ")).removeprefix("continuation: "))


@given(tonic=st.integers(50, 70), minor=st.booleans(), random_seed=st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_canonical_key_is_there_and_back(tonic, minor, random_seed):
    """Continued in canonical key is: moved to C major or A minor, continued there, moved back. Drums and noises do not move."""
    seed = seed_in(tonic, MINOR_SCALE if minor else MAJOR_SCALE)
    longer = continued(seed, key="canonical", random_seed=random_seed)
    origin = origin_of(longer)
    assert origin["seed_key"] == key_name((tonic % 12, "minor" if minor else "major"))
    assert -6 <= origin["shift"] <= 5
    assert (tonic + origin["shift"]) % 12 == (9 if minor else 0)
    there = continued(transpose(seed, origin["shift"]), random_seed=random_seed)
    assert notes_of(transpose(there, -origin["shift"])) == notes_of(longer)
    assert longer.note_num() > seed.note_num()


@given(tonic=st.integers(20, 100), random_seed=st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_the_seed_stands_untouched_in_the_continuation(tonic, random_seed):
    """Every track begins with the seed's notes as they were, in order and note for note; so do key signatures and tempos."""
    seed = seed_in(tonic)
    longer = continued(seed, key="canonical", random_seed=random_seed)
    assert seed == seed_in(tonic)
    for before, after in zip(seed.tracks, longer.tracks, strict=True):
        assert list(after.notes[: len(before.notes)]) == list(before.notes)
        assert all(n.time >= 2 * 1920 for n in after.notes[len(before.notes) :])


@pytest.mark.parametrize(("tonic", "shift"), [(55, 5), (53, -5), (66, -6), (61, -1)])
def test_no_new_note_can_leave_the_range_on_its_way_back(tonic: int, shift: int):
    """Where instruments are free to use all pitches, those that could not be moved back are never written; the others all can be."""
    prompt, _ = in_canonical_key(prepare_prompt(seed_in(tonic), TOKENIZER), TOKENIZER)
    assert prompt.shift == shift
    free = LikenessSettings(0, 127)
    streams = continue_prompts([prompt] * 8, 4, MODEL, TOKENIZER, range(8), likeness=free)
    vocabulary = TOKENIZER.vocabulary
    written = {"noise": set(), "pitched": set()}
    for ids in streams:
        places = np.flatnonzero(vocabulary.types[ids] == TokenType.PITCH)
        for program, pitch in zip(vocabulary.values[ids[places - 1]], vocabulary.values[ids[places]], strict=True):
            written["noise" if program in UNPITCHED_PROGRAMS else "pitched"].add(int(pitch))
    assert written["pitched"] <= set(range(max(0, shift), min(127, 127 + shift) + 1))
    assert min(written["pitched"]) <= max(0, shift) + 3
    assert max(written["pitched"]) >= min(127, 127 + shift) - 3


def test_a_seed_at_the_end_of_the_range_goes_the_other_way():
    """D major down to pitch 2 cannot go down a tone to C: it goes up ten semitones; a seed of the whole range stays where it is."""
    low = seed_in(62)
    low.tracks[2].notes.append(Note(2400, 240, 1, 70))
    assert (origin_of(continued(low, key="canonical"))["seed_key"], origin_of(continued(low, key="canonical"))["shift"]) == ("D major", 10)
    low.tracks[2].notes.append(Note(2400, 240, 127, 70))
    wide = continued(low, key="canonical")
    assert (origin_of(wide)["seed_key"], origin_of(wide)["shift"]) == ("D major", 0)
    assert notes_of(wide) == notes_of(continued(low))


def test_a_seed_without_a_key_is_continued_as_it_is():
    """Drums alone have no key: the continuation is the usual one, and says so."""
    seed = score_of((0, 120, 38), (960, 120, 38), drums=True)
    longer = continued(seed, key="canonical")
    assert (origin_of(longer)["seed_key"], origin_of(longer)["shift"]) == ("none", 0)
    assert notes_of(longer) == notes_of(continued(seed))


def test_the_original_key_is_the_default():
    """Without a word the model works in the seed's key."""
    seed = seed_in(62)
    assert continued(seed, key="original") == continued(seed)
    assert origin_of(continued(seed))["key"] == "original"


def test_an_unknown_key_is_wrong_usage_that_names_the_choices():
    """A key that is no choice is refused in one line, from Python and from the command."""
    with pytest.raises(UsageError, match=r"^key is 'H dur'; original or canonical is wanted$"):
        continue_score(seed_in(60), key="H dur", model=MODEL, tokenizer=TOKENIZER)


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        (seed_in(62), "key: D major, continued in C major (-2 semitones) and moved back"),
        (seed_in(60), "key: C major, continued as it is"),
        (seed_in(67, MINOR_SCALE), "key: G minor, continued in A minor (+2 semitones) and moved back"),
        (
            score_of((0, 960, 38), drums=True),
            "key: none to be found, because nothing pitched or all pitches alike play; continued as it is",
        ),
    ],
)
def test_the_command_tells_the_key(seed: Score, told: str, tmp_path, monkeypatch, capsys):
    """`symbolic continue --key canonical` says in one line which way it went; the JSON beside the output says it too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed.mid").write_bytes(seed.dumps_midi())
    assert main(["continue", "seed.mid", "--bars", "1", "--key", "canonical"]) == 0
    assert told in capsys.readouterr().out.splitlines()
    origin = json.loads((tmp_path / "seed-continued.json").read_text())
    assert origin["key"] == "canonical"
    assert told.startswith(f"key: {origin['seed_key']}")
    assert main(["continue", "seed.mid", "--key", "H", "-o", "other.mid"]) == 2
    assert capsys.readouterr().err.splitlines() == ["symbolic continue: key is 'H'; original or canonical is wanted"]

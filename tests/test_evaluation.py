"""A score is the plain sum of −log p over the tokens of whole pieces: no batch, cut, neighbour or dropout changes it."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.cli import main
from symbolic.corpus.dataset import Corpus
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError, UsageError
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.beats import derive_beats
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.vocabulary import TokenType
from symbolic.training.checkpoint import save_model
from symbolic.training.evaluation import ANEW, evaluate, quarters, sum_up, token_nats
from symbolic.training.surprise import bar_surprises, most_surprising, note_surprises
from symbolic.training.table import evaluation_lines

TOLERANCE = 1e-5


def small_model(vocabulary, **fields) -> TransformerXL:
    """A network with large random weights, so that every token matters, and a memory shorter than the pieces."""
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "memory_length": 24}
    config = make_config(
        vocab_size=len(vocabulary), beats_per_bar=vocabulary.max_beats, positions_per_beat=vocabulary.positions_per_beat,
        initializer_range=0.3, **shape | fields,
    )  # fmt: skip
    return TransformerXL(config).eval()


@pytest.fixture(scope="module")
def model(corpus) -> TransformerXL:
    return small_model(corpus.tokenizer.vocabulary)


@pytest.fixture(scope="module")
def pieces(corpus) -> list[np.ndarray]:
    """Nine pieces of unlike lengths, not sorted by them."""
    chosen = [corpus.piece(index) for index in (3, 20, 0, 11, 5, 14, 1, 8, 17)]
    assert len({len(piece) for piece in chosen}) > 5
    return chosen


def plain(model: TransformerXL, piece: np.ndarray, vocabulary) -> np.ndarray:
    """One piece, alone, in one pass, from the probabilities themselves."""
    ids = torch.from_numpy(piece.astype(np.int64))
    beats = torch.from_numpy(derive_beats(piece, vocabulary).astype(np.int64))
    with torch.no_grad():
        probabilities = model(ids[None, :-1], beats[None, :-1]).logits[0].double().softmax(-1)
    return np.array([-math.log(probabilities[place, id_]) for place, id_ in enumerate(ids[1:])])


@given(batch=st.integers(1, 12), segment=st.integers(1, 400))
@settings(max_examples=12, deadline=None)
def test_every_token_is_scored_as_in_one_plain_pass(model, corpus, pieces, batch, segment):
    """Whatever the batch and the segment length, each piece has the nats it has alone and in one pass, in the order given."""
    vocabulary = corpus.tokenizer.vocabulary
    scored = token_nats(model, pieces, vocabulary, batch=batch, segment=max(segment, 6))
    for piece, nats in zip(pieces, scored, strict=True):
        assert nats == pytest.approx(plain(model, piece, vocabulary), abs=TOLERANCE)


def test_nothing_leaks_between_pieces_of_a_batch(model, corpus, pieces):
    """Other neighbours in the batch, and others after padding, change no piece's score."""
    vocabulary = corpus.tokenizer.vocabulary
    first = token_nats(model, pieces[:3], vocabulary, segment=50)
    second = token_nats(model, [pieces[0], np.roll(pieces[1], 7), pieces[2][::-1].copy()], vocabulary, segment=50)
    assert first[0] == pytest.approx(second[0], abs=TOLERANCE)
    assert not np.allclose(first[1], second[1], atol=0.1)


def test_the_network_is_scored_without_dropout(corpus, pieces):
    """A network left in training mode is scored as in use: twice the same, and as without dropout."""
    vocabulary = corpus.tokenizer.vocabulary
    model = small_model(vocabulary, dropout=0.5)
    expected = token_nats(model, pieces[:2], vocabulary)
    scored = token_nats(model.train(), pieces[:2], vocabulary)
    assert all(np.array_equal(one, other) for one, other in zip(expected, scored, strict=True))


def test_a_network_that_knows_nothing_scores_log_v(corpus, pieces):
    """With all weights 0 every token costs log V nats, and a note as many times that as it has tokens."""
    vocabulary = corpus.tokenizer.vocabulary
    model = small_model(vocabulary)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    score = sum_up(pieces, token_nats(model, pieces, vocabulary), vocabulary)
    tokens = sum(len(piece) - 1 for piece in pieces)
    assert score.nats_per_token == pytest.approx(math.log(len(vocabulary)), abs=1e-5)
    assert score.nats_per_note == pytest.approx(math.log(len(vocabulary)) * tokens / score.notes, rel=1e-5)


def test_progress_counts_every_scored_token_once(model, corpus, pieces):
    """What `progress` is told adds up to the tokens scored."""
    told: list[int] = []
    token_nats(model, pieces, corpus.tokenizer.vocabulary, batch=4, segment=60, progress=told.append)
    assert sum(told) == sum(len(piece) - 1 for piece in pieces)
    assert len(told) > 9


def test_pieces_too_short_to_score_have_no_nats(model, corpus, pieces):
    """A piece of one token or none has nothing to foretell and disturbs no other."""
    vocabulary = corpus.tokenizer.vocabulary
    scored = token_nats(model, [pieces[0][:1], pieces[0], pieces[0][:0]], vocabulary)
    assert [len(nats) for nats in scored] == [0, len(pieces[0]) - 1, 0]
    assert scored[1] == pytest.approx(token_nats(model, pieces[:1], vocabulary)[0], abs=TOLERANCE)
    assert token_nats(model, [], vocabulary) == []


def test_the_arithmetic_of_a_score(corpus):
    """Two notes and a bar by hand: sums by kind of token, nats per note, bits, perplexity."""
    vocabulary = corpus.tokenizer.vocabulary
    kinds = [TokenType.BOS, TokenType.BAR, TokenType.PITCH, TokenType.VELOCITY, TokenType.PITCH, TokenType.VELOCITY, TokenType.EOS]
    ids = np.array([vocabulary.of_type(kind)[0] for kind in kinds])
    nats = np.array([0.5, 1.0, 0.25, 3.0, 0.75, 0.1])
    score = sum_up([ids, ids], [nats, nats], vocabulary)
    summary = score.summary()
    assert (summary["notes"], summary["tokens"]) == (4, 12)
    assert summary["nats_per_note"] == pytest.approx(5.6 / 2)
    assert summary["bits_per_note"] == pytest.approx(5.6 / 2 / 0.6931472)
    assert summary["nats_per_token"] == pytest.approx(5.6 / 6)
    assert summary["perplexity_per_token"] == pytest.approx(2.71828183 ** (5.6 / 6))
    assert (summary["beats"], summary["nats_per_beat"]) == (8.0, pytest.approx(5.6 / 4))
    totals = {"nats_per_note", "bits_per_note", "nats_per_beat", "nats_per_token", "perplexity_per_token", "notes", "beats", "tokens"}
    by_kind = {key.removeprefix("nats_per_"): value for key, value in summary.items() if key not in totals}
    assert by_kind == pytest.approx({"bar": 0.5, "pitch": 2.0, "velocity": 0.5, "eos": 0.1})


def test_beats_are_quarter_notes_of_all_bars():
    """A bar of 3/4, one of 6/8, one more 6/8 whose meter is not told again, and one of 2/2: 3 + 3 + 3 + 4 quarter notes."""
    vocabulary = RemiTokenizer().vocabulary
    three, six, two = (vocabulary.tokens.index(f"TimeSig_{meter}") for meter in ("3/4", "6/8", "2/2"))
    note = [int(vocabulary.of_type(kind)[3]) for kind in (TokenType.POSITION, TokenType.PROGRAM, TokenType.PITCH)]
    bar = vocabulary.bar
    ids = [vocabulary.bos, bar, three, *note, bar, six, bar, *note, bar, two, *note, vocabulary.eos]
    assert quarters(np.array(ids), vocabulary) == 13
    assert quarters(np.array([vocabulary.bos, bar, *note, bar, three]), vocabulary) == 7
    assert quarters(np.array([vocabulary.bos, vocabulary.eos]), vocabulary) == 0


def reshaped(model: TransformerXL, memory_length: int) -> TransformerXL:
    """The same weights in a network made for another memory."""
    other = small_model(FakeVocabulary(model.config), memory_length=memory_length)
    other.load_state_dict(model.state_dict())
    return other


class FakeVocabulary:
    """The sizes that `small_model` asks for, from a configuration."""

    def __init__(self, config) -> None:
        self.size, self.max_beats, self.positions_per_beat = config.vocab_size, config.beats_per_bar, config.positions_per_beat

    def __len__(self) -> int:
        return self.size


def by_hand(model, pieces, vocabulary, memory: int, shifts=lambda piece: [0]) -> float:
    """Nats per note by plain passes: with memory a whole piece at once, without it each `ANEW` tokens with nothing before them."""
    total = 0.0
    for piece in pieces:
        ways = shifts(piece)
        for shift in ways:
            ids = vocabulary.transpose_ids(piece, shift)
            if memory:
                total += plain(reshaped(model, memory), ids, vocabulary).sum() / len(ways)
                continue
            beats = derive_beats(ids, vocabulary).astype(np.int64)
            alone = reshaped(model, model.config.memory_length)
            for start in range(0, len(ids) - 1, ANEW):
                part = slice(start, min(start + ANEW, len(ids) - 1))
                with torch.no_grad():
                    inputs = torch.from_numpy(ids[part].astype(np.int64))[None], torch.from_numpy(beats[part])[None]
                    logs = alone(*inputs).logits[0].double().log_softmax(-1).numpy()
                total -= sum(logs[row, id_] for row, id_ in enumerate(ids[part.start + 1 : part.stop + 1])) / len(ways)
    return total / sum(int((vocabulary.types[piece] == TokenType.VELOCITY).sum()) for piece in pieces)


def test_memory_and_keys_are_what_they_are_said_to_be(model, model_folder, dataset, corpus):
    """A column for each memory and choice of keys: longer and shorter windows, segments that stand alone, the mean of transpositions."""
    vocabulary = corpus.tokenizer.vocabulary
    pieces = [corpus.piece(index) for index in corpus.pieces("test").tolist()]
    assert max(len(piece) for piece in pieces) > ANEW + 10, "nothing is cut: the test says nothing"
    result = evaluate(model_folder, dataset, memory=[24, 0, 100], twelve_keys=True, progress=False)
    assert [(c["memory"], c["keys"]) for c in result["columns"]] == [(m, k) for m in (24, 0, 100) for k in ("original", "twelve")]

    def fitting(piece: np.ndarray) -> range:
        low, high = vocabulary.shift_range(piece)
        return range(low, high + 1)

    assert {len(fitting(piece)) for piece in pieces} >= {1, 12}
    for column in result["columns"]:
        ways = {} if column["keys"] == "original" else {"shifts": fitting}
        assert column["nats_per_note"] == pytest.approx(by_hand(model, pieces, vocabulary, column["memory"], **ways), rel=1e-5)
    figures = [column["nats_per_note"] for column in result["columns"]]
    assert len({round(figure, 4) for figure in figures}) == 6
    assert result["nats_per_note"] == figures[0]
    for column in result["columns"]:
        notes = {name: sum(corpus.rows["notes"][i] for i in corpus.pieces("test") if corpus.rows["collection"][i] == name) for name in "ab"}
        mean = sum(column["collections"][name] * count for name, count in notes.items()) / sum(notes.values())
        assert mean == pytest.approx(column["nats_per_note"], rel=1e-6)
    assert evaluate(model_folder, dataset, memory=0, progress=False)["nats_per_note"] == pytest.approx(figures[2], rel=1e-6)
    assert evaluate(model_folder, dataset, progress=False)["nats_per_note"] == pytest.approx(figures[0], rel=1e-6)
    for wrong in (-1, [], [3, -2]):
        with pytest.raises(UsageError, match="numbers of tokens are wanted"):
            evaluate(model_folder, dataset, memory=wrong)


def test_the_table_is_aligned_and_complete(model_folder, dataset):
    """Every figure stands under its heading, to the right; kinds of tokens and collections have their lines."""
    result = evaluate(model_folder, dataset, memory=[24, 0], twelve_keys=True, progress=False)
    lines = evaluation_lines(result, "the test pieces")
    assert lines[0] == f"the test pieces: {result['pieces']} pieces, {result['notes']} notes, {result['tokens']:,} tokens"
    table = lines[2:-2]
    ends = {len(line) for line in table if line[-1].isdigit() or line.endswith("key") or line.endswith("keys")}
    assert len(ends) == 1
    note = next(line for line in table if line.startswith("note "))
    assert [float(cell) for cell in note.split()[1:]] == [round(column["nats_per_note"], 4) for column in result["columns"]]
    for label in ("beat (quarter note)", "  pitch", "  drum pitch", "  a", "  b", "nats per"):
        assert sum(line.startswith(label + " ") for line in table) == 1
    assert "256 tokens" in lines[-1]


@pytest.fixture(scope="module")
def scored(corpus) -> tuple[np.ndarray, np.ndarray]:
    """A piece of the dataset and made-up nats of its tokens."""
    piece = corpus.piece(20)
    return piece, np.random.default_rng(0).random(len(piece) - 1)


def test_every_note_has_its_own_surprise(corpus, scored):
    """Notes come as they are in the piece, each with the nats of its own tokens; bar lines and meters are the bar's."""
    vocabulary, (piece, nats) = corpus.tokenizer.vocabulary, scored
    notes = note_surprises(piece, nats, vocabulary)
    types = vocabulary.types[piece]
    score = corpus.tokenizer.decode(piece)
    sounding = sorted((note.time, note.pitch) for track in score.tracks for note in track.notes)
    quarter = score.ticks_per_quarter
    assert sorted((round(((n.bar - 1) * 4 + n.beat - 1) * quarter), n.pitch) for n in notes) == sounding
    assert all(note.start == note.bar + (note.beat - 1) / 4 for note in notes)
    own = np.isin(types[1:], [TokenType.BAR, TokenType.TIME_SIGNATURE, TokenType.TEMPO, TokenType.EOS], invert=True)
    assert sum(note.nats for note in notes) == pytest.approx(nats[own].sum())
    spike = np.zeros(len(nats))
    chosen = np.flatnonzero(types == TokenType.VELOCITY)[7]
    spike[chosen - 1] = 9.0
    assert [note.nats for note in note_surprises(piece, spike, vocabulary)] == [9.0 if place == 7 else 0.0 for place in range(len(notes))]
    costliest = sorted(note.nats for note in notes)[-8:]
    assert sorted(note.nats for note in most_surprising(notes)) == costliest
    assert [note.start for note in most_surprising(notes)] == sorted(note.start for note in most_surprising(notes))


def test_the_curve_of_bars_adds_up(corpus, scored):
    """Nats per note of a bar times its notes, over all bars, are all nats of the piece."""
    vocabulary, (piece, nats) = corpus.tokenizer.vocabulary, scored
    curve, notes = bar_surprises(piece, nats, vocabulary), note_surprises(piece, nats, vocabulary)
    counts = np.bincount([note.bar - 1 for note in notes])
    assert len(curve) == int((piece == vocabulary.bar).sum()) == len(counts)
    assert float((curve * counts).sum()) == pytest.approx(nats.sum())


def test_the_surprise_curve_is_drawn(model_folder, tmp_path, melody, drawn, folder_of, capsys):
    """`symbolic evaluate MODEL FILE --plot OUT.png` draws, and tells the costliest notes; what cannot be drawn is told before any work."""
    from matplotlib.image import imread

    folder_of(tmp_path, {"one.mid": melody(drawn(50)), "more/two.mid": melody(drawn(51))})
    picture = tmp_path / "one.png"
    command = ["evaluate", str(model_folder), str(tmp_path / "one.mid"), "--plot", str(picture)]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert imread(picture)[..., :3].std() > 0.05
    costs = [note["nats"] for note in result["surprising_notes"]]
    assert len(costs) == 8
    assert max(costs) > result["nats_per_note"]
    assert main(command) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert f"{picture}: the surprise curve" in capsys.readouterr().out
    with pytest.raises(UsageError, match="the curve of one file is drawn"):
        evaluate(model_folder, tmp_path / "more", plot=tmp_path / "two.png")
    with pytest.raises(InputError, match=r"cannot be written as '\.doc'"):
        evaluate(model_folder, tmp_path / "one.mid", plot=tmp_path / "two.doc")


@pytest.fixture(scope="module")
def model_folder(model, corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, model, corpus.tokenizer)
    return folder


def test_a_dataset_is_evaluated_by_its_split(model, model_folder, dataset, corpus):
    """The figures are those of all pieces of the split and no other, and per collection those of its own pieces."""
    vocabulary = corpus.tokenizer.vocabulary
    for split in ("test", "validation"):
        indices = corpus.pieces(split).tolist()
        chosen = [corpus.piece(index) for index in indices]
        nats = [plain(model, piece, vocabulary) for piece in chosen]
        expected = sum_up(chosen, nats, vocabulary).summary()
        result = evaluate(model_folder, dataset, split=split, progress=False)
        assert {key: result[key] for key in expected} == pytest.approx(expected, rel=1e-5)
        assert (result["pieces"], result["skipped"]) == (len(chosen), 0)
        assert set(result["collections"]) == {"a", "b"}
        for name, value in result["collections"].items():
            own = [place for place, index in enumerate(indices) if corpus.rows["collection"][index] == name]
            notes = sum(corpus.rows["notes"][indices[place]] for place in own)
            assert value == pytest.approx(sum(nats[place].sum() for place in own) / notes, rel=1e-5)
    assert evaluate((model, corpus.tokenizer), dataset, split=split) == result


def test_midi_files_are_evaluated_as_they_are(model, model_folder, corpus, tmp_path, melody, drawn, folder_of):
    """A folder of MIDI files is scored like its pieces one by one; bad files are counted and named; one file is one piece."""
    scores = {"one.mid": melody(drawn(50)), "below/two.mid": melody(drawn(51, 40))}
    folder_of(tmp_path, scores)
    (tmp_path / "below/bad.mid").write_text("words")
    vocabulary = corpus.tokenizer.vocabulary
    pieces = [np.r_[vocabulary.bos, corpus.tokenizer.encode(score).ids, vocabulary.eos] for score in scores.values()]
    nats = [plain(model, piece, vocabulary) for piece in pieces]
    result = evaluate(model_folder, tmp_path)
    assert result["nats_per_note"] == pytest.approx(sum(part.sum() for part in nats) / 64, rel=1e-5)
    assert (result["pieces"], result["skipped"], result["notes"]) == (2, 1, 64)
    assert [item["path"] for item in result["skipped_files"]] == ["below/bad.mid"]
    assert "not a MIDI file" in result["skipped_files"][0]["reason"]
    single = evaluate(model_folder, tmp_path / "one.mid")
    assert single["nats_per_note"] == pytest.approx(nats[0].sum() / 24, rel=1e-5)
    assert (single["pieces"], single["skipped"]) == (1, 0)


def test_what_cannot_be_evaluated_is_told(model, model_folder, dataset, corpus, tmp_path, melody, folder_of, coarse):
    """Another tokenizer names the setting, an empty split the choices, bad files the reason, a wrong pair the two sizes."""
    with pytest.raises(InputError, match=r"nothing in the split 'best'; choose one of train \(\d+ pieces\), validation \(\d+"):
        evaluate(model_folder, dataset, split="best")
    folder_of(tmp_path / "midi", {"a.mid": melody([60, 62])})
    tokenize_folder(tmp_path / "midi", tmp_path / "trained", coarse, held_out=0)
    with pytest.raises(InputError, match=r"nothing in the split 'test'; choose one of train \(1 pieces\)"):
        evaluate(model_folder, tmp_path / "trained")
    other = dataclasses.replace(coarse, tempo_range=(30.0, 200.0), velocities=5, max_bars=7)
    tokenize_folder(tmp_path / "midi", tmp_path / "other", other, held_out=0)
    expected = r"velocities is 5 in the dataset and 4 in the model, tempo_range is \(30.*; tokenize again"
    with pytest.raises(InputError, match=expected) as told:
        evaluate(model_folder, tmp_path / "other", split="train")
    assert "max_bars" not in str(told.value)
    (tmp_path / "bad.mid").write_text("words")
    for source, reason in [("bad.mid", "not a MIDI file"), ("nowhere", "no such folder")]:
        with pytest.raises(InputError, match=reason):
            evaluate(model_folder, tmp_path / source)
    with pytest.raises(InputError, match=f"knows {len(corpus.tokenizer.vocabulary)} tokens, its tokenizer 1703"):
        evaluate((model, RemiTokenizer()), dataset)
    (tmp_path / "other/offsets.npy").unlink()
    with pytest.raises(InputError, match="damaged"):
        evaluate(model_folder, tmp_path / "other")
    assert len(Corpus(dataset).pieces("test")) > 0

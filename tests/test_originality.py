"""Copies are found in any key and at any tempo, and only copies; the fast search is equal to a slow plain one."""

import itertools
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, TimeSignature, Track

from symbolic.cli import main
from symbolic.corpus.line_index import FULL, LineIndex, Sampling, write_index
from symbolic.corpus.lines import lines_of
from symbolic.corpus.matching import find_matches
from symbolic.corpus.originality import open_index, originality, people, report_lines
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.corpus.winnowing import NONE, gram_hashes, telling_runs, winnowed
from symbolic.errors import InputError
from symbolic.tokenizers.remi import RemiTokenizer

QUARTER = 480
TUNE = [(60, 1), (62, 1), (64, 2), (60, 1), (67, 3), (65, 1), (64, 1), (69, 2), (67, 1), (62, 1), (65, 2), (59, 1), (60, 4)]


def melody(notes, program=0, drums=False, shift=0, stretch=1, start=0, length=None):
    """A track of (pitch, eighths), one after the other, from `start` quarters on; times and pitches moved."""
    track, tick = Track("", program, drums), start * QUARTER
    for pitch, eighths in notes:
        ticks = round(eighths * QUARTER // 2 * stretch)
        track.notes.append(Note(tick, length or ticks, pitch + shift, 80))
        tick += ticks
    return track


def score_of(*tracks):
    """A score in 4/4."""
    score = Score(QUARTER)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.tracks.extend(tracks)
    return score


def wandering(seed, count, pitch=60):
    """A tune made by chance."""
    generator = np.random.default_rng(seed)
    pitches = pitch + generator.integers(-7, 8, count)
    return list(zip(pitches.tolist(), generator.choice([1, 2, 3, 4], count).tolist(), strict=True))


def index_of(folder, *scores, sampling=FULL):
    """The index of scores called 0.mid, 1.mid …"""
    pieces = [(f"{number}.mid", lines_of(score)) for number, score in enumerate(scores)]
    write_index(folder, pieces, RemiTokenizer(), sampling, force=True)
    return LineIndex(folder)


def telling(pitches, ratios):
    """Whether eight notes tell something, by the words of the module."""
    intervals = [b - a for a, b in itertools.pairwise(pitches)]
    if len(set(intervals)) < 3 or all(0 < i <= 3 for i in intervals) or all(-3 <= i < 0 for i in intervals):
        return False
    steps = list(zip(intervals, [None, *ratios], strict=True))
    for period in (1, 2, 3, 4):
        pairs = list(zip(steps, steps[period:], strict=False))
        if all(a[0] == b[0] and (None in (a[1], b[1]) or a[1] == b[1]) for a, b in pairs):
            return False
    return True


def plain_matches(mine, theirs):
    """All matches of 9 notes and more between lines, each a list of (pitch, onset), as {(line, first, length, line, first)}."""

    def ratio(line, k):
        return max(-20, min(20, round(5 * math.log2((line[k][1] - line[k - 1][1]) / (line[k - 1][1] - line[k - 2][1])))))

    def tells(line, k):
        return telling([pitch for pitch, _ in line[k : k + 8]], [ratio(line, m) for m in range(k + 2, k + 8)])

    def length(one, i, other, j):
        n = 1
        while i + n < len(one) and j + n < len(other):
            if one[i + n][0] - one[i + n - 1][0] != other[j + n][0] - other[j + n - 1][0]:
                break
            if n > 1 and ratio(one, i + n) != ratio(other, j + n):
                break
            n += 1
        return n

    found = set()
    for a, one in enumerate(mine):
        for b, other in enumerate(theirs):
            for i in range(len(one)):
                for j in range(len(other)):
                    n = length(one, i, other, j)
                    if n < 9 or (i and j and length(one, i - 1, other, j - 1) > n):
                        continue
                    runs = [k for k in range(i, i + n - 7) if tells(one, k)]
                    if runs and runs[-1] + 8 - runs[0] > 8:
                        found.add((a, runs[0], runs[-1] + 8 - runs[0], b, j + runs[0] - i))
    return found


SNIPPETS = st.sampled_from(
    [TUNE, TUNE[2:11], wandering(1, 14), wandering(2, 9), [(60, 1)] * 9, [(60 + k, 1) for k in range(8)], [(60, 1), (64, 1), (67, 1)] * 4]
)
DRAWN_LINE = st.lists(st.tuples(SNIPPETS, st.integers(-9, 9), st.sampled_from([0.5, 1, 2]), st.integers(4, 14)), min_size=1, max_size=4)
FEW_PITCHES = st.lists(st.tuples(st.integers(60, 63), st.sampled_from([1, 2])), min_size=1, max_size=40)
DRAWN_TUNE = st.one_of(DRAWN_LINE.map(lambda parts: [(p + s, e * t) for tune, s, t, n in parts for p, e in tune[:n]]), FEW_PITCHES)


def as_line(tune):
    """A tune as (pitch, onset in ticks)."""
    onsets = np.cumsum([0, *(round(e * QUARTER // 2) for _, e in tune)])
    return [(pitch, int(onset)) for (pitch, _), onset in zip(tune, onsets, strict=False)]


@settings(max_examples=60, deadline=None)
@given(st.lists(DRAWN_TUNE, min_size=1, max_size=2), st.lists(DRAWN_TUNE, min_size=1, max_size=3))
def test_the_search_is_equal_to_a_slow_plain_one(tmp_path_factory, mine, theirs):
    """The same matches as by comparing every note with every note; a sample finds all that are long enough, and nothing else."""
    folder = tmp_path_factory.getbasetemp()
    query = lines_of(score_of(*(melody(tune, program) for program, tune in enumerate(mine))))
    pieces = [score_of(melody(tune)) for tune in theirs]
    firsts = {line: sum(len(tune) for tune in mine[:line]) for line in range(len(mine))}
    index = index_of(folder / "full-index", *pieces)
    plain = plain_matches([as_line(tune) for tune in mine], [as_line(tune) for tune in theirs])
    expected = {(firsts[a] + i, n, int(index.offsets[b]) + j) for a, i, n, b, j in plain}
    found = find_matches(query, index)
    triples = set(zip(found.start.tolist(), found.length.tolist(), found.place.tolist(), strict=True))
    assert {triple for triple in triples if triple[1] > 8} == expected
    sampled = find_matches(query, index_of(folder / "sampled-index", *pieces, sampling=Sampling(9, 5)))
    parts = list(zip(sampled.start.tolist(), sampled.length.tolist(), sampled.place.tolist(), strict=True))
    for start, notes, place in parts:
        assert any(p - s == place - start and s <= start and start + notes <= s + n for s, n, p in triples)
    for start, notes, place in expected:
        if notes >= 13:
            inside = [n for s, n, p in parts if p - s == place - start and start <= s < start + notes]
            assert inside
            if len(inside) == 1 and telling_runs(query.steps)[start : start + notes - 7].all():
                assert inside[0] >= notes - 2 * 4


def test_a_copied_passage_is_found_in_another_key_and_tempo(tmp_path):
    """Twenty notes moved by a fourth and played half as fast are found with their length, their file and their bars."""
    source = wandering(5, 60)
    training = [score_of(melody(wandering(seed, 60))) for seed in (3, 4)] + [score_of(melody(source), melody(wandering(9, 60), 40))]
    index = index_of(tmp_path / "index", *training)
    # what stands around the copy is made so that it does not go on like the source
    before, after = [(source[19][0] + 9, 1), (source[19][0] + 1, 5)], [(source[40][0] + 11, 7), (50, 1)]
    copy = score_of(melody([*before, *source[20:40], *after], program=70, shift=5, stretch=2))
    report = originality(copy, index)
    best = report["matches"][0]
    eighths = np.cumsum([0, *(e for _, e in source)])
    mine = np.cumsum([0, *(e for _, e in [*before, *source[20:40]])])
    assert report["longest"] == best["notes"] == 20
    assert (best["piece"], best["program"]) == ("2.mid", 70)
    assert (best["piece_bar"], best["piece_last_bar"]) == (eighths[20] // 8 + 1, eighths[39] // 8 + 1)
    assert best["bars"] == [mine[2] // 4 + 1, mine[21] // 4 + 1]
    assert report["share"] == round(20 / 24, 4)
    assert any("20 notes" in line and "2.mid from bar" in line for line in report_lines(report))


def test_a_changed_note_splits_a_match(tmp_path):
    """With one wrong pitch in a copy of 40 notes, two matches of 20 and 19 remain."""
    source = wandering(6, 40)
    index = index_of(tmp_path / "index", score_of(melody(source)))
    changed = [*source[:20], (source[20][0] + 1, source[20][1]), *source[21:]]
    found = find_matches(lines_of(score_of(melody(changed))), index)
    assert found.length[:2].tolist() == [20, 19]
    assert found.place[:2].tolist() == [0, 21]


def test_a_melody_is_found_over_another_accompaniment(tmp_path):
    """A tune stays one line whatever is played below it on the same instrument; inner voices of chords are found too."""
    tune = [(pitch + 12, eighths) for pitch, eighths in wandering(7, 40, 76)]
    below = [(pitch - 30, 1) for pitch, _ in wandering(8, 160, 66)]
    index = index_of(tmp_path / "index", score_of(melody(tune)))
    found = find_matches(lines_of(score_of(melody(tune), melody(below))), index)
    assert found.length[0] == 40
    even = [[(pitch, 2) for pitch, _ in wandering(20 + voice, 30, 37 + 20 * voice)] for voice in range(4)]
    chorale = score_of(*(melody(voice) for voice in even))
    for voice in even:
        assert find_matches(lines_of(score_of(melody(voice))), index_of(tmp_path / "voices", chorale)).length[0] == 30


@pytest.mark.parametrize(
    "tune",
    [
        [(60, 1)] * 60,
        [(60, eighths) for _, eighths in wandering(3, 60)],
        [(60, 1), (67, 1)] * 30,
        [(48, 1), (55, 1), (52, 1), (55, 1)] * 15,
        [(40 + degree // 7 * 12 + (0, 2, 4, 5, 7, 9, 11)[degree % 7], 1 + degree % 2) for degree in range(30)],
        [(40 + degree // 7 * 12 + (0, 2, 3, 5, 7, 8, 11)[degree % 7], 1) for degree in range(30)][::-1],
    ],
    ids=["one note", "one note in a rhythm", "two notes", "Alberti bass", "scale", "harmonic minor downwards"],
)
def test_plain_figures_are_no_matches(tmp_path, tune):
    """Repeated notes, ostinati and scales stand in every piece: an identical piece of nothing else has no match."""
    index = index_of(tmp_path / "index", score_of(melody(tune)))
    report = originality(score_of(melody(tune)), index)
    assert report["notes_in_lines"] == len(tune)
    assert (report["longest"], report["share"], report["matches"]) == (0, 0, [])
    assert any("longest match: none" in line for line in report_lines(report))


def test_drums_and_noises_are_not_compared(tmp_path):
    """The same beats and the same gunshots are no copy, and a tune is the same with and without them."""
    tune, beats = wandering(5, 40), [(36 + p % 8, e) for p, e in wandering(6, 40)]
    others = (melody(beats, drums=True), melody(beats, program=127))
    index = index_of(tmp_path / "index", score_of(melody(tune), *others))
    alone = originality(score_of(*others), index)
    assert (alone["pitched_notes"], alone["notes_in_lines"], alone["longest"], alone["share"]) == (0, 0, 0, 0)
    assert "no pitched notes" in report_lines(alone)[0]
    assert originality(score_of(melody(tune), *others), index)["longest"] == 40
    assert len(index.steps) == 40


def test_only_the_notes_from_a_tick_on_are_compared(tmp_path):
    """A seed that was trained on does not count for its continuation; bars are still those of the file."""
    source = wandering(5, 40)
    index = index_of(tmp_path / "index", score_of(melody(source)))
    longer = score_of(melody(source), melody(wandering(8, 20), start=100))
    assert originality(longer, index)["longest"] == 40
    assert originality(longer, index, start=100 * QUARTER)["longest"] <= 9
    copied = originality(score_of(melody(wandering(8, 20)), melody(source, start=100)), index, start=100 * QUARTER)
    assert copied["longest"] == 40
    assert copied["matches"][0]["bars"][0] == 26


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.sampled_from([(8, 2), (9, 7), (15, 13)]), st.data())
def test_winnowing_keeps_a_gram_of_every_long_passage(random_seed, offset, sampling, data):
    """Passages of notes + window − 1 notes share a kept gram, whatever stands around them."""
    notes, window = sampling
    passage = data.draw(st.lists(st.tuples(st.integers(55, 66), st.integers(1, 3)), min_size=notes + window - 1, max_size=45))
    around = [wandering(random_seed + k, 20 + offset * k) for k in range(4)]
    kept = []
    for before, after in (around[:2], around[2:]):
        steps = lines_of(score_of(melody([*before, *passage, *after]))).steps
        hashes = gram_hashes(steps, notes)
        places = winnowed(hashes, steps, notes, window)
        assert (hashes[places] != NONE).all()
        inside = places[(places >= len(before)) & (places <= len(before) + len(passage) - notes)]
        kept.append(set(hashes[inside].tolist()))
    steps = lines_of(score_of(melody(passage))).steps
    if telling_runs(steps)[: len(passage) - 7].any():
        assert kept[0] & kept[1]


def test_lines_cut_short_are_lines(tmp_path):
    """The beginning of a piece has the steps of a piece that ends there, and people's figures are of so many notes."""
    tune, bass = wandering(5, 80), [(p - 24, e) for p, e in wandering(6, 80)]
    whole = lines_of(score_of(melody(tune), melody(bass, 32)))
    cut = whole.beginning(50)
    assert 50 <= len(cut) <= 51
    last = cut.onset.max()
    ended = score_of(*(melody(t, p) for t, p in ((tune, 0), (bass, 32))))
    for track in ended.tracks:
        track.notes = [note for note in track.notes if note.time <= last]
    assert np.array_equal(lines_of(ended).steps, cut.steps)
    inside = np.zeros(len(whole), dtype=bool)
    inside[10:40] = True
    middle = whole.chosen(inside)
    assert np.array_equal(middle.steps, lines_of(score_of(melody(tune[10:40]))).steps)
    figures = people(index_of(tmp_path / "index", score_of(melody(tune))), [whole])
    assert list(figures) == ["50", "100"]
    assert figures["100"]["longest"][0] > 40


def damaged(folder, name, change):
    """A copy of an index with one file changed."""
    copy = folder.with_name("damaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    change(copy / name)
    return copy


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("entries.npy", lambda path: path.write_bytes(path.read_bytes()[:-8])),
        ("entries.npy", lambda path: np.save(path, np.zeros(3, dtype=np.uint64))),
        ("entries.npy", lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True)),
        ("steps.npy", lambda path: path.write_bytes(b"no array")),
        ("bars.npy", lambda path: path.unlink()),
        ("offsets.npy", lambda path: np.save(path, np.array([0, -1]))),
        ("buckets.npy", lambda path: np.save(path, np.load(path)[::-1].copy())),
        ("names.json", lambda path: path.write_text("[")),
        ("names.json", lambda path: path.write_text("[]")),
        ("index.json", lambda path: path.write_text("{}")),
        ("index.json", lambda path: path.write_text(path.read_text().replace('"format": 1', '"format": 2'))),
    ],
)
def test_a_damaged_index_is_refused_in_one_line(tmp_path, name, change):
    """Cut, exchanged, missing and foreign files are told by the index's folder."""
    index_of(tmp_path / "index", score_of(melody(wandering(5, 60))))
    copy = damaged(tmp_path / "index", name, change)
    with pytest.raises(InputError, match="damaged") as caught:
        LineIndex(copy)
    assert str(copy) in str(caught.value)


def test_no_index_and_no_dataset_is_told(tmp_path):
    """A folder that is neither says what to type."""
    with pytest.raises(InputError, match="neither a dataset"):
        open_index(tmp_path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset of forty tunes, some of them held out."""
    folder = tmp_path_factory.mktemp("tunes")
    for number in range(40):
        score_of(melody(wandering(100 + number, 70))).dump_midi(str(folder / f"{number}.mid"))
    tokenize_folder(folder, folder / "dataset", workers=1, held_out=0.2)
    return folder


def test_the_command_compares_with_a_dataset_and_makes_its_index_once(dataset, tmp_path, capsys):
    """The index is made beside the dataset; a training piece is found whole; a stale index is refused."""
    from symbolic.corpus.dataset import Corpus

    corpus = Corpus(dataset / "dataset")
    trained = corpus.rows["path"][corpus.pieces("train")[0]]
    song = dataset / trained
    assert main(["originality", str(song), "--against", str(dataset / "dataset"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["longest"], report["matches"][0]["piece"], report["share"]) == (70, trained, 1)
    assert report["people"]["pieces"] == len(corpus.pieces("test")) + len(corpus.pieces("validation")) > 0
    made = (dataset / "dataset" / "line-index" / "entries.npy").stat().st_mtime_ns
    assert main(["originality", str(song), "--against", str(dataset / "dataset"), "--from-bar", "3"]) == 0
    assert "longest match: " in capsys.readouterr().out
    assert (dataset / "dataset" / "line-index" / "entries.npy").stat().st_mtime_ns == made
    stale = shutil.copytree(dataset / "dataset", tmp_path / "stale")
    facts = json.loads((stale / "line-index" / "index.json").read_text())
    (stale / "line-index" / "index.json").write_text(json.dumps(facts | {"tokens": 5}))
    assert main(["originality", str(song), "--against", str(stale)]) == 1
    assert "made of 5 tokens" in capsys.readouterr().err


def test_the_command_makes_a_sampled_index(dataset, tmp_path, capsys):
    """It holds no lines, finds a whole copy nearly whole, and is not replaced without --force."""
    arguments = ["originality", "--index", str(dataset / "dataset"), "-o", str(tmp_path / "index"), "--sampled"]
    assert main(arguments) == 0
    assert "every match of 27 notes" in capsys.readouterr().out
    assert not (tmp_path / "index" / "steps.npy").exists()
    from symbolic.corpus.dataset import Corpus

    corpus = Corpus(dataset / "dataset")
    trained = corpus.rows["path"][corpus.pieces("train")[3]]
    assert main(["originality", str(dataset / trained), "--against", str(tmp_path / "index")]) == 0
    out = capsys.readouterr().out
    assert trained in out
    assert "this index is a sample" in out
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["originality"], "a FILE to compare is wanted"),
        (["originality", "--index", "somewhere"], "symbolic originality --index DATASET -o INDEX"),
        (["originality", "canon", "--from-bar", "900"], "the file has the bars 1 to"),
        (["originality", "canon", "-o", "x"], "belong to --index"),
        (["continue", "canon", "--originality", "--model", "my-run"], "name the dataset it learned from"),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments, said, capsys):
    """Each message says what is wanted."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_bundled_index_is_small_and_holds_no_music():
    """What the bundled model learned from is found in the package, under 15 MB, by names and places only."""
    index = open_index()
    assert sum(path.stat().st_size for path in index.folder.iterdir()) < 15e6
    assert (index.full, index.sampling.always_found, len(index.names)) == (False, 27, 10780)
    assert {path.name for path in index.folder.iterdir()} == {
        "index.json", "names.json", "offsets.npy", "buckets.npy", "entries.npy", "tokenizer.json"
    }  # fmt: skip
    assert {"50", "100", "200", "400", "800"} <= set(index.people)


def test_a_continuation_is_compared_without_its_seed(dataset, tmp_path, capsys):
    """`continue --originality` tells of the new notes alone, in the output and in the JSON beside the file."""
    arguments = ["continue", "canon", "--bars", "1", "-o", str(tmp_path / "longer.mid"), "--json"]
    assert main([*arguments, "--originality", str(dataset / "dataset")]) == 0
    made = json.loads(capsys.readouterr().out)["outputs"][0]
    assert made["originality"]["pitched_notes"] == made["new_notes"] > 0
    assert json.loads((tmp_path / "longer.json").read_text())["originality"] == made["originality"]

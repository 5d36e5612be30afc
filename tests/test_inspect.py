"""`symbolic inspect`: the truth about one file as a short table, its tokens beside beats and notes, errors in one line."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from symusic.core import NoteTick, ScoreTick, TextMetaTick, TrackTick

import symbolic
from symbolic.cli import main
from symbolic.corpus.inspection import MOST_LINES, WIDTH, beats_in_words, inspect, note_in_words, pitch_name, table, token_list, token_table
from symbolic.corpus.suspicions import MEANINGS
from symbolic.midi.seeds import load_seed
from symbolic.settings import load_settings
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings

TOKENIZER = RemiTokenizer()


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def tune(tmp_path: Path, melody) -> Path:
    path = tmp_path / "tune.mid"
    path.write_bytes(melody([60, 62, 64, 65, 67, 65, 64, 62] * 4, program=40).dumps_midi())
    return path


def test_the_table_tells_the_facts(tune, capsys):
    """Length, notes, instrument, key, meter, tempo, tokens and what looks wrong stand in at most 40 lines."""
    assert run("inspect", tune) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= MOST_LINES
    words = (
        "4 bars",
        "16 quarter notes",
        "8.0 s",
        "32 in 1 parts",
        "Violin 32",
        "C4 to G4",
        "4/4 for 4 bars",
        "120 quarter notes",
        "32 of 32",
    )
    for word in (str(tune), *words, "no tempo: ", "no meter: ", "one velocity: "):
        assert word in text


def test_json_is_what_python_gives(tune, capsys):
    """The command's JSON and `symbolic.inspect` are the same facts; a path, bytes and a score give the same too."""
    assert run("inspect", tune, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == symbolic.inspect(tune)
    assert facts | {"file": 0} == symbolic.inspect(tune.read_bytes()) | {"file": 0}
    assert facts | {"file": 0, "format": 0} == symbolic.inspect(symbolic.read(tune)) | {"file": 0, "format": 0}


def test_a_bundled_seed_is_inspected_by_name(capsys):
    """`symbolic inspect canon` needs no file."""
    assert run("inspect", "canon") == 0
    assert "652 in 4 parts" in capsys.readouterr().out


def test_the_table_stays_short_and_clean_for_the_worst_file(tmp_path):
    """A file with every suspicion, endless names and control characters in them still has 40 lines that a terminal survives."""
    facts = inspect(load_seed("canon"))
    facts |= {"file": "x\x1b[31m\n" + 300 * "y", "repairs": ["r" * 200], "suspicious": dict.fromkeys(MEANINGS, "d" * 200)}
    facts["programs"] = {str(program): 1 for program in range(-1, 23)}
    facts["meters"] = {f"{upper}/16": 1 for upper in range(1, 9)}
    lines = table(facts)
    assert len(lines) <= MOST_LINES
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    assert sum(line.startswith("  ") and ": " in line for line in lines) >= len(MEANINGS) - 2


def test_names_in_the_file_do_not_reach_the_terminal_raw(tmp_path, melody, capsys):
    """A drum part whose name holds an escape sequence is named without it."""
    score = melody([36, 38] * 20)
    score.tracks[0].name = "\x1b[2J drums"
    path = tmp_path / "evil.mid"
    path.write_bytes(score.dumps_midi())
    assert run("inspect", path) == 0
    text = capsys.readouterr().out
    assert "hidden drums" in text
    assert "\x1b" not in text


def shown(text: str) -> list[str]:
    """The token names of a token table, in order."""
    return [word for line in text.splitlines() for word in re.findall(r"\b(?:Bar_None|[A-Z]\w+_[-\d./]+)(?=\s|$)", line)]


def test_all_tokens_are_shown_in_order(capsys):
    """The names in the table are those of the encoding, each once, for any number of them."""
    encoding = TOKENIZER.encode(load_seed("canon"))
    names = [TOKENIZER.vocabulary.tokens[id_] for id_ in encoding.ids]
    for count in (1, 2, 7, 64, len(names)):
        listed = token_list(encoding, TOKENIZER.vocabulary, count)
        assert [token["token"] for token in listed] == names[:count]
        assert [[token["bar"] - 1, token["beat"] - 1, token["position"]] for token in listed] == encoding.beats[:count].tolist()
        assert shown("\n".join(token_table(listed, len(names)))) == names[:count]
    assert run("inspect", "canon", "--tokens", 9999) == 0
    assert shown(capsys.readouterr().out.split("tokens\n", 1)[1]) == names


def test_the_notes_in_words_are_the_notes(capsys):
    """Every note of a score is said once, with its pitch, instrument, length and quantised velocity."""
    score = ScoreTick(480)
    parts = ((40, False, [(0, 480, 61, 80), (480, 160, 64, 30), (1440, 1200, 57, 127)]), (0, True, [(0, 60, 38, 100)]))
    for program, drums, rows in parts:
        track = TrackTick("", program, drums)
        for row in rows:
            track.notes.append(NoteTick(*row))
        score.tracks.append(track)
    listed = symbolic.inspect(score, tokens=999)["token_list"]
    said = [(token["bar"], token["beat"], token["position"], token["words"]) for token in listed if "words" in token]
    assert said == [
        (1, 1, 0, "C#4 violin, 1 beat, velocity 79"),
        (1, 1, 0, "acoustic snare, 1/8 beat, velocity 99"),
        (1, 2, 0, "E4 violin, 1/3 beat, velocity 31"),
        (1, 4, 0, "A3 violin, 2 1/2 beats, velocity 127"),
    ]


def test_words_for_beats_and_pitches():
    """Fractions as musicians say them; middle C is C4; an incomplete note is nothing."""
    assert [beats_in_words(Fraction(n, 48)) for n in (48, 16, 120, 96, 0)] == ["1 beat", "1/3 beat", "2 1/2 beats", "2 beats", "0 beats"]
    assert [pitch_name(pitch) for pitch in (0, 60, 61, 127)] == ["C-1", "C4", "C#4", "G9"]
    assert note_in_words([5, 6, 7], TOKENIZER.vocabulary) == ""


def test_other_settings_tell_other_losses(tmp_path, capsys):
    """`--settings` looks through the tokenizer of a YAML file: a coarse one moves the triplets that the default keeps."""
    coarse = tmp_path / "coarse.yaml"
    coarse.write_text("positions_per_beat: 4\nduration_grid: [[4, 4]]\n")
    score = ScoreTick(480)
    track = TrackTick("", 0, False)
    for place in range(24):
        track.notes.append(NoteTick(160 * place, 160, 60, 80))
    score.tracks.append(track)
    path = tmp_path / "triplets.mid"
    path.write_bytes(score.dumps_midi())
    assert symbolic.inspect(path)["loss"]["changed"] == 0
    assert symbolic.inspect(path, coarse)["loss"]["changed"] == 24
    assert symbolic.inspect(path, load_settings(TokenizerSettings, coarse))["loss"]["tuplets"] == {"3": [16, 16]}
    assert run("inspect", path, "--settings", coarse) == 0
    assert "16 notes in triplets, 16 moved" in capsys.readouterr().out


def test_lyrics_and_pedal_are_told_as_not_kept(tune, tmp_path):
    """What no token holds is counted."""
    score = symbolic.read(tune)
    score.tracks[0].lyrics.append(TextMetaTick(0, "la"))
    assert symbolic.inspect(score)["dropped"]["lyrics"] == 1


BAD = {
    "missing": (lambda folder: [folder / "nowhere.mid"], 1, ["nowhere.mid", "no such file"]),
    "text": (lambda folder: [folder / "text.mid"], 1, ["text.mid"]),
    "empty": (lambda folder: [folder / "empty.mid"], 1, ["empty.mid"]),
    "silent": (lambda folder: [folder / "silent.mid"], 1, ["silent.mid", "no notes"]),
    "runaway": (lambda folder: [folder / "runaway.mid"], 1, ["runaway.mid", "bars"]),
    "folder": (lambda folder: [folder], 1, ["folder"]),
    "settings": (lambda folder: ["canon", "--settings", folder / "none.yaml"], 1, ["none.yaml"]),
    "wrong settings": (lambda folder: ["canon", "--settings", folder / "wrong.yaml"], 1, ["velocitys", "velocities"]),
    "tokens": (lambda folder: ["canon", "--tokens", 0], 2, ["--tokens 0"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, tmp_path, capsys):
    """What cannot be inspected is said in one line on stderr, with the right exit status."""
    (tmp_path / "text.mid").write_text("this is no music\n")
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "silent.mid").write_bytes(ScoreTick(480).dumps_midi())
    (tmp_path / "wrong.yaml").write_text("velocitys: 3\n")
    runaway = ScoreTick(1)
    runaway.tracks.append(TrackTick("", 0, False))
    for tick in (0, 200_000_000):
        runaway.tracks[0].notes.append(NoteTick(tick, 1, 60, 80))
    (tmp_path / "runaway.mid").write_bytes(runaway.dumps_midi())
    arguments, status, words = BAD[case]
    assert run("inspect", *arguments(tmp_path)) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def test_a_score_without_notes_is_an_error():
    """From Python too."""
    with pytest.raises(symbolic.InputError, match="no notes"):
        symbolic.inspect(ScoreTick(480))

"""Folders of recordings as a voice's training meets them: any rate and format, bad files told in a line each, pitch and loudness true."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from symbolic.corpus.recordings.labels import Label, label_of, note_name
from symbolic.corpus.recordings.levels import STEPS, level
from symbolic.corpus.recordings.phrases import FRAME_RATE, HOP, LOW_HOP, frame_loudness, phrases
from symbolic.corpus.recordings.pieces import PIECE_SECONDS, SAMPLE_RATE, Piece, find_recordings, pieces
from symbolic.corpus.recordings.store import Note, Recordings, examine, hold_out
from symbolic.dsp.decimation import decimate
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.dsp.polyphony import foreign
from symbolic.errors import InputError
from symbolic.rendering.recordings import Recording

LOW_RATE = 16000


def note(hertz: float | np.ndarray, seconds: float, rate: int, partials: int = 12, seed: int = 0) -> np.ndarray:
    """A reedy note (S,) that swells and fades, with a little breath; `hertz` is a number or the pitch of each sample."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = np.broadcast_to(np.asarray(hertz, np.float64), time.shape)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = sum((np.sin(k * phase) / k) * (k * pitch < 0.45 * rate) for k in range(1, partials + 1))
    shape = np.minimum(1, np.minimum(time, time[-1] - time) / 0.04 + 1e-3)
    breath = 0.003 * np.random.default_rng(seed).standard_normal(len(time))
    return 0.2 * shape * (np.asarray(sound) + breath)


def with_rests(*sounds: np.ndarray, rate: int, rest: float = 0.4) -> np.ndarray:
    """Sounds one after another with silence around them."""
    silence = np.zeros(round(rest * rate))
    return np.concatenate([silence, *(part for sound in sounds for part in (sound, silence))])


@pytest.mark.parametrize(
    ("name", "number", "dynamic"),
    [
        ("violin_As4_1_mezzo-forte_arco-normal.mp3", 70, "mf"),
        ("cello_C2_05_pianissimo.wav", 36, "pp"),
        ("Gb3.flac", 54, ""),
        ("horn F#5 ff.wav", 78, "ff"),
        ("oboe_C-1_forte.wav", 0, "f"),
        ("C4_to_D4.wav", None, ""),
        ("take_12_of_my_flute.wav", None, ""),
        ("A4440_tuned.wav", None, ""),
    ],
)
def test_names_of_files_are_labels(name: str, number: int | None, dynamic: str):
    """A note and a dynamic are read as sample libraries write them, and nothing is read into other names."""
    assert label_of(Path(name)) == Label(number, dynamic)


@pytest.mark.parametrize("hertz", [55.0, 196.0, 880.0, 3520.0])
@pytest.mark.parametrize("named", [True, False])
def test_the_pitch_of_a_vibrato_is_followed(hertz: float, named: bool):
    """A vibrato of 30 cents is followed to 10 cents everywhere, and to 7 on average, whether the note is known or not."""
    time = np.arange(LOW_RATE) / LOW_RATE
    pitch = hertz * 2 ** (0.3 / 12 * np.sin(2 * np.pi * 5.5 * time))
    known = hertz * 2 ** (0.4 / 12) if named else None
    track = track_pitch(note(pitch, 1.0, LOW_RATE), LOW_RATE, LOW_HOP, note=known)
    assert len(track.pitch) == FRAME_RATE
    error = 1200 * np.abs(np.log2(track.pitch / pitch[LOW_HOP // 2 :: LOW_HOP]))[12:-12]
    assert error.mean() < 7
    assert np.percentile(error, 95) < (20 if hertz < 100 else 10)
    assert track.periodicity[12:-12].min() > 0.6


def test_pitch_without_sound_comes_from_its_neighbours():
    """Frames of silence between two notes lie between their pitches and are marked as not periodic."""
    sound = with_rests(note(220, 0.4, LOW_RATE), note(330, 0.4, LOW_RATE), rate=LOW_RATE, rest=0.2)
    track = track_pitch(sound, LOW_RATE, LOW_HOP)
    middle = len(track.pitch) // 2
    assert track.periodicity[middle] < 0.1
    assert 215 < track.pitch[middle] < 335
    assert abs(track.pitch[80] - 220) < 2
    assert abs(track.pitch[-80] - 330) < 2


def test_impossible_pitches_are_refused():
    """Bounds that do not rise, or reach half the rate, are a mistake of the caller."""
    with pytest.raises(ValueError, match="must rise"):
        track_pitch(np.zeros(1000), LOW_RATE, LOW_HOP, lowest=100, highest=9000)


def test_a_frame_is_described_at_its_middle():
    """Loudness of a sound played backwards is its loudness backwards: no frame leans to one side."""
    sound = torch.from_numpy(note(440, 0.6, LOW_RATE)[: 140 * LOW_HOP] * np.linspace(1, 0.01, 140 * LOW_HOP)).float()[None]
    forwards, backwards = frame_loudness(sound), frame_loudness(sound.flip(1))
    assert forwards.shape == (1, 140)
    assert (forwards[0, 10:-10] - backwards[0].flip(0)[10:-10]).abs().max() < 0.2
    assert forwards[0, 20] > forwards[0, 120] + 10


def test_decimation_keeps_what_is_below_and_drops_what_is_above():
    """A tone below 0.95 of the lower half rate comes through unchanged, one above half is gone, and the gradient is the adjoint."""
    time = torch.arange(SAMPLE_RATE, dtype=torch.float64) / SAMPLE_RATE
    window = torch.hann_window(SAMPLE_RATE, dtype=torch.float64)
    tones = torch.stack([torch.sin(2 * math.pi * hertz * time) * window for hertz in (440.0, 7500.0, 8100.0, 15000.0)])
    low = decimate(tones, 3)
    assert low.shape == (4, LOW_RATE)
    assert (low[:2] - tones[:2, ::3]).abs().max() < 1e-6
    assert low[2:].abs().max() < 1e-6
    one, other = torch.randn(1, 3000, dtype=torch.float64, requires_grad=True), torch.randn(1, 1000, dtype=torch.float64)
    product = (decimate(one, 3) * other).sum()
    product.backward()
    assert one.grad is not None
    assert torch.allclose((one.grad * one).sum(), product)
    with pytest.raises(ValueError, match="no multiple"):
        decimate(torch.zeros(1, 100), 3)


@pytest.mark.parametrize(("rate", "suffix", "channels"), [(8000, "wav", 1), (22050, "flac", 2), (44100, "mp3", 2), (192000, "wav", 2)])
def test_any_rate_and_format_gives_the_same_phrases(tmp_path: Path, rate: int, suffix: str, channels: int):
    """Two notes between silences are two phrases at 48 kHz with their pitch, wherever they come from."""
    sound = with_rests(note(220, 0.5, rate), note(330, 0.7, rate), rate=rate)
    soundfile.write(tmp_path / f"take.{suffix}", np.repeat(sound[:, None], channels, 1), rate)
    found = examine(tmp_path, tmp_path.parent / f"store-{rate}")
    assert len(found.notes) == 2
    for one, hertz, start, seconds in zip(found.notes, (220, 330), (0.4, 1.3), (0.5, 0.7), strict=True):
        assert abs(one.start - start) < 0.06
        assert abs(one.frames / FRAME_RATE - seconds) < 0.08
        assert abs(1200 * math.log2(np.median(found.array("pitch", one)) / hertz)) < 4
        assert len(found.array("sound", one)) == one.frames * HOP
        assert len(found.array("low", one)) == one.frames * LOW_HOP
        assert found.array("loudness", one).max() > -15
    assert [line for line in found.verdicts if "above 4 kHz" in line] == ([found.verdicts[0]] if rate == 8000 else [])


def test_what_is_bad_is_told_and_nothing_good_is_lost(tmp_path: Path):
    """Silence, noise, chords, files that are none: a line each that names the file, and says where; the good files stay whole."""
    folder, rate = tmp_path / "takes", 44100
    folder.mkdir()
    good = with_rests(*(note(hertz, 0.5, rate) for hertz in (262, 294, 330)), rate=rate)
    soundfile.write(folder / "good.wav", good, rate)
    broken = good.copy()
    broken[30000:30040] = np.nan
    soundfile.write(folder / "nan.wav", broken, rate, "FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(rate), rate)
    soundfile.write(folder / "noise.wav", 0.1 * np.random.default_rng(0).standard_normal(rate), rate)
    chord = sum(note(hertz, 1.0, rate) for hertz in (262, 330, 392)) / 3
    soundfile.write(folder / "chord.wav", with_rests(note(262, 0.5, rate), np.asarray(chord), rate=rate), rate)
    (folder / "text.wav").write_text("no sound at all")
    (folder / "empty.mp3").write_bytes(b"")
    (folder / ".hidden.wav").write_text("not looked at")
    found = examine(folder, tmp_path / "store")
    assert [one.file for one in found.notes] == ["chord.wav", *["good.wav"] * 3, *["nan.wav"] * 3]
    told = {line.split(":")[0]: line for line in found.verdicts}
    assert set(told) == {"nan.wav", "silent.wav", "noise.wav", "chord.wav", "text.wav", "empty.mp3"}
    assert "40 samples were no numbers" in told["nan.wav"]
    assert "silent" in told["silent.wav"]
    assert "no pitch" in told["noise.wav"]
    assert "several notes at once" in told["chord.wav"]
    assert "0:01.3 to 0:02.3" in told["chord.wav"]
    assert "not an audio file" in told["text.wav"]
    assert "empty" in told["empty.mp3"]
    assert all("\n" not in line for line in found.verdicts)


@pytest.mark.parametrize("chord", [(60, 64, 67), (57, 60), (62, 69), (60, 65, 70), (48, 55, 64), (72, 73)])
def test_chords_are_not_one_voice(chord: tuple[int, ...]):
    """Triads, thirds, fifths, fourths and a semitone of rich notes are refused; each of their notes alone is not."""
    sounds = [note(440 * 2 ** ((number - 69) / 12), 0.8, SAMPLE_RATE, seed=number) for number in chord]
    together = phrases(Piece((sum(sounds) / len(sounds)).astype(np.float32), 0.0), Label(None, ""))
    assert [bool(one.fault) for one in together] == [True]
    for sound in sounds:
        assert [one.fault for one in phrases(Piece(sound.astype(np.float32), 0.0), Label(None, ""))] == [""]


@pytest.mark.parametrize(("claimed", "sounding"), [("A5", 440.0), ("A3", 440.0), ("C#4", 440.0), ("A4", 440.0)])
def test_a_label_is_a_claim(tmp_path: Path, claimed: str, sounding: float):
    """What sounds is believed, an octave or a third beside its name; the verdict says so, and a true name gets none."""
    for name in (f"{claimed}_forte", f"{claimed}_piano"):
        soundfile.write(tmp_path / f"{name}.wav", with_rests(note(sounding, 0.5, 48000), rate=48000), 48000)
    found = examine(tmp_path, tmp_path.parent / f"store-{claimed}")
    assert [one.note for one in found.notes] == [69, 69]
    wrong = [f"named {claimed} but sounds as A4" in line for line in found.verdicts]
    assert wrong == ([] if claimed == "A4" else [True, True])


def test_a_melody_named_as_a_note_is_not_that_note(tmp_path: Path):
    """A tune far below the high note in its name is left out, and learned from under another name; a trill is followed to both notes."""
    time = np.arange(48000 * 2) / 48000
    tune = note(np.where(time < 0.7, 330.0, np.where(time < 1.4, 392.0, 440.0)), 2.0, 48000)
    trill = note(np.where(np.floor(time * 6) % 2 == 0, 440.0, 466.2), 2.0, 48000)
    for name, sound in (("G6_phrase", tune), ("A4_phrase", trill), ("tune", tune)):
        soundfile.write(tmp_path / f"{name}.wav", with_rests(sound, rate=48000), 48000)
    found = examine(tmp_path, tmp_path.parent / "store-melody")
    assert [one.file for one in found.notes] == ["A4_phrase.wav", "tune.wav"]
    left_out = [line for line in found.verdicts if line.endswith("left out")]
    assert len(left_out) == 1
    assert left_out[0].startswith("G6_phrase.wav")
    assert "other notes sound too" in left_out[0]
    np.testing.assert_allclose(np.percentile(found.array("pitch", found.notes[0]), (25, 75)), (440, 466.2), rtol=0.003)


def test_a_pitch_that_repeats_but_is_not_played_is_foreign():
    """Of a note of 196 Hz its own pitch is at home; the octave below, whose odd partials are missing, and a high multiple are not."""
    low = note(196.0, 0.6, LOW_RATE).astype(np.float32)
    for hertz, home in ((196.0, True), (98.0, False), (1568.0, False), (392.0, False)):
        track = track_pitch(low, LOW_RATE, LOW_HOP, note=hertz)
        loud = np.zeros(len(track.pitch), bool)
        loud[20:-20] = True
        assert foreign(low, track, loud, LOW_RATE) != home, hertz


@pytest.mark.parametrize("true_levels", [True, False])
def test_levels_that_a_library_evened_out_are_put_back(tmp_path: Path, true_levels: bool):
    """Where pianissimo is as loud as fortissimo the names' dynamics order the levels again, in all that is kept; true levels stay."""
    for number in range(5):
        for dynamic, gain in (("pianissimo", 0.1 if true_levels else 1.0), ("fortissimo", 1.0)):
            sound = with_rests(gain * note(330.0 * 2 ** (number / 12), 0.4, 48000), rate=48000)
            soundfile.write(tmp_path / f"{note_name(64 + number)}_{dynamic}.wav", sound, 48000, subtype="FLOAT")
    found = examine(tmp_path, tmp_path.parent / f"store-levels-{true_levels}")
    told = [line for line in found.verdicts if "put back by the dynamics" in line]
    assert len(told) == (0 if true_levels else 1)
    levels: dict[str, list[float]] = {"pp": [], "ff": []}
    for one in found.notes:
        levels[one.dynamic].append(level(found.array("loudness", one)))
        heard = frame_loudness(torch.from_numpy(found.array("low", one).copy())[None])[0].numpy()
        loud = heard > heard.max() - 30
        np.testing.assert_allclose(found.array("loudness", one)[loud], heard[loud], atol=0.01)
        np.testing.assert_allclose(np.abs(found.array("sound", one)).max(), np.abs(found.array("low", one)).max(), rtol=0.05)
    difference = np.median(levels["ff"]) - np.median(levels["pp"])
    assert abs(difference - (20 if true_levels else STEPS["ff"] - STEPS["pp"])) < 0.1


def test_opposite_channels_do_not_cancel(tmp_path: Path):
    """A stereo file whose channels are each other's opposite is not silent."""
    sound = with_rests(note(220, 0.5, 48000), note(247, 0.5, 48000), rate=48000)
    soundfile.write(tmp_path / "opposite.wav", np.stack([sound, -sound], 1), 48000)
    assert len(examine(tmp_path, tmp_path.parent / "store-opposite").notes) == 2


def test_long_files_come_in_pieces(tmp_path: Path):
    """The pieces of a file are of bounded length, are cut in silence, and join to the whole."""
    rate = 48000  # partials=2: made quickly
    bar = with_rests(*(note(hertz, 2.5, rate, partials=2) for hertz in (200, 250, 300)), rate=rate, rest=0.5)
    whole = np.tile(bar, 14)[: 130 * rate]
    path = tmp_path / "long.wav"
    soundfile.write(path, whole, rate, "FLOAT")
    with Recording(path) as recording:
        parts = list(pieces(recording))
    assert [round(len(part.sound) / rate) <= PIECE_SECONDS for part in parts] == [True] * 3
    np.testing.assert_array_equal(np.concatenate([part.sound for part in parts]), whole.astype(np.float32))
    for one, other in itertools.pairwise(parts):
        assert abs(other.start - one.start - len(one.sound) / rate) < 1e-9
        assert np.abs(one.sound[-200:]).max() == 0
    longest = phrases(Piece(note(200, 15.0, rate, partials=2).astype(np.float32), 0.0), Label(None, ""))
    assert len(longest) == 2
    assert max(one.seconds for one in longest) <= 12


def test_recordings_are_examined_once(tmp_path: Path):
    """A second time takes what is there; a changed folder is examined again, and a store of another version is refused."""
    folder, store = tmp_path / "takes", tmp_path / "store"
    folder.mkdir()
    soundfile.write(folder / "one.wav", with_rests(note(220, 0.4, 48000), note(247, 0.4, 48000), rate=48000), 48000)
    first = examine(folder, store)
    written = (store / "notes.json").stat().st_ino
    assert examine(folder, store).notes == first.notes
    assert (store / "notes.json").stat().st_ino == written
    soundfile.write(folder / "two.wav", with_rests(note(262, 0.4, 48000), rate=48000), 48000)
    assert len(examine(folder, store).notes) == 3
    content = json.loads((store / "notes.json").read_text())
    (store / "notes.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(InputError, match="another version"):
        Recordings(store)


def test_nothing_to_learn_from_is_one_line(tmp_path: Path):
    """An empty folder, a file in its place, and a folder of silence say what is wanted, and leave no store."""
    with pytest.raises(InputError, match="no recordings in it"):
        examine(tmp_path, tmp_path / "store")
    with pytest.raises(InputError, match="no such folder"):
        find_recordings(tmp_path / "nowhere")
    soundfile.write(tmp_path / "silent.wav", np.zeros(48000), 48000)
    with pytest.raises(InputError, match=r"is a file"):
        find_recordings(tmp_path / "silent.wav")
    with pytest.raises(InputError, match=r"silent\.wav: the recording is silent"):
        examine(tmp_path, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_held_out_notes_are_whole_notes():
    """All recordings of a note at a dynamic are on one side, in whatever order they come; about a tenth is held out, over the compass."""
    everything = [
        Note(f"{number}-{dynamic}-{length}.wav", 0.0, 0, 100, number, dynamic)
        for number in range(55, 95)
        for dynamic in ("p", "f")
        for length in (1, 2, 3)
    ]
    hold_out(everything)
    sides: dict[tuple[int | None, str], set[bool]] = {}
    for one in everything:
        sides.setdefault((one.note, one.dynamic), set()).add(one.held_out)
    assert all(len(side) == 1 for side in sides.values())
    held = {(one.note, one.dynamic) for one in everything if one.held_out}
    assert len(held) == 8
    numbers = sorted(number for number, _ in held if number is not None)
    assert max(b - a for a, b in itertools.pairwise(numbers)) <= 6
    shuffled = [Note(**{**vars(one), "held_out": False}) for one in np.random.default_rng(0).permutation(np.array(everything, object))]
    hold_out(shuffled)
    assert {(one.note, one.dynamic) for one in shuffled if one.held_out} == held
    few = [Note("a.wav", float(start), 0, 100, None, "") for start in range(2)]
    hold_out(few)
    assert sorted(one.held_out for one in few) == [False, True]
    same = [Note(f"{take}.wav", 0.0, 0, 100, 69, "f") for take in range(3)]
    hold_out(same)
    assert [one.held_out for one in same] == [False, False, True]

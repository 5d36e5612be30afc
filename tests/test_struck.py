"""Struck voices: strings measured as they were made, tables read between their notes, notes played as they were measured."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, Track

import symbolic
from symbolic.dsp.decaying_partials import find_string, partial_tracks, resynthesized, stiff_partials
from symbolic.errors import InputError
from symbolic.models.voices.bundled import bundled_struck, voice_folder
from symbolic.models.voices.struck import StruckVoice, load_struck, save_struck
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.programs import struck_programs
from symbolic.rendering.struck_controls import StruckControls, StruckSound, add_along
from symbolic.training.voices.struck import train_struck

RATE = 48000
SLOW, DAMPING = 3.0, 0.6  # dB a second of the first partial, and more for each next one


def string(
    frequency: float, stiffness: float, seconds: float = 2.0, rate: int = RATE, partials: int = 20, noise: float = 0.0
) -> np.ndarray:
    """A struck string with partials that fall by known decibels a second, and a knock of noise."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    for number, hertz in enumerate(stiff_partials(frequency, stiffness, 0.45 * rate, partials), 1):
        fall = 10 ** (-(SLOW + DAMPING * number * 10) * time / 20)
        sound += 0.2 / number * fall * np.sin(2 * np.pi * hertz * time + number)
    knock = np.random.default_rng(0).standard_normal(len(time)) * noise * 10 ** (-600 * time / 20)
    return sound + knock


def hertz_of(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def level(sound: np.ndarray, hertz: float, begin: float, seconds: float = 0.2) -> float:
    """Decibels of a sine within a stretch of sound."""
    part = sound[round(begin * RATE) : round((begin + seconds) * RATE)]
    window = np.hanning(len(part))
    down = np.exp(-2j * np.pi * hertz / RATE * np.arange(len(part)))
    return float(20 * np.log10(2 * abs((part * window) @ down) / window.sum() + 1e-12))


def played(voice: StruckVoice, pitch: int, velocity: int = 90, seconds: float = 2.0, sample_rate: int = RATE) -> np.ndarray:
    """One note, mono, without its part's volume and room."""
    note = PlayedNote(0.0, seconds, seconds, pitch, velocity, 0)
    part = Part(0, "", 0, False, (note,), None, None, None, None, None)
    sound = StruckSound(StruckControls(Preset("struck", ring=1.0), voice, note, part, sample_rate), sample_rate)
    pieces = []
    while not sound.done:
        pieces.append(sound.next_segment())
    return np.concatenate(pieces, axis=1).mean(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of a made instrument: every third pitch, two layers, the soft one duller."""
    folder = tmp_path_factory.mktemp("recordings")
    for place, name in enumerate(("C3", "D#3", "F#3", "A3", "C4", "D#4", "F#4")):
        sound = string(hertz_of(48 + 3 * place), 2e-4, noise=0.3)
        soundfile.write(folder / f"{name}_forte.wav", np.concatenate([np.zeros(2000), sound]), RATE, subtype="PCM_24")
        dull = string(hertz_of(48 + 3 * place), 2e-4, partials=6)
        soundfile.write(folder / f"{name}_piano.wav", 0.3 * dull, RATE, subtype="PCM_24")
    soundfile.write(folder / "C5_forte.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "room.wav", 0.1 * np.random.default_rng(1).standard_normal(RATE), RATE)
    return folder


@pytest.fixture(scope="module")
def voice(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> StruckVoice:
    output, told = tmp_path_factory.mktemp("voices") / "made", []
    facts = train_struck(folder, output, tell=told.append)
    assert facts["recordings"]["notes"] + facts["held_out_notes"] == 14
    assert len(told) == 2
    assert "C5_forte.wav: silent" in told[0]
    assert "room.wav: its name tells no pitch" in told[1]
    return load_struck(output)


@given(frequency=st.floats(40, 1500), stiffness=st.floats(1e-5, 1e-3), off=st.floats(-30, 30))
@settings(max_examples=25, deadline=None)
def test_a_string_is_found_again(frequency: float, stiffness: float, off: float):
    sound = string(frequency, stiffness, 0.7)
    found, stiff = find_string(sound, RATE, frequency * 2 ** (off / 1200))
    assert abs(1200 * math.log2(found / frequency)) < 1.5
    assert stiff == pytest.approx(stiffness, rel=0.05, abs=4e-6)


def test_partials_taken_for_others_do_no_harm():
    sound = string(110.0, 3e-4)
    time = np.arange(len(sound)) / RATE
    for number in (5, 9, 14):  # a louder tone beside the true partial
        sound = sound + 0.3 * np.sin(2 * np.pi * 110.0 * (number + 0.2) * time)
    found, stiff = find_string(sound, RATE, 110.0)
    assert abs(1200 * math.log2(found / 110.0)) < 2
    assert stiff == pytest.approx(3e-4, rel=0.1)


def test_silence_and_a_short_sound_are_no_string():
    assert find_string(np.zeros(RATE), RATE, 220.0) == (220.0, 0.0)
    assert find_string(np.ones(40), RATE, 220.0) == (220.0, 0.0)


def test_partials_make_the_sound_again():
    sound = string(196.0, 2e-4, 1.0)
    hertz = stiff_partials(196.0, 2e-4, 18000, 20)
    rest = sound - resynthesized(partial_tracks(sound, RATE, hertz, 196.0), len(sound))
    later = slice(RATE // 10, len(sound) - RATE // 10)
    assert 10 * np.log10(np.square(rest[later]).mean() / np.square(sound[later]).mean()) < -45


def test_the_table_says_how_partials_fall(voice: StruckVoice):
    note = voice.note(54, 96)
    assert note.stiffness == pytest.approx(2e-4, rel=0.1)
    at = note.partials_at(np.array([0.2, 1.0]))
    for partial in range(5):
        fall = (at[0, partial] - at[1, partial]) / 0.8
        assert fall == pytest.approx(SLOW + DAMPING * 10 * (partial + 1), abs=1.5)
    assert at[0, 0] - at[0, 1] == pytest.approx(6.0 + 0.2 * 6, abs=0.7)  # the second partial began at half and falls faster
    soft = voice.note(54, 48).partials_at(np.array([0.2]))[0]
    assert soft[12] < soft[0] - 60 < at[0, 12] - at[0, 0] - 20 + 60
    assert note.noise[:, 0].max() > voice.note(54, 48).noise[:, 0].max() + 15  # only loud notes were made with a knock


@pytest.mark.parametrize("pitch", [48, 55, 66])
def test_a_note_sounds_as_it_was_measured(voice: StruckVoice, pitch: int):
    made, true = played(voice, pitch, 96), string(hertz_of(pitch), 2e-4)
    stretched = stiff_partials(hertz_of(pitch) / math.sqrt(1 + 2e-4), 2e-4, 18000, 8)
    bare = stiff_partials(hertz_of(pitch), 2e-4, 18000, 8)
    offset = level(made, stretched[0], 0.1) - level(true, bare[0], 0.1)
    for partial in range(5):
        for begin in (0.1, 0.6, 1.2):
            assert level(made, stretched[partial], begin) - level(true, bare[partial], begin) == pytest.approx(offset, abs=2.0)


def test_amplitudes_are_those_of_the_table_at_every_frame(voice: StruckVoice):
    """From any frame on, before the table's first moment, between its moments and after its last one."""
    note = PlayedNote(0.0, 60.0, 60.0, 54, 90, 0)
    part = Part(0, "", 0, False, (note,), None, None, None, None, None)
    controls = StruckControls(Preset("struck", attack=0.0), voice, note, part, RATE)
    for first in (0, 2, 700, 3600):
        time = np.arange(first, first + 257) * controls.frame_seconds
        expected = 10 ** (controls.stroke.sounding.partials_at(time) / 20) * controls.spectrum.amplitudes * controls.gain
        np.testing.assert_allclose(controls.tones(first, first + 256)[0].shared[time > 1e-4], expected[time > 1e-4], rtol=3e-4)
    assert 3600 * controls.frame_seconds > controls.stroke.sounding.times[-1]


def test_noise_is_added_along_its_curve():
    """The curve is read on straight lines between its corners, each channel has its gain, and the last frame may be cut."""
    mono, curve, sound = np.random.default_rng(0).standard_normal(41).astype(np.float32), np.array([0.0, 1.0, 0.25, 0.5]), np.ones((2, 50))
    expected = 1 + np.array([[0.5], [2.0]]) * mono * np.interp(np.arange(41), 16 * np.arange(4), curve)
    add_along(given := sound.astype(np.float32), mono, curve, 16, np.array([0.5, 2.0]))
    np.testing.assert_allclose(given[:, :41], expected, atol=1e-5)
    assert (given[:, 41:] == 1).all()


def test_a_note_is_over_when_it_has_fallen_or_is_let_go(voice: StruckVoice):
    short, long = played(voice, 54, seconds=0.2), played(voice, 54, seconds=60.0)
    assert len(short) < 0.8 * RATE
    assert len(long) < 45 * RATE  # by itself
    assert np.abs(long[-200:]).max() < 1e-3 * np.abs(long).max()
    assert np.array_equal(short[: RATE // 10], long[: RATE // 10])


@pytest.mark.parametrize("sample_rate", [8000, 22050, 192000])
def test_any_rate_plays_the_same_note(voice: StruckVoice, sample_rate: int):
    sound = played(voice, 60, sample_rate=sample_rate)[: sample_rate // 2]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.fft.rfftfreq(len(sound), 1 / sample_rate)[spectrum.argmax()] == pytest.approx(hertz_of(60), abs=3)
    assert np.isfinite(sound).all()


def test_a_voice_comes_back_from_its_folder(voice: StruckVoice, tmp_path: Path):
    save_struck(tmp_path, voice, {"name": "x"}, RATE)
    again = load_struck(tmp_path)
    assert np.abs(again.partials - voice.partials).max() < 0.1
    assert np.array_equal(again.pitches, voice.pitches)
    assert json.loads((tmp_path / "voice.json").read_text()) == {"name": "x"}


@pytest.mark.parametrize("damage", ["kind", "version", "cut", "gone"])
def test_a_damaged_voice_is_refused_in_a_line(voice: StruckVoice, tmp_path: Path, damage: str):
    save_struck(tmp_path, voice, {}, RATE)
    config, table = tmp_path / "config.json", tmp_path / "struck.safetensors"
    if damage in ("kind", "version"):
        config.write_text(json.dumps(json.loads(config.read_text()) | {damage: "else"}))
    elif damage == "cut":
        table.write_bytes(table.read_bytes()[:-100])
    else:
        config.unlink()
    with pytest.raises(InputError) as caught:
        load_struck(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recordings_that_tell_no_pitch_are_refused(tmp_path: Path):
    soundfile.write(tmp_path / "knock.wav", string(200, 1e-4), RATE)
    with pytest.raises(InputError, match="at least two pitches"):
        train_struck(tmp_path, tmp_path / "voice")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="already"):
        train_struck(tmp_path, tmp_path / "there")


def test_few_recordings_make_a_voice_without_a_held_out_figure(tmp_path: Path):
    for name, pitch in (("C3", 48), ("G3", 55)):
        soundfile.write(tmp_path / f"{name}.wav", string(hertz_of(pitch), 1e-4, 0.5), RATE)
    assert train_struck(tmp_path, tmp_path / "voice")["held_out"] == {}
    assert "NaN" not in (tmp_path / "voice" / "voice.json").read_text()


def test_programs_have_the_struck_voices_of_the_package():
    assert set(struck_programs().values()) == set(bundled_struck())
    for name in bundled_struck():
        assert (voice_folder(name) / "README.md").read_text().count(name) >= 1
        assert (voice_folder(name) / "struck.safetensors").stat().st_size < 400_000


def test_a_piano_is_played_by_its_voice():
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    score.tracks.append(Track("", 0, False, [Note(0, 480, 60, 90), Note(0, 480, 64, 90), Note(480, 960, 67, 60)]))
    learned, synthesized = symbolic.render(score, 16000), symbolic.render(score, 16000, voices="synthesized")
    assert learned.shape[0] == 2
    assert np.isfinite(learned).all()
    length = min(learned.shape[1], synthesized.shape[1])
    assert np.abs(learned[:, :length] - synthesized[:, :length]).max() > 0.05
    assert np.array_equal(learned, symbolic.render(score, 16000))

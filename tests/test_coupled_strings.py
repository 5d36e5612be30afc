"""Strings that beat: taken apart as they were put together, and played so again; what a damper does; loops of samples left out."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from symbolic.corpus.recordings.loops import loop_start, loops_of
from symbolic.dsp.coupled_strings import NO_STRING, apart, beats, no_strings
from symbolic.dsp.decaying_partials import partial_tracks, stiff_partials
from symbolic.models.voices.struck import StruckVoice, load_struck, save_struck
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.struck_controls import StruckControls, StruckSound
from symbolic.training.voices.struck import train_struck
from symbolic.training.voices.struck_notes import StruckSettings, recorded

RATE = 48000
PARTIALS = 8
CENTS, BALANCE, FAST, SLOW, AHEAD = 2.0, -6.0, 12.0, 4.0, 0.3  # of the second string; falls in decibels a second


def pair(frequency: float, seconds: float = 4.0, third: bool = False) -> np.ndarray:
    """A key with two strings, or three: every partial a sum of vectors that turn and fall."""
    time, sound = np.arange(round(seconds * RATE)) / RATE, np.zeros(round(seconds * RATE))
    strings = [(0.0, 0.0, FAST, 0.0), (CENTS, BALANCE, SLOW, AHEAD), *([(-1.5, -8.0, 7.0, 0.6)] if third else [])]
    for number, hertz in enumerate(stiff_partials(frequency, 1e-4, 8000, PARTIALS), 1):
        for cents, level, fall, ahead in strings:
            turns = hertz * 2 ** (cents / 1200) * time + ahead + 0.1 * number
            sound += 0.2 / number * 10 ** ((level - fall * time) / 20) * np.cos(2 * np.pi * turns)
    return sound


def strength(sound: np.ndarray, hertz: float, frequency: float) -> np.ndarray:
    """Decibels of a partial from moment to moment, 60 a second or so."""
    tracks = partial_tracks(sound, RATE, np.array([hertz]), frequency)
    return 20 * np.log10(np.abs(tracks.amplitudes[:, 0]) + 1e-9)


def hertz_of(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def played(voice: StruckVoice, pitch: int, seconds: float, release: float | None = None, preset: Preset | None = None) -> np.ndarray:
    note = PlayedNote(0.0, release or seconds, release or seconds, pitch, 96, 0)
    part = Part(0, "", 0, False, (note,), None, None, None, None, None)
    sound = StruckSound(StruckControls(preset or Preset("struck", ring=1.0), voice, note, part, RATE), RATE)
    made = [np.zeros((2, 0))]
    while not sound.done and sum(piece.shape[1] for piece in made) < seconds * RATE:
        made.append(sound.next_segment())
    return np.concatenate(made, axis=1).mean(0)[: round(seconds * RATE)]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> StruckVoice:
    folder = tmp_path_factory.mktemp("keys")
    for place, name in enumerate(("C3", "D#3", "F#3", "A3")):
        soundfile.write(folder / f"{name}_forte.wav", pair(hertz_of(48 + 3 * place)), RATE, subtype="FLOAT")
    settings = StruckSettings(spectrum="string", hold_out="note", dampers={21: 0.6, 60: 0.2})
    train_struck(folder, folder / "voice", settings)
    return load_struck(folder / "voice")


@pytest.mark.parametrize("third", [False, True])
def test_strings_are_taken_apart(third: bool):
    """Beats go, the powers of the strings stay, and what the slower ones are beside the fastest is told."""
    sound = pair(196.0, third=third)
    hertz = stiff_partials(196.0, 1e-4, 8000, PARTIALS)
    tracks = partial_tracks(sound, RATE, hertz, 196.0)
    powers, strings, left = apart(tracks)
    assert (left < -20).all()
    time = np.arange(len(powers)) * tracks.hop / RATE
    later = (time > 0.25) & (time < 2.5)
    for place in range(PARTIALS):
        slower = [(BALANCE, SLOW), *([(-8.0, 7.0)] if third else [])]
        true = sum(10 ** ((level - fall * time) / 10) for level, fall in ((0.0, FAST), *slower)) * (0.2 / (place + 1)) ** 2
        off = 10 * np.log10(powers[later, place] / true[later])
        assert np.abs(off).max() < (1.0 if third else 0.4)
        cents, balance, faster, ahead = strings[place, 1 if third else 0]
        if hertz[place] > 500 or not third:  # two strings near each other are told apart by their beats, and low partials have few
            assert cents == pytest.approx(CENTS, abs=0.15)
            assert balance == pytest.approx(BALANCE, abs=1.0)
            assert faster == pytest.approx(FAST - SLOW, abs=1.0)
            assert abs((ahead - AHEAD + 0.5) % 1 - 0.5) < 0.05
    assert (strings[:, 1, 1] > NO_STRING).any() == third


def test_one_string_has_no_second():
    time = np.arange(4 * RATE) / RATE
    hertz = stiff_partials(196.0, 1e-4, 8000, PARTIALS)
    sound = sum(0.1 * 10 ** (-6 * time / 20) * np.cos(2 * np.pi * one * time) for one in hertz)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    powers, strings, left = apart(tracks := partial_tracks(sound + noise, RATE, hertz, 196.0))
    assert np.array_equal(strings, no_strings(PARTIALS))
    assert not left.any()
    np.testing.assert_allclose(powers, np.abs(tracks.amplitudes) ** 2)


@pytest.mark.parametrize("first", [0.0, 0.7, 12.0])
def test_beats_are_the_sum_of_the_strings_at_any_moment(first: float):
    """Equal to the plain formula, for a note played from any moment on; a string alone does not beat."""
    strings = no_strings(3)
    strings[0, 0], strings[0, 1], strings[2, 0] = (1.5, -3.0, 9.0, 0.25), (-2.0, -9.0, 4.0, 0.9), (0.7, 4.0, 30.0, 0.5)
    hertz, time = np.array([220.0, 440.0, 1320.0]), first + np.arange(200) * 128 / RATE
    factors = beats(strings, hertz, time)
    entered = np.clip(time / 0.1 - 1, 0, 1)
    for place in (0, 1, 2):
        vectors = [np.ones(len(time), complex)]
        for cents, balance, faster, ahead in strings[place]:
            turns = ahead + hertz[place] * (2 ** (cents / 1200) - 1) * time
            vectors.append(10 ** ((balance + faster * time) / 20) * np.exp(2j * np.pi * turns))
        together = np.abs(sum(vectors)) / np.sqrt(sum(np.abs(vector) ** 2 for vector in vectors))
        np.testing.assert_allclose(factors[:, place], 1 + entered * (together - 1), atol=2e-3)
    assert (factors[:, 1] == 1).all()


def test_a_key_beats_as_its_recording(voice: StruckVoice):
    """Of the notes learned from, the partials rise and fall when the recorded ones do: half a decibel apart in the median."""
    assert voice.strings is not None
    true, made = pair(hertz_of(48)), played(voice, 48, 4.0)
    off = []
    bare, stretched = (stiff_partials(hertz_of(48) / root, 1e-4, 8000, PARTIALS) for root in (1.0, math.sqrt(1 + 1e-4)))
    for number in range(2, PARTIALS):
        levels = [strength(true, bare[number], hertz_of(48)), strength(made, stretched[number], hertz_of(48))]
        part = slice(round(0.06 * len(levels[0])), round(0.6 * len(levels[0])))
        difference = levels[0][part] - levels[1][part]
        assert (
            np.ptp(levels[0][part] - np.poly1d(np.polyfit(np.arange(len(difference)), levels[0][part], 2))(np.arange(len(difference)))) > 3
        )
        off.append(np.abs(difference - np.median(difference)))
    assert np.median(np.concatenate(off)) < 0.5


def test_keys_between_have_the_strings_of_the_nearest(voice: StruckVoice):
    note, nearest = voice.note(52, 96), voice.note(51, 96)
    assert note.strings is not None
    assert nearest.strings is not None
    np.testing.assert_array_equal(note.strings, nearest.strings)
    assert note.strings.shape == (len(note.partials), 2, 4)


def test_copies_far_apart_beat_by_themselves(voice: StruckVoice):
    """A honky-tonk piano keeps its own two strings, nine cents apart, without the beats of the measured ones."""
    note = PlayedNote(0.0, 1.0, 1.0, 48, 96, 0)
    part = Part(0, "", 0, False, (note,), None, None, None, None, None)
    measured, own = (StruckControls(Preset("p", ring=1.0, copies=2, detune=cents), voice, note, part, RATE) for cents in (0.7, 9.0))
    assert len(measured.tones(0, 10)) == 1
    assert len(own.tones(0, 10)) == 2
    assert measured.stroke.sounding.strings is not None
    assert own.stroke.sounding.strings is None


def test_a_damper_falls_by_its_seconds_and_none_above_the_last(voice: StruckVoice):
    assert voice.damped(21) == pytest.approx(0.6)
    assert voice.damped(10) == pytest.approx(0.6)
    assert 0.2 < (voice.damped(40) or 0) < 0.6
    assert voice.damped(61) == math.inf
    damped, free = (played(voice, pitch, 2.0, release=0.5) for pitch in (60, 61))

    def fall(sound: np.ndarray) -> float:
        return float(10 * np.log10(np.square(sound[24000:25000]).mean() / np.square(np.append(sound, np.zeros(RATE))[31200:32200]).mean()))

    assert fall(damped) == pytest.approx(0.15 / 0.2 * 60, abs=6)
    assert fall(free) < 6


def test_strings_and_dampers_come_back_and_old_tables_have_none(voice: StruckVoice, tmp_path: Path):
    save_struck(tmp_path / "new", voice, {}, RATE)
    again = load_struck(tmp_path / "new")
    assert again.strings is not None
    assert voice.strings is not None
    np.testing.assert_allclose(again.strings, voice.strings, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(again.dampers, voice.dampers)
    save_struck(tmp_path / "old", StruckVoice(**{**vars(voice), "strings": None, "dampers": None}), {}, RATE)
    old = load_struck(tmp_path / "old")
    assert old.strings is None
    assert old.damped(60) is None
    assert '"version": 1' in (tmp_path / "old" / "config.json").read_text()
    assert '"version": 3' in (tmp_path / "new" / "config.json").read_text()


SFZ = """// a piano
<control> default_path=samples\\
<global> ampeg_release=0.6 loop_mode=loop_continuous
<group> hivel=80
<region> key=60 sample=C4 soft.wav loop_start=24000
 loop_end=40000
<region> sample=E4.wav loop_start=20000 // and once more
<region> sample=E4.wav loop_start=12000
<group> loop_mode=no_loop
<region> sample=G4.wav loop_start=100
"""


def test_loops_of_an_sfz_are_read_through_its_groups():
    assert loops_of(SFZ) == [("samples/C4 soft.wav", 24000), ("samples/E4.wav", 20000), ("samples/E4.wav", 12000)]
    assert loops_of("") == loops_of("no opcodes here") == loops_of("<region> loop_start=5") == []


def test_what_is_behind_a_loops_begin_is_not_measured(tmp_path: Path):
    (tmp_path / "samples").mkdir()
    for name in ("C4 soft", "E4", "G4"):
        soundfile.write(tmp_path / "samples" / f"{name}.wav", pair(hertz_of(60), 1.0), RATE)
    (tmp_path / "made.sfz").write_text(SFZ)
    assert loop_start(tmp_path / "samples" / "E4.wav") == 12000
    assert loop_start(tmp_path / "samples" / "G4.wav") is None
    lengths = {name: len(recorded(tmp_path / "samples" / f"{name}.wav", StruckSettings()).sound) for name in ("C4 soft", "E4", "G4")}
    assert lengths == {"C4 soft": pytest.approx(24000, abs=100), "E4": pytest.approx(12000, abs=100), "G4": pytest.approx(RATE, abs=100)}

"""Struck voices of bars and bells, whose modes are free, and of organs, which last as long as a key is down."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from symusic import Note, Score, Tempo, Track

import symbolic
from symbolic.corpus.recordings.labels import note_name
from symbolic.dsp.free_modes import find_modes, tuning_of
from symbolic.dsp.held_notes import is_held, let_go
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.struck import StruckVoice, load_struck, save_struck
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.programs import struck_programs
from symbolic.rendering.struck_controls import StruckControls, StruckSound, stroke_noise
from symbolic.training.voices.struck import train_struck
from symbolic.training.voices.struck_notes import StruckSettings

RATE = 48000
BAR = (1.0, 2.756, 5.404, 8.933)  # a free bar
RELEASE, ATTACK = 0.5, 0.08


def hertz_of(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def cents(one: float, other: float) -> float:
    return 1200 * math.log2(one / other)


def bar(pitch: float, seconds: float = 1.2) -> np.ndarray:
    """A struck bar: each mode falls faster than the one below."""
    time = np.arange(round(seconds * RATE)) / RATE
    waves = [
        10 ** (-(20 + 15 * n) * time / 20) * np.sin(2 * np.pi * hertz_of(pitch) * ratio * time) / (n + 1) for n, ratio in enumerate(BAR)
    ]
    return np.asarray(0.2 * np.sum(waves, axis=0))


def pipe(pitch: float, held: float = 2.5, seconds: float = 3.2) -> np.ndarray:
    """An organ's note: a slow beginning, six harmonics without change while the key is down, a release."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = np.sum([0.7**n * np.sin(2 * np.pi * hertz_of(pitch) * n * time + n) for n in range(1, 7)], axis=0)
    return np.asarray(0.1 * np.minimum(time / ATTACK, 1) * 10 ** (-3 * np.maximum(time - held, 0) / RELEASE) * wave)


def written(folder: Path, pitches: range, sound: Callable[[float], np.ndarray]) -> Path:
    folder.mkdir()
    for pitch in pitches:
        soundfile.write(folder / f"{note_name(pitch)}.wav", sound(pitch), RATE, subtype="FLOAT")
    return folder


def played(voice: StruckVoice, pitch: int, seconds: float) -> np.ndarray:
    """One note, mono, without its part's volume and room."""
    note = PlayedNote(0.0, seconds, seconds, pitch, 90, 0)
    part = Part(0, "", 0, False, (note,), None, None, None, None, None)
    sound = StruckSound(StruckControls(Preset("plain", attack=0.3, release=3.0), voice, note, part, RATE), RATE)
    pieces = []
    while not sound.done:
        pieces.append(sound.next_segment())
    return np.concatenate(pieces, axis=1).mean(0)


def level(sound: np.ndarray, hertz: float, begin: float, seconds: float = 0.2, rate: int = RATE) -> float:
    """Decibels of a sine within a stretch of sound."""
    part = sound[round(begin * rate) : round((begin + seconds) * rate)]
    window = np.hanning(len(part))
    down = np.exp(-2j * np.pi * hertz / rate * np.arange(len(part)))
    return float(20 * np.log10(2 * abs((part * window) @ down) / window.sum() + 1e-12))


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> StruckVoice:
    """Bars 15 cents high; which of the two spectra fits is found out."""
    base = tmp_path_factory.mktemp("bars")
    facts = train_struck(written(base / "notes", range(60, 81, 4), lambda pitch: bar(pitch + 0.15)), base / "voice", StruckSettings(16))
    assert (facts["spectrum"], facts["tone"], facts["held_out_notes"]) == ("modes", "struck", 1)
    assert facts["tried"]["modes"]["decibels"] < 0.7 * facts["tried"]["string"]["decibels"]
    return load_struck(base / "voice")


@pytest.fixture(scope="module")
def organ(tmp_path_factory: pytest.TempPathFactory) -> StruckVoice:
    """Pipes, which are strings without stiffness that do not fall."""
    base = tmp_path_factory.mktemp("organ")
    facts = train_struck(written(base / "notes", range(52, 69, 8), pipe), base / "voice", StruckSettings(12))
    assert (facts["spectrum"], facts["tone"]) == ("string", "held")
    return load_struck(base / "voice")


@pytest.mark.parametrize("pitch", [48, 69, 88])
def test_modes_are_found_where_they_are(pitch: int):
    hertz = find_modes([bar(pitch), 0.1 * bar(pitch)], RATE, hertz_of(pitch), 18000.0, 16, 0.2 * hertz_of(pitch))
    wanted = [hertz_of(pitch) * ratio for ratio in BAR if hertz_of(pitch) * ratio < 18000]
    assert len(hertz) == len(wanted)
    assert max(abs(cents(one, other)) for one, other in zip(hertz, wanted, strict=True)) < 3
    assert not len(find_modes([np.zeros(RATE)], RATE, 440.0, 18000.0, 16, 88.0))


def test_a_pitch_is_that_of_its_mode_or_as_named():
    hertz, levels = np.array([300.0, 446.0, 900.0]), np.array([0.0, -10.0, 0.0])
    assert tuning_of(hertz, levels, 440.0) == pytest.approx(446 / 440)
    assert tuning_of(hertz, np.array([0.0, -40.0, 0.0]), 440.0) == 1.0  # too soft to be what is heard
    assert tuning_of(hertz, levels, 500.0) == 1.0


@pytest.mark.parametrize("pitch", [60, 66, 79])
def test_a_bar_sounds_at_its_modes_in_tune(bars: StruckVoice, pitch: int):
    sound = played(bars, pitch, 2.0)[: round(0.4 * RATE)]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 18))
    for ratio in BAR[:3]:
        near = np.abs(np.fft.rfftfreq(1 << 18, 1 / RATE) / (hertz_of(pitch) * ratio) - 1) < 0.05
        peak = np.flatnonzero(near)[spectrum[near].argmax()] * RATE / (1 << 18)
        assert abs(cents(peak, hertz_of(pitch) * ratio)) < 4
    assert level(sound, hertz_of(pitch) * 2, 0.05) < level(sound, hertz_of(pitch), 0.05) - 40  # no harmonic


def test_modes_fall_as_they_fell(bars: StruckVoice):
    note = bars.note(66, 90)
    at = note.partials_at(np.array([0.1, 0.6]))
    assert [(at[0, n] - at[1, n]) / 0.5 for n in range(3)] == pytest.approx([20, 35, 50], abs=2)


def test_between_two_pitches_modes_they_share_move_and_others_stay():
    levels = np.zeros((2, 1, 2, 2), np.float32)
    levels[1] = -20.0
    ratios = np.array([[1.0, 3.0], [1.01, 4.0]], np.float32)
    voice = StruckVoice(
        np.array([60.0, 64.0]), np.array([90.0]), np.array([0.0, 1.0]), np.zeros(2), np.array([500.0]), levels,
        np.zeros((2, 1, 1, 2), np.float32), ratios,
    )  # fmt: skip
    lower, upper = voice.note(61, 90), voice.note(63, 90)
    assert lower.ratios == pytest.approx([1.0025, 3.0], abs=1e-4)
    assert upper.ratios == pytest.approx([1.0075, 4.0], abs=1e-4)
    assert lower.partials[:, 0].tolist() == pytest.approx([-5.0, 0.0])
    assert upper.partials[:, 0].tolist() == pytest.approx([-15.0, -20.0])


def test_held_notes_are_told_from_struck_ones_and_let_go():
    assert is_held(pipe(60), RATE)
    assert not is_held(bar(60, 2.5), RATE)
    assert not is_held(pipe(60)[: RATE // 2], RATE)  # too short to tell
    end, release = let_go(pipe(60), RATE)
    assert end == pytest.approx(2.5, abs=0.04)
    assert release == pytest.approx(RELEASE, rel=0.06)
    assert let_go(pipe(60)[: 2 * RATE], RATE) == (pytest.approx(2.0, abs=0.02), None)


def test_a_chord_on_the_organ_stands_while_it_is_held_and_is_let_go(organ: StruckVoice):
    chord = [52, 59, 64]
    sounds = [played(organ, pitch, 12.0) for pitch in chord]
    together = np.sum([sound[: min(map(len, sounds))] for sound in sounds], axis=0)
    for pitch in chord:
        held = [level(together, hertz_of(pitch), begin, 0.5) for begin in (0.6, 3.0, 7.0, 11.0)]
        assert max(held) - min(held) < 0.2
        assert held[0] > -40
        fallen = level(together, hertz_of(pitch), 12.1, 0.05) - level(together, hertz_of(pitch), 12.2, 0.05)
        assert fallen == pytest.approx(60 * 0.1 / RELEASE, abs=1.5)
        assert abs(cents(_peak(together, pitch), hertz_of(pitch))) < 2
    alone = sounds[0]
    rising = np.abs(alone[: round(0.02 * RATE)]).max() / np.abs(alone[RATE : 2 * RATE]).max()
    assert rising < 0.5  # the attack of the recordings, not at once
    assert np.abs(alone[round(0.1 * RATE) : round(0.15 * RATE)]).max() > 0.8 * np.abs(alone[RATE : 2 * RATE]).max()
    assert len(alone) < (12.0 + 2 * RELEASE) * RATE


def test_noise_of_a_held_note_goes_on_without_end(organ: StruckVoice):
    noise = np.full_like(organ.noise, -120.0)
    noise[:, :, :5] = organ.partials.max() - 30  # up to 250 Hz
    windy = StruckVoice(**{**vars(organ), "noise": noise})
    rest = played(windy, 60, 9.0) - played(organ, 60, 9.0)
    loudness = [20 * np.log10(np.sqrt(np.mean(rest[begin * RATE : (begin + 1) * RATE] ** 2))) for begin in range(1, 9)]
    assert max(loudness) - min(loudness) < 1.5
    made = stroke_noise(windy, 60, 90, RATE)
    assert made[-1] == pytest.approx(made[len(made) // 2 - 1], abs=1e-6)  # where it begins again there is no click


def test_files_come_back_and_strings_are_written_as_before(bars: StruckVoice, organ: StruckVoice, tmp_path: Path):
    for name, voice in (("bars", bars), ("organ", organ)):
        save_struck(tmp_path / name, voice, {}, RATE)
        again = load_struck(tmp_path / name)
        assert json.loads((tmp_path / name / "config.json").read_text())["version"] == 2
        assert (again.sustained, again.release) == (voice.sustained, voice.release)
        assert (again.ratios is None) == (voice.ratios is None)
        assert again.ratios is None or np.array_equal(again.ratios, voice.ratios)
    save_struck(tmp_path / "old", StruckVoice(**{**vars(organ), "sustained": False, "release": None}), {}, RATE)
    assert json.loads((tmp_path / "old" / "config.json").read_text()) == {
        "kind": "symbolic-struck", "version": 1, "partials": 12, "sample_rate": RATE,
    }  # fmt: skip
    old = load_struck(tmp_path / "old")
    assert (old.ratios, old.sustained, old.release) == (None, False, None)
    assert json.loads((voice_folder("harp") / "config.json").read_text())["version"] == 1
    assert not load_struck(voice_folder("harp")).sustained


def test_programs_that_are_held_have_voices_that_are_and_bars_have_modes():
    voices = {number: load_struck(voice_folder(name)) for number, name in struck_programs().items()}
    held = {number for number, voice in voices.items() if voice.sustained}
    assert {16, 17, 18, 19, 52, 53, 54, 91} <= held <= {*range(16, 24), 29, 30, 52, 53, 54, 58, 59, *range(64, 68), 74, 75, 85, 91}
    assert {9, 11, 12, 13, 14, 47} <= {number for number, voice in voices.items() if voice.ratios is not None}
    for number in held:
        assert voices[number].release is not None
        assert not PROGRAMS[number].one_shot


def test_reeds_and_voices_have_tables_of_their_own():
    names = struck_programs()
    own = {20: "reed-organ", 21: "accordion", 22: "harmonica", 23: "bandoneon", 52: "choir", 53: "voice-oohs", 54: "synth-voice"}
    assert {number: names[number] for number in own} == own
    bright = {}
    for number in own:
        voice = load_struck(voice_folder(names[number]))
        assert voice.sustained
        levels = voice.note(60, 90).partials_at(np.array([1.0]))[0]
        powers = 10 ** (levels[:20] / 10)
        bright[number] = float(np.arange(1, len(powers) + 1) @ powers / powers.sum())  # the mean partial
    assert bright[53] < 0.8 * bright[52] < bright[21]  # oohs, aahs, reeds


@pytest.mark.parametrize("program", [19, 21, 52, 53])
def test_a_chord_of_a_song_has_its_pitches(program: int):
    score, rate = Score(480), 16000
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", program, False, [Note(0, 4 * 480, pitch, 90) for pitch in (55, 59, 62)]))
    sound = symbolic.render(score, rate).mean(0)
    for pitch in (55, 59, 62):
        harmonics = [
            max(level(sound, hertz_of(pitch) * n * 2 ** (off / 1200), 1.0, 2.0, rate) for off in range(-24, 25, 4)) for n in (1, 2, 3)
        ]
        between = level(sound, hertz_of(pitch) * 2 ** (1 / 24), 1.0, 2.0, rate)  # a quarter of a tone above
        assert max(harmonics) > between + 12
    loudness = [np.sqrt(np.mean(sound[begin : begin + rate] ** 2)) for begin in range(rate, 3 * rate, rate // 2)]
    assert max(loudness) / min(loudness) < 1.6


def _peak(sound: np.ndarray, pitch: int) -> float:
    part = sound[RATE : 4 * RATE]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 19))
    hertz = np.fft.rfftfreq(1 << 19, 1 / RATE)
    near = np.abs(hertz / hertz_of(pitch) - 1) < 0.02
    return float(hertz[near][spectrum[near].argmax()])

"""Songs with WaveNet voices: every note made once before the mix, bends as speed, loudness as the learned voices have it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from symusic import ControlChange, Note, PitchBend, Score, Tempo, Track

from symbolic.cli import main
from symbolic.dsp.a_weighting import loudness_of_frames
from symbolic.dsp.mu_law import mu_law_encode
from symbolic.errors import InputError
from symbolic.models.wavenet import bundled
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.saving import save_wavenet
from symbolic.rendering import render, render_file
from symbolic.rendering.in_tune import PlayedNote, heard_pitch, sound_of
from symbolic.rendering.note_cache import NoteCache
from symbolic.rendering.performance import perform
from symbolic.rendering.phrases import HIDDEN, HIDDEN_PITCHES, PLAYED_AT
from symbolic.rendering.wavenet_part import RELEASE, VELOCITY_STEP, WavenetNotes, reading, wavenet_parts, wavenet_programs
from symbolic.rendering.wavenet_source import WavenetSource, read_at

RATE = 16000
CONFIG = WavenetConfig(channels=32, layers=3, cycle=3, kernel=2, conditioning=32, encoder_channels=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wavenets") / "cello"
    save_wavenet(Wavenet(CONFIG), path)
    (path / "voice.json").write_text(json.dumps({"kind": "wavenet", "lowest_pitch": 40.2, "highest_pitch": 72.0}))
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))


def song(pitches: list[list[int]], program: int = 42, drums: bool = True) -> Score:
    """Chords of half a second, one after another, with a drum on each."""
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    track, kit = Track("strings", program, False), Track("drums", 0, True)
    for place, chord in enumerate(pitches):
        for pitch in chord:
            track.notes.append(Note(480 * place, 460, pitch, 80))
        kit.notes.append(Note(480 * place, 100, 36, 90))
    score.tracks.append(track)
    if drums:
        score.tracks.append(kit)
    return score


class Tones(WavenetNotes):
    """Notes that are sines in tune, so that what is done with them can be heard; everything but the network is as in a song."""

    def make(self, wanted, progress=None):
        for pitch, velocity, samples in wanted:
            time = np.arange(samples) / RATE
            wave = 0.4 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * np.minimum(1, time / 0.01)
            codes = mu_law_encode(wave.astype(np.float32)).astype(np.uint8)
            heard = heard_pitch(sound_of(codes, self.voice.model), RATE)
            played = PlayedNote(codes, None if heard is None else heard[0])
            self._made[pitch, velocity, samples] = self._judged((pitch, velocity, samples), played)


@pytest.fixture
def tones(folder: Path) -> Tones:
    return Tones("cello", folder, None, 1)


def sounded(tones: Tones, score: Score) -> np.ndarray:
    """The dry sound (2, S) of the first part, at 16 kHz."""
    from symbolic.rendering.wavenet_part import WavenetPart

    part = perform(score)[0]
    tones.make([tones.wanted(note, part) for note in part.notes])
    source = WavenetSource(part, 0.0, RATE, WavenetPart(tones))
    pieces, start = [], 0
    while not source.begun or start < source.end:
        source.begin(start + 4000)
        pieces.append(source.take(start, 4000)[0])
        source.forget()
        start += 4000
    return np.concatenate(pieces, axis=1)


def test_a_song(folder, tmp_path):
    """Chords, and a drum that no WaveNet plays; the second time, when all notes are kept, the sound is the same."""
    score = song([[50, 57], [52], [50, 57]])
    told, remarks = [], []
    first = render(score, RATE, voices=f"wavenet:{folder}", progress=lambda *done: told.append(done), tell=remarks.append)
    assert first.shape[0] == 2
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0.05
    assert remarks == [
        f"WaveNet {folder} plays track 1; no WaveNet plays track 2, left to learned voices and the synthesizer",
        f"WaveNet {folder}: 3 of the 3 notes made are not at the pitch told, or at none; the network needs more training",
    ]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == pytest.approx(told[-1][1])
    notes = sorted((tmp_path / "caches").rglob("*.note"))
    assert len(notes) == 2 * 3  # of each of three notes its samples and its pitch
    again = render(score, RATE, voices=f"wavenet:{folder}")
    np.testing.assert_array_equal(first, again)
    assert sorted((tmp_path / "caches").rglob("*.note")) == notes
    synthesized = render(score, RATE, voices="synthesized")
    assert abs(synthesized.shape[1] - first.shape[1]) < RATE
    assert (synthesized[:, :RATE] != first[:, :RATE]).any()


def test_stems_sum_to_the_mix(folder, tmp_path):
    """A part on a WaveNet is a stem like any other."""
    report = render_file(
        song([[50], [52]]), tmp_path / "mix.wav", sample_rate=RATE, bit_depth=32, voices=f"wavenet:{folder}", stems=tmp_path / "stems"
    )
    assert (report.wavenet, report.learned, report.tracks) == (1, 1, 2)  # the drums have a kit of their own
    mix, _ = soundfile.read(tmp_path / "mix.wav")
    stems = [soundfile.read(path)[0] for path in sorted((tmp_path / "stems").iterdir())]
    np.testing.assert_allclose(sum(stems), mix, atol=1e-5)


def test_notes_in_time_at_their_pitch(tones):
    """Each sounds at its pitch from its beat on, inside the compass and beyond, for as long as it is held."""
    sound = sounded(tones, song([[50], [64], [79], [38]], drums=False))[0]
    for place, pitch in enumerate((50, 64, 79, 38)):
        begin = round((0.5 * place + 0.12) * RATE)
        assert heard_pitch(sound[begin : begin + round(0.35 * RATE)], RATE)[0] == pytest.approx(pitch, abs=0.1)
    loud = np.abs(sound) > 1e-3
    assert np.flatnonzero(loud)[0] < 0.02 * RATE
    end = 1.5 + 460 / 960 + RELEASE
    assert np.flatnonzero(loud)[-1] / RATE == pytest.approx(end, abs=0.04)


def test_bends_are_speed(tones):
    """A wheel that goes up by two semitones takes the pitch along; the modulation wheel makes a vibrato; lengths stay."""
    score = song([[60], [60], [60]], drums=False)
    score.tracks[0].pitch_bends.append(PitchBend(480, 8191))
    score.tracks[0].pitch_bends.append(PitchBend(960, 0))
    score.tracks[0].controls.append(ControlChange(0, 1, 0))
    score.tracks[0].controls.append(ControlChange(960, 1, 127))
    plain, bent = sounded(tones, song([[60], [60], [60]], drums=False))[0], sounded(tones, score)[0]
    assert abs(len(plain) - len(bent)) <= 4000
    for begin, pitch in ((0.15, 60), (0.65, 62)):
        piece = bent[round(begin * RATE) : round((begin + 0.3) * RATE)]
        assert heard_pitch(piece, RATE)[0] == pytest.approx(pitch, abs=0.06)
    middle, low, high = heard_pitch(bent[round(1.1 * RATE) : round(1.45 * RATE)], RATE)
    assert middle == pytest.approx(60, abs=0.2)
    assert high - low > 0.4


def test_loudness_is_that_of_learned_voices(tones):
    """The A-weighted level of a note is what phrases of learned voices aim at, for every pitch and velocity."""
    for pitch, velocity in ((45, 60), (60, 60), (60, 110), (71, 90)):
        score = song([[pitch]], drums=False)
        score.tracks[0].notes[0].velocity = velocity
        sound = sounded(tones, score)[0]
        frames = np.lib.stride_tricks.sliding_window_view(sound, 512)[::128]
        level = float(np.percentile(loudness_of_frames(frames[: int(0.5 * RATE) // 128]), 90))
        part_gain = 20 * math.log10((100 / 127) ** 2)
        aim = PLAYED_AT + 40 * math.log10(velocity / 127) - float(np.interp(pitch, HIDDEN_PITCHES, HIDDEN)) + part_gain
        assert level == pytest.approx(aim, abs=1.0)


def test_a_note_out_of_tune_is_brought_to_its_pitch(tones):
    """By up to half a semitone; what is farther off is left as it came."""
    for cents, tuning in ((30, 0.3), (-45, -0.45)):
        made = tones._judged((60.0, 80.0, RATE), PlayedNote(np.full(RATE, 128, np.uint8), 60 - cents / 100))
        assert made.tuning == pytest.approx(tuning)
    assert not tones.remarks()
    for heard in (58.2, None):
        assert tones._judged((60.0, 80.0, RATE), PlayedNote(np.full(RATE, 128, np.uint8), heard)).tuning is None


def test_what_is_asked_of_the_voice(tones):
    """Pitch within the compass, velocity in steps, whole codes that are enough for the note however it is bent."""
    score = song([[38, 60, 90]], drums=False)
    score.tracks[0].pitch_bends.append(PitchBend(100, 8191))
    part = perform(score)[0]
    for note, told in zip(part.notes, (40.2, 60.0, 72.0), strict=True):
        pitch, velocity, samples = tones.wanted(note, part)
        assert (pitch, velocity) == (told, 80)
        assert velocity % VELOCITY_STEP == 0
        assert samples % CONFIG.code_samples == 0
        speeds, changes = reading(note, part, note.pitch - told)
        assert changes
        used = speeds.mean() * (note.release - note.start + RELEASE) * RATE
        assert used <= samples < used + 2 * CONFIG.code_samples


def test_reading_at_a_speed():
    """At 1 it is the sound; at 2 every second sample; after its end silence."""
    sound = np.sin(np.arange(4000) * 0.05).astype(np.float32)
    np.testing.assert_allclose(read_at(sound, np.ones(100), 3000, RATE), sound[:3000], atol=1e-6)
    np.testing.assert_allclose(read_at(sound, np.full(100, 2.0), 1500, RATE), sound[:3000:2], atol=1e-6)
    half = read_at(sound, np.full(200, 0.5), 3000, RATE)
    np.testing.assert_allclose(half[2:], np.sin(np.arange(2, 3000) * 0.025), atol=1e-4)
    assert not read_at(sound, np.full(100, 2.0), 2500, RATE)[2001:].any()


def test_bundled_voices_play_their_programs(folder, monkeypatch):
    """The table names the nearest voice that is there; parts it does not name, drums, and parts far outside a compass are left."""
    monkeypatch.setattr(bundled, "_bundle", lambda *_: folder.parent)
    score = song([[50]])
    for program, pitch in ((40, 62), (0, 60), (42, 100)):
        track = Track(f"program {program}", program, False)
        track.notes.append(Note(0, 200, pitch, 70))
        score.tracks.append(track)
    found, lines = wavenet_parts(perform(score))
    assert sorted(found) == [0, 2]
    assert lines[:1] == ["WaveNet cello plays tracks 1, 3; no WaveNet plays tracks 2, 4, 5, left to learned voices and the synthesizer"]
    names = {name for every in wavenet_programs().values() for name in every}
    assert {"flute", "cello"} <= names
    assert all(0 <= program <= 127 for program in wavenet_programs())


def test_a_cache_that_cannot_be_written(folder, tmp_path, monkeypatch):
    """One line says so, and the song is rendered."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remarks = []
    sound = render(song([[50]]), RATE, voices=f"wavenet:{folder}", tell=remarks.append)
    assert np.abs(sound).max() > 0.05
    assert sum("rendering goes on without this cache" in line for line in remarks) == 1


def test_voices_that_are_none(folder, tmp_path, monkeypatch, capsys):
    """One line with the choices."""
    monkeypatch.setattr(bundled, "_bundle", lambda *_: tmp_path / "empty")
    with pytest.raises(InputError, match=r"none is bundled; give one's own as wavenet:FOLDER"):
        render(song([[50]]), RATE, voices="wavenet")
    with pytest.raises(InputError, match="no bundled WaveNet of this name"):
        render(song([[50]]), RATE, voices=f"wavenet:{tmp_path}")
    with pytest.raises(InputError, match="choose learned, synthesized, wavenet"):
        render(song([[50]]), RATE, voices="wavenets")
    song([[50], [52]]).dump_midi(tmp_path / "song.mid")
    output = tmp_path / "song.wav"
    arguments = ["render", str(tmp_path / "song.mid"), "-o", str(output), "--sample-rate", "16000"]
    assert main([*arguments, "--voices", f"wavenet:{folder}"]) == 0
    assert "plays track 1; no WaveNet plays track 2" in capsys.readouterr().out
    assert soundfile.info(output).samplerate == 16000


def test_a_long_note_is_bounded(folder):
    """A drone of minutes is left to the synthesizer: a note is at most a minute long."""
    score = song([[50]], drums=False)
    score.tracks[0].notes[0].duration = 480 * 2 * 61
    part = perform(score)[0]
    notes = WavenetNotes("cello", folder, NoteCache(limit=0), 1)
    assert not notes.reaches(part)
    assert notes.reaches(perform(song([[50]], drums=False))[0])

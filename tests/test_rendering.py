"""The renderer as a whole: streaming, levels, stems, files, memory, and what it refuses."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
import soxr
from symusic import ControlChange, Note, Score, Track

from symbolic.errors import InputError
from symbolic.rendering import RenderReport, render, render_file
from symbolic.rendering.mastering import Measure, find_master
from symbolic.rendering.mixing import mix_blocks, stage_places
from symbolic.rendering.performance import perform
from symbolic.rendering.render import stem_names

RATE = 16000
TICKS = 480


def band(bars: int = 4) -> Score:
    """Piano chords, bass, violin and drums: a small piece with pan, volume and pedal."""
    score = Score(TICKS)
    for program, drum in ((0, False), (33, False), (40, False), (0, True)):
        score.tracks.append(Track("", program, drum))
    piano, bass, violin, drums = score.tracks
    for bar in range(bars):
        start = bar * 4 * TICKS
        root = 48 + (0, 5, 7, 0)[bar % 4]
        piano.notes.extend([Note(start + 2 * half * TICKS, 2 * TICKS, root + step, 70 + 8 * half) for half in (0, 1) for step in (0, 4, 7)])
        bass.notes.extend([Note(start + beat * TICKS, TICKS, root - 12, 90) for beat in range(4)])
        violin.notes.append(Note(start, 4 * TICKS, root + 24, 80))
        drums.notes.extend([Note(start + beat * TICKS, 60, (36, 38)[beat % 2], 100) for beat in range(4)])
        drums.notes.extend([Note(start + half * TICKS // 2, 60, (42, 46)[half % 2], 80) for half in range(8)])
    piano.controls.extend([ControlChange(0, 10, 20), ControlChange(0, 7, 90), ControlChange(0, 64, 127), ControlChange(8 * TICKS, 64, 0)])
    violin.controls.extend([ControlChange(tick, 11, 60 + tick // 60) for tick in range(0, 4 * TICKS, 120)])
    return score


def dry_mix(score: Score, block: int | None = None, workers: int | None = None, stems: bool = False) -> np.ndarray:
    return np.concatenate([b.mix for b in mix_blocks(perform(score), RATE, stems, block, workers)], axis=1)


def solo(notes: list[Note], controls: list[ControlChange] = [], program: int = 0) -> Score:  # noqa: B006  never changed
    score = Score(TICKS)
    score.tracks.append(Track("", program, False))
    score.tracks[0].notes.extend(notes)
    score.tracks[0].controls.extend(controls)
    return score


def true_peak(sound: np.ndarray, rate: int) -> float:
    return 20 * math.log10(np.abs(soxr.resample(sound.T.astype(float), rate, 4 * rate, "VHQ")).max())


@pytest.mark.parametrize("block", [1000, 7919, 100_000])
def test_the_size_of_the_blocks_does_not_change_the_sound(block: int) -> None:
    """Streaming in blocks of any size equals streaming in blocks of a second, to the last sample and the same length."""
    whole, other = dry_mix(band(2)), dry_mix(band(2), block)
    assert whole.shape == other.shape
    assert np.abs(whole).max() > 0.01
    np.testing.assert_allclose(other, whole, atol=3e-6)


def test_threads_do_not_change_the_sound() -> None:
    """One thread and four give the same samples, bit for bit."""
    np.testing.assert_array_equal(dry_mix(band(2), workers=1), dry_mix(band(2), workers=4))


def test_the_same_score_gives_the_same_bytes(tmp_path: Path) -> None:
    """Rendering twice writes identical files, dither included."""
    for name in ("a.wav", "b.wav"):
        render_file(band(1), tmp_path / name, sample_rate=RATE)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_music_comes_out_at_its_loudness_and_never_clips(tmp_path: Path) -> None:
    """A small band is within half a LU of −16 LUFS and −1 dBTP or less, in the file as in the report, by other meters than ours."""
    report = render_file(band(), tmp_path / "band.wav", sample_rate=RATE)
    sound, rate = soundfile.read(tmp_path / "band.wav")
    loudness = pyloudnorm.Meter(rate).integrated_loudness(sound)
    assert rate == RATE
    assert loudness == pytest.approx(-16, abs=0.5)
    assert report.lufs == pytest.approx(loudness, abs=0.1)
    assert true_peak(sound.T, rate) <= -1
    assert report.true_peak == pytest.approx(true_peak(sound.T, rate), abs=0.15)
    assert report == dataclasses.replace(report, seconds=sound.shape[0] / rate, notes=4 * (6 + 4 + 1 + 12), tracks=4)


def test_peaks_are_held_where_the_loudness_would_clip(tmp_path: Path) -> None:
    """Hard strokes over a soft pad would clip at −16 LUFS: the peaks stand at −1 dBTP, limited by several dB but not squashed."""
    score = solo([Note(0, 16 * TICKS, 60, 40), Note(0, 16 * TICKS, 64, 40)], program=89)
    score.tracks.append(Track("", 0, True))
    score.tracks[1].notes.extend([Note(tick * TICKS, 10, 38, 127) for tick in range(0, 16, 3)])
    report = render_file(score, tmp_path / "hard.wav", sample_rate=RATE)
    sound, _ = soundfile.read(tmp_path / "hard.wav")
    assert true_peak(sound.T, RATE) <= -1
    assert -1.5 < report.true_peak <= -1
    mix = dry_mix(score)
    plain = pyloudnorm.Meter(RATE).integrated_loudness(mix.T.astype(float)) - true_peak(mix, RATE) - 1
    assert plain + 5 < report.lufs <= -15.5


@pytest.mark.parametrize(("velocity", "length"), [(1, 1), (127, 0), (127, TICKS * 8)])
def test_a_single_note_does_not_clip_either(velocity: int, length: int) -> None:
    """One note, soft or hard, of no length or long, is finite, heard, and under −1 dBTP."""
    for program in (0, 13, 119):
        sound = render(solo([Note(0, length, 60, velocity)], program=program), RATE)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert -60 < true_peak(sound, RATE) <= -1


def test_render_gives_what_the_file_holds(tmp_path: Path) -> None:
    """The array equals the file up to its dither: two steps of 16 bits."""
    render_file(band(1), tmp_path / "x.wav", sample_rate=RATE, bit_depth=16)
    stored, _ = soundfile.read(tmp_path / "x.wav")
    sound = render(band(1), RATE)
    assert soundfile.info(tmp_path / "x.wav").subtype == "PCM_16"
    np.testing.assert_allclose(stored.T, sound, atol=2.0 / 32768)
    assert np.abs(stored.T - sound).max() > 0.4 / 32768


@pytest.mark.parametrize(("suffix", "subtype"), [(".wav", "PCM_24"), (".flac", "PCM_24"), (".ogg", "VORBIS"), (".mp3", "MPEG_LAYER_III")])
def test_files_are_of_the_kind_that_their_suffix_names(suffix: str, subtype: str, tmp_path: Path) -> None:
    """Each suffix gives its format, stereo at the rate asked for, as long as the report says."""
    report = render_file(solo([Note(0, TICKS, 60, 90)]), tmp_path / f"x{suffix}", sample_rate=RATE)
    info = soundfile.info(tmp_path / f"x{suffix}")
    assert (info.subtype, info.channels, info.samplerate) == (subtype, 2, RATE)
    assert info.duration == pytest.approx(report.seconds, abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


def test_stems_sum_to_the_mix(tmp_path: Path) -> None:
    """Stems carry their part of the room and the mix's gain, limiter included: their sum is the mix within the dither."""
    score = band(2)
    render_file(score, tmp_path / "mix.wav", sample_rate=RATE, stems=tmp_path / "stems")
    stems = sorted((tmp_path / "stems").iterdir())
    names = ["00-acoustic-grand-piano", "01-fingered-bass", "02-violin", "03-drums"]
    assert [path.stem for path in stems] == stem_names(perform(score)) == names
    sounds = [soundfile.read(path)[0] for path in stems]
    assert all(np.abs(sound).max() > 0.01 for sound in sounds)
    np.testing.assert_allclose(sum(sounds), soundfile.read(tmp_path / "mix.wav")[0], atol=1e-5)
    np.testing.assert_allclose(dry_mix(score, stems=True), dry_mix(score), atol=3e-6)


def test_pan_moves_the_energy() -> None:
    """Controller 10 puts a track on its side, and back in the middle both sides are alike within 1.5 dB."""

    def sides(value: int) -> float:
        power = (dry_mix(solo([Note(0, TICKS, 60, 90)], [ControlChange(0, 10, value)], 56)).astype(float) ** 2).sum(1)
        return 10 * math.log10(power[0] / power[1])

    assert sides(0) > 12
    assert sides(127) < -12
    assert abs(sides(64)) < 1.5
    assert sides(32) > 3


@pytest.mark.parametrize("controller", [7, 11])
def test_volume_and_expression_follow_general_midi(controller: int) -> None:
    """Half the value of a controller is 12 dB less; a change in the middle of a note is heard there."""
    notes = [Note(0, 4 * TICKS, 60, 90)]
    full = dry_mix(solo(notes, [ControlChange(0, controller, 126)], 16))
    half = dry_mix(solo(notes, [ControlChange(0, controller, 63)], 16))
    later = dry_mix(solo(notes, [ControlChange(0, controller, 126), ControlChange(2 * TICKS, controller, 63)], 16))
    np.testing.assert_allclose(half, full / 4, atol=1e-5)
    np.testing.assert_allclose(later[:, : int(0.95 * RATE)], full[:, : int(0.95 * RATE)], atol=1e-6)
    assert 0.2 < np.abs(later[:, int(1.6 * RATE) : int(1.9 * RATE)]).max() / np.abs(full[:, int(1.6 * RATE) : int(1.9 * RATE)]).max() < 0.35


def test_the_pedal_makes_a_piano_ring_on() -> None:
    """A second after a short note there is over 20 dB more with the pedal than without."""
    notes = [Note(0, TICKS // 2, 55, 90), Note(6 * TICKS, 10, 90, 1)]
    window = slice(int(1.0 * RATE), int(2.0 * RATE))
    power = [
        float((dry_mix(solo(notes, controls))[:, window].astype(float) ** 2).sum())
        for controls in ([], [ControlChange(0, 64, 127), ControlChange(6 * TICKS, 64, 0)])
    ]
    assert 10 * math.log10(power[1] / power[0]) > 20


def test_tracks_without_pan_stand_apart_and_basses_in_the_middle() -> None:
    """Without controller 10 the parts spread over the stage, balanced; bass and drums hold the middle, a lone track too."""
    score = Score(TICKS)
    for program, drum in ((0, False), (33, False), (40, False), (40, False), (25, False), (0, True)):
        score.tracks.append(Track("", program, drum))
        score.tracks[-1].notes.append(Note(0, TICKS, 60, 90))
    places = stage_places(perform(score))
    assert places[1] == places[5] == 0.0
    assert places[2] != places[3]
    assert places[0] == -places[4] != 0
    assert stage_places(perform(solo([Note(0, 10, 60, 90)], program=40))) == [0.0]


def test_hard_scores_are_rendered() -> None:
    """Unisons that overlap, notes of no length, every pitch, 30 tracks, drum programs and odd drum keys make finite sound."""
    score = Score(TICKS)
    for index in range(30):
        score.tracks.append(Track("", (index * 37) % 128, index % 10 == 9))
        unisons = [Note(0, TICKS, 60, 90), Note(10, TICKS, 60, 80)]
        score.tracks[-1].notes.extend([*unisons, Note(20, 0, 61, 127), Note(0, 30, (index * 9) % 128, 1)])
    score.tracks[0].notes.extend([Note(40, 20, pitch, 64) for pitch in range(128)])
    sound = render(score, 8000)
    assert np.isfinite(sound).all()
    assert true_peak(sound, 8000) <= -1


def test_progress_goes_up_to_the_end() -> None:
    """Progress never goes back and ends at the whole."""
    seen: list[tuple[float, float]] = []
    render(band(2), 8000, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] == pytest.approx(4.0, abs=0.1)


def test_wrong_input_is_told_in_one_line(tmp_path: Path) -> None:
    """Voices, rates, suffixes, bit depths and outputs that cannot be are refused with the value and the choices."""
    score = solo([Note(0, 10, 60, 90)])
    with pytest.raises(InputError, match=r"'moog'.*learned, synthesized"):
        render(score, voices="moog")
    for rate in (7999, 192_001):
        with pytest.raises(InputError, match=f"{rate} is outside 8000"):
            render(score, rate)
    with pytest.raises(InputError, match=r"\.aiff.*\.wav, \.flac, \.ogg, \.mp3"):
        render_file(score, tmp_path / "x.aiff")
    with pytest.raises(InputError, match="bit depth 20"):
        render_file(score, tmp_path / "x.wav", bit_depth=20)
    with pytest.raises(InputError, match="MP3 has no sample rate 96000"):
        render_file(score, tmp_path / "x.mp3", sample_rate=96000)
    with pytest.raises(InputError, match="no notes"):
        render_file(Score(TICKS), tmp_path / "x.wav")
    (tmp_path / "there.wav").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        render_file(score, tmp_path / "there.wav")
    assert (tmp_path / "there.wav").read_bytes() == b"mine"
    assert isinstance(render_file(score, tmp_path / "there.wav", sample_rate=8000, force=True), RenderReport)
    assert [path.name for path in tmp_path.iterdir()] == ["there.wav"]


def test_master_leaves_a_mix_without_high_peaks_to_one_gain() -> None:
    """A mix whose peaks stay under the ceiling gets a gain and no limiter, and is not read again."""
    master = find_master(lambda: pytest.fail("read again"), Measure(-20.0, -9.0), RATE)
    assert master.gain == pytest.approx(4.0)
    assert master.ceiling is None


MEMORY = """
import resource, sys
from symusic import Note, Score, Track
from symbolic.rendering import render_file
score = Score(480)
for program, drum in ((11, False), (73, False), (0, True)):
    score.tracks.append(Track("", program, drum))
for beat in range(0, 2 * int(sys.argv[1]), 16):
    score.tracks[0].notes.append(Note(beat * 480, 480, 60 + beat % 7, 80))
    score.tracks[1].notes.append(Note(beat * 480, 1920, 55 + beat % 5, 70))
    score.tracks[2].notes.append(Note((beat + 15) * 480, 10, 38, 100))
report = render_file(score, sys.argv[2], sample_rate=8000)
print(report.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Ten minutes need at most 10 MB more than one minute, and less than 1.5 GB in all, imports included."""
    peaks = []
    for seconds in (60, 600):
        command = [sys.executable, "-c", MEMORY, str(seconds), str(tmp_path / f"{seconds}.wav")]
        done, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        assert done >= seconds - 2
        peaks.append(peak)
    assert peaks[1] < 1500
    assert peaks[1] - peaks[0] < 10


def test_importing_the_renderer_loads_neither_torch_nor_numba() -> None:
    """The command line stays quick: heavy libraries are imported when sound is made, not before."""
    code = "import sys, symbolic.rendering; print(sorted({'torch', 'numba', 'matplotlib', 'scipy.signal'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"

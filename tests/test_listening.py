"""Listening to a sound while it comes: pitch, rate and loudness block by block equal what the whole gives, with a bounded delay."""

import numpy as np
import pytest
import torch

from symbolic.dsp.a_weighting import a_weighted_loudness, loudness_of_frames
from symbolic.dsp.pitch_stream import PitchStream
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.dsp.short_delay import ShortDelayResampler

RATE, HOP = 16000, 64


def glide(seconds: float = 1.5) -> np.ndarray:
    """From 196 to 784 Hz, eight partials."""
    hertz = 196 * 4 ** (np.arange(round(seconds * RATE)) / (seconds * RATE))
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    return sum(np.sin(k * phase + k) / k for k in range(1, 9)) * 0.1


def streamed(sound: np.ndarray, size: int, **options: float) -> tuple[np.ndarray, np.ndarray]:
    stream = PitchStream(RATE, HOP, **options)
    tracks = [stream.process(sound[first : first + size]) for first in range(0, len(sound), size)] + [stream.flush()]
    return np.concatenate([one.pitch for one in tracks]), np.concatenate([one.periodicity for one in tracks])


@pytest.mark.parametrize("look_ahead", [0, 4, 60])
def test_the_stream_tracks_a_glide_as_the_whole_does(look_ahead: int):
    """Where every frame has a pitch, each is that of the tracker that knows the whole, to a hundredth of a cent, with any look-ahead."""
    sound = glide()[: 373 * HOP + 11]
    pitch, periodicity = streamed(sound, 999, look_ahead=look_ahead, lowest=50.0)
    whole = track_pitch(sound, RATE, HOP, lowest=50.0)
    assert len(pitch) == len(whole.pitch) == 373
    inner = slice(10, -15)  # at the ends the whole's tracker mends single frames
    assert np.abs(1200 * np.log2(pitch[inner] / whole.pitch[inner])).max() < 0.01
    np.testing.assert_allclose(periodicity[inner], whole.periodicity[inner], atol=1e-6)


@pytest.mark.parametrize("together", [1, 2, 64])
def test_blocks_do_not_change_the_track(together: int):
    """Blocks of 1, 63, 5,000 samples and all at once: the same frames bit for bit, also in noise and for a length that fills no group."""
    sound = np.concatenate([glide(0.3), 0.1 * np.random.default_rng(0).standard_normal(2001)])
    results = [streamed(sound, size, together=together, look_ahead=7) for size in (1, 63, 5000, len(sound))]
    assert len(results[0][0]) == len(sound) // HOP
    for one in results[1:]:
        np.testing.assert_array_equal(one, results[0])


def test_the_track_waits_no_longer_than_said():
    """A frame is given as soon as `needed` samples after its middle, its group and the look-ahead are there: not one sample earlier."""
    sound, look_ahead, together = glide(0.5), 5, 2
    stream = PitchStream(RATE, HOP, look_ahead=look_ahead, together=together)
    given = 0
    for taken in range(1, 4000):
        given += len(stream.process(sound[taken - 1 : taken]).pitch)
        computed = max(0, (taken - stream.needed + HOP // 2) // HOP) // together * together
        assert given == max(0, computed - look_ahead)
    assert given > 30


def test_hours_do_not_wear_the_path_out():
    """The costs of the paths stay small: after 20,000 frames a step of an octave is found as in the beginning."""
    time = np.arange(HOP * 200) / RATE
    step = np.concatenate([np.sin(2 * np.pi * 250 * time), np.sin(2 * np.pi * 500 * time)]).astype(np.float32)
    stream = PitchStream(RATE, HOP, lowest=100.0, look_ahead=10)
    for _ in range(50):
        track = stream.process(step)
    assert stream._path._total.max() < 100
    assert {round(float(pitch)) for pitch in np.concatenate([track.pitch[60:180], track.pitch[260:380]])} == {250, 500}


def test_a_stream_refuses_what_cannot_be():
    """Pitches that do not rise below half the rate, and looking back, are refused with the values."""
    with pytest.raises(ValueError, match="9000"):
        PitchStream(RATE, HOP, highest=9000.0)
    with pytest.raises(ValueError, match="-1"):
        PitchStream(RATE, HOP, look_ahead=-1)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000, 96001, 192000])
def test_another_rate_with_a_short_delay(rate: int):
    """A tone of 1 kHz comes through to 0.1 %, in time; blocks change nothing; what would alias is 60 dB down; the delay is 2 ms at most."""
    seconds = np.arange(rate // 2) / rate
    sound = np.stack([np.sin(2 * np.pi * 1000 * seconds), np.sin(2 * np.pi * 9100 * seconds)])
    results = []
    for size in (97, len(seconds)):
        resampler = ShortDelayResampler(rate, RATE, 2)
        pieces = [resampler.process(sound[:, first : first + size]) for first in range(0, len(seconds), size)]
        results.append(np.concatenate([*pieces, resampler.flush()], axis=1))
    np.testing.assert_array_equal(*results)
    tone, alias = results[0][:, 50:-50]
    assert results[0].shape == (2, round(len(seconds) * RATE / rate))
    np.testing.assert_allclose(tone, np.sin(2 * np.pi * 1000 * np.arange(len(results[0][0])) / RATE)[50:-50], atol=1e-3)
    assert resampler.delay / rate < 0.002
    if rate > 2 * 9100:
        assert np.abs(alias).max() < 1e-3


def test_loudness_of_frames_is_that_of_the_whole():
    """Frames cut at every hop have the loudness that the tensor version gives; a sine of 1 kHz is at 19.8 dB, silence at −80."""
    sound = glide(0.5)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, 256), 512)[::HOP]
    expected = a_weighted_loudness(torch.from_numpy(sound)[None])[0].numpy()
    np.testing.assert_allclose(loudness_of_frames(frames), expected, atol=1e-9)
    assert loudness_of_frames(np.sin(2 * np.pi * 1000 * np.arange(512) / RATE)[None])[0] == pytest.approx(19.8, abs=0.05)
    assert loudness_of_frames(np.zeros((1, 512)))[0] == -80


def test_with_all_the_future_the_path_is_the_tracker_s():
    """Noisy notes that leap, decided when all is known: at least 98 of 100 frames with a pitch have the whole's to a cent."""
    random = np.random.default_rng(3)
    time = np.arange(RATE // 8) / RATE
    notes = [sum(np.sin(2 * np.pi * k * hertz * time) for k in (1, 2, 3)) for hertz in random.uniform(150, 900, 12)]
    sound = np.concatenate(notes) + 0.7 * random.standard_normal(12 * len(time))
    pitch, periodicity = streamed(sound, 4000, look_ahead=10_000)
    whole = track_pitch(sound, RATE, HOP)
    there = periodicity > 0.5
    assert there.sum() > 100
    assert np.mean(np.abs(1200 * np.log2(pitch[there] / whole.pitch[there])) < 1) >= 0.98

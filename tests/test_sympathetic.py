"""Strings that ring because others do: pushed by their own partials and by no others, never growing, ended by the damper."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import upfirdn
from symusic import ControlChange, Note, Score, Tempo, Track

from symbolic.models.voices.struck import StruckVoice
from symbolic.rendering.learned_part import LearnedPart
from symbolic.rendering.mixing import mix_blocks
from symbolic.rendering.performance import Part, PlayedNote, perform
from symbolic.rendering.sympathetic import COUPLING, Resonance, low_pass, lowered, overlapping, string_of

RATE = 48000
C3, C4, FIS4 = 48, 60, 66
PARTIALS = 20


def piano(dampers: tuple[tuple[float, float], ...] | None = ((21, 0.5), (88, 0.2))) -> StruckVoice:
    """Strings whose partials fall by 3 dB a second and by one more for each next partial."""
    times, pitches = np.array([0.003, 0.1, 1.0, 8.0], np.float32), np.array([21.0, 108.0], np.float32)
    number = np.arange(1, PARTIALS + 1)[:, None]
    levels = -20 * np.log10(number) - (2 + number) * times
    noise = np.full((2, 1, 3, len(times)), -120.0, np.float32)
    table = np.tile(levels, (2, 1, 1, 1)).astype(np.float32)
    centres, stiffness = np.array([100.0, 1000.0, 5000.0], np.float32), np.full(2, 1e-4, np.float32)
    damped = None if dampers is None else np.array(dampers, np.float32)
    return StruckVoice(pitches, np.array([80.0], np.float32), times, stiffness, centres, table, noise, dampers=damped)


def part_of(notes: list[tuple[float, float, int, int]], pedal: tuple[tuple[float, float], ...] = ()) -> Part:
    """Notes as (start, release, pitch, velocity)."""
    played = tuple(PlayedNote(start, end, end, pitch, velocity, place) for place, (start, end, pitch, velocity) in enumerate(notes))
    return Part(0, "", 0, False, played, None, None, None, None, None, pedal)


def tone(hertz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def rung(resonance: Resonance, pitch: int, sound: np.ndarray, seconds: float, block: int = RATE) -> np.ndarray:
    """What rings (2, S) when a key sounds so from the beginning on."""
    resonance.hear(pitch, *resonance.heard(0, sound))
    starts = range(0, round(seconds * RATE), block)
    return np.concatenate([resonance.ring(start, block) for start in starts], axis=1)


def level(sound: np.ndarray, begin: float, end: float) -> float:
    return float(10 * np.log10(np.square(sound[:, round(begin * RATE) : round(end * RATE)]).mean() + 1e-20))


def played(notes: list[tuple[float, float, int, int]], pedal: tuple[tuple[float, float], ...] = (), size: int = RATE) -> np.ndarray:
    """Notes on the made piano as the mix has them."""
    part = part_of(notes, pedal)
    blocks = mix_blocks([part], RATE, block_samples=size, learned={0: LearnedPart(struck=piano())})
    return np.concatenate([block.mix for block in blocks], axis=1)


def test_a_silent_string_rings_with_its_partials_and_with_no_others():
    """A held C3 takes up C4, which is its second partial, and F#4, which is none of its own, by 20 dB less."""
    levels = []
    for struck in (C4, FIS4):
        resonance = Resonance(piano(), part_of([(0, 9, C3, 1), (0, 0.3, struck, 90)]), 0.3, RATE)
        hertz = 440 * 2 ** ((struck - 69) / 12)
        sound = rung(resonance, struck, tone(hertz, 0.3) * np.hanning(0.3 * RATE), 3.0)
        levels.append(level(sound, 0.5, 2.5))
    assert levels[0] > -66
    assert levels[0] > levels[1] + 20


def test_a_silent_key_is_heard_in_a_song():
    """After C4 is let go, its tone goes on in C3's string, which was pressed without a sound."""
    key = (0, 4, C3, 1)
    alone, other, octave = (played([key, *struck])[:, : 4 * RATE] for struck in ([], [(0.5, 0.7, FIS4, 100)], [(0.5, 0.7, C4, 100)]))
    part = slice(round(1.8 * RATE), round(3.8 * RATE))
    spectra = [np.abs(np.fft.rfft((sound - alone)[0, part] * np.hanning(2 * RATE))) for sound in (other, octave)]
    bins = slice(2 * 262 - 6, 2 * 262 + 7)  # half a hertz each
    assert spectra[1][bins].max() > 10 * spectra[0][bins].max()
    assert spectra[1][bins].max() > 0.25


def test_without_pedal_and_held_keys_there_is_nothing():
    notes = [(0.0, 0.4, C3, 90), (0.5, 0.9, C4, 90), (1.0, 1.4, C3, 90)]
    assert not Resonance(piano(), part_of(notes), 0.3, RATE).needed
    assert Resonance(piano(), part_of(notes, ((0.2, 0.3),)), 0.3, RATE).needed
    assert Resonance(piano(), part_of([*notes, (0.3, 0.6, FIS4, 90)]), 0.3, RATE).needed
    assert not overlapping({C3: [(0.0, 1.0), (0.5, 2.0)]})  # the same key again
    sound = rung(Resonance(piano(), part_of([(0.0, 0.2, C3, 90)]), 0.3, RATE), FIS4, tone(370, 3.0), 3.0)
    assert np.abs(sound[:, RATE:]).max() < 1e-6
    assert not sound[:, 2 * RATE :].any()  # F#4 goes on, and no string is free


def test_a_key_does_not_push_its_own_string():
    sound = tone(130.8, 0.5)
    own = rung(Resonance(piano(), part_of([(0, 5, C3, 90)]), 0.3, RATE), C3, sound, 2.0)
    other = rung(Resonance(piano(), part_of([(0, 5, C3, 90)]), 0.3, RATE), C4, sound, 2.0)
    assert not own.any()
    assert level(other, 0.5, 2) > -66


def test_what_rings_never_grows_by_itself():
    """All strings free, struck by a click and a chord: once the sound has ended, every quarter of a second has less energy."""
    sound = sum(tone(hertz, 0.5) for hertz in (110.0, 138.6, 164.8, 220.0)) * 0.25
    sound[0] = 10.0
    after = rung(Resonance(piano(), part_of([(0, 20, 108, 90)], ((0.0, 20.0),)), 0.3, RATE), 108, sound, 8.0)
    powers = [level(after, begin, begin + 0.5) for begin in np.arange(0.75, 7.5, 0.5)]
    assert powers[0] > -56
    assert all(later < earlier for earlier, later in pairwise(powers))


@pytest.mark.parametrize("partial", [1, 2, 5])
def test_a_tone_that_stays_is_taken_up_to_the_coupling_and_not_beyond(partial: int):
    string = string_of(piano(), C3, 0.0, 4800.0)
    hertz = float(np.angle(string.free[partial - 1]) * 4800 / (2 * np.pi))
    resonance = Resonance(piano(), part_of([(0, 12, C3, 1)]), 0.0, RATE)
    tops = [np.abs(second).max() for second in np.split(rung(resonance, C4, tone(hertz, 12.0), 12.0)[0], 12)]
    assert tops[0] < tops[3] < tops[-1] <= 1.05 * COUPLING
    assert tops[-1] > 0.9 * COUPLING


def test_the_damper_ends_it():
    """With the pedal up strings fall by 60 dB in their damper's time, whether the sound has ended or goes on."""
    part = part_of([(0, 6, 108, 90)], ((0.0, 2.0),))
    sound = rung(Resonance(piano(), part, 0.3, RATE), 108, tone(220.0, 6.0), 6.0)
    assert level(sound, 1.5, 2.0) > -56
    assert level(sound, 2.6, 3.0) < level(sound, 1.5, 2.0) - 60
    assert not sound[:, 5 * RATE :].any()


def test_blocks_of_any_size_ring_alike():
    notes = [(0.0, 0.5, C3, 90), (0.1, 0.6, C4, 70), (0.8, 1.2, FIS4, 100)]
    whole, cut = played(notes, ((0.0, 1.5),)), played(notes, ((0.0, 1.5),), 7013)
    length = min(whole.shape[1], cut.shape[1])
    np.testing.assert_allclose(whole[:, :length], cut[:, :length], atol=3e-6)
    assert np.array_equal(whole, played(notes, ((0.0, 1.5),)))


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_any_sample_rate(rate: int):
    resonance = Resonance(piano(), part_of([(0, 3, C3, 1)]), 0.3, rate)
    time = np.arange(rate) / rate
    resonance.hear(C4, *resonance.heard(0, np.sin(2 * np.pi * 261.8 * time)))
    sound = np.concatenate([resonance.ring(0, rate), resonance.ring(rate, rate)], axis=1)
    spectrum = np.abs(np.fft.rfft(sound[0] * np.hanning(2 * rate)))
    assert spectrum.argmax() / 2 == pytest.approx(261.8, abs=1.5)
    assert 20 * math.log10(np.abs(sound).max()) == pytest.approx(-31, abs=6)


def test_the_pedal_of_a_file_reaches_the_part():
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    track = Track("", 0, False, [Note(0, 240, C3, 90), Note(960, 240, C4, 90)])
    track.controls.extend([ControlChange(0, 64, 127), ControlChange(480, 64, 0), ControlChange(960, 64, 90)])
    score.tracks.append(track)
    (part,) = perform(score)
    assert part.pedal[0] == pytest.approx((0.0, 0.5))
    assert part.pedal[1][0] == pytest.approx(1.0)


def test_only_a_voice_with_dampers_has_strings_that_are_let_free():
    with pytest.raises(ValueError, match="dampers"):
        Resonance(piano(None), part_of([(0, 1, C3, 90)]), 0.3, RATE)


@pytest.mark.parametrize(("position", "size"), [(0, 3000), (7, 1001), (30, 1), (123456, 4097)])
def test_the_lower_rate_is_a_plain_filter(position: int, size: int) -> None:
    """A piece at the low rate is SciPy's filtering and leaving out, from the low sample on that lies before its beginning."""
    sound = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    taps = low_pass(10)
    first, low = lowered(position, sound, taps, 10)
    assert first == position // 10
    expected = upfirdn(taps, np.concatenate([np.zeros(position % 10), sound]), 1, 10)
    np.testing.assert_allclose(low, expected, atol=2e-6)

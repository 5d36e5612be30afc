"""Scores to played notes, notes to controls, and one note's sound: tuning, loudness, bend, every instrument."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import ControlChange, Note, Pedal, PitchBend, Score, Tempo, Track

from symbolic.errors import InputError
from symbolic.rendering.controls import NoteControls, hop_of
from symbolic.rendering.drums import CHOKES, KIT, choke_times, drum_preset
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.performance import LONGEST_PEDAL, Part, PlayedNote, perform
from symbolic.rendering.presets import Preset
from symbolic.rendering.voices import Voice, pan_gains

RATE = 24000
TICKS = 480  # a quarter note, half a second at the default tempo
FAMILIES = range(0, 128, 8)


def one_track(notes: list[Note], program: int = 0, drum: bool = False) -> tuple[Score, Track]:
    score = Score(TICKS)
    score.tracks.append(Track("", program, drum))
    score.tracks[0].notes.extend(notes)
    return score, score.tracks[0]


def part_of(program: int = 0, drum: bool = False, **curves: object) -> Part:
    blank: dict = {"gain": None, "pan": None, "bend": None, "modulation": None, "reverb": None}
    return Part(0, "", program, drum, (), **(blank | curves))


def sound_of(preset: Preset, pitch: int = 60, velocity: int = 96, seconds: float = 0.5, part: Part | None = None) -> np.ndarray:
    note = PlayedNote(0.0, seconds, seconds, pitch, velocity, 0)
    voice = Voice(NoteControls(preset, note, part or part_of(), RATE), RATE)
    pieces = []
    while not voice.done:
        pieces.append(voice.next_segment())
    return np.concatenate(pieces, axis=1)


def strongest_near(sound: np.ndarray, hertz: float, rate: int = RATE) -> float:
    """The frequency of the strongest partial within a semitone of `hertz`, by a parabola through the log spectrum."""
    mono = sound.sum(0) * np.hanning(sound.shape[1])
    size = 1 << (len(mono) - 1).bit_length() + 2
    power = np.log(np.abs(np.fft.rfft(mono, size)) + 1e-12)
    low, high = (int(hertz * 2 ** (side / 12) * size / rate) for side in (-1, 1))
    peak = low + int(np.argmax(power[low:high]))
    left, middle, right = power[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / size


def mean_near(sound: np.ndarray, hertz: float, rate: int = RATE) -> float:
    """The mean frequency within half a semitone of `hertz`, weighted with power: the pitch of several detuned copies together."""
    power = np.abs(np.fft.rfft(sound.sum(0) * np.hanning(sound.shape[1]))) ** 2
    frequencies = np.fft.rfftfreq(sound.shape[1], 1 / rate)
    near = np.abs(np.log2(frequencies[1:] / hertz)) < 1 / 24
    return float((power[1:] * frequencies[1:])[near].sum() / power[1:][near].sum())


def energy(sound: np.ndarray) -> float:
    return float((sound.astype(np.float64) ** 2).sum())


@pytest.mark.parametrize("program", [19, 22, 40, 42, 56, 60, 65, 68, 71, 73, 80, 81])
def test_sustained_a4_is_in_tune(program: int) -> None:
    """The fundamental of a long A4 is within 3 cents of 440 Hz, vibrato and wandering included."""
    sound = sound_of(PROGRAMS[program], 69, 90, 6.0)[:, round(0.4 * RATE) : 6 * RATE]
    assert abs(1200 * math.log2(mean_near(sound, 440.0) / 440.0)) < 3


@pytest.mark.parametrize("program", [0, 4, 24, 33, 46])
def test_struck_and_plucked_notes_are_in_tune(program: int) -> None:
    """The first partial is within 3 cents, stiff strings included."""
    sound = sound_of(PROGRAMS[program], 57, 90, 2.0)[:, round(0.3 * RATE) :]
    assert abs(1200 * math.log2(strongest_near(sound, 220.0) / 220.0)) < 3


def test_piano_partials_are_stretched() -> None:
    """The tenth partial of a piano's middle C is sharp by what its stiffness says; an organ's is not."""
    stretch = {}
    for program in (0, 19):
        sound = sound_of(PROGRAMS[program], 48, 110, 2.0)[:, RATE // 5 :]
        stretch[program] = 1200 * math.log2(strongest_near(sound, 1308.13) / 1308.13)
    assert 5 < stretch[0] < 60
    assert abs(stretch[19]) < 4


@pytest.mark.parametrize("program", FAMILIES)
@pytest.mark.parametrize("rate", [8000, 24000])
def test_highest_notes_do_not_alias(program: int, rate: int) -> None:
    """A note near the top of the keyboard has tonal partials only below half the rate: none in the controls reaches it."""
    for pitch in (96, 108, 127):
        note = PlayedNote(0.0, 0.2, 0.2, pitch, 127, 0)
        controls = NoteControls(PROGRAMS[program], note, part_of(), rate)
        assert (controls.spectrum.hertz < rate / 2).all()


def test_a_steep_bend_upwards_does_not_alias() -> None:
    """A saw two octaves up by a bend has no energy between its partials: what crosses half the rate is gone, not folded."""
    score, track = one_track([Note(0, TICKS * 3, 93, 120)], 81)
    track.controls.extend([ControlChange(0, 101, 0), ControlChange(0, 100, 0), ControlChange(0, 6, 24)])
    track.pitch_bends.append(PitchBend(0, 8191))
    part = perform(score)[0]
    plain = Preset("saw", tilt=6.02, cutoff=1e6, cutoff_tracking=0, brightness=0)
    voice = Voice(NoteControls(plain, part.notes[0], part, RATE), RATE)
    sound = np.concatenate([voice.next_segment() for _ in range(2)], axis=1)[:, 4096:20480]
    power = np.abs(np.fft.rfft(sound[0] * np.blackman(sound.shape[1]))) ** 2
    hertz = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
    base = strongest_near(sound, 1760.0 * 4 * 2 ** (-2 / 8192))
    near = np.abs(hertz / base - np.round(hertz / base)) * base < 25
    assert power[~near].sum() / power.sum() < 1e-7


@pytest.mark.parametrize("program", FAMILIES)
def test_louder_keys_sound_louder_in_every_family(program: int) -> None:
    """Energy rises with each step of velocity, and so does brightness from softest to loudest."""
    levels = [energy(sound_of(PROGRAMS[program], 60, velocity, 0.4)) for velocity in (20, 50, 80, 110, 127)]
    assert all(later > 1.1 * earlier for earlier, later in itertools.pairwise(levels))


@pytest.mark.parametrize("program", [0, 4, 24, 33, 40, 56, 65])
def test_louder_keys_sound_brighter(program: int) -> None:
    """The spectral centroid rises with velocity."""

    def centroid(velocity: int) -> float:
        power = np.abs(np.fft.rfft(sound_of(PROGRAMS[program], 55, velocity, 0.6)[0])) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centroid(30) < 0.9 * centroid(80) < 0.85 * centroid(127)


@pytest.mark.parametrize("program", range(128))
def test_every_program_sounds(program: int) -> None:
    """Each of the 128 programs makes finite, audible and bounded sound from the lowest to the highest key."""
    for pitch in (0, 60, 127):
        sound = sound_of(PROGRAMS[program], pitch, 100, 0.25)
        assert np.isfinite(sound).all()
        assert sound.shape[1] < 30 * RATE
        assert np.abs(sound).max() < 4.0
        # At half of 24 kHz the highest keys have no partial left to sound.
        assert np.abs(sound).max() > {0: 1e-5, 60: 1e-3, 127: -1}[pitch]


@pytest.mark.parametrize("key", [0, 20, *range(27, 88), 100, 127])
def test_every_drum_sounds(key: int) -> None:
    """Each key of the kit, and keys outside it, make finite, audible and bounded sound that ends."""
    sound = sound_of(drum_preset(key), key, 100, 0.05, part=part_of(drum=True))
    assert np.isfinite(sound).all()
    assert 1e-3 < np.abs(sound).max() < 4.0
    assert sound.shape[1] < 10 * RATE


def test_there_is_a_program_for_every_number_and_no_two_are_the_same() -> None:
    """128 programs and 61 drums, each of its own name and its own numbers."""
    assert len(PROGRAMS) == len({preset.name for preset in PROGRAMS}) == len(set(PROGRAMS)) == 128
    assert sorted(KIT) == list(range(27, 88))
    assert len({preset.name for preset in KIT.values()}) == 61


def test_struck_strings_decay_from_the_top() -> None:
    """Of a piano note the upper partials die first, and a low note rings longer than a high one."""
    controls = NoteControls(PROGRAMS[0], PlayedNote(0, 9, 9, 48, 100, 0), part_of(), RATE)
    tone = controls.tones(0, 1500)[0].amplitudes
    fall = tone[1400] / tone[100]
    assert (np.diff(fall) <= 1e-6).all()
    assert fall[0] > 4 * fall[15]
    ends = [NoteControls(PROGRAMS[0], PlayedNote(0, 99, 99, pitch, 100, 0), part_of(), RATE).seconds for pitch in (30, 60, 90)]
    assert ends[0] > ends[1] > ends[2]


def test_vibrato_waits_and_then_swings() -> None:
    """A violin's pitch is steadier in its first tenth of a second of full tone than after the vibrato's delay."""
    controls = NoteControls(PROGRAMS[40], PlayedNote(0, 4, 4, 69, 90, 0), part_of(), RATE)
    cents = 1200 * np.log2(controls.tones(0, 1400)[0].frequency / 440)
    assert np.ptp(cents[60:100]) < 12
    assert 15 < np.ptp(cents[300:500]) < 45


@settings(max_examples=20, deadline=None)
@given(first=st.integers(1, 300), program=st.sampled_from([0, 19, 40, 53, 56, 96]), pitch=st.integers(24, 100))
def test_controls_of_a_stretch_equal_the_stretch_of_the_controls(first: int, program: int, pitch: int) -> None:
    """Controls are functions of time: any stretch of frames, computed alone, equals the same stretch of the whole."""
    controls = NoteControls(PROGRAMS[program], PlayedNote(0, 0.7, 0.7, pitch, 90, 3), part_of(), RATE)
    whole, part = controls.tones(0, 320), controls.tones(first, 320)
    for one, other in zip(whole, part, strict=True):
        # What remains of a scoop or a moving low pass after 14 of its time constants is left out of a stretch that starts there:
        # under a thousandth of a cent and of a decibel.
        np.testing.assert_allclose(one.amplitudes[first:], other.amplitudes, rtol=5e-5, atol=1e-9)
        np.testing.assert_allclose(one.frequency[first:], other.frequency, rtol=5e-7)
    for one, other in zip(controls.hisses(0, 320), controls.hisses(first, 320), strict=True):
        level = np.zeros(321 - first) if other is None else other.level
        np.testing.assert_allclose(one.level[first:], level, rtol=1e-9, atol=5e-4 * one.level.max())  # a noise ends 80 dB down


def test_bend_moves_the_pitch_by_its_range() -> None:
    """A full bend up is two semitones, or the range that the file sets by RPN 0."""
    for semitones, rpn in ((2.0, []), (7.0, [ControlChange(0, 101, 0), ControlChange(0, 100, 0), ControlChange(0, 6, 7)])):
        score, track = one_track([Note(0, TICKS * 8, 60, 90)], 16)
        track.controls.extend(rpn)
        track.pitch_bends.append(PitchBend(TICKS * 4, 8191))
        part = perform(score)[0]
        frequency = NoteControls(PROGRAMS[80], part.notes[0], part, RATE).tones(0, 1400)[0].frequency
        hop = hop_of(RATE) / RATE
        before, after = frequency[: int(1.9 / hop)].mean(), frequency[int(2.1 / hop) : int(3.6 / hop)].mean()
        assert 12 * math.log2(after / before) == pytest.approx(semitones, abs=0.05)


def test_pedal_holds_until_it_is_lifted_however_the_file_says_it() -> None:
    """Controller 64 and a pedal span hold alike; the same key struck again ends the held note; without a pedal keys end notes."""
    notes = [Note(0, TICKS, 60, 90), Note(TICKS // 2, TICKS // 4, 64, 90), Note(TICKS * 2, TICKS // 2, 64, 90)]
    expected = [TICKS * 4, TICKS * 2, TICKS * 4]
    score, track = one_track(notes)
    track.controls.extend([ControlChange(0, 64, 100), ControlChange(TICKS * 4, 64, 0)])
    by_controller = [note.release for note in perform(score)[0].notes]
    score, track = one_track(notes)
    track.pedals.append(Pedal(0, TICKS * 4))
    by_span = [note.release for note in perform(score)[0].notes]
    assert by_controller == by_span == pytest.approx([tick / TICKS / 2 for tick in expected])
    score, _ = one_track(notes)
    assert [note.release for note in perform(score)[0].notes] == pytest.approx([0.5, 0.375, 1.25])


def test_a_pedal_lifted_before_the_key_changes_nothing() -> None:
    """A pedal that goes up while the key is down leaves the note to its key; one that never goes up lets go in the end."""
    score, track = one_track([Note(0, TICKS * 2, 60, 90), Note(TICKS * 4, TICKS, 62, 90)])
    track.controls.extend([ControlChange(0, 64, 127), ControlChange(TICKS, 64, 0), ControlChange(TICKS * 4, 64, 127)])
    assert [note.release for note in perform(score)[0].notes] == pytest.approx([1.0, 2.5 + LONGEST_PEDAL])


@settings(max_examples=30, deadline=None)
@given(tempos=st.lists(st.tuples(st.integers(0, 5000), st.integers(20, 300)), max_size=6), tick=st.integers(0, 6000))
def test_seconds_follow_the_tempo_map(tempos: list[tuple[int, int]], tick: int) -> None:
    """A note's second equals the sum over its ticks of each tick's own length."""
    score, _ = one_track([Note(tick, 10, 60, 90)])
    for time, beats in tempos:
        score.tempos.append(Tempo(time, beats))
    length = np.full(tick, 0.5 / TICKS)
    for tempo in sorted(score.tempos, key=lambda tempo: tempo.time):
        length[tempo.time :] = tempo.mspq / 1e6 / TICKS
    assert perform(score)[0].notes[0].start == pytest.approx(length.sum(), abs=1e-6)


def test_hats_choke_each_other_and_nothing_else() -> None:
    """An open hi-hat stops at the next closed one; a crash rings through."""
    notes = tuple(PlayedNote(t, t, t, key, 90, n) for n, (t, key) in enumerate([(0.0, 46), (0.1, 49), (0.3, 42), (0.5, 46)]))
    assert choke_times(notes) == [0.3, None, 0.5, None]
    assert len({key for group in CHOKES for key in group}) == sum(map(len, CHOKES))
    free = NoteControls(KIT[46], notes[0], part_of(drum=True), RATE)
    choked = NoteControls(KIT[46], notes[0], part_of(drum=True), RATE, 0.3)
    assert choked.seconds < 0.5 < free.seconds


def test_pan_has_constant_power() -> None:
    """Wherever a note stands, the two gains have the same power together; the ends are one side alone."""
    left, right = pan_gains(np.linspace(-1, 1, 21))
    np.testing.assert_allclose(left**2 + right**2, 2.0)
    assert pan_gains(-1.0)[1] == pytest.approx(0, abs=1e-12)
    assert pan_gains(0.0)[0] == pytest.approx(1.0)


def test_scores_that_cannot_be_rendered_say_why() -> None:
    """No notes, and a note of ten hours, are refused in one line."""
    with pytest.raises(InputError, match="no notes"):
        perform(Score(TICKS))
    score, _ = one_track([Note(0, TICKS * 2 * 3600 * 10, 60, 90)])
    with pytest.raises(InputError, match=r"lasts 10\.0 hours and at most 6"):
        perform(score)

"""Scores on learned voices: the table, lanes, phrases, and what is heard: onsets, pitch, loudness, the same for any cut into blocks."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import ControlChange, Note, PitchBend, Score, Track

from symbolic.corpus.recordings.phrases import frame_loudness
from symbolic.dsp.harmonics import harmonic_bank
from symbolic.dsp.noise_bands import DEVIATION, noise_bands
from symbolic.dsp.resampling import resample
from symbolic.models.voices.bundled import bundled_voices, load_voice
from symbolic.models.voices.voice import play
from symbolic.rendering import render, render_file
from symbolic.rendering.ahead import ahead
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.lanes import LEGATO_SECONDS, deal
from symbolic.rendering.learned_part import learned_parts
from symbolic.rendering.mixing import mix_blocks
from symbolic.rendering.performance import Part, PlayedNote, perform
from symbolic.rendering.phrase_controls import PhraseCurves
from symbolic.rendering.phrase_player import RATE, PhrasePlayer, batches, decoder_of, play_together
from symbolic.rendering.programs import SYNTHESIZER, learned_programs, program_table
from symbolic.rendering.sources import LearnedSource
from symbolic.rendering.voice_response import response_of

TICKS = 500  # to a quarter of half a second: a tick is a millisecond
VOICES = {
    "violin": 40, "viola": 41, "cello": 42, "double-bass": 43, "trumpet": 56, "trombone": 57,
    "french-horn": 60, "oboe": 68, "bassoon": 70, "clarinet": 71, "flute": 73,
}  # fmt: skip
MIDDLE = {"double-bass": 40, "cello": 50, "bassoon": 50, "trombone": 53, "french-horn": 57, "viola": 62, "clarinet": 64}
HERE = [voice for voice in VOICES if voice in bundled_voices()]


def solo(notes: list[Note], program: int = 40, controls: list[ControlChange] | None = None) -> Score:
    score = Score(TICKS)
    score.tracks.append(Track("", program, False))
    score.tracks[0].notes.extend(notes)
    score.tracks[0].controls.extend(controls or [])
    return score


def players_of(score: Score) -> list[PhrasePlayer]:
    part = perform(score)[0]
    return [PhrasePlayer(phrase, part, voice) for voice, phrase in learned_parts([part])[part.index].phrases]


def dry(score: Score) -> np.ndarray:
    """What all players of the first track play together, mono at 48 kHz."""
    players = players_of(score)
    sound = np.zeros(max(player.end for player in players), np.float32)
    while playing := [player for player in players if not player.done]:
        for group in batches(playing):
            for position, piece in play_together(group):
                sound[position : position + len(piece)] += piece
    return sound


def onset(sound: np.ndarray, second: float, pitch: float) -> float:
    """Seconds from `second` to where the level last passes 20 dB under its top of the next 0.3 s, by a window of 4 ms.

    Within a period of a low note the level may fall and rise again, which is no onset.
    """
    start = max(0, round((second - 0.08) * RATE))
    heard = sound[start : round((second + 0.3) * RATE)].astype(np.float64)
    window = np.hanning(192) / np.hanning(192).sum()
    level = np.sqrt(np.convolve(heard**2, window, "same"))
    loud = np.flatnonzero(level[: int(level.argmax()) + 1] >= 0.1 * level.max())
    silences = np.flatnonzero(np.diff(loud, prepend=-1) > 1.2 * RATE / hertz(pitch))
    return (start + (loud[silences[-1]] if len(silences) else 0)) / RATE - second


def pitch_near(sound: np.ndarray, hertz: float) -> float:
    """The mean frequency within half a semitone of `hertz`, weighted with power: vibrato included."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    near = np.abs(frequency - hertz) < 0.029 * hertz
    return float((power * frequency)[near].sum() / power[near].sum())


def hertz(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def test_every_program_is_in_the_table_and_the_voices_of_a_program_rise() -> None:
    """128 programs by their names, each on the synthesizer or on known voices whose upper ends rise to the top of the keyboard."""
    table = program_table()
    assert [table[number]["name"] for number in range(128)] == [preset.name for preset in PROGRAMS]
    for entry in table.values():
        voices = entry["voices"]
        if isinstance(voices, dict):
            assert set(voices) <= set(VOICES)
            assert list(voices.values()) == sorted(set(voices.values()))
            assert max(voices.values()) == 127
        else:
            assert voices in (SYNTHESIZER, *VOICES)
    for voice, program in VOICES.items():
        named = table[program]["voices"]
        assert voice == named or voice in named
        assert learned_programs()[program].voice_of(MIDDLE.get(voice, 72)) == voice
    assert 0 not in learned_programs()


def played(spans: list[tuple[float, float, int]]) -> list[PlayedNote]:
    return [PlayedNote(start, start + length, start + length, pitch, 80, i) for i, (start, length, pitch) in enumerate(sorted(spans))]


SPANS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda n: n / 10), st.integers(0, 20).map(lambda n: n / 10), st.integers(56, 86)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(SPANS)
def test_lanes_hold_every_note_once_and_one_at_a_time(spans: list[tuple[float, float, int]]) -> None:
    """Each note is in one lane; within a lane notes follow each other, and overlap only as far as a legato."""
    notes = played(spans)
    lanes = deal(notes)
    assert sorted(note.index for lane in lanes for note in lane) == [note.index for note in notes]
    for lane in lanes:
        for last, note in itertools.pairwise(lane):
            assert last.start < note.start
            assert last.release - note.start <= LEGATO_SECONDS


def test_chords_take_lanes_and_melodies_take_one() -> None:
    """Three notes at once are three lanes, two voices in turn stay in their registers, and a short overlap is legato, not a chord."""
    assert len(deal(played([(0.0, 1.0, pitch) for pitch in (60, 64, 67)]))) == 3
    assert len(deal(played([(0.0, 0.55, 60), (0.5, 0.5, 62), (1.0, 0.5, 64)]))) == 1
    assert len(deal(played([(0.0, 0.9, 60), (0.5, 0.5, 62)]))) == 2
    assert len(deal(played([(0.0, 0.2, 60), (0.1, 0.2, 62)]))) == 2
    duet = deal(played([(k / 2, 0.5, pitch + k) for k in range(6) for pitch in (50, 72)]))
    assert sorted({note.pitch > 65 for note in lane} == {True} for lane in duet) == [False, True]


@pytest.mark.parametrize("voice", HERE)
@pytest.mark.parametrize("velocity", [64, 100])
def test_notes_begin_on_time(voice: str, velocity: int) -> None:
    """Notes that stand alone pass 20 dB under their top within 5 ms of their beat, wherever that lies between two frames."""
    starts = [300 + 807 * k for k in range(6)]
    middle = MIDDLE.get(voice, 72)
    pitches = [middle + 3 * (k % 4) for k in range(6)]
    sound = dry(solo([Note(start, 300, pitch, velocity) for start, pitch in zip(starts, pitches, strict=True)], VOICES[voice]))
    errors = [onset(sound, start / 1000, pitch) for start, pitch in zip(starts, pitches, strict=True)]
    assert max(map(abs, errors)) <= 0.005, [round(1000 * error, 1) for error in errors]


@pytest.mark.parametrize("voice", [voice for voice in HERE if MIDDLE.get(voice, 72) < 60])
@pytest.mark.parametrize("gap", [250, 507])  # milliseconds: of one phrase, and of phrases of their own
def test_low_and_soft_notes_begin_on_time(voice: str, gap: int) -> None:
    """Where a period is longer than the error allowed, it begins on the beat: lowest notes, softly too, are within 5 ms."""
    lowest = math.ceil(69 + 12 * math.log2(decoder_of(voice).config.lowest_pitch / 440))
    rows = [(300 + (300 + gap) * k, lowest + 2 * (k // 2), (30, 60)[k % 2]) for k in range(12)]
    sound = dry(solo([Note(start, 300, pitch, velocity) for start, pitch, velocity in rows], VOICES[voice]))
    errors = [onset(sound, start / 1000, pitch) for start, pitch, _ in rows]
    assert max(map(abs, errors)) <= 0.005, [round(1000 * error, 1) for error in errors]


def test_joined_notes_change_their_pitch_on_time() -> None:
    """In a line without gaps the pitch passes the middle between two notes within 5 ms of the beat."""
    part = perform(solo([Note(503 * k, 503, 72 + 4 * (k % 2), 90) for k in range(5)]))[0]
    (_, phrase), *more = learned_parts([part])[0].phrases
    assert not more
    time = np.arange(0.0, 2.4, 0.0005)
    pitch = 69 + 12 * np.log2(PhraseCurves(phrase, part).at(time).pitch / 440)
    crossings = time[1:][np.diff(pitch > 74) != 0]
    np.testing.assert_allclose(crossings, [0.503 * k for k in range(1, 5)], atol=0.005)


@pytest.mark.parametrize("voice", HERE)
def test_long_notes_are_in_tune(voice: str) -> None:
    """A long note is within 4 cents of its pitch, vibrato and wandering included."""
    pitch = MIDDLE.get(voice, 72)
    sound = dry(solo([Note(0, 3000, pitch, 90)], VOICES[voice]))[RATE // 2 : 5 * RATE // 2]
    assert abs(1200 * math.log2(pitch_near(sound, hertz(pitch)) / hertz(pitch))) < 4


@pytest.mark.parametrize("voice", HERE)
def test_louder_keys_sound_louder_and_the_voice_is_told_so(voice: str) -> None:
    """Energy rises with each step of velocity as much as General MIDI asks, to 6 dB; and the voice is told more."""
    levels, told = [], []
    for velocity in (30, 60, 90, 120):
        score = solo([Note(0, 900, MIDDLE.get(voice, 72), velocity)], VOICES[voice])
        levels.append(10 * math.log10(float((dry(score).astype(np.float64) ** 2).sum())))
        told.append(float(loudness_at(score, [0.3, 0.4, 0.5]).mean()))
    for (soft, low), (loud, high) in itertools.pairwise(zip((30, 60, 90, 120), levels, strict=True)):
        assert high - low == pytest.approx(40 * math.log10((loud + 6) / (soft + 6)), abs=6)
        assert high > low
    assert told == sorted(told)
    assert told[-1] > told[0] + 8


def test_repeated_notes_differ_and_a_second_rendering_does_not() -> None:
    """Four equal notes are four different sounds; all of it is the same, bit for bit, when played again."""
    score = solo([Note(600 * k, 400, 74, 80) for k in range(4)])
    first = dry(score)
    np.testing.assert_array_equal(first, dry(score))
    pieces = [first[round(0.6 * k * RATE) :][: RATE // 2] for k in range(4)]
    for one, other in itertools.combinations(pieces, 2):
        levels = [np.sqrt(np.square(piece).reshape(-1, 2400).mean(1)) for piece in (one, other)]
        assert np.abs(20 * np.log10(levels[0] / levels[1])).max() > 0.5


def loudness_at(score: Score, seconds: list[float]) -> np.ndarray:
    part = perform(score)[0]
    ((_, phrase),) = learned_parts([part])[0].phrases
    return PhraseCurves(phrase, part).at(np.array(seconds)).loudness


def test_notes_join_by_what_stands_before_them() -> None:
    """Between two notes the loudness falls least where they overlap, more where they touch, and most where a key is struck again."""

    def dip(length: int, pitch: int) -> float:
        notes = [Note(0, length, 72, 90), Note(1000, 1000, pitch, 90)]
        before, between, after = loudness_at(solo(notes), [0.95, 1.0, 1.1])
        return float(min(before, after) - between)

    legato, touching, again = dip(1060, 74), dip(1000, 74), dip(1000, 72)
    assert legato < touching - 1 < again - 3
    assert legato < 2
    assert again > 5


def test_the_end_of_a_phrase_dies_away_more_slowly() -> None:
    """The same note is louder 0.1 s after its end as the last of a phrase than before a breath inside it, and fades less before another."""
    inside = loudness_at(solo([Note(0, 1000, 72, 90), Note(1300, 500, 72, 90)]), [1.1])
    last = loudness_at(solo([Note(0, 1000, 72, 90)]), [1.1])
    assert last[0] > inside[0] + 0.5


@settings(max_examples=15, deadline=None)
@given(first=st.integers(1, 400), spans=SPANS)
def test_curves_of_a_stretch_equal_the_stretch_of_the_curves(first: int, spans: list[tuple[float, float, int]]) -> None:
    """Controls are functions of time: any stretch computed alone equals the same stretch of the whole."""
    notes = [Note(round(1000 * start), round(1000 * length), pitch, 80) for start, length, pitch in spans]
    part = perform(solo(notes, 40, [ControlChange(500, 1, 90)]))[0]
    for _, phrase in learned_parts([part])[0].phrases:
        curves = PhraseCurves(phrase, part)
        time = phrase.begin + 0.004 * np.arange(first + 60)
        whole, stretch = curves.at(time), curves.at(time[first:])
        for name in ("pitch", "told", "loudness", "gain"):
            np.testing.assert_allclose(getattr(whole, name)[first:], getattr(stretch, name), rtol=1e-9, atol=1e-9)
        assert np.isfinite(whole.loudness).all()
        assert (whole.pitch > 0).all()


def test_the_fast_path_equals_the_reference() -> None:
    """A phrase by machine code, in blocks, equals the network, the bank of sines and the noise in plain PyTorch, to 60 dB."""
    score = solo([Note(0, 700, 69, 100), Note(700, 900, 76, 70), Note(1900, 500, 64, 90)])
    sound = dry(score)
    (player,) = players_of(score)
    part = perform(score)[0]
    time = (player.start + (np.arange(player.frames) + 0.5) * player.hop) / RATE
    found = PhraseCurves(learned_parts([part])[0].phrases[0][1], part).at(time)
    decoder, _ = load_voice("violin")
    config = decoder.config
    loudness = np.minimum(found.loudness, max(config.loudness_quantiles))
    seed = np.random.SeedSequence((part.index, 0, player.start))
    noise = (2 * np.random.default_rng(int(seed.generate_state(1)[0])).random(player.frames * player.hop, np.float32) - 1) * DEVIATION
    factor = found.gain * response_of("violin").gain(found.told, loudness)
    pitch, gain = torch.from_numpy(found.pitch)[None], torch.from_numpy(factor.astype(np.float32))[None, :, None]
    with torch.inference_mode():
        controls, _ = decoder(torch.from_numpy(found.told.astype(np.float32))[None], torch.from_numpy(loudness.astype(np.float32))[None])
        tones = harmonic_bank(pitch, controls.amplitudes * gain, player.hop, RATE, native=False)
        expected = (tones + noise_bands(controls.gains * gain, player.hop, torch.from_numpy(noise.astype(np.float32))[None]))[0].numpy()
    heard = sound[player.start : player.start + len(expected)]
    assert len(heard) == len(expected)
    assert 20 * math.log10(np.abs(heard - expected).max() / np.abs(expected).max()) < -60


@pytest.mark.parametrize("voice", HERE)
def test_a_voice_is_as_loud_as_it_is_told(voice: str) -> None:
    """Steady tones at three levels have the A-weighted loudness that was asked for, within 2.5 dB, with the gain of the response."""
    decoder, _ = load_voice(voice)
    pitch = hertz(MIDDLE.get(voice, 72) + 2)
    for level in (-18.0, -12.0, -6.0):
        told = np.full(150, pitch, np.float32), np.full(150, level, np.float32)
        sound = play(decoder, *told) * response_of(voice).gain(*told)[0]
        low = torch.from_numpy(resample(sound.astype(np.float64), RATE, 16000).astype(np.float32))[None]
        assert float(frame_loudness(low)[0, 60:140].mean()) == pytest.approx(level, abs=2.5)


def mix(score: Score, rate: int = RATE, block: int | None = None, workers: int | None = None, stems: bool = False) -> np.ndarray:
    parts = perform(score)
    return np.concatenate([b.mix for b in mix_blocks(parts, rate, stems, block, workers, learned_parts(parts))], axis=1)


def band() -> Score:
    """A melody, chords of a section, and a drum: both kinds of sources."""
    score = solo([Note(400 * k, 380, 69 + (5 * k) % 12, 60 + 10 * k) for k in range(4)])
    for program, drum in ((48, False), (0, True)):
        score.tracks.append(Track("", program, drum))
    score.tracks[1].notes.extend([Note(50, 1500, pitch, 70) for pitch in (60, 64, 67)])
    score.tracks[2].notes.extend([Note(400 * k, 50, 38, 90) for k in range(4)])
    return score


@pytest.mark.parametrize(("rate", "block"), [(RATE, 7919), (RATE, 100_000), (44100, 5000)])
def test_blocks_and_threads_do_not_change_the_sound(rate: int, block: int) -> None:
    """Blocks of any sizes give the sound of blocks of a second, at the voices' rate and another; threads change no bit."""
    whole, other = mix(band(), rate), mix(band(), rate, block, 1)
    assert whole.shape == other.shape
    assert np.abs(whole).max() > 0.01
    np.testing.assert_allclose(other, whole, atol=3e-6)
    np.testing.assert_array_equal(mix(band(), rate, block, 4), other)


def test_another_sample_rate_sounds_alike() -> None:
    """At 44.1 kHz a note has its pitch, its place in time and its level."""
    part = perform(solo([Note(500, 1500, 76, 90)]))[0]

    def taken(rate: int) -> np.ndarray:
        source = LearnedSource(part, 0.0, rate, learned_parts([part])[0])
        source.begin(3 * rate)
        while players := source.waiting():
            for player, (position, piece) in zip(players, play_together(players), strict=True):
                source.add_player(player, position, piece)
        return source.take(0, 3 * rate)[0][0]

    full, other = taken(RATE), taken(44100)
    assert np.abs(resample(full.astype(np.float64), RATE, 44100) - other).max() < 1e-3 * np.abs(other).max()


def test_chords_sound_all_their_notes_and_a_section_is_more_than_one() -> None:
    """A chord on one track has each fundamental; three players of a section are not one player three times as loud."""
    sound = dry(solo([Note(0, 2000, pitch, 90) for pitch in (64, 68, 71)]))[RATE // 2 : 2 * RATE]
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    for pitch in (64, 68, 71):
        near, beside = (np.abs(frequency - hertz(pitch + shift)) < 4 for shift in (0, 1.5))
        assert power[near].max() > 100 * power[beside].max()
    section = players_of(solo([Note(0, 2000, 76, 90)], 48))
    assert len(section) == 3
    assert len({player.place for player in section}) == 3


def test_bend_modulation_and_pedal_are_heard() -> None:
    """A full bend is two semitones, a wheel gives a vibrato to a short note, and the pedal holds a note."""
    score = solo([Note(0, 2000, 69, 90)])
    score.tracks[0].pitch_bends.append(PitchBend(1000, 8191))
    sound = dry(score)
    assert pitch_near(sound[round(0.3 * RATE) : round(0.9 * RATE)], 440) == pytest.approx(440, rel=0.004)
    assert pitch_near(sound[round(1.2 * RATE) : round(1.9 * RATE)], hertz(71)) == pytest.approx(hertz(71), rel=0.004)

    def swing(controls: list[ControlChange]) -> float:
        part = perform(solo([Note(0, 1000, 69, 90)], 71 if "clarinet" in HERE else 40, controls))[0]
        ((_, phrase),) = learned_parts([part])[0].phrases
        return float(np.ptp(1200 * np.log2(PhraseCurves(phrase, part).at(np.arange(0.3, 0.9, 0.004)).pitch)))

    assert swing([ControlChange(0, 1, 127)]) > swing([]) + 40
    held = [ControlChange(0, 64, 127), ControlChange(2500, 64, 0)]
    notes = [Note(0, 500, 69, 90), Note(4000, 100, 69, 90)]
    short, long = (dry(solo(notes, 40, controls))[2 * RATE : 5 * RATE // 2] for controls in ([], held))
    assert np.abs(long).max() > 30 * np.abs(short).max()


def test_notes_outside_the_compass_are_played_in_tune_and_told_once() -> None:
    """A part far outside its voices keeps its pitches, and one line says where and how many; one inside says nothing."""
    score = solo([Note(600 * k, 500, 108 + k, 90) for k in range(3)], 40)
    told: list[str] = []
    assert np.isfinite(render(score, 48000, tell=told.append)).all()
    assert len(told) == 1
    assert "3 of 3 notes lie outside the compass of violin" in told[0]
    assert told[0].startswith("track 1: ")
    sound = dry(score)[round(0.1 * RATE) : round(0.5 * RATE)]
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    loudest = float(np.fft.rfftfreq(len(sound), 1 / RATE)[power.argmax()])
    assert abs(1200 * math.log2(loudest / hertz(108))) < 20
    told.clear()
    render(solo([Note(0, 500, 72, 90)]), 48000, tell=told.append)
    assert told == []


def test_the_choice_of_voices_is_heard_and_reported(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Learned and synthesized differ where a program has a voice and nowhere else; the report counts the tracks."""
    violin, square_lead = (solo([Note(0, 500, 72, 90)], program) for program in (40, 80))
    assert not np.array_equal(render(violin)[:, :9600], render(violin, voices="synthesized")[:, :9600])
    np.testing.assert_array_equal(render(square_lead), render(square_lead, voices="synthesized"))
    assert render_file(violin, tmp_path / "a.wav").learned == 1
    assert render_file(violin, tmp_path / "b.wav", voices="synthesized").learned == 0


def test_one_block_ahead_gives_the_same_and_ends_cleanly() -> None:
    """Items and errors come in their order; a reader who stops early stops the maker."""
    assert list(ahead(iter(range(50)))) == list(range(50))
    made: list[int] = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    assert list(itertools.islice(ahead(endless()), 3)) == [0, 1, 2]
    assert len(made) < 10

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    stream = ahead(broken())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="here"):
        next(stream)


def test_a_hard_part_is_played() -> None:
    """A chord over all pitches up to the highest, unisons that overlap, notes of no length and an hour's rest make finite sound."""
    notes = [Note(40, 200, pitch, 64) for pitch in range(55, 128, 3)] + [Note(0, 500, 70, 90), Note(10, 500, 70, 80), Note(20, 0, 71, 127)]
    part: Part = perform(solo([*notes, Note(3_600_000, 100, 72, 1)]))[0]
    phrases = learned_parts([part])[0].phrases
    assert sum(len(phrase.gestures) for _, phrase in phrases) == len(notes) + 1
    assert np.isfinite(dry(solo(notes))).all()

"""Timbre transfer: what is played comes back in tune, as loud and as silent as it was, by any road; bad files are told in a line."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

import symbolic
from symbolic.cli import main
from symbolic.dsp.pitch_tracking import PERIODIC, track_pitch
from symbolic.dsp.resampling import resample
from symbolic.errors import InputError
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.rendering.transfer import TransferStream, transfer, transfer_file
from symbolic.rendering.transfer.listening import FRAME_RATE, Listener
from symbolic.rendering.transfer.live import _rounded
from symbolic.rendering.transfer.matching import EDGE, INSIDE, LEEWAY, Folding, Hearsay, loudness_map, octaves_to_compass

RATE = 48000


def tone(hertz: np.ndarray, rate: int = RATE, partials: int = 8, level: float = 0.1) -> np.ndarray:
    """A bright tone (S,) of pitch (S,), faded over 30 ms at both ends; no partial above 0.45 of the rate."""
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    sound = sum(np.sin(k * phase) / k * (k * hertz < 0.45 * rate) for k in range(1, partials + 1))
    fade = round(0.03 * rate)
    edges = np.minimum(1.0, np.minimum(np.arange(len(hertz)), np.arange(len(hertz))[::-1]) / fade)
    return level * edges * sound


def melody(
    pitches: list[float], seconds: float = 0.5, rest: float = 0.2, rate: int = RATE, levels: list[float] | None = None
) -> np.ndarray:
    """Notes in hertz, one after another, a rest before each."""
    pieces = []
    for place, pitch in enumerate(pitches):
        level = levels[place] if levels else 0.1
        pieces += [np.zeros(round(rest * rate)), tone(np.full(round(seconds * rate), pitch), rate, level=level)]
    return np.concatenate(pieces)


def cents_off(sound: np.ndarray, wanted: np.ndarray, rate: int = RATE) -> np.ndarray:
    """How far (F,) the pitch of a sound lies from `wanted` (S,) hertz, at the frames that have one and where one is wanted."""
    low = resample(sound.astype(np.float64), rate, 16000)
    track = track_pitch(low, 16000, 64, lowest=60, highest=4000)
    places = np.minimum(((np.arange(len(track.pitch)) + 0.5) / FRAME_RATE * rate).astype(int), len(wanted) - 1)
    there = (wanted[places] > 0) & (track.periodicity > PERIODIC)
    assert there.sum() > 20
    return 1200 * np.log2(track.pitch[there] / wanted[places][there])


def level_db(sound: np.ndarray) -> float:
    return 10 * np.log10(np.square(sound.astype(np.float64)).mean() + 1e-20)


def written(path: Path, sound: np.ndarray, rate: int = RATE, subtype: str = "PCM_24") -> Path:
    soundfile.write(path, sound, rate, subtype)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_glissando_comes_back_as_it_was():
    """An octave in two seconds: half of the frames lie within 3 cents, nineteen in twenty within 12; as long as it was, at −16 LUFS."""
    hertz = 293.66 * 2 ** (np.arange(2 * RATE) / (2 * RATE))
    sound = transfer(tone(hertz), RATE)
    assert sound.shape == (2 * RATE,)
    assert sound.dtype == np.float32
    off = np.abs(cents_off(sound[2400:-4800], hertz[2400:-4800]))
    assert np.median(off) < 3
    assert np.percentile(off, 95) < 12
    assert -24 < level_db(sound) < -8


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 192000])
def test_any_sample_rate(rate: int):
    """A melody at 8 to 192 kHz is heard alike: as long at 48 kHz as it was, each note within 5 cents and at its time."""
    pitches = [440.0, 554.37, 329.63]
    played = melody(pitches, rate=rate)
    sound = transfer(played, rate)
    assert len(sound) == round(len(played) * RATE / rate)
    for place, pitch in enumerate(pitches):
        inner = slice(round((0.7 * place + 0.3) * RATE), round((0.7 * place + 0.6) * RATE))
        assert np.abs(np.median(cents_off(sound[inner], np.full(RATE, pitch)))) < 5
        assert level_db(sound[inner]) > -40
    for place in range(3):  # the rests, from 100 ms behind a note, where its last breath has gone
        assert level_db(sound[round((0.7 * place + (0.1 if place else 0)) * RATE) : round((0.7 * place + 0.17) * RATE)]) < -80


def test_silence_and_noise_do_not_sing():
    """Between notes, in noise as loud as they are and behind the end nothing is played: below −80 dB, where the notes are above −25."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    sound = transfer(np.concatenate([melody([440.0]), np.zeros(RATE // 2), noise, melody([392.0])]), RATE)
    assert level_db(sound[round(0.3 * RATE) : round(0.6 * RATE)]) > -25
    assert level_db(sound[round(2.7 * RATE) : round(2.85 * RATE)]) > -25
    assert level_db(sound[: round(0.17 * RATE)]) < -80
    assert level_db(sound[round(0.8 * RATE) : round(1.15 * RATE)]) < -80
    assert level_db(sound[round(1.25 * RATE) : round(2.1 * RATE)]) < -80


def test_louder_in_is_louder_out():
    """Notes of rising level come back with rising level, 24 dB over 24 within a factor of 0.5 to 1.3."""
    levels = [0.01, 0.02, 0.04, 0.08, 0.16]
    sound = transfer(melody([440.0] * 5, levels=levels), RATE)
    found = [level_db(sound[round((0.7 * place + 0.35) * RATE) : round((0.7 * place + 0.65) * RATE)]) for place in range(5)]
    assert (np.diff(found) > 1).all()
    assert 12 < found[-1] - found[0] < 31


def test_two_channels_are_one_and_opposite_ones_do_not_cancel():
    """A stereo sound, also with its right channel turned round, is played as the mono one: in tune and as loud."""
    mono = melody([440.0, 523.25])
    alone = transfer(mono, RATE)
    np.testing.assert_allclose(transfer(np.stack([mono, mono]), RATE), alone, atol=2e-3)
    turned = transfer(np.stack([mono, -mono]), RATE)
    assert abs(level_db(turned) - level_db(alone)) < 1
    assert np.abs(np.median(cents_off(turned[round(0.3 * RATE) : round(0.6 * RATE)], np.full(RATE, 440.0)))) < 5


@pytest.mark.parametrize(
    ("pitch", "octave", "heard"), [(65.41, None, 261.63), (65.41, 1, 130.81), (440.0, None, 440.0), (440.0, -1, 220.0)]
)
def test_octaves(tmp_path: Path, pitch: float, octave: int | None, heard: float):
    """A cello's C2 is played by the violin two octaves up, its A4 where it is; --octave is taken at its word, beyond the compass too."""
    source = written(tmp_path / "in.wav", melody([pitch] * 2))
    report = transfer_file(source, tmp_path / "out.wav", "violin", octave=octave)
    assert report.octave == round(np.log2(heard / pitch))
    sound = soundfile.read(tmp_path / "out.wav")[0][:, 0]
    assert np.abs(np.median(cents_off(sound[round(0.35 * RATE) : round(0.6 * RATE)], np.full(RATE, heard)))) < 5


def test_what_lies_outside_the_compass_is_folded_and_told(tmp_path: Path):
    """A short B2 after a melody in the violin's compass sounds an octave higher, the other notes where they are, and a line tells."""
    sound = np.concatenate([melody([440.0, 392.0, 493.88], 0.9), melody([123.47], 0.15)])
    source = written(tmp_path / "in.wav", sound)
    report = transfer_file(source, tmp_path / "out.wav")
    assert report.octave == 0
    assert any("folded by octaves" in note for note in report.notes)
    assert 0.04 < report.folded < 0.1
    sound = soundfile.read(tmp_path / "out.wav")[0][:, 0]
    for begin, end, heard in ((0.35, 1.0, 440.0), (1.45, 2.1, 392.0), (2.55, 3.2, 493.88), (3.53, 3.63, 246.94)):
        inner = slice(round(begin * RATE), round(end * RATE))
        assert np.abs(np.median(cents_off(sound[inner], np.full(RATE, heard)))) < 6


def test_block_sizes_change_nothing():
    """Blocks of 7, 1,024 and 30,000 samples, and all at once, give the same sound to the last bit, for two channels at 44.1 kHz too."""
    sound = melody([220.0, 440.0], 0.25, 0.1, 44100)
    stereo = np.stack([sound, np.roll(sound, 40)])
    results = []
    for size in (7, 1024, 30000, stereo.shape[1]):
        stream = TransferStream(44100, "violin", channels=2, random_seed=3)
        pieces = [stream.process(stereo[:, first : first + size]) for first in range(0, stereo.shape[1], size)]
        results.append(np.concatenate([*pieces, stream.flush()]))
    for one in results[1:]:
        np.testing.assert_array_equal(one, results[0])
    assert level_db(results[0]) > -45


@pytest.mark.parametrize(("rate", "lowest"), [(48000, 60.0), (44100, 120.0), (8000, 40.0)])
def test_live_sound_lags_by_the_latency_and_no_more(rate: int, lowest: float):
    """Each block gives as many seconds as it lasts; with the latency taken back, live and whole begin and end notes within 12 ms."""
    sound = melody([440.0, 349.23], rate=rate)
    stream = TransferStream(rate, "violin", lowest=lowest)
    given, taken = 0, 0
    pieces = []
    for first in range(0, len(sound), 301):
        block = sound[first : first + 301]
        pieces.append(stream.process(block))
        given, taken = given + len(pieces[-1]), taken + len(block)
        assert given == taken * RATE // rate
    live = np.concatenate([*pieces, stream.flush()])
    delay = round(stream.latency * RATE)
    assert len(live) == round(len(sound) * RATE / rate) + delay
    assert not live[: round(0.15 * RATE)].any()  # nothing is known before it is played
    whole = transfer(sound, rate, lowest=lowest)
    edges = []
    for one in (live[delay:], whole):
        for note in np.split(one.astype(np.float64), [round(0.1 * RATE), round(0.8 * RATE)])[1:]:
            envelope = np.sqrt(np.convolve(np.square(note), np.ones(480) / 480, "same"))
            heard = np.flatnonzero(envelope > 0.1 * np.median(envelope[round(0.2 * RATE) : round(0.5 * RATE)]))
            edges += [heard[0], heard[-1]]
    assert np.abs(np.subtract(edges[:4], edges[4:])).max() < 0.012 * RATE
    assert stream.latency < 0.11


def test_the_future_is_not_known_live():
    """What is played up to a moment is the same whatever follows, in a stream that gives as much as it takes."""
    first, second = melody([440.0]), melody([660.0], rest=0.0)
    sounds = []
    for following in (second, np.zeros(len(second))):
        stream = TransferStream(RATE, "violin")
        sounds.append(stream.process(np.concatenate([first, following])))
    np.testing.assert_array_equal(sounds[0][: len(first)], sounds[1][: len(first)])
    assert not np.array_equal(sounds[0], sounds[1])


def test_numbers_that_are_none_are_told_and_become_silence(tmp_path: Path):
    """A WAV with NaN and infinity is played all the same, finite, with a line that counts them; so is an array."""
    sound = melody([440.0])
    sound[20000:20010], sound[20020] = np.nan, np.inf
    source = written(tmp_path / "in.wav", sound, subtype="FLOAT")
    report = transfer_file(source, tmp_path / "out.wav")
    assert any("11 samples were no numbers" in note for note in report.notes)
    told: list[str] = []
    assert np.isfinite(transfer(sound, RATE, tell=told.append)).all()
    assert "11 samples were no numbers" in told[0]
    stream = TransferStream(RATE)
    assert np.isfinite(np.concatenate([stream.process(sound), stream.flush()])).all()


def test_several_notes_at_once_are_told_with_their_place(tmp_path: Path):
    """Two seconds of a chord between two of melody: a line says from when to when; a melody alone has no such line."""
    chord = sum(tone(np.full(2 * RATE, hertz), level=0.05) for hertz in (261.63, 329.63, 392.0))
    line = melody([440.0, 493.88, 523.25, 587.33], 0.4, 0.1)
    source = written(tmp_path / "in.wav", np.concatenate([line, chord, line]))
    notes = transfer_file(source, tmp_path / "out.wav").notes
    assert [note for note in notes if note.startswith("0:02 to 0:04: several notes at once")]
    assert len(notes) == 1
    assert transfer_file(written(tmp_path / "one.wav", line), tmp_path / "two.wav").notes == []


def test_one_command_writes_sound_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """File, picture and report; a second time it is refused, and with --force replaced."""
    source = written(tmp_path / "in.wav", melody([440.0, 392.0]))
    command = ("transfer", source, "--voice", "violin", "-o", tmp_path / "made" / "out.flac", "--plot", "--json")
    assert run(*command) == 0
    told = json.loads(capsys.readouterr().out)
    made = soundfile.info(tmp_path / "made" / "out.flac")
    assert (made.samplerate, made.channels, made.subtype, made.frames) == (RATE, 2, "PCM_24", round(1.4 * RATE))
    assert (tmp_path / "made" / "out.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["out.flac", "out.png"]
    assert (told["octave"], told["latency"], told["notes"]) == (0, None, [])
    assert told["lufs"] == pytest.approx(-16, abs=0.3)
    assert 0.65 < told["sang"] < 0.9
    before = (tmp_path / "made" / "out.flac").read_bytes()
    assert run(*command) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(*command, "--force") == 0
    assert (tmp_path / "made" / "out.flac").read_bytes() == before


def test_blocks_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """--block says its latency, and the file is that of the stream, aligned with what came in; another size gives the same file."""
    source = written(tmp_path / "in.wav", melody([440.0, 392.0]))
    for size, name in ((1024, "a"), (333, "b")):
        assert run("transfer", source, "--block", size, "-o", tmp_path / f"{name}.wav", "--plot") == 0
    lines = capsys.readouterr().out
    assert "latency 96.9 ms: 21.3 to fill a block of 1024 samples and 75.5 to hear and to play" in lines
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    stream, sound = TransferStream(RATE), soundfile.read(source)[0]
    expected = np.concatenate([stream.process(sound), stream.flush()])[round(stream.latency * RATE) :]
    np.testing.assert_allclose(soundfile.read(tmp_path / "a.wav")[0][:, 0], expected, atol=3e-7)


@pytest.mark.parametrize(
    ("name", "options", "status", "words"),
    [
        ("good", ("--voice", "kazoo"), 1, ("kazoo", "bundled are", "violin")),
        ("silent", (), 1, ("silent", "nothing to play")),
        ("no numbers", (), 1, ("silent", "48,000 samples are no numbers")),
        ("noise", (), 1, ("no pitch",)),
        ("faint", (), 1, ("peak is -90 dB", "louder")),
        ("short", (), 1, ("too short",)),
        ("slow", (), 1, ("4000 Hz", "8000 … 192000")),
        ("text", (), 1, ("not an audio file",)),
        ("missing", (), 1, ("no such file",)),
        ("silent", ("--block", "512"), 1, ("silent", "nothing to play")),
        ("good", ("--block", "0"), 2, ("block 0", "256 to 2048")),
        ("good", ("--block", "-5"), 2, ("block -5",)),
        ("good", ("--octave", "9"), 2, ("octave 9",)),
        ("good", ("--lowest", "0"), 2, ("lowest 0 Hz", "25 to 400")),
        ("good", ("--bit-depth", "7"), 1, ("bit depth 7",)),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, options: tuple[str, ...], status: int, words: tuple[str, ...]
):
    """One line on stderr with the file or value, the cause and the choices; nothing is written, and no temporary file stays."""
    rate = 4000 if name == "slow" else RATE
    sounds = {
        "good": melody([440.0]), "silent": np.zeros(RATE), "no numbers": np.full(RATE, np.nan),
        "noise": 0.1 * np.random.default_rng(1).standard_normal(RATE),
        "faint": 3.16e-5 * np.sin(np.arange(RATE) / 20), "short": np.sin(np.arange(500) / 10), "slow": melody([440.0], rate=4000),
    }  # fmt: skip
    source = tmp_path / f"{name}.wav"
    if name in sounds:
        written(source, sounds[name], rate, "FLOAT")
    elif name == "text":
        source.write_text("la la la")
    assert run("transfer", source, "-o", tmp_path / "made" / "out.wav", *options) == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != source]


def test_a_voice_of_another_version_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A voice folder may be given as a path; one of another version, and one with other frames, end with a line."""
    from symbolic.models.voices.bundled import voice_folder

    source = written(tmp_path / "in.wav", melody([440.0]))
    folder = tmp_path / "voice"
    folder.mkdir()
    for part in ("config.json", "voice.safetensors"):
        (folder / part).write_bytes((voice_folder("violin") / part).read_bytes())
    assert run("transfer", source, "--voice", folder, "-o", tmp_path / "a.wav") == 0
    assert run("transfer", source, "--voice", "violin", "-o", tmp_path / "b.wav") == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    good = (folder / "config.json").read_text()
    for old, new, words in (('"version": 2', '"version": 7', "version 7"), ('"hop": 192', '"hop": 96', "500 frames a second")):
        (folder / "config.json").write_text(good.replace(old, new))
        assert run("transfer", source, "--voice", folder, "-o", tmp_path / "c.wav") == 1
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    """Four times the sound needs at most half a megabyte more at its peak."""
    once = melody([440.0, 392.0], 0.9, 0.1)
    transfer_file(written(tmp_path / "warm.wav", once), tmp_path / "warm-out.wav")
    peaks = []
    for times in (2, 8):
        source = written(tmp_path / f"{times}.wav", np.tile(once, times))
        tracemalloc.start()
        transfer_file(source, tmp_path / f"{times}-out.wav")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 5e5


def test_shapes_that_are_no_sound_are_refused():
    """(samples, channels) is refused with a hint, as are an empty array and a block of other channels; the functions are public."""
    for shape in ((48000, 2), (0,), (2, 2, 100)):
        with pytest.raises(InputError, match="transpose"):
            symbolic.transfer(np.zeros(shape), RATE)
    with pytest.raises(ValueError, match=r"\(1, samples\)"):
        symbolic.TransferStream(RATE).process(np.zeros((2, 100)))


def test_the_loudness_map_rises_everywhere_and_keeps_to_the_voice():
    """For any player: medians meet, more is more up to the voice's loudest, and what is 50 dB below the player's loudest is silence."""
    random = np.random.default_rng(0)
    config = VoiceConfig(loudness_quantiles=tuple(np.linspace(-40, 6, 21)))
    for middle, spread in ((-30.0, 2.0), (-5.0, 12.0), (5.0, 0.1)):
        hearsay = Hearsay()
        heard = random.normal(middle, spread, 5000)
        hearsay.add(np.full(5000, 440.0), heard, np.ones(5000))
        told = loudness_map(hearsay, config)
        assert told(np.array([np.median(heard)]), np.ones(1))[0] == pytest.approx(-17, abs=0.3)
        steps = told(np.arange(heard.max() - 40, heard.max() + 5, 0.1), np.ones(450))
        assert (np.diff(steps) > 0).all()
        assert steps[-1] < 6
        assert told(np.array([-80.0, np.quantile(heard, 0.99) - 50.5]), np.ones(2)).tolist() == [-80.0, -80.0]
        assert told(np.array([middle]), np.zeros(1))[0] == -80.0


def test_octaves_bring_the_most_into_the_compass():
    """A bass's notes go up for a flute's compass, a piccolo's down for a bass's; what fits already stays; a spread goes where most fits."""
    flute, bass = VoiceConfig(lowest_pitch=262.0, highest_pitch=2093.0), VoiceConfig(lowest_pitch=41.2, highest_pitch=247.0)
    for config, notes, expected in (
        (flute, [45.0, 90.0], 3),
        (bass, [1000.0, 3900.0], -4),
        (flute, [300.0], 0),
        (flute, [500.0] * 9 + [60.0], 0),
    ):
        hearsay = Hearsay()
        hearsay.add(np.array(notes), np.zeros(len(notes)), np.ones(len(notes)))
        assert octaves_to_compass(hearsay, config) == expected


def test_folding_ends_in_the_compass_and_does_not_flutter():
    """Any pitch lands within the compass and its leeway, whole octaves away; a slow glide over the bound breaks once each way."""
    config = VoiceConfig(lowest_pitch=196.0, highest_pitch=1200.0)
    pitch = 440 * 2 ** np.random.default_rng(1).uniform(-4, 4, 4000)
    folded = Folding(config)(pitch, np.ones(4000), 0)
    assert (folded >= 196.0 * 2**-LEEWAY).all()
    assert (folded <= 1200.0 * 2**LEEWAY).all()
    octaves = np.log2(folded / pitch)
    np.testing.assert_allclose(octaves, np.round(octaves), atol=1e-9)
    glide = 196 * 2 ** (np.sin(np.linspace(0, 2 * np.pi, 4000) + 0.5 * np.pi) / 2)
    blocks = Folding(config)
    played = np.concatenate([blocks(part, np.ones(len(part)), 0) for part in np.array_split(glide, 7)])
    moved = np.round(np.log2(played / glide)).astype(int)
    assert np.abs(np.diff(moved)).sum() == 2
    assert glide[moved == 0].min() >= 196 * 2**-LEEWAY - 0.1
    assert glide[moved == 1].max() <= 196 * 2**INSIDE + 0.1
    flat = Folding(config)(np.full(10, 196.0 * 2 ** (-0.9 * EDGE)), np.ones(10), 0)
    assert np.ptp(flat) == 0
    assert flat[0] < 196.0


def test_what_is_heard_does_not_depend_on_blocks():
    """The listener's frames, all five arrays, are the same for any blocks, and there is one for every whole 4 ms."""
    sound = np.concatenate([melody([440.0], 0.2, 0.1, 22050), 0.05 * np.random.default_rng(0).standard_normal(3000)])[None]
    parts = []
    for size in (11, 500, sound.shape[1]):
        listener = Listener(22050, 1, 50.0, 10, 16)
        heard = [listener.process(sound[:, first : first + size]) for first in range(0, sound.shape[1], size)] + [listener.flush()]
        parts.append({name: np.concatenate([getattr(one, name) for one in heard]) for name in vars(heard[0])})
    for one in parts[1:]:
        for name, part in one.items():
            np.testing.assert_array_equal(part, parts[0][name])
    assert len(parts[0]["pitch"]) == round(sound.shape[1] * 16000 / 22050) // 64
    assert len(parts[0]["sound"]) == 64 * len(parts[0]["pitch"])
    assert (parts[0]["gate"][40:60] == 1).all()
    assert (parts[0]["gate"][-15:] == 0).all()


def test_live_peaks_are_rounded_off():
    """Nothing a stream gives reaches full scale, also at the loudest; below 0.7 it is untouched, and above it still rises."""
    given = np.linspace(-4, 4, 8001).astype(np.float32)
    rounded = _rounded(given)
    soft = np.abs(given) <= 0.7
    np.testing.assert_array_equal(rounded[soft], given[soft])
    assert np.abs(rounded).max() < 1
    assert (np.diff(rounded) > 0).all()
    stream = TransferStream(RATE, "violin")
    loud = np.concatenate(
        [stream.process(melody([440.0], 1.0, levels=[0.004])), stream.process(melody([220.0, 880.0], 1.0, levels=[1.0] * 2))]
    )
    assert 0.05 < np.abs(loud).max() < 1

"""A measured drum kit: modes and noise come back as they were made, strokes sound as hits did, and a score's drums are played by it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from symusic import Note, Score, Tempo, Track

import symbolic
from symbolic.dsp.damped_modes import find_modes, modes_sound, t60_of
from symbolic.errors import InputError
from symbolic.models.voices.bundled import bundled_kits, bundled_struck, bundled_voices, voice_folder
from symbolic.models.voices.drums import DrumKit, load_kit, save_kit
from symbolic.rendering.controls import velocity_gain
from symbolic.rendering.drum_hits import DRAWS, DrumSound, draws_of
from symbolic.rendering.drum_kits import drum_kit, kit_of, kit_program
from symbolic.rendering.drums import CHOKES, choke_times, drum_preset
from symbolic.rendering.learned_part import learned_parts
from symbolic.rendering.mixing import mix_blocks
from symbolic.rendering.performance import Part, PlayedNote, perform
from symbolic.training.voices.drums import DrumSettings, formula_hit, heard, loss_beside, loudness, train_drums
from symbolic.training.voices.drums import played as sound_of

RATE = 48000
KITS = {
    8: "drums-room", 16: "drums-power", 24: "drums-electronic", 25: "drums-808", 32: "drums-jazz", 40: "drums-brush", 48: "drums-orchestra",
}  # fmt: skip
DRUM = ((180.0, 0.5, 0.6), (331.0, 0.3, 0.4), (1270.0, 0.2, 0.2))  # hertz, T60 in seconds, amplitude
BELL = ((820.0, 1.5, 0.5), (834.0, 0.9, 0.3), (3333.0, 0.8, 0.3))


def body(modes: tuple[tuple[float, float, float], ...], seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """A struck body: sines that fall evenly."""
    time = np.arange(round(seconds * rate)) / rate
    return np.sum([high * 10 ** (-3 * time / t60) * np.sin(2 * np.pi * hertz * time + hertz) for hertz, t60, high in modes], axis=0)


def rattle(t60: float, level: float, seconds: float = 1.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """A burst of white noise that falls evenly."""
    time = np.arange(round(seconds * rate)) / rate
    return level * 10 ** (-3 * time / t60) * np.random.default_rng(seed).standard_normal(len(time))


def stroke(kit: DrumKit, key: int, velocity: int = 100, rate: int = RATE, draw: int = 0, stop: float | None = None) -> np.ndarray:
    """One stroke of a kit (S,), mono."""
    return sound_of(DrumSound(drum_preset(key), kit, PlayedNote(0.0, 0.1, 0.1, key, velocity, 0), rate, draw, stop))


def level(sound: np.ndarray, hertz: float, begin: float, rate: int = RATE, seconds: float = 0.05) -> float:
    """Decibels of a sine within a stretch of sound."""
    part = sound[round(begin * rate) : round((begin + seconds) * rate)]
    window = np.hanning(len(part))
    down = np.exp(-2j * np.pi * hertz / rate * np.arange(len(part)))
    return float(20 * np.log10(2 * abs((part * window) @ down) / window.sum() + 1e-12))


def drum_score(*notes: tuple[int, int, int], kit: int = 0) -> Score:
    """Drum notes of (time, key, velocity) as a score, 480 ticks a quarter, 120 quarters a minute."""
    score = Score(480)
    score.tempos.append(Tempo(0, 120))
    score.tracks.append(Track("", kit, True, [Note(time, 60, key, velocity) for time, key, velocity in notes]))
    return score


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hits of a made kit: a drum at five velocities, louder ones with more noise; a bell in three files of other rates; bad files."""
    folder = tmp_path_factory.mktemp("hits")
    for velocity in (40, 60, 80, 100, 120):
        sound = 0.5 * (body(DRUM) + rattle(0.3, 0.001 * velocity, seed=velocity)) * velocity_gain(velocity)
        soundfile.write(folder / f"38-snare_v{velocity}.flac", np.pad(sound, (3000, 0)), RATE, subtype="PCM_24")
    for name, rate in (("76_forte.wav", 44100), ("77.wav", 96000)):
        sound = 0.5 * body(BELL, rate=rate)
        soundfile.write(folder / name, np.stack([sound, 0.5 * sound], 1), rate, subtype="PCM_24")
    soundfile.write(folder / "42_v90.wav", rattle(0.4, 0.2, 0.6), RATE, subtype="FLOAT")
    soundfile.write(folder / "42_v90_again.wav", rattle(0.4, 0.2, 0.6, seed=5), RATE, subtype="FLOAT")
    soundfile.write(folder / "45_v90.wav", np.clip(4 * body(DRUM), -1, 1), RATE)
    soundfile.write(folder / "46_v90.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "200_v90.wav", body(BELL), RATE)
    soundfile.write(folder / "81_v200.wav", body(BELL), RATE)
    soundfile.write(folder / "room.wav", body(BELL), RATE)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[str], Path]:
    output, told = tmp_path_factory.mktemp("kits") / "made", list[str]()
    return train_drums(folder, output, tell=told.append), told, output


@pytest.fixture(scope="module")
def kit(trained: tuple[dict, list[str], Path]) -> DrumKit:
    return load_kit(trained[2])


@pytest.mark.parametrize("modes", [DRUM, BELL], ids=["drum", "bell"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_modes_are_found_again(modes: tuple[tuple[float, float, float], ...], rate: int):
    sound = body(modes, rate=rate)
    found = find_modes(sound + rattle(0.3, 0.002, rate=rate), rate, 32, 0.01)
    for hertz, t60, high in modes:
        near = int(np.abs(found.hertz - hertz).argmin())
        assert found.hertz[near] == pytest.approx(hertz, abs=0.3)
        assert float(t60_of(found.rates[near])) == pytest.approx(t60, rel=0.05)
        assert abs(found.amplitudes[near]) == pytest.approx(high, rel=0.05)
    rest = sound - modes_sound(found, len(sound), rate)
    assert 10 * np.log10(np.square(rest[1000:]).sum() / np.square(sound[1000:]).sum()) < -25


def test_noise_stays_noise_and_silence_has_no_modes():
    noise = rattle(0.5, 0.1)
    found = find_modes(noise, RATE, 96, 0.01)
    assert len(found) < 70  # of 46 bands, in each of which six could be taken
    rest = noise - modes_sound(found, len(noise), RATE)
    assert np.square(rest[RATE // 50 :]).sum() > 0.8 * np.square(noise[RATE // 50 :]).sum()
    assert len(find_modes(np.zeros(RATE), RATE, 64, 0.01)) == 0
    assert len(find_modes(np.ones(20), RATE, 64, 0.01)) == 0
    assert not modes_sound(find_modes(np.zeros(RATE), RATE, 64, 0.01), 100, RATE).any()


def test_a_folder_becomes_a_kit_and_bad_files_are_told(trained: tuple[dict, list[str], Path], kit: DrumKit):
    facts, told, output = trained
    assert facts["keys"] == [38, 42, 45, 76, 77]
    assert kit.velocities[kit.keys == 38].tolist() == [40, 80, 120]  # the second and fourth are held out
    assert facts["held_out_hits"] == 3  # and the second take of the hi-hat
    assert kit.velocities[kit.keys == 76].tolist() == [96]
    assert facts == json.loads((output / "voice.json").read_text())
    lines = "\n".join(told)
    assert len(told) == 5
    for line in (
        "46_v90.wav: silent", "200_v90.wav: its name tells the key 200", "81_v200.wav: its name tells the velocity 200",
        "room.wav: its name tells no key", "45_v90.wav: ",
    ):  # fmt: skip
        assert line in lines
    assert "full scale" in next(line for line in told if "45_v90" in line)


def test_the_kit_says_how_modes_fall(kit: DrumKit):
    for key, modes in ((38, DRUM), (76, BELL), (77, BELL)):
        hit = int(np.flatnonzero(kit.keys == key)[0])
        for hertz, t60, _ in modes:
            near = int(np.abs(kit.hertz[hit] - hertz).argmin())
            assert kit.hertz[hit][near] == pytest.approx(hertz, abs=0.5)
            assert float(t60_of(kit.rates[hit][near])) == pytest.approx(t60, rel=0.06)


def test_the_kit_says_how_noise_falls(kit: DrumKit):
    hit = int(np.flatnonzero(kit.keys == 42)[0])
    moments = np.array([0.05, 0.1, 0.2])
    levels = kit.noise_at(hit, moments)[:, 10:-4].mean(1) + [kit.flutter[hit, round(250 * time) - 2 :][:4].mean() for time in moments]
    assert levels[0] - levels[1] == pytest.approx(60 * 0.05 / 0.4, abs=1.5)
    assert levels[1] - levels[2] == pytest.approx(60 * 0.1 / 0.4, abs=1.5)
    assert np.abs(np.diff(kit.noise_at(hit, np.array([0.05]))[0, 10:-4])).mean() < 4  # white


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_a_stroke_sounds_as_the_hit_did_at_any_rate(kit: DrumKit, rate: int):
    for key, velocity, modes, seconds in ((38, 40, DRUM, 0.1), (76, 100, BELL, 0.3)):
        made = stroke(kit, key, velocity, rate)
        true = body(modes, rate=rate)
        offset = level(made, modes[0][0], 0.03, rate) - level(true, modes[0][0], 0.03, rate)
        for hertz, _, _ in modes:
            for begin in (0.03, seconds):
                assert level(made, hertz, begin, rate) - level(true, hertz, begin, rate) == pytest.approx(offset, abs=1.5)
        assert np.isfinite(made).all()


def test_the_first_moments_are_the_recording_itself(kit: DrumKit, folder: Path):
    hit = heard(folder / "38-snare_v120.flac", DrumSettings())
    made, true = stroke(kit, 38, 120)[:400], hit.sound[:400]
    assert (made @ true) / np.sqrt((made @ made) * (true @ true)) > 0.999


def test_velocity_is_loudness_and_colour(kit: DrumKit):
    energies = [loudness(stroke(kit, 76, velocity)) for velocity in (30, 127)]
    assert energies[1] - energies[0] == pytest.approx(20 * np.log10(velocity_gain(127) / velocity_gain(30)), abs=0.01)
    shares = []
    for velocity in (40, 60, 80, 100, 120):  # louder hits were made with more noise
        sound = stroke(kit, 38, velocity)
        spectrum = np.square(np.abs(np.fft.rfft(sound[1000:9000])))
        shares.append(spectrum[2000:].sum() / spectrum.sum())
    assert shares == sorted(shares)
    assert shares[4] > 4 * shares[0]
    assert kit.hits(38, 60) == [(0, 0.5), (1, 0.5)]
    assert kit.hits(38, 1) == [(0, 1.0)]
    assert kit.hits(38, 127) == [(2, 1.0)]


def test_a_hit_is_as_loud_as_the_synthesizers(kit: DrumKit):
    for key in kit.measured:
        assert loudness(stroke(kit, key, 96)) == pytest.approx(loudness(formula_hit(key, 96)), abs=1.0)


def test_repeated_strokes_differ_a_little_and_come_in_turn(kit: DrumKit):
    one, other = stroke(kit, 42, draw=0), stroke(kit, 42, draw=1)
    assert np.array_equal(one, stroke(kit, 42, draw=0))
    assert 0.01 < np.square(one - other).sum() / np.square(one).sum() < 3
    assert loudness(one) == pytest.approx(loudness(other), abs=1.0)
    notes = [PlayedNote(place, place, place, key, 90, place) for place, key in enumerate((38, 42, 38, 38, 42, 38, 38))]
    assert draws_of(notes) == [0, 0, 1, 2, 1, 3, 0]
    assert draws_of(notes, 3)[0] == 3 % DRAWS


def test_a_stroke_is_cut_short(kit: DrumKit):
    whole, cut = stroke(kit, 76), stroke(kit, 76, stop=0.2)
    assert np.array_equal(whole[:9000], cut[:9000])
    assert level(cut, 820.0, 0.24) < level(whole, 820.0, 0.24) - 30
    assert len(cut) < 0.35 * RATE < len(whole)


def test_a_kit_comes_nearer_to_its_hits_than_other_sounds(kit: DrumKit, folder: Path):
    for name in ("38-snare_v100.flac", "42_v90_again.wav"):  # neither was learned from
        hit = heard(folder / name, DrumSettings())
        noise = DrumKit(**{key: getattr(kit, key) for key in DrumKit.__dataclass_fields__} | {"hertz": np.zeros_like(kit.hertz)})
        assert loss_beside(kit, hit) < (8 if hit.key == 42 else loss_beside(noise, hit) - 1)


def test_layers_that_are_one_recording_count_once(tmp_path: Path):
    (tmp_path / "hits").mkdir()
    for velocity in (40, 80, 120):
        soundfile.write(tmp_path / "hits" / f"76_v{velocity}.wav", velocity / 200 * body(BELL), RATE, subtype="FLOAT")
    facts = train_drums(tmp_path / "hits", tmp_path / "kit")
    assert facts["recordings"]["hits"] == 3
    assert facts["held_out"] == {}
    assert load_kit(tmp_path / "kit").velocities.tolist() == [120]


@pytest.mark.parametrize("damage", ["kind", "version", "cut", "gone", "shape"])
def test_a_damaged_kit_is_refused_in_a_line(kit: DrumKit, tmp_path: Path, damage: str):
    if damage == "shape":
        kit = DrumKit(**{key: getattr(kit, key) for key in DrumKit.__dataclass_fields__} | {"gains": kit.gains[:-1]})
    save_kit(tmp_path, kit, {})
    config, table = tmp_path / "config.json", tmp_path / "drums.safetensors"
    if damage in ("kind", "version"):
        config.write_text(json.dumps(json.loads(config.read_text()) | {damage: "else"}))
    elif damage == "cut":
        table.write_bytes(table.read_bytes()[:-100])
    elif damage == "gone":
        config.unlink()
    with pytest.raises(InputError) as caught:
        load_kit(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_trained_is_refused(tmp_path: Path):
    soundfile.write(tmp_path / "knock.wav", body(DRUM), RATE)
    with pytest.raises(InputError, match=r"named by its General MIDI key, such as 38_v80\.wav"):
        train_drums(tmp_path, tmp_path / "kit")
    with pytest.raises(InputError, match="modes is 500; 0 to 96"):
        DrumSettings(modes=500)
    with pytest.raises(InputError, match="velocity is 0; 1 to 127"):
        DrumSettings(velocity=0)
    with pytest.raises(InputError, match="0 to 40 dB"):
        DrumSettings(softer=-1)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="already"):
        train_drums(tmp_path, tmp_path / "there")


def test_the_bundled_kit_has_the_keys_of_general_midi_and_a_card():
    assert set(bundled_kits()) == {"drums", *KITS.values()}
    assert not set(bundled_kits()) & {*bundled_voices(), *bundled_struck()}
    bundled = load_kit(voice_folder("drums"))
    assert bundled.measured >= set(range(35, 82))
    assert (voice_folder("drums") / "drums.safetensors").stat().st_size < 2_000_000
    assert "MIT" in (voice_folder("drums") / "README.md").read_text()
    for key in (36, 38, 42, 46, 49, 51, 56, 81):
        assert loudness(stroke(bundled, key, 96)) == pytest.approx(loudness(formula_hit(key, 96)), abs=1.0)


def test_drums_of_a_score_are_played_by_the_kit_where_it_has_the_key():
    beat = drum_score(*((240 * step, key, 90) for step in range(4) for key in (36, 42)), (480, 38, 100))
    learned, synthesized = symbolic.render(beat, 16000), symbolic.render(beat, 16000, voices="synthesized")
    length = min(learned.shape[1], synthesized.shape[1])
    assert np.abs(learned[:, :length] - synthesized[:, :length]).max() > 0.05
    assert np.array_equal(learned, symbolic.render(beat, 16000))
    for other in (drum_score((0, 20, 90)), drum_score((0, 36, 90), kit=56)):  # a key without a hit; effects
        assert np.array_equal(symbolic.render(other, 16000), symbolic.render(other, 16000, voices="synthesized"))


def test_each_program_of_channel_10_has_its_kit():
    assert {program: kit_program(program).kits for program in KITS} == {program: (name, "drums") for program, name in KITS.items()}
    for program, like in ((7, 0), (15, 8), (23, 16), (31, 25), (39, 32), (47, 40), (55, 48), (57, 0), (127, 0)):
        assert kit_program(program) == kit_program(like)
    assert kit_program(0).kits == ("drums",)
    assert kit_program(56).kits == ()
    assert kit_of(56) is None
    standard = drum_kit(("drums",))
    for program, name in KITS.items():
        own, whole = load_kit(voice_folder(name)), kit_of(program)
        assert whole is not None
        assert whole.measured == standard.measured | own.measured
        assert {36} <= own.measured < standard.measured
        assert "MIT" in (voice_folder(name) / "README.md").read_text()
        assert (voice_folder(name) / "drums.safetensors").stat().st_size < 160_000


def test_a_brush_on_the_snare_is_no_stick_and_an_unknown_kit_is_the_standard_one():
    stick, brush, unknown = (symbolic.render(drum_score((0, 38, 90), kit=program), 16000) for program in (0, 40, 100))
    assert np.array_equal(stick, unknown)
    length = min(stick.shape[1], brush.shape[1])
    one, other = stick[:, :length].mean(0), brush[:, :length].mean(0)
    assert abs(one @ other) / np.sqrt((one @ one) * (other @ other)) < 0.3
    block = np.array([symbolic.render(drum_score((0, 76, 90), kit=program), 16000) for program in (0, 40)])
    assert np.array_equal(block[0], block[1])  # brushes have no woodblock of their own


@pytest.mark.parametrize("program", [8, 16, 24, 25, 32, 40, 48])
def test_the_kicks_of_kits_differ(program: int):
    whole, standard = kit_of(program), drum_kit(("drums",))
    assert whole is not None
    one, other = stroke(standard, 36)[:9600], stroke(whole, 36)[:9600]
    length = min(len(one), len(other))
    assert abs(one[:length] @ other[:length]) / np.sqrt((one @ one) * (other @ other)) < 0.9
    assert -7 < loudness(stroke(whole, 36, 96)) - loudness(stroke(standard, 36, 96)) < 6


def test_timpani_of_the_orchestra_ring_on_where_a_hi_hat_is_stopped():
    notes = tuple(PlayedNote(place / 2, place / 2, place / 2, key, 90, place) for place, key in enumerate((46, 42, 29, 27)))
    assert choke_times(notes, CHOKES) == [0.5, None, None, None]
    assert choke_times(notes, kit_program(48).chokes) == [None, None, 1.5, None]
    rings, stopped = (
        symbolic.render(drum_score((0, 46, 90), (120, 42, 10), kit=program), 16000).mean(0)[8000:12000] for program in (48, 0)
    )
    assert loudness(rings) > loudness(stopped) + 20


def test_a_kit_over_another_has_its_hits_where_it_lacks_them(kit: DrumKit):
    tables = {name: getattr(kit, name) for name in DrumKit.__dataclass_fields__}
    snare = DrumKit(**{name: table if name in ("centres", "times") else table[kit.keys == 38] for name, table in tables.items()})
    louder = DrumKit(**{name: getattr(snare, name) * (2 if name == "gains" else 1) for name in tables})
    both = louder.over(kit)
    assert both.keys.tolist() == kit.keys.tolist()
    assert np.array_equal(stroke(both, 38), 2 * stroke(kit, 38))
    assert np.array_equal(stroke(both, 77), stroke(kit, 77))
    assert np.array_equal(stroke(kit.over(louder), 38), stroke(kit, 38))
    assert np.array_equal(stroke(snare.over(kit), 42), stroke(kit, 42))
    with pytest.raises(ValueError, match="other bands or moments"):
        snare.over(DrumKit(**{**tables, "times": kit.times + 1}))


def test_hits_of_another_kit_are_left_out_and_the_others_are_louder_as_they_are_there(folder: Path, tmp_path: Path):
    (tmp_path / "variant").mkdir()
    for source in folder.glob("38-*.flac"):  # softer, and the same otherwise
        sound, rate = soundfile.read(source)
        soundfile.write(tmp_path / "variant" / source.name, 0.5 * sound, rate, subtype="PCM_24")
    bells = {"76_forte.wav": 1.2, "77.wav": 0.1, "42_v90.wav": 8.0, "50_v90.wav": 0.5}  # other sounds, the last on a key of its own
    for name, level in bells.items():
        soundfile.write(tmp_path / "variant" / name, level * 0.375 * body(DRUM), RATE, subtype="FLOAT")
    settings = DrumSettings(base=str(folder))
    facts = train_drums(tmp_path / "variant", tmp_path / "made", settings)
    assert facts["keys"] == [42, 50, 76, 77]
    made = load_kit(tmp_path / "made")
    wanted = loudness(1.2 * 0.375 * body(DRUM)) - loudness(0.375 * body(BELL))
    assert -6 < wanted < 3
    for key, louder in ((76, wanted), (77, -6.0), (42, 3.0), (50, 0.0)):
        assert loudness(stroke(made, key, 96)) == pytest.approx(loudness(formula_hit(key, 96)) + louder, abs=1.0)
    with pytest.raises(InputError, match="nothing is left to measure"):
        train_drums(folder, tmp_path / "none", settings)


def test_a_key_without_a_hit_is_left_to_the_synthesizer_within_a_part(kit: DrumKit):
    part = perform(drum_score((0, 38, 90), (0, 50, 90)))[0]  # the made kit has no high tom
    one, both = (_mixed(notes, kit) for notes in ((part.notes[0],), part.notes))
    tom = formula_hit(50, 90)
    length = min(one.shape[1], both.shape[1], len(tom))
    assert loudness((both - one if one.shape == both.shape else both[:, :length] - one[:, :length]).mean(0)) > -60


def test_blocks_of_any_size_give_the_same_sound():
    parts = perform(drum_score((0, 36, 90), (100, 46, 90), (333, 42, 70), (500, 49, 120), (600, 38, 33)))
    learned = learned_parts(parts)
    assert learned[0].kit is not None
    small, large = (
        np.concatenate([block.mix for block in mix_blocks(parts, 16000, block_samples=size, learned=learned)], axis=1)
        for size in (1000, 16000)
    )
    assert np.abs(small - large).max() < 3e-6


def _mixed(notes: tuple[PlayedNote, ...], kit: DrumKit) -> np.ndarray:
    from symbolic.rendering.learned_part import LearnedPart

    part = Part(0, "", 0, True, notes, None, None, None, None, None)
    return np.concatenate([block.mix for block in mix_blocks([part], RATE, learned={0: LearnedPart(kit=kit)})], axis=1)

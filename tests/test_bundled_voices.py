"""The voices that ship are what their cards say: whole, small, in tune, and with a licence."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from symbolic.cli import main
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.errors import InputError
from symbolic.models.voices.bundled import bundled_voices, load_voice, voice_folder
from symbolic.models.voices.voice import play

BAND = [
    "bassoon", "cello", "clarinet", "double-bass", "flute", "french-horn", "oboe", "trombone", "trumpet", "viola", "violin",
]  # fmt: skip


def test_the_band_is_there_and_small():
    """All eleven are bundled, and everything that ships for voices stays under 30 MB."""
    assert set(BAND) <= set(bundled_voices())
    assert sum(part.stat().st_size for part in voice_folder("violin").parent.rglob("*") if part.is_file()) < 30e6


@pytest.mark.parametrize("name", BAND)
def test_a_folder_holds_weights_in_half_precision_and_a_card(name: str):
    """Nothing lies in it but config, weights in float16 and the card, which names the data, its licence and the figures of the config."""
    folder = voice_folder(name)
    assert {part.name for part in folder.iterdir()} == {"README.md", "config.json", "voice.safetensors"}
    assert (folder / "voice.safetensors").stat().st_size < 2e6
    with safe_open(str(folder / "voice.safetensors"), "np") as weights:
        assert {str(weights.get_tensor(key).dtype) for key in weights.keys()} == {"float16"}  # noqa: SIM118  (no mapping)
    facts = json.loads((folder / "config.json").read_text())["facts"]
    card = (folder / "README.md").read_text()
    assert f"# Voice card: `{name}`" in card
    for word in ("Philharmonia", "Licence", "Bad to the ear", f"{facts['held_out']['loss']:.2f}", f"{facts['steps']:,} steps"):
        assert word in card
    assert facts["name"] == name


@pytest.mark.parametrize("name", BAND)
def test_a_note_is_in_tune(name: str):
    """Notes at a quarter, the middle and three quarters of the compass, at a usual loudness, are within 5 cents of what was asked."""
    decoder, _ = load_voice(name)
    config = decoder.config
    loudness = np.full(200, config.loudness_quantiles[len(config.loudness_quantiles) * 3 // 4], np.float32)
    octaves = np.log2(config.highest_pitch / config.lowest_pitch)
    for share in (0.25, 0.5, 0.75):
        hertz = config.lowest_pitch * 2 ** (share * octaves)
        sound = play(decoder, np.full(200, hertz, np.float32), loudness)
        heard = track_pitch(sound, config.sample_rate, config.hop, lowest=hertz / 1.9, highest=hertz * 1.9)
        inner = slice(40, 180)
        cents = 1200 * np.log2(heard.pitch[inner] / hertz)
        assert abs(float(np.median(cents))) < 5, (share, hertz)
        assert float(np.median(heard.periodicity[inner])) > 0.7, (share, hertz)


def test_an_unknown_name_lists_the_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Names are found from anywhere; a wrong one ends with one line that holds all names; a folder of a voice's name is a path."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"kazoo.*bassoon, cello, clarinet"):
        voice_folder("kazoo")
    assert main(["voice", "show", "flute"]) == 0
    assert "compass of its recordings: " in capsys.readouterr().out
    assert main(["voice", "show", "kazoo"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "flute").mkdir()
    (tmp_path / "flute" / "config.json").write_text("{}")
    assert voice_folder("flute").parent.name == "voices"
    assert voice_folder("./flute") == voice_folder(Path("flute")) == Path("flute")

"""The WaveNets that come along: each plays the pitch it is told, and has a card; the one of several instruments blends and stretches."""

import json

import numpy as np
import pytest
import soundfile

import symbolic
from symbolic.models.wavenet.bundled import SEVERAL, bundled_wavenets, wavenet_folder
from symbolic.rendering.in_tune import heard_pitch
from symbolic.rendering.wavenet_part import wavenet_programs
from symbolic.rendering.wavenet_voice import WavenetVoice


def tone(pitch: float, partials: int) -> np.ndarray:
    """A second of a note with partials that fall off, an attack and a release."""
    time = np.arange(16000) / 16000
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * number * hertz * time) / number**1.5 for number in range(1, partials + 1))
    return 0.3 * wave * np.minimum(1, np.minimum(time, 1 - time) / 0.05)


@pytest.mark.parametrize("name", bundled_wavenets())
def test_each_plays_the_pitch_it_is_told(name):
    """From pitch, velocity and length alone, across its compass; of five notes one may be off."""
    voice = WavenetVoice(wavenet_folder(name), temperature=0.9, tries=3)
    facts = json.loads((wavenet_folder(name) / "voice.json").read_text())
    lowest, highest = facts["lowest_pitch"], facts["highest_pitch"]
    asked = [float(pitch) for pitch in np.linspace(lowest + 3, highest - 3, 5)]
    heard = [heard_pitch(sound, voice.sample_rate) for sound in voice.render([(pitch, 80, 8000) for pitch in asked])]
    near = [one is not None and abs(one[0] - pitch) <= 0.3 for one, pitch in zip(heard, asked, strict=True)]
    assert sum(near) >= 4
    assert "## Licence" in (wavenet_folder(name) / "README.md").read_text()


def test_two_notes_are_blended_and_one_is_stretched(tmp_path):
    """Steps between two notes have the pitches between theirs, a longer note its own; nobody trained anything."""
    for name, pitch, partials in (("low", 62.0, 8), ("high", 69.0, 3)):
        soundfile.write(tmp_path / f"{name}.wav", tone(pitch, partials), 16000)
    report = symbolic.blend_files([tmp_path / "low.wav", tmp_path / "high.wav"], tmp_path / "between.wav", steps=3)
    assert [step.pitch for step in report.steps] == pytest.approx([62.0, 65.5, 69.0], abs=0.05)
    for step in report.steps:
        assert step.heard == pytest.approx(step.pitch, abs=0.3)
    [longer] = symbolic.blend_files([tmp_path / "low.wav"], tmp_path / "longer.wav", seconds=1.7, pitch=66.0).steps
    assert longer.seconds == pytest.approx(1.7, abs=0.001)
    assert longer.heard == pytest.approx(66.0, abs=0.3)


def test_the_table_of_programs_names_what_is_there():
    """Some programs have a WaveNet, and the network of several instruments is none of them."""
    there = set(bundled_wavenets())
    assert SEVERAL in there
    assert sum(any(name in there for name in names) for names in wavenet_programs().values()) > 10
    assert not any(SEVERAL in names for names in wavenet_programs().values())

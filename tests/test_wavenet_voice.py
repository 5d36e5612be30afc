"""A WaveNet voice renders notes, each once."""

import numpy as np
import pytest
import torch

from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.saving import save_wavenet
from symbolic.rendering.note_cache import NoteCache
from symbolic.rendering.wavenet_voice import WavenetVoice

NOTES = [(60.0, 90, 900), (64.5, 40, 1300), (60.0, 90, 900), (70.0, 127, 0), (72, 100, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("voices") / "voice"
    model = Wavenet(WavenetConfig(channels=32, layers=4, cycle=4, code_samples=128, hold=16, conditioning=32, encoder_channels=16))
    with torch.no_grad():
        model.decoder.head.weight.mul_(20)
    save_wavenet(model, path, rounded=True)
    return path


def test_notes_as_sound(folder):
    """Lengths as asked, equal notes equal, the end faded, nothing beyond full scale; order and threads change nothing."""
    voice = WavenetVoice(folder)
    sounds = voice.render(NOTES)
    assert [len(sound) for sound in sounds] == [900, 1300, 900, 0, 1]
    np.testing.assert_array_equal(sounds[0], sounds[2])
    assert sounds[0].dtype == np.float32
    assert np.abs(sounds[1]).max() <= 1
    assert sounds[0][-1] == 0
    assert sounds[0].std() > 0.01
    for same, sound in zip(WavenetVoice(folder, threads=2).render(NOTES[::-1]), sounds[::-1], strict=True):
        np.testing.assert_array_equal(same, sound)
    assert (WavenetVoice(folder, random_seed=1).render(NOTES[:1])[0] != sounds[0]).any()
    assert WavenetVoice(folder, temperature=0.1).render(NOTES[:1])[0].std() != sounds[0].std()


def test_a_note_is_made_once(folder, tmp_path):
    """A note asked for twice is played once; the second time, also by another process's voice, nothing is played."""
    cache = NoteCache(tmp_path)
    told: list[tuple[int, int]] = []
    first = WavenetVoice(folder, cache).render(NOTES, lambda done, total: told.append((done, total)))
    assert told[-1] == (2201, 2201)
    told.clear()
    again = WavenetVoice(folder, NoteCache(tmp_path)).render(NOTES, lambda done, total: told.append((done, total)))
    assert not told
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    WavenetVoice(folder, cache, temperature=0.9).render(NOTES[:1], lambda done, total: told.append((done, total)))
    assert told[-1] == (900, 900)


def test_another_voice_has_other_notes(folder, tmp_path):
    """The cache tells voices apart by their weights, not by their names."""
    torch.manual_seed(1)
    other = tmp_path / "voice"
    save_wavenet(Wavenet(WavenetVoice(folder).model.config), other)
    cache = NoteCache(tmp_path / "notes")
    one, two = (WavenetVoice(path, cache).render(NOTES[:1])[0] for path in (folder, other))
    assert (one != two).any()

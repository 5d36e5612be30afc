"""What ships is what its card says: small, whole, and as good on a fixed clip as stated."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from symbolic.generation.bundle import bundled_models, load_model, load_tokenizer, model_folder
from symbolic.midi.seeds import load_seed
from symbolic.training.evaluation import sum_up, token_nats


@pytest.mark.parametrize("name", bundled_models())
def test_a_bundled_model_reproduces_the_loss_on_its_card(name):
    """The model scores the bundled Canon at the nats per note its card states, to the third digit."""
    card = (model_folder(name) / "README.md").read_text()
    stated = float(re.search(r"bundled Canon[^|]*\| *([\d.]+)", card)[1])  # type: ignore[index]
    tokenizer = load_tokenizer(name)
    vocabulary = tokenizer.vocabulary
    ids = np.concatenate([[vocabulary.bos], tokenizer.encode(load_seed("canon")).ids, [vocabulary.eos]])
    score = sum_up([ids], token_nats(load_model(name), [ids], vocabulary), vocabulary)
    assert score.nats_per_note == pytest.approx(stated, abs=2e-3)


@pytest.mark.parametrize("name", bundled_models())
def test_weights_are_half_precision_and_small(name):
    """Weights are safetensors in float16, at most 20 MB, with nothing else but text beside them."""
    folder = model_folder(name)
    assert {p.name for p in folder.iterdir()} == {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").stat().st_size < 20e6
    with safe_open(str(folder / "model.safetensors"), "np") as weights:
        assert {str(weights.get_tensor(key).dtype) for key in weights.keys()} == {"float16"}  # noqa: SIM118  (no mapping)


def test_a_model_is_bundled_and_all_together_are_small():
    """There is a default model, and all shipped weights stay under 60 MB."""
    assert "small" in bundled_models()
    root = Path(model_folder("small")).parent
    assert sum(p.stat().st_size for p in root.rglob("*.safetensors")) < 60e6

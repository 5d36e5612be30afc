"""Every weight has one optimizer and moves by its rule; a run with Muon resumes exactly."""

import dataclasses

import pytest
import torch

from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.training.checkpoint import newest
from symbolic.training.loop import train
from symbolic.training.optimizing import make_optimizer
from symbolic.training.settings import OPTIMIZERS, TrainingSettings


@pytest.fixture
def model() -> TransformerXL:
    torch.manual_seed(0)
    return TransformerXL(make_config(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_weight_is_in_one_group_and_only_matrices_decay(model, name):
    """No weight is forgotten or moved twice; tables, norms and biases do not shrink."""
    groups = make_optimizer(model, TrainingSettings(optimizer=name, weight_decay=0.3)).param_groups
    places = [id(p) for group in groups for p in group["params"]]
    assert sorted(places) == sorted(id(p) for p in model.parameters())
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(module.weight) for block in model.layers() for module in block.modules() if isinstance(module, torch.nn.Linear)}


def test_muon_turns_by_orthogonal_steps_of_adamws_size(model):
    """A first step of a matrix has singular values alike and a root mean square near 0.2 of the learning rate; tables go by AdamW."""
    optimizer = make_optimizer(model, TrainingSettings(optimizer="muon", weight_decay=0.0))
    matrix, table = model.layers()[0].inner.weight, model.embeddings.token.weight
    before = {id(p): p.detach().clone() for p in (matrix, table)}
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    turned = torch.linalg.svdvals(matrix.detach() - before[id(matrix)])
    assert turned.min() > 0.5 * turned.max()
    assert float((matrix - before[id(matrix)]).detach().square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.25)
    torch.testing.assert_close((table - before[id(table)]).detach().abs(), torch.full_like(table, 0.01), rtol=1e-3, atol=0)


def test_a_resumed_run_with_muon_equals_an_uninterrupted_one(dataset, tmp_path, tiny_settings):
    """Its momentum is part of the checkpoint: the weights are equal in every bit, and not without it."""
    settings = dataclasses.replace(tiny_settings, optimizer="muon", decay_share=0.0, steps=12, sample_every=0)
    train(dataset, tmp_path / "whole", settings)
    train(dataset, tmp_path / "parts", dataclasses.replace(settings, steps=6))
    train(dataset, tmp_path / "parts", settings, resume=True)
    whole, parts = (torch.load(newest(tmp_path / run) / "training-0.pt", weights_only=True)["optimizer"] for run in ("whole", "parts"))
    momentum = [name for name in whole["state"] if "momentum_buffer" in whole["state"][name]]
    assert len(momentum) > 4
    assert len(whole["state"]) == sum(len(group["params"]) for group in whole["param_groups"])
    for number, state in whole["state"].items():
        for name, value in state.items():
            assert torch.equal(value, parts["state"][number][name])
            assert value.abs().max() > 0

"""The network equals its textbook formula, its memory can be trusted, and nothing leaks."""

import pytest
import torch

from symbolic.errors import InputError
from symbolic.models.attention import sinusoids
from symbolic.models.configuration import make_config
from symbolic.models.memory import Memory
from symbolic.models.transformer_xl import TransformerXL, load_weights

M = 7


def small_model(memory_length: int = M, seed: int = 0, **fields: int | tuple[int, ...]) -> TransformerXL:
    torch.manual_seed(seed)
    shape = {"vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    shape |= {"recent_tokens": 3, "echo_lengths": (1, 3), "echo_reach": 15} | fields
    model = TransformerXL(make_config(memory_length=memory_length, initializer_range=0.3, **shape)).eval()
    for name, weight in model.embeddings.named_parameters():
        if name.startswith(("recent", "echo")):
            torch.nn.init.normal_(weight, std=0.3)  # which begin as zeros
    return model


def random_input(batch: int, length: int, seed: int = 1, highest: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """The first half of the ids is of few, so that they repeat themselves."""
    generator = torch.Generator().manual_seed(seed)
    beats = torch.stack([torch.randint(0, high, (batch, length), generator=generator) for high in (40, 12, 48)], dim=-1)
    ids = torch.randint(0, highest + 1, (batch, length), generator=generator)
    return torch.where(torch.arange(length) < length // 2, ids % 3, ids), beats


def test_tokens_before_add_what_the_formula_says():
    """Token, bar, beat and grid step, plus for each of the last three tokens of the piece its embedding times a matrix of its lag."""
    embeddings = small_model(echo_lengths=()).embeddings
    ids, beats = random_input(1, 8)
    ages = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2]])
    found = embeddings(torch.cat((torch.full((1, 3), 30), ids), 1), beats, ages)[0]
    lags = dict(zip((3, 2, 1), embeddings.recent.weight.split(16, dim=1), strict=True))
    for place, (bar, beat, step) in enumerate(beats[0].tolist()):
        wanted = embeddings.token.weight[ids[0, place]] + embeddings.bar.weight[bar % 16]
        wanted = wanted + embeddings.beat.weight[beat] + embeddings.subdivision.weight[step]
        for lag in range(1, min(3, int(ages[0, place])) + 1):
            wanted = wanted + lags[lag] @ embeddings.token.weight[ids[0, place - lag]]
        torch.testing.assert_close(found[place], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("segment", [1, 3, 7, 16, 29])
def test_any_segmentation_equals_one_pass(segment):
    """Where a piece is cut into segments does not change its logits."""
    model = small_model()
    ids, beats = random_input(2, 29)
    whole = model(ids, beats).logits
    memory, parts = None, []
    for start in range(0, 29, segment):
        output = model(ids[:, start : start + segment], beats[:, start : start + segment], memory)
        memory, parts = output.memory, [*parts, output.logits]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=2e-5, rtol=0)


@pytest.mark.parametrize("prompt", [1, 5, 20])
def test_step_by_step_equals_the_full_pass(prompt):
    """Generation's cached steps give the logits of the full pass, also after the ring has gone round several times."""
    model = small_model()
    ids, beats = random_input(3, 40)
    whole = model(ids, beats).logits
    state = model.decoding_state(model(ids[:, :prompt], beats[:, :prompt]).memory)
    for place in range(prompt, 40):
        torch.testing.assert_close(model.step(ids[:, place], beats[:, place], state), whole[:, place], atol=2e-5, rtol=0)


def test_no_gradient_from_the_future():
    """The logits at a token depend on no later token, and on every token of the window before it."""
    model = small_model()
    ids, beats = random_input(1, 20)
    embedded: list[torch.Tensor] = []
    model.embeddings.register_forward_hook(lambda _m, _i, out: embedded.append(out.retain_grad() or out))
    model(ids, beats).logits[0, 9].sum().backward()
    reached = embedded[0].grad[0].abs().sum(-1)
    assert (reached[10:] == 0).all()
    assert (reached[:10] > 0).all()


def test_window_reaches_exactly_memory_length_per_layer():
    """A token sees memory_length tokens back in each layer, and no further."""
    model = small_model(memory_length=3, num_hidden_layers=2)
    ids, beats = random_input(1, 20)
    embedded: list[torch.Tensor] = []
    model.embeddings.register_forward_hook(lambda _m, _i, out: embedded.append(out.retain_grad() or out))
    model(ids, beats).logits[0, 15].sum().backward()
    reached = embedded[0].grad[0].abs().sum(-1) > 0
    assert reached.nonzero().flatten().tolist() == list(range(15 - 2 * 3, 16))


def test_nothing_leaks_across_pieces_that_share_a_lane():
    """Two pieces one after another in a row give each the logits it has alone, also over a segment's border."""
    model = small_model()
    ids, beats = random_input(1, 24)
    first, second = model(ids[:, :10], beats[:, :10]).logits, model(ids[:, 10:], beats[:, 10:]).logits
    ages = torch.cat([torch.arange(10), torch.arange(14)])[None]
    opening = model(ids[:, :12], beats[:, :12], ages=ages[:, :12])
    rest = model(ids[:, 12:], beats[:, 12:], opening.memory, ages=ages[:, 12:])
    together = torch.cat([opening.logits, rest.logits], 1)
    torch.testing.assert_close(together, torch.cat([first, second], 1), atol=2e-5, rtol=0)


def test_left_padding_changes_nothing():
    """A row padded on the left continues as it does alone: shorter prompts may share a batch with longer ones."""
    model = small_model()
    ids, beats = random_input(1, 12)
    alone = model(ids, beats)
    padded_ids = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids], 1)
    padded_beats = torch.cat([torch.zeros(1, 5, 3, dtype=torch.long), beats], 1)
    padded = model(padded_ids, padded_beats, ages=torch.arange(-5, 12)[None])
    torch.testing.assert_close(padded.logits[:, 5:], alone.logits, atol=2e-5, rtol=0)
    more_ids, more_beats = random_input(1, 15, seed=4)
    states = [model.decoding_state(output.memory) for output in (alone, padded)]
    for place in range(15):
        one, other = (model.step(more_ids[:, place], more_beats[:, place], state) for state in states)
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_rows_do_not_see_each_other():
    """The order of the batch does not matter, and a branched memory goes on as its row would."""
    model = small_model()
    ids, beats = random_input(3, 20)
    output = model(ids, beats)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(ids[order], beats[order]).logits, output.logits[order], atol=2e-5, rtol=0)
    branch = output.memory.rows(torch.tensor([1, 1]))
    more, more_beats = random_input(2, 4, seed=2)
    alone = model(more[:1], more_beats[:1], output.memory.rows(torch.tensor([1]))).logits
    torch.testing.assert_close(model(more, more_beats, branch).logits[:1], alone, atol=2e-5, rtol=0)


def test_memory_carries_no_gradient_and_survives_a_file(tmp_path):
    """Memory is detached, and saved and loaded it continues the piece exactly."""
    model = small_model()
    ids, beats = random_input(2, 20)
    memory = model(ids[:, :10], beats[:, :10]).memory
    assert not any(part.requires_grad for part in (*memory.keys, *memory.values))
    torch.save(vars(memory), tmp_path / "memory.pt")
    loaded = Memory(**torch.load(tmp_path / "memory.pt", weights_only=True))
    assert torch.equal(model(ids[:, 10:], beats[:, 10:], loaded).logits, model(ids[:, 10:], beats[:, 10:], memory).logits)


def test_beats_matter():
    """The same ids on other beats give other logits."""
    model = small_model()
    ids, beats = random_input(1, 10)
    for feature in range(3):
        moved = beats.clone()
        moved[..., feature] = (moved[..., feature] + 1) % 12
        assert not torch.allclose(model(ids, beats).logits, model(ids, moved).logits, atol=1e-4)


def test_saved_and_loaded_model_is_the_same(tmp_path):
    """save_pretrained and load_weights give back every logit; the tied table is stored once."""
    model = small_model()
    model.save_pretrained(tmp_path)
    again = load_weights(tmp_path)
    ids, beats = random_input(1, 9)
    assert torch.equal(again(ids, beats).logits, model(ids, beats).logits)
    assert again.head.weight.data_ptr() == again.embeddings.token.weight.data_ptr()


def test_labels_are_as_given():
    """The loss is the mean negative log-likelihood of the labels as given, −100 left out."""
    model = small_model()
    ids, beats = random_input(1, 6)
    labels = torch.tensor([[3, 1, -100, 4, 1, -100]])
    output = model(ids, beats, labels=labels)
    log_probabilities = output.logits.log_softmax(-1)[0]
    expected = -torch.stack([log_probabilities[place, labels[0, place]] for place in (0, 1, 3, 4)]).mean()
    torch.testing.assert_close(output.loss, expected)


def test_sinusoids_turn_a_shift_into_a_rotation():
    """The encodings of d and d + k are related by one rotation whatever d: their inner product depends on k alone."""
    codes = sinusoids(torch.arange(50), 32)
    products = codes @ codes.T
    for k in (1, 7, 20):
        diagonal = products.diagonal(k)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hidden_size": 10, "num_attention_heads": 3}, "num_attention_heads (3) must divide hidden_size (10)"),
        ({"hiden_size": 16}, "did you mean 'hidden_size'"),
        ({"hidden_size": "16"}, "hidden_size"),
    ],
)
def test_impossible_configuration_is_refused_by_name(fields, words):
    """An unknown field, a wrong type and shapes that do not fit are told, not kept silently."""
    with pytest.raises(InputError) as error:
        make_config(**fields)
    assert words in str(error.value)


def test_damaged_weights_are_told_in_one_line(tmp_path):
    """A model file cut short is refused with its folder named."""
    small_model().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cannot be loaded") as error:
        load_weights(tmp_path)
    assert "\n" not in str(error.value)

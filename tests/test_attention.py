"""Both implementations of relative attention equal its textbook formula, value and gradient."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.models import attention
from symbolic.models.attention import WindowAttention, fused_attention, relative_attention, sinusoids, window_mask
from symbolic.models.configuration import make_config
from symbolic.models.dropout import Dropout
from symbolic.models.transformer_xl import Block

IMPLEMENTATIONS = {"window": WindowAttention.apply, "fused": fused_attention}


def textbook_attention(queries, key, value, past_keys, past_values, relative, content_bias, position_bias, hidden):
    """The formula pair by pair: for every query and every visible key one score, then softmax and sum; nothing is learned from the past."""
    keys, values = torch.cat([past_keys.detach(), key], 2), torch.cat([past_values.detach(), value], 2)
    H, B, T, _ = queries.shape
    memory = relative.shape[1] - 1
    heads = []
    for h in range(H):
        rows = []
        for b in range(B):
            for i in range(T):
                q, visible = queries[h, b, i], [c for c in range(memory + 1) if hidden is None or not hidden[b, i, c]]
                content = [(q + content_bias[h]) @ keys[h, b, i + c] for c in visible]
                position = [(q + position_bias[h]) @ relative[h, c] for c in visible]
                weights = (torch.stack(content) + torch.stack(position)).softmax(0)
                rows.append(sum(w * values[h, b, i + c] for w, c in zip(weights, visible, strict=True)))
        heads.append(torch.stack(rows).view(B, T, -1))
    return torch.stack(heads), keys[:, :, T:], values[:, :, T:]


def random_case(H: int, B: int, T: int, M: int, D: int, seed: int, dtype: torch.dtype) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Queries, keys, values, those of memory, relative keys and the two biases, all wanting a gradient; and ages, some of them young."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(H, B, T, D), (H, B, T, D), (H, B, T, D), (H, B, M, D), (H, B, M, D), (H, M + 1, D), (H, D), (H, D)]
    inputs = [torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]
    return inputs, torch.randint(0, M + 2, (B, T), generator=generator)


def with_gradients(function: Callable[..., tuple], inputs: list[torch.Tensor], hidden: torch.Tensor | None) -> list[torch.Tensor]:
    """The result, the next memory, and the gradient of every input for one fixed random direction."""
    result, keys, values = function(*inputs, hidden)
    direction = torch.randn(result.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    gradients = torch.autograd.grad(result, inputs, direction.to(result.dtype), allow_unused=True, materialize_grads=True)
    return [result, keys, values, *gradients]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(
    length=st.integers(1, 9), memory=st.integers(0, 5), block=st.sampled_from([1, 2, 4, 64]), masked=st.booleans(), seed=st.integers(0, 99)
)
@settings(max_examples=25, deadline=None)
def test_attention_and_its_gradient_equal_the_textbook_formula(implementation, length, memory, block, masked, seed):
    """Blocks of any size, whole or cut, give the formula's value and gradients, in float64 to 1e-10."""
    inputs, ages = random_case(2, 2, length, memory, 3, seed, torch.float64)
    hidden = window_mask(ages, memory) if masked else None
    before, attention.BLOCK = attention.BLOCK, block
    try:
        ours = with_gradients(IMPLEMENTATIONS[implementation], inputs, hidden)
    finally:
        attention.BLOCK = before
    for mine, theirs in zip(ours, with_gradients(textbook_attention, inputs, hidden), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_in_float32_the_error_stays_below_a_hundred_thousandth(implementation):
    """At a real width, several blocks and a last one cut short, float32 stays within 1e-5 of float64, relative to the largest value."""
    inputs, ages = random_case(2, 2, 150, 96, 32, 1, torch.float64)
    for place in (0, 6, 7):  # queries and biases come scaled
        inputs[place] = (inputs[place].detach() * 32**-0.5).requires_grad_()
    hidden = window_mask(ages, 96)
    exact = with_gradients(WindowAttention.apply, inputs, hidden)
    single = [part.detach().float().requires_grad_() for part in inputs]
    for mine, theirs in zip(with_gradients(IMPLEMENTATIONS[implementation], single, hidden), exact, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_on_a_processor_the_hand_written_one_is_chosen():
    """The choice is by device; nobody trains on a processor by the slower way unawares."""
    (queries, key, value, past_keys, past_values, *others), _ = random_case(1, 1, 3, 2, 2, 0, torch.float32)
    result, keys, values = relative_attention(queries, key, value, (past_keys, past_values), *others, None)
    assert type(result.grad_fn).__name__ == "WindowAttentionBackward"
    assert not keys.requires_grad
    assert not values.requires_grad


def projected(block: Block, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of states that enter a block, (B, n, H, D) each."""
    part = block.attention
    keys, values = part.key_value(block.attention_norm(states)).unflatten(-1, (2, part.heads, part.width)).unbind(2)
    return keys, values


def plain_attention(block: Block, segment: torch.Tensor, memory: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The attention half of a block as the paper writes it: one norm over memory and segment, one projection of both, einsums.

    No gradient goes into what comes from memory.
    """
    part, M, T = block.attention, memory.shape[1], segment.shape[1]
    queries = part.query(block.attention_norm(segment)).unflatten(-1, (part.heads, part.width))
    past, present = projected(block, memory), projected(block, segment)
    keys, values = (torch.cat([old.detach(), new], dim=1) for old, new in zip(past, present, strict=True))
    windows = keys.unfold(1, M + 1, 1)  # (B, T, H, D, M + 1)
    content = torch.einsum("bthd,bthdc->bhtc", queries + part.content_bias, windows)
    place = torch.einsum("bthd,hcd->bhtc", queries + part.position_bias, part.relative_keys(positions))
    weights = ((content + place) * part.width**-0.5).softmax(-1)
    attended = torch.einsum("bhtc,bthdc->bthd", weights, values.unfold(1, M + 1, 1))
    return segment + part.output(attended.reshape(segment.shape[0], T, -1))


@pytest.mark.parametrize("M", [0, 20])
def test_a_block_equals_the_plain_formula_in_every_gradient(M):
    """A memory of keys and values instead of states changes neither a value nor a gradient, to 1e-5."""
    generator = torch.Generator().manual_seed(0)
    config = make_config(hidden_size=32, num_attention_heads=4, intermediate_size=64, memory_length=M)
    block = Block(config)
    for parameter in block.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    segment = torch.randn(2, 70, 32, generator=generator, requires_grad=True)
    memory = 2 + torch.randn(2, M, 32, generator=generator)
    positions = sinusoids(torch.arange(M, -1, -1), 32)
    direction = torch.randn(2, 70, 32, generator=generator)
    wanted = [segment, *(p for name, p in block.named_parameters() if name.startswith("attention"))]
    past = tuple(part.detach().permute(2, 0, 1, 3) for part in projected(block, memory))
    attended, keys, values = block.attention(segment, past, block.attention_norm, positions, None)
    ours = segment + attended
    latest = projected(block, torch.cat([memory, segment], dim=1)[:, 70:])
    for mine, theirs in zip((keys, values), latest, strict=True):
        torch.testing.assert_close(mine, theirs.permute(2, 0, 1, 3), atol=1e-5, rtol=1e-5)
    plain = plain_attention(block, segment, memory, positions)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(torch.autograd.grad(ours, wanted, direction), torch.autograd.grad(plain, wanted, direction), strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(p, dtype):
    """p of the values (to 1/65536) are 0, the others scaled by 1 / (1 − p), in no fixed places; the gradient goes the same way."""
    torch.manual_seed(3)
    layer = Dropout(p)
    values = torch.ones(1001, 333, dtype=dtype, requires_grad=True)
    first, second = layer(values), layer(values)
    share = (first == 0).float().mean().item()
    assert abs(share - p) < 5 * (p * (1 - p) / values.numel()) ** 0.5
    assert abs((first == 0).logical_and(second == 0).float().mean().item() - p * p) < 0.005
    assert set(first.detach().unique().tolist()) == {0.0, torch.tensor(1 / (1 - round(p * 65536) / 65536)).to(dtype).item()}
    assert abs((first == 0).float().mean(0).std().item() - (p * (1 - p) / 1001) ** 0.5) < 0.003
    (gradient,) = torch.autograd.grad(first, values, torch.ones_like(first))
    assert torch.equal(gradient, first)
    torch.manual_seed(3)
    assert torch.equal(layer(values), first)
    assert layer.eval()(values) is values

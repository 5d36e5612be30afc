"""A step in machine code gives what a step in PyTorch gives, and `generate()` of transformers gives the same again."""

import numpy as np
import pytest
import torch

from symbolic.errors import UsageError
from symbolic.models.configuration import make_config
from symbolic.models.native import NativeModel, fits
from symbolic.models.transformer_xl import TransformerXL

VOCABULARY = 45


def small_model(
    memory_length: int = 40,
    width: int = 24,
    heads: int = 2,
    inner: int = 52,
    recent: int = 3,
    echo: tuple[int, ...] = (1, 3),
    half: bool = False,
) -> TransformerXL:
    torch.manual_seed(0)
    config = make_config(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=3, num_attention_heads=heads, intermediate_size=inner,
        memory_length=memory_length, initializer_range=width**-0.5, recent_tokens=recent,
        echo_lengths=echo, echo_reach=25,
    )  # fmt: skip
    model = TransformerXL(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "recent" in name or "echo" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model.half().float() if half else model


def random_input(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    beats = torch.stack([torch.randint(0, high, (batch, length), generator=generator) for high in (40, 12, 48)], dim=-1)
    ids = torch.randint(0, VOCABULARY, (batch, length), generator=generator)
    return torch.where(ids < VOCABULARY // 2, ids % 4, ids), beats  # few enough to repeat themselves


@pytest.mark.parametrize("rows", [1, 3, 4, 7])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"memory_length": 31, "width": 96},
        {"memory_length": 1, "heads": 1},
        {"memory_length": 0, "recent": 0},
        {"recent": 0, "echo": ()},
    ],
)
def test_native_steps_equal_the_full_pass(rows, shape):
    """Logits to 1e-5 for any batch and width, with rings that go round several times, from the first tokens of a piece on."""
    model = small_model(**shape)
    ids, beats = random_input(rows, 100)
    whole = model(ids, beats).logits.detach()
    native = NativeModel(model)
    state = native.state(model.decoding_state(model(ids[:, :5], beats[:, :5]).memory))
    made = torch.stack([native.step(ids[:, place], beats[:, place], state) for place in range(5, 100)], 1)
    torch.testing.assert_close(made, whole[:, 5:], atol=1e-5, rtol=1e-5)


def test_half_precision_is_kept_where_it_changes_nothing():
    """Weights that were saved in half precision take half the room and give the same logits; others stay in float32."""
    ids, beats = random_input(2, 60)
    for half, kind in ((True, np.float16), (False, np.float32)):
        model = small_model(half=half)
        native = NativeModel(model)
        assert native.weights.dtype == kind
        state = native.state(model.decoding_state(model.empty_memory(2)))
        made = torch.stack([native.step(ids[:, place], beats[:, place], state) for place in range(60)], 1)
        torch.testing.assert_close(made, model(ids, beats).logits.detach(), atol=1e-5, rtol=1e-5)


def test_rows_of_several_ages_and_chosen_rows():
    """Rows padded on the left go on as alone, and a row leaves the batch without a trace in the others."""
    model = small_model()
    ids, beats = random_input(3, 70)
    ages = torch.arange(20)[None] - torch.tensor([[0], [7], [15]])
    native = NativeModel(model)
    state = native.state(model.decoding_state(model(ids[:, :20], beats[:, :20], ages=ages).memory))
    rows = torch.tensor([0, 1, 2])
    for place in range(20, 70):
        if place == 40:
            rows = torch.tensor([2, 0])
            state = state.rows(rows)
        made = native.step(ids[rows, place], beats[rows, place], state)
        for row, logits in zip(rows.tolist(), made, strict=True):
            begin = (0, 7, 15)[row]
            alone = model(ids[row : row + 1, begin : place + 1], beats[row : row + 1, begin : place + 1]).logits[0, -1]
            torch.testing.assert_close(logits, alone.detach(), atol=1e-5, rtol=1e-5)


def test_int8_weights_come_near():
    """8-bit weights change logits by less than a tenth of their spread, and by something."""
    model = small_model()
    ids, beats = random_input(1, 40)
    native = NativeModel(model, "int8")
    assert native.weights.dtype == np.int8
    state = native.state(model.decoding_state(model.empty_memory(1)))
    made = torch.stack([native.step(ids[:, place], beats[:, place], state) for place in range(40)], 1)
    whole = model(ids, beats).logits.detach()
    assert 0 < (made - whole).std() < 0.1 * whole.std()


def test_widths_that_do_not_fit_are_refused():
    """A head of 6 has no native step; a caller asks `fits` and keeps the other."""
    model = small_model(width=12, heads=2)
    assert not fits(model)
    with pytest.raises(ValueError, match="multiples of 4"):
        NativeModel(model)


def beats_of(ids: torch.Tensor) -> torch.Tensor:
    """Some beat for every token that depends on its place alone."""
    place = torch.arange(ids.shape[1])
    return torch.stack([place // 9, place % 9, place % 4], -1).expand(len(ids), -1, 3)


def test_all_paths_give_the_same_logits():
    """generate() with its cache and without, the eager step, the native step and one pass over everything: one set of logits."""
    model = small_model()
    ids, _ = random_input(2, 12)
    options = {"max_new_tokens": 60, "do_sample": False, "output_logits": True, "return_dict_in_generate": True, "eos_token_id": None}
    cached = model.generate(ids, beats=beats_of, pad_token_id=0, attention_mask=torch.ones_like(ids), **options)
    whole_each_time = model.generate(
        ids, beats=beats_of(torch.zeros(2, 80)), use_cache=False, pad_token_id=0, attention_mask=torch.ones_like(ids), **options
    )
    assert torch.equal(cached.sequences, whole_each_time.sequences)
    made = cached.sequences
    whole = model(made, beats_of(made)).logits[:, 11:-1].detach()
    native, eager = NativeModel(model), model.decoding_state(model(ids, beats_of(ids)).memory)
    state = native.state(eager)
    steps = [(made[:, place], beats_of(made)[:, place]) for place in range(12, 71)]
    paths = {
        "generate": torch.stack(cached.logits, 1)[:, 1:],
        "generate without cache": torch.stack(whole_each_time.logits, 1)[:, 1:],
        "eager": torch.stack([model.step(*step, eager) for step in steps], 1),
        "native": torch.stack([native.step(*step, state) for step in steps], 1),
    }
    for logits in paths.values():
        torch.testing.assert_close(logits, whole[:, 1:], atol=2e-5, rtol=1e-5)


def test_generate_takes_padding_beams_and_several_takes():
    """A prompt padded on the left goes on as alone; beam search finds at least what greedy search finds."""
    model = small_model()
    ids, _ = random_input(1, 10)
    beats = beats_of(torch.zeros(1, 40))
    greedy = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    alone = model.generate(ids, beats=beats, attention_mask=torch.ones_like(ids), **greedy)
    padding = torch.zeros(1, 4, dtype=torch.long)
    padded = model.generate(
        torch.cat([padding, ids], 1), beats=torch.cat([torch.zeros(1, 4, 3, dtype=torch.long), beats], 1),
        attention_mask=torch.cat([padding, torch.ones_like(ids)], 1), **greedy,
    )  # fmt: skip
    assert torch.equal(padded[:, 4:], alone)

    def likelihood(made: torch.Tensor) -> float:
        chances = model(made, beats[:, : made.shape[1]]).logits.log_softmax(-1)[:, 9:-1]
        return float(chances.gather(-1, made[:, 10:, None]).sum().detach())

    beams = model.generate(ids, beats=beats, num_beams=4, attention_mask=torch.ones_like(ids), **greedy)
    assert likelihood(beams) >= likelihood(alone)
    takes = model.generate(
        ids, beats=beats, num_return_sequences=3, attention_mask=torch.ones_like(ids), **greedy | {"do_sample": True}
    )  # fmt: skip
    assert len({tuple(take) for take in takes.tolist()}) == 3


def test_generate_without_beats_says_what_it_needs():
    """No beats, or too few of them: one line that says so."""
    model = small_model()
    ids, beats = random_input(1, 6)
    with pytest.raises(UsageError, match="needs beats"):
        model.generate(ids, max_new_tokens=2, attention_mask=torch.ones_like(ids), pad_token_id=0)
    with pytest.raises(UsageError, match="beats reach to token 6"):
        model.generate(ids, beats=beats, max_new_tokens=5, eos_token_id=None, attention_mask=torch.ones_like(ids), pad_token_id=0)

"""The chorale benchmark: what is scored, in which keys, at which beat."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))  # scripts, not a package

from jsb import (
    LONGEST_HELD,
    NO_LABEL,
    SILENCE,
    START,
    Recipe,
    batch_of,
    beats_of,
    epoch_batches,
    fitting_shifts,
    make_model,
    nats_of,
    nats_over_keys,
    score,
    transposed,
)

SMALL = Recipe(width=16, layers=1, heads=2, inner=16, memory=8, batch=2)


def _pieces(count: int, generator: np.random.Generator) -> list[np.ndarray]:
    return [generator.integers(5, 40, 4 * int(generator.integers(3, 9))) for _ in range(count)]


def test_every_token_is_scored_once_and_the_first_comes_from_the_start():
    """Labels are the piece, inputs the piece one later behind START, and padding has no label."""
    pieces = [np.arange(8), np.arange(12)]
    inputs, labels, _ = batch_of(pieces, with_beats=True)
    assert inputs[0, :8].tolist() == [START, 0, 1, 2, 3, 4, 5, 6]
    assert labels[0].tolist() == [*range(8), *[NO_LABEL] * 4]
    assert inputs[1].tolist() == [START, *range(11)]


def test_beats_are_those_of_the_token_to_come():
    """The quarter of the bar, the 16th and the voice repeat with the bar, and tell every place in it apart."""
    beats = beats_of(np.zeros(4 * 17, dtype=np.int64))
    assert beats[0, 1:].tolist() == [0, 0]
    assert beats[3, 1:].tolist() == [0, 3]
    assert beats[4 * 4, 1:].tolist() == [1, 0]
    assert beats[4 * 15 + 2, 1:].tolist() == [3, 14]
    assert beats[4 * 16, 1:].tolist() == [0, 0]
    assert len({tuple(row) for row in beats[:64, 1:].tolist()}) == 64


def test_held_counts_the_sixteenths_a_voice_has_had_its_symbol():
    """Equal to looking back token by token; the token to come is not counted; long notes stop at the bound."""
    generator = np.random.default_rng(4)
    symbols = np.repeat(generator.integers(0, 3, (60, 4)), generator.integers(1, 3, 60), axis=0)
    symbols[40:, 1] = 7
    symbols = symbols.reshape(-1)
    for place, (held, _, _) in enumerate(beats_of(symbols).tolist()):
        count, back = 0, place - 4
        while back >= 0 and symbols[back] == symbols[place - 4]:
            count, back = count + 1, back - 4
        assert held == min(count, LONGEST_HELD)
    assert beats_of(symbols)[:, 0].max() == LONGEST_HELD


def test_shifts_keep_every_pitch_among_the_46_and_silence_silent():
    """A piece from the lowest pitch goes up only; silence is no pitch."""
    piece = np.array([0, 10, 42, SILENCE])
    shifts = fitting_shifts(piece)
    assert list(shifts) == [0, 1, 2, 3]
    for shift in shifts:
        moved = transposed(piece, shift)
        assert moved[3] == SILENCE
        assert (moved[:3] - piece[:3] == shift).all()
        assert 0 <= moved[:3].min() <= moved[:3].max() < SILENCE


def test_an_epoch_has_every_piece_once():
    """Whatever the batches and keys, the interval sequences of an epoch are those of the pieces."""
    pieces = _pieces(11, np.random.default_rng(0))
    batches = epoch_batches(pieces, SMALL, np.random.default_rng(1))
    seen = sorted(np.diff(piece).tobytes() for batch in batches for piece in batch)
    assert seen == sorted(np.diff(piece).tobytes() for piece in pieces)
    assert any(not np.array_equal(p, q) for batch in batches for p in batch for q in pieces if len(p) == len(q))


def test_score_is_the_mean_over_tokens_of_pieces_scored_alone():
    """Padding and batches change nothing: equal to the mean of −log p of one piece at a time, and held + changed = all."""
    torch.manual_seed(0)
    model = make_model(SMALL)
    pieces = _pieces(5, np.random.default_rng(2))
    together = score(nats_of(model, pieces, SMALL, batch=5), pieces)
    alone = []
    for piece in pieces:
        inputs, labels, beats = batch_of([piece], with_beats=True)
        with torch.no_grad():
            log = torch.log_softmax(model(inputs, beats).logits[0].double(), dim=-1)
        alone += (-log[torch.arange(len(piece)), labels[0]]).tolist()
    assert together["nats_per_token"] == pytest.approx(np.mean(alone), abs=1e-5)
    share = together["held_share"]
    held = together["held"] * share if share else 0.0
    assert held + together["changed"] * (1 - share) == pytest.approx(together["nats_per_token"], abs=1e-6)


def test_the_future_is_not_seen():
    """Changing a piece's later half leaves the scores of its first half."""
    torch.manual_seed(0)
    model = make_model(SMALL).eval()
    piece = _pieces(1, np.random.default_rng(3))[0]
    changed = piece.copy()
    half = len(piece) // 2
    changed[half:] = (changed[half:] + 3) % 40
    outputs = []
    for symbols in (piece, changed):
        inputs, _, beats = batch_of([symbols], with_beats=True)
        with torch.no_grad():
            outputs.append(model(inputs, beats).logits[0, : half + 1])
    assert torch.equal(outputs[0], outputs[1])


def test_the_mean_of_keys_is_that_of_the_keys_that_fit_until_then():
    """Where all keys fit, the mean of twelve probabilities; a pitch that leaves some out is told by those it fits, as are later ones."""
    torch.manual_seed(0)
    model = make_model(SMALL)
    piece = np.random.default_rng(4).integers(10, 35, 24)
    plain = np.mean([np.exp(-nats_of(model, [piece + shift], SMALL)[0]) for shift in range(-5, 7)], axis=0)
    np.testing.assert_allclose(nats_over_keys(model, [piece], SMALL)[0], -np.log(plain), rtol=1e-5)
    high = piece.copy()
    high[12] = SILENCE - 1  # the highest pitch: only the keys from −5 to 0 hold it
    mixed = nats_over_keys(model, [piece, high], SMALL)[1]
    np.testing.assert_allclose(mixed[:12], -np.log(plain[:12]), rtol=1e-5)
    fitting = np.array([np.exp(-nats_of(model, [high + shift], SMALL)[0]) for shift in range(-5, 1)])
    np.testing.assert_allclose(mixed[12], -np.log(fitting[:, 12].sum() / 12), rtol=1e-5)
    np.testing.assert_allclose(mixed[13:], -np.log(fitting[:, 13:].mean(axis=0)), rtol=1e-5)

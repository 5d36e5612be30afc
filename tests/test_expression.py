"""How notes are shaped: measured in recordings, learned, and turned back into curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from symbolic.corpus.recordings.note_shapes import measure_shape
from symbolic.corpus.recordings.phrases import FRAME_RATE
from symbolic.errors import InputError
from symbolic.rendering.expression import bundled_expression, load_expression
from symbolic.rendering.note_shape import ATTACK_LEVELS, BODY_PLACES, FLOOR, NUMBERS, RELEASE_LEVELS, NoteShape, shape_of
from symbolic.training.voices.expression import learn

PLAIN = NoteShape(-8.0, (0.02, 0.04, 0.08, 0.12), (0.0, 0.0, -1.0, -2.0, -3.0), (0.03, 0.08, 0.2), 20.0, 6.0, 0.5)


def recorded(shape: NoteShape, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Pitch and loudness (F,) of a note that has exactly this shape and is let go `seconds` after its first sound."""
    attack, release = np.array(shape.attack), np.array(shape.release)
    places = attack[-1] + np.array(BODY_PLACES) * (seconds - attack[-1])
    times = np.concatenate([[-0.1, -0.001, 0.0], attack, places, [seconds], seconds + release, [seconds + 3 * release[-1]]])
    last = shape.body[-1]
    levels = np.concatenate([[-72, -60, FLOOR], ATTACK_LEVELS, shape.body, [last], last + np.array(RELEASE_LEVELS), [-75]])
    time = np.arange(-0.1, seconds + 3 * release[-1], 1 / FRAME_RATE)
    swing = np.sin(2 * np.pi * shape.vibrato_rate * time)
    loudness = shape.level + np.interp(time, times, levels) + shape.tremolo * swing
    return 440 * 2 ** (shape.vibrato_cents * swing / 1200), loudness


def test_a_shape_is_measured_as_it_was_made() -> None:
    """Level, times, body, vibrato and tremolo of a made note come back, to what frames of 4 ms smoothed over five allow."""
    found = measure_shape(*recorded(PLAIN, 1.5))
    assert found is not None
    shape, seconds = found
    assert seconds == pytest.approx(1.5, abs=0.05)
    assert shape.level == pytest.approx(PLAIN.level, abs=1.5)
    np.testing.assert_allclose(shape.attack, PLAIN.attack, atol=0.02)
    np.testing.assert_allclose(np.array(shape.body) + shape.level, np.array(PLAIN.body) + PLAIN.level, atol=2.0)
    np.testing.assert_allclose(shape.release, PLAIN.release, atol=0.03)
    assert shape.vibrato_cents == pytest.approx(20, abs=2)
    assert shape.vibrato_rate == pytest.approx(6, abs=0.2)
    assert shape.tremolo == pytest.approx(0.5, abs=0.2)


def test_what_is_no_note_has_no_shape() -> None:
    """Steady sound that is cut off, and a click, are not measured."""
    assert measure_shape(np.full(300, 440.0), np.full(300, -10.0)) is None
    click = np.full(300, -80.0)
    click[100:104] = -5
    assert measure_shape(np.full(300, 440.0), click) is None


@settings(max_examples=50, deadline=None)
@given(
    level=st.floats(-40, 5), attack=st.lists(st.floats(0.002, 0.3), min_size=4, max_size=4),
    release=st.lists(st.floats(0.003, 0.5), min_size=3, max_size=3), cents=st.floats(0.6, 60), tremolo=st.floats(0.1, 5),
)  # fmt: skip
def test_numbers_and_shape_are_each_other(level: float, attack: list[float], release: list[float], cents: float, tremolo: float) -> None:
    """What a network learns turns back into the shape it was made from."""
    shape = NoteShape(level, tuple(np.cumsum(attack)), PLAIN.body, tuple(np.cumsum(release)), cents, 5.5, tremolo)
    numbers = shape.numbers()
    assert numbers.shape == (NUMBERS,)
    np.testing.assert_allclose(shape_of(numbers).numbers(), numbers, atol=1e-9)
    np.testing.assert_allclose(shape_of(numbers).attack, shape.attack, rtol=1e-9)


def test_the_network_learns_what_velocity_and_length_do(tmp_path: Path) -> None:
    """From made notes it learns that loud is loud and quick, tells two instruments apart, and is the same from its file."""
    random = np.random.default_rng(0)
    count = 400
    instrument, told = random.integers(0, 2, count), random.uniform(-1, 1, (count, 3))
    numbers = np.tile(PLAIN.numbers(), (count, 1)) + 0.1 * random.standard_normal((count, NUMBERS))
    numbers[:, 0] += 10 * told[:, 1] + 5 * instrument
    numbers[:, 1] -= 0.8 * told[:, 1]
    notes = {"instrument": instrument, "told": told, "numbers": numbers, "held_out": np.arange(count) % 10 == 4}
    expression, weights, facts = learn(["one", "two"], notes)
    save_file(weights, str(tmp_path / "e.safetensors"), {"instruments": json.dumps(["one", "two"])})
    again = load_expression(tmp_path / "e.safetensors")
    pitch, velocity, seconds = np.full(2, 60.0), np.array([50.0, 110.0]), np.full(2, 1.0)
    mean, spread = expression.numbers("one", pitch, velocity, seconds)
    np.testing.assert_array_equal(mean, again.numbers("one", pitch, velocity, seconds)[0])
    assert mean[1, 0] - mean[0, 0] == pytest.approx(10 * 60 / 40, abs=1.5)
    assert mean[1, 1] - mean[0, 1] == pytest.approx(-0.8 * 60 / 40, abs=0.2)
    assert again.numbers("two", pitch, velocity, seconds)[0][0, 0] - mean[0, 0] == pytest.approx(5, abs=1)
    assert spread[0, 2] == pytest.approx(0.1, rel=0.6)
    assert facts["missed"][0] < 0.3 * facts["missed_by_average"][0]
    assert np.isfinite(again.numbers("harp", pitch, velocity, seconds)[0]).all()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_expression(tmp_path / "none.safetensors")


def test_the_bundled_network_knows_the_orchestra() -> None:
    """For each of its eleven instruments loud notes are louder than soft ones, and speak no later."""
    expression = bundled_expression()
    assert len(expression.instruments) == 11
    velocity = np.array([33.0, 64.0, 96.0, 120.0])
    for name in expression.instruments:
        mean, spread = expression.numbers(name, np.full(4, 60.0), velocity, np.full(4, 1.0))
        assert (np.diff(mean[:, 0]) > 0).all(), name
        assert shape_of(mean[3]).attack[-1] < 1.2 * shape_of(mean[0]).attack[-1], name
        assert (spread > 0).all()

"""What followed the same tokens: equal to the definition looked up one by one, whatever the segments."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolic.models.echoes import NONE, echoes, echoes_of_last

LENGTHS = (1, 2, 4)


def by_definition(ids: list[int], age: int, reach: int, n: int) -> int:
    """The id behind the latest place before the last one where the last n ids stood, in the piece and within reach."""
    last = len(ids) - 1
    for end in range(last - 1, -1, -1):
        begin = end - n + 1
        if begin < 0 or begin < last - age or begin < last - reach:
            return NONE
        if ids[begin : end + 1] == ids[last - n + 1 :]:
            return ids[end + 1]
    return NONE


@settings(deadline=None, max_examples=60)
@given(
    ids=st.lists(st.integers(0, 2), min_size=1, max_size=40), begin=st.integers(-3, 30), reach=st.integers(4, 50), cut=st.integers(1, 40)
)
def test_echoes_equal_their_definition_in_any_segments(ids, begin, reach, cut):
    """A row of which a piece begins at `begin`, after another piece or, where that is negative, in the segment before."""
    places = np.arange(len(ids))
    ages = np.where(places < begin, places, places - begin)
    wanted = [[by_definition(ids[: place + 1], int(ages[place]), reach, n) for n in LENGTHS] for place in places]
    before = torch.randint(0, 3, (1, reach))
    before[:, reach + min(begin, 0) :] = 7  # of the piece, but like nothing
    row = torch.cat((before, torch.tensor([ids])), dim=1)
    told = torch.cat([
        echoes(row[:, start : start + reach + len(ids[start : start + cut])], torch.from_numpy(ages[start : start + cut])[None], LENGTHS)
        for start in range(0, len(ids), cut)
    ], dim=1)  # fmt: skip
    assert told[0].tolist() == wanted
    one_by_one = [
        echoes_of_last(row[:, place : place + reach + 1].numpy(), ages[place : place + 1], LENGTHS)[0].tolist() for place in places
    ]
    assert one_by_one == wanted


def test_rows_do_not_mix_and_padding_has_no_echo():
    """Rows with pieces of several ages are told what each is told alone; negative ages are padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 3, (4, 60), generator=generator)
    ages = torch.arange(40)[None] - torch.tensor([[0], [-9], [12], [30]])
    together = echoes(ids, ages, LENGTHS)
    for row in range(4):
        assert torch.equal(together[row], echoes(ids[row : row + 1], ages[row : row + 1], LENGTHS)[0])
    assert (together[ages < 0] == NONE).all()
    last = echoes_of_last(ids[:, 19:].numpy(), ages[:, -1].numpy(), LENGTHS)
    assert (last >= 0).any()
    for row in range(4):
        begun = int(ages[row, -1])
        assert last[row].tolist() == [by_definition(ids[row].tolist(), begun, 40, n) for n in LENGTHS]


def test_a_repeated_passage_is_told_ahead():
    """The second time round every token but the first few hears the next one."""
    passage = np.random.default_rng(0).permutation(1000)[:300]
    ids = torch.from_numpy(np.concatenate((passage, passage)))[None]
    told = echoes(torch.cat((torch.zeros(1, 512, dtype=torch.long), ids), 1), torch.arange(600)[None], (4, 8))[0]
    assert (told[:300] == NONE).all()
    assert told[303:599, 0].tolist() == ids[0, 304:].tolist()
    assert (told[300:303, 0] == NONE).all()
    assert told[307:599, 1].tolist() == ids[0, 308:].tolist()


@pytest.mark.parametrize("lengths", [(4, 4), (8, 4), (0, 4), (-1,)])
def test_impossible_lengths_are_refused(lengths):
    """Lengths ascend from 1, each once; and the reach holds the longest."""
    from symbolic.errors import InputError
    from symbolic.models.configuration import make_config

    with pytest.raises(InputError, match="echo_lengths"):
        make_config(echo_lengths=lengths)
    with pytest.raises(InputError, match="echo_reach is 8; at least 16"):
        make_config(echo_lengths=(4, 16), echo_reach=8)

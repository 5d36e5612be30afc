"""What followed when the same tokens stood before: for every token, the id behind the latest earlier place with the same last n ids.

Music repeats itself. A network learns late, and a small one hardly, to look up in what it has heard the place where it stands; so it is
told. Attention finds it with much training, as "induction heads" (Olsson et al., "In-context Learning and Induction Heads", 2022).

Shapes: B rows, R ids before (the reach), T ids to be told about, L lengths n. An echo lies in the same piece, and its n ids among the R
before a token, so that it does not matter where segments are cut.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NONE = -1
_FACTOR = 6364136223846793005
"""Odd and large (Knuth's): sums of ids times its powers, modulo 2⁶⁴, are equal where the ids are, and hardly elsewhere."""


def echoes(ids: Tensor, ages: Tensor, lengths: Sequence[int]) -> Tensor:
    """The echoes of the last T ids of (B, R + T), whose ages in their piece are (B, T), → (B, T, L) ids, `NONE` where there is none.

    `lengths` ascend. On any device; a sort for each length.
    """
    size, reach = ids.shape[1], ids.shape[1] - ages.shape[1]
    places = torch.arange(size, device=ids.device)
    earliest = places[reach:] - ages.clamp(0, reach)  # padding, of age below 0, has nothing before it
    told = []
    sums, summed, power = torch.zeros_like(ids), 0, 1
    for n in lengths:
        for lag in range(summed, n):
            sums[:, lag:] += ids[:, : size - lag] * power
            power = (power * _FACTOR + 2**63) % 2**64 - 2**63
        summed = n
        ordered, order = torch.sort(sums, dim=1, stable=True)
        before = torch.where(ordered[:, 1:] == ordered[:, :-1], order[:, :-1], -size)
        latest = torch.full_like(ids, -size).scatter_(1, order[:, 1:], before)[:, reach:]
        found = latest - (n - 1) >= earliest
        told.append(torch.where(found, ids.gather(1, (latest + 1).clamp(min=0)), NONE))
    return torch.stack(told, dim=-1)


def echoes_of_last(ids: np.ndarray, ages: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """The same for the last id of each row alone, ids (B, R + 1), ages (B,) → (B, L): compared one by one, some 20 microseconds a row."""
    last, lags = ids.shape[1] - 1, np.arange(lengths[-1])
    told = np.full((len(ids), len(lengths)), NONE)
    for row, age, found in zip(ids, ages, told, strict=True):
        earliest = last - min(int(age), last)
        places = earliest + np.flatnonzero(row[earliest:last] == row[last])
        alike = row[np.maximum(places[:, None] - lags, 0)] == row[last - lags]
        length = np.where(alike.all(1), lengths[-1], alike.argmin(1))  # of what is the same
        length = np.minimum(length, places - earliest + 1)
        for column, n in enumerate(lengths):
            latest = places[length >= n][-1:]
            found[column] = row[latest[0] + 1] if len(latest) else NONE
    return told

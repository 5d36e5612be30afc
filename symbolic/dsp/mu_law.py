"""µ-law: whole numbers whose steps are small for soft sounds and large for loud ones.

Sound within −1 … 1 is bent by F(x) = sign(x) · ln(1 + µ|x|) / ln(1 + µ) with µ = levels − 1, and rounded (ITU-T G.711 draws the same
curve with straight lines; its bytes differ). Codes run from 0 to levels − 1, and levels // 2 is silence: a sound of zeros decodes to
zeros, which the common variant with floor((F + 1) / 2 · µ + ½) does not give. Codes 1 … levels − 1 reach from −1 to 1; 0 is never made.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Sound = TypeVar("Sound", "np.ndarray", "torch.Tensor")
LEVELS = 256


def mu_law_encode(sound: Sound, levels: int = LEVELS) -> Sound:
    """Codes of any shape, int64, of sound within −1 … 1 (array or tensor); 0.0 → 128, 1.0 → 255, −1.0 → 1.

    What is louder is clipped, and what is no number counts as silence. Raises `ValueError` for an odd number of levels or fewer than 4.
    """
    middle = _middle(levels)
    scale = (middle - 1) / math.log1p(levels - 1)
    if isinstance(sound, np.ndarray):
        plain = np.clip(np.nan_to_num(np.asarray(sound, np.float64), posinf=1.0, neginf=-1.0), -1.0, 1.0)
        return np.rint(np.sign(plain) * np.log1p((levels - 1) * np.abs(plain)) * scale).astype(np.int64) + middle
    import torch

    even = torch.nan_to_num(sound.to(torch.promote_types(sound.dtype, torch.float32)), posinf=1.0, neginf=-1.0).clamp(-1.0, 1.0)
    return torch.round(torch.sign(even) * torch.log1p((levels - 1) * torch.abs(even)) * scale).long() + middle


def mu_law_decode(codes: Sound, levels: int = LEVELS) -> Sound:
    """Sound of the shape of `codes` (whole numbers, array or tensor), float32; 128 → 0.0, 255 → 1.0, 129 → 0.00018.

    Raises `ValueError` for a bad number of levels; an array of codes outside 0 … levels − 1 raises `IndexError`.
    """
    table = mu_law_table(levels)
    if isinstance(codes, np.ndarray):
        if codes.size and int(codes.min()) < 0:
            raise IndexError(f"code {int(codes.min())} is below 0")
        return table[codes]
    import torch

    return torch.from_numpy(table).to(codes.device)[codes]


def mu_law_table(levels: int = LEVELS) -> np.ndarray:
    """What each code stands for: (levels,) float32, rising. Code 0 is held at −1 like code 1."""
    middle = _middle(levels)
    bent = np.clip((np.arange(levels) - middle) / (middle - 1), -1.0, 1.0)
    return (np.sign(bent) * np.expm1(np.abs(bent) * math.log1p(levels - 1)) / (levels - 1)).astype(np.float32)


def _middle(levels: int) -> int:
    if levels < 4 or levels % 2:
        raise ValueError(f"levels is {levels}: an even number from 4 is wanted, such as 256")
    return levels // 2

"""From floating point to whole numbers: dither and quantisation.

TPDF dither is the sum of two uniform noises of one step each: it makes the error of the rounding independent of the sound in mean
and in power (S. Lipshitz, R. Wannamaker, J. Vanderkooy, "Quantization and Dither: A Theoretical Survey", 1992).
"""

import numpy as np


def quantise(sound: np.ndarray, bit_depth: int, generator: np.random.Generator) -> np.ndarray:
    """Sound within −1 … 1 as int32 steps of 2^(1 − bit_depth), with TPDF dither and held inside the range of the format."""
    steps = 2 ** (bit_depth - 1)
    noise = generator.random(sound.shape, np.float32) - generator.random(sound.shape, np.float32)
    # Double precision, because a float32 has no room for the dither of 24 bits beside a loud sample.
    return np.clip(np.rint(sound.astype(np.float64) * steps + noise), -steps, steps - 1).astype(np.int32)

"""What a tokenizer can be told; the defaults are the bundled model's."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenizerSettings:
    """Settings of the REMI tokenizer. A *beat* is the meter's own: a quarter in 4/4, an eighth in 6/8, a half in 2/2."""

    positions_per_beat: int = 48
    """Grid of onsets: 48 a beat holds 32nds and triplets in every meter down to 2/2."""
    duration_grid: tuple[tuple[int, int], ...] = ((4, 48), (16, 24), (64, 2))
    """Durations: up to 4 beats in 48ths, up to 16 beats in 24ths, up to 64 beats in halves."""
    velocities: int = 32
    """Number of velocity steps over 1..127."""
    tempos: int = 64
    """Number of tempo steps, spaced by ratio."""
    tempo_range: tuple[float, float] = (20.0, 320.0)
    """Slowest and fastest tempo, in quarter notes a minute."""
    meters: dict[int, int] = field(default_factory=lambda: {2: 6, 4: 12, 8: 12, 16: 12})
    """For each denominator, the largest numerator: 2: 6 stands for 1/2 to 6/2."""
    max_bars: int = 20_000
    """A file with more bars is refused: such files are broken, and would become millions of tokens."""

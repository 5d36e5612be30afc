"""What a tokenizer can be told; the defaults are the bundled model's."""

from dataclasses import dataclass, field

from symbolic.errors import InputError


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
    tasks: bool = True
    """Tokens for writing in the middle behind all others (`tasks.py`): ids of music are the same with and without."""
    max_bars: int = 20_000
    """A file with more bars is refused: such files are broken, and would become millions of tokens."""
    max_empty_bars: int = 1_000
    """So many bars more than notes are refused: a broken delta time makes a rest of thousands. Real parts have rested for 250."""

    def __post_init__(self) -> None:
        """Raises `InputError` for values that do not fit together, naming both."""
        edges = [0, *(beats for beats, _ in self.duration_grid)]
        resolutions = [resolution for _, resolution in self.duration_grid]
        if edges != sorted(set(edges)) or not resolutions:
            raise InputError(f"duration_grid {self.duration_grid}: its beats must be above 0 and ascend, such as ((4, 48), (16, 24))")
        if max(resolutions) != self.positions_per_beat or any(r < 1 or self.positions_per_beat % r for r in resolutions):
            raise InputError(
                f"duration_grid {self.duration_grid}: its finest step must be that of positions_per_beat ({self.positions_per_beat}), "
                "and the others must divide it"
            )
        impossible = [f"{top}/{lower}" for lower, top in self.meters.items() if lower not in (1, 2, 4, 8, 16, 32, 64) or not 1 <= top <= 64]
        if impossible or not self.meters:
            wrong = ", ".join(impossible) or "none"
            raise InputError(f"meters {self.meters}: {wrong} is no meter; lower numbers are 1, 2, 4 … 64, upper ones 1 to 64")
        if not 1 <= self.velocities <= 127:
            raise InputError(f"velocities ({self.velocities}) must be from 1 to 127")
        if self.tempos < 1 or not 0 < self.tempo_range[0] < self.tempo_range[1]:
            raise InputError(f"tempos ({self.tempos}) must be at least 1, and tempo_range {self.tempo_range} ascend from above 0")
        longest = min(self.meters)
        if self.positions_per_beat * longest % 4:
            raise InputError(
                f"positions_per_beat ({self.positions_per_beat}) must be a multiple of {4 // longest} for meters over {longest}: "
                "their beats hold several quarter notes, with a whole number of positions each; or leave these meters out"
            )
        if self.max_bars < 1:
            raise InputError(f"max_bars ({self.max_bars}) must be at least 1")
        if self.max_empty_bars < 0:
            raise InputError(f"max_empty_bars ({self.max_empty_bars}) must be at least 0")

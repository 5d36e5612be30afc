"""The course of a run's held-out figure: where it stood before, what was best, and when there is nothing left to hope for.

Figures are held-out nats per note: lower is better.
"""

import math
from dataclasses import dataclass


@dataclass
class HeldOut:
    """Before the first step (None unless the run started from a model), at best, at which step, and evaluations since."""

    before: float | None = None
    best: float = math.inf
    best_step: int = 0
    since_best: int = 0

    def told(self, step: int, nats_per_note: float) -> bool:
        """Take in the figure at `step`; gives whether it is the best so far. One that is no number never is."""
        if step == 0:
            self.before = nats_per_note
        if nats_per_note < self.best:
            self.best, self.best_step, self.since_best = nats_per_note, step, 0
            return True
        self.since_best += 1
        return False

    def hopeless(self, patience: int) -> bool:
        """Whether the last `patience` evaluations were all no better; never with patience 0."""
        return 0 < patience <= self.since_best

    def figures(self) -> dict[str, float]:
        """What a person wants to know at the end; nothing when nothing was evaluated."""
        if math.isinf(self.best):
            return {}
        before = {} if self.before is None else {"before_nats_per_note": self.before}
        return before | {"best_nats_per_note": self.best, "best_step": self.best_step}

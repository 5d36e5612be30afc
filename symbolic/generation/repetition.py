"""Bars that are the same: how many new bars in a row repeat earlier ones exactly, and which bar would be one too many.

A bar is its meter and its notes: position, program, pitch and duration; velocities and tempos do not count.
Costs a step for each earlier bar that is like the last, once a bar.
"""

Note = tuple[int, int, int, int]
Bar = tuple[int, tuple[Note, ...]]


class BarHistory:
    """The bars of one stream. `most` is how many new bars in a row may be repetitions; None for any number."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._bars: list[Bar] = []
        self._places: dict[Bar, list[int]] = {}
        self._runs: dict[int, int] = {}
        self._meter = -1
        self._notes: list[Note] = []
        self._alike: list[tuple[Note, ...]] = []

    @property
    def run(self) -> int:
        """How many of the last new bars repeat bars that stood in a row before."""
        return max(self._runs.values(), default=0)

    def begin(self) -> None:
        """The next bar is the first new one: repetitions inside the seed do not count."""
        self._runs = {}

    def open(self, meter: int) -> None:
        """A bar begins in the meter of this id."""
        self._meter, self._notes, self._alike = meter, [], []
        if self.most == 0:
            self._alike = [notes for other, notes in self._places if other == meter]
        elif self.most is not None:
            last = [self._bars[place + 1] for place, run in self._runs.items() if run >= self.most]
            self._alike = [notes for other, notes in last if other == meter]

    def add(self, note: Note) -> None:
        """A note of the open bar, at the place where it stands in the stream."""
        place = len(self._notes)
        self._notes.append(note)
        self._alike = [notes for notes in self._alike if len(notes) > place and notes[place] == note]

    def close(self) -> None:
        """The open bar ends."""
        bar = (self._meter, tuple(self._notes))
        earlier = self._places.setdefault(bar, [])
        self._runs = {place: self._runs.get(place - 1, 0) + 1 for place in earlier}
        earlier.append(len(self._bars))
        self._bars.append(bar)

    def is_repeated(self) -> bool:
        """Whether the bar, closed now, would be one repetition too many."""
        return any(len(notes) == len(self._notes) for notes in self._alike)

    def last_durations(self, position: int, program: int, pitch: int) -> list[int]:
        """Durations with which this note would complete one repetition too many."""
        place, head = len(self._notes), (position, program, pitch)
        return [notes[place][3] for notes in self._alike if len(notes) == place + 1 and notes[place][:3] == head]

"""The picture of a sound of any length in bounded memory: level over time and frequency.

Fed block by block; a column is the mean power of its windows over all channels. When there are too many columns, each two become one,
so an hour fits in the same few megabytes as a second. Levels are in dB of a full-scale sine; seconds across, hertz up.
"""

from pathlib import Path

import numpy as np

COLUMNS = 600  # at least, once there were so many; at most twice as many
WINDOW_SECONDS = 0.023
SHORTEST_HOP = 16
FLOOR_DB = -120.0


class Spectrogram:
    """Feed it (C, S) in blocks of any sizes; `levels()` is the picture so far."""

    def __init__(self, sample_rate: float, seconds: float = 30.0) -> None:
        """`seconds` is about how long the sound will be; a short one gets denser windows."""
        self.sample_rate = sample_rate
        self.size = max(16, 2 ** round(np.log2(WINDOW_SECONDS * sample_rate)))
        self.hop = int(np.clip(round(seconds * sample_rate / COLUMNS), SHORTEST_HOP, self.size // 2))
        self.samples = 0
        window = np.hanning(self.size + 1)[:-1]
        self._window = window * (2 / window.sum())  # a full-scale sine has the magnitude 1
        self._rest: np.ndarray | None = None
        self._sums = np.zeros((2 * COLUMNS, self.size // 2 + 1))
        self._counts = np.zeros(2 * COLUMNS)
        self._frames = 0
        self._per_column = 1

    def add(self, block: np.ndarray) -> None:
        """Take in the next samples (C, S)."""
        if self._rest is None:
            self._rest = np.zeros((len(block), self.size // 2))  # the first window is centred on the first sample
        self.samples += block.shape[1]
        self._take(np.concatenate([self._rest, block], axis=1))

    def levels(self) -> np.ndarray:
        """(size / 2 + 1, columns) in dB, none below `FLOOR_DB`; what no window has been centred on yet is left out."""
        used = max(1, -(-self._frames // self._per_column))
        power = self._sums[:used] / np.maximum(self._counts[:used, None], 1)
        return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10))).T

    def mean_power(self) -> np.ndarray:
        """Mean power of each bin (size / 2 + 1,) over all windows so far."""
        return self._sums.sum(0) / max(1.0, self._counts.sum())

    def finish(self) -> None:
        """Let the last samples pass through the middle of a window; nothing can be added after this."""
        if self._rest is not None:
            self._take(np.pad(self._rest, ((0, 0), (0, self.size // 2))))

    def _take(self, sound: np.ndarray) -> None:
        if sound.shape[1] < self.size:
            self._rest = sound
            return
        windows = np.lib.stride_tricks.sliding_window_view(sound, self.size, axis=1)[:, :: self.hop]
        count = max(1, 256 // len(sound))
        for start in range(0, windows.shape[1], count):
            some = windows[:, start : start + count]
            self._note((np.abs(np.fft.rfft(some * self._window)) ** 2).mean(0))
        self._rest = sound[:, windows.shape[1] * self.hop :].copy()

    def _note(self, powers: np.ndarray) -> None:
        while (self._frames + len(powers) - 1) // self._per_column >= 2 * COLUMNS:
            self._sums[:COLUMNS] = self._sums[::2] + self._sums[1::2]
            self._counts[:COLUMNS] = self._counts[::2] + self._counts[1::2]
            self._sums[COLUMNS:], self._counts[COLUMNS:] = 0.0, 0.0
            self._per_column *= 2
        column = (self._frames + np.arange(len(powers))) // self._per_column
        np.add.at(self._sums, column, powers)
        np.add.at(self._counts, column, 1)
        self._frames += len(powers)


def draw_spectrograms(panels: list[tuple[str, Spectrogram]], path: Path, span_db: float = 100.0, dots_per_inch: int = 110) -> None:
    """Write PNG, PDF or SVG by the suffix of `path`: one panel beside another, with the same seconds, hertz and colours for all.

    What lies above half the rate of a sound has no colour: there is nothing, not even silence.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 4.2), layout="constrained", facecolor="white")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharex=True, sharey=True))
    levels = [sound.levels() for _, sound in panels]
    top = max(float(level.max()) for level in levels)
    longest = max(sound.samples / sound.sample_rate for _, sound in panels)
    for axis, (title, sound), level in zip(axes, panels, levels, strict=True):
        extent = (0.0, sound.samples / sound.sample_rate, 0.0, sound.sample_rate / 2000)
        axis.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - span_db, vmax=top)
        axis.set(title=title, xlabel="seconds", xlim=(0, longest))
        axis.set_facecolor("#dee2e6")
    axes[0].set(ylabel="kHz", ylim=(0, max(sound.sample_rate for _, sound in panels) / 2000))
    figure.colorbar(axes[0].images[0], ax=axes, label="dB of a full-scale sine", pad=0.01)
    figure.savefig(path, dpi=dots_per_inch)

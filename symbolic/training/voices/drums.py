"""A drum kit measured from recordings of single hits: modes, noise and transient of each, no network and no long training.

VOICE/config.json, drums.safetensors, voice.json    the hits learned from, and what is known of them

Each hit is named by its General MIDI key and its velocity: `38_v80.wav`, `49-crash_velocity100.flac`, `36_forte.wav`. Of a key with at
least five velocities the second and the fourth are held out, as are further takes of a velocity: what the kit plays in their place is
compared with them by Magenta's spectral loss.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from symbolic.corpus.recordings.labels import label_of
from symbolic.corpus.recordings.pieces import find_recordings, pieces
from symbolic.dsp.damped_modes import find_modes
from symbolic.dsp.decaying_partials import levels_at
from symbolic.dsp.loudness import weighting_filters
from symbolic.errors import InputError
from symbolic.models.voices.drums import SAMPLE_RATE, DrumKit, save_kit
from symbolic.rendering.controls import NoteControls, velocity_gain
from symbolic.rendering.drum_hits import DrumSound, hit_modes, transient_window
from symbolic.rendering.drums import drum_preset
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.recordings import Recording
from symbolic.rendering.voices import NotePlayer, Voice
from symbolic.training.voices.struck import loss_of_sound
from symbolic.training.wavenet_notes import VELOCITIES

KEY = re.compile(r"(?:^|key[-_ ]?)(\d{1,3})(?!\d)", re.IGNORECASE)
VELOCITY = re.compile(r"(?:^|[-_ .])v(?:el(?:ocity)?)?[-_ ]?(\d{1,3})(?!\d)", re.IGNORECASE)
TIMES = (0.012, 0.018, 0.026, 0.036, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8, 1.1, 1.6, 2.2, 3.2, 4.5, 6.0)
CENTRES = (*range(40, 640, 80), *(640 * 2 ** (sixth / 6) for sixth in range(30)))  # hertz: 80 apart, then a sixth of an octave
TRANSIENT = 960  # samples: 10 ms, and 10 more in which it fades
LONGEST, LAST = 6.0, 1.0  # seconds of a hit that are kept, and in which a longer one fades
ONSET = 1e-3  # of the largest power: where a hit begins
CELL = 48  # samples: a millisecond
OVER = -66.0  # dB against the loudest millisecond: a hit is over when it stays below
NOTHING = -140.0  # dB
FLUTTER, FLUTTER_STEP, FLUTTER_RANGE = 400, 0.004, 18.0  # moments of the noise's flutter, seconds between them, dB up and down at most
FLUTTERS_FROM = 500.0  # hertz: noise in narrow low bands flutters by itself
ALIKE = 0.999  # correlation of two hits of a key that are one recording at two levels
REFERENCE = 96  # velocity at which a hit is as loud as the synthesizer's
LOUDEST = 0.4  # seconds over which loudness is measured, where it is greatest


@dataclass
class DrumSettings:
    """How a folder is measured."""

    modes: int = 64
    """Of a hit, at most."""
    velocity: int = 100
    """Of hits whose names say nothing."""
    base: str = ""
    """A folder with the hits of another kit, to be played on the keys that this one leaves out: keys most of whose hits are the same there
    are not measured, and others are louder or softer than the synthesizer's by what they are louder or softer than there."""
    softer: float = 6.0
    """Decibels by which a key may be softer than in the `base` at most: some kits are not balanced against others."""
    louder: float = 3.0
    """Decibels by which it may be louder."""

    def __post_init__(self) -> None:
        if not 0 <= self.modes <= 96:
            raise InputError(f"modes is {self.modes}; 0 to 96 are possible")
        if not 1 <= self.velocity <= 127:
            raise InputError(f"velocity is {self.velocity}; 1 to 127 are possible")
        if not (0 <= self.softer <= 40 and 0 <= self.louder <= 40):
            raise InputError(f"softer is {self.softer} and louder {self.louder}; 0 to 40 dB are possible")


@dataclass(frozen=True)
class HitHeard:
    """One recording: its sound (S,) from the onset, its largest sample 1; `level` is what that was."""

    name: str
    sound: np.ndarray
    level: float
    key: int
    velocity: int


def train_drums(
    folder: str | Path, output: str | Path, settings: DrumSettings | str | Path | None = None, *,
    resume: bool = False, tell: Callable[[str], object] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure the hits of a folder into a kit in the folder `output`; gives its facts. `resume` makes it anew.

    Raises `InputError` when there is no hit named by its key, or a voice is there already.
    """
    from symbolic.settings import load_settings

    folder, output, tell = Path(folder), Path(output), tell or (lambda line: None)
    settings = settings if isinstance(settings, DrumSettings) else load_settings(DrumSettings, settings)
    if (output / "config.json").exists() and not resume:
        raise InputError(f"{output}: a voice is in this folder already; choose another -o")
    clock, hits, louder = time.perf_counter(), hits_in(folder, settings, tell), dict[int, float]()
    if settings.base:
        hits, louder = beside(hits, hits_in(Path(settings.base), settings, tell), settings)
        if not hits:
            raise InputError(f"{folder}: every hit is one of {settings.base}; nothing is left to measure")
    learned, held_out = divided(hits)
    kit = kit_of(learned, settings, louder)
    losses = [loss_beside(kit, hit) for hit in tqdm(held_out, desc="compare", unit="hit", disable=None)]
    facts = {
        "kind": "drums", "name": output.name, "recordings": {
            "hits": len(learned), "minutes": round(sum(len(hit.sound) for hit in learned) / SAMPLE_RATE / 60, 2),
        },
        "held_out_hits": len(held_out),
        "held_out": {"loss": round(float(np.mean(losses)), 4), "step": len(learned)} if losses else {},
        "word": "Magenta's spectral loss at the level of the recordings",
        "keys": sorted(kit.measured), "steps": len(learned), "training_seconds": round(time.perf_counter() - clock, 1),
        "parameters": sum(table.size for table in (kit.hertz, kit.rates, kit.cosines, kit.sines, kit.noise, kit.transients)),
    }  # fmt: skip
    save_kit(output, kit, facts)
    return facts


def hits_in(folder: Path, settings: DrumSettings, tell: Callable[[str], object]) -> list[HitHeard]:
    """The hits of a folder; those that are left out are told. Raises `InputError` when there is none named by its key."""
    hits = list[HitHeard]()
    for path in find_recordings(folder):
        try:
            hits.append(heard(path, settings, tell))
        except InputError as error:
            tell(str(error))
    if not hits:
        raise InputError(f"{folder}: no recording that sounds is named by its General MIDI key, such as 38_v80.wav")
    return hits


def heard(path: Path, settings: DrumSettings, tell: Callable[[str], object] = lambda line: None) -> HitHeard:
    """A recording of one hit. Raises `InputError` when its name tells no key, or it is silent."""
    key = KEY.search(path.stem)
    if key is None or int(key[1]) > 127:
        what = "no key" if key is None else f"the key {key[1]}"
        raise InputError(f"{path}: its name tells {what}; it should begin with a key from 0 to 127, such as 38_v80; left out")
    velocity = VELOCITY.search(path.stem)
    if velocity is not None and not 1 <= int(velocity[1]) <= 127:
        raise InputError(f"{path}: its name tells the velocity {velocity[1]}; 1 to 127 are possible; left out")
    with Recording(path) as recording:
        sound = next(pieces(recording)).sound.astype(np.float64)
        for line in recording.notes():
            if recording.peak > 0:
                tell(f"{path}: {line}")
    if not np.abs(sound).max(initial=0.0) > 1e-4:
        raise InputError(f"{path}: silent; left out")
    strength = int(velocity[1]) if velocity else VELOCITIES.get(label_of(path).dynamic, settings.velocity)
    sound = _bounded(sound)
    level = float(np.abs(sound).max())
    return HitHeard(path.name, sound / level, level, int(key[1]), strength)


def divided(hits: list[HitHeard]) -> tuple[list[HitHeard], list[HitHeard]]:
    """Hits to learn from, in order of key and velocity, and those held out."""
    learned, held_out = list[HitHeard](), list[HitHeard]()
    for key in sorted({hit.key for hit in hits}):
        takes: dict[int, list[HitHeard]] = {}
        for hit in sorted((hit for hit in hits if hit.key == key), key=lambda hit: (hit.velocity, hit.name)):
            takes.setdefault(hit.velocity, []).append(hit)
        for place, same in enumerate(takes.values()):
            inner = len(takes) >= 5 and place in (1, 3)
            learned += same[:1] if not inner else []
            held_out += same if inner else same[1:]
    return learned, held_out


def beside(hits: list[HitHeard], base: list[HitHeard], settings: DrumSettings) -> tuple[list[HitHeard], dict[int, float]]:
    """The hits of keys that are not mostly those of another kit, and the decibels, bounded, by which each key is louder than there."""
    kept, louder = list[HitHeard](), dict[int, float]()
    for key in sorted({hit.key for hit in hits}):
        own, others = ([hit for hit in some if hit.key == key] for some in (hits, base))
        if 2 * sum(any(_alike(hit, other) for other in others) for hit in own) > len(own):
            continue
        kept += own
        differences = [0.0]
        if others:
            nearest = [min(others, key=lambda other: abs(other.velocity - hit.velocity)) for hit in own]
            pairs = zip(own, nearest, strict=True)
            differences = [loudness(hit.level * hit.sound) - loudness(other.level * other.sound) for hit, other in pairs]
        louder[key] = float(np.clip(np.mean(differences), -settings.softer, settings.louder))
    return kept, louder


def kit_of(hits: list[HitHeard], settings: DrumSettings, louder: dict[int, float] | None = None) -> DrumKit:
    """The kit of hits in order of key and velocity; of those of a key that are one recording at two levels the louder one counts.

    Keys are as loud as the synthesizer's, some `louder` by decibels.
    """
    kept = [hit for hit, above in zip(hits, [*hits[1:], None], strict=True) if above is None or not _alike(hit, above)]
    single = [_measured(hit, settings, (louder or {}).get(hit.key, 0.0)) for hit in tqdm(kept, desc="measure", unit="hit", disable=None)]
    shared = {"centres": single[0].centres, "times": single[0].times}
    names = [name for name in DrumKit.__dataclass_fields__ if name not in shared]
    return DrumKit(**{name: np.concatenate([getattr(kit, name) for kit in single]) for name in names}, **shared)


def loss_beside(kit: DrumKit, hit: HitHeard) -> float:
    """Magenta's spectral loss of the kit beside a recording, in its first second, at the recording's level."""
    note = PlayedNote(0.0, 1.0, 1.0, hit.key, hit.velocity, 0)
    return loss_of_sound(played(DrumSound(drum_preset(hit.key), kit, note, SAMPLE_RATE)), hit.level * hit.sound)


def formula_hit(key: int, velocity: int) -> np.ndarray:
    """The synthesizer's hit (S,), mono, without its part's volume and room."""
    note = PlayedNote(0.0, 1.0, 1.0, key, velocity, 0)
    part = Part(0, "", 0, True, (note,), None, None, None, None, None)
    return played(Voice(NoteControls(replace(drum_preset(key), stereo=0.0), note, part, SAMPLE_RATE), SAMPLE_RATE))


def played(player: NotePlayer) -> np.ndarray:
    """All of a note (S,), mono."""
    segments = []
    while not player.done:
        segments.append(player.next_segment())
    both = np.concatenate(segments, axis=1).astype(np.float64)
    return np.asarray(both.mean(0))


def loudness(sound: np.ndarray) -> float:
    """K-weighted energy of a sound (S,) in the 400 ms where it is greatest, in decibels."""
    from scipy import signal

    power = np.square(signal.sosfilt(weighting_filters(SAMPLE_RATE), sound))
    sums = np.concatenate([[0.0], np.cumsum(np.pad(power, (0, round(LOUDEST * SAMPLE_RATE))))])
    return 10 * float(np.log10((sums[round(LOUDEST * SAMPLE_RATE) :] - sums[: -round(LOUDEST * SAMPLE_RATE)]).max() + 1e-20))


def from_onset(sound: np.ndarray) -> np.ndarray:
    """A sound (S,) from a millisecond before its power passes a thousandth of its largest."""
    power = np.convolve(np.square(sound), np.ones(2 * CELL) / (2 * CELL), "same")
    return sound[max(0, int(np.argmax(power > ONSET * power.max())) - CELL) :]


def _bounded(sound: np.ndarray) -> np.ndarray:
    """From the onset to where nothing more is heard, at most `LONGEST` seconds."""
    sound = from_onset(sound)
    if len(sound) > LONGEST * SAMPLE_RATE:
        fade = round(LAST * SAMPLE_RATE)
        sound = sound[: round(LONGEST * SAMPLE_RATE)].copy()
        sound[-fade:] *= np.linspace(1, 0, fade)
    cells = np.square(np.pad(sound, (0, -len(sound) % CELL))).reshape(-1, CELL).mean(1)
    last = int(np.flatnonzero(cells > cells.max() * 10 ** (OVER / 10))[-1])
    return sound[: max((last + 1) * CELL, 2 * CELL)]


def _alike(one: HitHeard, other: HitHeard) -> bool:
    if one.key != other.key:
        return False
    length = min(len(one.sound), len(other.sound))
    first, second = one.sound[:length], other.sound[:length]
    return bool(first @ second > ALIKE * np.sqrt((first @ first) * (second @ second)))


def _measured(hit: HitHeard, settings: DrumSettings, louder: float) -> DrumKit:
    """A kit of one hit, `louder` than the synthesizer's by decibels."""
    half = TRANSIENT // 2 / SAMPLE_RATE
    modes = find_modes(hit.sound, SAMPLE_RATE, settings.modes, half)
    rows = np.zeros((4, settings.modes))
    rows[:, : len(modes)] = modes.hertz, modes.rates, modes.amplitudes.real, modes.amplitudes.imag
    hertz, rates, cosines, sines = (row[None].astype(np.float32) for row in rows)
    gain = 10 ** ((loudness(formula_hit(hit.key, REFERENCE)) + louder - loudness(hit.sound)) / 20) / velocity_gain(REFERENCE)
    key, velocity, gains, seconds = np.array([hit.key, hit.velocity, gain, len(hit.sound) / SAMPLE_RATE], np.float32)[:, None]
    kit = DrumKit(
        key, velocity, gains, seconds, hertz, rates, cosines, sines, np.array(CENTRES, np.float32), np.array(TIMES, np.float32),
        np.zeros((1, len(CENTRES), len(TIMES)), np.float32), np.zeros((1, FLUTTER), np.float32), np.zeros((1, TRANSIENT), np.float32),
    )  # fmt: skip
    rest = np.pad(hit.sound - hit_modes(kit, 0), (0, max(0, TRANSIENT - len(hit.sound))))
    window = np.pad(transient_window(TRANSIENT), (0, len(rest) - TRANSIENT)).astype(np.float64)
    noise, flutter = _noise_levels(rest * np.sqrt(1 - window**2), len(hit.sound) / SAMPLE_RATE)
    noise, flutter, transients = (table[None].astype(np.float32) for table in (noise, flutter, (rest * window)[:TRANSIENT]))
    return replace(kit, noise=noise, flutter=flutter, transients=transients)


def _noise_levels(rest: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Decibels (B, T) of what the modes leave, and (E,) by which all bands together leave the lines between the moments.

    All bands at 0 make a root mean square of 1.
    """
    from scipy import signal

    rows, heard, told = [], 0.0, 0.0  # type: list[np.ndarray], np.ndarray | float, np.ndarray | float
    middle = (np.arange(len(rest) // CELL) + 0.5) * CELL / SAMPLE_RATE
    for centre in CENTRES:
        half = max(40.0, centre * (2 ** (1 / 12) - 1))
        edges = [max(centre - half, 10.0), min(centre + half, 0.49 * SAMPLE_RATE)]
        band = signal.sosfilt(signal.butter(3, edges, "band", fs=SAMPLE_RATE, output="sos"), rest)
        cells = np.square(band[: len(band) // CELL * CELL]).reshape(-1, CELL).mean(1)
        levels = levels_at(cells, CELL / SAMPLE_RATE, np.array(TIMES), steady=False)
        rows.append(levels - 10 * np.log10((edges[1] - edges[0]) / (SAMPLE_RATE / 2)))
        if centre >= FLUTTERS_FROM:
            heard = heard + cells
            told = told + 10 ** (np.interp(np.log(middle), np.log(TIMES), levels) / 10)
    noise = np.array(rows)
    cells_of = round(FLUTTER_STEP * SAMPLE_RATE) // CELL
    both = (np.pad(power, (0, FLUTTER * cells_of))[: FLUTTER * cells_of] for power in (heard, told))
    heard, told = (power.reshape(FLUTTER, cells_of).sum(1) for power in both)
    flutter = np.clip(10 * np.log10((heard + 1e-14) / (told + 1e-14)), -FLUTTER_RANGE, FLUTTER_RANGE)
    noise[:, 0.8 * np.array(TIMES) > seconds] = NOTHING
    return np.maximum(noise, NOTHING), flutter

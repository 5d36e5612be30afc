"""From one note to another in steps, or one note at another length and pitch: temporal codes put together and played.

Attack and release keep their lengths, what is between them is stretched. Pitch is told to the decoder and length is counted in samples,
so that the codes need not be right about either. Where the pitch that came out is off, the note is drawn again with other random numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symbolic.errors import UsageError
from symbolic.models.wavenet.autoencoder import Autoencoder
from symbolic.models.wavenet.sampling import Note
from symbolic.models.wavenet.temporal_codes import blended, sustained
from symbolic.rendering.blending.hearing import LONGEST, SHORTEST, Material
from symbolic.rendering.in_tune import TRIES, play_in_tune, sound_of

TEMPERATURE = 0.7
MOST_STEPS = 99
LOWEST_PITCH, HIGHEST_PITCH = 21.0, 108.0


@dataclass(frozen=True)
class BlendedNote:
    """`sound` (S,) float32 at the model's rate; `share` 0 … 1 of the second note; `pitch` asked for and `heard` (None: none), MIDI."""

    sound: np.ndarray
    share: float
    pitch: float
    heard: float | None
    velocity: float


def blend(
    model: Autoencoder, first: Material, second: Material | None = None, *, steps: int = 5, pitch: float | None = None,
    seconds: float | None = None, temperature: float = TEMPERATURE, random_seed: int = 0, tries: int = TRIES,
    progress: Callable[[float, float], object] | None = None,
) -> list[BlendedNote]:  # fmt: skip
    """The steps from the first note to the second, both of them included; or of one note alone a single one, changed.

    `pitch` and `seconds` default to lines between those of the notes. `progress` is told what is done and is to be done.
    Raises `InputError` for lengths, pitches, numbers of steps and temperatures that cannot be.
    """
    check_blend(steps, pitch, seconds, temperature)
    shares = [0.0] if second is None else [0.5] if steps == 1 else [float(share) for share in np.linspace(0.0, 1.0, steps)]
    notes = [put_together(model, first, second, share, pitch, seconds, random_seed * 1009 + place) for place, share in enumerate(shares)]
    total, done = sum(note.samples for note in notes), 0

    def count(samples: int) -> None:
        nonlocal done
        done += samples
        if progress:
            progress(done, total)

    played = play_in_tune(model, notes, temperature=temperature, tries=tries, progress=count)
    return [
        BlendedNote(sound_of(one.codes, model), share, float(note.pitch), one.heard, note.velocity)
        for note, share, one in zip(notes, shares, played, strict=True)
    ]


def put_together(
    model: Autoencoder, first: Material, second: Material | None = None, share: float = 0.0, pitch: float | None = None,
    seconds: float | None = None, random_seed: int = 0,
) -> Note:  # fmt: skip
    """What is to be played: `share` of the second note, the rest of the first; what is not given lies on lines between the two."""
    other = first if second is None else second
    asked = _between(first.pitch, other.pitch, share) if pitch is None else pitch
    samples = round(_between(first.samples, other.samples, share) if seconds is None else seconds * model.config.sample_rate)
    count = -(-samples // model.config.code_samples)
    codes = sustained(first.codes_at(model, asked), count)
    if second is not None:
        codes = blended(codes, sustained(second.codes_at(model, asked), count), share)
    return Note(codes, asked, _between(first.velocity, other.velocity, share), samples, random_seed)


def check_blend(steps: int, pitch: float | None, seconds: float | None, temperature: float) -> None:
    """Raise `UsageError` for what cannot be asked for."""
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"steps {steps}: 1 to {MOST_STEPS} are wanted")
    if pitch is not None and not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
        raise UsageError(f"pitch {pitch:g}: a MIDI number from {LOWEST_PITCH:.0f} (A0) to {HIGHEST_PITCH:.0f} (C8) is wanted")
    if seconds is not None and not SHORTEST <= seconds <= LONGEST:
        raise UsageError(f"length {seconds:g}: {SHORTEST:g} to {LONGEST:.0f} seconds are wanted")
    if not 0 <= temperature <= 2:
        raise UsageError(f"temperature {temperature:g}: 0 (the likeliest samples) to 2 is wanted; 1 is as learned")


def _between(first: float, second: float, share: float) -> float:
    return float(first + (second - first) * share)

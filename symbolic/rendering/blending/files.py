"""Recorded notes in, a file with the steps between them out: one after another with a short silence between, or each in its own file."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symbolic.dsp.resampling import resample
from symbolic.errors import UsageError
from symbolic.files import new_file, refuse_existing
from symbolic.models.wavenet.bundled import SEVERAL, wavenet_folder
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.models.wavenet.temporal_codes import CodedNote, save_codes
from symbolic.rendering.blending.hearing import read_note
from symbolic.rendering.blending.picture import draw_blend
from symbolic.rendering.blending.steps import TEMPERATURE, BlendedNote, blend, check_blend
from symbolic.rendering.output import AudioFile, check_format

GAP = 0.3  # seconds between two steps
PEAK = 0.7  # of full scale, of the loudest step


@dataclass
class Step:
    """One step: the second note's `share`, MIDI `pitch` asked for and `heard` (None: none), seconds, and the file it is in."""

    share: float
    pitch: float
    heard: float | None
    seconds: float
    output: str


@dataclass
class BlendReport:
    """What was written, at `rate`; `remarks` are lines for a person."""

    model: str
    rate: int
    steps: list[Step] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def blend_files(
    sources: Sequence[str | Path], output: str | Path, *, model: str | Path = SEVERAL, steps: int = 5, pitch: float | None = None,
    seconds: float | None = None, separate: bool = False, sample_rate: int = 48000, bit_depth: int = 24, temperature: float = TEMPERATURE,
    random_seed: int = 0, codes: str | Path | None = None, picture: Path | None = None, force: bool = False,
    progress: Callable[[float, float], object] | None = None,
) -> BlendReport:  # fmt: skip
    """The steps from the first of two recorded notes to the second, or one note changed, as a WAV, FLAC, OGG or MP3 file.

    `separate`: each step into a file of its own, OUTPUT-1.wav and so on. `codes` keeps the temporal codes of a single note in a file that
    can be given in place of its recording later. Raises `InputError` as `blend` and `read_note` do, and for outputs that exist.
    """
    output = Path(output)
    if not 1 <= len(sources) <= 2:
        raise UsageError(f"{len(sources)} recordings: one or two are wanted")
    if codes is not None and len(sources) > 1:
        raise UsageError("the codes of one note are kept in a file: give one recording, or leave --codes out")
    check_blend(steps, pitch, seconds, temperature)
    check_format(output, bit_depth, sample_rate)
    count = steps if len(sources) > 1 else 1
    outputs = [output.with_stem(f"{output.stem}-{place + 1}") for place in range(count)] if separate else [output]
    for path in (*outputs, *(Path(other) for other in (codes, picture) if other is not None)):
        refuse_existing(path, force)
    voice = load_wavenet(wavenet_folder(model))
    report = BlendReport(str(model), sample_rate)
    notes = [read_note(source, voice, report.remarks.append) for source in sources]
    if codes is not None:
        kept = CodedNote(notes[0].codes_at(voice, notes[0].pitch), notes[0].pitch, notes[0].velocity, notes[0].samples)
        save_codes(kept, voice, codes, force)
    made = blend(
        voice, notes[0], notes[1] if len(notes) > 1 else None, steps=steps, pitch=pitch, seconds=seconds, temperature=temperature,
        random_seed=random_seed, progress=progress,
    )  # fmt: skip
    sounds = _at_rate(made, voice.config.sample_rate, sample_rate)
    with ExitStack() as stack:
        targets = [stack.enter_context(new_file(path, force)) for path in outputs]
        drawn = stack.enter_context(new_file(picture, force)) if picture else None
        if not separate:
            sounds = [np.concatenate([np.pad(sound, (0, round(GAP * sample_rate))) for sound in sounds[:-1]] + sounds[-1:])]
        for seed, (target, sound) in enumerate(zip(targets, sounds, strict=True)):
            with AudioFile(target, output.suffix, sample_rate, bit_depth, len(sound), seed) as file:
                file.write(np.ascontiguousarray(np.broadcast_to(sound, (2, len(sound)))))
        if drawn is not None:
            draw_blend(made, voice.config.sample_rate, drawn, " and ".join(Path(source).name for source in sources))
    report.steps = [
        Step(step.share, step.pitch, step.heard, len(step.sound) / voice.config.sample_rate, str(outputs[min(place, len(outputs) - 1)]))
        for place, step in enumerate(made)
    ]
    return report


def _at_rate(made: Sequence[BlendedNote], from_rate: int, to_rate: int) -> list[np.ndarray]:
    """Their sounds at another rate, with one gain for all."""
    sounds = [resample(step.sound, from_rate, to_rate) for step in made]
    peak = max(float(np.abs(sound).max(initial=0.0)) for sound in sounds)
    return [sound * np.float32(PEAK / max(peak, 1e-6)) for sound in sounds]

"""Blends, stretches and moved notes of a WaveNet: is the pitch the one asked for, and the length?

    python benchmarks/blending.py RECORDINGS --model four

RECORDINGS is a folder of recorded notes, or a `training/recordings` folder of a voice trained on one. Cases are made from the notes that
training holds out: 40 blends of two notes of any two instruments, at a pitch between theirs; 30 stretches to 0.5 to 2 times the length; 30
notes with the codes of one and the pitch of another. Pitch is heard by the project's tracker over the loud frames; length is that of the
sound, and "sounding" that without what is 50 dB below its loudest frame at both ends, against the same of what was asked for.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symbolic.corpus.recordings.store import Recordings, examine
from symbolic.models.wavenet.bundled import wavenet_folder
from symbolic.models.wavenet.saving import load_wavenet
from symbolic.rendering.blending.hearing import BELOW_PEAK, HOP, HeardNote, heard_note
from symbolic.rendering.blending.steps import TEMPERATURE, put_together
from symbolic.rendering.in_tune import TRIES, play_in_tune, sound_of
from symbolic.training.wavenet_notes import RecordedNote, notes_of

CENTS, SECONDS = 30.0, 0.032
SHORTEST, LONGEST = 0.4, 3.0  # seconds of the notes taken
CASES = {"blend": 40, "stretch": 30, "move": 30}
APART = {"blend": 12.0, "move": 7.0}  # semitones between two notes at most


@dataclass
class Case:
    """What is asked for; `second` is None for one note alone."""

    kind: str
    first: HeardNote
    second: HeardNote | None
    share: float
    pitch: float
    seconds: float
    name: str


def made_cases(notes: list[RecordedNote], model: object, random_seed: int) -> list[Case]:
    """The same cases for the same notes."""
    generator = np.random.default_rng(random_seed)
    taken = [note for note in notes if note.held_out and SHORTEST <= len(note.sound) / 16000 <= LONGEST]
    heard: dict[int, HeardNote] = {}

    def note_of(index: int) -> HeardNote:
        if index not in heard:
            heard[index] = heard_note(taken[index].sound, 16000, model, taken[index].name)  # type: ignore[arg-type]
        return heard[index]

    cases: list[Case] = []
    for kind, count in CASES.items():
        while sum(case.kind == kind for case in cases) < count:
            one, two = (int(index) for index in generator.choice(len(taken), 2, replace=False))
            if kind != "stretch" and abs(taken[one].pitch - taken[two].pitch) > APART[kind]:
                continue
            first, second = note_of(one), note_of(two)
            share = float(generator.choice([0.25, 0.5, 0.75]))
            stretch = 2 ** float(generator.uniform(-1, 1))
            pitch = {"blend": first.pitch + (second.pitch - first.pitch) * share, "stretch": first.pitch, "move": second.pitch}[kind]
            seconds = len(first.sound) / 16000 * (stretch if kind == "stretch" else 1.0)
            cases.append(Case(kind, first, second if kind == "blend" else None, share, pitch, seconds, taken[one].name))
    return cases


def sounding(sound: np.ndarray) -> float:
    """Seconds between the first and the last frame that is within 50 dB of the loudest."""
    energy = np.square(sound[: len(sound) // HOP * HOP].reshape(-1, HOP)).mean(1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-BELOW_PEAK / 10))
    return float(loud[-1] - loud[0] + 1) * HOP / 16000


def main() -> None:
    """Print a row for each kind of case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--model", default="four")
    parser.add_argument("--temperature", type=float, default=TEMPERATURE)
    parser.add_argument("--tries", type=int, default=TRIES)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--misses", action="store_true", help="also name the cases that missed")
    options = parser.parse_args()
    model = load_wavenet(wavenet_folder(options.model))
    if (options.recordings / "notes.json").is_file():
        recordings = Recordings(options.recordings)
    else:
        recordings = examine(options.recordings, Path(tempfile.mkdtemp()) / "store")
    cases = made_cases(notes_of(recordings), model, options.random_seed)
    clock = time.perf_counter()
    notes = [
        put_together(model, case.first, case.second, case.share, case.pitch, case.seconds, number) for number, case in enumerate(cases)
    ]
    played = play_in_tune(model, notes, temperature=options.temperature, tries=options.tries)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for case, one in zip(cases, played, strict=True):
        sound, heard = sound_of(one.codes, model), one.heard
        cents = np.inf if heard is None else abs(heard - case.pitch) * 100
        length = abs(len(sound) / 16000 - case.seconds)
        audible = abs(sounding(sound) - case.seconds)
        rows.setdefault(case.kind, []).append((cents, length, audible))
        if options.misses and (cents > CENTS or length > SECONDS):
            told = f"asked {case.pitch:.2f}, heard {'nothing' if heard is None else f'{heard:.2f}'}, own pitch {case.first.pitch:.2f}"
            print(f"{case.kind}: {case.name}, {told}, {case.seconds:.2f} s")
    rows["all"] = [row for found in rows.values() for row in found]
    print(f"{'kind':8} cases  within 30 cents  within 32 ms  both  median cents  sounding within 32 ms, 100 ms")
    for kind, found in rows.items():
        cents, length, audible = np.array(found).T
        near, exact = cents <= CENTS, length <= SECONDS
        print(
            f"{kind:8} {len(found):5}  {near.mean():15.0%}  {exact.mean():12.0%}  {(near & exact).mean():4.0%}  "
            f"{np.median(cents):12.1f}  {(audible <= SECONDS).mean():8.0%}, {(audible <= 0.1).mean():.0%}"
        )
    print(f"{time.perf_counter() - clock:.0f} s, temperature {options.temperature:g}, up to {options.tries} draws")


if __name__ == "__main__":
    main()

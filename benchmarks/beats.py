"""How the partials of struck notes beat: held-out recordings beside the voice measured from the others.

    python benchmarks/beats.py FOLDER VOICE --program 0

FOLDER holds the recordings that VOICE was measured from; VOICE/voice.json tells which were held out. Told for each note are medians over
its first twelve partials, from 0.1 to 3 s or until they have fallen by 40 dB: by how many decibels they leave a parabola (root mean
square), and how often they cross it, in beats a second for each kilohertz of the partial. Beside the recording: the voice with its measured
strings, with the program's two copies instead, and with one string.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.dsp.decaying_partials import find_string, partial_tracks, stiff_partials
from symbolic.dsp.units import midi_to_hz
from symbolic.models.voices.bundled import voice_folder
from symbolic.models.voices.struck import StruckVoice, load_struck
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.performance import Part, PlayedNote
from symbolic.rendering.presets import Preset
from symbolic.rendering.struck_controls import StruckControls, StruckSound
from symbolic.training.voices.struck import divided
from symbolic.training.voices.struck_notes import RecordedNote, StruckSettings, recorded

SECONDS, BEGIN, FALLEN = 3.0, 0.1, 40.0
PARTIALS = 12
LEAST = 0.4  # seconds that a partial must be heard


def beating(sound: np.ndarray, pitch: int) -> np.ndarray:
    """Decibels and beats a second for each kilohertz (P, 2) of the partials of a note (S,)."""
    nominal = float(midi_to_hz(float(pitch)))
    frequency, stiffness = find_string(sound, SAMPLE_RATE, nominal)
    hertz = stiff_partials(frequency, stiffness, 8000, PARTIALS)
    tracks = partial_tracks(sound[: round(SECONDS * SAMPLE_RATE)], SAMPLE_RATE, hertz, frequency)
    time, found = np.arange(len(tracks.amplitudes)) * tracks.hop / SAMPLE_RATE, []
    for number, amplitude in enumerate(tracks.amplitudes.T):
        levels = 20 * np.log10(np.abs(amplitude) + 1e-9)
        heard = (time > BEGIN) & (time < min(SECONDS, len(sound) / SAMPLE_RATE) - BEGIN)
        low = np.flatnonzero(heard & (levels < levels[heard][:4].max(initial=-200) - FALLEN))
        heard &= time < (time[low[0]] if len(low) else np.inf)
        if heard.sum() < 8 or np.ptp(time[heard]) < LEAST:
            continue
        off = levels[heard] - np.polyval(np.polyfit(time[heard], levels[heard], 2), time[heard])
        crossings = (np.diff(np.sign(off)) != 0).sum() / 2
        found.append((off.std(), 1000 * crossings / np.ptp(time[heard]) / hertz[number]))
    return np.array(found).reshape(-1, 2)


def played(voice: StruckVoice, preset: Preset, note: RecordedNote) -> np.ndarray:
    """The note as a program plays it (S,), dry, held."""
    key = PlayedNote(0.0, 9.0, 9.0, note.pitch, note.velocity, 0)
    part = Part(0, "", 0, False, (key,), None, None, None, None, None)
    player, sound = StruckSound(StruckControls(preset, voice, key, part, SAMPLE_RATE), SAMPLE_RATE), np.zeros(0)
    while not player.done and len(sound) < SECONDS * SAMPLE_RATE:
        sound = np.concatenate([sound, player.next_segment().mean(0)])
    return sound


def main() -> None:
    """Print a line for each held-out note, and how far the ways of playing are from the recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("voice")
    parser.add_argument("--program", type=int, default=0)
    options = parser.parse_args()
    voice, preset = load_struck(voice_folder(options.voice)), PROGRAMS[options.program]
    facts = json.loads((voice_folder(options.voice) / "voice.json").read_text())
    settings = StruckSettings(hold_out=facts.get("hold_out", "note"))
    alone = replace(voice, strings=None)
    ways = {"measured strings": (voice, preset), "two copies": (alone, preset), "one string": (alone, replace(preset, copies=1))}
    off: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for path in divided(options.recordings, settings)[1]:
        note = recorded(path, settings)
        true = beating(note.sound, note.pitch)
        if len(true) < 3:
            continue
        line = [f"recording {np.median(true[:, 0]):.1f} dB, {np.median(true[:, 1]):.1f}"]
        for name, (table, own) in ways.items():
            made = beating(played(table, own, note), note.pitch)
            off[name].append(np.abs(np.median(made, 0) - np.median(true, 0)))
            line.append(f"{name} {np.median(made[:, 0]):.1f} dB, {np.median(made[:, 1]):.1f}")
        print(f"{path.name}: {'; '.join(line)}")
    for name, differences in off.items():
        depth, rate = np.mean(differences, axis=0)
        print(f"{name}: {depth:.2f} dB and {rate:.2f} beats a second per kilohertz off, mean of {len(differences)} notes")


if __name__ == "__main__":
    main()

"""What a voice sounds like while it learns: some held-out notes, each as recorded and then as played by the voice, in one WAV."""

from pathlib import Path

import numpy as np
import soundfile

from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings
from symbolic.files import new_file
from symbolic.models.voices.autoencoder import VoiceAutoencoder
from symbolic.training.voices.evaluation import played

NOTES = 4
SILENCE = 0.25  # seconds between the two
LEVEL = 0.5  # of the loudest sample: soft notes stay soft beside loud ones


def write_comparison(path: Path, voice: VoiceAutoencoder, recordings: Recordings, notes: list[Note]) -> None:
    """Write the WAV, 48 kHz, 16 bit: low to high notes of those given."""
    training = voice.training
    chosen = sorted(notes, key=lambda note: float(np.median(recordings.array("pitch", note))))
    chosen = [chosen[round(place)] for place in np.linspace(0, len(chosen) - 1, min(NOTES, len(chosen)))]
    parts: list[np.ndarray] = []
    for note in chosen:
        for sound in (recordings.array("sound", note), played(voice, recordings, note)):
            parts += [sound, np.zeros(round(SILENCE * SAMPLE_RATE), np.float32)]
    voice.train(training)
    whole = np.concatenate(parts)
    with new_file(path, force=True) as temporary:
        soundfile.write(temporary, whole * (LEVEL / max(float(np.abs(whole).max()), 1e-9)), SAMPLE_RATE, subtype="PCM_16")

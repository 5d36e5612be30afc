"""How well a voice plays notes it has not learned from: their pitch and loudness in, its sound beside theirs.

A note is played after a tenth of a second of silence, as a whole. Figures are means over notes, at 16 kHz (soxr):
- loss: Magenta's multi-scale spectral loss, six sizes, un-normalised;
- loudness_error: in Magenta's scaled units, 0.1 is 8 dB;
- pitch_cents: median distance of the two sounds' tracked pitches, and pitch_outliers, the share of frames off by more than half a
  semitone, over the frames within 20 dB of a note's loudest and with a pitch in the recording.
"""

from dataclasses import dataclass

import numpy as np
import torch

from symbolic.corpus.recordings.phrases import HOP, LOUD, LOW_HOP, LOW_RATE
from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings
from symbolic.dsp.a_weighting import RANGE_DB, loudness_error
from symbolic.dsp.pitch_tracking import PERIODIC, track_pitch
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.voice import play

LEAD_IN = 25  # frames of silence before a note


@dataclass
class HeldOutFigures:
    """Means over the notes."""

    loss: float
    loudness_error: float
    pitch_cents: float
    pitch_outliers: float
    notes: int


def evaluate_voice(decoder: VoiceDecoder, recordings: Recordings, notes: list[Note]) -> HeldOutFigures:
    """The figures of a voice on notes."""
    was_training = decoder.training
    losses, loudness, cents = [], [], []
    for note in notes:
        heard = resample(played(decoder, recordings, note), SAMPLE_RATE, LOW_RATE).astype(np.float32)
        target = resample(recordings.array("sound", note), SAMPLE_RATE, LOW_RATE).astype(np.float32)
        one, other = torch.from_numpy(heard)[None], torch.from_numpy(target)[None]
        losses.append(float(spectral_loss(one, other)))
        loudness.append(float(loudness_error(one, other)))
        cents.append(_pitch_distance(heard, target, recordings.array("pitch", note)))
    decoder.train(was_training)
    distances = np.concatenate(cents) if cents else np.zeros(0)
    return HeldOutFigures(
        float(np.mean(losses)), float(np.mean(loudness)), float(np.median(distances)) if len(distances) else float("nan"),
        float((distances > 50).mean()) if len(distances) else float("nan"), len(notes),
    )  # fmt: skip


def played(decoder: VoiceDecoder, recordings: Recordings, note: Note) -> np.ndarray:
    """The voice's sound (F · 192,) of a note."""
    pitch, loudness = recordings.array("pitch", note), recordings.array("loudness", note)
    pitch = np.concatenate([np.full(LEAD_IN, pitch[0], np.float32), pitch])
    loudness = np.concatenate([np.full(LEAD_IN, -RANGE_DB, np.float32), loudness])
    return play(decoder, pitch, loudness)[LEAD_IN * HOP :]


def _pitch_distance(heard: np.ndarray, target: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Distances in cents, of the frames that count."""
    note = float(2 ** np.median(np.log2(pitch)))
    one, other = (track_pitch(sound, LOW_RATE, LOW_HOP, lowest=note / 2, highest=min(2 * note, 7000.0)) for sound in (heard, target))
    energy = np.square(target[: len(other.pitch) * LOW_HOP].reshape(-1, LOW_HOP)).sum(1)
    counted = (energy > energy.max() * 10 ** (-LOUD / 10)) & (other.periodicity > PERIODIC)
    return np.asarray(1200 * np.abs(np.log2(one.pitch / other.pitch)))[counted]

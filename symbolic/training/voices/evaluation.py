"""How well a voice plays notes it has not learned from: their pitch and loudness in, its sound beside theirs.

A note is played after a tenth of a second of silence, as a whole. Figures are means over notes, at 16 kHz (soxr):
- loss: Magenta's multi-scale spectral loss, six sizes, un-normalised;
- loudness_error: in Magenta's scaled units, 0.1 is 8 dB;
- pitch_cents: median distance of the two sounds' tracked pitches, and pitch_outliers, the share of frames off by more than half a
  semitone. Both are tracked alike, an octave down and up from the note; nothing tells the tracker where the note is.
  Frames count that are within 20 dB of a note's loudest and whose pitch is sure in the *recording*: it repeats (periodicity of at least
  0.85), and the tracker finds the pitch there that the voice was asked for, to half a semitone. The voice's own sound chooses no frame.
"""

from dataclasses import dataclass

import numpy as np
import torch

from symbolic.corpus.recordings.phrases import HOP, LOUD, LOW_HOP, LOW_RATE
from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings
from symbolic.dsp.a_weighting import RANGE_DB, loudness_error
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.models.voices.decoder import VoiceDecoder
from symbolic.models.voices.voice import play

EVALUATED_NOTES = 48
LEAD_IN = 25  # frames of silence before a note
SURE = 0.85  # periodicity of a frame whose pitch is known
OFF = 50.0  # cents


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
        float((distances > OFF).mean()) if len(distances) else float("nan"), len(notes),
    )  # fmt: skip


def heard_of(recordings: Recordings) -> list[Note]:
    """The held-out notes that a voice is told by: all of them, or evenly some where there are more than 48."""
    held_out = recordings.chosen(True)
    return held_out[:: -(-len(held_out) // EVALUATED_NOTES)]


def played(decoder: VoiceDecoder, recordings: Recordings, note: Note) -> np.ndarray:
    """The voice's sound (F · 192,) of a note."""
    pitch, loudness = recordings.array("pitch", note), recordings.array("loudness", note)
    pitch = np.concatenate([np.full(LEAD_IN, pitch[0], np.float32), pitch])
    loudness = np.concatenate([np.full(LEAD_IN, -RANGE_DB, np.float32), loudness])
    return play(decoder, pitch, loudness)[LEAD_IN * HOP :]


def _pitch_distance(heard: np.ndarray, target: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Distances in cents, of the frames that count; `pitch` (F,) is what the voice was asked for."""
    note = float(2 ** np.median(np.log2(pitch)))
    one, other = (track_pitch(sound, LOW_RATE, LOW_HOP, lowest=note / 2, highest=min(2 * note, 7000.0)) for sound in (heard, target))
    energy = np.square(target[: len(other.pitch) * LOW_HOP].reshape(-1, LOW_HOP)).sum(1)
    asked = 1200 * np.abs(np.log2(other.pitch / pitch[: len(other.pitch)])) < OFF
    counted = (energy > energy.max() * 10 ** (-LOUD / 10)) & (other.periodicity >= SURE) & asked
    return np.asarray(1200 * np.abs(np.log2(one.pitch / other.pitch)))[counted]

"""How well a voice plays notes it has not learned from: their pitch and loudness in, its sound beside theirs.

A note is played after a tenth of a second of silence, as a whole. Figures are means over notes, at 16 kHz (soxr):
- loss: Magenta's multi-scale spectral loss, six sizes, un-normalised;
- loudness_error: in Magenta's scaled units, 0.1 is 8 dB;
- pitch_cents: median distance of the two sounds' tracked pitches, and pitch_outliers, the share of frames off by more than half a
  semitone. Both are tracked alike, an octave down and up from the note; nothing tells the tracker where the note is.
  Frames count that are within 20 dB of a note's loudest and whose pitch is sure in the *recording*: it repeats (periodicity of at least
  0.85), and the tracker finds the pitch there that the voice was asked for, to half a semitone. The voice's own sound chooses no frame.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symbolic.corpus.recordings.phrases import HOP, LOUD, LOW_HOP, LOW_RATE
from symbolic.corpus.recordings.pieces import SAMPLE_RATE
from symbolic.corpus.recordings.store import Note, Recordings
from symbolic.dsp.a_weighting import RANGE_DB, loudness_error
from symbolic.dsp.pitch_tracking import track_pitch
from symbolic.dsp.resampling import resample
from symbolic.dsp.spectral_loss import spectral_loss
from symbolic.models.voices.autoencoder import VoiceAutoencoder
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
    frames: int  # whose pitch is sure


def evaluate_voice(voice: VoiceAutoencoder, recordings: Recordings, notes: list[Note], coded: bool = True) -> HeldOutFigures:
    """The figures of a voice on notes, told the timbre code that its encoder hears in them, or none."""
    was_training = voice.training
    losses, loudness, cents = [], [], []
    for note in notes:
        heard = resample(played(voice, recordings, note, coded), SAMPLE_RATE, LOW_RATE).astype(np.float32)
        target = resample(recordings.array("sound", note), SAMPLE_RATE, LOW_RATE).astype(np.float32)
        one, other = torch.from_numpy(heard)[None], torch.from_numpy(target)[None]
        losses.append(float(spectral_loss(one, other)))
        loudness.append(float(loudness_error(one, other)))
        cents.append(_pitch_distance(heard, target, recordings.array("pitch", note)))
    voice.train(was_training)
    distances = np.concatenate(cents) if cents else np.zeros(0)
    return HeldOutFigures(
        float(np.mean(losses)), float(np.mean(loudness)), float(np.median(distances)) if len(distances) else float("nan"),
        float((distances > OFF).mean()) if len(distances) else float("nan"), len(notes), len(distances),
    )  # fmt: skip


def all_figures(voice: VoiceAutoencoder, recordings: Recordings, notes: list[Note]) -> dict[str, Any]:
    """The figures, plain, and those `without_code` where the voice has one."""
    figures = dataclasses.asdict(evaluate_voice(voice, recordings, notes))
    return figures | ({"without_code": dataclasses.asdict(evaluate_voice(voice, recordings, notes, False))} if voice.config.code else {})


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """The same with four decimals."""
    return {
        name: rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }


def heard_of(recordings: Recordings) -> list[Note]:
    """The held-out notes that a voice is told by: all of them, or evenly some where there are more than 48."""
    held_out = recordings.chosen(True)
    return held_out[:: -(-len(held_out) // EVALUATED_NOTES)]


@torch.inference_mode()
def played(voice: VoiceAutoencoder, recordings: Recordings, note: Note, coded: bool = True) -> np.ndarray:
    """The voice's sound (F · 192,) of a note's pitch, loudness and, if `coded`, its timbre code."""
    pitch, loudness = recordings.array("pitch", note), recordings.array("loudness", note)
    pitch = np.concatenate([np.full(LEAD_IN, pitch[0], np.float32), pitch])
    loudness = np.concatenate([np.full(LEAD_IN, -RANGE_DB, np.float32), loudness])
    odd = -len(pitch) % voice.config.stride
    sound = np.pad(recordings.array("low", note), (LEAD_IN * LOW_HOP, odd * LOW_HOP))
    heard = (torch.from_numpy(one)[None] for one in (sound, *(np.pad(one, (0, odd), mode="edge") for one in (pitch, loudness))))
    code = voice.eval().code(*heard) if coded else None
    return play(voice.decoder, pitch, loudness, code=None if code is None else code[0, : len(pitch)].numpy())[LEAD_IN * HOP :]


def _pitch_distance(heard: np.ndarray, target: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Distances in cents, of the frames that count; `pitch` (F,) is what the voice was asked for."""
    note = float(2 ** np.median(np.log2(pitch)))
    one, other = (track_pitch(sound, LOW_RATE, LOW_HOP, lowest=note / 2, highest=min(2 * note, 7000.0)) for sound in (heard, target))
    energy = np.square(target[: len(other.pitch) * LOW_HOP].reshape(-1, LOW_HOP)).sum(1)
    asked = 1200 * np.abs(np.log2(other.pitch / pitch[: len(other.pitch)])) < OFF
    counted = (energy > energy.max() * 10 ** (-LOUD / 10)) & (other.periodicity >= SURE) & asked
    return np.asarray(1200 * np.abs(np.log2(one.pitch / other.pitch)))[counted]

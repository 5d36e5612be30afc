"""What sounds between two silences: notes and phrases cut from a piece, with pitch and loudness frame by frame.

A frame is 4 ms, 192 samples at 48 kHz; what describes it describes its middle. Loudness is A-weighted, in decibels, in the units of
`symbolic.dsp.a_weighting`, from the sound at 16 kHz; pitch is in hertz. A phrase is whole frames and 12 s long at most.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from symbolic.corpus.recordings.labels import Label, note_name
from symbolic.corpus.recordings.pieces import SAMPLE_RATE, Piece
from symbolic.dsp.a_weighting import FRAME_SIZE, a_weighted_loudness
from symbolic.dsp.pitch_tracking import NEAR, PERIODIC, PitchTrack, track_pitch
from symbolic.dsp.polyphony import fault, foreign
from symbolic.dsp.units import hz_to_midi, midi_to_hz

if TYPE_CHECKING:
    import torch

HOP = 192
FRAME_RATE = SAMPLE_RATE // HOP
LOW_RATE = 16000
LOW_HOP = HOP * LOW_RATE // SAMPLE_RATE
BELOW_PEAK, SILENT = 50.0, -70.0  # dB: quieter than the loudest frame by so much, or than this, is silence
BRIDGED, SHORTEST, LONGEST = 0.2, 0.08, 12.0  # seconds: shorter silences belong to a phrase; shorter phrases are noises
LEAD, TAIL = 2, 4  # frames kept before and after, as far as there is sound:
SOUND = 1e-5  # root mean square, in a frame, of the differences of samples, which rumble hardly has: about 80 dB below full scale at 1 kHz
FADE = 3  # frames at the cut edges
LEANING = 0.1  # of the loud frames at most lie at the bounds of where a named note is looked for
SPREAD = 2.0  # semitones, over which the pitch of a single note does not wander
LOUD = 20.0  # dB below the loudest frame of a phrase: frames that must have a pitch


@dataclass
class Phrase:
    """F frames: `sound` (F · 192,), `low` (F · 64,) the same at 16 kHz, `pitch`, `loudness`, `periodicity` (F,), all float32.

    `start` is in seconds into the file; `fault` is "" or why it is not to be learned from, `doubt` what a person should know.
    """

    start: float
    sound: np.ndarray
    low: np.ndarray
    pitch: np.ndarray
    loudness: np.ndarray
    periodicity: np.ndarray
    fault: str = ""
    doubt: str = ""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.pitch) / FRAME_RATE


def phrases(piece: Piece, label: Label) -> list[Phrase]:
    """The phrases of a piece in order, those with a fault too; none in silence."""
    import torch

    from symbolic.dsp.decimation import decimate

    frames = -(-len(piece.sound) // HOP)
    sound = np.pad(piece.sound, (0, frames * HOP - len(piece.sound)))
    loudness = frame_loudness(decimate(torch.from_numpy(sound)[None], SAMPLE_RATE // LOW_RATE))[0].numpy()
    found = []
    changes = np.square(np.diff(sound, prepend=0.0)).reshape(frames, HOP).mean(1)
    # Edited files and MP3s hold digital silence, and bands of it, whose logarithm of magnitude says nothing about an instrument.
    for first, last in _spans(loudness, changes > SOUND**2):
        faded = sound[first * HOP : last * HOP] * np.repeat(_edges(last - first), HOP).astype(np.float32)
        low = decimate(torch.from_numpy(faded)[None], SAMPLE_RATE // LOW_RATE)
        track, wrong, doubt = _pitch(low[0].numpy(), label)
        levels = frame_loudness(low)[0].numpy()
        phrase = Phrase(piece.start + first / FRAME_RATE, faded, low[0].numpy(), track.pitch.astype(np.float32), levels,
                        track.periodicity.astype(np.float32), wrong, doubt)  # fmt: skip
        found.append(phrase)
    return found


def frame_loudness(low: "torch.Tensor") -> "torch.Tensor":
    """Loudness (B, F) in decibels at the middles of the frames of sound (B, F · 64) at 16 kHz."""
    import torch

    # a_weighted_loudness looks around the frames' beginnings: half a frame earlier, those are their middles.
    shifted = torch.nn.functional.pad(low[:, LOW_HOP // 2 :], (0, LOW_HOP // 2))
    return a_weighted_loudness(shifted, LOW_RATE, FRAME_RATE, FRAME_SIZE)[:, : low.shape[1] // LOW_HOP]


def _spans(loudness: np.ndarray, sounding: np.ndarray) -> list[tuple[int, int]]:
    """First and last + 1 frame of each phrase; all begin and end with a frame that is `sounding`."""
    heard = loudness > max(float(loudness.max()) - BELOW_PEAK, SILENT)
    edges = np.flatnonzero(np.diff(np.pad(heard.astype(np.int8), 1)))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] < BRIDGED * FRAME_RATE:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    cut = []
    for first, last in joined:
        inner = np.flatnonzero(sounding[max(0, first - LEAD) : last + TAIL])
        if last - first < SHORTEST * FRAME_RATE or not len(inner):
            continue
        first, last = max(0, first - LEAD) + int(inner[0]), max(0, first - LEAD) + int(inner[-1]) + 1
        while last - first > LONGEST * FRAME_RATE:
            search = slice(first + round(LONGEST / 2 * FRAME_RATE), first + round(LONGEST * FRAME_RATE))
            middle = search.start + int(loudness[search].argmin())
            cut.append((first, middle))
            first = middle
        cut.append((first, last))
    return [(first, last) for first, last in cut if last - first >= SHORTEST * FRAME_RATE]


def _edges(frames: int) -> np.ndarray:
    """Gains (F,) that begin and end a phrase without a click, in steps of a frame."""
    rise = np.minimum(1.0, (np.arange(frames) + 1) / (FADE + 1))
    return np.asarray(rise * rise[::-1])


def _pitch(low: np.ndarray, label: Label) -> tuple[PitchTrack, str, str]:
    """The pitch of a phrase at 16 kHz, and what is wrong with it: a fault that excludes it, a doubt that does not."""
    energy = np.square(low.reshape(-1, LOW_HOP)).sum(1)
    loud = energy > energy.max() * 10 ** (-LOUD / 10)
    if label.note is None:
        track = track_pitch(low, LOW_RATE, LOW_HOP)
        return track, fault(low, track, loud, LOW_RATE, named=False), ""
    named, lower, higher = (_tracked(low, label.note + octave) for octave in (0, -12, 12))
    sure, sure_lower, sure_higher = (0.0 if one is None else float(np.median(one.periodicity[loud])) for one in (named, lower, higher))
    # What repeats after one period repeats after two: an octave below is true only if it repeats clearly better.
    believed = sure >= PERIODIC and sure_lower < sure + 0.1 and sure_higher < sure - 0.02
    if named is not None and believed and _fits(low, named, loud, label.note):
        return named, fault(low, named, loud, LOW_RATE, named=True), ""
    track = track_pitch(low, LOW_RATE, LOW_HOP)
    heard = round(float(hz_to_midi(float(np.median(track.pitch[loud])))))
    octave = {label.note: named, label.note - 12: lower, label.note + 12: higher}.get(heard)
    if octave is not None and not _fits(low, octave, loud, heard):
        octave = None
    lowest, highest = hz_to_midi(np.percentile(track.pitch[loud], (10, 90)))
    if octave is None and highest - lowest > SPREAD:
        return (
            track,
            f"named {note_name(label.note)} but other notes sound too: under a name without a note they would be learned from",
            "",
        )
    wrong = fault(low, octave or track, loud, LOW_RATE, named=octave is not None)
    doubt = "" if wrong or heard == label.note else f"named {note_name(label.note)} but sounds as {note_name(heard)}: this is believed"
    return octave or track, wrong, doubt


def _fits(low: np.ndarray, track: PitchTrack, loud: np.ndarray, note: int) -> bool:
    """Whether what was looked for near a note is there: its partials hold most of the power, and the pitch does not lean on the bounds."""
    distance = np.abs(hz_to_midi(track.pitch[loud]) - note)
    return not foreign(low, track, loud, LOW_RATE) and float((distance > NEAR - 0.02).mean()) < LEANING


def _tracked(low: np.ndarray, note: int) -> PitchTrack | None:
    """The pitch near a note, or None where that is too low or too high for one."""
    hertz = float(midi_to_hz(float(note)))
    return track_pitch(low, LOW_RATE, LOW_HOP, note=hertz) if 20 < hertz < 4500 else None

"""How near the notes of the learned voices are to what was asked for, and to recordings. Run through `rendering.py`.

Onset: where the level last passes 20 dB under its top of the next 0.3 s, against the note's beat. Tuning: the mean frequency of the
fundamental of a long note, weighted with power. Both of the dry sound, mono. Loudness: energy of notes against the square law of
General MIDI, 40·log10 of the velocity. Nearness to a recording: the same pitch, dynamic and length are played, laid on the recording's
onset and scaled to its A-weighted energy; then Magenta's multi-scale spectral loss, and the mean distance of levels in third octaves.
"""

import itertools
import math
from pathlib import Path

import numpy as np
from symusic import Note, Score, Tempo, Track

from symbolic.models.voices.bundled import bundled_voices
from symbolic.rendering.controls import NoteControls
from symbolic.rendering.instruments import PROGRAMS
from symbolic.rendering.learned_part import learned_parts
from symbolic.rendering.performance import perform
from symbolic.rendering.phrase_player import RATE, PhrasePlayer, batches, decoder_of, play_together
from symbolic.rendering.voices import Voice

PROGRAM_OF = {
    "violin": 40, "viola": 41, "cello": 42, "double-bass": 43, "trumpet": 56, "trombone": 57,
    "french-horn": 60, "oboe": 68, "bassoon": 70, "clarinet": 71, "flute": 73,
}  # fmt: skip
LONGEST = 12.0  # seconds
MOST_NOTES = 12  # of a voice, that are compared with recordings


def scale(program: int, notes: list[tuple[int, int, int, int]]) -> Score:
    """A track of notes (start and length in milliseconds, pitch, velocity)."""
    score = Score(1000)
    score.tempos.append(Tempo(0, 60))
    score.tracks.append(Track("", program, False))
    score.tracks[0].notes.extend([Note(*note) for note in notes])
    return score


def learned(score: Score) -> np.ndarray:
    """The first track on learned voices, dry."""
    part = perform(score)[0]
    players = [PhrasePlayer(phrase, part, voice) for voice, phrase in learned_parts([part])[0].phrases]
    sound = np.zeros(max(player.end for player in players), np.float32)
    while playing := [player for player in players if not player.done]:
        for group in batches(playing):
            for position, piece in play_together(group):
                sound[position : position + len(piece)] += piece
    return sound


def synthesized(score: Score) -> np.ndarray:
    """The same on the synthesizer."""
    part = perform(score)[0]
    sound = np.zeros(round((part.notes[-1].release + LONGEST) * RATE), np.float32)
    for note in part.notes:
        voice = Voice(NoteControls(PROGRAMS[part.program], note, part, RATE), RATE)
        while not voice.done:
            position, piece = voice.position, voice.next_segment().mean(0)
            sound[position : position + len(piece)] += piece[: max(0, len(sound) - position)]
    return sound


def onset_error(sound: np.ndarray, second: float, pitch: float) -> float:
    """Milliseconds by which a note begins late; within a period of a low note the level may fall and rise again, which is no onset."""
    start = max(0, round((second - 0.08) * RATE))
    window = np.hanning(192) / np.hanning(192).sum()
    level = np.sqrt(np.convolve(sound[start : round((second + 0.3) * RATE)].astype(np.float64) ** 2, window, "same"))
    loud = np.flatnonzero(level[: int(level.argmax()) + 1] >= 0.1 * level.max())
    silences = np.flatnonzero(np.diff(loud, prepend=-1) > 1.2 * RATE / (440 * 2 ** ((pitch - 69) / 12)))
    return 1000 * ((start + (loud[silences[-1]] if len(silences) else 0)) / RATE - second)


def cents_off(sound: np.ndarray, pitch: float) -> float:
    """Cents by which the fundamental's mean frequency is off."""
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    near = np.abs(frequency - hertz) < 0.029 * hertz
    return 1200 * math.log2(float((power * frequency)[near].sum() / power[near].sum()) / hertz)


def tell_notes() -> None:
    """Print a row for each bundled voice, and the same notes on the synthesizer."""
    print(f"{'voice':14}{'played by':14}{'onset ms: median, 95 %, worst':>32}{'cents: median, worst':>24}{'dB off, velocity':>18}")
    for voice in PROGRAM_OF:
        if voice not in bundled_voices():
            continue
        config = decoder_of(voice).config
        low, high = (math.ceil(69 + 12 * math.log2(hertz / 440)) for hertz in (config.lowest_pitch, config.highest_pitch))
        pitches = [pitch for pitch in range(low, min(high, low + 36) + 1, 3) if _voice_of(voice, pitch)]
        for name, played in (("learned", learned), ("synthesizer", synthesized)):
            errors, cents, levels = [], [], []
            for velocity in (50, 80, 110):
                starts = [200 + 1103 * k for k in range(len(pitches))]
                notes = [(start, 500, pitch, velocity) for start, pitch in zip(starts, pitches, strict=True)]
                sound = played(scale(PROGRAM_OF[voice], notes))
                errors += [abs(onset_error(sound, start / 1000, pitch)) for start, pitch in zip(starts, pitches, strict=True)]
                levels.append(10 * math.log10(float((sound.astype(np.float64) ** 2).sum())) - 40 * math.log10(velocity))
            for pitch in pitches[::3]:
                sound = played(scale(PROGRAM_OF[voice], [(0, 3000, pitch, 90)]))
                cents.append(abs(cents_off(sound[RATE // 2 : 5 * RATE // 2], pitch)))
            onset = f"{np.median(errors):.1f} {np.percentile(errors, 95):.1f} {max(errors):.1f}"
            print(f"{voice:14}{name:14}{onset:>32}{f'{np.median(cents):.1f} {max(cents):.1f}':>24}{np.ptp(levels):18.1f}", flush=True)


def _voice_of(voice: str, pitch: int) -> bool:
    """Whether the voice's own program gives it this pitch."""
    from symbolic.rendering.programs import learned_programs

    return learned_programs()[PROGRAM_OF[voice]].voice_of(pitch) == voice


def compare_with_recordings(folder: Path) -> None:
    """Print, for each voice, how near its held-out recordings are to the same notes on the learned voice and on the synthesizer."""
    from symbolic.corpus.recordings.note_shapes import measure_shape
    from symbolic.corpus.recordings.store import Recordings
    from symbolic.training.voices.expression import VELOCITIES

    print(
        f"{'voice':14}{'notes':>6}{'spectral loss: learned, synthesizer':>40}{'third octaves, dB: learned, synthesizer':>42}{'nearer':>8}"
    )
    for voice, program in PROGRAM_OF.items():
        if voice not in bundled_voices() or not (folder / voice / "notes.json").is_file():
            continue
        recordings, rows = Recordings(folder / voice), []
        held_out = [note for note in recordings.chosen(True) if note.note is not None and note.dynamic in VELOCITIES]
        for note in held_out[:: -(-len(held_out) // MOST_NOTES)]:
            pitch, loudness = (recordings.array(name, note).astype(np.float64) for name in ("pitch", "loudness"))
            found = measure_shape(pitch, loudness)
            if found is None or note.note is None:
                continue
            shape, seconds = found
            begun = np.flatnonzero(loudness > shape.level - 20)[0] / 250
            length = round(1000 * (seconds - shape.attack[1]))
            score = scale(program, [(500, length, note.note, VELOCITIES[note.dynamic])])
            rows.append([_distances(played(score), recordings.array("sound", note), 0.5 - begun) for played in (learned, synthesized)])
        loss, bands = np.median(np.array(rows), 0).T
        nearer = float(np.mean([one[0] < other[0] for one, other in rows]))
        print(
            f"{voice:14}{len(rows):6d}{f'{loss[0]:.2f} {loss[1]:.2f}':>40}{f'{bands[0]:.1f} {bands[1]:.1f}':>42}{nearer:8.0%}", flush=True
        )


def _distances(sound: np.ndarray, recorded: np.ndarray, start: float) -> tuple[float, float]:
    """Spectral loss and distance in third octaves, at 16 kHz, of a sound from the second `start` on."""
    import torch

    from symbolic.corpus.recordings.phrases import frame_loudness
    from symbolic.dsp.resampling import resample
    from symbolic.dsp.spectral_loss import spectral_loss

    first = max(0, round(start * RATE))
    cut = np.pad(sound, (0, max(0, first + len(recorded) - len(sound))))[first : first + len(recorded)]
    got, wanted = (resample(np.array(one, np.float64), RATE, 16000).astype(np.float32) for one in (cut, recorded))
    energy = [float((10 ** (frame_loudness(torch.from_numpy(one)[None]) / 10)).sum()) for one in (got, wanted)]
    got = got * np.float32(math.sqrt(energy[1] / max(energy[0], 1e-12)))
    levels = [_third_octaves(one) for one in (got, wanted)]
    loss = float(spectral_loss(torch.from_numpy(got)[None], torch.from_numpy(wanted)[None]))
    return loss, float(np.abs(levels[0] - levels[1]).mean())


def _third_octaves(sound: np.ndarray) -> np.ndarray:
    """Levels from 100 Hz to 8 kHz, none more than 60 dB under the whole."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / 16000)
    edges = 100 * 2 ** (np.arange(0, 20) / 3)
    return np.array(
        [10 * math.log10(power[(frequency >= a) & (frequency < b)].sum() + 1e-6 * power.sum()) for a, b in itertools.pairwise(edges)]
    )

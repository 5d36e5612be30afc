"""New bars return to a pitch at once as seldom as the seed does, and no habit of the seed's is taken from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

from symbolic.generation.continuation import continue_score
from symbolic.generation.restriking import COMMON, LAGS, LONGEST, UNKNOWN, Restrikes
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL
from symbolic.tokenizers.remi import RemiTokenizer

TOKENIZER = RemiTokenizer()


def by_definition(onsets: list[set[int]], pitch: int) -> float:
    """The leaning against `pitch` at the onset that comes: over both lags, how often pitches with as long a run returned."""

    def run(at: int, lag: int, of: int) -> int:
        """How often in a row, `lag` onsets apart, `of` stood, ending with onset `at`."""
        return 0 if at < 0 or of not in onsets[at] else 1 + run(at - lag, lag, of)

    total = 0.0
    for lag in LAGS:
        here, share = min(run(len(onsets) - lag, lag, pitch), LONGEST), COMMON
        for kind in range(1, here + 1):
            chances = [
                (at, of) for at in range(lag, len(onsets)) for of in onsets[at - lag] if min(run(at - lag, lag, of), LONGEST) == kind
            ]
            taken = sum(of in onsets[at] for at, of in chances)
            share = (taken + UNKNOWN * share) / (len(chances) + UNKNOWN)
        total += min(0.0, float(np.log(share / COMMON)))
    return total


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sets(st.integers(60, 63), min_size=1, max_size=3), min_size=1, max_size=20))
def test_leanings_equal_their_definition(onsets):
    """Notes one by one, chords and struck twice, of two instruments whose counts do not mix."""
    counts = Restrikes()
    for time, pitches in enumerate(onsets):
        for pitch in sorted(pitches):
            counts.add(5, time, pitch, counted=True)
            counts.add(5, time, pitch, counted=True)
        counts.add(6, time, 60, counted=True)
    found = counts.leaning(5, len(onsets))
    for pitch in range(60, 64):
        assert found.get(pitch, 0.0) == pytest.approx(by_definition(onsets, pitch))


def test_what_is_new_is_not_counted():
    """The seed decides: hammering in new bars does not make hammering common."""
    counts = Restrikes()
    for time in range(20):
        counts.add(0, time, 60 + time % 7, counted=True)
    before = counts.leaning(0, 20)[66 - 1]
    for time in range(20, 60):
        counts.add(0, time, 65, counted=False)
    assert counts.leaning(0, 60)[65] < 0
    assert before < 0


def hammering() -> TransformerXL:
    """A network that wants one pitch, and does not care about the rest."""
    torch.manual_seed(0)
    vocabulary = TOKENIZER.vocabulary
    config = make_config(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, memory_length=32,
        pad_token_id=None, bos_token_id=None, eos_token_id=None, initializer_range=0.02,
    )  # fmt: skip
    model = TransformerXL(config).eval()
    with torch.no_grad():
        model.head.bias[vocabulary.tokens.index("Pitch_67")] = 5.0
    return model


def line(pitches: list[int]) -> ScoreTick:
    """Eighths of a flute, one after another."""
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, 100))
    score.tracks.append(TrackTick("flute", 73, False))
    score.tracks[0].notes.extend([NoteTick(240 * n, 240, pitch, 80) for n, pitch in enumerate(pitches)])
    return score


def share_of_repeats(seed: ScoreTick, likeness: float) -> float:
    """How many notes of eight new bars have the pitch of the note before."""
    longer = continue_score(seed, bars=8, model=hammering(), tokenizer=TOKENIZER, likeness=likeness, constraints={"polyphony": 1})
    new = sorted((n.time, n.pitch) for track in longer.tracks for n in track.notes if n.time >= 64 * 240)
    return float(np.mean(np.diff([pitch for _, pitch in new]) == 0))


def test_a_seed_without_repeated_notes_is_not_hammered_on():
    """Behind a scale the same network repeats much less than when free; behind a drone it may."""
    scale = line([60 + step for step in (0, 2, 4, 5, 7, 9, 11, 12)] * 8)
    drone = line([67] * 64)
    free, bound, at_home = share_of_repeats(scale, 0), share_of_repeats(scale, 1), share_of_repeats(drone, 1)
    assert bound < free / 2
    assert at_home > 2 * bound

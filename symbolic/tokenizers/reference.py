"""MidiTok's own tokenizer with our settings: what the ids are by definition, and the way to its other tools.

Ours gives the same ids (`encoder.py`), many times faster; the tests compare the two. Notes of one onset stand there
in the file's order, here in one order (`order.py`).
"""

import sys
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.tokenizers.names import PROGRAMS
from symbolic.tokenizers.order import ordered_notes
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import Vocabulary


def miditok_remi(settings: TokenizerSettings) -> Any:
    """A `miditok.REMI` with the vocabulary of `settings`, every option that matters spelt out."""
    # MidiTok imports its torch datasets when torch is installed; we use none of them, and tokenizing must not load torch.
    blocked = "miditok.pytorch_data"
    if blocked not in sys.modules:
        sys.modules[blocked] = None  # type: ignore[assignment]
    from miditok import REMI, TokenizerConfig

    if sys.modules[blocked] is None:
        del sys.modules[blocked]  # whoever wants the datasets can import them

    edges = [0, *(beats for beats, _ in settings.duration_grid)]
    return REMI(
        TokenizerConfig(
            pitch_range=(0, 127),
            beat_res={(low, high): resolution for low, (high, resolution) in zip(edges, settings.duration_grid, strict=False)},
            num_velocities=settings.velocities,
            special_tokens=["PAD", "BOS", "EOS"],
            use_velocities=True,
            use_chords=False,
            use_rests=False,
            use_tempos=True,
            use_time_signatures=True,
            use_sustain_pedals=False,
            use_pitch_bends=False,
            use_programs=True,
            one_token_stream_for_programs=True,
            program_changes=False,
            programs=list(PROGRAMS),
            use_pitchdrum_tokens=True,
            drums_pitch_range=(0, 127),
            num_tempos=settings.tempos,
            tempo_range=settings.tempo_range,
            log_tempos=True,
            time_signature_range={denominator: list(range(1, top + 1)) for denominator, top in settings.meters.items()},
            remove_duplicated_notes=False,
            delete_equal_successive_tempo_changes=True,
            delete_equal_successive_time_sig_changes=True,
        )
    )


def miditok_ids(remi: Any, prepared: ScoreTick, vocabulary: Vocabulary) -> np.ndarray:
    """The ids MidiTok gives for a score that `RemiTokenizer.prepare` has completed, the notes of each onset in our order."""
    return ordered_notes(np.asarray(remi.encode(prepared, encode_ids=False).ids, dtype=np.uint16), vocabulary)

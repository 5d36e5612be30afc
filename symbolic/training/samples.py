"""What a model in training makes of the beginning of a held-out piece: RUN/samples/step-001000.mid and .png.

The piece, its first bars and the random seed are the same at every step, so that samples of one run can be compared by ear.
The random state of the training is not touched.
"""

from pathlib import Path

import torch

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.generation.continuation import continue_score
from symbolic.midi.pianoroll import plot_piano_roll
from symbolic.midi.reading import write
from symbolic.models.transformer_xl import TransformerXL
from symbolic.models.variants import variant

SEED_BARS, NEW_BARS = 4, 8
TRIES = 8


def write_sample(model: TransformerXL, corpus: Corpus, folder: Path, step: int) -> Path | None:
    """`NEW_BARS` bars after the first `SEED_BARS` of a held-out piece (or a training piece), into `folder`; gives the MIDI file.

    A piece that cannot be continued, such as one that begins with silence, makes room for the next; None when none of `TRIES` can.
    """
    network = variant(model).to("cpu") if model.device.type != "cpu" else model  # type: ignore[arg-type]  # the stub of `to` lost self
    network.eval()
    vocabulary, held_out = corpus.tokenizer.vocabulary, corpus.pieces("validation")
    for index in (held_out if len(held_out) else corpus.pieces("train"))[:TRIES].tolist():
        ids = corpus.piece(index)
        bars = (ids == vocabulary.bar).nonzero()[0]
        begins = ids[1 : bars[SEED_BARS] if len(bars) > SEED_BARS else len(ids) - 1]
        try:
            with torch.random.fork_rng(devices=[]):
                seed = corpus.tokenizer.decode(begins)
                if not seed.note_num():
                    continue
                longer = continue_score(seed, NEW_BARS, model=network, tokenizer=corpus.tokenizer, random_seed=0)
        except InputError:
            continue
        path = folder / f"step-{step:06d}.mid"
        end = next(marker.time for marker in longer.markers if marker.text.startswith("continuation: "))
        write(longer, path, True)
        title = f"step {step:,}: {corpus.rows['path'][index]}, continued"
        plot_piano_roll(longer, path.with_suffix(".png"), seed_end_ticks=end, title=title, force=True)
        return path
    return None

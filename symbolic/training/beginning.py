"""The network a run begins with: new, that of a checkpoint, or a trained model's to be fine-tuned; and the settings for the latter.

Fine-tuning keeps a model's shape and tokenizer. Its defaults are for 20 to 200 files on a CPU: a few hundred steps, a learning rate
well below that of training, a short rise and a long fall, all keys, and a stop when the held-out pieces gain no more.
"""

import dataclasses
from pathlib import Path
from typing import Any

from symbolic.corpus.dataset import Corpus
from symbolic.errors import InputError
from symbolic.generation.bundle import model_folder
from symbolic.models.configuration import make_config
from symbolic.models.transformer_xl import TransformerXL, load_weights
from symbolic.models.variants import FREE, variant
from symbolic.settings import load_settings, to_mapping
from symbolic.tokenizers.remi import RemiTokenizer
from symbolic.training.settings import ModelSettings, TrainingSettings

VISITS = 8
"""How often each training piece is heard when fine-tuning, each time in another key, within `FEWEST_STEPS` and `MOST_STEPS`."""
FEWEST_STEPS, MOST_STEPS = 100, 400


def settings_for(corpus: Corpus, path: str | Path | None, from_model: str | None) -> TrainingSettings:
    """The settings of a new run: the YAML at `path` over the defaults; with a model here or there the defaults are those of fine-tuning."""
    settings = load_settings(TrainingSettings, path)
    source = from_model or settings.from_model
    if source is None:
        return settings
    settings = load_settings(TrainingSettings, path, fine_tuning_settings(corpus, source))
    return settings if from_model is None else dataclasses.replace(settings, from_model=from_model)


def fine_tuning_settings(corpus: Corpus, model: str | Path, **changes: Any) -> TrainingSettings:
    """What to fine-tune `model` (a bundled name, a folder, a run) with on a dataset of this size, with `changes` by name."""
    config = load_weights(model_folder(model)).config
    shape = {name: getattr(config, name) for name in to_mapping(ModelSettings())}
    lanes, segment_length = 8, 256
    tokens = int(corpus.lengths()[corpus.pieces("train")].sum())
    steps = min(max(round(VISITS * tokens / (lanes * segment_length)), FEWEST_STEPS), MOST_STEPS)
    every = max(1, steps // 10)
    fields: dict[str, Any] = {
        "model": ModelSettings(**shape | {"dropout": 0.1}), "from_model": str(model), "steps": steps, "lanes": lanes,
        "segment_length": segment_length, "learning_rate": 0.0005, "warmup_steps": steps // 20, "decay_share": 0.7,
        "checkpoint_every": every, "evaluate_every": every, "patience": 3, "sample_every": 5 * every,
    }  # fmt: skip
    return TrainingSettings(**fields | changes)


def first_network(corpus: Corpus, settings: TrainingSettings, checkpoint: Path | None) -> TransformerXL:
    """The network to train on from, in training mode.

    Raises `InputError` when a saved one does not go with the dataset's tokenizer or the settings, naming what differs.
    """
    if checkpoint:
        return _kept(checkpoint, str(checkpoint), corpus, settings, "a resumed run keeps its model", ()).train()
    if settings.from_model is None:
        return TransformerXL(_config(corpus, settings))
    if settings.patience and len(corpus.pieces("validation")) < 2:
        held_out = len(corpus.pieces("validation"))
        raise InputError(
            f"{corpus.folder}: {held_out} pieces are held out for validation, and at least 2 are needed to know when to stop; "
            "tokenize again with --held-out 0.2, or set patience: 0 in the settings"
        )
    rule = f"a run that starts from a model keeps its shape, only {' and '.join(FREE)} may change"
    source = _kept(model_folder(settings.from_model), settings.from_model, corpus, settings, rule, FREE)
    return variant(source, memory_length=settings.model.memory_length, dropout=settings.model.dropout).train()


def _kept(folder: Path, name: str, corpus: Corpus, settings: TrainingSettings, rule: str, free: tuple[str, ...]) -> TransformerXL:
    corpus.require_tokenizer(RemiTokenizer.load(folder), name)
    model, tokens = load_weights(folder), len(corpus.tokenizer.vocabulary)
    if model.config.vocab_size != tokens:
        raise InputError(f"{name}: the model knows {model.config.vocab_size} tokens, its tokenizer {tokens}; they do not belong together")
    wanted = [(key, value) for key, value in to_mapping(settings.model).items() if key not in free]
    different = [f"{key} is {getattr(model.config, key)}, not {value}" for key, value in wanted if getattr(model.config, key) != value]
    if different:
        raise InputError(f"{name}: the saved model's {', '.join(different)}; {rule}")
    return model


def _config(corpus: Corpus, settings: TrainingSettings) -> Any:
    vocabulary = corpus.tokenizer.vocabulary
    return make_config(
        vocab_size=len(vocabulary), beats_per_bar=vocabulary.max_beats, positions_per_beat=vocabulary.positions_per_beat,
        pad_token_id=vocabulary.pad, bos_token_id=vocabulary.bos, eos_token_id=vocabulary.eos, **to_mapping(settings.model),
    )  # fmt: skip

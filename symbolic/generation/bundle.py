"""Finding a model and its tokenizer by name or folder. The bundled ones need no network."""

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from symbolic.errors import InputError
from symbolic.models.loading import load_network
from symbolic.models.network import Network
from symbolic.tokenizers.remi import RemiTokenizer

DEFAULT_MODEL = "small"


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(entry.name for entry in _bundle().iterdir() if (entry / "model.safetensors").is_file())


def model_folder(name: str | Path | None = None) -> Path:
    """The folder of a bundled model's name, or of a path. Raises `InputError` that lists the choices."""
    name = DEFAULT_MODEL if name is None else name
    if str(name) in bundled_models():
        return _bundle() / str(name)
    path = Path(name)
    if (path / "config.json").is_file():
        return path
    for inside in ("best", "last"):
        if (path / inside / "config.json").is_file():
            return path / inside
    raise InputError(
        f"{name}: no bundled model of this name ({', '.join(bundled_models()) or 'none'}), and no folder with a config.json in it"
    )


def load_model(name: str | Path | None = None) -> Any:
    """A bundled model by name (the default without one), or a model saved in a folder, as a `TransformerXL` of transformers."""
    from symbolic.models.transformer_xl import load_weights

    return load_weights(model_folder(name))


def loaded_network(name: str | Path | None = None) -> Network:
    """The same as a bare `Network`, which loads in a fraction of the time; kept for the next call."""
    return _loaded(model_folder(name))


def given_model(model: "Network | str | Path | None", tokenizer: RemiTokenizer | None) -> tuple[str, Network, RemiTokenizer]:
    """What is called so, for messages; the network; and its tokenizer. `model` is a loaded one (then `tokenizer` is its own, without
    one the bundled), a bundled name or a folder. Raises `InputError` when the two do not belong together.
    """
    name = DEFAULT_MODEL if model is None else "given" if isinstance(model, Network) else str(model)
    network = model if isinstance(model, Network) else loaded_network(model)
    tokenizer = tokenizer or load_tokenizer(None if isinstance(model, Network) else model)
    if network.config.vocab_size != len(tokenizer.vocabulary):
        known = f"it knows {network.config.vocab_size} tokens, the tokenizer {len(tokenizer.vocabulary)}"
        raise InputError(f"model {name}: {known}; give the model's own tokenizer")
    return name, network, tokenizer


def load_tokenizer(name: str | Path | None = None) -> RemiTokenizer:
    """The tokenizer of a bundled model or of a folder."""
    return RemiTokenizer.load(model_folder(name))


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> Network:
    return load_network(folder)


def _bundle() -> Path:
    return Path(str(resources.files("symbolic.pretrained")))

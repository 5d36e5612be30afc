"""Continue any score, train on yours, hear it: language models of symbolic music.

The same verbs as the command line, as functions. Each loads what it needs when it is first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "read": "symbolic.midi.reading",
    "write": "symbolic.midi.reading",
    "load_seed": "symbolic.midi.seeds",
    "load_tokenizer": "symbolic.generation.bundle",
    "load_model": "symbolic.generation.bundle",
    "continue_score": "symbolic.generation.continuation",
    "continue_takes": "symbolic.generation.continuation",
    "fill": "symbolic.generation.middle",
    "accompany": "symbolic.generation.middle",
    "harmonise": "symbolic.generation.middle",
    "vary": "symbolic.generation.middle",
    "Session": "symbolic.generation.session",
    "Constraints": "symbolic.generation.constraints",
    "render": "symbolic.rendering",
    "render_file": "symbolic.rendering",
    "transfer": "symbolic.rendering.transfer",
    "transfer_file": "symbolic.rendering.transfer",
    "TransferStream": "symbolic.rendering.transfer",
    "blend_files": "symbolic.rendering.blending",
    "enhanced_to": "symbolic.rendering.enhancing",
    "enhance_file": "symbolic.rendering.enhancing",
    "plot_piano_roll": "symbolic.midi.pianoroll",
    "tokenize_folder": "symbolic.corpus.tokenizing",
    "train": "symbolic.training.loop",
    "evaluate": "symbolic.training.evaluation",
    "inspect": "symbolic.corpus.inspection",
    "InputError": "symbolic.errors",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'symbolic' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

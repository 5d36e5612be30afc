"""Which measured drum kit plays a program of channel 10: the table `pretrained/voices/kits.yaml`, read and checked; and the kits, loaded.

A kit such as the brushes holds only the keys that sound unlike the standard kit's; the others are the standard kit's.
"""

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from symbolic.errors import InputError
from symbolic.models.voices.bundled import bundled_kits, voice_folder
from symbolic.models.voices.drums import DrumKit, load_kit
from symbolic.rendering.drums import CHOKES
from symbolic.rendering.programs import SYNTHESIZER

STANDARD = 0


@dataclass(frozen=True)
class KitProgram:
    """`kits` are names of measured kits, each playing the keys that those before it have not; none: the synthesizer plays. A stroke on
    one of the keys of a group of `chokes` stops what rings of the others."""

    name: str
    kits: tuple[str, ...]
    chokes: tuple[tuple[int, ...], ...] = CHOKES


def kit_program(program: int) -> KitProgram:
    """What a program of channel 10, 0 … 127, is played by; the standard kit where the table does not name it.

    Raises `InputError` for a table that is none.
    """
    return _programs().get(program, _programs()[STANDARD])


def kit_of(program: int) -> DrumKit | None:
    """The measured kit of a program on channel 10, or None where the synthesizer plays it, or no kit comes with the package."""
    names = tuple(name for name in kit_program(program).kits if name in bundled_kits())
    return drum_kit(names) if names else None


@functools.cache
def drum_kit(names: tuple[str, ...]) -> DrumKit:
    """Bundled kits as one, loaded once: of each key the hits of the first that has it."""
    kit = load_kit(voice_folder(names[0]))
    return kit if len(names) == 1 else kit.over(drum_kit(names[1:]))


@functools.cache
def _programs() -> dict[int, KitProgram]:
    import yaml

    path = Path(str(resources.files("symbolic.pretrained"))) / "voices" / "kits.yaml"
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error}); install the package again") from error
    if not isinstance(table, dict) or STANDARD not in table:
        raise InputError(f"{path}: an entry for program {STANDARD} is wanted; install the package again")
    found: dict[int, KitProgram] = {}
    for first, entry in table.items():
        try:
            kit = _kit_program(**entry)
            found |= dict.fromkeys(range(first, entry.get("to", first) + 1), kit)
        except TypeError as error:
            raise InputError(f"{path}: program {first}: {error}") from error
    return found


def _kit_program(name: str, kit: Any, to: int = 0, chokes: Any = CHOKES) -> KitProgram:
    """An entry of the table."""
    return KitProgram(name, () if kit == SYNTHESIZER else tuple(kit), tuple(tuple(group) for group in chokes))

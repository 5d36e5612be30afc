"""Settings from YAML into dataclasses: one place holds the defaults, and an unknown key is refused with the nearest name."""

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from symbolic.errors import InputError

Settings = TypeVar("Settings")


def load_settings(kind: type[Settings], path: str | Path | None, defaults: Settings | None = None) -> Settings:
    """A `kind` (a dataclass, possibly nested) with what the YAML file at `path` says; the rest from `defaults`, or from the class.

    Raises `InputError` that names file, key, value and the wanted type.
    """
    if path is None:
        return kind() if defaults is None else defaults
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such settings file; shipped ones are in configs/")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from error
    return from_mapping(kind, {} if content is None else content, str(path), defaults)


def from_mapping(kind: type[Settings], content: Any, where: str, defaults: Settings | None = None) -> Settings:
    """The same from a mapping; `where` is how messages name its place."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: names with values are wanted here, this is {content!r}")
    hints = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for key, value in content.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(hints)}"
            raise InputError(f"{where}: the setting {key!r} is unknown; {hint}")
        given[key] = _converted(hints[key], value, f"{where}: {key}", getattr(defaults, key, None))
    try:
        return kind(**given) if defaults is None else dataclasses.replace(typing.cast("Any", defaults), **given)
    except (TypeError, InputError) as error:  # a setting without default that is missing, or values that do not fit together
        raise InputError(f"{where}: {error}") from error


def to_mapping(settings: Any) -> dict[str, Any]:
    """The settings as plain lists, numbers and strings, to be written as YAML or JSON."""
    return typing.cast("dict[str, Any]", _plain(dataclasses.asdict(settings)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _converted(wanted: Any, value: Any, where: str, default: Any = None) -> Any:
    """`value` as the type `wanted`: a YAML list becomes a tuple, a whole number a float; anything else is refused, never guessed."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return value
    if dataclasses.is_dataclass(wanted):
        return from_mapping(typing.cast("type[Any]", wanted), value, where, default)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in parts:
            return None
        return _converted(next(part for part in parts if part is not types.NoneType), value, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [parts[0]] * len(value) if parts[1:] == (Ellipsis,) else list(parts)
        if len(kinds) != len(value):
            raise InputError(f"{where} is {value!r}, {len(kinds)} values are wanted")
        return tuple(_converted(part, item, where) for part, item in zip(kinds, value, strict=True))
    if origin is list and isinstance(value, list):
        return [_converted(parts[0], item, where) for item in value]
    if origin is dict and isinstance(value, dict):
        return {_converted(parts[0], key, where): _converted(parts[1], item, f"{where}: {key}") for key, item in value.items()}
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin or wanted) or origin or (isinstance(value, bool) and wanted is not bool):
        hint = " (YAML reads 1e-3 as text: write 0.001 or 1.0e-3)" if wanted is float and _is_number(value) else ""
        raise InputError(f"{where} is {value!r}, {_WORDS.get(origin or wanted, wanted)} is wanted{hint}")
    return value


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list",
    list: "a list",
    dict: "a mapping of names to values",
}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)

"""Settings are read from YAML as what they are said to be, or refused with file, key, value and what is wanted."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from symbolic.errors import InputError
from symbolic.settings import from_mapping, load_settings, to_mapping
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.training.settings import TrainingSettings

CONFIGS = sorted(p for p in (Path(__file__).parents[1] / "configs").glob("*.yaml") if not p.name.startswith("tokenizer-"))


@dataclass(frozen=True)
class Bow:
    hairs: int = 150
    rosin: str = "dark"


@dataclass(frozen=True)
class Violin:
    bow: Bow = field(default_factory=Bow)
    strings: int = 4
    tension: float = 4.9
    muted: bool = False
    maker: str | None = None
    tuning: tuple[int, ...] = (55, 62, 69, 76)
    bout: tuple[float, float] = (16.8, 20.8)
    names: list[str] = field(default_factory=list)
    prices: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Needy:
    size: int


def settings_of(text: str, folder: Path) -> Violin:
    (folder / "violin.yaml").write_text(text, encoding="utf-8")
    return load_settings(Violin, folder / "violin.yaml")


def refused(text: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        settings_of(text, folder)
    assert str(caught.value).startswith(f"{folder / 'violin.yaml'}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_said_counts_and_the_rest_is_the_default(tmp_path: Path):
    """Given values replace defaults, nested too, each as the type it is said to be."""
    text = """
bow: {rosin: light}
tension: 5
muted: true
maker: Stradivarius è
tuning: [55, 62]
bout: [16, 20.5]
names: [a, b]
prices: {1: 2, 3: 4.5}
"""
    expected = Violin(Bow(rosin="light"), 4, 5.0, True, "Stradivarius è", (55, 62), (16.0, 20.5), ["a", "b"], {1: 2.0, 3: 4.5})
    loaded = settings_of(text, tmp_path)
    assert loaded == expected
    assert [type(loaded.tension), type(loaded.bout[0]), type(loaded.prices[1])] == [float, float, float]


@pytest.mark.parametrize("text", ["", "# only a remark\n", "---\n"])
def test_an_empty_file_and_no_file_are_the_defaults(text: str, tmp_path: Path):
    """Nothing said is the defaults."""
    assert settings_of(text, tmp_path) == load_settings(Violin, None) == Violin()


def test_none_is_allowed_only_where_it_is_said(tmp_path: Path):
    """An optional setting takes null and its type; others do not take null."""
    assert settings_of("maker: null", tmp_path).maker is None
    assert "maker is 3" in refused("maker: 3", tmp_path)
    assert "strings is None" in refused("strings:", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("string: 5", "did you mean 'strings'?"),
        ("bow: {hair: 100}", "bow: the setting 'hair' is unknown; did you mean 'hairs'?"),
        ("colour: red", "known are bow, strings, tension"),
        ("7: red", "the setting 7 is unknown"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(text: str, said: str, tmp_path: Path):
    """A mistyped key names the one that was meant; a far-off one gets the list."""
    assert said in refused(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strings: four", "strings is 'four', a whole number is wanted"),
        ("strings: 4.0", "strings is 4.0, a whole number is wanted"),
        ("strings: true", "strings is True, a whole number is wanted"),
        ("strings: '4'", "strings is '4', a whole number is wanted"),
        ("tension: true", "tension is True, a number is wanted"),
        ("tension: tight", "tension is 'tight', a number is wanted"),
        ("muted: 1", "muted is 1, true or false is wanted"),
        ("bow: 3", "bow: names with values are wanted here, this is 3"),
        ("bow: {hairs: [1]}", "bow: hairs is [1], a whole number is wanted"),
        ("tuning: 55", "tuning is 55, a list is wanted"),
        ("tuning: abcd", "tuning is 'abcd', a list is wanted"),
        ("tuning: [55, x]", "tuning is 'x', a whole number is wanted"),
        ("bout: [1, 2, 3]", "bout is [1, 2, 3], 2 values are wanted"),
        ("bout: []", "bout is [], 2 values are wanted"),
        ("names: x", "names is 'x', a list is wanted"),
        ("prices: [1]", "prices is [1], a mapping of names to values is wanted"),
        ("prices: {a: 1}", "prices is 'a', a whole number is wanted"),
        ("- strings", "names with values are wanted here"),
        ("strings", "names with values are wanted here, this is 'strings'"),
        ("0", "names with values are wanted here, this is 0"),
    ],
)
def test_a_wrong_type_is_refused_with_key_value_and_what_is_wanted(text: str, said: str, tmp_path: Path):
    """No value is turned into another type by guessing, but a whole number into a number and a list into a tuple."""
    assert said in refused(text, tmp_path)


def test_a_number_that_yaml_reads_as_text_is_explained(tmp_path: Path):
    """`1e-3` is text to YAML: the refusal says so and how to write it; text that is no number gets no such hint."""
    assert "YAML reads 1e-3 as text: write 0.001" in refused("tension: 1e-3", tmp_path)
    assert "YAML" not in refused("tension: tight", tmp_path).removeprefix(str(tmp_path))
    assert settings_of("tension: 1.0e-3", tmp_path).tension == 0.001


@pytest.mark.parametrize(
    "text", ["bow: [1, 2", "a: b: c", "\tstrings: 4", "strings: 4\n  tension: 3", "&a *a", "!!python/object:os.system x"]
)
def test_broken_yaml_is_refused_in_one_line(text: str, tmp_path: Path):
    """YAML that cannot be parsed, or asks for Python objects, is told with its place in one line."""
    assert "not readable as YAML" in refused(text, tmp_path)


def test_files_that_are_no_text_or_not_there_are_refused(tmp_path: Path):
    """Bytes that are no UTF-8, a missing file and a folder are named."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("bytes.yaml", "not readable as YAML"), ("missing.yaml", "no such settings file"), ("", "no such settings file")):
        with pytest.raises(InputError, match=reason) as caught:
            load_settings(Violin, tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_a_missing_setting_without_default_and_values_that_do_not_fit_are_told():
    """What a dataclass itself refuses keeps the place: a missing value, and values that contradict each other."""
    with pytest.raises(InputError, match=r"^run\.yaml: .*size"):
        from_mapping(Needy, {}, "run.yaml")
    with pytest.raises(InputError, match=r"^run\.yaml: duration_grid .* positions_per_beat"):
        from_mapping(TokenizerSettings, {"positions_per_beat": 24}, "run.yaml")


def test_settings_written_and_read_are_the_same(tmp_path: Path):
    """`to_mapping` gives what YAML can hold, and reading it gives the settings."""
    for given in (Violin(Bow(1), tuning=(1,), prices={2: 3.0}), TokenizerSettings(velocities=8, meters={8: 6}), TrainingSettings(steps=7)):
        path = tmp_path / "written.yaml"
        path.write_text(yaml.safe_dump(to_mapping(given)))
        assert load_settings(type(given), path) == given


def test_there_are_configs_to_check():
    """The folder of runs that the project stands behind is found."""
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads(path: Path):
    """Each file under configs/ is a valid training run, says something, and opens with its command."""
    assert load_settings(TrainingSettings, path) != TrainingSettings()
    assert "symbolic train" in "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))

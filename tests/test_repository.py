"""The project is as its documents say: the tree, the packages, the shipped settings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_readme_tree_is_the_tree():
    """Every file and folder named in the README's tree exists, and every module of the package stands in it."""
    block = re.search(r"```text\n(symbolic/\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    named: list[str] = []
    folders: list[str] = []
    for line in block.group(1).splitlines():
        entry = re.fullmatch(r"( *)(\S+)(  +\S.*)?", line)
        assert entry, line
        folders = folders[: len(entry[1]) // 2]
        named.append("".join(folders) + entry[2].rstrip("/"))
        if entry[2].endswith("/"):
            folders.append(entry[2])
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert missing == []
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "symbolic").rglob("*.py") if p.name != "__init__.py"}
    assert sorted(modules - set(named)) == []


def test_our_tokenizers_do_not_shadow_hugging_faces():
    """`import tokenizers` is Hugging Face's package, also from the project's folder."""
    code = "import tokenizers, symbolic.tokenizers.remi; print(tokenizers.__file__); assert hasattr(tokenizers, 'AddedToken')"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "site-packages" in out


PUBLIC = (
    "read write load_seed load_tokenizer load_model continue_score continue_takes Constraints render render_file plot_piano_roll "
    "tokenize_folder train evaluate inspect InputError"
)


@pytest.mark.parametrize("name", PUBLIC.split())
def test_public_names_are_there(name):
    """Each name of the public interface is found in the package."""
    import symbolic

    assert callable(getattr(symbolic, name))


def test_an_unknown_public_name_lists_the_choices():
    """A mistyped name of the package says which there are."""
    import symbolic

    with pytest.raises(AttributeError, match="continue_score"):
        _ = symbolic.continue_scores

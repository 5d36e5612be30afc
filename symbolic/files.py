"""Writing files so that a killed run, or a full disk, leaves nothing half written.

An output goes to a temporary name in the same folder and is renamed when it is complete.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from symbolic.errors import InputError


def refuse_existing(path: Path, force: bool) -> None:
    """Raise `InputError` when `path` exists and `force` was not asked for; checked before long work starts."""
    with _explained(path):
        exists = path.exists()
    if exists and not force:
        raise InputError(f"{path}: this output exists already; choose another name or add --force to replace it")


@contextlib.contextmanager
def new_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, on any failure it is removed.

    The temporary name keeps the suffix of `path`, because libraries choose the format by it.
    Raises `InputError` when `path` exists (unless `force`), cannot be written, or the disk is full.
    """
    path = Path(path)
    refuse_existing(path, force)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _explained(path):
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path, force: bool = False) -> Iterator[Path]:
    """The same as `new_file` for a folder of outputs; with `force` what stands there is replaced at the end, as a whole."""
    path = Path(path)
    refuse_existing(path, force)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=path.parent))
    try:
        with _explained(path):
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            replaced = Path(f"{temporary}-replaced")
            if path.exists() or path.is_symlink():
                path.replace(replaced)
            temporary.replace(path)
            if replaced.is_dir() and not replaced.is_symlink():
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                replaced.unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{path}: the disk is full, nothing was written; free some space or choose another folder") from error
        other = error.filename if error.filename and ".partial-" not in str(error.filename) and str(error.filename) != str(path) else None
        reason = f"{error.strerror or error}: {other}" if other else error.strerror or error
        raise InputError(f"{path}: cannot be written ({reason}); choose another place with -o") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

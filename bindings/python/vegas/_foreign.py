"""Finds other distributions that have a top-level package vegas, as PyPI's own one has."""

import os
import sys
import warnings
from typing import Iterator, List, Tuple

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def warn() -> None:
    """Warns of each, in the name of who imports vegas. It is for those who turn warnings
    into errors to say whether this one shall be one, too."""
    for folder, name in _foreign(sys.path):
        if _is_ours(folder):
            where = "whose files lie in the same folder as libvegas', so that one has overwritten the other's"
            remedy = (
                f"`pip uninstall {name}`, then install the wheel of vegas again (`pip install --force-reinstall --no-deps` and "
                "the wheel's file); a program that needs both wants an environment for each"
            )
        else:
            where = f"in {folder}, and is what `import vegas` finds where that folder comes first on sys.path"
            remedy = f"`pip uninstall {name}` there, or use an environment without it"
        warnings.warn(
            f"the distribution {name} installs a foreign package vegas, {where}: {remedy}",
            RuntimeWarning,
            stacklevel=3,
        )


def _is_ours(folder: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(_HERE)


def _foreign(path: List[str]) -> Iterator[Tuple[str, str]]:
    """Folder and name of each. importlib.metadata knows them as well, but is slow to load.
    What distributions say that they have installed is read only where there is a vegas
    that is not ours, for there may be hundreds, on a slow file system."""
    seen = set()
    for folder in path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue  # a zip, or not there
        infos = [entry for entry in entries if entry.endswith((".dist-info", ".egg-info"))]
        strange = "vegas.py" in entries or "vegas" in entries and (not _is_ours(folder) or _has_strangers(folder, infos))
        for info in infos:
            name = os.path.splitext(info)[0].split("-")[0]
            known = name.lower()
            if known == "libvegas" or known in seen:
                continue
            if known == "vegas" or strange and _has_vegas(os.path.join(folder, info)):
                seen.add(known)
                yield folder or ".", name.replace("_", "-")


def _has_strangers(folder: str, infos: List[str]) -> bool:
    """Whether our folder has files that are not ours, as far as we know our own."""
    ours = [_read(folder, info, "RECORD") for info in infos if info.startswith("libvegas-")]
    if not any(ours):
        return False  # no installation, but the sources
    names = {line.split(b",")[0].split(b"/")[1] for line in b"".join(ours).splitlines() if line.startswith(b"vegas/")}
    return any(os.fsencode(f) not in names for f in os.listdir(os.path.join(folder, "vegas")) if f != "__pycache__")


def _has_vegas(info: str) -> bool:
    """Whether what a distribution says of itself has a top-level vegas."""
    lines = _read(info, "top_level.txt")
    if lines:
        return b"vegas" in lines.split()
    record = b"\n" + (_read(info, "RECORD") or _read(info, "SOURCES.txt"))
    return b"\nvegas/" in record or b"\nvegas.py," in record


def _read(*path: str) -> bytes:
    try:
        with open(os.path.join(*path), "rb") as f:
            return f.read()
    except OSError:
        return b""

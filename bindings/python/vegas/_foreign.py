"""Finds other distributions that have a top-level package vegas, as PyPI's own one has."""

import os
import sys
import warnings
from typing import Iterator, List, Tuple

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def warn() -> None:
    """Warns of each, in the name of who imports vegas."""
    for folder, name in _foreign(sys.path):
        if os.path.realpath(folder) == os.path.realpath(_HERE):
            where = "whose files lie in the same folder as libvegas', so that one has overwritten the other's"
            remedy = (
                f"`pip uninstall {name}`, then `pip install --force-reinstall --no-deps libvegas`; "
                "a program that needs both wants an environment for each"
            )
        else:
            where = f"in {folder}, and is what `import vegas` finds where that folder comes first on sys.path"
            remedy = f"`pip uninstall {name}` there, or use an environment without it"
        warnings.warn(
            f"the distribution {name} installs a foreign package vegas, {where}: {remedy}",
            RuntimeWarning,
            stacklevel=3,
        )


def _foreign(path: List[str]) -> Iterator[Tuple[str, str]]:
    """Folder and name of each. importlib.metadata knows them as well, but is slow to load."""
    seen = set()
    for folder in path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue  # a zip, or not there
        for entry in entries:
            stem, kind = os.path.splitext(entry)
            if kind not in (".dist-info", ".egg-info"):
                continue
            name = stem.split("-")[0]
            known = name.lower()
            if known != "libvegas" and known not in seen and (known == "vegas" or _has_vegas(os.path.join(folder, entry))):
                seen.add(known)
                yield folder or ".", name.replace("_", "-")


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

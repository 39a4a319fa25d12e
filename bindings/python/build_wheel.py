#!/usr/bin/env python3
"""Builds the wheel: the package and the engine's binary for one platform.

    python build_wheel.py --engine .cache/engine/vegas-engine --platform linux-amd64
    python build_wheel.py --sdist

The second one makes the source distribution, which has no engine. It is
also the build backend of pyproject.toml (PEP 517), which takes the engine that
VEGAS_ENGINE names, or the one of `make engine`, for this machine. The same input
makes the same bytes.
"""

import argparse
import base64
import gzip
import hashlib
import io
import os
import platform
import re
import sys
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The engine for Linux is static and so serves musl, too. Go's programs want macOS 12.
PLATFORMS = {
    "linux-amd64": "manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux-arm64": "manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin-amd64": "macosx_12_0_x86_64",
    "darwin-arm64": "macosx_12_0_arm64",
    "windows-amd64": "win_amd64",
}

METADATA = """\
Metadata-Version: 2.4
Name: libvegas
Version: {version}
Summary: Send to and receive from Amazon Kinesis Data Streams, in order, without losing anything
Author: The vegas authors
Home-page: https://github.com/libvegas/vegas
Project-URL: Source, https://github.com/libvegas/vegas
Project-URL: Documentation, https://github.com/libvegas/vegas/blob/main/docs/python.md
Project-URL: Changelog, https://github.com/libvegas/vegas/blob/main/CHANGELOG.md
License-Expression: Apache-2.0
License-File: LICENSE
{more}Requires-Python: >=3.9
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Keywords: kinesis,aws,stream,kpl,kcl
Description-Content-Type: text/markdown

{readme}"""

# Licences of those whose code is linked into the engine.
NOTICES = "THIRD-PARTY-NOTICES.txt"

_WHEN, _SECONDS = (1980, 1, 1, 0, 0, 0), 315532800


def version():
    with open(os.path.join(HERE, "vegas", "_engine.py")) as f:
        return re.search(r'^VERSION = "(.*)"', f.read(), re.M).group(1)


def build(engine, target, out, notices=None):
    """Writes the wheel into a folder and returns its file name."""
    v = version()
    info, tags = f"libvegas-{v}.dist-info", PLATFORMS[target]
    files = {f"vegas/{n}": data for n, data in _modules()}
    binary = "vegas/_bin/vegas-engine" + (".exe" if target.startswith("windows") else "")
    files[binary] = _read(engine)
    files[f"{info}/licenses/LICENSE"] = _license()
    if notices:
        files[f"{info}/licenses/{NOTICES}"] = _read(notices)
    files[f"{info}/METADATA"] = _metadata(f"License-File: {NOTICES}\n" if notices else "")
    tag_lines = "".join(f"Tag: py3-none-{t}\n" for t in tags.split("."))
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: libvegas\nRoot-Is-Purelib: false\n{tag_lines}".encode()
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()

    name = f"libvegas-{v}-py3-none-{tags}.whl"
    os.makedirs(out, exist_ok=True)
    with zipfile.ZipFile(os.path.join(out, name), "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where it is made on Windows: modes count
            entry.external_attr = (0o100755 if path == binary else 0o100644) << 16
            z.writestr(entry, data)
    return name


def build_source(out):
    """Writes the source distribution into a folder and returns its file name."""
    name = f"libvegas-{version()}"
    files = {n: _read(HERE, n) for n in ("pyproject.toml", "build_wheel.py", "README.md")}
    files.update((f"vegas/{n}", data) for n, data in _modules())
    files["LICENSE"] = _license()
    files["PKG-INFO"] = _metadata()
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, name + ".tar.gz"), "wb") as f, gzip.GzipFile("", "wb", mtime=0, fileobj=f) as z:
        with tarfile.open(fileobj=z, mode="w", format=tarfile.PAX_FORMAT) as t:
            for path, data in sorted(files.items()):
                entry = tarfile.TarInfo(f"{name}/{path}")
                entry.size, entry.mtime = len(data), _SECONDS
                t.addfile(entry, io.BytesIO(data))
    return name + ".tar.gz"


def _modules():
    names = sorted(n for n in os.listdir(os.path.join(HERE, "vegas")) if n.endswith((".py", ".typed")))
    return [(n, _read(HERE, "vegas", n)) for n in names]


def _metadata(more=""):
    return METADATA.format(version=version(), more=more, readme=_read(HERE, "README.md").decode()).encode()


def _license():
    """The repository's, which a source distribution has beside this file."""
    own = os.path.join(HERE, "LICENSE")
    return _read(own) if os.path.exists(own) else _read(ROOT, "LICENSE")


def _read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def _digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def here():
    """The platform of this machine."""
    machine = platform.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{sys.platform.replace('win32', 'windows')}-{machine}"


# What a front end calls.


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    engine = os.environ.get("VEGAS_ENGINE") or os.path.join(ROOT, ".cache", "engine", "vegas-engine")
    if here() not in PLATFORMS:
        raise SystemExit(f"there is no wheel of libvegas for {here()}: it runs on {', '.join(PLATFORMS)}")
    if not os.path.exists(engine):
        raise SystemExit(
            f"there is no engine at {engine}, and a source distribution brings none along: install a wheel (a newer pip finds it), "
            "or build cmd/vegas/vegas-engine of https://github.com/libvegas/vegas by Go and name it by VEGAS_ENGINE"
        )
    return build(engine, here(), wheel_directory)


def build_sdist(sdist_directory, config_settings=None):
    return build_source(sdist_directory)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--engine", help="the binary to put in")
    what.add_argument("--sdist", action="store_true", help="make the source distribution")
    p.add_argument("--platform", choices=sorted(PLATFORMS), default=here(), help="of the binary (default: this machine's)")
    p.add_argument("--notices", help="file with the licences of what the binary is linked with, to put in")
    p.add_argument("--out", default="dist", help="folder for what is made (default: dist)")
    a = p.parse_args()
    print(os.path.join(a.out, build_source(a.out) if a.sdist else build(a.engine, a.platform, a.out, a.notices)))

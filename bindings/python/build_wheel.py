#!/usr/bin/env python3
"""Builds the wheel: the package and the engine's binary for one platform.

    python build_wheel.py --engine .cache/engine/vegas-engine --platform linux-amd64

It is also the build backend of pyproject.toml (PEP 517), which takes the engine
that VEGAS_ENGINE names, or the one of `make engine`, for this machine. The same
input makes the same bytes.
"""

import argparse
import base64
import hashlib
import os
import platform
import re
import sys
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The engine for Linux is static and so serves musl, too.
PLATFORMS = {
    "linux-amd64": "manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux-arm64": "manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin-amd64": "macosx_11_0_x86_64",
    "darwin-arm64": "macosx_11_0_arm64",
    "windows-amd64": "win_amd64",
}

METADATA = """\
Metadata-Version: 2.1
Name: libvegas
Version: {version}
Summary: Send to and receive from Amazon Kinesis Data Streams, in order, without losing anything
Home-page: https://github.com/libvegas/vegas
License: Apache-2.0
License-File: LICENSE
Requires-Python: >=3.9
Classifier: License :: OSI Approved :: Apache Software License
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Keywords: kinesis aws stream kpl kcl
Description-Content-Type: text/markdown

{readme}"""

_WHEN = (1980, 1, 1, 0, 0, 0)


def version():
    with open(os.path.join(HERE, "vegas", "_engine.py")) as f:
        return re.search(r'^VERSION = "(.*)"', f.read(), re.M).group(1)


def build(engine, target, out):
    """Writes the wheel into a folder and returns its file name."""
    v = version()
    info, tags = f"libvegas-{v}.dist-info", PLATFORMS[target]
    files = {f"vegas/{n}": _read(HERE, "vegas", n) for n in sorted(os.listdir(os.path.join(HERE, "vegas"))) if n.endswith((".py", ".typed"))}
    binary = "vegas/_bin/vegas-engine" + (".exe" if target.startswith("windows") else "")
    files[binary] = _read(engine)
    files[f"{info}/LICENSE"] = _read(ROOT, "LICENSE")
    files[f"{info}/METADATA"] = METADATA.format(version=v, readme=_read(HERE, "README.md").decode()).encode()
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
            entry.external_attr = (0o100755 if path == binary else 0o100644) << 16
            z.writestr(entry, data)
    return name


def _read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def _digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def here():
    """The platform of this machine."""
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
    return f"{sys.platform.replace('win32', 'windows')}-{machine}"


# What a front end calls.


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    engine = os.environ.get("VEGAS_ENGINE") or os.path.join(ROOT, ".cache", "engine", "vegas-engine")
    if not os.path.exists(engine):
        raise SystemExit(f"there is no engine at {engine}: run `make engine`, or name one by VEGAS_ENGINE")
    return build(engine, here(), wheel_directory)


def build_sdist(sdist_directory, config_settings=None):
    name = f"libvegas-{version()}"
    with tarfile.open(os.path.join(sdist_directory, name + ".tar.gz"), "w:gz") as t:
        for entry in ("pyproject.toml", "build_wheel.py", "README.md", "vegas"):
            t.add(os.path.join(HERE, entry), f"{name}/{entry}", filter=lambda i: None if "_bin" in i.name or "__pycache__" in i.name else i)
    return name + ".tar.gz"


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--engine", required=True, help="the binary to put in")
    p.add_argument("--platform", choices=sorted(PLATFORMS), default=here())
    p.add_argument("--out", default="dist", help="folder for the wheel (default: dist)")
    a = p.parse_args()
    print(os.path.join(a.out, build(a.engine, a.platform, a.out)))

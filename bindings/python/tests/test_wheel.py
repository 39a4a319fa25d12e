"""The wheel, installed where nothing else is."""

import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

from .programs import PACKAGE, end, start

ENGINE = os.environ.get("VEGAS_ENGINE", "")


class Wheel(unittest.TestCase):
    def test_build_install_and_use(self):
        with tempfile.TemporaryDirectory() as d:
            def build(out):
                made = subprocess.run(
                    [sys.executable, os.path.join(PACKAGE, "build_wheel.py"), "--engine", ENGINE, "--out", os.path.join(d, out)],
                    check=True, capture_output=True, text=True)
                return made.stdout.strip()

            wheel = build("a")
            with open(wheel, "rb") as a, open(build("b"), "rb") as b:
                self.assertEqual(a.read(), b.read())
            self.assertIn("vegas/py.typed", zipfile.ZipFile(wheel).namelist())
            pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check"]
            subprocess.run([*pip, "--target", os.path.join(d, "site"), wheel], check=True)
            code = """
import vegas, vegas.testing
assert "site" in vegas.__file__, vegas.__file__
with vegas.testing.LocalKinesis({"s": 1}), vegas.Producer("s") as p:
    print(p.send("k", b"x").result().shard)
"""
            status, out, err = end(start(code, "", cwd=d, PYTHONPATH=os.path.join(d, "site")))
            self.assertEqual(out, "shardId-000000000000\n", err)


if __name__ == "__main__":
    unittest.main()

"""The wheel, installed where nothing else is."""

import email
import os
import subprocess
import sys
import tarfile
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
            [of] = [n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/METADATA")]
            metadata = email.message_from_bytes(zipfile.ZipFile(wheel).read(of))
            self.assertEqual((metadata["Author"], metadata["Keywords"].split(",")[0]), ("The vegas authors", "kinesis"))
            self.assertEqual([u.split(",")[0] for u in metadata.get_all("Project-URL")], ["Source", "Documentation", "Changelog"])
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

    def test_licences_of_others(self):
        with tempfile.TemporaryDirectory() as d:
            notices = os.path.join(d, "notices")
            with open(notices, "wb") as f:
                f.write(b"of others\n")
            made = subprocess.run(
                [sys.executable, os.path.join(PACKAGE, "build_wheel.py"), "--engine", ENGINE, "--notices", notices, "--out", d],
                check=True, capture_output=True, text=True)
            with zipfile.ZipFile(made.stdout.strip()) as z:
                info = next(n for n in z.namelist() if n.endswith("/METADATA"))[:-len("METADATA")]
                self.assertEqual(z.read(info + "licenses/THIRD-PARTY-NOTICES.txt"), b"of others\n")
                self.assertIn(b"\nLicense-File: LICENSE\nLicense-File: THIRD-PARTY-NOTICES.txt\nRequires-Python: ", z.read(info + "METADATA"))

    def test_source_distribution(self):
        def made(out):
            made = subprocess.run([sys.executable, os.path.join(PACKAGE, "build_wheel.py"), "--sdist", "--out", out], check=True, capture_output=True, text=True)
            return made.stdout.strip()

        with tempfile.TemporaryDirectory() as d:
            source = made(d)
            with open(source, "rb") as a, open(made(os.path.join(d, "b")), "rb") as b:
                self.assertEqual(a.read(), b.read())
            with tarfile.open(source) as t:
                t.extractall(d)

            def wheel(engine):  # as a front end has it made
                env = {**os.environ, "VEGAS_ENGINE": engine}
                return subprocess.run([sys.executable, "-c", "import build_wheel; print(build_wheel.build_wheel('.'))"],
                                      cwd=source[:-len(".tar.gz")], env=env, capture_output=True, text=True)

            built = wheel(ENGINE)
            self.assertEqual(built.returncode, 0, built.stderr)
            names = zipfile.ZipFile(os.path.join(source[:-len(".tar.gz")], built.stdout.strip())).namelist()
            self.assertIn("vegas/_bin/vegas-engine", names)
            self.assertIn(f"{os.path.basename(source)[:-len('.tar.gz')]}.dist-info/licenses/LICENSE", names)
            self.assertIn("a source distribution brings none along: install a wheel", wheel("").stderr)


if __name__ == "__main__":
    unittest.main()

"""Other distributions that install a package vegas, made and installed as theirs are."""

import base64
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

from .programs import FAKE, PACKAGE, end, start


def wheel(folder, name, files):
    """A wheel of somebody else's."""
    info = f"{name.replace('-', '_')}-5.6.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 5.6\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b'=').decode()},{len(t)}\n" for n, t in files.items()
    )
    path = os.path.join(folder, f"{name.replace('-', '_')}-5.6-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as z:
        for n, t in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            z.writestr(n, t)
    return path


class Foreign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        made = subprocess.run(
            [sys.executable, os.path.join(PACKAGE, "build_wheel.py"), "--engine", FAKE, "--out", cls.folder.name],
            check=True, capture_output=True, text=True)
        cls.ours = made.stdout.strip()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def site(self, *wheels):
        """A folder for packages, with these unpacked into it, one after the other."""
        site = tempfile.mkdtemp(dir=self.folder.name)
        for w in wheels:
            with zipfile.ZipFile(w) as z:
                z.extractall(site)
        return site

    def warnings(self, *path):
        """What a program is told that imports vegas from there."""
        status, out, err = end(start("import vegas; vegas.Producer; print(vegas.__file__)", FAKE, cwd=self.folder.name, PYTHONPATH=os.pathsep.join(path)))
        self.assertEqual(status, 0, err)
        self.assertTrue(out.startswith(path[0]), out)
        return [line for line in err.splitlines() if "foreign" in line]

    def test_alone(self):
        self.assertEqual(self.warnings(self.site(self.ours)), [])

    def test_below_ours_and_the_remedy(self):
        theirs = wheel(self.folder.name, "vegas", {"vegas/__init__.py": "", "vegas/_vegas.py": ""})
        prefix = tempfile.mkdtemp(dir=self.folder.name)

        def pip(*args):
            site = glob.glob(os.path.join(prefix, "**", "*-packages"), recursive=True)
            subprocess.run([sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *args], check=True,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join(site)})
            return site or glob.glob(os.path.join(prefix, "**", "*-packages"), recursive=True)

        install = ("install", "--no-index", "--force-reinstall", "--no-deps", "--root-user-action=ignore", "--prefix", prefix)
        pip(*install, theirs)
        [site] = pip(*install, self.ours)
        [line] = self.warnings(site)
        self.assertIn("RuntimeWarning: the distribution vegas installs a foreign package vegas", line)
        self.assertIn("`pip uninstall vegas`, then install the wheel of vegas again", line)
        pip("uninstall", "-y", "--root-user-action=ignore", "vegas")
        self.assertFalse(os.path.exists(os.path.join(site, "vegas", "__init__.py")))  # ours went with it
        pip(*install, self.ours)
        self.assertEqual(self.warnings(site), [])

    def test_of_another_name(self):
        theirs = wheel(self.folder.name, "slot-machines", {"vegas/__init__.py": "", "vegas/reels.py": "", "slots/__init__.py": ""})
        [line] = self.warnings(self.site(theirs, self.ours))
        self.assertIn("the distribution slot-machines installs a foreign package vegas", line)

    def test_a_module(self):
        theirs = wheel(self.folder.name, "strip", {"vegas.py": ""})
        [line] = self.warnings(self.site(theirs, self.ours))
        self.assertIn("the distribution strip installs", line)

    def test_beside_ours(self):
        theirs = self.site(wheel(self.folder.name, "vegas", {"vegas/__init__.py": ""}))
        [line] = self.warnings(self.site(self.ours), theirs)
        self.assertIn(f"in {theirs}, and is what `import vegas` finds where that folder comes first on sys.path", line)

    def test_of_another_name_beside_ours(self):
        theirs = self.site(wheel(self.folder.name, "slot-machines", {"vegas/__init__.py": ""}))
        [line] = self.warnings(self.site(self.ours), theirs)
        self.assertIn(f"slot-machines installs a foreign package vegas, in {theirs}", line)

    def test_others_are_left_unread(self):
        other = wheel(self.folder.name, "other", {"other/__init__.py": "", "other/vegas/__init__.py": ""})
        site = self.site(other, self.ours)
        os.remove(os.path.join(site, "other-5.6.dist-info", "RECORD"))
        os.mkfifo(os.path.join(site, "other-5.6.dist-info", "RECORD"))  # whoever reads it waits
        self.assertEqual(self.warnings(site, self.site(other)), [])

    def test_what_is_not_foreign(self):
        other = wheel(self.folder.name, "vegas-tools", {"vegas_tools/__init__.py": "", "casino/vegas/__init__.py": "", "vegasx.py": ""})
        self.assertEqual(self.warnings(self.site(other, self.ours), self.site(self.ours)), [])


if __name__ == "__main__":
    unittest.main()

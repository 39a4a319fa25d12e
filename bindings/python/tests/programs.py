"""Running other programs, and engines, in tests."""

import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.dirname(HERE)
FAKE = os.path.join(HERE, "fake_engine.py")


def start(code, engine, *args, cwd=None, **environment):
    """A Python program, from its text or file, with pipes, in a group of its own."""
    what = [code] if os.path.exists(code) else ["-c", code]
    env = {**os.environ, "VEGAS_ENGINE": engine, "PYTHONPATH": PACKAGE, "PYTHONUNBUFFERED": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", *what, *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True, cwd=cwd,
    )


def end(process, timeout=60):
    """Its exit status, output and errors."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the program did not end:\n{out}\n{err}") from None
    return process.returncode, out, err


class Box:
    """What handlers got, and waiting for it."""

    def __init__(self):
        self.items, self._changed = [], threading.Condition()

    def put(self, item):
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait(self, enough, timeout=30):
        """Until enough(items), or that many items."""
        ok = enough if callable(enough) else lambda items: len(items) >= enough
        with self._changed:
            if not self._changed.wait_for(lambda: ok(self.items), timeout):
                raise AssertionError(f"after {timeout} s: {len(self.items)} items, {self.items[:10]!r:.500}")
            return list(self.items)


def eventually(what, timeout=20):
    until = time.monotonic() + timeout
    while not what():
        if time.monotonic() > until:
            raise AssertionError("it did not come to that")
        time.sleep(0.01)

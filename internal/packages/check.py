# In a virtual environment that libvegas is installed in: the package is the one there,
# so is its engine, no warning is shown, and a record goes there and back.
import importlib.metadata
import os
import queue
import sys
import warnings

warnings.simplefilter("error")
import vegas
import vegas.testing
from vegas import _engine

folder = os.path.dirname(os.path.realpath(vegas.__file__))
assert folder.startswith(os.path.realpath(sys.prefix) + os.sep), folder
assert "VEGAS_ENGINE" not in os.environ
assert importlib.metadata.version("libvegas") == vegas.__version__
names = {str(f) for f in importlib.metadata.files("libvegas")}
for name in ("/licenses/LICENSE", "/licenses/THIRD-PARTY-NOTICES.txt", "vegas/py.typed"):
    assert any(n.endswith(name) for n in names), names
try:
    vegas.Producer("orders", linger="soon")
    raise AssertionError("a bad option was taken")
except vegas.BadOptionError:
    pass

got = queue.Queue()
with vegas.testing.LocalKinesis({"orders": 1}):
    with vegas.Producer("orders") as producer, vegas.Consumer("orders", "check", got.put):
        producer.send("key", b"there and back").result(30)
        assert got.get(timeout=30).data == b"there and back"
    engines = [os.path.realpath(path) for path in _engine._engines]
    assert len(engines) == 1 and os.path.dirname(engines[0]) == os.path.join(folder, "_bin"), engines

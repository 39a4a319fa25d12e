"""The binding over an engine that does what a test wants."""

import concurrent.futures
import gc
import os
import pickle
import signal
import sys
import threading
import time
import unittest
import unittest.mock
import warnings
from datetime import datetime, timedelta, timezone

import vegas
from vegas import errors
from vegas._options import Options
from vegas._spec import CONSUMER_OPTIONS, ERRORS, PRODUCER_OPTIONS

from .programs import FAKE, Box, end, eventually, start


class Case(unittest.TestCase):
    def producer(self, stream="kept", **options):
        p = vegas.Producer(stream, engine=FAKE, **options)
        self.addCleanup(lambda: p._halted or p.close())
        return p

    def consumer(self, stream, group, handler, **options):
        c = vegas.Consumer(stream, group, handler, engine=FAKE, **options)
        self.addCleanup(c.close)
        return c


class Sending(Case):
    def test_results(self):
        p = self.producer()
        futures = [p.send("k", b"%d" % i) for i in range(1000)]
        self.assertEqual(futures[-1].result(10).shard, "shardId-000000000000")
        p.flush()
        self.assertTrue(all(f.done() for f in futures))
        self.assertFalse(futures[0].cancel())

    def test_futures_are_those_of_the_standard_library(self):
        p = self.producer("quiet")
        called, futures = Box(), [p.send("k", b"x") for _ in range(3)]
        futures[0].add_done_callback(called.put)
        with self.assertRaises(concurrent.futures.TimeoutError):
            futures[0].result(0.01)
        waiter = threading.Thread(target=p.flush)
        waiter.start()
        done, not_done = concurrent.futures.wait(futures, 10)
        waiter.join()
        self.assertEqual((len(done), len(not_done)), (3, 0))
        self.assertEqual(called.wait(1), [futures[0]])
        self.assertEqual(len(list(concurrent.futures.as_completed(futures, 1))), 3)
        futures[1].add_done_callback(called.put)
        called.wait(2)

    def test_failures_nobody_looked_at(self):
        p = self.producer("fail")
        with self.assertLogs("vegas", "WARNING") as logs:
            p.send("k", b"x")
            eventually(lambda: p._left() == 0)
            gc.collect()
            eventually(lambda: logs.output)
        self.assertIn("nobody asked for its result: refused", logs.output[0])
        with self.assertRaises(vegas.ThrottledError) as e:
            p.flush()
        self.assertEqual((e.exception.code, e.exception.remedy, e.exception.unknown), ("throttled", "send less", False))
        p.flush()  # said once
        kept = [p.send("k", b"x") for _ in range(5)]
        with self.assertRaisesRegex(vegas.ThrottledError, "5 records failed"):
            p.flush()
        with self.assertRaises(vegas.ThrottledError):
            kept[0].result()
        looked = p.send("k", b"x")
        self.assertIsInstance(looked.exception(10), vegas.ThrottledError)
        p.flush()
        p.send("k", b"x")
        with self.assertRaises(vegas.ThrottledError):
            p.close()

    def test_what_cannot_be_sent(self):
        p = self.producer()
        for error, key, data in (
            (TypeError, b"k", b"x"), (TypeError, None, b"x"), (TypeError, "k", "text"), (TypeError, "k", 7),
            (ValueError, "", b"x"), (ValueError, "k" * 257, b"x"), (ValueError, "\ud800", b"x"),
            (vegas.TooLargeError, "k", bytes(17 << 20)),
        ):
            with self.subTest(key=key), self.assertRaises(error):
                p.send(key, data)
        with self.assertRaises(TypeError):
            p.send("k", b"x", {"a": "text"})
        self.assertTrue(p.send("ü" * 256, bytearray(b"x"), [("a", b"1"), ("a", b"2")], "12").result(10))
        self.assertTrue(p.send("k", memoryview(b"x")).result(10))
        self.assertTrue(p.send("k", bytes(10 << 20)).result(10))
        for f in [p.send("k", bytes(1 << 20)) for _ in range(20)]:
            f.result(20)

    def test_window(self):
        p = self.producer("quiet", buffer_bytes=5000)
        for _ in range(10):
            p.send("k", b"x" * 100)
        room = Box()
        t = threading.Thread(target=lambda: room.put(p.send("k", b"x" * 1000)))
        t.start()
        eventually(lambda: p._waiting)
        self.assertEqual(room.items, [])
        p.flush()
        room.wait(1)
        t.join()

    def test_closed(self):
        p = self.producer()
        p.close()
        p.close()
        with self.assertRaises(vegas.ClosedError):
            p.send("k", b"x")
        with self.assertRaises(ZeroDivisionError), vegas.Producer("fail", engine=FAKE) as q:
            q.send("k", b"x")
            1 / 0

    def test_a_send_that_meets_close_is_refused(self):
        p = self.producer("quiet")
        look = p._row

        def slow(*record):  # behind send's first look at whether the producer is closed
            p.close()
            return look(*record)

        p._row = slow
        p._resume = lambda: None
        with self.assertRaises(vegas.ClosedError):
            p.send("k", b"x", {"h": b"v"})

    def test_close_gives_every_record_a_result(self):
        p = self.producer("quiet")
        future = p.send("k", b"x")
        p._settle_all = lambda *_: p._left()  # as if the engine did not answer
        with self.assertRaises(vegas.ClosedError):
            p.close()
        self.assertTrue(future.done())

    def test_many_threads(self):
        with vegas.Producer("kept-threads", engine=FAKE) as p:
            def work():
                for i in range(2000):
                    p.send("k", b"x")
            threads = [threading.Thread(target=work) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            p.flush()
            self.assertEqual(p._left(), 0)
            self.assertEqual(p._held, 0)


class EngineEnds(Case):
    def test_open_records_are_unknown_and_another_engine_starts(self):
        p, die = self.producer("quiet"), self.producer("die")
        box = Box()
        self.consumer("kept-again", "g", lambda r: box.put(r.data))
        lost = p.send("k", b"x")
        p.stats()  # it is written
        with self.assertLogs("vegas", "WARNING") as logs:
            self.assertTrue(die.send("k", b"x").exception(20).unknown)
            error = lost.exception(20)
        self.assertIsInstance(error, vegas.EngineGoneError)
        self.assertTrue(error.unknown)
        self.assertIn("exit status 3", str(error))
        self.assertIn("starting another", logs.output[0])
        f = p.send("k", b"x")
        p.flush()
        self.assertTrue(f.result(0))
        self.producer("kept-again").send("k", b"after").result(10)
        self.assertEqual(box.wait(1), [b"after"])

    def test_fail_key_fails_what_is_behind_unknown_records(self):
        p = self.producer("quiet", on_failure="fail_key")
        first = p.send("k", b"x")
        eventually(lambda: p._open)
        session, p._session = p._session, None
        second = p.send("k", b"x")
        p._session = session
        p.lost(session, vegas.EngineGoneError("gone"))
        self.assertIsInstance(first.exception(0), vegas.EngineGoneError)
        self.assertIsInstance(second.exception(0), vegas.EarlierFailedError)
        self.assertEqual(p._held, 0)
        with self.assertRaises(vegas.TimeoutError):  # it is not open again yet
            p.send("k", b"x") and p.flush(0.01)
        p.opened(session, {"window_bytes": 5000, "record_cost": 350})

    def test_garbled_answers(self):
        p = self.producer("garble")
        with self.assertLogs("vegas", "WARNING"):
            error = p.send("k", b"x").exception(20)
        self.assertIsInstance(error, vegas.EngineGoneError)
        self.assertIn("a frame of", str(error))

    def test_five_ends_within_a_minute(self):
        code = """
import logging, vegas
p = vegas.Producer("die")
c = vegas.Consumer("kept", "g", print)
for i in range(9):
    try:
        print(type(p.send("k", b"x").exception(20)).__name__, flush=True)
    except vegas.EngineGoneError as e:
        print("ends:", e)
        break
try:
    c.wait(10)
except vegas.EngineGoneError as e:
    print("consumer ends")
try:
    vegas.Producer("other")
except vegas.EngineGoneError as e:
    print("other")
"""
        status, out, err = end(start(code, FAKE))
        lines = out.splitlines()
        self.assertEqual(lines[:4], ["EngineGoneError"] * 4, err)
        self.assertIn("5 times within a minute", out)
        self.assertEqual(lines[-2:], ["consumer ends", "other"])
        self.assertEqual(status, 0, err)

    def test_missing_and_foreign_engines(self):
        here = os.path.dirname(FAKE)
        text = os.path.join(here, "programs.py")
        for path, word in (
            ("/nowhere/vegas-engine", "cannot be started"), (text, "permission"), ("/bin/true", "no vegas engine"),
            ("/bin/cat", "no vegas engine"), ("/bin/ls", "no vegas engine"), (here, "cannot be started"),
        ):
            with self.subTest(path=path), self.assertRaisesRegex(vegas.EngineMissingError, word) as e:
                vegas.Producer("s", engine=path)
            self.assertTrue(e.exception.remedy)

    def test_none_in_the_package(self):
        before = os.environ.pop("VEGAS_ENGINE", None)
        try:
            if not os.path.exists(os.path.join(os.path.dirname(vegas.__file__), "_bin")):
                with self.assertRaisesRegex(vegas.EngineMissingError, "VEGAS_ENGINE"):
                    vegas.Producer("s")
        finally:
            if before is not None:
                os.environ["VEGAS_ENGINE"] = before


class Receiving(Case):
    def test_order_failure_and_attempts(self):
        box = Box()

        def handle(r):
            box.put((r.data, r.attempt))
            if r.data == b"2" and r.attempt < 3:
                raise ValueError("not yet")

        self.consumer("kept-1", "g", handle)
        p = self.producer("kept-1")
        for i in range(5):
            p.send("k", b"%d" % i)
        got = box.wait(7)
        self.assertEqual([g for g in got if g[0] == b"2"], [(b"2", 1), (b"2", 2), (b"2", 3)])
        self.assertEqual([d for d, a in got if a == 1], [b"0", b"1", b"2", b"3", b"4"])
        self.assertIn("ValueError: not yet\nTraceback", p.stats()["texts"][-1])
        self.assertNotIn("consumer.py", p.stats()["texts"][-1])

    def parallel(self, stream):
        box, running, most = Box(), [0], [0]
        lock = threading.Lock()

        def handle(r):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.002)
            if r.partition_key == "k3" and r.attempt == 1 and r.data == b"3":
                with lock:
                    running[0] -= 1
                raise ValueError
            box.put((r.partition_key, int(r.data)))
            with lock:
                running[0] -= 1

        p = self.producer(stream)
        for i in range(100):
            p.send(f"k{i % 10}", b"%d" % i)
        p.flush()
        self.consumer(stream, "g", handle, parallel=4)
        got = box.wait(100)
        for k in range(10):
            self.assertEqual([n for key, n in got if key == f"k{k}"], list(range(k, 100, 10)))
        self.assertGreater(most[0], 1)

    def test_parallel_keeps_the_order_of_keys(self):
        self.parallel("kept-2")

    def test_threads_beside_a_shard_end_when_idle(self):
        with unittest.mock.patch("vegas.consumer._IDLE", 0.01):
            self.parallel("kept-idle")
            for t in threading.enumerate():
                if t.name == "vegas-parallel":
                    t.join(10)
                    self.assertFalse(t.is_alive())

    def test_batches(self):
        box = Box()

        def handle(records):
            box.put(records)
            if len(box.items) == 1:
                raise ValueError

        p = self.producer("kept-3")
        for i in range(100):
            p.send("k", b"%d" % i)
        p.flush()
        self.consumer("kept-3", "g", handle, batch=True)
        first, second = box.wait(2)[:2]
        self.assertEqual([r.data for r in first], [r.data for r in second])

    def test_dead_letters(self):
        box = Box()

        def handle(r):
            raise ValueError

        p = self.producer("kept-4")
        self.consumer("kept-4", "g", handle, max_attempts=2, dead_letter=lambda r, text: box.put((r.data, r.attempt, text)))
        p.send("k", b"bad")
        self.assertEqual(box.wait(1), [(b"bad", 3, "last words")])

    def test_fatal(self):
        p = self.producer("kept-5")
        c = self.consumer("kept-5", "g", lambda r: 1 / 0, on_error="stop")
        with self.assertLogs("vegas", "ERROR"):
            p.send("k", b"x")
            with self.assertRaisesRegex(vegas.HandlerError, "ZeroDivisionError"):
                c.run()
        with self.assertRaises(vegas.ClosedError):
            c.stats()

    def test_refused(self):
        with self.assertRaisesRegex(vegas.BadOptionError, "a bad group: choose another"):
            vegas.Consumer("s", "bad", print, engine=FAKE)
        with self.assertRaisesRegex(TypeError, "vegas.aio"):
            async def handle(r): ...
            vegas.Consumer("s", "g", handle, engine=FAKE)
        with self.assertRaises(TypeError):
            vegas.Consumer("s", "g", None, engine=FAKE)

    def test_close_from_a_handler_and_under_load(self):
        c, box = [], Box()

        def handle(r):
            box.put(r.data)
            if r.data == b"500":
                c[0].close()

        p = self.producer("kept-6")
        for i in range(1000):
            p.send("k", b"%d" % i)
        p.flush()
        ready = threading.Event()
        c.append(self.consumer("kept-6", "g", lambda r: (ready.wait(), handle(r))))
        ready.set()
        self.assertTrue(c[0].wait(10))
        self.assertLess(len(box.items), 1000)

    def test_checkpoint(self):
        box = Box()
        c = self.consumer("kept-7", "g", box.put, checkpoint="manual")
        p = self.producer("kept-7")
        p.send("k", b"1")
        p.send("k", b"2")
        first, second = box.wait(2)[:2]
        self.assertIs(first.consumer, c)
        c.checkpoint(first)
        with self.assertRaises(vegas.LeaseLostError):
            c.checkpoint(second)

    def test_external(self):
        box, got = Box(), []

        def begin(shard):
            got.append((shard.id, shard.possession, shard.sequence, shard.takeovers))
            return "49", 3

        p = self.producer("kept-8")
        p.send("k", b"1")
        self.consumer("kept-8", "g", box.put, external=begin)
        self.assertEqual(box.wait(1)[0].possession, 7)
        self.assertEqual(got, [("shardId-000000000000", 7, "TRIM_HORIZON", 0)])


class OptionTable(unittest.TestCase):
    def test_crossing(self):
        o = Options("P", PRODUCER_OPTIONS, {"linger": timedelta(milliseconds=5), "deadline": 1.5, "aggregate": False, "region": None})
        self.assertEqual(o.wire, {"linger": 5000, "deadline": 1_500_000, "aggregate": False})
        self.assertEqual(o.seconds("close_timeout"), 10)
        when = datetime(2030, 1, 2, tzinfo=timezone.utc)
        o = Options("C", CONSUMER_OPTIONS, {"start": when, "dead_letter": print, "on_stats": print, "extensions": [{"a": {}}]})
        self.assertEqual(o.wire, {"start": 1893542400000000, "dead_letter": True, "stats_every": 10_000_000, "extensions": [{"a": {}}]})
        self.assertEqual(set(o.host), {"dead_letter", "on_stats"})

    def test_wrong_ones(self):
        for given, word in (
            ({"lingr": 1}, "did you mean 'linger'"), ({"zzz": 1}, "no option"), ({"linger": "1"}, "timedelta"),
            ({"linger": -1}, "0 or more"), ({"aggregate": 1}, "want bool"), ({"on_failure": "x"}, "'fail_key'"),
            ({"max_requests": True}, "int"), ({"max_requests": 1.5}, "int"), ({"region": 1}, "str"), ({"on_stats": 1}, "function"),
        ):
            with self.subTest(given=given), self.assertRaisesRegex(vegas.BadOptionError, word):
                Options("P", PRODUCER_OPTIONS, given)
        with self.assertRaises(TypeError):
            vegas.Producer(b"s", engine=FAKE)

    def test_every_error_has_its_class(self):
        for code, kind in ERRORS.items():
            self.assertIs(getattr(vegas, kind.__name__), kind)
            self.assertIn(kind.__name__, errors.__all__)
            self.assertEqual(kind.code, code)
        e = pickle.loads(pickle.dumps(vegas.ThrottledError("t", "r", True)))
        self.assertEqual((e.text, e.remedy, e.unknown, str(e)), ("t", "r", True, "t: r"))

    def test_a_timeout_is_one_of_the_language(self):
        e = pickle.loads(pickle.dumps(vegas.TimeoutError("t", "r", True)))
        self.assertIsInstance(e, TimeoutError)
        self.assertEqual((e.text, e.remedy, e.unknown, e.code, str(e)), ("t", "r", True, "timeout", "t: r"))


@unittest.skipUnless(hasattr(os, "fork"), "no fork here")
class Programs(unittest.TestCase):
    def test_fork(self):
        code = """
import os, sys, vegas
p = vegas.Producer("quiet")
q = vegas.Producer("kept")
box = []
c = vegas.Consumer("kept", "g", lambda r: box.append(r.data))
q.send("k", b"x").result()
f = p.send("k", b"x")
parent = p._session.process.pid
pid = os.fork()
if pid == 0:
    try:
        print("child: parent's", type(f.exception(5)).__name__, flush=True)
        assert c.wait(0)
        g = p.send("k", b"y")
        p.flush()
        print("child:", g.result(5).shard, p._session.process.pid != parent, flush=True)
        q.send("k", b"y").result(5)
        p.close()
    except BaseException as e:
        print("child:", repr(e), flush=True)
    sys.exit(0)
os.waitpid(pid, 0)
print("parent: open", not f.done(), flush=True)
p.flush()
print("parent:", f.result(5).shard, p._session.process.pid == parent)
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual(
            out.splitlines(),
            ["child: parent's EngineGoneError", "child: shardId-000000000000 True", "parent: open True",
             "parent: shardId-000000000000 True"], err)
        self.assertEqual(status, 0)
        self.assertNotIn("Traceback", err)

    def test_multiprocessing_child_flushes_at_its_end(self):
        code = """
import multiprocessing, os, sys, vegas
p = vegas.Producer("quiet")
p.send("k", b"x").add_done_callback(lambda f: print("parent's", flush=True))
def work():
    f = p.send("k", b"x")
    f.add_done_callback(lambda f: os.write(1, b"child's\\n"))
m = multiprocessing.get_context("fork").Process(target=work)
m.start()
m.join()
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual(sorted(out.split()), ["child's", "parent's"], err)
        self.assertEqual((status, "Traceback" in err), (0, False), err)

    def test_exit_flushes(self):
        code = """
import vegas
p = vegas.Producer("quiet")
for i in range(1000):
    p.send("k", b"x").add_done_callback(lambda f, i=i: print(i) if i == 999 else None)
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual((status, out, err), (0, "999\n", ""))

    def test_exit_logs_failures_and_ends_consumers(self):
        code = """
import concurrent.futures, time, vegas
pool = concurrent.futures.ThreadPoolExecutor(1)
p = vegas.Producer("kept")
began = __import__("threading").Event()
def handle(r):
    began.set()
    time.sleep(0.3)
    print(pool.submit(lambda: "handled").result(), flush=True)
c = vegas.Consumer("kept", "g", handle)
f = vegas.Producer("fail")
f.send("k", b"x")
p.send("k", b"x")
began.wait()
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual((status, out), (0, "handled\n"), err)
        self.assertIn("refused", err)

    def test_one_ctrl_c(self):
        code = """
import vegas
p = vegas.Producer("kept")
c = vegas.Consumer("kept", "g", lambda r: print(r.data.decode(), flush=True))
p.send("k", b"handled")
input()
"""
        process = start(code, FAKE)
        self.assertEqual(process.stdout.readline(), "handled\n")
        os.killpg(process.pid, signal.SIGINT)
        before = time.monotonic()
        status, out, err = end(process)
        self.assertLess(time.monotonic() - before, 5)
        self.assertIn("KeyboardInterrupt", err)
        self.assertEqual(err.count("Traceback"), 1, err)

    def test_a_second_ctrl_c_ends_the_waiting(self):
        code = """
import threading, vegas
p = vegas.Producer("quiet")
q = vegas.Producer("kept")
def handle(r):
    print("handles", flush=True)
    threading.Event().wait()
c = vegas.Consumer("kept", "g", handle)
q.send("k", b"handled").result()
input()
"""
        process = start(code, FAKE)
        self.assertEqual(process.stdout.readline(), "handles\n")
        before = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        line = ""
        while "waiting for handlers" not in line:
            line = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        status, out, err = end(process)
        self.assertLess(time.monotonic() - before, 8)
        self.assertIn("ends while handlers run", err)

    def test_run_ends_at_sigterm(self):
        code = """
import vegas
c = vegas.Consumer("kept", "g", print)
wait = c.wait
c.wait = lambda: (print("runs", flush=True), wait())
c.run()
print("ended")
"""
        process = start(code, FAKE)
        process.stdout.readline()
        process.terminate()
        self.assertEqual(end(process)[:2], (0, "ended\n"))

    def test_closed_standard_files(self):
        code = """
import os, sys
os.close(0); os.close(1)
import vegas
p = vegas.Producer("kept")
print(p.send("k", b"x").result(5).shard, file=sys.stderr)
"""
        status, out, err = end(start(code, FAKE))
        self.assertIn("shardId-000000000000", err)

    def test_a_notebook_replaces_its_consumer(self):
        code = """
import sys, types
shell = types.SimpleNamespace(kernel=1)
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
import vegas
a = vegas.Consumer("kept", "g", print)
b = vegas.Consumer("kept", "g", print)
print(a.wait(5), b.wait(0))
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual(out, "True False\n", err)


if __name__ == "__main__":
    unittest.main()

"""How producers, consumers and programs end, over an engine that does what a test wants."""

import os
import threading
import unittest
import unittest.mock

import vegas

from .programs import FAKE, end, eventually, start


class Producers(unittest.TestCase):
    def producer(self, stream="quiet", **options):
        p = vegas.Producer(stream, engine=FAKE, **options)
        self.addCleanup(lambda: p._halted or p.close())
        return p

    def ends(self, thread):
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_flush_behind_close(self):
        p = self.producer()
        p.close()
        t = threading.Thread(target=p.flush, daemon=True)
        t.start()
        self.ends(t)

    def test_flush_beside_close(self):
        p = self.producer()
        session, p._session = p._session, None  # as if another one were being started
        t = threading.Thread(target=p.flush, daemon=True)
        t.start()
        eventually(lambda: p._room_made._waiters)
        p.close(0)
        self.ends(t)
        p.opened(session, {"window_bytes": 5000, "record_cost": 350})
        self.assertIsNone(p._session)
        with vegas.Producer("other", engine=FAKE) as q:
            self.assertIn(p.number, q.stats()["closed"])

    def test_what_was_never_written_is_not_unknown(self):
        p = self.producer()
        written = p.send("k", b"x")
        eventually(lambda: p._open)
        p._put = True  # the writer does not come
        unsent = p.send("k", b"x")
        with self.assertRaises(vegas.ClosedError):
            with unittest.mock.patch.object(p, "_settle_all"):
                p.close()
        self.assertEqual((written.exception(0).unknown, unsent.exception(0).unknown), (True, False))

    def test_rows_count_in_the_size_of_a_frame(self):
        p = self.producer("kept")
        with unittest.mock.patch("vegas.producer._BATCH_BYTES", 1000):
            p._gathered = [vegas.producer._pack_row(0, 0, 1, 0), b"k", vegas.Future()] * 100
            frames = p.take(p._session)
            p._open.clear()
            p._next = 0
        self.assertEqual(len(frames), 2)
        self.assertLess(max(map(len, frames)), 1000 + 64)

    def test_flush_has_its_time_while_there_is_no_engine(self):
        p = self.producer()
        with p._engine._changed:
            session, p._engine._session = p._engine._session, None
        try:
            p.send("k", b"x")
            with self.assertRaises(vegas.TimeoutError):
                p.flush(0.01)
        finally:
            with p._engine._changed:
                p._engine._session = session


class Consumers(unittest.TestCase):
    def test_close_has_its_time(self):
        began, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)
        c = vegas.Consumer("kept-close", "g", lambda r: (began.set(), go.wait()), engine=FAKE)
        with vegas.Producer("kept-close", engine=FAKE) as p:
            p.send("k", b"x")
            self.assertTrue(began.wait(10))
            with self.assertRaisesRegex(vegas.TimeoutError, "not ended after 0.01 s"):
                c.close(0.01)
            go.set()
            c.close(10)

    def test_one_that_is_closed_while_it_is_opened(self):
        c = vegas.Consumer("kept-opened", "g", print, engine=FAKE)
        session, c._session = c._session, None  # as if another one were being started
        c.close()
        c.opened(session, {})
        with vegas.Producer("other", engine=FAKE) as p:
            self.assertIn(c.number, p.stats()["closed"])


@unittest.skipUnless(hasattr(os, "fork"), "no fork here")
class Programs(unittest.TestCase):
    restart = """
import os, vegas, vegas._engine
vegas._engine._BACKOFF = {backoff}
p = vegas.Producer("quiet", close_timeout={timeout})
os.kill(p._session.process.pid, 9)
while p._session is not None:
    pass
p.send("k", b"x").add_done_callback(lambda f: print("stored at", f.result().shard))
"""

    def test_exit_while_an_engine_is_started(self):
        status, out, err = end(start(self.restart.format(backoff=0.3, timeout=10), FAKE))
        self.assertEqual((status, out), (0, "stored at shardId-000000000000\n"), err)

    def test_exit_while_none_comes(self):
        status, out, err = end(start(self.restart.format(backoff=600, timeout=0.2), FAKE))
        self.assertEqual((status, out), (0, ""), err)
        self.assertIn("ends with 1 records that have no result", err)

    def test_children_end_consumers_first(self):
        code = """
import multiprocessing, sys, threading, time, vegas
if {used}:
    vegas.Producer("kept").send("k", b"x").result()
def work():
    began = threading.Event()
    p = vegas.Producer("kept-out")
    def handle(r):
        began.set()
        time.sleep(0.3)
        print("sent to", p.send("k", b"x").result().shard, flush=True)
    c = vegas.Consumer("kept", "g", handle)
    vegas.Producer("kept").send("k", b"x")
    began.wait()
m = multiprocessing.get_context("fork").Process(target=work)
m.start()
m.join()
"""
        for used in (True, False):
            with self.subTest(used=used):
                status, out, err = end(start(code.format(used=used), FAKE))
                self.assertEqual((status, out), (0, "sent to shardId-000000000000\n"), err)


if __name__ == "__main__":
    unittest.main()

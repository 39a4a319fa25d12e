"""The binding over the real engine and its local Kinesis. VEGAS_ENGINE names it."""

import asyncio
import itertools
import json
import os
import signal
import tempfile
import threading
import time
import unittest

import vegas
from vegas import aio

from .programs import PACKAGE, Box, end, eventually, start

ENGINE = os.environ.get("VEGAS_ENGINE", "")
FAST = {"poll_idle": 0.05, "poll_busy": 0.02, "checkpoint_every": 0.1}
SAMPLE = os.path.join(PACKAGE, "examples", "sample.py")



def kill_engine(client):
    os.kill(client._session.process.pid, signal.SIGKILL)


server = None
_streams = (f"stream-{i}" for i in itertools.count())


def setUpModule():
    # The server is in a program of its own, since engines are killed here.
    global server
    server = start(
        "import json, vegas.testing\n"
        "streams = {f'stream-{i}': 2 for i in range(40)}\n"
        "k = vegas.testing.LocalKinesis({**streams, 'stream-name': 1}, no_limits=True, record_bytes=10 << 20)\n"
        "print(json.dumps(k.environment), flush=True)\n"
        "input()\n",
        ENGINE,
    )
    line = server.stdout.readline()
    if not line:
        raise AssertionError(end(server))
    os.environ.update(json.loads(line))


def tearDownModule():
    end(server)


class Case(unittest.TestCase):
    def setUp(self):
        self.stream = next(_streams)

    def producer(self, **options):
        p = vegas.Producer(self.stream, **options)
        self.addCleanup(lambda: p._halted or p.close())
        return p

    def consumer(self, handler, group="g", **options):
        c = vegas.Consumer(self.stream, group, handler, **{**FAST, **options})
        self.addCleanup(c.close)
        return c


class Records(Case):
    def test_all_that_a_record_has(self):
        box = Box()
        self.consumer(box.put)
        p = self.producer()
        p.check()
        sent = [
            ("k", b"", None, None), ("ü" * 256, b"\0\xff", [("a", b"1"), ("a", b"2"), ("ß", b"")], None),
            ("k", bytes(1 << 20), None, None), ("k", bytes(9 << 20), None, None), ("k", b"x", None, "1"),
        ]
        receipts = [p.send(*s) for s in sent]
        got = {(r.partition_key, r.data): r for r in box.wait(len(sent))}
        for (key, data, headers, hash_key), receipt in zip(sent, receipts):
            r, at = got[key, data], receipt.result(10)
            self.assertEqual(r.headers.pairs, tuple(headers or ()))
            self.assertEqual((r.shard, r.sequence, r.sub_sequence), at[:3])
            self.assertEqual((r.stream, r.attempt), (self.stream, 1))
            self.assertLess(abs(r.arrival_time.timestamp() - time.time()), 60)
        self.assertEqual(got["k", b"x"].shard, "shardId-000000000000")

    def test_a_hundred_thousand(self):
        n, seen, last, wrong = 100_000, set(), {}, []
        done = threading.Event()

        def handle(r):
            i = int(r.data)
            if last.get(r.partition_key, -1) >= i:
                wrong.append(i)
            last[r.partition_key] = i
            seen.add(i)
            if len(seen) == n:
                done.set()

        self.consumer(handle)
        p = self.producer()
        for i in range(n):
            p.send(f"key-{i % 1000}", b"%d" % i)
        p.flush()
        self.assertTrue(done.wait(180), len(seen))
        self.assertEqual(wrong, [])
        self.assertTrue(p.stats())

    def test_too_large_and_bad_stream(self):
        p = self.producer()
        self.assertIsInstance(p.send("k", bytes((10 << 20) + 1)).exception(10), vegas.TooLargeError)
        with vegas.Producer("no-such-stream") as q:
            with self.assertRaises(vegas.NotFoundError) as e:
                q.check()
            self.assertIn("no-such-stream", str(e.exception))
        with self.assertRaises(vegas.BadOptionError):
            vegas.Producer("not a name!")
        with self.assertRaises(vegas.BadOptionError):
            vegas.Consumer(self.stream, "g", print, store="nothing:else")

    def test_two_of_each_and_stats(self):
        box, told = Box(), Box()
        self.consumer(lambda r: box.put("a"), "a", on_stats=told.put, stats_every=0.05)
        self.consumer(lambda r: box.put("b"), "b")
        p, q = self.producer(on_stats=told.put, stats_every=0.05), self.producer()
        p.send("k", b"1")
        q.send("k", b"2")
        self.assertEqual(sorted(box.wait(4)), ["a", "a", "b", "b"])
        self.assertIsInstance(told.wait(3)[0], dict)


class Policies(Case):
    def send(self, *data):
        with vegas.Producer(self.stream) as p:
            for d in data:
                p.send("k", d)

    def test_skip(self):
        box = Box()

        def handle(r):
            if r.data == b"bad":
                box.put((r.data, r.attempt))
                raise ValueError("no good")
            box.put((r.data, r.attempt))

        self.consumer(handle, on_error="skip", max_attempts=2)
        self.send(b"1", b"bad", b"2")
        self.assertEqual(box.wait(4), [(b"1", 1), (b"bad", 1), (b"bad", 2), (b"2", 1)])

    def test_stop(self):
        def handle(r):
            raise ValueError("no good")

        c = self.consumer(handle, on_error="stop", max_attempts=1)
        with self.assertLogs("vegas", "ERROR"):
            self.send(b"1")
            with self.assertRaisesRegex(vegas.HandlerError, "no good"):
                c.run()

    def test_dead_letter_and_hold(self):
        box, letters = Box(), Box()

        def handle(r):
            box.put(r.data)
            if r.data == b"bad":
                raise ValueError("no good")

        self.consumer(handle, max_attempts=1, dead_letter=lambda r, why: letters.put((r.data, why)))
        self.send(b"bad", b"2")
        ((data, why),) = letters.wait(1)
        self.assertEqual(data, b"bad")
        self.assertIn("ValueError: no good", why)
        self.assertIn(b"2", box.wait(2))

    def test_batches(self):
        box = Box()
        self.send(b"1", b"2", b"3")
        self.consumer(lambda records: box.put([r.data for r in records]), batch=True)
        got = box.wait(lambda items: sum(map(len, items)) >= 3)
        self.assertEqual(sum(got, []), [b"1", b"2", b"3"])

    def test_manual_checkpoints(self):
        self.send(b"1", b"2", b"3")
        box = Box()
        c = self.consumer(box.put, checkpoint="manual")
        c.checkpoint(box.wait(3)[1])
        c.close()
        with self.assertRaises((vegas.LeaseLostError, vegas.ClosedError)):
            c.checkpoint(box.items[2])
        again = Box()
        self.consumer(again.put, checkpoint="manual")
        self.assertEqual(again.wait(1)[0].data, b"3")

    def test_external(self):
        self.send(b"1", b"2", b"3")
        place = {}

        def handle(r):
            place[r.shard] = (r.sequence, r.sub_sequence)
            box.put(r.data)
            if r.data == b"2":
                c[0].close()

        box, c, ready = Box(), [], threading.Event()
        begin = lambda shard: place.get(shard.id)
        c.append(self.consumer(lambda r: (ready.wait(), handle(r)), external=begin, checkpoint_every=60))
        ready.set()
        self.assertTrue(c[0].wait(20))
        again = Box()
        self.consumer(lambda r: again.put(r.data), external=begin)
        self.assertEqual(box.items + again.wait(1), [b"1", b"2", b"3"])

    def test_parallel(self):
        n, box = 300, Box()
        with vegas.Producer(self.stream) as p:
            for i in range(n):
                p.send(f"k{i % 9}", b"%d" % i)

        def handle(r):
            time.sleep(0.001)
            box.put((r.partition_key, int(r.data)))

        self.consumer(handle, parallel=5)
        got = box.wait(n)
        for k in range(9):
            mine = [i for key, i in got if key == f"k{k}"]
            self.assertEqual(mine, list(range(k, n, 9)))


class Ends(Case):
    def test_the_engine_is_killed(self):
        box = Box()
        p = self.producer(linger=60)
        c = self.consumer(lambda r: box.put(r.data), lease_time=1)
        with vegas.Producer(self.stream) as q:
            q.send("k", b"before").result(10)
        box.wait(1)
        open_record = p.send("k", b"open")
        p.stats()
        with self.assertLogs("vegas", "WARNING"):
            kill_engine(c)
            error = open_record.exception(20)
        self.assertIsInstance(error, vegas.EngineGoneError)
        self.assertTrue(error.unknown)
        with vegas.Producer(self.stream) as q:
            q.send("k", b"after").result(20)
        box.wait(lambda items: b"after" in items)

    def test_a_handler_ends_behind_the_grace_time(self):
        p = self.producer()
        p.send("k", b"x").result(10)
        why = []
        began, go, ended = threading.Event(), threading.Event(), threading.Event()

        def handle(r):
            began.set()
            go.wait()
            why.append(r.stopping)
            ended.set()

        c = self.consumer(handle, grace=0.1)
        self.assertTrue(began.wait(20))
        session = c._session
        c.close()
        with self.assertRaises(vegas.GraceOverError) as raised:
            c.wait(10)
        self.assertRegex(raised.exception.text, r"shardId-\d+ \(unfinished records: 1\)")
        self.assertIn("grace-over", raised.exception.remedy)
        self.assertRaises(vegas.GraceOverError, c.run)
        go.set()
        self.assertTrue(ended.wait(10))
        self.assertEqual(why, ["grace_over"])
        box = Box()
        self.consumer(box.put)
        self.assertEqual(box.wait(1)[0].attempt, 1)
        p.check()
        self.assertIs(p._session, session)

    def test_a_lease_is_lost_while_a_handler_runs(self):
        with tempfile.TemporaryDirectory() as d:
            other = os.path.join(d, "vegas-engine")  # another name, another engine
            os.symlink(ENGINE, other)
            with vegas.Producer(self.stream) as p:
                p.send("k", b"x").result(10)
            first, why, go, box = Box(), Box(), threading.Event(), Box()

            def handle(r):
                first.put(r)
                go.wait()
                why.put(r.stopping)

            # Short, but not so short that a machine with much to do loses it by itself.
            c = self.consumer(handle, lease_time=2)
            record = first.wait(1)[0]
            session = c._session
            os.kill(session.process.pid, signal.SIGSTOP)
            try:
                again = vegas.Consumer(self.stream, "g", box.put, engine=other, lease_time=2, **FAST)
                self.addCleanup(again.close)
                self.assertGreater(box.wait(1)[0].possession, record.possession)
            finally:
                os.kill(session.process.pid, signal.SIGCONT)
            eventually(lambda: record.stopping)
            go.set()
            self.assertEqual(why.wait(1)[0], "lease_lost")
            c.check()
            self.assertIs(c._session, session)

    def test_external_that_fails_at_first(self):
        calls, box = Box(), Box()

        def begin(shard):
            calls.put(shard.id)
            if len(calls.items) <= 2:
                raise ValueError("not yet")

        self.consumer(lambda r: box.put(r.data), external=begin)
        with vegas.Producer(self.stream) as p:
            p.send("k", b"x")
        self.assertEqual(box.wait(1), [b"x"])

    def test_the_host_is_killed(self):
        code = f"""
import os, signal, vegas
def handle(r):
    print(r.data.decode(), flush=True)
c = vegas.Consumer({self.stream!r}, "g", handle, poll_idle=0.05, poll_busy=0.02, lease_time=60)
with vegas.Producer({self.stream!r}) as p:
    p.send("k", b"1")
p = vegas.Producer({self.stream!r})
p.send("k", b"2")
input()
os.kill(os.getpid(), signal.SIGKILL)
"""
        process = start(code, ENGINE)
        lines = [process.stdout.readline() for _ in range(2)]
        self.assertEqual(lines, ["1\n", "2\n"], process.poll() is not None and process.stderr.read())
        box = Box()
        self.consumer(lambda r: box.put(r.data))
        time.sleep(0.2)
        process.communicate("\n")
        with vegas.Producer(self.stream) as p:
            p.send("k", b"3").result(10)
        # The engine saw its end, and gave the shards back before the lease did.
        box.wait(lambda items: b"3" in items, 20)

    def test_durable_producer_whose_host_is_killed(self):
        with tempfile.TemporaryDirectory() as d:
            code = f"""
import os, signal, vegas
p = vegas.Producer({self.stream!r}, durable={d!r}, endpoint="http://127.0.0.1:9")
for i in range(1000):
    f = p.send("k", b"%d" % i)
print(f.result().durable, flush=True)
input()
"""
            process = start(code, ENGINE)
            self.assertEqual(process.stdout.readline(), "True\n", process.poll())
            process.kill()
            process.communicate()
            box = Box()
            self.consumer(lambda r: box.put(int(r.data)))

            def reopened():
                try:
                    return self.producer(durable=d)
                except vegas.VegasError:  # the engine of the host that died is ending
                    return None

            eventually(reopened, 30)
            self.assertEqual(box.wait(1000), list(range(1000)))

    def test_the_sample_and_one_ctrl_c(self):
        took = []
        for _ in range(3):
            before = time.monotonic()
            process = start(SAMPLE, ENGINE)
            self.assertEqual(process.stdout.readline(), "Consumer is running. Press ctrl+c to stop\n")
            # Once each: the one before has written its checkpoint,
            self.assertEqual(process.stdout.readline(), "partition-key:message\n")
            took.append(time.monotonic() - before)
            os.killpg(process.pid, signal.SIGINT)
            before = time.monotonic()
            status, out, err = end(process)
            self.assertLess(time.monotonic() - before, 8)
            self.assertIn("KeyboardInterrupt", err)
            self.assertEqual(err.count("Traceback"), 1, err)
        self.assertLess(min(took[1:]), 4.5)  # and given its lease, of 5 s, back

    def test_exit_while_busy(self):
        code = f"""
import vegas
p = vegas.Producer({self.stream!r})
for i in range(20000):
    p.send("k%d" % (i % 50), b"%d" % i)
"""
        status, out, err = end(start(code, ENGINE))
        self.assertEqual((status, err), (0, ""))
        seen = set()
        self.consumer(lambda r: seen.add(int(r.data)))
        eventually(lambda: len(seen) == 20000, 30)

    def test_exit_beside_a_handler_that_never_returns(self):
        code = f"""
import threading, vegas
began = threading.Event()
def handle(r):
    began.set()
    threading.Event().wait()
c = vegas.Consumer({self.stream!r}, "g", handle, grace=0.3, poll_idle=0.05, poll_busy=0.02)
vegas.Producer({self.stream!r}).send("k", b"x")
began.wait()
print("began", flush=True)
"""
        process = start(code, ENGINE)
        self.assertEqual(process.stdout.readline(), "began\n")
        before = time.monotonic()
        status, out, err = end(process)
        self.assertEqual(status, 0, err)
        self.assertLess(time.monotonic() - before, 4)
        box = Box()
        self.consumer(box.put)
        box.wait(1)

    def test_exit_without_a_service(self):
        code = """
import vegas
p = vegas.Producer("s", endpoint="http://127.0.0.1:9", close_timeout=0.5)
for i in range(10):
    p.send("k", b"x")
"""
        status, out, err = end(start(code, ENGINE))
        self.assertEqual(status, 0)
        self.assertIn("10 records", err)

    @unittest.skipUnless(hasattr(os, "fork"), "no fork here")
    def test_prefork_server(self):
        code = f"""
import os, vegas
p = vegas.Producer({self.stream!r})
p.send("k", b"parent").result()
for i in range(3):
    if os.fork() == 0:
        p.send("k", b"child").result(10)
        raise SystemExit(0)
for i in range(3):
    assert os.wait()[1] == 0
p.send("k", b"parent").result(10)
print("done")
"""
        self.assertEqual(end(start(code, ENGINE))[1], "done\n")
        box = Box()
        self.consumer(lambda r: box.put(r.data))
        self.assertEqual(sorted(box.wait(5)), [b"child"] * 3 + [b"parent"] * 2)

    def test_backpressure(self):
        box, go = Box(), threading.Event()
        n = 300

        def handle(r):
            go.wait()
            box.put(r.data[:3])

        with vegas.Producer(self.stream, buffer_bytes=1 << 20) as p:
            for i in range(n):  # ten times what may be on its way
                p.send(f"k{i}", b"%03d" % i + bytes(40_000))
                self.assertLess(p._held, 1 << 20)
        self.consumer(handle, window=1 << 20)
        time.sleep(0.5)
        go.set()
        self.assertEqual(len(set(box.wait(n))), n)


class Async(Case):
    def test_both(self):
        async def main():
            got = []
            async with aio.Producer(self.stream) as p:
                receipts = await asyncio.gather(*(p.send(f"k{i % 7}", b"%d" % i) for i in range(2000)))
                self.assertEqual(len({(r.shard, r.sequence, r.sub_sequence) for r in receipts}), 2000)
                async with aio.Consumer(self.stream, "g", **FAST) as c:
                    async for r in c:
                        got.append((r.partition_key, int(r.data)))
                        if len(got) == 2000:
                            break
                for k in range(7):
                    self.assertEqual([i for key, i in got if key == f"k{k}"], list(range(k, 2000, 7)))
                again = []

                async def handle(r):
                    await asyncio.sleep(0)
                    again.append(r.data)
                    if r.data == b"last":
                        await c.close()

                c = aio.Consumer(self.stream, "g", handle, **FAST)
                await p.send("k", b"last")
                await asyncio.wait_for(c.wait(), 20)
                self.assertLessEqual(len(again), 4)  # the one that the loop left, or those of its chunk

        asyncio.run(asyncio.wait_for(main(), 60))

    def test_a_loop_that_ends_is_no_crash(self):
        code = f"""
import asyncio, time, vegas.aio
async def main():
    began = asyncio.Event()
    async def handle(r):
        began.set()
        await asyncio.sleep(60)
    c = await vegas.aio.Consumer({self.stream!r}, "g", handle, on_error="skip", max_attempts=1, poll_idle=0.05, poll_busy=0.02)
    await began.wait()
asyncio.run(main())
time.sleep(1)  # the record comes again meanwhile
"""
        with vegas.Producer(self.stream) as p:
            p.send("k", b"x")
        before = time.monotonic()
        status, out, err = end(start(code, ENGINE))
        self.assertEqual((status, out), (0, ""), err)
        box = Box()
        self.consumer(box.put)
        record = box.wait(1)[0]
        self.assertEqual((record.attempt, record._shard.takeovers), (1, 0))

    def test_a_handler_that_does_not_heed_its_cancellation(self):
        async def main():
            began, go = asyncio.Event(), asyncio.Event()

            async def handle(r):
                began.set()
                while not go.is_set():
                    try:
                        await go.wait()
                    except asyncio.CancelledError:
                        pass

            async with aio.Producer(self.stream) as p:
                await p.send("k", b"x")
            with self.assertRaises(vegas.GraceOverError):
                async with aio.Consumer(self.stream, "g", handle, **FAST, grace=0.1) as c:
                    await asyncio.wait_for(began.wait(), 20)
            await c.close()
            with self.assertRaises(vegas.GraceOverError):
                await c.wait()
            go.set()
            await asyncio.sleep(0.1)

        asyncio.run(asyncio.wait_for(main(), 60))


if __name__ == "__main__":
    unittest.main()

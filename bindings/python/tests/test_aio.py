"""Producer and Consumer for asyncio, over an engine that does what a test wants."""

import asyncio
import gc
import os
import signal
import unittest

import vegas
from vegas import _engine, aio

from .programs import FAKE, end, start


class Async(unittest.TestCase):
    def run_async(self, main):
        return asyncio.run(asyncio.wait_for(main(), 30))

    def test_send_and_iterate(self):
        async def main():
            async with aio.Producer("kept-a1", engine=FAKE) as p:
                receipts = await asyncio.gather(*(p.send("k", b"%d" % i) for i in range(1000)))
                self.assertEqual(len(receipts), 1000)
                got = []
                async with aio.Consumer("kept-a1", "g", engine=FAKE) as c:
                    async for r in c:
                        got.append(r.data)
                        if len(got) == 1000:
                            break
                self.assertEqual(got, [b"%d" % i for i in range(1000)])
                self.assertIn("texts", await p.stats())
        self.run_async(main)

    def test_handlers(self):
        async def main():
            async with aio.Producer("kept-a2", engine=FAKE) as p:
                for i in range(200):
                    p.send(f"k{i % 7}", b"%d" % i)
                got, most, running = [], 0, 0

                async def handle(r):
                    nonlocal most, running
                    running += 1
                    most = max(most, running)
                    await asyncio.sleep(0)
                    running -= 1
                    if r.data == b"50" and r.attempt == 1:
                        raise ValueError("once")
                    got.append((r.partition_key, int(r.data)))
                    if len(got) == 200:
                        await c.close()

                c = aio.Consumer("kept-a2", "g", handle, engine=FAKE, parallel=3)
                await c.wait()
                self.assertEqual(most, 3)
                for k in range(7):
                    self.assertEqual([n for key, n in got if key == f"k{k}"], list(range(k, 200, 7)))
        self.run_async(main)

    def test_failures(self):
        async def main():
            with self.assertLogs("vegas", "WARNING") as logs:
                p = aio.Producer("fail", engine=FAKE)
                with self.assertRaises(vegas.ThrottledError):
                    await p.send("k", b"seen")
                await p.flush()
                p.send("k", b"unseen")
                with self.assertRaises(vegas.ThrottledError):
                    await p.close()
                await asyncio.sleep(0.01)
                gc.collect()
                logs.records or _engine.log.warning("nothing else")
            with self.assertRaises(vegas.ClosedError):
                p.send("k", b"x")
        self.run_async(main)

    def test_refused(self):
        async def main():
            with self.assertRaises(vegas.BadOptionError):
                await aio.Consumer("s", "bad", print, engine=FAKE)
            with self.assertRaises(vegas.EngineMissingError):
                await aio.Producer("s", engine="/nowhere")
            with self.assertRaises(vegas.EngineMissingError):
                async with aio.Producer("s", engine="/nowhere"):
                    pass
        self.run_async(main)

    def test_room(self):
        async def main():
            async with aio.Producer("quiet", engine=FAKE, buffer_bytes=2000) as p:
                sent = []
                with self.assertRaises(vegas.BufferFullError):
                    for _ in range(100):
                        sent.append(p.send("k", b"x" * 100))
                while sent and not all(f.done() for f in sent):
                    await asyncio.get_running_loop().run_in_executor(None, p._settle_flush, None)
                    await asyncio.sleep(0)
                await p.ready()
                self.assertGreater(len(sent), 3)
        self.run_async(main)

    def test_close_fails_what_never_had_room(self):
        async def main():
            p = await aio.Producer("quiet", engine=FAKE, buffer_bytes=1000)
            sent = [p.send("k", b"x" * 100) for _ in range(4)]
            self.assertTrue(p._overflow)
            with self.assertRaises(TimeoutError):
                await p.flush(0.01)
            with self.assertRaises(vegas.TimeoutError):
                await p.close(0.01)
            results = await asyncio.gather(*sent, return_exceptions=True)
            self.assertIsInstance(results[0], vegas.Receipt)
            self.assertIsInstance(results[-1], vegas.TimeoutError)
        self.run_async(main)

    def test_a_handler_of_several_may_close(self):
        async def main():
            async with aio.Producer("kept-a4", engine=FAKE) as p:
                for i in range(9):
                    p.send(f"k{i}", b"x")

            async def handle(r):
                await c.close()

            c = aio.Consumer("kept-a4", "g", handle, engine=FAKE, parallel=3)
            await c.wait()
        self.run_async(main)

    def test_lost_shard_cancels_its_handler(self):
        async def main():
            began, cancelled = asyncio.Event(), asyncio.Event()
            die = aio.Producer("die", engine=FAKE)
            await die

            async def handle(r):
                began.set()
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.assertEqual(r.stopping, "engine_gone")
                    cancelled.set()
                    raise

            async with aio.Producer("kept-a3", engine=FAKE) as p:
                c = await aio.Consumer("kept-a3", "g", handle, engine=FAKE)
                await p.send("k", b"x")
                await began.wait()
                with self.assertLogs("vegas", "WARNING"):
                    with self.assertRaises(vegas.EngineGoneError):
                        await die.send("k", b"x")
                    await cancelled.wait()
                c._begin_close()
                try:
                    await die.close()
                except vegas.EngineGoneError:
                    pass
        self.run_async(main)

    def test_flush_and_close_without_time(self):
        async def main():
            p = await aio.Producer("quiet", engine=FAKE, buffer_bytes=1000)
            sent = [p.send("k", b"x" * 100) for _ in range(2)]
            self.assertFalse(p._overflow)
            await p.flush(0)
            sent += [p.send("k", b"x" * 100) for _ in range(3)]
            self.assertTrue(p._overflow)
            with self.assertRaisesRegex(vegas.TimeoutError, "wait for room"):
                await p.close(0)
            results = await asyncio.gather(*sent, return_exceptions=True)
            self.assertEqual([type(r) for r in results], [vegas.Receipt] * 4 + [vegas.TimeoutError])
            await p.ready()
        self.run_async(main)

    def test_flush_behind_close(self):
        async def main():
            p = await aio.Producer("kept", engine=FAKE)
            await p.close()
            await asyncio.wait_for(p.flush(), 5)
        self.run_async(main)

    def test_a_send_that_meets_the_end_is_refused(self):
        async def main():
            p = await aio.Producer("kept", engine=FAKE)
            lock = p._lock

            class Late:  # the end comes when send has looked already
                def __enter__(self):
                    p._lock = lock
                    p.broken(vegas.FailedError("the end"))
                    return lock.__enter__()

                def __exit__(self, *a):
                    return lock.__exit__(*a)

            p._lock = Late()
            with self.assertRaisesRegex(vegas.FailedError, "the end"):
                await asyncio.wait_for(p.send("k", b"x"), 5)
        self.run_async(main)

    def test_what_was_sent_before_there_is_no_engine_fails(self):
        async def main():
            p = aio.Producer("s", engine="/nowhere")
            with self.assertRaises(vegas.EngineMissingError):
                await asyncio.wait_for(p.send("k", b"x"), 5)
        self.run_async(main)

    def test_a_handler_that_is_cancelled_by_itself_has_failed(self):
        async def main(stream, bad, last, **options):
            async with aio.Producer(stream, engine=FAKE) as p:
                for i in range(4):
                    p.send(f"k{i}", b"%d" % i)
                await p.flush()
                got = []

                async def handle(r):
                    r = r[0] if isinstance(r, list) else r
                    got.append((r.data, r.attempt))
                    if r.data == bad and r.attempt < 3:
                        task = asyncio.ensure_future(asyncio.sleep(9))
                        task.cancel()
                        await task
                    if len(got) >= 3 and r.data == last:
                        await c.close()

                c = aio.Consumer(stream, "g", handle, engine=FAKE, **options)
                await c.wait()
                self.assertIn("CancelledError", (await p.stats())["texts"][-1])
                self.assertEqual([attempt for data, attempt in got if data == bad], [1, 2, 3])
        self.run_async(lambda: main("kept-c1", b"1", b"3"))
        self.run_async(lambda: main("kept-c2", b"0", b"0", batch=True))

    def test_a_lane_that_is_cancelled_by_itself_has_failed(self):
        async def main():
            async with aio.Producer("kept-c3", engine=FAKE) as p:
                for i in range(4):
                    p.send(f"k{i}", b"%d" % i)
                await p.flush()
                attempts, done = [], asyncio.Event()

                async def handle(r):
                    if r.data == b"1":
                        attempts.append(r.attempt)
                        if r.attempt < 3:
                            raise asyncio.CancelledError
                        done.set()

                async with aio.Consumer("kept-c3", "g", handle, engine=FAKE, parallel=3):
                    await asyncio.wait_for(done.wait(), 10)
                self.assertEqual(attempts, [1, 2, 3])
        self.run_async(main)

    def test_run_closes_when_it_is_cancelled(self):
        async def main():
            c = aio.Consumer("kept-run", "g", print, engine=FAKE)
            task = asyncio.ensure_future(c.run())
            await c.open()
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertTrue(c._closing and c._ended.done())
        self.run_async(main)


@unittest.skipUnless(hasattr(os, "fork"), "no fork here")
class Programs(unittest.TestCase):
    def test_run_ends_at_sigterm(self):
        code = """
import asyncio, vegas.aio
async def main():
    c = await vegas.aio.Consumer("kept", "g", print)
    asyncio.get_running_loop().call_later(0.1, lambda: print("runs", flush=True))
    await c.run()
    print("ended", c._ended.done())
asyncio.run(main())
"""
        process = start(code, FAKE)
        process.stdout.readline()
        process.terminate()
        status, out, err = end(process)
        self.assertEqual((status, out), (0, "ended True\n"), err)

    def test_run_ends_at_ctrl_c_behind_its_handlers(self):
        code = """
import asyncio, vegas.aio
async def handle(r):
    print("handles", flush=True)
    await asyncio.sleep(0.5)
    print("handled", flush=True)
async def main():
    c = await vegas.aio.Consumer("kept", "g", handle)
    p = await vegas.aio.Producer("kept")
    p.send("k", b"x")
    try:
        await c.run()
    finally:
        print("ended", c._ended.done(), flush=True)
asyncio.run(main())
"""
        process = start(code, FAKE)
        self.assertEqual(process.stdout.readline(), "handles\n")
        os.killpg(process.pid, signal.SIGINT)
        status, out, err = end(process)
        self.assertEqual(out, "handled\nended True\n", err)

    def test_a_producer_of_before_a_fork(self):
        code = """
import asyncio, os, vegas.aio
async def main():
    p = await vegas.aio.Producer("quiet")
    sent = p.send("k", b"x")
    if os.fork() == 0:
        try:
            p.send("k", b"x")
        except vegas.ClosedError as e:
            os.write(1, str(e).encode() + b"\\n")
        os._exit(0)
    os.wait()
    await p.flush()
    print((await sent).shard)
asyncio.run(main())
"""
        status, out, err = end(start(code, FAKE))
        self.assertEqual(
            out.splitlines(),
            ["aio.Producer('quiet') was made before a fork: make one in the child's event loop", "shardId-000000000000"], err)


if __name__ == "__main__":
    unittest.main()

"""The example that counts payments in SQLite, killed at any moment: each payment counts
once, and whoever has lost a shard writes nothing more of it. VEGAS_ENGINE names the
engine, KILLS how many workers are killed."""

import importlib.util
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import types
import unittest
from collections import Counter

import vegas
from vegas.testing import LocalKinesis

from .programs import PACKAGE, eventually

ENGINE = os.environ.get("VEGAS_ENGINE", "")
KILLS = int(os.environ.get("KILLS", "5"))
SOURCE = os.path.join(PACKAGE, "examples", "ledger.py")
LEASE = 1.0

# Every step of a position, written by the transaction that makes it.
HISTORY = """
    CREATE TABLE history (shard TEXT, token INTEGER, sequence TEXT, sub INTEGER);
    CREATE TRIGGER moved AFTER UPDATE OF sequence, sub ON shard
        BEGIN INSERT INTO history VALUES (new.name, new.token, new.sequence, new.sub); END;
"""


def load():
    spec = importlib.util.spec_from_file_location("ledger", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ledger = load()


def audit(db, accounts, rejected):
    """What is wrong with a ledger that should have counted these: accounts is the
    balance and number of payments of each."""
    wrong = []
    got = {name: (balance, n) for name, balance, n in db.execute("SELECT * FROM account")}
    for name in sorted(set(got) | set(accounts)):
        if got.get(name) != accounts.get(name):
            wrong.append(f"{name}: balance and payments are {got.get(name)}, want {accounts.get(name)}")
    put_aside = db.execute("SELECT count(*) FROM rejected").fetchone()[0]
    if put_aside != rejected:
        wrong.append(f"{put_aside} rejected, want {rejected}")
    steps, want = 0, rejected + sum(n for _, n in accounts.values())
    last = {}
    for shard, token, sequence, sub in db.execute("SELECT * FROM history ORDER BY rowid"):
        steps += 1
        position = (int(sequence), sub)
        token_before, before = last.get(shard, (0, (0, 0)))
        if token < token_before:
            wrong.append(f"{shard}: the owner of possession {token} wrote behind that of {token_before}")
        if position <= before:
            wrong.append(f"{shard}: {position} was counted behind {before}")
        last[shard] = max(token, token_before), max(position, before)
    if steps != want:
        wrong.append(f"{steps} positions, want {want}")
    return wrong


def engine_of(worker):
    """The process of a worker's engine, or None where it has not started."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = f.read().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        if int(parent) == worker.pid:
            return int(pid)
    return None


def heeds_sigterm(worker):
    """Whether a program has got as far as Consumer.run."""
    with open(f"/proc/{worker.pid}/status") as f:
        caught = next(line.split()[1] for line in f if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def record(possession, sequence, data=b'{"amount": 5}', sub=0):
    return types.SimpleNamespace(
        shard="shardId-0", possession=possession, sequence=str(sequence), sub_sequence=sub, partition_key="alice", data=data
    )


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "bank.db")

    def open(self):
        opened = ledger.Ledger(self.path)
        self.addCleanup(opened.db.close)
        return opened


class Fence(Case):
    def setUp(self):
        super().setUp()
        self.old, self.new = self.open(), self.open()
        self.old.db.executescript(HISTORY)

    def shard(self, possession):
        return types.SimpleNamespace(id="shardId-0", possession=possession)

    def test_an_owner_of_the_past_writes_nothing(self):
        self.assertIsNone(self.old.begin(self.shard(1)))
        self.old.pay(record(1, 100))
        self.assertEqual(self.new.begin(self.shard(2)), ("100", 0))
        with self.assertRaisesRegex(RuntimeError, "another owner than possession 1"):
            self.old.pay(record(1, 101))
        with self.assertRaisesRegex(RuntimeError, "another owner"):
            self.old.reject(record(1, 101), "late")
        with self.assertRaisesRegex(RuntimeError, "later owner than possession 1"):
            self.old.begin(self.shard(1))
        self.new.pay(record(2, 101))
        self.assertEqual(audit(self.new.db, {"alice": (10, 2)}, 0), [])
        # It may begin anew in the same possession.
        self.assertEqual(self.new.begin(self.shard(2)), ("101", 0))

    def test_a_letter_is_no_payment(self):
        self.old.begin(self.shard(1))
        for data in b"a letter", b"[]", b"{}", b'{"amount": "5"}', b'{"amount": 0.5}', b'{"amount": true}', b'{"amount": null}':
            with self.assertRaises((ValueError, TypeError, KeyError)):
                self.old.pay(record(1, 100, data))
        self.old.reject(record(1, 100, b"a letter"), "no JSON")
        self.assertEqual(audit(self.old.db, {}, 1), [])
        self.assertEqual(self.old.begin(self.shard(1)), ("100", 0))

    def test_the_audit_finds_what_is_planted(self):
        self.old.begin(self.shard(2))
        self.old.pay(record(2, 100))
        self.assertEqual(audit(self.old.db, {"alice": (5, 1)}, 0), [])
        for planted, found in (
            ("UPDATE account SET balance = 6", "balance and payments"),
            ("INSERT INTO account VALUES ('bob', 0, 1)", "bob"),
            ("DELETE FROM account", "are None"),
            ("INSERT INTO rejected VALUES ('alice', x'', '')", "rejected"),
            ("UPDATE shard SET sequence = '100'", "was counted behind"),
            ("UPDATE shard SET sequence = '101', token = 1", "wrote behind"),
            ("DELETE FROM history", "0 positions"),
        ):
            self.old.db.execute(planted)
            self.assertIn(found, "\n".join(audit(self.old.db, {"alice": (5, 1)}, 0)), planted)
            self.old.db.rollback()
        self.assertEqual(audit(self.old.db, {"alice": (5, 1)}, 0), [])


@unittest.skipUnless(sys.platform == "linux", "looks into /proc")
class Kills(Case):
    def setUp(self):
        super().setUp()
        self.log = open(self.path + ".log", "ab")
        self.addCleanup(self.log.close)

    def test_every_payment_counts_once_whatever_is_killed(self):
        try:
            self.kill_and_count()
        except BaseException:
            print(f"\nThe workers said last:\n{self.said()}", flush=True)
            raise

    def kill_and_count(self):
        self.db = db = self.open().db
        db.executescript(HISTORY)
        with LocalKinesis({"payments": 4}, no_limits=True, state_delay=0), vegas.Producer("payments") as self.p:
            self.balances, self.payments, self.rejected, self.sent = Counter(), Counter(), 0, 0

            workers, did, engines = [self.worker(), self.worker()], Counter(), Counter()
            for i in range(KILLS):
                self.pay(300)
                self.wait_for_the_next()
                time.sleep(random.random() * 0.2)
                # One of each first, then mostly the program.
                how = ("program", "engine", "freeze")[i] if i < 3 else random.choices(("program", "engine", "freeze"), (7, 2, 1))[0]
                if how == "engine" and engines[workers[i % 2].pid] == 3:
                    how = "program"  # the fifth end of an engine within a minute is final
                done = getattr(self, how)(workers, i % 2)
                did[how] += done
                engines[workers[i % 2].pid] += how == "engine" and done
            self.assertGreater(sum(did.values()), KILLS // 2, did)  # not just aimed at
            eventually(lambda: self.counted() >= self.sent, 60)
            # What counted twice would come with the records behind it.
            self.pay(100)
            eventually(lambda: self.counted() >= self.sent, 60)
            for w in workers:
                eventually(lambda: heeds_sigterm(w), 60)  # it may have been started just now
                w.send_signal(signal.SIGTERM)
            self.assertEqual([w.wait(60) for w in workers], [0, 0])
        accounts = {name: (self.balances[name], n) for name, n in self.payments.items()}
        self.assertEqual(audit(db, accounts, self.rejected), [])
        tokens = db.execute("SELECT count(*) FROM (SELECT DISTINCT shard, token FROM history)").fetchone()[0]
        print(f"\n{self.sent} payments, {self.rejected} of them rejected; {dict(did)}; {tokens} possessions wrote", flush=True)

    def worker(self):
        w = subprocess.Popen(
            [sys.executable, SOURCE, "--db", self.path, "--lease-time", str(LEASE)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "VEGAS_ENGINE": ENGINE, "PYTHONPATH": PACKAGE},
        )
        self.addCleanup(lambda: (w.kill(), w.wait()))
        return w

    def said(self):
        with open(self.log.name, errors="replace") as f:
            return f.read()[-8000:]

    def pay(self, n):
        for _ in range(n):
            account, amount = f"account {random.randrange(20)}", random.randrange(100) - 30
            data = json.dumps({"amount": amount}).encode()
            if random.randrange(300) == 0:
                data, self.rejected = b"a letter", self.rejected + 1
            else:
                self.balances[account] += amount
                self.payments[account] += 1
            self.p.send(account, data)
        self.p.flush()
        self.sent += n

    def counted(self):
        return self.db.execute(
            "SELECT (SELECT coalesce(sum(payments), 0) FROM account) + (SELECT count(*) FROM rejected)"
        ).fetchone()[0]

    def wait_for_the_next(self):
        before = self.counted()
        eventually(lambda: self.counted() > before, 60)

    # What is done to a worker.

    def program(self, workers, i):
        workers[i].kill()
        ended = workers[i].wait()
        workers[i] = self.worker()
        return ended == -signal.SIGKILL

    def engine(self, workers, i):
        """The program makes itself another one."""
        pid = engine_of(workers[i])
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    def freeze(self, workers, i):
        """It is away for longer than its lease, and knows nothing of it when it goes on:
        what it had read, and there is much of that, is another's by then."""
        self.pay(600)
        self.wait_for_the_next()
        frozen = [p for p in (engine_of(workers[i]), workers[i].pid) if p is not None]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * LEASE)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        return len(frozen) == 2


if __name__ == "__main__":
    unittest.main()

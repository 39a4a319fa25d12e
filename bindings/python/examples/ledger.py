"""Keeps account balances from a stream of payments, in an SQLite file.

    python ledger.py --db bank.db
    sqlite3 bank.db 'SELECT * FROM account'

A payment's partition key is the account, its data JSON: {"amount": 5}. Each payment
counts exactly once, whatever is killed, since balance and position are committed
together, and a shard's next owner, whose token is larger, has ended the writing of the
one before. Several may run on one file; they share the shards.
"""

import argparse
import json
import sqlite3
import threading

import vegas

TABLES = """
    CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL, payments INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS rejected (name TEXT, data BLOB, reason TEXT);
    CREATE TABLE IF NOT EXISTS shard (name TEXT PRIMARY KEY, token INTEGER NOT NULL, sequence TEXT, sub INTEGER);
"""


class Ledger:
    """Balances, what was rejected, and how far each shard has been counted."""

    def __init__(self, path):
        # Threads of all shards use the one connection: SQLite has one writer anyway.
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, timeout=30, isolation_level="IMMEDIATE", check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = wal")
        self.db.executescript(TABLES)

    def begin(self, shard):
        """Takes a shard over, and says behind which position to go on."""
        with self.lock, self.db:
            taken = self.db.execute(
                "INSERT INTO shard (name, token) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET token = excluded.token WHERE token <= excluded.token",
                (shard.id, shard.possession),
            )
            if taken.rowcount != 1:
                raise RuntimeError(f"{shard.id} has a later owner than possession {shard.possession}")
            at = self.db.execute("SELECT sequence, sub FROM shard WHERE name = ?", (shard.id,)).fetchone()
        return at if at[0] is not None else None

    def advance(self, record):
        """Moves the position behind a record, in the transaction of its effect. An owner
        of the past is refused, and its effect with it."""
        moved = self.db.execute(
            "UPDATE shard SET sequence = ?, sub = ? WHERE name = ? AND token = ?",
            (record.sequence, record.sub_sequence, record.shard, record.possession),
        )
        if moved.rowcount != 1:
            raise RuntimeError(f"{record.shard} has another owner than possession {record.possession}")

    def pay(self, record):
        """Counts a payment."""
        amount = json.loads(record.data)["amount"]
        if type(amount) is not int:
            raise TypeError(f"the amount is {amount!r}, want a whole number")
        with self.lock, self.db:
            self.advance(record)
            self.db.execute(
                "INSERT INTO account VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE"
                " SET balance = balance + excluded.balance, payments = payments + 1",
                (record.partition_key, amount),
            )

    def reject(self, record, reason):
        """Puts aside what is no payment, once too."""
        with self.lock, self.db:
            self.advance(record)
            self.db.execute("INSERT INTO rejected VALUES (?, ?, ?)", (record.partition_key, record.data, reason))


def main():
    args = argparse.ArgumentParser(description="Account balances from a stream of payments.")
    args.add_argument("--db", default="bank.db", help="the SQLite file")
    args.add_argument("--stream", default="payments", help="the stream's name")
    args.add_argument("--lease-time", type=float, default=5, help="seconds that the others wait when this one has crashed")
    given = args.parse_args()

    ledger = Ledger(given.db)
    consumer = vegas.Consumer(
        given.stream, "ledger", ledger.pay,
        external=ledger.begin, dead_letter=ledger.reject, max_attempts=3, lease_time=given.lease_time,
        max_crashes=0,  # no payment is put aside because its worker was killed
    )
    consumer.run()


if __name__ == "__main__":
    main()

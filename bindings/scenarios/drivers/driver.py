"""Does what scenarios say, with the Python package. See ../README.md."""

import json
import os
import signal
import sys
import threading
import zlib

import vegas
import vegas.testing

_out = threading.Lock()


def say(message):
    line = (json.dumps(message) + "\n").encode()
    with _out:
        while line:
            line = line[os.write(1, line) :]


def error(e):
    if isinstance(e, vegas.VegasError):
        return {"code": e.code, "text": e.text, "remedy": e.remedy or "", "unknown": bool(e.unknown), "class": type(e).__name__}
    return {"code": "own", "text": f"{type(e).__name__}: {e}", "class": type(e).__name__}


def options(given):
    return {o["name"]: o["value"] / 1e6 if o["type"] == "duration" else o["value"] for o in given}


def payload(record):
    if "data" in record:
        return record["data"].encode()
    return (bytes(range(251)) * (record["size"] // 251 + 1))[: record["size"]]


def receipt(r):
    return {"shard": r.shard, "sequence": r.sequence, "sub": r.sub_sequence, "durable": r.durable}


class Driver:
    def __init__(self):
        self.things = {}
        self.positions = {}

    # Producers.

    def producer(self, c):
        self.things[c["as"]] = vegas.Producer(c["stream"], **options(c["options"]))

    def send(self, c):
        p = self.things[c["to"]]
        futures = []
        for r in c["records"]:
            headers = [(k, v.encode()) for k, v in r.get("headers", ())]
            try:
                futures.append(p.send(r["key"], payload(r), headers or None, r.get("hash_key")))
            except Exception as e:
                futures.append(e)
        if c.get("wait") is False:
            return {}
        results = []
        for f in futures:
            try:
                if isinstance(f, Exception):
                    raise f
                results.append(receipt(f.result()))
            except Exception as e:
                results.append({"error": error(e)})
        return {"results": results}

    def many(self, c):
        p, size, keys, prefix, tell = self.things[c["to"]], c.get("size", 0), c.get("keys", 1), c.get("prefix", ""), c.get("tell")

        def told(future, n):
            e = future.exception()
            say({"event": "sent", "of": c["to"], "number": n, **({"error": error(e)} if e else {})})

        futures = []
        first = c.get("from", 0)
        for n in range(first, first + c["count"]):
            data = f"{prefix}{n}".ljust(size, ".").encode()
            future = p.send(f"{prefix}key-{n % keys}", data)
            if tell:
                future.add_done_callback(lambda f, n=n: told(f, n))
            futures.append(future)
        if c.get("wait") is False:
            return {}
        failed = []
        for n, f in enumerate(futures, first):
            e = f.exception()
            if e is not None:
                failed.append({"number": n, "error": error(e)})
        return {"ok": len(futures) - len(failed), "failed": failed}

    def misuse(self, c):
        p, what = self.things[c["to"]], c["what"]
        if what == "data_no_bytes":
            return {"results": [receipt(p.send("key", 42).result())]}
        if what == "key_no_text":
            return {"results": [receipt(p.send(17, b"x").result())]}
        if what == "key_not_utf8":
            return {"results": [receipt(p.send("\udc80key", b"x").result())]}
        raise KeyError(what)

    def fork(self, c):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.send(c)
                self.things[c["to"]].close()
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        return {"status": os.waitstatus_to_exitcode(status)}

    # Consumers.

    def consumer(self, c):
        behave, name, given = c.get("behave", {}), c["as"], options(c["options"])
        state = {"free": threading.Event(), "kept": {}, "handled": 0}
        positions = self.positions

        def tell(r, **more):
            event = {
                "event": "record", "of": name, "key": r.partition_key, "shard": r.shard, "sequence": r.sequence, "sub": r.sub_sequence,
                "attempt": r.attempt, "aggregated": r.aggregated, "hash_key": r.explicit_hash_key,
                "headers": [[k, v.decode()] for k, v in r.headers.pairs], **more,
            }
            if len(r.data) <= 1024 and all(32 <= b < 127 for b in r.data):
                event["data"] = r.data.decode()
            else:
                event["size"], event["crc"] = len(r.data), zlib.crc32(r.data)
            say(event)

        def act(r):
            text = r.data[:1024].decode(errors="replace")
            if behave.get("keep"):
                state["kept"][text.rstrip(".")] = r
            if "die" in behave and text.startswith(behave["die"]):
                os.kill(os.getpid(), signal.SIGKILL)
            if "hold" in behave and text.startswith(behave["hold"]):
                state["free"].wait()
            if behave.get("pause"):
                threading.Event().wait(behave["pause"] / 1000)
            if "fail" in behave and text.startswith(behave["fail"]) and (not behave.get("times") or r.attempt <= behave["times"]):
                raise ValueError(f"cannot handle {text}")
            every = behave.get("checkpoint_every")
            if every:
                state["handled"] += 1
                if state["handled"] % every == 0:
                    r.consumer.checkpoint(r)
            positions[r.shard] = (r.sequence, r.sub_sequence)

        def handle(r):
            tell(r)
            act(r)

        def handle_batch(rs):
            for r in rs:
                tell(r, batch=len(rs))
            for r in rs:
                act(r)

        if given.get("dead_letter"):
            given["dead_letter"] = lambda r, text: tell(r, event="dead", text=text)
        if given.get("external"):
            def external(shard):
                say({"event": "start", "of": name, "shard": shard.id, "possession": shard.possession})
                return positions.get(shard.id)

            given["external"] = external
        if given.get("on_stats"):
            given["on_stats"] = lambda stats: say({"event": "stats", "of": name, "stats": stats})
        consumer = vegas.Consumer(c["stream"], c["group"], handle_batch if given.get("batch") else handle, **given)
        self.things[name] = consumer
        self.things[name + " state"] = state
        return {"worker": consumer.worker}

    def release(self, c):
        self.things[c["of"] + " state"]["free"].set()

    def checkpoint(self, c):
        self.things[c["of"]].checkpoint(self.things[c["of"] + " state"]["kept"][c["data"]])

    def wait(self, c):
        return {"ended": self.things[c["of"]].wait(c["limit"] / 1000 if "limit" in c else None)}

    # Both.

    def flush(self, c):
        self.things[c["of"]].flush(c["limit"] / 1000 if "limit" in c else None)

    def close(self, c):
        self.things[c["of"]].close(*([c["limit"] / 1000] if "limit" in c else []))

    def check(self, c):
        self.things[c["of"]].check()

    def stats(self, c):
        return {"stats": self.things[c["of"]].stats()}

    def local(self, c):
        local = vegas.testing.LocalKinesis(c["streams"])
        self.things[c["as"]] = local
        # Producers and consumers of this process that name no endpoint go there now.
        local.__enter__()
        return {"endpoint": local.endpoint}

    def answer(self, c):
        try:
            result = getattr(self, c["do"])(c) or {}
        except BaseException as e:
            result = {"error": error(e)}
        say({"id": c["id"], **result})


def main():
    driver = Driver()
    source = open(os.environ["VEGAS_SCENARIO_COMMANDS"]) if "VEGAS_SCENARIO_COMMANDS" in os.environ else sys.stdin
    for line in source:
        c = json.loads(line)
        if c["do"] == "exit":
            return
        threading.Thread(target=driver.answer, args=(c,), daemon=True).start()
    # Nobody commands any more.
    threading.Event().wait()


main()

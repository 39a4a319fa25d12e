package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.thrown;
import static io.libvegas.Tests.yes;

import io.libvegas.Tests.Box;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public final class RecordsTest extends Local {
    private record Sent(String key, byte[] data, Headers headers, String hash) {}

    public void testAllThatARecordHas() throws Exception {
        Box<Record> box = new Box<>();
        Consumer c = consumer(box::put);
        Producer p = producer();
        p.check();
        c.check();
        List<Sent> sent = List.of(new Sent("k", new byte[0], Headers.NONE, null), new Sent("ü".repeat(256), new byte[] {0, -1}, Headers.of("a", "1", "a", "2"), null),
            new Sent("k", new byte[1 << 20], Headers.NONE, null), new Sent("k", new byte[9 << 20], Headers.of("ß", ""), null),
            new Sent("k", new byte[] {'x'}, Headers.NONE, "1"));
        List<CompletableFuture<Receipt>> receipts = new ArrayList<>();
        for (Sent s : sent) {
            receipts.add(p.send(s.key, s.data, s.headers, s.hash));
        }
        Map<Integer, Record> got = new HashMap<>();
        for (Record r : box.await(sent.size())) {
            got.put(r.data().length, r);
        }
        for (int i = 0; i < sent.size(); i++) {
            Sent s = sent.get(i);
            Record r = got.get(s.data.length);
            Receipt at = receipts.get(i).get(10, TimeUnit.SECONDS);
            equal(s.key, r.partitionKey());
            equal(s.data, r.data());
            equal(s.headers.toString(), r.headers().toString());
            equal(at, new Receipt(r.shard(), r.sequence(), r.subSequence(), false));
            equal(List.of(stream, 1, c), List.of(r.stream(), r.attempt(), r.consumer()));
            yes(Duration.between(r.arrivalTime(), Instant.now()).abs().toSeconds() < 60, r.arrivalTime());
            yes(r.possession() > 0, r.possession());
        }
        equal("shardId-000000000000", got.get(1).shard());
    }

    public void testTextWithHeaders() throws Exception {
        Box<Record> box = new Box<>();
        consumer(box::put);
        producer().send("k", "grüße", Headers.of("trace", "7")).get(10, TimeUnit.SECONDS);
        Record r = box.await(1).get(0);
        equal(List.of("grüße", "7"), List.of(r.text(), r.headers().text("trace")));
    }

    public void testAHundredThousandFromManyThreads() throws Exception {
        int n = 100_000;
        Map<String, Integer> last = new ConcurrentHashMap<>();
        CountDownLatch left = new CountDownLatch(n);
        Box<String> wrong = new Box<>();
        consumer(r -> {
            int i = Integer.parseInt(r.text());
            Integer before = last.put(r.partitionKey(), i);
            if (before != null && before >= i) {
                wrong.put(r.partitionKey() + " " + before + " " + i);
            }
            left.countDown();
        });
        Producer p = producer(o -> o.bufferBytes(1 << 20));
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            int mine = t;
            Thread thread = new Thread(() -> {
                for (int i = mine; i < n; i += 4) {
                    p.send("key-" + i % 1000, Integer.toString(i)); // 1000 is a multiple of 4: a key has one thread
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread t : threads) {
            t.join();
        }
        p.flush();
        yes(left.await(60, TimeUnit.SECONDS), left.getCount() + " are missing");
        equal(List.of(), wrong.items());
        yes(!p.stats().isEmpty(), "stats");
    }

    public void testTooLargeAndBadStream() throws Exception {
        Producer p = producer();
        CompletableFuture<Receipt> large = p.send("k", new byte[(10 << 20) + 1]);
        yes(thrown(Exception.class, () -> large.get(10, TimeUnit.SECONDS)).getCause() instanceof VegasException.TooLarge, large);
        thrown(VegasException.TooLarge.class, () -> p.send("k", new byte[17 << 20]));
        thrown(IllegalArgumentException.class, () -> p.send("", "no key"));
        thrown(IllegalArgumentException.class, () -> p.send(null, "no key"));
        thrown(IllegalArgumentException.class, () -> p.send("k", (byte[]) null));
        thrown(IllegalArgumentException.class, () -> p.send("k", (String) null));
        thrown(IllegalArgumentException.class, () -> p.send("k", "x", Headers.of("n".repeat(70_000), "")));
        try (Producer q = new Producer("no-such-stream", o -> o.endpoint(server().endpoint()))) {
            contains(thrown(VegasException.NotFound.class, () -> {
                q.check();
                return null;
            }).getMessage(), "no-such-stream");
        }
        thrown(VegasException.BadOption.class, () -> new Producer("not a name!"));
        thrown(VegasException.BadOption.class, () -> consumer(r -> {}, o -> o.store("nothing:else")));
    }

    public void testFailuresThatNobodyLookedAt() throws Exception {
        Producer p = producer();
        p.send("k", new byte[(10 << 20) + 1]);
        p.send("k", new byte[(10 << 20) + 2]);
        VegasException e = thrown(VegasException.TooLarge.class, () -> {
            p.flush();
            return null;
        });
        contains(e.getMessage(), "2 records failed");
        p.flush();
        Box<Throwable> box = new Box<>();
        p.send("k", new byte[(10 << 20) + 1]).whenComplete((r, error) -> box.put(error));
        p.flush();
        equal(1, box.items().size());
        p.close();
        thrown(VegasException.Closed.class, () -> p.send("k", "x"));
        thrown(VegasException.Closed.class, p::stats);
    }

    public void testCallbacksMayDoAnything() throws Exception {
        Producer p = producer(o -> o.bufferBytes(100_000));
        Box<String> box = new Box<>();
        p.send("k", "1").thenAccept(r -> {
            for (int i = 0; i < 300; i++) {
                p.send("k" + i, new byte[2000]); // more than there is room for
            }
            p.flush();
            p.check();
            box.put(r.shard());
            throw new IllegalStateException("a callback's own");
        });
        box.await(1);
        p.flush();
    }

    public void testSlowCallbacksHoldUpWhoSends() throws Exception {
        Producer p = producer(o -> o.bufferBytes(20_000));
        AtomicInteger open = new AtomicInteger();
        int most = 0;
        for (int i = 0; i < 500; i++) {
            most = Math.max(most, open.incrementAndGet());
            p.send("k" + i, new byte[1000]).whenComplete((r, e) -> {
                pause(2);
                open.decrementAndGet();
            });
        }
        p.flush();
        yes(most < 200, most);
        equal(0, open.get());
    }

    /** A program may send with a lock that its callbacks want, too. */
    public void testCallbacksThatWantALockOfWhoSends() throws Exception {
        Producer p = producer(o -> o.bufferBytes(20_000));
        AtomicInteger ended = new AtomicInteger();
        synchronized (this) {
            for (int i = 0; i < 60; i++) {
                p.send("k" + i, new byte[1000]).whenComplete((r, e) -> {
                    synchronized (this) {
                        ended.incrementAndGet();
                    }
                });
            }
        }
        p.flush();
        equal(60, ended.get());
    }

    private static void pause(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    public void testStatsAndTwoGroups() throws Exception {
        Box<String> box = new Box<>();
        Box<Map<String, Object>> told = new Box<>();
        consumer(r -> box.put("a"), o -> o.onStats(told::put).statsEvery(Duration.ofMillis(50)));
        closed(new Consumer(stream, "other", r -> box.put("b"), Local::fast));
        Producer p = producer(o -> o.onStats(told::put).statsEvery(Duration.ofMillis(50)));
        Producer q = producer();
        p.send("k", "1");
        q.send("k", "2");
        equal(List.of("a", "a", "b", "b"), box.await(4).stream().sorted().toList());
        yes(!told.await(3).get(0).isEmpty(), told.items());
    }

    public void testBackPressure() throws Exception {
        int n = 300;
        Box<String> box = new Box<>();
        CountDownLatch go = new CountDownLatch(1);
        Random random = new Random(5);
        try (Producer p = producer(o -> o.bufferBytes(1 << 20))) {
            for (int i = 0; i < n; i++) { // ten times what may be on its way
                byte[] data = new byte[40_000];
                random.nextBytes(data);
                p.send("k" + i, data);
            }
        }
        consumer(r -> {
            go.await();
            box.put(r.partitionKey());
        }, o -> o.window(1 << 20));
        go.countDown();
        equal(n, (int) box.await(n).stream().distinct().count());
    }

    public void testInterruptionsWhileWaitingForRoom() throws Exception {
        Producer p = producer(o -> o.bufferBytes(1000).endpoint("http://127.0.0.1:9").closeTimeout(Duration.ofMillis(100)));
        Box<Object> box = new Box<>();
        Thread t = new Thread(() -> {
            try {
                p.send("k", new byte[500]);
                p.send("k", new byte[500]);
            } catch (VegasException e) {
                box.put(e.code() + Thread.currentThread().isInterrupted());
            }
        });
        t.start();
        Tests.eventually(() -> t.getState() == Thread.State.WAITING);
        t.interrupt();
        equal("buffer_fulltrue", box.await(1).get(0));
    }
}

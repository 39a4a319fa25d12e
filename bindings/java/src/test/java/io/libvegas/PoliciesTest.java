package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.thrown;
import static io.libvegas.Tests.yes;

import io.libvegas.ConsumerOptions.Checkpoint;
import io.libvegas.ConsumerOptions.OnError;
import io.libvegas.Tests.Box;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;

public final class PoliciesTest extends Local {
    public void testSkip() throws Exception {
        Box<String> box = new Box<>();
        consumer(r -> {
            box.put(r.text() + r.attempt());
            if (r.text().equals("bad")) {
                throw new IllegalArgumentException("no good");
            }
        }, o -> o.onError(OnError.SKIP).maxAttempts(2));
        send("1-", "bad", "2-");
        equal(List.of("1-1", "bad1", "bad2", "2-1"), box.await(4));
    }

    public void testStop() throws Exception {
        Consumer c = consumer(r -> {
            throw new IllegalArgumentException("no good");
        }, o -> o.onError(OnError.STOP).maxAttempts(1));
        send("1");
        VegasException e = thrown(VegasException.Handler.class, () -> {
            c.run();
            return null;
        });
        contains(e.text(), "IllegalArgumentException: no good");
        contains(e.text(), "PoliciesTest.java:");
        thrown(VegasException.Closed.class, c::stats);
    }

    public void testDeadLetterAndHold() throws Exception {
        Box<String> box = new Box<>();
        Box<String> letters = new Box<>();
        consumer(r -> {
            box.put(r.text());
            if (r.text().equals("bad")) {
                throw new AssertionError("no good");
            }
        }, o -> o.maxAttempts(1).deadLetter((r, why) -> letters.put(r.text() + " " + why)));
        send("bad", "2");
        contains(letters.await(1).get(0), "bad ");
        contains(letters.items().get(0), "AssertionError: no good");
        box.await(items -> items.contains("2"));
    }

    public void testBatches() throws Exception {
        Box<String> box = new Box<>();
        send("1", "2", "3");
        Consumer c = closed(Consumer.ofBatches(stream, "g", records -> records.forEach(r -> box.put(r.text() + r.attempt())), Local::fast));
        equal(List.of("11", "21", "31"), box.await(3));
        c.close();
        Box<Integer> attempts = new Box<>();
        closed(Consumer.ofBatches(stream, "other", records -> {
            attempts.put(records.get(0).attempt());
            if (attempts.items().size() < 2) {
                throw new IllegalStateException("not yet");
            }
        }, Local::fast));
        equal(List.of(1, 2), attempts.await(2));
    }

    public void testManualCheckpoints() throws Exception {
        send("1", "2", "3");
        Box<Record> box = new Box<>();
        Consumer c = consumer(box::put, o -> o.checkpoint(Checkpoint.MANUAL));
        c.checkpoint(box.await(3).get(1));
        c.close();
        VegasException e = thrown(VegasException.class, () -> {
            c.checkpoint(box.items().get(2));
            return null;
        });
        yes(e instanceof VegasException.LeaseLost || e instanceof VegasException.Closed, e);
        Box<String> again = new Box<>();
        consumer(r -> again.put(r.text()), o -> o.checkpoint(Checkpoint.MANUAL));
        equal("3", again.await(1).get(0));
    }

    public void testExternal() throws Exception {
        send("1", "2", "3");
        Map<String, Position> place = new ConcurrentHashMap<>();
        Box<String> box = new Box<>();
        External begin = shard -> {
            yes(shard.possession() > 0 && shard.parents().isEmpty() && shard.position().equals(Position.TRIM_HORIZON) || shard.position().sequence().length() > 0, shard);
            return place.get(shard.id());
        };
        Consumer c = consumer(r -> {
            place.put(r.shard(), r.position());
            box.put(r.text());
            if (r.text().equals("2")) {
                r.consumer().close(); // which does not wait here
            }
        }, o -> o.external(begin).checkpointEvery(Duration.ofMinutes(1)));
        yes(c.await(Duration.ofSeconds(20)), "it ends");
        Box<String> again = new Box<>();
        consumer(r -> again.put(r.text()), o -> o.external(begin));
        List<String> all = new ArrayList<>(box.items());
        all.addAll(again.await(1));
        equal(List.of("1", "2", "3"), all);
    }

    public void testExternalThatFailsAtFirst() throws Exception {
        Box<String> calls = new Box<>();
        Box<String> box = new Box<>();
        consumer(r -> box.put(r.text()), o -> o.external(shard -> {
            calls.put(shard.id());
            if (calls.items().size() <= 2) {
                throw new IllegalStateException("not yet");
            }
            return null;
        }));
        send("x");
        equal(List.of("x"), box.await(1));
    }

    public void testParallel() throws Exception {
        parallel(o -> o.parallel(5));
    }

    /** With less threads than handlers may run at once, no one waits for another for ever. */
    public void testParallelWithOneThread() throws Exception {
        ExecutorService one = Executors.newSingleThreadExecutor();
        closed(one::shutdown);
        parallel(o -> o.parallel(5).executor(one));
    }

    private void parallel(java.util.function.Consumer<ConsumerOptions> options) throws Exception {
        int n = 300;
        Producer p = producer();
        for (int i = 0; i < n; i++) {
            p.send("k" + i % 9, Integer.toString(i));
        }
        p.flush();
        Box<Record> box = new Box<>();
        consumer(r -> {
            Thread.sleep(1);
            box.put(r);
        }, options);
        List<Record> got = box.await(n);
        for (int k = 0; k < 9; k++) {
            String key = "k" + k;
            List<Integer> mine = got.stream().filter(r -> r.partitionKey().equals(key)).map(r -> Integer.parseInt(r.text())).toList();
            for (int i = 0; i < mine.size(); i++) {
                equal(k + 9 * i, mine.get(i));
            }
        }
    }

    public void testVirtualThreads() throws Exception {
        ExecutorService each;
        try {
            each = (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (NoSuchMethodException e) {
            return; // of a later Java
        }
        closed(each::shutdown);
        Producer p = producer(o -> o.bufferBytes(100_000));
        CountDownLatch all = new CountDownLatch(1000);
        for (int i = 0; i < 1000; i++) {
            String key = "k" + i;
            each.execute(() -> p.send(key, new byte[1000]).join());
        }
        AtomicReference<String> name = new AtomicReference<>();
        consumer(r -> {
            name.set(Thread.currentThread().toString());
            all.countDown();
        }, o -> o.executor(each).parallel(20));
        yes(all.await(30, java.util.concurrent.TimeUnit.SECONDS), all.getCount());
        contains(name.get(), "VirtualThread");
    }

    public void testAnExecutorThatTakesNothing() throws Exception {
        ExecutorService down = Executors.newSingleThreadExecutor();
        down.shutdown();
        Box<String> box = new Box<>();
        consumer(r -> box.put(r.text()), o -> o.executor(down));
        send("x");
        box.await(1);
    }
}

package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.eventually;
import static io.libvegas.Tests.thrown;
import static io.libvegas.Tests.yes;

import io.libvegas.Tests.Box;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

public final class EndsTest extends Local {
    private static VegasException failed(CompletableFuture<Receipt> f) {
        return (VegasException) thrown(ExecutionException.class, () -> f.get(30, TimeUnit.SECONDS)).getCause();
    }

    public void testTheEngineIsKilled() throws Exception {
        Box<String> box = new Box<>();
        Producer p = producer(o -> o.linger(Duration.ofMinutes(1)));
        Consumer c = consumer(r -> box.put(r.text()), o -> o.leaseTime(Duration.ofSeconds(1)));
        Producer q = producer();
        q.send("k", "before").get(10, TimeUnit.SECONDS);
        box.await(1);
        CompletableFuture<Receipt> open = p.send("k", "open");
        p.stats();
        ProcessHandle before = engine();
        before.destroyForcibly();
        VegasException e = failed(open);
        yes(e instanceof VegasException.EngineGone && e.unknown(), e);
        q.send("k", "after").get(20, TimeUnit.SECONDS);
        box.await(items -> items.contains("after"));
        yes(engine().pid() != before.pid(), "another engine");
        c.check();
    }

    public void testAHandlerEndsBehindTheGraceTime() throws Exception {
        Producer p = producer();
        p.send("k", "x").get(10, TimeUnit.SECONDS);
        CountDownLatch began = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        Box<Stopping> why = new Box<>();
        Consumer c = consumer(r -> {
            began.countDown();
            go.await();
            why.put(r.stopping());
        }, o -> o.grace(Duration.ofMillis(100)));
        began.await();
        long engine = engine().pid();
        c.close();
        VegasException e = thrown(VegasException.GraceOver.class, () -> c.await(Duration.ofSeconds(10)));
        contains(e.text(), " (unfinished records: 1)");
        contains(e.remedy(), "grace-over");
        thrown(VegasException.GraceOver.class, () -> {
            c.run();
            return null;
        });
        go.countDown();
        equal(List.of(Stopping.GRACE_OVER), why.await(1));
        Box<Integer> again = new Box<>();
        consumer(r -> again.put(r.attempt()));
        equal(List.of(1), again.await(1));
        equal(engine, engine().pid());
    }

    public void testALeaseIsLostWhileAHandlerRuns() throws Exception {
        send("x");
        Box<Record> first = new Box<>();
        Box<Stopping> why = new Box<>();
        Box<Long> second = new Box<>();
        CountDownLatch go = new CountDownLatch(1);
        Consumer c = consumer(r -> {
            first.put(r);
            go.await();
            why.put(r.stopping());
        }, o -> o.leaseTime(Duration.ofSeconds(1)));
        Record record = first.await(1).get(0);
        long engine = engine().pid();
        signal("STOP", engine);
        try {
            String other = otherEngine();
            closed(new Consumer(stream, "g", r -> second.put(r.possession()), o -> fast(o).engine(other).leaseTime(Duration.ofSeconds(1))));
            yes(second.await(1).get(0) > record.possession(), second.items());
        } finally {
            signal("CONT", engine);
        }
        eventually(() -> record.stopping() != null);
        go.countDown();
        equal(List.of(Stopping.LEASE_LOST), why.await(1));
        c.check();
        equal(engine, engine().pid());
    }

    public void testWhatCouldNotBeOpenedIsNotOpenedAnew() throws Exception {
        String other = otherEngine();
        Producer p = producer(o -> o.engine(other));
        List<Map<String, ?>> odd = List.of(Map.of("dedupe", new Object()));
        thrown(VegasException.BadOption.class, () -> new Consumer(stream, "g", r -> {}, o -> o.engine(other).extensions(odd)));
        ProcessHandle engine = ProcessHandle.of(io.libvegas.internal.Engine.of(other).connect().pid()).orElseThrow();
        engine.destroyForcibly();
        engine.onExit().get(10, TimeUnit.SECONDS);
        p.send("k", "x").handle((receipt, error) -> receipt).get(10, TimeUnit.SECONDS); // it may have been on its way to the one that died
        p.send("k", "y").get(10, TimeUnit.SECONDS);
    }

    public void testCloseRaisesWhatTheEngineDoesNotAnswer() throws Exception {
        String other = otherEngine();
        Producer p = producer(o -> o.engine(other).linger(Duration.ofMinutes(1)));
        CompletableFuture<Receipt> open = p.send("k", "x");
        p.stats();
        long engine = io.libvegas.internal.Engine.of(other).connect().pid();
        signal("STOP", engine);
        try {
            p.send("k", new byte[1 << 20]); // more than a pipe has room for
            eventually(EndsTest::writing);
            CompletableFuture<Receipt> unsent = p.send("k", "y");
            VegasException e = thrown(VegasException.EngineGone.class, () -> {
                p.close(Duration.ZERO);
                return "nothing";
            });
            yes(e.unknown() && open.isDone(), e);
            e = failed(unsent);
            yes(e instanceof VegasException.Timeout && !e.unknown(), e);
        } finally {
            signal("CONT", engine);
        }
    }

    /** Whether records are being written. */
    private static boolean writing() {
        return Thread.getAllStackTraces().values().stream().flatMap(Arrays::stream)
            .anyMatch(f -> f.getClassName().contains("Producer") && f.getMethodName().equals("take"));
    }

    public void testCloseBetweenTwoEnginesLeavesNothingOpen() throws Exception {
        String folder = Files.createTempDirectory("vegas-durable").toString();
        String other = otherEngine();
        Producer p = producer(o -> o.engine(other).durable(folder));
        ProcessHandle engine = ProcessHandle.of(io.libvegas.internal.Engine.of(other).connect().pid()).orElseThrow();
        engine.destroyForcibly();
        engine.onExit().get(10, TimeUnit.SECONDS);
        p.close(Duration.ZERO);
        producer(o -> o.engine(other).durable(folder)).send("k", "x").get(10, TimeUnit.SECONDS); // the folder is nobody's
    }

    private static void signal(String name, long pid) throws Exception {
        equal(0, new ProcessBuilder("kill", "-" + name, Long.toString(pid)).start().waitFor());
    }

    public void testEnginesThatAreNone() {
        VegasException e = thrown(VegasException.EngineMissing.class, () -> new Producer("s", o -> o.engine("/nowhere/vegas-engine")));
        contains(e.getMessage(), "/nowhere/vegas-engine cannot be started");
        e = thrown(VegasException.EngineMissing.class, () -> new Producer("s", o -> o.engine("/bin/true")));
        contains(e.getMessage(), "/bin/true is no vegas engine");
        e = thrown(VegasException.EngineMissing.class, () -> new Producer("s", o -> o.engine("/usr/bin/yes")));
        contains(e.getMessage(), "/usr/bin/yes is no vegas engine: a frame of");
        e = thrown(VegasException.EngineMissing.class, () -> new Producer("s", o -> o.engine("/bin/cat")));
        contains(e.getMessage(), "its first words are not the engine's");
        e = thrown(VegasException.EngineMissing.class, () -> new Producer("s", o -> o.engine("/etc/passwd")));
        contains(e.getMessage(), "give it execute permission");
    }

    public void testAnEngineThatDiesAgainAndAgain() throws Exception {
        Path folder = Files.createTempDirectory("vegas-mortal");
        Path script = folder.resolve("vegas-engine");
        Files.writeString(script, "#!/bin/sh\necho >> " + folder + "/starts\n[ $(wc -l < " + folder + "/starts) = 1 ] && exec " + ENGINE + "\nexit 7\n");
        yes(script.toFile().setExecutable(true), script);
        Producer p = producer(o -> o.engine(script.toString()).linger(Duration.ofMinutes(1)));
        ProcessHandle engine = ProcessHandle.of(io.libvegas.internal.Engine.of(script.toString()).connect().pid()).orElseThrow();
        CompletableFuture<Receipt> open = p.send("k", "x");
        p.stats();
        engine.destroyForcibly();
        yes(failed(open).unknown(), open);
        CompletableFuture<Receipt> waits = p.send("k", "y");
        contains(failed(waits).getMessage(), "5 times within a minute");
        thrown(VegasException.EngineGone.class, () -> p.send("k", "z"));
    }

    private Map<String, String> environment() {
        return server().environment();
    }

    public void testExitWhileBusy() throws Exception {
        equal("", Programs.start("busy", environment(), stream).end(0));
        Set<String> seen = ConcurrentHashMap.newKeySet();
        consumer(r -> seen.add(r.text()));
        eventually(() -> seen.size() == 20_000);
    }

    public void testExitWithoutAService() throws Exception {
        contains(Programs.start("nowhere", environment()).end(0), "10 records");
    }

    public void testSigtermBesideAHandlerThatNeverReturns() throws Exception {
        send("1", "2");
        Programs.Child child = Programs.start("receive", environment(), stream);
        equal(List.of("1", "2"), List.of(child.line(), child.line()));
        long began = System.nanoTime();
        signal("TERM", child.process().pid());
        child.end(143);
        yes(System.nanoTime() - began < TimeUnit.SECONDS.toNanos(8), "it takes long");
        Box<String> box = new Box<>();
        consumer(r -> box.put(r.text()));
        box.await(items -> items.contains("2")); // its lease was given back, which has a minute
    }

    public void testTheHostIsKilled() throws Exception {
        send("1", "2");
        Programs.Child child = Programs.start("receive", environment(), stream);
        equal(List.of("1", "2"), List.of(child.line(), child.line()));
        child.process().destroyForcibly();
        Box<String> box = new Box<>();
        consumer(r -> box.put(r.text()));
        // The engine saw its end, and gave the shards back before the lease did.
        box.await(items -> items.contains("2"));
    }

    public void testDurableProducerWhoseHostIsKilled() throws Exception {
        Path folder = Files.createTempDirectory("vegas-durable");
        Programs.Child child = Programs.start("durable", environment(), stream, folder.toString());
        for (String line = child.line(); !"true".equals(line); line = child.line()) {
            yes(line != null, "it has ended"); // and what it logs comes by the same way
        }
        child.process().destroyForcibly();
        Box<Integer> box = new Box<>();
        consumer(r -> box.put(Integer.parseInt(r.text())));
        eventually(() -> {
            try {
                producer(o -> o.durable(folder.toString()));
                return true;
            } catch (VegasException e) { // the engine of the host that died is ending
                return false;
            }
        });
        equal(IntStream.range(0, 1000).boxed().toList(), box.await(1000));
    }

    public void testTheSample() throws Exception {
        for (int i = 0; i < 2; i++) {
            Programs.Child child = Programs.start("Sample", environment());
            Set<String> lines = Set.of(child.line(), child.line());
            equal(Set.of("Consumer is running. Press ctrl+c to stop", "partition-key:message"), lines);
            signal("TERM", child.process().pid());
            child.end(143);
        }
    }
}

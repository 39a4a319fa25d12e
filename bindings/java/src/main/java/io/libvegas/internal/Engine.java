package io.libvegas.internal;

import io.libvegas.VegasException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The engine: one process for all producers and consumers of a program. It is started at
 * its first use and lives until the program ends. When it dies, a new one is started, and
 * what was open is opened anew.
 *
 * <p>Threads, all of them daemons: vegas-engine starts the process and reads its frames,
 * vegas-writer writes what has gathered, vegas-callbacks calls what is the program's own.
 */
public final class Engine {
    static final String VERSION = "0.1.0";

    private static final int STARTS = 5; // that many within a minute are enough
    private static final long BACKOFF = 100; // milliseconds

    // Engines of this process, by path.
    private static final Map<String, Engine> ENGINES = new HashMap<>();
    private static final ReentrantLock REGISTRY = new ReentrantLock();
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private static boolean hooked; // of REGISTRY

    private final String path;
    private final Map<Long, Client> clients = new ConcurrentHashMap<>();
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // Of the lock:
    private Session session;
    private boolean running;
    private VegasException failed;

    private volatile boolean closing;

    private Engine(String path) {
        this.path = path;
    }

    /** The engine of a binary: the one named, that of VEGAS_ENGINE, or the package's. */
    public static Engine of(String given) {
        String path = given;
        if (path == null || path.isEmpty()) {
            path = System.getenv("VEGAS_ENGINE");
        }
        REGISTRY.lock();
        try {
            if (path == null || path.isEmpty()) {
                path = Binary.unpacked();
            }
            if (!hooked) {
                Runtime.getRuntime().addShutdownHook(new Thread(Engine::exit, "vegas-exit"));
                hooked = true;
            }
            return ENGINES.computeIfAbsent(path, Engine::new);
        } catch (IllegalStateException e) {
            throw ending();
        } finally {
            REGISTRY.unlock();
        }
    }

    /** A number for a client or a local server. */
    public static int number() {
        return NUMBERS.incrementAndGet();
    }

    static Thread daemon(String name, Runnable run) {
        Thread t = new Thread(run, name);
        t.setDaemon(true);
        return t;
    }

    private static VegasException ending() {
        return VegasException.of("engine_gone", "the program is ending", null, true, null);
    }

    Client client(long number) {
        return clients.get(number);
    }

    /** The session, started where there is none. Throws where there cannot be. */
    public Session connect() {
        lock.lock();
        try {
            if (!running && failed == null) {
                running = true;
                daemon("vegas-engine", this::run).start();
            }
            while (session == null) {
                if (failed != null) {
                    throw Limit.again(failed);
                }
                changed.await();
            }
            return session;
        } catch (InterruptedException e) {
            throw Limit.interrupted();
        } finally {
            lock.unlock();
        }
    }

    /** Opens a client now and in every session to come. */
    public void attach(Client client) {
        lock.lock();
        try {
            if (!running) {
                throw failed != null ? Limit.again(failed) : ending();
            }
            clients.put((long) client.number(), client);
            if (session != null) {
                try {
                    open(session, client);
                } catch (VegasException e) { // an option cannot cross
                    detach(client);
                    throw e;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    public void detach(Client client) {
        clients.remove((long) client.number());
    }

    private void open(Session session, Client client) {
        session.call(client.openMethod(), client.openArguments(), (answer, error) -> {
            if (error instanceof VegasException.EngineGone) {
                return; // it is opened in the next session
            }
            if (error != null) {
                detach(client);
                client.broken(error);
            } else {
                client.opened(session, answer);
            }
        });
    }

    private void run() {
        ArrayDeque<Long> starts = new ArrayDeque<>();
        boolean first = true;
        for (;;) {
            long now = System.nanoTime();
            starts.removeIf(t -> now - t > TimeUnit.MINUTES.toNanos(1));
            starts.add(now);
            VegasException why;
            try {
                Session next = new Session(path);
                next.hello();
                first = false;
                begin(next);
                why = next.read(this);
                lock.lock();
                session = null;
                lock.unlock();
                next.end(why);
                for (Client client : clients.values()) {
                    client.lost(next, why);
                }
            } catch (VegasException e) {
                if (first) { // nothing is open yet: the next call may try again
                    end(e, true);
                    return;
                }
                why = e;
            }
            if (closing) {
                end(ending(), false);
                return;
            }
            if (starts.size() >= STARTS) {
                end(VegasException.of("engine_gone", "the engine has ended " + starts.size() + " times within a minute; the last time: " + why.text(),
                    "what kills it is on standard error", true, null), false);
                return;
            }
            Log.warn(why.getMessage() + "; starting another one");
            try {
                Thread.sleep(BACKOFF << (starts.size() - 1));
            } catch (InterruptedException e) {
                // Then at once.
            }
        }
    }

    private void begin(Session next) {
        lock.lock();
        try {
            session = next;
            for (Client client : clients.values()) {
                open(next, client);
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void end(VegasException why, boolean retry) {
        List<Client> left;
        lock.lock();
        try {
            failed = why;
            running = false;
            left = new ArrayList<>(clients.values());
            clients.clear();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        for (Client client : left) {
            client.broken(why);
        }
        if (retry) {
            // Whoever waits has woken with the reason; later ones try anew.
            REGISTRY.lock();
            try {
                ENGINES.remove(path, this);
            } finally {
                REGISTRY.unlock();
            }
        }
    }

    /** The program ends: consumers, then producers, then the engines. */
    private static void exit() {
        List<Engine> engines;
        REGISTRY.lock();
        try {
            engines = new ArrayList<>(ENGINES.values());
        } finally {
            REGISTRY.unlock();
        }
        for (boolean first : new boolean[] {true, false}) {
            List<Client> all = new ArrayList<>();
            for (Engine e : engines) {
                e.clients.values().stream().filter(c -> c.endsFirst() == first).forEach(all::add);
            }
            all.forEach(Client::exitBegin);
            long began = System.nanoTime();
            for (Client c : all) {
                c.exitEnd(began);
            }
        }
        for (Engine e : engines) {
            e.closing = true;
            e.lock.lock();
            Session session = e.session;
            e.lock.unlock();
            if (session != null) {
                session.close(2);
            }
        }
    }
}

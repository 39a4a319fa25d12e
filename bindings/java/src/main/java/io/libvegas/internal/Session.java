package io.libvegas.internal;

import io.libvegas.VegasException;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;

/** One process of the engine, from its start to its end. */
public final class Session {
    /** How many calls may be without an answer; what is beyond waits here. */
    private static final int CALLS = 1000;

    // Errors of the system.
    private static final int ENOEXEC = 8;
    private static final int EACCES = 13;
    private static final int ETXTBSY = 26;

    private static final byte[] END = new byte[0];

    private final String path;
    private final Process process;
    private final OutputStream out;
    private final InputStream in;
    private final LinkedBlockingQueue<Object> queue = new LinkedBlockingQueue<>();

    private final ReentrantLock lock = new ReentrantLock();
    // Of the lock:
    private final Map<Long, BiConsumer<Map<String, Object>, VegasException>> calls = new HashMap<>();
    private final ArrayDeque<byte[]> later = new ArrayDeque<>();
    private long number;
    private VegasException ended;

    private VegasException reason; // of the reader

    /** Starts the engine. */
    Session(String path) {
        this.path = path;
        try {
            process = start(path);
        } catch (IOException e) {
            throw missing(path, e);
        }
        out = process.getOutputStream();
        in = new BufferedInputStream(process.getInputStream(), 64 << 10);
    }

    private static Process start(String path) throws IOException {
        for (int tries = 1; ; tries++) {
            try {
                return new ProcessBuilder(path).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            } catch (IOException e) {
                // Text file busy: another thread started a process while the file was being
                // written, and that one has it open for a moment.
                if (tries == 5 || !failedBy(e, ETXTBSY)) {
                    throw e;
                }
            }
            try {
                Thread.sleep(20L * tries);
            } catch (InterruptedException e) {
                throw Limit.interrupted();
            }
        }
    }

    private static VegasException missing(String path, IOException e) {
        String remedy = "name one by the option engine or VEGAS_ENGINE";
        if (failedBy(e, EACCES)) {
            remedy = mayBeStarted(path) ? "its file system is mounted noexec: name a folder elsewhere by -Dvegas.dir, or an engine by VEGAS_ENGINE"
                : "give it execute permission";
        } else if (failedBy(e, ENOEXEC)) {
            remedy = "it is of another system or architecture: use the package for this one";
        }
        return VegasException.of("engine_missing", "the engine " + path + " cannot be started: " + e.getMessage(), remedy, false, e);
    }

    /** Whether a process could not be started by an error of the system, which is in the text alone. */
    private static boolean failedBy(IOException e, int number) {
        return String.valueOf(e.getMessage()).matches("(?s).*error[=:] ?" + number + "\\b.*");
    }

    private static boolean mayBeStarted(String path) {
        try {
            return Files.getPosixFilePermissions(Path.of(path)).contains(PosixFilePermission.OWNER_EXECUTE);
        } catch (IOException | UnsupportedOperationException e) {
            return false;
        }
    }

    /** Shakes hands; throws where this is no engine. */
    void hello() {
        CompletableFuture<Boolean> shaken = new CompletableFuture<>(); // whether it was in time
        CompletableFuture.delayedExecutor(Spec.HELLO_TIMEOUT, TimeUnit.MICROSECONDS).execute(() -> {
            if (shaken.complete(false)) {
                process.destroyForcibly();
            }
        });
        try {
            Map<String, Object> hello = new LinkedHashMap<>();
            hello.put("protocol", List.of(Spec.PROTOCOL, Spec.PROTOCOL));
            hello.put("language", "java");
            hello.put("version", Engine.VERSION);
            hello.put("pid", ProcessHandle.current().pid());
            hello.put("log", Log.wanted());
            out.write(Value.frame(Spec.KIND_HELLO, hello));
            out.flush();
            Frame first = read();
            if (first != null && first.kind == Spec.KIND_FAIL) {
                throw Value.error(Value.decodeMap(first.body).get("error"));
            }
            if (first == null || first.kind != Spec.KIND_HELLO || !(Value.decodeMap(first.body).get("protocol") instanceof Long protocol)) {
                throw Value.broken("its first words are not the engine's");
            }
            if (protocol != Spec.PROTOCOL) {
                throw VegasException.of("version", "the engine " + path + " speaks protocol " + protocol + ", this package " + Spec.PROTOCOL,
                    "use the engine that comes with the package", false, null);
            }
        } catch (IOException | VegasException.Protocol e) {
            kill();
            String why = path + " is no vegas engine: " + e.getMessage() + " (" + status() + ")";
            if (!shaken.getNow(true)) {
                why = "the engine " + path + " did not say hello within " + Spec.HELLO_TIMEOUT / 1_000_000 + " s";
            }
            throw VegasException.of("engine_missing", why,
                "name one by the option engine or VEGAS_ENGINE, or leave both to the one in the package", false, e);
        } catch (VegasException e) {
            kill();
            throw e;
        } finally {
            shaken.complete(true);
        }
        Engine.daemon("vegas-writer", this::write).start();
    }

    public long pid() {
        return process.pid();
    }

    public boolean over() {
        lock.lock();
        try {
            return ended != null;
        } finally {
            lock.unlock();
        }
    }

    // Out.

    /** Leaves a frame to the writer. Waits for nobody. */
    public void put(byte[] frame) {
        queue.add(frame);
    }

    /** Leaves a client that has frames to the writer. */
    public void put(Client client) {
        queue.add(client);
    }

    private void write() {
        Sink sink = new Sink(out);
        try {
            for (;;) {
                Object item = queue.poll();
                if (item == null) {
                    sink.flush();
                    item = queue.take();
                }
                if (item == END) {
                    sink.flush();
                    return;
                }
                if (item instanceof Client client) {
                    client.take(this, sink);
                } else {
                    byte[] frame = (byte[]) item;
                    sink.write(frame, 0, frame.length);
                }
            }
        } catch (IOException e) {
            // The reader sees the end, and why.
        } catch (InterruptedException e) {
            Log.warn("somebody has interrupted the engine's writer, which ends the engine");
        } catch (Throwable e) {
            Log.LOGGER.log(System.Logger.Level.ERROR, "what is sent to the engine cannot be written", e);
        } finally {
            hangUp();
        }
    }

    private void hangUp() {
        try {
            out.close();
        } catch (IOException e) {
            // It has ended already.
        }
    }

    /** Calls the engine; done is called once, with results or an error, by the reader. */
    public void call(String method, Map<String, Object> arguments, BiConsumer<Map<String, Object>, VegasException> done) {
        Map<String, Object> call = new LinkedHashMap<>(arguments);
        call.put("method", method);
        VegasException why;
        lock.lock();
        try {
            why = ended;
            if (why == null) {
                call.put("call", ++number);
                byte[] frame = Value.frame(Spec.KIND_CALL, call);
                calls.put(number, done);
                if (calls.size() > CALLS) {
                    later.add(frame);
                } else {
                    put(frame);
                }
            }
        } finally {
            lock.unlock();
        }
        if (why != null) {
            done.accept(null, why);
        }
    }

    /** Calls the engine; the future has its answer. */
    public CompletableFuture<Map<String, Object>> request(String method, Map<String, Object> arguments) {
        CompletableFuture<Map<String, Object>> answer = new CompletableFuture<>();
        call(method, arguments, (results, error) -> {
            if (error != null) {
                answer.completeExceptionally(error);
            } else {
                answer.complete(results);
            }
        });
        return answer;
    }

    /** Answers a call of the engine. */
    public void answer(long call, Map<String, Object> results) {
        Map<String, Object> answer = new LinkedHashMap<>(results);
        answer.put("call", call);
        put(Value.frame(Spec.KIND_ANSWER, answer));
    }

    /** Answers with an error. */
    public void refuse(long call, String code, String text) {
        answer(call, Map.of("error", Map.of("code", code, "text", text)));
    }

    /** Tells the engine that it does not keep to the protocol. */
    public void fail(VegasException e) {
        put(Value.frame(Spec.KIND_FAIL, Map.of("error", Map.of("code", e.code(), "text", e.text()))));
        put(END);
    }

    // In.

    private record Frame(int kind, byte[] body) {}

    /** The next frame, or null where the other side has ended. */
    private Frame read() throws IOException {
        byte[] head = in.readNBytes(5);
        if (head.length < 5) {
            return null;
        }
        long size = Integer.toUnsignedLong(ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN).getInt());
        if (size < 1 || size > Spec.FRAME_BYTES) {
            throw Value.broken("a frame of " + size + " bytes");
        }
        byte[] body = new byte[(int) size - 1];
        if (in.readNBytes(body, 0, body.length) < body.length) {
            throw new EOFException("a frame is cut off");
        }
        return new Frame(head[4] & 0xff, body);
    }

    /** Takes in frames until there are no more, and says why. */
    VegasException read(Engine engine) {
        try {
            for (Frame f = read(); f != null; f = read()) {
                take(engine, f.kind, f.body);
            }
        } catch (IOException e) {
            // The process has ended.
        } catch (VegasException e) {
            reason = e;
            fail(e);
            linger();
        } catch (Throwable e) {
            Log.LOGGER.log(System.Logger.Level.ERROR, "what the engine says cannot be taken in", e);
            reason = VegasException.of("failed", e.toString(), null, false, e);
        }
        kill();
        return VegasException.of("engine_gone", "the engine has ended (" + (reason != null ? reason.text() : status()) + ")",
            reason != null ? reason.remedy() : null, true, null);
    }

    private void take(Engine engine, int kind, byte[] body) {
        switch (kind) {
            case Spec.KIND_REPORT, Spec.KIND_DELIVER, Spec.KIND_STOP -> {
                if (body.length < 4) {
                    throw Value.broken("a frame of records is cut off");
                }
                Client client = engine.client(ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).getInt());
                if (client != null) {
                    client.frame(this, kind, body);
                }
            }
            case Spec.KIND_ANSWER -> answered(Value.decodeMap(body));
            case Spec.KIND_CALL -> {
                Map<String, Object> call = Value.decodeMap(body);
                Client client = engine.client(number(call, "consumer"));
                if (client == null) {
                    refuse(number(call, "call"), "closed", "there is no such consumer any more");
                } else {
                    client.called(this, number(call, "call"), call);
                }
            }
            case Spec.KIND_EVENT -> {
                Map<String, Object> event = Value.decodeMap(body);
                if ("log".equals(event.get("event"))) {
                    Callbacks.put(() -> Log.write(event));
                    return;
                }
                Client client = engine.client(number(event, event.containsKey("producer") ? "producer" : "consumer"));
                if (client != null) {
                    client.event(event);
                }
            }
            case Spec.KIND_FAIL -> reason = Value.error(Value.decodeMap(body).get("error"));
            default -> {
                // Of a later release.
            }
        }
    }

    /** A number of a call or event; 0 where it is missing. */
    public static long number(Map<String, Object> of, String name) {
        return of.get(name) instanceof Long n ? n : 0;
    }

    private void answered(Map<String, Object> answer) {
        BiConsumer<Map<String, Object>, VegasException> done;
        lock.lock();
        try {
            done = calls.remove(number(answer, "call"));
            byte[] next = later.poll();
            if (next != null) {
                put(next);
            }
        } finally {
            lock.unlock();
        }
        if (done == null) {
            throw Value.broken("the engine answers what nobody asked");
        }
        Object error = answer.get("error");
        done.accept(answer, error == null ? null : Value.error(error));
    }

    // The end.

    /** Fails what was asked and not answered. */
    void end(VegasException why) {
        List<BiConsumer<Map<String, Object>, VegasException>> open;
        lock.lock();
        try {
            ended = why;
            open = new ArrayList<>(calls.values());
            calls.clear();
            later.clear();
        } finally {
            lock.unlock();
        }
        put(END);
        open.forEach(done -> done.accept(null, why));
    }

    /** Closes the engine's input, and gives it time to end. */
    void close(long seconds) {
        put(END);
        try {
            process.waitFor(seconds, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Lets the engine read the last frame. */
    private void linger() {
        try {
            process.waitFor(1, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            // Then it does not.
        }
    }

    private void kill() {
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            // It ends all the same.
        }
        try {
            in.close();
        } catch (IOException e) {
            // It is closed.
        }
    }

    private String status() {
        try {
            return "exit status " + process.exitValue();
        } catch (IllegalThreadStateException e) {
            return "it runs";
        }
    }
}

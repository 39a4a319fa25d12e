package io.libvegas.internal;

import io.libvegas.VegasException;
import java.io.IOException;
import java.util.Map;

/**
 * A producer or consumer, as the engine sees it. All but take and exit are called by the
 * engine's reader, and do not wait.
 */
public interface Client {
    int number();

    /** The call that opens it. */
    String openMethod();

    Map<String, Object> openArguments();

    void opened(Session session, Map<String, Object> answer);

    /** It could not be opened, or there will be no engine any more. */
    void broken(VegasException error);

    /** The session has ended; another one comes. */
    void lost(Session session, VegasException why);

    void frame(Session session, int kind, byte[] body);

    void called(Session session, long call, Map<String, Object> arguments);

    void event(Map<String, Object> event);

    /** Writes what has gathered. Called by the writer, after put(client). */
    void take(Session session, Sink sink) throws IOException;

    /** Consumers end before producers, which their handlers may use. */
    boolean endsFirst();

    /** The program ends: begins to close. */
    void exitBegin();

    /** Waits for the end, which began then (System.nanoTime). */
    void exitEnd(long began);
}

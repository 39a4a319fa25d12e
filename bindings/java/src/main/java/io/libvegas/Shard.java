package io.libvegas;

import io.libvegas.internal.Session;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A shard, from the moment that this worker has it until it has not. */
public final class Shard {
    final Session session;
    final long number;
    private final Consumer consumer;
    private final String id;
    private final List<String> parents = new ArrayList<>();
    private final long possession;
    private final Position position;
    private final long takeovers;
    private volatile Stopping stopping;

    Shard(Consumer consumer, Session session, Map<String, Object> of) {
        this.consumer = consumer;
        this.session = session;
        number = Session.number(of, "shard");
        id = String.valueOf(of.get("id"));
        if (of.get("parents") instanceof List<?> all) {
            all.forEach(p -> parents.add(String.valueOf(p)));
        }
        possession = Session.number(of, "possession");
        position = new Position(String.valueOf(of.get("sequence")), Session.number(of, "sub"));
        takeovers = Session.number(of, "takeovers");
    }

    /** As the stream names it. */
    public String id() {
        return id;
    }

    public String stream() {
        return consumer.stream();
    }

    public Consumer consumer() {
        return consumer;
    }

    public List<String> parents() {
        return List.copyOf(parents);
    }

    /** Fencing token: it grows with each owner of the shard. */
    public long possession() {
        return possession;
    }

    /** Behind which reading begins, as the group's store has it. */
    public Position position() {
        return position;
    }

    /** How many owners died at that position. */
    public long takeovers() {
        return takeovers;
    }

    /** Why nothing further is begun, or null. */
    public Stopping stopping() {
        return stopping;
    }

    void stop(Stopping why) {
        stopping = why;
    }

    @Override
    public String toString() {
        return "Shard(" + id + ")";
    }
}

package io.libvegas;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/** Records that wait to be written, in batches. Whoever calls holds the producer's lock. */
final class Gathered {
    private final ArrayDeque<Batch> full = new ArrayDeque<>();
    private Batch last = new Batch();
    private Batch spare;

    int count() {
        int n = last.count();
        for (Batch b : full) {
            n += b.count();
        }
        return n;
    }

    void add(byte[] key, byte[] hash, byte[] headers, byte[] data, Sent sent) {
        if (!last.hasRoom(key.length + hash.length + headers.length + data.length)) {
            full.add(last);
            last = new Batch();
        }
        last.add(key, hash, headers, data, sent);
    }

    /** Takes all out, to be written. */
    List<Batch> take() {
        List<Batch> all = new ArrayList<>(full);
        full.clear();
        all.add(last);
        last = spare != null ? spare : new Batch();
        spare = null;
        return all;
    }

    /** Takes all out that will not be written. */
    List<Sent> clear() {
        List<Sent> all = new ArrayList<>();
        for (Batch b : take()) {
            for (int i = 0; i < b.count(); i++) {
                all.add(b.sent(i));
            }
        }
        return all;
    }

    /** An empty batch that may be used again. */
    void giveBack(Batch b) {
        spare = b;
    }
}

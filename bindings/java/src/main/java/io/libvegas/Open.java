package io.libvegas;

import java.util.ArrayList;
import java.util.List;

/** Records without a report, by their numbers: a hash table that makes nothing per record. */
final class Open {
    private Sent[] table = new Sent[1 << 10];
    private int shift = 64 - 10;
    private int count;

    int count() {
        return count;
    }

    void add(Sent sent) {
        if (2 * count >= table.length) {
            grow();
        }
        insert(sent);
        count++;
    }

    /** The record of a number, which is open no longer; null if it was not. */
    Sent remove(long number) {
        int mask = table.length - 1;
        for (int i = home(number); table[i] != null; i = (i + 1) & mask) {
            Sent sent = table[i];
            if (sent.number == number) {
                close(i);
                count--;
                return sent;
            }
        }
        return null;
    }

    /** Takes all out, in the order of their numbers. */
    List<Sent> clear() {
        List<Sent> all = new ArrayList<>(count);
        for (int i = 0; i < table.length; i++) {
            if (table[i] != null) {
                all.add(table[i]);
                table[i] = null;
            }
        }
        count = 0;
        all.sort((a, b) -> Long.compare(a.number, b.number));
        return all;
    }

    // Numbers that follow each other are spread evenly.
    private int home(long number) {
        return (int) ((number * 0x9E3779B97F4A7C15L) >>> shift);
    }

    private void insert(Sent sent) {
        int i = home(sent.number);
        while (table[i] != null) {
            i = (i + 1) & (table.length - 1);
        }
        table[i] = sent;
    }

    private void grow() {
        Sent[] before = table;
        table = new Sent[2 * before.length];
        shift--;
        for (Sent sent : before) {
            if (sent != null) {
                insert(sent);
            }
        }
    }

    /** Empties a place, and moves up those behind it that would not be found any more. */
    private void close(int free) {
        int mask = table.length - 1;
        for (int i = (free + 1) & mask; table[i] != null; i = (i + 1) & mask) {
            // It may move if its home is not behind the free place.
            if (((i - home(table[i].number)) & mask) >= ((i - free) & mask)) {
                table[free] = table[i];
                free = i;
            }
        }
        table[free] = null;
    }
}

package io.libvegas;

import io.libvegas.internal.Spec;
import io.libvegas.internal.Value;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/** A run of records of one shard, as it was delivered, and what is to be said about it. */
final class Chunk {
    private static final int HEAD = 25;
    private static final int ROW = 32;
    private static final int DEAD_LETTER = 1; // of a chunk
    private static final int LAST_WORD = 1; // of what is said
    // So that failures never make a frame too large, however many they are.
    private static final int TEXT = 32 << 10; // bytes of one
    private static final int TEXTS = 8 << 20; // bytes of all

    /** The failure of a record. */
    record Failure(int index, String text) {}

    final long shard;
    private final int consumer;
    private final int number;
    private final boolean dead;
    private final int count;
    private final String text;
    private final byte[] body;
    private final int rows;

    Chunk(byte[] body) {
        if (body.length < HEAD) {
            throw Value.broken("a chunk is cut off");
        }
        ByteBuffer b = little(body);
        consumer = b.getInt();
        shard = Integer.toUnsignedLong(b.getInt());
        number = b.getInt();
        b.getInt(); // how far behind the tip of the shard
        dead = (b.get() & DEAD_LETTER) != 0;
        count = b.getInt();
        int size = b.getInt();
        if (size < 0 || size > b.remaining() || count < 0 || (long) count * ROW > b.remaining() - size) {
            throw Value.broken("a chunk is cut off");
        }
        text = new String(body, HEAD, size, StandardCharsets.UTF_8);
        rows = HEAD + size;
        this.body = body;
    }

    private static ByteBuffer little(byte[] b) {
        return ByteBuffer.wrap(b).order(ByteOrder.LITTLE_ENDIAN);
    }

    int count() {
        return count;
    }

    /** Whether its one record is for the dead letters; text then is its last error. */
    boolean dead() {
        return dead;
    }

    String text() {
        return text;
    }

    List<Record> records(Shard from) {
        ByteBuffer b = little(body);
        List<Record> all = new ArrayList<>(count);
        int at = rows + count * ROW;
        String sequence = "";
        for (int row = rows, i = 0; i < count; i++, row += ROW) {
            int data = b.getInt(row);
            int headers = b.getInt(row + 4);
            int key = b.getShort(row + 8) & 0xffff;
            int hash = b.get(row + 10) & 0xff;
            int seq = b.get(row + 11) & 0xff;
            if (data < 0 || headers < 0 || (long) data + headers + key + hash + seq > body.length - at) {
                throw Value.broken("the rows of a chunk do not speak of its bytes");
            }
            String k = string(at, key);
            at += key;
            String explicit = hash == 0 ? "" : string(at, hash);
            at += hash;
            if (seq > 0) {
                sequence = string(at, seq);
            }
            at += seq;
            byte[] h = headers == 0 ? NOTHING : Arrays.copyOfRange(body, at, at + headers);
            at += headers;
            byte[] d = Arrays.copyOfRange(body, at, at + data);
            at += data;
            all.add(new Record(from, k, d, explicit, sequence, b.getLong(row + 16), b.getLong(row + 24), b.getShort(row + 14) & 0xffff,
                b.get(row + 12), h));
        }
        if (at != body.length) {
            throw Value.broken("the rows of a chunk do not speak of its bytes");
        }
        return all;
    }

    private static final byte[] NOTHING = new byte[0];

    private String string(int from, int n) {
        return new String(body, from, n, StandardCharsets.UTF_8);
    }

    /** The frame that says which records are done with, from one index to below another. */
    byte[] settle(boolean last, int from, int to, List<Failure> failures) {
        BitSet done = new BitSet();
        done.set(from, to);
        return settle(last, done, failures);
    }

    /** The frame that says which records are done with. */
    byte[] settle(boolean last, BitSet done, List<Failure> failures) {
        List<int[]> ranges = new ArrayList<>();
        for (int i = done.nextSetBit(0); i >= 0; ) {
            int end = done.nextClearBit(i);
            ranges.add(new int[] {i, end});
            i = done.nextSetBit(end);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteBuffer part = ByteBuffer.allocate(21).order(ByteOrder.LITTLE_ENDIAN);
        part.putInt(consumer).putInt((int) shard).putInt(number).put((byte) (last ? LAST_WORD : 0)).putInt(ranges.size()).putInt(failures.size());
        out.write(part.array(), 0, 21);
        for (int[] r : ranges) {
            part.putInt(0, r[0]).putInt(4, r[1]);
            out.write(part.array(), 0, 8);
        }
        int most = Math.min(TEXT, TEXTS / Math.max(1, failures.size()));
        for (Failure f : failures) {
            byte[] t = brief(f.text, most / 3).getBytes(StandardCharsets.UTF_8); // a character takes 3 bytes at most
            part.putInt(0, f.index).putInt(4, t.length);
            out.write(part.array(), 0, 8);
            out.writeBytes(t);
        }
        return Value.frame(Spec.KIND_SETTLE, out.toByteArray());
    }

    private static String brief(String text, int most) {
        if (text.length() <= most) {
            return text;
        }
        return text.substring(0, most / 2) + "\n...\n" + text.substring(text.length() - most / 2);
    }
}

package io.libvegas;

import io.libvegas.internal.Sink;
import io.libvegas.internal.Spec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Records that gather to cross together, as they cross. */
final class Batch {
    /** The most that one record may have, so that it fits into a frame. */
    static final int RECORD_MOST = Spec.FRAME_BYTES - 64;

    static final byte[] NOTHING = new byte[0];

    private static final int ROW = 12;
    private static final int HEAD = 5 + 16;
    private static final int MOST = 4 << 20; // bytes of several records, with their rows
    private static final int KEPT = 1 << 20; // of a batch that is used again

    private ByteBuffer head = little(HEAD + 256 * ROW); // the frame's head, and rows
    private byte[] bytes = new byte[32 << 10];
    private int size;
    private Sent[] sents = new Sent[256];
    private int count;

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    int count() {
        return count;
    }

    Sent sent(int i) {
        return sents[i];
    }

    boolean hasRoom(int more) {
        return count == 0 || (count + 1) * ROW + size + more <= MOST;
    }

    /** Takes a record in, whose parts together are RECORD_MOST bytes at most. */
    void add(byte[] key, byte[] hash, byte[] headers, byte[] data, Sent sent) {
        int all = key.length + hash.length + headers.length + data.length;
        if (count == sents.length) {
            sents = Arrays.copyOf(sents, 2 * count);
            head = little(HEAD + 2 * count * ROW).put(head.array(), 0, HEAD + count * ROW);
        }
        if (size + all > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, size + all));
        }
        int row = HEAD + count * ROW;
        head.putInt(row, data.length).putInt(row + 4, headers.length).putShort(row + 8, (short) key.length).put(row + 10, (byte) hash.length);
        System.arraycopy(key, 0, bytes, size, key.length);
        size += key.length;
        if (hash.length + headers.length > 0) {
            System.arraycopy(hash, 0, bytes, size, hash.length);
            size += hash.length;
            System.arraycopy(headers, 0, bytes, size, headers.length);
            size += headers.length;
        }
        System.arraycopy(data, 0, bytes, size, data.length);
        size += data.length;
        sents[count++] = sent;
    }

    /** Writes the frame of the records, the first of which has that number. */
    void write(int producer, long first, Sink sink) throws IOException {
        int rows = HEAD + count * ROW;
        head.putInt(0, rows - 4 + size).put(4, (byte) Spec.KIND_SEND).putInt(5, producer).putLong(9, first).putInt(17, count);
        sink.write(head.array(), 0, rows);
        sink.write(bytes, 0, size);
    }

    /** Empties it; false where it has grown too large to be kept. */
    boolean clear() {
        Arrays.fill(sents, 0, count, null);
        count = 0;
        size = 0;
        return bytes.length <= KEPT && sents.length <= KEPT / 64;
    }

    static VegasException tooLarge(long bytes) {
        return new VegasException.TooLarge("a record of " + bytes + " bytes exceeds what any stream takes", "records reach 10 MiB, headers included");
    }

    // What a record may be.

    static byte[] key(String key) {
        byte[] b = given(key, "the partition key").getBytes(StandardCharsets.UTF_8);
        if (b.length == key.length() && b.length > 0 && b.length <= Spec.KEY_CHARACTERS && !malformed(key, b)) {
            return b; // ASCII
        }
        int characters = key.codePointCount(0, key.length());
        if (characters < 1 || characters > Spec.KEY_CHARACTERS) {
            throw new IllegalArgumentException("the partition key has " + characters + " characters, want 1 to " + Spec.KEY_CHARACTERS);
        }
        if (malformed(key, b)) {
            throw new IllegalArgumentException("the partition key is no Unicode text (it has lone surrogates): decode it with the right encoding");
        }
        return b;
    }

    /** Whether something in a key had no bytes, and became a question mark. */
    private static boolean malformed(String key, byte[] b) {
        for (byte c : b) {
            if (c == '?') {
                return !new String(b, StandardCharsets.UTF_8).equals(key);
            }
        }
        return false;
    }

    /** The bytes of an explicit hash key, none of null. */
    static byte[] hash(String decimal) {
        if (decimal == null) {
            return NOTHING;
        }
        if (!decimal.matches("[0-9]{1,39}")) {
            throw new IllegalArgumentException("the explicit hash key is no decimal number from 0 to 2^128-1");
        }
        return decimal.getBytes(StandardCharsets.UTF_8);
    }

    static <T> T given(T what, String name) {
        if (what == null) {
            throw new IllegalArgumentException(name + " may not be null");
        }
        return what;
    }
}

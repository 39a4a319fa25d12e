package io.libvegas;

import io.libvegas.internal.Value;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Headers of a record, in their order. A name may be there more than once. */
public final class Headers implements Iterable<Header> {
    /** No headers. */
    public static final Headers NONE = new Headers(List.of());

    private final List<Header> list;

    private Headers(List<Header> list) {
        this.list = List.copyOf(list);
    }

    public static Headers of(List<Header> headers) {
        return headers.isEmpty() ? NONE : new Headers(headers);
    }

    /** One of each name. */
    public static Headers of(Map<String, byte[]> headers) {
        List<Header> list = new ArrayList<>();
        headers.forEach((name, value) -> list.add(new Header(name, value)));
        return of(list);
    }

    public static Headers of(String name, String text) {
        return of(List.of(new Header(name, text)));
    }

    public static Headers of(String name, String text, String name2, String text2) {
        return of(List.of(new Header(name, text), new Header(name2, text2)));
    }

    /** The first value of that name, or null. */
    public byte[] get(String name) {
        for (Header h : list) {
            if (h.name().equals(name)) {
                return h.value();
            }
        }
        return null;
    }

    /** The first value of that name as UTF-8 text, or null. */
    public String text(String name) {
        byte[] value = get(name);
        return value == null ? null : new String(value, StandardCharsets.UTF_8);
    }

    /** All of them, in their order. */
    public List<Header> list() {
        return list;
    }

    /** The first of each name. */
    public Map<String, byte[]> map() {
        Map<String, byte[]> map = new LinkedHashMap<>();
        list.forEach(h -> map.putIfAbsent(h.name(), h.value()));
        return map;
    }

    @Override
    public Iterator<Header> iterator() {
        return list.iterator();
    }

    @Override
    public String toString() {
        return list.toString();
    }

    // Bytes.

    byte[] encode() {
        if (list.isEmpty()) {
            return Batch.NOTHING;
        }
        if (list.size() > 0xffff) {
            throw new IllegalArgumentException("a record has " + list.size() + " headers: 65535 is the most");
        }
        byte[][] names = new byte[list.size()][];
        long size = 2;
        for (int i = 0; i < names.length; i++) {
            names[i] = list.get(i).name().getBytes(StandardCharsets.UTF_8);
            if (names[i].length > 0xffff) {
                throw new IllegalArgumentException("the name of a header has " + names[i].length + " bytes: 65535 is the most");
            }
            size += 6L + names[i].length + list.get(i).value().length;
        }
        if (size > Batch.RECORD_MOST) {
            throw Batch.tooLarge(size);
        }
        ByteBuffer out = ByteBuffer.allocate((int) size).order(ByteOrder.LITTLE_ENDIAN);
        out.putShort((short) names.length);
        for (int i = 0; i < names.length; i++) {
            byte[] value = list.get(i).value();
            out.putShort((short) names[i].length).putInt(value.length).put(names[i]).put(value);
        }
        return out.array();
    }

    static Headers decode(byte[] b) {
        if (b.length == 0) {
            return NONE;
        }
        ByteBuffer in = ByteBuffer.wrap(b).order(ByteOrder.LITTLE_ENDIAN);
        List<Header> list = new ArrayList<>();
        try {
            int count = in.getShort() & 0xffff;
            for (int i = 0; i < count; i++) {
                int name = in.getShort() & 0xffff;
                int value = in.getInt();
                if (value < 0 || (long) name + value > in.remaining()) {
                    throw Value.broken("headers are cut off");
                }
                byte[] n = new byte[name];
                byte[] v = new byte[value];
                in.get(n).get(v);
                list.add(new Header(new String(n, StandardCharsets.UTF_8), v));
            }
        } catch (BufferUnderflowException e) {
            throw Value.broken("headers are cut off");
        }
        return of(list);
    }
}

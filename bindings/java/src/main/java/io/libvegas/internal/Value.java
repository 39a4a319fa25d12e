package io.libvegas.internal;

import io.libvegas.VegasException;
import java.io.ByteArrayOutputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Values as they describe themselves: null, Boolean, Long, Double, String, byte[], List
 * and Map, which keeps its order.
 */
public final class Value {
    private Value() {}

    /** The bytes of a value. */
    public static byte[] encode(Object value) {
        Encoder e = new Encoder();
        e.put(value, 1);
        return e.out.toByteArray();
    }

    /** A frame whose body is a value. */
    public static byte[] frame(int kind, Object value) {
        return frame(kind, encode(value));
    }

    /** A frame. */
    public static byte[] frame(int kind, byte[] body) {
        byte[] frame = new byte[5 + body.length];
        ByteBuffer.wrap(frame).order(ByteOrder.LITTLE_ENDIAN).putInt(body.length + 1).put((byte) kind).put(body);
        return frame;
    }

    /** The value that a part of a frame is. */
    public static Object decode(byte[] b, int from, int to) {
        if (to - from > Spec.VALUE_BYTES) {
            throw broken("a value has " + (to - from) + " bytes, " + Spec.VALUE_BYTES + " is the most");
        }
        ByteBuffer in = ByteBuffer.wrap(b, from, to - from).order(ByteOrder.LITTLE_ENDIAN);
        Object value;
        try {
            value = get(in, 1);
        } catch (BufferUnderflowException e) {
            throw broken("a value is cut off");
        }
        if (in.hasRemaining()) {
            throw broken(in.remaining() + " bytes lie behind a value");
        }
        return value;
    }

    /** The map that a frame's body is. */
    @SuppressWarnings("unchecked")
    public static Map<String, Object> decodeMap(byte[] body) {
        if (decode(body, 0, body.length) instanceof Map<?, ?> map) {
            return (Map<String, Object>) map;
        }
        throw broken("a frame holds no map");
    }

    /** The exception that an error on the wire stands for. */
    public static VegasException error(Object value) {
        if (!(value instanceof Map<?, ?> e)) {
            return VegasException.of("failed", "an error that is none: " + value, null, false, null);
        }
        String text = e.get("text") instanceof String s ? s : "";
        String remedy = e.get("remedy") instanceof String s && !s.isEmpty() ? s : null;
        return VegasException.of(String.valueOf(e.get("code")), text, remedy, Boolean.TRUE.equals(e.get("unknown")), null);
    }

    /** A breach of the protocol. */
    public static VegasException broken(String what) {
        return VegasException.of("protocol", what, null, false, null);
    }

    private static final class Encoder {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        private final ByteBuffer number = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);

        void put(Object value, int depth) {
            if (depth > Spec.VALUE_DEPTH) {
                throw VegasException.of("bad_option", "values nest deeper than " + Spec.VALUE_DEPTH, null, false, null);
            }
            if (value == null) {
                out.write(0);
            } else if (value instanceof Boolean b) {
                out.write(b ? 2 : 1);
            } else if (value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte) {
                put(3, ((Number) value).longValue());
            } else if (value instanceof Double || value instanceof Float) {
                put(4, Double.doubleToRawLongBits(((Number) value).doubleValue()));
            } else if (value instanceof String s) {
                out.write(5);
                text(s);
            } else if (value instanceof byte[] b) {
                out.write(6);
                count(b.length);
                out.writeBytes(b);
            } else if (value instanceof Iterable<?> list) {
                List<Object> all = new ArrayList<>();
                list.forEach(all::add);
                out.write(7);
                count(all.size());
                for (Object v : all) {
                    put(v, depth + 1);
                }
            } else if (value instanceof Map<?, ?> map) {
                out.write(8);
                count(map.size());
                map.forEach((k, v) -> {
                    text(String.valueOf(k));
                    put(v, depth + 1);
                });
            } else {
                throw VegasException.of("bad_option", value.getClass().getName() + " cannot cross to the engine",
                    "use booleans, numbers, texts, byte[], lists and maps", false, null);
            }
        }

        private void put(int tag, long n) {
            out.write(tag);
            out.write(number.putLong(0, n).array(), 0, 8);
        }

        private void count(int n) {
            out.write(number.putInt(0, n).array(), 0, 4);
        }

        private void text(String s) {
            byte[] b = s.getBytes(StandardCharsets.UTF_8);
            count(b.length);
            out.writeBytes(b);
        }
    }

    private static Object get(ByteBuffer in, int depth) {
        if (depth > Spec.VALUE_DEPTH) {
            throw broken("values nest deeper than " + Spec.VALUE_DEPTH);
        }
        int tag = in.get();
        switch (tag) {
            case 0:
                return null;
            case 1:
            case 2:
                return tag == 2;
            case 3:
                return in.getLong();
            case 4:
                return in.getDouble();
            case 5:
                return text(in);
            case 6:
                byte[] bytes = new byte[count(in, 1)];
                in.get(bytes);
                return bytes;
            case 7:
                int items = count(in, 1);
                List<Object> list = new ArrayList<>(Math.min(items, 64));
                for (int i = 0; i < items; i++) {
                    list.add(get(in, depth + 1));
                }
                return list;
            case 8:
                int entries = count(in, 5);
                Map<String, Object> map = new LinkedHashMap<>();
                for (int i = 0; i < entries; i++) {
                    String key = text(in);
                    if (map.containsKey(key)) {
                        throw broken("a key is there twice in a map");
                    }
                    map.put(key, get(in, depth + 1));
                }
                return map;
            default:
                throw broken("no value has the tag " + tag);
        }
    }

    /** A number of things that take so many bytes at least, which have to be there. */
    private static int count(ByteBuffer in, int each) {
        int n = in.getInt();
        if (n < 0 || (long) n * each > in.remaining()) {
            throw broken("a value of " + Integer.toUnsignedString(n) + " is announced, " + in.remaining() + " bytes are left");
        }
        return n;
    }

    private static String text(ByteBuffer in) {
        int n = count(in, 1);
        String s = new String(in.array(), in.arrayOffset() + in.position(), n, StandardCharsets.UTF_8);
        in.position(in.position() + n);
        return s;
    }
}

package io.libvegas;

import io.libvegas.internal.Spec;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** What was given of the options of a producer or consumer. */
final class Options {
    private final String of;
    private final Map<String, Spec.Option> table;
    private final Map<String, Object> crossing = new LinkedHashMap<>();
    private final Map<String, Object> host = new LinkedHashMap<>();

    Options(String of, Map<String, Spec.Option> table) {
        this.of = of;
        this.table = table;
    }

    /** An option by its name in the protocol or here. */
    void set(String name, Object value) {
        String snake = name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
        if (!table.containsKey(snake)) {
            String near = nearest(snake);
            throw bad("there is no option " + name, near == null ? null : "did you mean " + camel(near) + "?");
        }
        put(snake, value);
    }

    void put(String name, Object value) {
        Spec.Option option = table.get(name);
        if (value == null) {
            crossing.remove(name);
            host.remove(name);
            return;
        }
        Object c;
        try {
            c = cross(option, value);
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw bad(name, value, e);
        }
        boolean function = option.type().equals("function");
        if (option.host() || function) {
            host.put(name, function ? value : c);
        }
        if (!option.host()) {
            crossing.put(name, c);
        }
    }

    /** An option of this language alone. */
    void own(String name, Object value) {
        host.put(name, value);
    }

    /** What the engine is told. */
    Map<String, Object> crossing() {
        Map<String, Object> all = new LinkedHashMap<>(crossing);
        if (host.containsKey("on_stats") && Long.valueOf(0).equals(value("stats_every"))) {
            all.put("stats_every", 10_000_000L);
        }
        return all;
    }

    /** What was given of the program's own. */
    <T> T given(String name, Class<T> type) {
        Object value = host.get(name);
        try {
            return value == null ? null : want(value, type);
        } catch (IllegalArgumentException e) {
            throw bad(name, value, e);
        }
    }

    /** What crosses of an option, given or by default. */
    Object value(String name) {
        return crossing.getOrDefault(name, table.get(name).value());
    }

    long number(String name) {
        return (Long) value(name);
    }

    Duration duration(String name) {
        return Duration.of(number(name), java.time.temporal.ChronoUnit.MICROS);
    }

    private VegasException bad(String name, Object value, RuntimeException why) {
        return bad("the option " + camel(name) + " is " + value + ": " + why.getMessage(), null);
    }

    private VegasException bad(String text, String remedy) {
        return new VegasException.BadOption(of + ": " + text, remedy);
    }

    private static Object cross(Spec.Option option, Object value) {
        switch (option.type()) {
            case "flag":
                return want(value, Boolean.class);
            case "number":
            case "size":
                if (!(value instanceof Integer || value instanceof Long) || ((Number) value).longValue() < 0) {
                    throw new IllegalArgumentException("want a whole number, 0 or more");
                }
                return ((Number) value).longValue();
            case "duration":
                return micros(want(value, Duration.class));
            case "word":
                String word = value instanceof Enum<?> e ? e.name().toLowerCase(Locale.ROOT) : String.valueOf(value);
                if (!option.words().contains(word)) {
                    throw new IllegalArgumentException("want one of " + String.join(", ", option.words()));
                }
                return word;
            case "start":
                if (value instanceof Instant at) {
                    return Start.at(at).crossing;
                }
                if ("trim_horizon".equals(value) || "latest".equals(value)) {
                    return value;
                }
                return want(value, Start.class).crossing;
            case "list":
                return want(value, List.class);
            case "function":
                return true;
            default:
                return value instanceof java.nio.file.Path ? value.toString() : want(value, String.class);
        }
    }

    private static <T> T want(Object value, Class<T> type) {
        if (!type.isInstance(value)) {
            throw new IllegalArgumentException("want a " + type.getSimpleName());
        }
        return type.cast(value);
    }

    /** A duration as it crosses. */
    static long micros(Duration d) {
        if (d.isNegative()) {
            throw new IllegalArgumentException("want 0 or more");
        }
        return Math.addExact(Math.multiplyExact(d.getSeconds(), 1_000_000L), TimeUnit.NANOSECONDS.toMicros(d.getNano()));
    }

    private static String camel(String name) {
        StringBuilder b = new StringBuilder();
        for (String word : name.split("_")) {
            b.append(b.isEmpty() ? word : word.substring(0, 1).toUpperCase(Locale.ROOT) + word.substring(1));
        }
        return b.toString();
    }

    private String nearest(String name) {
        int best = name.length() / 2 + 1;
        String at = null;
        for (String other : table.keySet()) {
            int d = distance(name, other);
            if (d < best) {
                best = d;
                at = other;
            }
        }
        return at;
    }

    /** How many letters have to be changed, added or removed to make one of the other. */
    private static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 0; i < a.length(); i++) {
            int left = row[0];
            row[0] = i + 1;
            for (int j = 0; j < b.length(); j++) {
                int d = a.charAt(i) == b.charAt(j) ? left : 1 + Math.min(left, Math.min(row[j], row[j + 1]));
                left = row[j + 1];
                row[j + 1] = d;
            }
        }
        return row[b.length()];
    }
}

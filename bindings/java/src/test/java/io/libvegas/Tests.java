package io.libvegas;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;

/**
 * Runs tests: the methods named test… of the classes below. Arguments choose some by parts
 * of their names.
 */
public final class Tests {
    private static final List<Class<?>> ALL =
        List.of(ValueTest.class, RowsTest.class, OptionsTest.class, BinaryTest.class, RecordsTest.class, PoliciesTest.class, EndsTest.class);

    private Tests() {}

    public static void main(String[] chosen) {
        int passed = 0;
        int failed = 0;
        for (Class<?> c : ALL) {
            Method[] methods = c.getMethods();
            Arrays.sort(methods, Comparator.comparing(Method::getName));
            for (Method m : methods) {
                String name = c.getSimpleName() + "." + m.getName();
                if (!m.getName().startsWith("test") || chosen.length > 0 && Arrays.stream(chosen).noneMatch(name::contains)) {
                    continue;
                }
                long began = System.nanoTime();
                Throwable error = run(c, m);
                long ms = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
                System.out.println((error == null ? "ok      " : "FAILED  ") + name + " (" + ms + " ms)");
                if (error != null) {
                    error.printStackTrace(System.out);
                    failed++;
                } else {
                    passed++;
                }
            }
        }
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    private static Throwable run(Class<?> c, Method m) {
        try {
            Object o = c.getConstructor().newInstance();
            try {
                m.invoke(o);
            } finally {
                if (o instanceof Local local) {
                    local.tearDown();
                }
            }
            return null;
        } catch (InvocationTargetException e) {
            return e.getCause();
        } catch (Exception e) {
            return e;
        }
    }

    static void equal(Object want, Object have) {
        if (!Objects.deepEquals(want, have)) {
            throw new AssertionError("want " + show(want) + ", have " + show(have));
        }
    }

    private static String show(Object o) {
        return o instanceof byte[] b ? Arrays.toString(b) : o instanceof Object[] a ? Arrays.deepToString(a) : String.valueOf(o);
    }

    static void yes(boolean is, Object what) {
        if (!is) {
            throw new AssertionError(what);
        }
    }

    static void contains(String text, String part) {
        yes(text.contains(part), "no \"" + part + "\" in: " + text);
    }

    /** What a call throws, which is of that class. */
    static <E extends Throwable> E thrown(Class<E> type, Callable<?> call) {
        try {
            Object result = call.call();
            throw new AssertionError("want " + type.getSimpleName() + ", have " + result);
        } catch (Throwable e) {
            if (type.isInstance(e)) {
                return type.cast(e);
            }
            throw new AssertionError("want " + type.getSimpleName(), e);
        }
    }

    static void eventually(BooleanSupplier what) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!what.getAsBoolean()) {
            yes(System.nanoTime() < until, "it did not come to that");
            Thread.sleep(5);
        }
    }

    /** What handlers got, and waiting for it. */
    static final class Box<T> {
        private final List<T> items = new ArrayList<>();

        synchronized void put(T item) {
            items.add(item);
            notifyAll();
        }

        synchronized List<T> items() {
            return new ArrayList<>(items);
        }

        /** Waits until there are so many. */
        List<T> await(int n) throws InterruptedException {
            return await(items -> items.size() >= n);
        }

        synchronized List<T> await(Predicate<List<T>> enough) throws InterruptedException {
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            while (!enough.test(items)) {
                long left = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
                yes(left > 0, "after 30 s there are " + items.size() + ": " + items.subList(0, Math.min(items.size(), 10)));
                wait(left);
            }
            return new ArrayList<>(items);
        }
    }
}

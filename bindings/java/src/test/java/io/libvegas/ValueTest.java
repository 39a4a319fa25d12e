package io.libvegas;

import static io.libvegas.Tests.contains;
import static io.libvegas.Tests.equal;
import static io.libvegas.Tests.thrown;
import static io.libvegas.Tests.yes;

import io.libvegas.internal.Spec;
import io.libvegas.internal.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

public final class ValueTest {
    private static Object again(Object value) {
        byte[] b = Value.encode(value);
        return Value.decode(b, 0, b.length);
    }

    public void testThereAndBack() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("nothing", null);
        map.put("yes", true);
        map.put("no", false);
        map.put("number", -7L);
        map.put("most", Long.MAX_VALUE);
        map.put("real", 1.5);
        map.put("text ü", "grüße 😀");
        map.put("list", List.of(1L, "a", List.of(), Map.of("k", "v")));
        equal(map, again(map));
        equal(new byte[] {0, -1, 7}, again(new byte[] {0, -1, 7}));
        equal(5L, again(5));
    }

    public void testBytesAreThoseOfTheProtocol() {
        equal(new byte[] {8, 1, 0, 0, 0, 1, 0, 0, 0, 'a', 7, 2, 0, 0, 0, 3, -2, -1, -1, -1, -1, -1, -1, -1, 2}, Value.encode(Map.of("a", List.of(-2, true))));
    }

    public void testGarbage() {
        byte[] many = {7, -1, -1, -1, 127};
        contains(thrown(VegasException.Protocol.class, () -> Value.decode(many, 0, many.length)).text(), "announced");
        byte[] twice = {8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        contains(thrown(VegasException.Protocol.class, () -> Value.decode(twice, 0, twice.length)).text(), "twice");
        Object deep = "x";
        for (int i = 1; i < Spec.VALUE_DEPTH; i++) {
            deep = List.of(deep);
        }
        equal(deep, again(deep));
        Object deeper = List.of(deep);
        thrown(VegasException.BadOption.class, () -> Value.encode(deeper));
        thrown(VegasException.BadOption.class, () -> Value.encode(new Object()));
    }

    public void testAnyBytes() {
        Random random = new Random(1);
        byte[] good = Value.encode(Map.of("a", List.of(1, "b", new byte[3], 2.5), "b", Map.of("c", true)));
        for (int i = 0; i < 200_000; i++) {
            byte[] b = Arrays.copyOf(good, random.nextInt(good.length) + 1);
            for (int n = random.nextInt(4); n >= 0; n--) {
                b[random.nextInt(b.length)] = (byte) random.nextInt(random.nextBoolean() ? 9 : 256);
            }
            try {
                Value.decode(b, 0, b.length);
            } catch (VegasException.Protocol e) {
                yes(e.text() != null, e);
            }
        }
    }

    public void testErrors() {
        VegasException e = Value.error(Map.of("code", "throttled", "text", "slow", "remedy", "send less", "unknown", true));
        yes(e instanceof VegasException.Throttled, e);
        equal("slow: send less", e.getMessage());
        equal(List.of("throttled", "slow", "send less", true), List.of(e.code(), e.text(), e.remedy(), e.unknown()));
        yes(Value.error(Map.of("code", "of a later release", "text", "x")) instanceof VegasException.Failed, "");
        yes(Value.error("x") instanceof VegasException.Failed, "");
    }

    public void testEachCodeHasItsClass() {
        List<String> wrong = new ArrayList<>();
        for (Class<?> c : VegasException.class.getClasses()) {
            String code = c.getSimpleName().replaceAll("(?<=.)([A-Z])", "_$1").toLowerCase(java.util.Locale.ROOT);
            VegasException e = VegasException.of(code, "t", null, false, null);
            if (e.getClass() != c || !e.code().equals(code)) {
                wrong.add(code);
            }
        }
        equal(List.of(), wrong);
    }
}

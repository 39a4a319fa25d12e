package io.libvegas;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/** A header of a record: a name and bytes. */
public record Header(String name, byte[] value) {
    public Header {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(value, "value");
    }

    public Header(String name, String text) {
        this(name, text.getBytes(StandardCharsets.UTF_8));
    }

    /** The value as UTF-8 text. */
    public String text() {
        return new String(value, StandardCharsets.UTF_8);
    }

    @Override
    public String toString() {
        return name + "=" + text();
    }
}

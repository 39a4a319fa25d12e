package io.libvegas.internal;

import java.io.IOException;
import java.io.OutputStream;

/** Gathers what is written to the engine, so that little things cross together. */
public final class Sink {
    private final OutputStream out;
    private final byte[] gathered = new byte[64 << 10];
    private int size;

    Sink(OutputStream out) {
        this.out = out;
    }

    public void write(byte[] b, int from, int n) throws IOException {
        if (n > gathered.length - size) {
            pour();
            if (n >= gathered.length) {
                out.write(b, from, n);
                return;
            }
        }
        System.arraycopy(b, from, gathered, size, n);
        size += n;
    }

    void flush() throws IOException {
        pour();
        out.flush();
    }

    private void pour() throws IOException {
        if (size > 0) {
            out.write(gathered, 0, size);
            size = 0;
        }
    }
}

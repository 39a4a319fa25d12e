package io.libvegas;

import java.util.Map;

/** Takes statistics of a producer or consumer. */
@FunctionalInterface
public interface OnStats {
    /** By the names of the metrics. */
    void accept(Map<String, Object> stats);
}

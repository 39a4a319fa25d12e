package io.libvegas;

import java.util.List;

/** Handles lists of records of one shard, in their order. */
@FunctionalInterface
public interface BatchHandler {
    /** What it throws concerns the whole list. */
    void handle(List<Record> records) throws Exception;
}

package io.libvegas;

/**
 * Why nothing further of a shard is begun, and a handler should return soon. What it
 * finishes after the first two is still counted; after the others the record comes again,
 * here or elsewhere.
 */
public enum Stopping {
    SHUTDOWN,
    HANDOFF,
    LEASE_LOST,
    GRACE_OVER,
    ENGINE_GONE
}

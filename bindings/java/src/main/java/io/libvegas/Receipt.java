package io.libvegas;

/**
 * Where a record is.
 *
 * @param shard the shard that has it; empty while only the durable buffer has
 * @param sequence the sequence number of the Kinesis record that it travelled in
 * @param subSequence its index in an aggregate, or 0
 * @param durable it is safe in the durable buffer, from where it will be sent
 */
public record Receipt(String shard, String sequence, long subSequence, boolean durable) {}

using System;

namespace Libvegas
{
    /// <summary>A record of the stream.</summary>
    public sealed class Record
    {
        private readonly Shard shard;
        private readonly long arrival;
        private readonly byte[] headerBytes;
        private Headers? headers;

        internal Record(Shard shard, string key, byte[] data, string hash, byte[] headers, string sequence, long sub, long arrival, int attempt, bool aggregated)
        {
            this.shard = shard;
            this.arrival = arrival;
            headerBytes = headers;
            PartitionKey = key;
            Data = data;
            ExplicitHashKey = hash;
            Sequence = sequence;
            SubSequence = sub;
            Attempt = attempt;
            Aggregated = aggregated;
        }

        /// <summary>What keeps it in order with others.</summary>
        public string PartitionKey { get; }

        /// <summary>The data.</summary>
        public byte[] Data { get; }

        /// <summary>The data as UTF-8.</summary>
        public string Text => Wire.Lenient.GetString(Data);

        /// <summary>Decimal digits, or "".</summary>
        public string ExplicitHashKey { get; }

        /// <summary>What travelled beside the data.</summary>
        public Headers Headers => headers = headers ?? Headers.Decode(headerBytes);

        /// <summary>The stream, as the consumer named it.</summary>
        public string Stream => shard.Stream;

        /// <summary>Who has received it.</summary>
        public Consumer Consumer => shard.Owner;

        /// <summary>The shard's id.</summary>
        public string Shard => shard.Id;

        /// <summary>Sequence number of the Kinesis record that it travelled in.</summary>
        public string Sequence { get; }

        /// <summary>Its index in an aggregate, or 0.</summary>
        public long SubSequence { get; }

        /// <summary>When the stream had it.</summary>
        public DateTimeOffset ArrivalTime => new DateTimeOffset(Clock.Epoch + arrival * TimeSpan.TicksPerMillisecond, TimeSpan.Zero);

        /// <summary>Whether it travelled in an aggregate.</summary>
        public bool Aggregated { get; }

        /// <summary>How often it is handled by now, 1 at first.</summary>
        public int Attempt { get; }

        /// <summary>Fencing token: it grows with each owner of the shard.</summary>
        public long Possession => shard.Possession;

        /// <summary>Why the handler should return soon. Shutdown, Handoff: what it finishes still counts.
        /// LeaseLost, GraceOver, EngineGone: the record comes again, here or elsewhere.</summary>
        public StopReason Stopping => shard.Stopping;

        internal Shard Of => shard;

        /// <inheritdoc/>
        public override string ToString() => $"Record({Shard}, {Sequence}, {SubSequence}, {Data.Length} bytes, attempt {Attempt})";
    }
}

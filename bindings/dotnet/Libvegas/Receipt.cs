namespace Libvegas
{
    /// <summary>Where a record is.</summary>
    public readonly struct Receipt
    {
        internal Receipt(string shard, string sequence, long subSequence, bool durable)
        {
            Shard = shard;
            Sequence = sequence;
            SubSequence = subSequence;
            Durable = durable;
        }

        /// <summary>The shard that has it; "" while only the durable buffer has.</summary>
        public string Shard { get; }

        /// <summary>Sequence number of the Kinesis record that it travelled in.</summary>
        public string Sequence { get; }

        /// <summary>Its index in an aggregate, or 0.</summary>
        public long SubSequence { get; }

        /// <summary>It is safe in the durable buffer, from where it will be sent.</summary>
        public bool Durable { get; }

        /// <inheritdoc/>
        public override string ToString() => Durable ? "Receipt(durable)" : $"Receipt({Shard}, {Sequence}, {SubSequence})";
    }
}

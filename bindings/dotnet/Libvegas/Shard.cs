using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    /// <summary>A place in a shard: behind that record.</summary>
    public sealed class Position
    {
        /// <summary>Behind a record, by its sequence number and its index in an aggregate, or at TRIM_HORIZON.</summary>
        public Position(string sequence, long subSequence = 0)
        {
            Sequence = sequence;
            SubSequence = subSequence;
        }

        /// <summary>A sequence number, or TRIM_HORIZON.</summary>
        public string Sequence { get; }

        /// <summary>An index in an aggregate, or 0.</summary>
        public long SubSequence { get; }
    }

    /// <summary>A shard, from the moment that this worker has it until it has not.</summary>
    public sealed class Shard
    {
        private readonly Session session;
        private readonly CancellationTokenSource cancel = new CancellationTokenSource();

        internal Shard(Consumer owner, Session session, Map start)
        {
            this.session = session;
            Owner = owner;
            Number = (uint)start.Number("shard");
            Id = start.Text("id");
            Parents = (start.Get("parents") as List<object?>)?.OfType<string>().ToList() ?? new List<string>();
            Possession = start.Number("possession");
            Takeovers = start.Number("takeovers");
            Position = new Position(start.Text("sequence"), start.Number("sub"));
        }

        /// <summary>The stream, as the consumer named it.</summary>
        public string Stream => Owner.Stream;

        /// <summary>As the stream names it.</summary>
        public string Id { get; }

        /// <summary>Those that it was split from or merged of.</summary>
        public IReadOnlyList<string> Parents { get; }

        /// <summary>Fencing token: it grows with each owner.</summary>
        public long Possession { get; }

        /// <summary>How many owners died at the position.</summary>
        public long Takeovers { get; }

        /// <summary>Where reading begins, by what the store knows.</summary>
        public Position Position { get; }

        /// <summary>Why nothing further is begun.</summary>
        public StopReason Stopping { get; private set; }

        /// <summary>Cancelled when what handlers finish does not count any more.</summary>
        public CancellationToken Cancellation => cancel.Token;

        internal Consumer Owner { get; }

        internal uint Number { get; }

        internal Session Session => session;

        /// <summary>What the shard does: its start, then the chunk that is being handled. It never fails.</summary>
        internal Task Work { get; set; } = Task.CompletedTask;

        internal void Stop(StopReason why)
        {
            Stopping = why;
            if (why != StopReason.Shutdown && why != StopReason.Handoff && !cancel.IsCancellationRequested)
            {
                Task.Run(() => cancel.Cancel()); // what is registered there is the program's
            }
        }

        /// <inheritdoc/>
        public override string ToString() => Id;
    }

    /// <summary>A run of records of one shard, as it was delivered.</summary>
    internal sealed class Chunk
    {
        private const int RowBytes = 32;
        private static readonly byte[] none = new byte[0];

        public readonly Shard Shard;
        public readonly uint Number;
        public readonly bool Dead;
        public readonly string Text;
        public readonly Record[] Records;

        private Chunk(Shard shard, uint number, bool dead, string text, Record[] records)
        {
            Shard = shard;
            Number = number;
            Dead = dead;
            Text = text;
            Records = records;
        }

        public static Chunk Read(Shard shard, byte[] b, int from, int to)
        {
            var c = new Cursor(b, from + 8, to);
            var number = c.U32();
            c.U32(); // how far behind
            var dead = (c.U8() & 1) != 0;
            long count = c.U32();
            var text = c.Text(c.U32());
            var row = c.Take(count * RowBytes);
            var records = new Record[count];
            var sequence = "";
            for (var i = 0; i < records.Length; i++, row += RowBytes)
            {
                long data = LittleEndian.U32(b, row);
                long headers = LittleEndian.U32(b, row + 4);
                var key = c.Text(LittleEndian.U16(b, row + 8));
                var hash = b[row + 10] == 0 ? "" : c.Text(b[row + 10]);
                if (b[row + 11] != 0)
                {
                    sequence = c.Text(b[row + 11]);
                }
                var head = headers == 0 ? none : Copy(ref c, headers);
                records[i] = new Record(shard, key, data == 0 ? none : Copy(ref c, data), hash, head, sequence,
                    LittleEndian.I64(b, row + 16), LittleEndian.I64(b, row + 24), LittleEndian.U16(b, row + 14), (b[row + 12] & 1) != 0);
            }
            if (c.Left != 0 || count == 0)
            {
                throw new ProtocolException("the rows of a chunk do not speak of its bytes");
            }
            return new Chunk(shard, number, dead, text, records);
        }

        private static byte[] Copy(ref Cursor c, long n)
        {
            var at = c.Take(n);
            var copy = new byte[n];
            System.Buffer.BlockCopy(c.B, at, copy, 0, copy.Length);
            return copy;
        }
    }

    /// <summary>Which records of a chunk are done with, and which the engine knows of.</summary>
    internal sealed class Done
    {
        private readonly byte[] marks;

        public Done(int count) => marks = new byte[count];

        public void Mark(int index) => marks[index] = 1;

        /// <summary>Ranges of those that it does not know of yet.</summary>
        public List<(int From, int To)> Take()
        {
            var ranges = new List<(int, int)>();
            for (var i = 0; i < marks.Length; i++)
            {
                var from = i;
                for (; i < marks.Length && marks[i] == 1; i++)
                {
                    marks[i] = 2;
                }
                if (i > from)
                {
                    ranges.Add((from, i));
                }
            }
            return ranges;
        }
    }
}

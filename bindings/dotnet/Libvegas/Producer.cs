using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    /// <summary>Sends records to one stream. Make one per stream and share it: it is safe for use by many
    /// threads. Records of a key keep the order of the calls.</summary>
    public sealed partial class Producer : IDisposable, IClient, IGathers
    {
        private const int FrameRecordBytes = Spec.FrameBytes - 64;
        private const int FrameMostBytes = 4 << 20;
        private const int WaitingCost = 256; // bytes that a record which waits here takes besides its own

        private readonly string of;
        private readonly ProducerOptions options = new ProducerOptions();
        private readonly Map wire;
        private readonly Engine engine;
        private readonly uint number = Engine.NewNumber();
        private readonly Failures failures;
        private readonly bool durable;
        private readonly TaskCompletionSource<bool> isOpen = new TaskCompletionSource<bool>();

        // Below this all is guarded by gate.
        private readonly object gate = new object();
        private readonly Change changed = new Change(); // results, room, and the engine's life
        private readonly OpenRecords open = new OpenRecords();
        private readonly Queue<Queued> waiting = new Queue<Queued>(); // records without room
        private Batch gathered = new Batch();
        private Batch? spare;
        private Session? session; // where it is open
        private Session? asked; // to close it
        private VegasException? refusal; // why nothing more is accepted
        private bool broken; // there will be no engine
        private bool told; // the writer will come
        private long window;
        private long recordCost;
        private long held; // what is gathered and open costs
        private long waitingBytes;
        private long accepted; // records ever
        private long passed; // of these, how many had room, or ended without
        private long next; // number of the next record in this session

        // The reader's own.
        private Sent[] finished = new Sent[256];

        private Task? closing;
        private Task<Map>? exiting;

        private readonly struct Queued
        {
            public readonly Sent Sent;
            public readonly byte[] Row;
            public readonly byte[] Body;

            public Queued(Sent sent, byte[] row, byte[] body)
            {
                Sent = sent;
                Row = row;
                Body = body;
            }
        }

        /// <summary>A producer of a stream, by its name or ARN. Returns when records can be sent; an option
        /// that is wrong is a BadOptionException. What is wrong with the stream, the credentials or the
        /// network is the exception of records, or of CheckAsync.</summary>
        public Producer(string stream, Action<ProducerOptions>? configure = null)
        {
            Stream = stream ?? throw new ArgumentNullException(nameof(stream));
            of = $"Producer({stream})";
            configure?.Invoke(options);
            wire = options.Wire();
            durable = options.Durable != "";
            window = options.BufferBytes;
            failures = new Failures(of);
            engine = Engine.Get(options.Engine);
            engine.Connect();
            engine.Attach(this);
            isOpen.Task.GetAwaiter().GetResult();
        }

        /// <summary>The stream's name or ARN.</summary>
        public string Stream { get; }

        // Sending.

        /// <summary>Sends a record. The task has its receipt when the stream, or the durable buffer, has it.
        /// Where there is no room the record waits; once BufferBytes wait besides, this is a
        /// BufferFullException: await receipts, or ReadyAsync. A failure that nobody looks at is logged, and
        /// thrown by FlushAsync and CloseAsync.</summary>
        /// <param name="key">The partition key, 1 to 256 characters.</param>
        /// <param name="data">The data, which is copied before this returns.</param>
        /// <param name="headers">Names with bytes, such as Headers, or a dictionary.</param>
        /// <param name="explicitHashKey">A decimal number that decides about the shard in place of the key.</param>
        public Task<Receipt> SendAsync(string key, byte[] data, IEnumerable<KeyValuePair<string, byte[]>>? headers = null, string? explicitHashKey = null) =>
            Send(key, data ?? throw new ArgumentNullException(nameof(data)), 0, data.Length, headers, explicitHashKey);

        /// <summary>Sends a part of an array.</summary>
        public Task<Receipt> SendAsync(string key, ArraySegment<byte> data, IEnumerable<KeyValuePair<string, byte[]>>? headers = null, string? explicitHashKey = null) =>
            Send(key, data.Array ?? Array.Empty<byte>(), data.Offset, data.Count, headers, explicitHashKey);

        /// <summary>Sends a text, as UTF-8.</summary>
        public Task<Receipt> SendAsync(string key, string text, IEnumerable<KeyValuePair<string, byte[]>>? headers = null, string? explicitHashKey = null) =>
            SendAsync(key, Wire.Lenient.GetBytes(text ?? throw new ArgumentNullException(nameof(text))), headers, explicitHashKey);

        private Task<Receipt> Send(string key, byte[] data, int offset, int count, IEnumerable<KeyValuePair<string, byte[]>>? headers, string? hash)
        {
            var keyBytes = KeyBytes(key);
            var head = headers == null ? Array.Empty<byte>() : Headers.Encode(headers);
            if (hash == null)
            {
                hash = "";
            }
            else if (hash.Length > 39 || !IsDigits(hash))
            {
                throw new ArgumentException("the explicit hash key is no decimal number from 0 to 2^128-1", nameof(hash));
            }
            var size = (long)keyBytes + hash.Length + head.Length + count;
            if (size > FrameRecordBytes)
            {
                throw new TooLargeException($"a record of {count} bytes exceeds what any stream takes", "records reach 10 MiB, headers included");
            }
            var sent = new Sent();
            lock (gate)
            {
                if (refusal != null)
                {
                    throw refusal.Again();
                }
                sent.Cost = (int)(size + recordCost);
                var batch = gathered;
                var room = HasRoom(sent.Cost);
                if (!room)
                {
                    if (waitingBytes > 0 && waitingBytes + size + WaitingCost > options.BufferBytes)
                    {
                        throw new BufferFullException($"{of}: {waitingBytes} bytes wait for room", "await ReadyAsync() before you send more (see docs/troubleshooting.md#buffer-full)");
                    }
                    batch = new Batch(1, (int)size);
                }
                var rows = batch.Rows;
                rows.U32(count);
                rows.U32(head.Length);
                rows.U16(keyBytes);
                rows.U16(hash.Length);
                var body = batch.Body;
                var at = body.Grow((int)size);
                var to = body.Data;
                if (keyBytes == key.Length)
                {
                    for (var i = 0; i < keyBytes; i++)
                    {
                        to[at++] = (byte)key[i];
                    }
                }
                else
                {
                    at += Wire.Strict.GetBytes(key, 0, key.Length, to, at);
                }
                for (var i = 0; i < hash.Length; i++)
                {
                    to[at++] = (byte)hash[i];
                }
                Buffer.BlockCopy(head, 0, to, at, head.Length);
                Buffer.BlockCopy(data, offset, to, at + head.Length, count);
                accepted++;
                if (room)
                {
                    batch.Records.Add(sent);
                    Accept(sent);
                }
                else
                {
                    waiting.Enqueue(new Queued(sent, rows.Data, body.Data));
                    waitingBytes += size + WaitingCost;
                }
            }
            return sent.Task;
        }

        private bool HasRoom(long cost) => waiting.Count == 0 && (held + cost <= window || held == 0);

        private void Accept(Sent sent)
        {
            held += sent.Cost;
            passed++;
            if (!told && session != null)
            {
                told = true;
                session.Post(this);
            }
        }

        /// <summary>Whether there is room to send: at once where there is.</summary>
        public Task ReadyAsync(CancellationToken cancellation = default)
        {
            lock (gate)
            {
                if (refusal != null)
                {
                    return Task.FromException(refusal.Again());
                }
                if (waiting.Count == 0)
                {
                    return Task.CompletedTask;
                }
            }
            return WaitForRoom(cancellation);
        }

        private async Task WaitForRoom(CancellationToken cancellation)
        {
            while (true)
            {
                Task change;
                lock (gate)
                {
                    if (refusal != null)
                    {
                        throw refusal.Again();
                    }
                    if (waiting.Count == 0)
                    {
                        return;
                    }
                    change = changed.Next;
                }
                await change.Within(null, cancellation).ConfigureAwait(false);
            }
        }

        private static int KeyBytes(string key)
        {
            if (key == null)
            {
                throw new ArgumentNullException(nameof(key));
            }
            var characters = 0;
            var wide = false;
            foreach (var c in key)
            {
                wide |= c > 127;
                characters += char.IsLowSurrogate(c) ? 0 : 1;
            }
            if (characters < 1 || characters > Spec.KeyCharacters)
            {
                throw new ArgumentException($"the partition key has {characters} characters, want 1 to {Spec.KeyCharacters}", nameof(key));
            }
            if (!wide)
            {
                return key.Length;
            }
            try
            {
                return Wire.Strict.GetByteCount(key);
            }
            catch (ArgumentException e)
            {
                throw new ArgumentException("the partition key is no Unicode text: it has half of a surrogate pair", nameof(key), e);
            }
        }

        private static bool IsDigits(string text)
        {
            foreach (var c in text)
            {
                if (c < '0' || c > '9')
                {
                    return false;
                }
            }
            return text.Length > 0;
        }

        // What the engine calls.

        uint IClient.Number => number;

        (string Method, Map Arguments) IClient.OpenCall() =>
            (Spec.MethodOpenProducer, new Map { ["producer"] = number, ["stream"] = Stream, ["options"] = wire });

        void IClient.Opened(Session session, Map answer)
        {
            lock (gate)
            {
                if (broken)
                {
                    CloseLate(session); // it was closed between two sessions
                    return;
                }
                this.session = session;
                next = 0;
                window = answer.Number("window_bytes");
                recordCost = answer.Number("record_cost");
                MakeRoom();
                told = gathered.Records.Count > 0;
                if (told)
                {
                    session.Post(this);
                }
                changed.Tell();
            }
            isOpen.TrySetResult(true);
        }

        void IClient.Broken(VegasException error)
        {
            List<Sent> records;
            lock (gate)
            {
                session = null;
                broken = true;
                refusal = refusal ?? error;
                records = open.TakeAll();
                records.AddRange(TakeUnsent());
                held = 0;
                changed.Tell();
            }
            FailAll(records, error.Again());
            isOpen.TrySetException(error.Again());
        }

        void IClient.Lost(Session session, VegasException why)
        {
            List<Sent> records;
            var later = new List<Sent>();
            lock (gate)
            {
                if (this.session != session)
                {
                    return;
                }
                // What was written is unknown; what was not goes to the next session, unless it has
                // to fail behind that.
                this.session = null;
                told = false;
                records = open.TakeAll();
                foreach (var record in records)
                {
                    held -= record.Cost;
                }
                if (records.Count > 0 && options.OnFailure == OnFailure.FailKey)
                {
                    later = TakeUnsent();
                }
                MakeRoom();
                changed.Tell();
            }
            FailAll(records, new EngineGoneException(why.PlainText, durable ? "if the durable buffer has it, the next engine sends it" : why.PlainRemedy, true));
            FailAll(later, new EarlierFailedException("the results of earlier records are unknown, since the engine has ended"));
        }

        void IGathers.Take(Session session)
        {
            Batch batch;
            long first;
            lock (gate)
            {
                if (this.session != session)
                {
                    return;
                }
                told = false;
                batch = gathered;
                if (batch.Records.Count == 0)
                {
                    return;
                }
                gathered = spare ?? new Batch();
                spare = null;
                first = next;
                foreach (var record in batch.Records)
                {
                    open.Add(next++, record);
                }
            }
            try
            {
                Write(session, batch, first);
            }
            finally
            {
                if (batch.Body.Data.Length > 2 * FrameMostBytes)
                {
                    batch = new Batch();
                }
                batch.Clear();
                lock (gate)
                {
                    spare = batch;
                }
            }
        }

        private void Write(Session session, Batch batch, long first)
        {
            var count = batch.Records.Count;
            int from = 0, start = 0;
            while (from < count)
            {
                var to = from;
                long size = 0;
                if (start == 0 && batch.Rows.Count + batch.Body.Count <= FrameMostBytes)
                {
                    to = count;
                    size = batch.Body.Count;
                }
                for (; to < count; to++)
                {
                    var length = batch.Length(to);
                    if (to > from && (to + 1 - from) * Batch.RowBytes + size + length > FrameMostBytes)
                    {
                        break;
                    }
                    size += length;
                }
                var head = Wire.Open(Spec.KindSend);
                head.U32(number);
                head.I64(first + from);
                head.U32(to - from);
                var rows = (to - from) * Batch.RowBytes;
                LittleEndian.PutU32(head.Data, 0, (uint)(head.Count - 4 + rows + size));
                session.Put(head.Data, 0, head.Count);
                session.Put(batch.Rows.Data, from * Batch.RowBytes, rows);
                session.Put(batch.Body.Data, start, (int)size);
                start += (int)size;
                from = to;
            }
        }

        void IClient.Frame(Session session, byte kind, byte[] b, int from, int to)
        {
            if (kind != Spec.KindReport)
            {
                throw new ProtocolException($"a producer was sent a frame of kind {kind}");
            }
            var c = new Cursor(b, from + 4, to);
            for (var groups = c.U32(); groups > 0; groups--)
            {
                var status = c.U8();
                c.U8();
                var text = c.U16();
                long rows = c.U32();
                var words = c.Take(text);
                var at = c.Take(rows * 16);
                if (!Reported(session, status, b, words, text, at, (int)rows))
                {
                    return;
                }
            }
            if (c.Left != 0)
            {
                throw new ProtocolException("bytes lie behind a report");
            }
        }

        // One group of a report: false where the session is not the producer's any more.
        private bool Reported(Session session, int status, byte[] b, int words, int text, int at, int rows)
        {
            var stored = status == Spec.StatusStored || status == Spec.StatusDurable;
            var error = stored ? null : Wire.Error(Wire.Decode(b, words, words + text), status == Spec.StatusUnknown);
            if (finished.Length < rows)
            {
                finished = new Sent[rows];
            }
            lock (gate)
            {
                if (this.session != session)
                {
                    return false;
                }
                for (var i = 0; i < rows; i++)
                {
                    var n = LittleEndian.I64(b, at + 16 * i);
                    var sent = open.Take(n);
                    if (sent == null)
                    {
                        FailAll(finished.Take(i).ToList(), new EngineGoneException("the engine's report cannot be read", null, true));
                        throw new ProtocolException($"record {n} was reported, and is not open");
                    }
                    finished[i] = sent;
                    held -= sent.Cost;
                }
                MakeRoom();
                changed.Tell();
            }
            if (error == null)
            {
                var place = Wire.Lenient.GetString(b, words, text).Split(zero, 2);
                var shard = place[0];
                var sequence = place.Length > 1 ? place[1] : "";
                for (var i = 0; i < rows; i++)
                {
                    finished[i].TrySetResult(new Receipt(shard, sequence, LittleEndian.I64(b, at + 16 * i + 8), status == Spec.StatusDurable));
                }
            }
            else
            {
                failures.Add(error, rows);
                for (var i = 0; i < rows; i++)
                {
                    finished[i].Fail(error);
                }
            }
            Array.Clear(finished, 0, rows);
            return true;
        }

        private static readonly char[] zero = { '\0' };

        void IClient.Called(Session session, long call, Map arguments) => throw new ProtocolException("a producer was called");

        void IClient.Event(Map told)
        {
            var onStats = options.OnStats;
            if (onStats != null && told.Get("stats") is Map stats)
            {
                Callbacks.Put(() => onStats(stats));
            }
        }

        // Lets records in that wait, as far as there is room.
        private void MakeRoom()
        {
            while (waiting.Count > 0)
            {
                var first = waiting.Peek();
                if (held > 0 && held + first.Sent.Cost > window)
                {
                    return;
                }
                waiting.Dequeue();
                waitingBytes -= first.Body.Length + WaitingCost;
                gathered.Rows.Raw(first.Row);
                gathered.Body.Raw(first.Body);
                gathered.Records.Add(first.Sent);
                Accept(first.Sent);
            }
        }

        // Takes out what was not given to the writer, in the order of the calls.
        private List<Sent> TakeUnsent()
        {
            var records = new List<Sent>(gathered.Records);
            gathered.Clear();
            foreach (var record in records)
            {
                held -= record.Cost;
            }
            foreach (var w in waiting)
            {
                records.Add(w.Sent);
            }
            passed += waiting.Count;
            waiting.Clear();
            waitingBytes = 0;
            return records;
        }

        private void FailAll(List<Sent> records, VegasException error)
        {
            if (records.Count == 0)
            {
                return;
            }
            failures.Add(error, records.Count);
            foreach (var record in records)
            {
                record.Fail(error);
            }
        }
    }
}

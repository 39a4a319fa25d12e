using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    /// <summary>The result of a record, and what it costs of the window meanwhile.</summary>
    internal sealed class Sent : TaskCompletionSource<Receipt>
    {
        public int Cost;

        public Sent()
            : base(TaskCreationOptions.RunContinuationsAsynchronously)
        {
        }

        public void Fail(VegasException error)
        {
            if (TrySetException(error))
            {
                _ = Task.Exception; // Failures tells who has not looked; the runtime need not
            }
        }
    }

    /// <summary>Records that wait to be written, as the protocol wants them: rows, then bytes.</summary>
    internal sealed class Batch
    {
        public const int RowBytes = 12;
        public readonly Bytes Rows;
        public readonly Bytes Body;
        public readonly List<Sent> Records = new List<Sent>();

        /// <summary>With room for so much at first.</summary>
        public Batch(int records = 1024, int bytes = 64 << 10)
        {
            Rows = new Bytes(records * RowBytes);
            Body = new Bytes(bytes);
        }

        public void Clear()
        {
            Rows.Count = Body.Count = 0;
            Records.Clear();
        }

        /// <summary>What the record of row n takes besides its row.</summary>
        public long Length(int n)
        {
            var at = n * RowBytes;
            var rows = Rows.Data;
            return (long)LittleEndian.U32(rows, at) + LittleEndian.U32(rows, at + 4) + LittleEndian.U16(rows, at + 8) + rows[at + 10];
        }
    }

    /// <summary>Records without a result, by their numbers: an array of pages, since some are open for long.</summary>
    internal sealed class OpenRecords
    {
        private const int PageRecords = 1024;
        private readonly Dictionary<long, Page> pages = new Dictionary<long, Page>();
        private Page? last;
        private long lastAt = -1;

        private sealed class Page
        {
            public readonly Sent?[] Records = new Sent?[PageRecords];
            public int Taken;
        }

        public int Count { get; private set; }

        public void Add(long number, Sent record)
        {
            var at = number / PageRecords;
            var page = Find(at);
            if (page == null)
            {
                pages[at] = last = page = new Page();
                lastAt = at;
            }
            page.Records[number % PageRecords] = record;
            Count++;
        }

        /// <summary>Takes a record out; null where none of that number is open.</summary>
        public Sent? Take(long number)
        {
            var at = number / PageRecords;
            var page = number < 0 ? null : Find(at);
            var record = page?.Records[number % PageRecords];
            if (record == null)
            {
                return null;
            }
            page!.Records[number % PageRecords] = null;
            Count--;
            if (++page.Taken == PageRecords)
            {
                pages.Remove(at);
                lastAt = -1;
            }
            return record;
        }

        /// <summary>Takes all out.</summary>
        public List<Sent> TakeAll()
        {
            var all = new List<Sent>(Count);
            foreach (var page in pages.Values)
            {
                foreach (var record in page.Records)
                {
                    if (record != null)
                    {
                        all.Add(record);
                    }
                }
            }
            pages.Clear();
            last = null;
            lastAt = -1;
            Count = 0;
            return all;
        }

        private Page? Find(long at)
        {
            if (at == lastAt)
            {
                return last;
            }
            if (pages.TryGetValue(at, out var page))
            {
                last = page;
                lastAt = at;
            }
            return page;
        }
    }

    /// <summary>Failures of records that nobody has looked at: logged after some seconds, thrown by flush and
    /// close. Records that failed together share one exception, so whoever looks at one has seen it.</summary>
    internal sealed class Failures
    {
        private const int Remembered = 1000;
        private const int LogAfter = 10_000; // ms: who sends much looks late
        private readonly string of;
        private readonly List<(VegasException Error, int Count)> open = new List<(VegasException, int)>();
        private int logged; // how many of them, from the first on
        private int more; // records besides
        private Timer? timer;

        public Failures(string of) => this.of = of;

        public void Add(VegasException error, int count)
        {
            lock (open)
            {
                if (open.Count >= Remembered)
                {
                    Forget();
                }
                if (open.Count >= Remembered)
                {
                    more += count;
                }
                else
                {
                    open.Add((error, count));
                }
                timer = timer ?? new Timer(_ => Log(), null, LogAfter, Timeout.Infinite);
            }
        }

        /// <summary>Logs what nobody has looked at by now.</summary>
        public void Log()
        {
            VegasException? first = null;
            var count = 0;
            lock (open)
            {
                timer?.Dispose();
                timer = null;
                Forget();
                for (; logged < open.Count; logged++)
                {
                    first = first ?? open[logged].Error;
                    count += open[logged].Count;
                }
            }
            if (first != null)
            {
                VegasLog.Write(VegasLogLevel.Warn, Words(first, count) + (first.PlainRemedy == null ? "" : ": " + first.PlainRemedy));
            }
        }

        /// <summary>One exception that stands for all that nobody has looked at so far.</summary>
        public VegasException? Take()
        {
            lock (open)
            {
                timer?.Dispose();
                timer = null;
                Forget();
                if (open.Count == 0)
                {
                    more = 0;
                    return null;
                }
                var first = open[0].Error;
                var count = more;
                var unknown = false;
                foreach (var (error, n) in open)
                {
                    count += n;
                    unknown |= error.PlainUnknown;
                }
                open.Clear();
                logged = more = 0;
                return count == 1 ? first.Again() : first.Again(Words(first, count), null, unknown);
            }
        }

        // Lets go of what somebody has looked at.
        private void Forget()
        {
            for (var i = open.Count - 1; i >= 0; i--)
            {
                if (open[i].Error.Looked)
                {
                    open.RemoveAt(i);
                    if (i < logged)
                    {
                        logged--;
                    }
                }
            }
        }

        private string Words(VegasException first, int count) => count == 1
            ? $"{of}: a record failed, and nobody asked for its result: {first.PlainText}"
            : $"{of}: {count} records failed, and nobody asked for their results; the first: {first.PlainText}";
    }

    /// <summary>A change that others wait for. Its owner holds a lock at each call.</summary>
    internal sealed class Change
    {
        private TaskCompletionSource<bool>? source;

        public Task Next
        {
            get
            {
                source = source ?? new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
                return source.Task;
            }
        }

        public void Tell()
        {
            var waited = source;
            source = null;
            waited?.TrySetResult(true);
        }
    }
}

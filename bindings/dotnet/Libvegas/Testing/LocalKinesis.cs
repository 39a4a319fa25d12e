using System;
using System.Collections.Generic;
using System.Linq;

namespace Libvegas.Testing
{
    /// <summary>Options of a LocalKinesis.</summary>
    public sealed class LocalKinesisOptions
    {
        internal LocalKinesisOptions()
        {
        }

        /// <summary>Do not throttle as AWS does.</summary>
        public bool NoLimits { get; set; }

        /// <summary>MaxRecordSize of the streams, 1 to 10 MiB.</summary>
        public long RecordBytes { get; set; } = 1 << 20;

        /// <summary>How long streams take to be created, split or merged.</summary>
        public TimeSpan StateDelay { get; set; } = TimeSpan.FromMilliseconds(50);

        /// <summary>0 takes a free one.</summary>
        public int Port { get; set; }

        /// <summary>Path of the engine's binary. Default: VEGAS_ENGINE, or the one that lies in the package.</summary>
        public string Engine { get; set; } = "";
    }

    /// <summary>A Kinesis of its own for tests: in memory, inside the engine, on a free port of this machine.
    /// Producers and consumers find it by the option Endpoint; other clients by Environment.</summary>
    public sealed partial class LocalKinesis : IDisposable
    {
        private readonly Session session;
        private readonly uint number = Libvegas.Engine.NewNumber();
        private bool stopped;

        /// <summary>Starts one, with streams of a number of shards each.</summary>
        public LocalKinesis(IEnumerable<KeyValuePair<string, int>> streams, Action<LocalKinesisOptions>? configure = null)
        {
            var options = new LocalKinesisOptions();
            configure?.Invoke(options);
            session = Libvegas.Engine.Get(options.Engine).Connect();
            var arguments = new Dictionary<string, object?>
            {
                ["local"] = number,
                ["streams"] = streams.ToDictionary(s => s.Key, s => (object?)s.Value),
                ["no_limits"] = options.NoLimits,
                ["port"] = options.Port,
                ["record_bytes"] = options.RecordBytes,
                ["state_delay"] = options.StateDelay.Ticks / 10,
            };
            var answer = session.CallAsync(Spec.MethodStartLocal, arguments).GetAwaiter().GetResult();
            Endpoint = answer.Text("endpoint");
            var environment = answer.Get("environment") as Dictionary<string, object?> ?? new Dictionary<string, object?>();
            Environment = environment.ToDictionary(e => e.Key, e => e.Value as string ?? "");
        }

        /// <summary>Starts one with a stream.</summary>
        public LocalKinesis(string stream, int shards = 1, Action<LocalKinesisOptions>? configure = null)
            : this(new[] { new KeyValuePair<string, int>(stream, shards) }, configure)
        {
        }

        /// <summary>Where it is.</summary>
        public string Endpoint { get; }

        /// <summary>What other programs need in their environment to use it.</summary>
        public IReadOnlyDictionary<string, string> Environment { get; }

        /// <summary>A store for groups, which goes with it.</summary>
        public string Store => Environment["VEGAS_STORE"];

        /// <summary>Ends it. What it had is gone.</summary>
        public void Dispose()
        {
            if (stopped)
            {
                return;
            }
            stopped = true;
            try
            {
                session.CallAsync(Spec.MethodStopLocal, new Dictionary<string, object?> { ["local"] = number }).GetAwaiter().GetResult();
            }
            catch (EngineGoneException)
            {
                // With the engine it has ended.
            }
        }
    }
}

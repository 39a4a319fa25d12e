using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    /// <summary>A producer or consumer, as the engine sees it. The engine's reader calls all but the
    /// methods of the exit, so none of them waits.</summary>
    internal interface IClient
    {
        uint Number { get; }

        /// <summary>The method, and its arguments, that open it.</summary>
        (string Method, Map Arguments) OpenCall();

        void Opened(Session session, Map answer);

        /// <summary>It could not be opened, or there will be no engine any more.</summary>
        void Broken(VegasException error);

        /// <summary>The session has ended; another one comes.</summary>
        void Lost(Session session, VegasException why);

        void Frame(Session session, byte kind, byte[] b, int from, int to);

        void Called(Session session, long call, Map arguments);

        void Event(Map told);

        /// <summary>Consumers end before producers, which their handlers may use.</summary>
        bool EndsFirst { get; }

        /// <summary>The program ends: begins to close.</summary>
        void ExitBegin();

        /// <summary>Waits for that, and says what is left.</summary>
        void ExitEnd(long began);
    }

    /// <summary>All sessions with one binary, one after the other. The first one starts at the first
    /// use; when it dies another one is started, and what was open is opened anew.</summary>
    internal sealed class Engine
    {
        private const int Starts = 5; // that many within a minute are enough
        private const int Backoff = 100; // ms
        private static readonly Dictionary<string, Engine> engines = new Dictionary<string, Engine>();
        private static int lastNumber;
        private static bool exits;

        private readonly string path;
        private readonly object gate = new object();
        private readonly Dictionary<uint, IClient> clients = new Dictionary<uint, IClient>();
        private Session? session;
        private VegasException? failed;
        private bool running;
        private bool closing;

        private Engine(string path) => this.path = path;

        /// <summary>The engine of a binary: the one named, that of VEGAS_ENGINE, or the package's.</summary>
        public static Engine Get(string? named)
        {
            var path = string.IsNullOrEmpty(named) ? Environment.GetEnvironmentVariable("VEGAS_ENGINE") : named;
            path = Path.GetFullPath(string.IsNullOrEmpty(path) ? Packaged() : path!);
            lock (engines)
            {
                if (!exits)
                {
                    exits = true;
                    AppDomain.CurrentDomain.ProcessExit += (_, __) => ExitAll();
                }
                if (!engines.TryGetValue(path, out var engine))
                {
                    engines[path] = engine = new Engine(path);
                }
                return engine;
            }
        }

        /// <summary>A number for a producer, a consumer or a local server.</summary>
        public static uint NewNumber() => (uint)Interlocked.Increment(ref lastNumber);

        /// <summary>The session, started where there is none. Throws where there cannot be.</summary>
        public Session Connect()
        {
            lock (gate)
            {
                if (!running && failed == null)
                {
                    running = true;
                    new Thread(Run) { IsBackground = true, Name = "vegas-engine" }.Start();
                }
                while (session == null)
                {
                    if (failed != null)
                    {
                        throw failed.Again();
                    }
                    Monitor.Wait(gate);
                }
                return session;
            }
        }

        /// <summary>Opens a client now and in every session to come.</summary>
        public void Attach(IClient client)
        {
            lock (gate)
            {
                if (!running)
                {
                    throw failed?.Again() ?? new EngineGoneException("the program is ending");
                }
                if (session != null)
                {
                    Open(session, client); // throws where an option cannot cross
                }
                clients[client.Number] = client;
            }
        }

        public void Detach(IClient client)
        {
            lock (gate)
            {
                clients.Remove(client.Number);
            }
        }

        public IClient? Client(long number)
        {
            lock (gate)
            {
                return clients.TryGetValue((uint)number, out var client) ? client : null;
            }
        }

        private void Open(Session session, IClient client)
        {
            var (method, arguments) = client.OpenCall();
            session.Call(method, arguments, (answer, error) =>
            {
                if (error is EngineGoneException)
                {
                    return; // it is opened in the next session
                }
                if (error != null)
                {
                    Detach(client);
                    client.Broken(error);
                }
                else
                {
                    client.Opened(session, answer!);
                }
            });
        }

        private void Run()
        {
            var starts = new List<long>();
            var first = true;
            while (true)
            {
                starts.RemoveAll(t => t < Clock.Now - 60_000);
                starts.Add(Clock.Now);
                VegasException why;
                try
                {
                    var now = new Session(path);
                    now.Hello();
                    first = false;
                    lock (gate)
                    {
                        session = now;
                        foreach (var client in clients.Values)
                        {
                            Open(now, client);
                        }
                        Monitor.PulseAll(gate);
                    }
                    why = now.Read(this);
                    lock (gate)
                    {
                        session = null;
                    }
                    now.End(why);
                    foreach (var client in All())
                    {
                        client.Lost(now, why);
                    }
                }
                catch (VegasException e)
                {
                    if (first)
                    {
                        End(e, true); // nothing is open yet: the next call may try again
                        return;
                    }
                    why = e;
                }
                if (closing)
                {
                    End(new EngineGoneException("the program is ending", null, true), false);
                    return;
                }
                if (starts.Count >= Starts)
                {
                    End(new EngineGoneException(
                        $"the engine has ended {starts.Count} times within a minute; the last time: {why.PlainText}",
                        "what kills it is on standard error", true), false);
                    return;
                }
                VegasLog.Write(VegasLogLevel.Warn, why.Words + "; starting another one");
                Thread.Sleep(Backoff << (starts.Count - 1));
            }
        }

        private List<IClient> All()
        {
            lock (gate)
            {
                return clients.Values.ToList();
            }
        }

        private void End(VegasException why, bool retry)
        {
            List<IClient> all;
            lock (gate)
            {
                failed = why;
                running = false;
                all = clients.Values.ToList();
                clients.Clear();
                Monitor.PulseAll(gate);
            }
            foreach (var client in all)
            {
                client.Broken(why);
            }
            if (!retry)
            {
                return;
            }
            // Whoever waits has woken with the reason; later ones try anew.
            lock (engines)
            {
                if (engines.TryGetValue(path, out var engine) && engine == this)
                {
                    engines.Remove(path);
                }
            }
        }

        // The end of the program: consumers close, then producers flush, then the engine ends.
        private static void ExitAll()
        {
            List<Engine> all;
            lock (engines)
            {
                all = engines.Values.ToList();
            }
            foreach (var first in new[] { true, false })
            {
                var began = Clock.Now;
                var list = all.SelectMany(e => e.All()).Where(c => c.EndsFirst == first).ToList();
                list.ForEach(c => c.ExitBegin());
                list.ForEach(c => c.ExitEnd(began));
            }
            foreach (var engine in all)
            {
                engine.closing = true;
                engine.session?.Close(2000);
            }
            Callbacks.Drain(1000);
        }

        private static string Packaged()
        {
            var windows = RuntimeInformation.IsOSPlatform(OSPlatform.Windows);
            var system = windows ? "win" : RuntimeInformation.IsOSPlatform(OSPlatform.OSX) ? "osx" : "linux";
            // The engine is a process of its own: it is the system's, even where this one is not.
            var rid = $"{system}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}";
            var name = windows ? "vegas-engine.exe" : "vegas-engine";
            var native = Path.Combine("runtimes", rid, "native", name);
            var places = new List<string>();
            // The program's own file is for those of one file, which may be unpacked elsewhere.
            var files = new[] { typeof(Engine).Assembly.Location, Process.GetCurrentProcess().MainModule?.FileName };
            var folders = files.Where(f => !string.IsNullOrEmpty(f)).Select(Path.GetDirectoryName).ToList();
            folders.Insert(0, AppContext.BaseDirectory);
            foreach (var folder in folders.Where(d => !string.IsNullOrEmpty(d)).Distinct())
            {
                places.Add(Path.Combine(folder!, native)); // as programs are built
                places.Add(Path.Combine(folder!, name)); // as they are published for one platform
                places.Add(Path.Combine(folder!, "..", "..", native)); // in NuGet's folder, where notebooks and scripts load from
            }
            return places.FirstOrDefault(File.Exists) ?? throw new EngineMissingException(
                $"there is no engine at {places[0]}",
                "add the package Libvegas for this platform, or name an engine by VEGAS_ENGINE or the option Engine");
        }
    }

    internal static class Waiting
    {
        /// <summary>Whether a task ended within a time; null waits for ever.</summary>
        public static async Task<bool> Within(this Task task, TimeSpan? time, CancellationToken cancellation)
        {
            if (task.IsCompleted)
            {
                return true;
            }
            using (var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation))
            {
                var delay = Task.Delay(time == null || time > longest ? Timeout.InfiniteTimeSpan : time < TimeSpan.Zero ? TimeSpan.Zero : time.Value, over.Token);
                var first = await Task.WhenAny(task, delay).ConfigureAwait(false);
                over.Cancel();
            }
            cancellation.ThrowIfCancellationRequested();
            return task.IsCompleted;
        }

        private static readonly TimeSpan longest = TimeSpan.FromDays(24);
    }
}

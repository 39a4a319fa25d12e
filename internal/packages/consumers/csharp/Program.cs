using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Libvegas;
using Libvegas.Testing;
#if NETCOREAPP
using Libvegas.Extensions;
using Microsoft.Extensions.DependencyInjection;
#endif

/// <summary>Sends and receives a record. Its argument is where the engine has to run.</summary>
internal static class Program
{
    private static async Task Main(string[] args)
    {
        var own = Path.GetFullPath(AppContext.BaseDirectory);
        var from = Path.GetFullPath(typeof(Producer).Assembly.Location);
        Yes(from.StartsWith(own, StringComparison.Ordinal), $"the package comes from {from}");
        Yes(Environment.GetEnvironmentVariable("VEGAS_ENGINE") == null, "VEGAS_ENGINE names an engine");

        using var kinesis = new LocalKinesis("orders");
        var arrived = new TaskCompletionSource<string>();
        using var c = new Consumer("orders", "group", new Action<Record>(r => arrived.TrySetResult(r.Text)), o => (o.Endpoint, o.Store) = (kinesis.Endpoint, "memory"));
#if NETCOREAPP
        await using var services = new ServiceCollection().AddLogging()
            .AddVegas(vegas => vegas.Producer("orders", o => o.Endpoint = kinesis.Endpoint))
            .BuildServiceProvider();
        var p = services.GetRequiredService<IMessageSender>().Producer("orders");
#else
        using var p = new Producer("orders", o => o.Endpoint = kinesis.Endpoint);
#endif
        await p.SendAsync("key", "message");
        var first = await Task.WhenAny(arrived.Task, Task.Delay(30_000));
        Yes(first == arrived.Task && await arrived.Task == "message", "no message arrived, or another one");

        var engines = Directory.GetDirectories("/proc").Select(Engine).Where(path => path != null).ToList();
        Yes(engines.Count == 1 && engines[0] == args[0], $"engines are [{string.Join(", ", engines)}], want {args[0]}");
    }

    /// <summary>The path of a process that this one has started; null of any other.</summary>
    private static string Engine(string process)
    {
        try
        {
            var stat = File.ReadAllText(Path.Combine(process, "stat"));
            var fields = stat.Substring(stat.LastIndexOf(") ", StringComparison.Ordinal) + 2).Split(' '); // state, parent, …
            return fields[1] == Process.GetCurrentProcess().Id.ToString() ? File.ReadAllText(Path.Combine(process, "cmdline")).Split('\0')[0] : null;
        }
        catch (Exception e) when (e is IOException || e is UnauthorizedAccessException || e is ArgumentOutOfRangeException)
        {
            return null; // no process, or one that has ended
        }
    }

    private static void Yes(bool it, string what)
    {
        if (!it)
        {
            throw new InvalidOperationException(what);
        }
    }
}

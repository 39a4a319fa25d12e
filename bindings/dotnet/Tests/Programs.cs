using System;
using System.Reflection;
using System.Threading;

namespace Libvegas.Tests
{
    /// <summary>Programs that tests start, to see how they end.</summary>
    internal static class Programs
    {
        public static void Run(string name, string[] args)
        {
            switch (name)
            {
                case "busy":
                    var busy = new Producer(args[0]);
                    for (var i = 0; i < 20_000; i++)
                    {
                        busy.SendAsync($"k{i % 50}", i.ToString());
                    }
                    return;
                case "alone":
                    var alone = new Producer("s", o =>
                    {
                        o.Endpoint = "http://127.0.0.1:9";
                        o.CloseTimeout = TimeSpan.FromSeconds(0.5);
                    });
                    for (var i = 0; i < 10; i++)
                    {
                        alone.SendAsync("k", "x");
                    }
                    return;
                case "killed":
                    _ = Reading(args[0], r => Console.WriteLine(r.Text));
                    var killed = new Producer(args[0]);
                    killed.SendAsync("k", "1").Wait();
                    killed.SendAsync("k", "2");
                    Console.ReadLine();
                    return;
                case "durable":
                    var durable = new Producer(args[0], o =>
                    {
                        o.Durable = args[1];
                        o.Endpoint = "http://127.0.0.1:9";
                    });
                    for (var i = 0; i < 999; i++)
                    {
                        durable.SendAsync("k", i.ToString());
                    }
                    Console.WriteLine(durable.SendAsync("k", "999").Result.Durable);
                    Console.ReadLine();
                    return;
                case "endless":
                    var began = new ManualResetEventSlim();
                    _ = Reading(args[0], r =>
                    {
                        began.Set();
                        Thread.Sleep(Timeout.Infinite);
                    });
                    new Producer(args[0]).SendAsync("k", "x");
                    began.Wait();
                    Console.WriteLine("began");
                    return;
                case "sample":
                    typeof(global::Program).GetMethod("Main", BindingFlags.NonPublic | BindingFlags.Static)!.Invoke(null, null);
                    return;
                default:
                    throw new ArgumentException(name);
            }
        }

        private static Consumer Reading(string stream, Action<Record> handler) => new Consumer(stream, "g", handler, o =>
        {
            o.PollIdle = TimeSpan.FromMilliseconds(50);
            o.PollBusy = TimeSpan.FromMilliseconds(20);
            o.LeaseTime = TimeSpan.FromSeconds(60);
            o.Grace = TimeSpan.FromSeconds(0.3);
        });
    }
}

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Tests
{
    /// <summary>A test is a public method of a class that ends in Tests.</summary>
    internal static class TestRunner
    {
        private static readonly TimeSpan longest = TimeSpan.FromSeconds(90);

        /// <summary>Runs those whose names contain a word, one after the other; returns how many failed.</summary>
        public static int Run(string word)
        {
            var failed = 0;
            var tests = from type in typeof(TestRunner).Assembly.GetTypes()
                        where type.Name.EndsWith("Tests", StringComparison.Ordinal) && !type.IsAbstract
                        from method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
                        where method.GetParameters().Length == 0 && !method.IsSpecialName && method.Name != "Dispose"
                        let name = type.Name.Replace("Tests", "") + "." + method.Name
                        where name.IndexOf(word, StringComparison.OrdinalIgnoreCase) >= 0
                        select (name, type, method);
            foreach (var (name, type, method) in tests.ToList())
            {
                var clock = Stopwatch.StartNew();
                var log = new List<string>();
                Listen(log);
                var error = Try(type, method);
                Console.WriteLine($"{(error == null ? "ok  " : "FAIL")} {name} ({clock.ElapsedMilliseconds} ms)");
                if (error != null)
                {
                    failed++;
                    Console.WriteLine(error);
                    lock (log)
                    {
                        log.ForEach(Console.WriteLine);
                    }
                }
            }
            Console.WriteLine(failed == 0 ? "all passed" : $"{failed} failed");
            return failed;
        }

        // What vegas logs during a test is told where the test fails.
        private static void Listen(List<string> log)
        {
            VegasLog.Level = VegasLogLevel.Info; // a host may have set another one
            VegasLog.Handler = (level, text, attributes) =>
            {
                lock (log)
                {
                    log.Add($"{level} {text} {string.Join(" ", attributes.Select(a => $"{a.Key}={a.Value}"))}");
                }
            };
        }

        private static Exception? Try(Type type, MethodInfo method)
        {
            try
            {
                var run = Task.Run(async () =>
                {
                    var test = Activator.CreateInstance(type);
                    try
                    {
                        if (method.Invoke(test, null) is Task task)
                        {
                            await task;
                        }
                    }
                    finally
                    {
                        (test as IDisposable)?.Dispose();
                    }
                });
                if (!run.Wait(longest))
                {
                    return new Exception($"it did not end within {longest}");
                }
                return null;
            }
            catch (AggregateException e)
            {
                return (e.InnerException as TargetInvocationException)?.InnerException ?? e.InnerException;
            }
        }
    }

    internal static class Assert
    {
        public static void True(bool ok, string words = "it is not so")
        {
            if (!ok)
            {
                throw new Exception(words);
            }
        }

        public static void Equal<T>(T want, T have)
        {
            if (want is IEnumerable<object> || (want is System.Collections.IEnumerable && !(want is string)))
            {
                Equal(Shown(want), Shown(have));
            }
            else if (!EqualityComparer<T>.Default.Equals(want, have))
            {
                throw new Exception($"want {want}, have {have}");
            }
        }

        public static void Contains(string part, string all) => True(all.Contains(part), $"want {part} in: {all}");

        public static T Throws<T>(Action call)
            where T : Exception
        {
            try
            {
                call();
            }
            catch (T e)
            {
                return e;
            }
            throw new Exception($"want a {typeof(T).Name}");
        }

        public static async Task<T> Throws<T>(Func<Task> call)
            where T : Exception
        {
            try
            {
                await call();
            }
            catch (T e)
            {
                return e;
            }
            throw new Exception($"want a {typeof(T).Name}");
        }

        public static void Eventually(Func<bool> ok, int ms = 20_000)
        {
            for (var clock = Stopwatch.StartNew(); !ok(); Thread.Sleep(10))
            {
                True(clock.ElapsedMilliseconds < ms, "it did not come to that");
            }
        }

        private static string Shown(object? v) => v is System.Collections.IEnumerable e && !(v is string)
            ? "[" + string.Join(", ", e.Cast<object?>().Select(Shown)) + "]"
            : v?.ToString() ?? "null";
    }

    /// <summary>What handlers got, and waiting for it.</summary>
    internal sealed class Box<T>
    {
        private readonly List<T> items = new List<T>();

        public void Put(T item)
        {
            lock (items)
            {
                items.Add(item);
                Monitor.PulseAll(items);
            }
        }

        public List<T> Items
        {
            get
            {
                lock (items)
                {
                    return items.ToList();
                }
            }
        }

        public List<T> Wait(int n) => Wait(all => all.Count >= n);

        public List<T> Wait(Func<List<T>, bool> enough)
        {
            var clock = Stopwatch.StartNew();
            lock (items)
            {
                while (!enough(items))
                {
                    var left = 30_000 - (int)clock.ElapsedMilliseconds;
                    Assert.True(left > 0 && Monitor.Wait(items, left), $"{items.Count} items have come: {string.Join(", ", items.Take(10))}");
                }
                return items.ToList();
            }
        }
    }
}

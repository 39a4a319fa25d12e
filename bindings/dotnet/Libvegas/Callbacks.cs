using System;
using System.Collections.Generic;
using System.Threading;

namespace Libvegas
{
    /// <summary>Calls what is the program's own and has no thread yet, one after the other: the log's
    /// handler and OnStats. So none of it can hold up the engine's reader.</summary>
    internal static class Callbacks
    {
        private const int Most = 10_000; // of those that wait; further ones are dropped
        private static readonly Queue<Action> queue = new Queue<Action>();
        private static bool started;
        private static bool busy;

        public static void Put(Action call)
        {
            lock (queue)
            {
                if (queue.Count >= Most)
                {
                    return;
                }
                queue.Enqueue(call);
                if (!started)
                {
                    started = true;
                    new Thread(Run) { IsBackground = true, Name = "vegas-callbacks" }.Start();
                }
                Monitor.PulseAll(queue);
            }
        }

        /// <summary>Waits until all that was put is done: at the program's end.</summary>
        public static void Drain(int ms)
        {
            var until = Clock.Now + ms;
            lock (queue)
            {
                while (queue.Count > 0 || busy)
                {
                    var left = until - Clock.Now;
                    if (left <= 0 || !Monitor.Wait(queue, (int)left))
                    {
                        return;
                    }
                }
            }
        }

        private static void Run()
        {
            while (true)
            {
                Action call;
                lock (queue)
                {
                    busy = false;
                    Monitor.PulseAll(queue);
                    while (queue.Count == 0)
                    {
                        Monitor.Wait(queue);
                    }
                    busy = true;
                    call = queue.Dequeue();
                }
                try
                {
                    call();
                }
                catch (Exception e)
                {
                    Console.Error.WriteLine("vegas error: a callback has failed: " + e);
                }
            }
        }
    }
}

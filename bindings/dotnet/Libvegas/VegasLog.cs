using System;
using System.Collections.Generic;
using System.Linq;

namespace Libvegas
{
    /// <summary>How much a line of the log matters.</summary>
    public enum VegasLogLevel
    {
        /// <summary>For those who look for a fault.</summary>
        Debug,

        /// <summary>What goes on.</summary>
        Info,

        /// <summary>Something to know about.</summary>
        Warn,

        /// <summary>Something to do about.</summary>
        Error,
    }

    /// <summary>Takes a line of the log, with its attributes.</summary>
    public delegate void VegasLogHandler(VegasLogLevel level, string text, IReadOnlyDictionary<string, object?> attributes);

    /// <summary>Where the words of the binding and of the engine go.</summary>
    public static class VegasLog
    {
        private static readonly Dictionary<string, object?> nothing = new Dictionary<string, object?>();
        private static readonly string[] words = { "debug", "info", "warn", "error" };

        /// <summary>Takes each line, on a thread of vegas' own. null: warnings and errors go to standard error.</summary>
        public static VegasLogHandler? Handler { get; set; }

        /// <summary>What lies below is not sent by engines that start from now on. Default: Info.</summary>
        public static VegasLogLevel Level { get; set; } = VegasLogLevel.Info;

        internal static string LevelWord => words[(int)Level];

        internal static void Write(VegasLogLevel level, string text, IReadOnlyDictionary<string, object?>? attributes = null)
        {
            if (level < Level)
            {
                return;
            }
            Callbacks.Put(() =>
            {
                var handler = Handler;
                if (handler == null)
                {
                    Plain(level, text, attributes);
                    return;
                }
                try
                {
                    handler(level, text, attributes ?? nothing);
                }
                catch (Exception e)
                {
                    Plain(level, text, attributes);
                    Plain(VegasLogLevel.Error, "the log's handler failed: " + e, null);
                }
            });
        }

        internal static void Write(IReadOnlyDictionary<string, object?> line)
        {
            var level = Array.IndexOf(words, line.Text("level"));
            Write(level < 0 ? VegasLogLevel.Info : (VegasLogLevel)level, line.Text("text"), line.Get("attrs") as IReadOnlyDictionary<string, object?>);
        }

        private static void Plain(VegasLogLevel level, string text, IReadOnlyDictionary<string, object?>? attributes)
        {
            if (level >= VegasLogLevel.Warn)
            {
                var more = attributes == null ? "" : string.Concat(attributes.Select(a => $" {a.Key}={a.Value}"));
                Console.Error.WriteLine($"vegas {words[(int)level]}: {text}{more}");
            }
        }
    }
}

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Libvegas
{
    /// <summary>What protocol.json says of an option. The engine never hears of those that are the host's.</summary>
    internal sealed class Option
    {
        public readonly string Name;
        public readonly string Type;
        public readonly object? Value;
        public readonly bool Host;
        public readonly string[] Words;

        public Option(string name, string type, object? value, bool host, params string[] words)
        {
            Name = name;
            Type = type;
            Value = value;
            Host = host;
            Words = words;
        }
    }

    /// <summary>Where a group starts that the store does not know yet.</summary>
    public readonly struct Start
    {
        private readonly object? value;

        private Start(object value) => this.value = value;

        /// <summary>With the oldest record that the stream has.</summary>
        public static Start TrimHorizon => new Start("trim_horizon");

        /// <summary>With records that arrive from now on.</summary>
        public static Start Latest => new Start("latest");

        /// <summary>With records that arrived at a time or later.</summary>
        public static Start At(DateTimeOffset time) => new Start(time);

        /// <summary>With records that arrived at a time or later.</summary>
        public static implicit operator Start(DateTimeOffset time) => At(time);

        internal object Wire => value is DateTimeOffset time ? (time.UtcTicks - Clock.Epoch) / 10 : value ?? "trim_horizon";

        /// <inheritdoc/>
        public override string ToString() => value?.ToString() ?? "trim_horizon";
    }

    /// <summary>Options of a producer or a consumer.</summary>
    public abstract class VegasOptions
    {
        private readonly string of;
        private readonly IReadOnlyDictionary<string, Option> table;
        private readonly Dictionary<string, object?> given = new Dictionary<string, object?>();

        internal VegasOptions(string of, IReadOnlyDictionary<string, Option> table)
        {
            this.of = of;
            this.table = table;
        }

        /// <summary>An option by its name, as here or as in the protocol: for settings that come out of
        /// a file. A text is taken for what it says: "5s", "00:00:05", "true", "skip".</summary>
        public object? this[string name]
        {
            get => Get(Find(name).Name);
            set => Set(Find(name).Name, value);
        }

        /// <summary>Whether there is such an option.</summary>
        internal bool Knows(string name) => table.Values.Any(o => Plain(o.Name) == Plain(name));

        internal static IReadOnlyDictionary<string, Option> TableOf(params Option[] options) => options.ToDictionary(o => o.Name);

        internal object? Get(string name) => given.TryGetValue(name, out var value) ? value : table[name].Value;

        internal void Set(string name, object? value)
        {
            var option = table[name];
            try
            {
                given[name] = Read(option, value);
            }
            catch (Exception e) when (e is FormatException || e is InvalidCastException || e is OverflowException || e is ArgumentException)
            {
                throw new BadOptionException($"{of}: option {Spelled(name)} is {Shown(value)}: {e.Message}");
            }
        }

        /// <summary>What the engine is told: what was given.</summary>
        internal Dictionary<string, object?> Wire()
        {
            var wire = new Dictionary<string, object?>();
            foreach (var pair in given)
            {
                var option = table[pair.Key];
                if (option.Host || pair.Value == null)
                {
                    continue;
                }
                wire[pair.Key] = Cross(option, pair.Value);
            }
            if (Get("on_stats") != null && (TimeSpan)Get("stats_every")! == TimeSpan.Zero)
            {
                wire["stats_every"] = 10_000_000L;
            }
            return wire;
        }

        private static object Cross(Option option, object value)
        {
            switch (option.Type)
            {
                case "duration": return ((TimeSpan)value).Ticks / 10;
                case "word": return option.Words[Convert.ToInt32(value, CultureInfo.InvariantCulture)];
                case "start": return ((Start)value).Wire;
                case "function": return true;
                default: return value;
            }
        }

        // Gives a value the type that its property has.
        private static object? Read(Option option, object? value)
        {
            if (value == null)
            {
                return option.Type == "function" ? null : option.Value;
            }
            var text = value as string;
            switch (option.Type)
            {
                case "flag":
                    return text != null ? bool.Parse(text) : (object)(bool)value;
                case "number":
                    return (int)Whole(Convert.ToInt32(value, CultureInfo.InvariantCulture));
                case "size":
                    return Whole(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                case "duration":
                    var time = text != null ? Duration(text) : (TimeSpan)value;
                    return time >= TimeSpan.Zero ? time : throw new ArgumentException("want 0 or more");
                case "word":
                    return text != null ? Word(option, text) : Known(option, value);
                case "start":
                    return text != null ? StartOf(text) : value is DateTimeOffset at ? Start.At(at) : (Start)value;
                case "function":
                    return value as Delegate ?? throw new InvalidCastException("want a function");
                case "list":
                    return (IReadOnlyList<IReadOnlyDictionary<string, object?>>)value;
                default:
                    return text ?? throw new InvalidCastException("want a string");
            }
        }

        private static long Whole(long n) => n >= 0 ? n : throw new ArgumentException("want 0 or more");

        private static object Known(Option option, object value) =>
            value.GetType() == option.Value!.GetType() && Enum.IsDefined(value.GetType(), value) ? value : throw new ArgumentException("want one of its enumeration");

        private static object Word(Option option, string text)
        {
            var i = Array.FindIndex(option.Words, w => Plain(w) == Plain(text));
            return i >= 0
                ? Enum.ToObject(option.Value!.GetType(), i)
                : throw new ArgumentException("want one of " + string.Join(", ", option.Words));
        }

        private static Start StartOf(string text)
        {
            switch (Plain(text))
            {
                case "trimhorizon": return Start.TrimHorizon;
                case "latest": return Start.Latest;
                default: return DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
            }
        }

        private static readonly (string Unit, double Ms)[] units =
        {
            ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000),
        };

        private static TimeSpan Duration(string text)
        {
            foreach (var (unit, ms) in units)
            {
                if (text.EndsWith(unit, StringComparison.Ordinal)
                    && double.TryParse(text.Substring(0, text.Length - unit.Length), NumberStyles.Float, CultureInfo.InvariantCulture, out var n))
                {
                    return TimeSpan.FromTicks((long)(n * ms * TimeSpan.TicksPerMillisecond));
                }
            }
            return TimeSpan.Parse(text, CultureInfo.InvariantCulture);
        }

        private Option Find(string name)
        {
            var plain = Plain(name);
            foreach (var option in table.Values)
            {
                if (Plain(option.Name) == plain)
                {
                    return option;
                }
            }
            var nearest = table.Keys.OrderBy(n => Distance(plain, Plain(n))).First();
            var near = Distance(plain, Plain(nearest)) <= plain.Length / 2 ? $"did you mean {Spelled(nearest)}?" : null;
            throw new BadOptionException($"{of}: there is no option {name}", near);
        }

        private static string Spelled(string name) =>
            string.Concat(name.Split('_').Select(w => char.ToUpperInvariant(w[0]) + w.Substring(1)));

        private static string Plain(string name) => name.Replace("_", "").Replace("-", "").ToLowerInvariant();

        private static string Shown(object? value)
        {
            var text = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "null";
            return text.Length > 80 ? text.Substring(0, 80) + "…" : text;
        }

        private static int Distance(string a, string b)
        {
            var row = Enumerable.Range(0, b.Length + 1).ToArray();
            for (var i = 0; i < a.Length; i++)
            {
                var next = new int[b.Length + 1];
                next[0] = i + 1;
                for (var j = 0; j < b.Length; j++)
                {
                    next[j + 1] = a[i] == b[j] ? row[j] : 1 + Math.Min(row[j], Math.Min(row[j + 1], next[j]));
                }
                row = next;
            }
            return row[b.Length];
        }
    }

    internal static class Clock
    {
        /// <summary>1970, in ticks.</summary>
        public const long Epoch = 621_355_968_000_000_000;

        /// <summary>Milliseconds from some moment on, which only grow.</summary>
        public static long Now => System.Diagnostics.Stopwatch.GetTimestamp() / (System.Diagnostics.Stopwatch.Frequency / 1000);
    }
}

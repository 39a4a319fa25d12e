using System;
using System.Collections;
using System.Collections.Generic;
using System.Text;

namespace Libvegas
{
    /// <summary>Bytes that grow; numbers are little-endian, whatever the machine.</summary>
    internal sealed class Bytes
    {
        public byte[] Data;
        public int Count;

        public Bytes(int size = 256) => Data = new byte[size];

        /// <summary>Makes room for n more and returns where they begin.</summary>
        public int Grow(int n)
        {
            var at = Count;
            if (n > Data.Length - at)
            {
                Array.Resize(ref Data, Math.Max(checked(at + n), Data.Length * 2));
            }
            Count = at + n;
            return at;
        }

        public void U8(int n)
        {
            var at = Grow(1); // first: it may make Data another one
            Data[at] = (byte)n;
        }

        public void U16(int n)
        {
            var at = Grow(2);
            Data[at] = (byte)n;
            Data[at + 1] = (byte)(n >> 8);
        }

        public void U32(long n)
        {
            var at = Grow(4);
            LittleEndian.PutU32(Data, at, (uint)n);
        }

        public void I64(long n)
        {
            var at = Grow(8);
            LittleEndian.PutU32(Data, at, (uint)n);
            LittleEndian.PutU32(Data, at + 4, (uint)(n >> 32));
        }

        public void Raw(byte[] b, int offset, int count)
        {
            var at = Grow(count);
            Buffer.BlockCopy(b, offset, Data, at, count);
        }

        public void Raw(byte[] b) => Raw(b, 0, b.Length);

        /// <summary>A u32 length and the text.</summary>
        public void Text(string s)
        {
            var n = Wire.Lenient.GetByteCount(s);
            U32(n);
            var at = Grow(n);
            Wire.Lenient.GetBytes(s, 0, s.Length, Data, at);
        }

        public byte[] ToArray()
        {
            var b = new byte[Count];
            Buffer.BlockCopy(Data, 0, b, 0, Count);
            return b;
        }
    }

    internal static class LittleEndian
    {
        public static int U16(byte[] b, int at) => b[at] | b[at + 1] << 8;

        public static uint U32(byte[] b, int at) => (uint)(b[at] | b[at + 1] << 8 | b[at + 2] << 16 | b[at + 3] << 24);

        public static long I64(byte[] b, int at) => (long)((ulong)U32(b, at + 4) << 32 | U32(b, at));

        public static void PutU32(byte[] b, int at, uint n)
        {
            b[at] = (byte)n;
            b[at + 1] = (byte)(n >> 8);
            b[at + 2] = (byte)(n >> 16);
            b[at + 3] = (byte)(n >> 24);
        }
    }

    /// <summary>A place in a body, from which it is read; what is not there is a ProtocolException.</summary>
    internal struct Cursor
    {
        public readonly byte[] B;
        public int At;
        public readonly int End;

        public Cursor(byte[] b, int from, int to)
        {
            B = b;
            At = from;
            End = to;
        }

        public int Left => End - At;

        /// <summary>Passes over n bytes and returns where they begin.</summary>
        public int Take(long n)
        {
            if (n > End - At)
            {
                throw new ProtocolException($"{n} bytes are announced, {End - At} are left");
            }
            var at = At;
            At += (int)n;
            return at;
        }

        public int U8() => B[Take(1)];

        public int U16() => LittleEndian.U16(B, Take(2));

        public uint U32() => LittleEndian.U32(B, Take(4));

        public long I64() => LittleEndian.I64(B, Take(8));

        public string Text(long n)
        {
            var at = Take(n);
            return Wire.Lenient.GetString(B, at, (int)n);
        }
    }

    /// <summary>Frames and values, as PROTOCOL.md has them.</summary>
    internal static class Wire
    {
        /// <summary>Puts a replacement character where text is none.</summary>
        public static readonly UTF8Encoding Lenient = new UTF8Encoding(false);

        /// <summary>Throws where text is none.</summary>
        public static readonly UTF8Encoding Strict = new UTF8Encoding(false, true);

        // So that failures never make a frame too large, however many they are.
        private const int TextBytes = 32 << 10; // of one
        private const int TextsBytes = 8 << 20; // of all

        /// <summary>A frame that is to be filled behind its head; Close makes it whole.</summary>
        public static Bytes Open(byte kind)
        {
            var b = new Bytes();
            b.U32(0);
            b.U8(kind);
            return b;
        }

        public static byte[] Close(Bytes b)
        {
            LittleEndian.PutU32(b.Data, 0, (uint)(b.Count - 4));
            return b.ToArray();
        }

        public static byte[] Frame(byte kind, IEnumerable<KeyValuePair<string, object?>> map)
        {
            var b = Open(kind);
            Encode(b, map, 1);
            return Close(b);
        }

        public static void Encode(Bytes b, object? value, int depth = 1)
        {
            if (depth > Spec.ValueDepth)
            {
                throw new BadOptionException($"values nest deeper than {Spec.ValueDepth}");
            }
            switch (value)
            {
                case null:
                    b.U8(0);
                    break;
                case bool v:
                    b.U8(v ? 2 : 1);
                    break;
                case int _:
                case uint _:
                case long _:
                case short _:
                case byte _:
                    b.U8(3);
                    b.I64(Convert.ToInt64(value));
                    break;
                case double v:
                    b.U8(4);
                    b.I64(BitConverter.DoubleToInt64Bits(v));
                    break;
                case string v:
                    b.U8(5);
                    b.Text(v);
                    break;
                case byte[] v:
                    b.U8(6);
                    b.U32(v.Length);
                    b.Raw(v);
                    break;
                case IEnumerable<KeyValuePair<string, object?>> v:
                    b.U8(8);
                    var count = b.Grow(4);
                    uint n = 0;
                    foreach (var pair in v)
                    {
                        n++;
                        b.Text(pair.Key);
                        Encode(b, pair.Value, depth + 1);
                    }
                    LittleEndian.PutU32(b.Data, count, n);
                    break;
                case IEnumerable v:
                    b.U8(7);
                    var items = b.Grow(4);
                    uint m = 0;
                    foreach (var item in v)
                    {
                        m++;
                        Encode(b, item, depth + 1);
                    }
                    LittleEndian.PutU32(b.Data, items, m);
                    break;
                default:
                    throw new BadOptionException($"{value.GetType().Name} cannot cross to the engine");
            }
        }

        /// <summary>The map that a body is.</summary>
        public static Dictionary<string, object?> DecodeMap(byte[] b, int from, int to) =>
            Decode(b, from, to) as Dictionary<string, object?> ?? throw new ProtocolException("a frame holds no map");

        public static object? Decode(byte[] b, int from, int to)
        {
            if (to - from > Spec.ValueBytes)
            {
                throw new ProtocolException($"a value has {to - from} bytes, {Spec.ValueBytes} is the most");
            }
            var c = new Cursor(b, from, to);
            var value = Decode(ref c, 1);
            return c.Left == 0 ? value : throw new ProtocolException($"{c.Left} bytes lie behind a value");
        }

        private static object? Decode(ref Cursor c, int depth)
        {
            if (depth > Spec.ValueDepth)
            {
                throw new ProtocolException($"values nest deeper than {Spec.ValueDepth}");
            }
            var tag = c.U8();
            switch (tag)
            {
                case 0: return null;
                case 1: return false;
                case 2: return true;
                case 3: return c.I64();
                case 4: return BitConverter.Int64BitsToDouble(c.I64());
                case 5: return Text(ref c);
                case 6:
                    var n = Count(ref c, 1);
                    var bytes = new byte[n];
                    Buffer.BlockCopy(c.B, c.Take(n), bytes, 0, n);
                    return bytes;
                case 7:
                    var items = Count(ref c, 1);
                    var list = new List<object?>(Math.Min(items, 1024));
                    for (var i = 0; i < items; i++)
                    {
                        list.Add(Decode(ref c, depth + 1));
                    }
                    return list;
                case 8:
                    var entries = Count(ref c, 5);
                    var map = new Dictionary<string, object?>(Math.Min(entries, 1024));
                    for (var i = 0; i < entries; i++)
                    {
                        var key = Text(ref c);
                        if (map.ContainsKey(key))
                        {
                            throw new ProtocolException($"the key {key} is there twice");
                        }
                        map[key] = Decode(ref c, depth + 1);
                    }
                    return map;
                default: throw new ProtocolException($"no value has the tag {tag}");
            }
        }

        private static int Count(ref Cursor c, int each)
        {
            long n = c.U32();
            return n * each <= c.Left ? (int)n : throw new ProtocolException($"a value of {n} is announced, {c.Left} bytes are left");
        }

        private static string Text(ref Cursor c)
        {
            long n = c.U32();
            var at = c.Take(n);
            try
            {
                return Strict.GetString(c.B, at, (int)n);
            }
            catch (ArgumentException)
            {
                throw new ProtocolException("a text is not UTF-8");
            }
        }

        /// <summary>The exception that an error on the wire stands for.</summary>
        public static VegasException Error(object? value, bool? unknown = null)
        {
            if (!(value is IReadOnlyDictionary<string, object?> e))
            {
                return new FailedException("the engine failed without saying why");
            }
            var remedy = e.Text("remedy");
            return VegasException.Of(e.Text("code"), e.Text("text"), remedy == "" ? null : remedy, unknown ?? e.Flag("unknown"));
        }

        public static string Text(this IReadOnlyDictionary<string, object?> map, string name) =>
            map.TryGetValue(name, out var v) && v is string s ? s : "";

        public static long Number(this IReadOnlyDictionary<string, object?> map, string name) =>
            map.TryGetValue(name, out var v) && v is long n ? n : 0;

        public static bool Flag(this IReadOnlyDictionary<string, object?> map, string name) =>
            map.TryGetValue(name, out var v) && v is bool b && b;

        public static object? Get(this IReadOnlyDictionary<string, object?> map, string name) =>
            map.TryGetValue(name, out var v) ? v : null;

        /// <summary>A text of bounded size: its beginning and its end.</summary>
        public static byte[] Bounded(string text, int most = TextBytes)
        {
            var half = most / 6; // characters take 3 bytes at most
            if (text.Length > 2 * half)
            {
                text = text.Substring(0, half) + "\n...\n" + text.Substring(text.Length - half);
            }
            return Lenient.GetBytes(text);
        }

        public static byte[] Settle(uint consumer, uint shard, uint chunk, bool last, IReadOnlyList<(int From, int To)> ranges, IReadOnlyList<(int Index, string Text)> failures)
        {
            var b = Open(Spec.KindSettle);
            b.U32(consumer);
            b.U32(shard);
            b.U32(chunk);
            b.U8(last ? 1 : 0);
            b.U32(ranges.Count);
            b.U32(failures.Count);
            foreach (var (from, to) in ranges)
            {
                b.U32(from);
                b.U32(to);
            }
            var most = Math.Min(TextBytes, TextsBytes / Math.Max(1, failures.Count));
            foreach (var (index, text) in failures)
            {
                var t = Bounded(text, most);
                b.U32(index);
                b.U32(t.Length);
                b.Raw(t);
            }
            return Close(b);
        }
    }
}

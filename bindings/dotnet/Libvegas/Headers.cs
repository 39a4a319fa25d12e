using System;
using System.Collections;
using System.Collections.Generic;

namespace Libvegas
{
    /// <summary>What travels beside the data of a record: names with bytes, in their order. A name may be
    /// there more than once.</summary>
    public sealed class Headers : IEnumerable<KeyValuePair<string, byte[]>>
    {
        private readonly List<KeyValuePair<string, byte[]>> pairs = new List<KeyValuePair<string, byte[]>>();

        /// <summary>How many there are.</summary>
        public int Count => pairs.Count;

        /// <summary>The first value of a name, or null.</summary>
        public byte[]? this[string name]
        {
            get
            {
                foreach (var pair in pairs)
                {
                    if (pair.Key == name)
                    {
                        return pair.Value;
                    }
                }
                return null;
            }
        }

        /// <summary>Adds one at the end.</summary>
        public void Add(string name, byte[] value) => pairs.Add(new KeyValuePair<string, byte[]>(
            name ?? throw new ArgumentNullException(nameof(name)), value ?? throw new ArgumentNullException(nameof(value))));

        /// <summary>Adds a text, as UTF-8, at the end.</summary>
        public void Add(string name, string value) => Add(name, Wire.Lenient.GetBytes(value));

        /// <summary>The first value of a name as text, or null.</summary>
        public string? Text(string name)
        {
            var value = this[name];
            return value == null ? null : Wire.Lenient.GetString(value);
        }

        /// <inheritdoc/>
        public IEnumerator<KeyValuePair<string, byte[]>> GetEnumerator() => pairs.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        internal static byte[] Encode(IEnumerable<KeyValuePair<string, byte[]>> headers)
        {
            var b = new Bytes(128);
            b.U16(0);
            var count = 0;
            foreach (var pair in headers)
            {
                var n = Wire.Strict.GetByteCount(pair.Key);
                if (n > ushort.MaxValue || ++count > ushort.MaxValue)
                {
                    throw new ArgumentException("there are too many headers, or one has a very long name", nameof(headers));
                }
                b.U16(n);
                b.U32(pair.Value.Length);
                var at = b.Grow(n);
                Wire.Strict.GetBytes(pair.Key, 0, pair.Key.Length, b.Data, at);
                b.Raw(pair.Value);
            }
            if (count == 0)
            {
                return Array.Empty<byte>();
            }
            b.Data[0] = (byte)count;
            b.Data[1] = (byte)(count >> 8);
            return b.ToArray();
        }

        internal static Headers Decode(byte[] b)
        {
            var headers = new Headers();
            if (b.Length == 0)
            {
                return headers;
            }
            var c = new Cursor(b, 0, b.Length);
            for (var n = c.U16(); n > 0; n--)
            {
                var key = c.U16();
                long size = c.U32();
                var name = c.Text(key);
                var at = c.Take(size);
                var value = new byte[size];
                Buffer.BlockCopy(b, at, value, 0, value.Length);
                headers.Add(name, value);
            }
            return headers;
        }
    }
}

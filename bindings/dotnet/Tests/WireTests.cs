using System;
using System.Collections.Generic;
using System.Linq;

namespace Libvegas.Tests
{
    public class WireTests
    {
        public void ValuesComeBack()
        {
            var map = new Dictionary<string, object?>
            {
                ["nothing"] = null, ["no"] = false, ["yes"] = true, ["n"] = long.MinValue, ["f"] = 1.5, ["text"] = "ü\u20ac",
                ["list"] = new List<object?> { 1L, "x", new List<object?>() }, ["map"] = new Dictionary<string, object?> { ["a"] = 1L },
            };
            var b = new Bytes();
            Wire.Encode(b, map);
            var back = Wire.DecodeMap(b.Data, 0, b.Count);
            Assert.Equal(map.Keys.ToList(), back.Keys.ToList());
            var again = new Bytes();
            Wire.Encode(again, back);
            Assert.Equal(b.ToArray(), again.ToArray());
        }

        public void GarbageCostsAnException()
        {
            var random = new Random(1);
            var b = new Bytes();
            Wire.Encode(b, new Dictionary<string, object?> { ["a"] = new List<object?> { 1L, "text", null, true }, ["b"] = new byte[9] });
            for (var n = 0; n < 5_000; n++)
            {
                var bytes = b.ToArray();
                for (var i = random.Next(4); i >= 0; i--)
                {
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                }
                Try(() => Wire.Decode(bytes, 0, random.Next(bytes.Length + 1)));
                Try(() => Headers.Decode(bytes));
                Try(() => Chunk.Read(null!, bytes, 0, bytes.Length));
            }
            Assert.Throws<ProtocolException>(() => Wire.Decode(new byte[] { 7, 255, 255, 255, 255 }, 0, 5));
            Assert.Throws<ProtocolException>(() => Wire.Decode(Enumerable.Repeat(new byte[] { 7, 1, 0, 0, 0 }, 20).SelectMany(x => x).ToArray(), 0, 100));
        }

        private static void Try(Action call)
        {
            try
            {
                call();
            }
            catch (ProtocolException)
            {
                // As it should.
            }
        }

        public void HeadersComeBack()
        {
            var headers = new Headers { { "a", "1" }, { "a", "2" }, { "ß", new byte[0] } };
            var back = Headers.Decode(Headers.Encode(headers));
            Assert.Equal(3, back.Count);
            Assert.Equal("1", back.Text("a"));
            Assert.Equal(0, back["ß"]!.Length);
            Assert.True(back["b"] == null);
        }

        public void OpenRecordsAreFoundOnce()
        {
            var open = new OpenRecords();
            for (var i = 0; i < 5000; i++)
            {
                open.Add(i, new Sent { Cost = i });
            }
            for (var i = 4999; i >= 0; i -= 2)
            {
                Assert.Equal(i, open.Take(i)!.Cost);
                Assert.True(open.Take(i) == null);
            }
            Assert.Equal(2500, open.Count);
            Assert.Equal(2500, open.TakeAll().Count);
            Assert.True(open.Take(-1) == null && open.Take(1L << 40) == null);
        }

        public void FailuresOfAChunkFitIntoAFrame()
        {
            // As many as a chunk may have.
            var many = Enumerable.Range(0, 16_000).Select(i => (i, new string('\u20ac', i % 2 == 0 ? 2_000 : 20_000))).ToList();
            Assert.True(Wire.Settle(1, 2, 3, true, new (int, int)[0], many).Length < Spec.FrameBytes);
            Assert.True(Wire.Settle(1, 2, 3, true, new (int, int)[0], many.Take(2).ToList()).Length > 16_000, "they are cut without need");
        }

        public void NoNameIsAlsoOneOfSystem()
        {
            // Of the namespaces that programs name, or that newer SDKs name for them.
            var spaces = new[] { "System", "System.IO", "System.Linq", "System.Threading", "System.Threading.Tasks", "System.Collections.Generic" };
            var taken = new[] { typeof(object), typeof(Enumerable), typeof(Stack<int>), typeof(Uri) }.SelectMany(t => t.Assembly.GetExportedTypes())
                .Where(t => spaces.Contains(t.Namespace)).Select(t => t.Name);
            Assert.Equal(new string[0], typeof(Producer).Assembly.GetExportedTypes().Select(t => t.Name).Intersect(taken).ToArray());
        }

        public void DoneIsToldOnce()
        {
            var done = new Done(6);
            foreach (var i in new[] { 0, 1, 3, 5 })
            {
                done.Mark(i);
            }
            Assert.Equal(new[] { (0, 2), (3, 4), (5, 6) }, done.Take().ToArray());
            done.Mark(2);
            Assert.Equal(new[] { (2, 3) }, done.Take().ToArray());
        }
    }

    public class OptionsTests
    {
        public void NamesOfAllKindsAndTexts()
        {
            var o = new ConsumerOptions();
            o["lease_time"] = "5s";
            o["MaxAttempts"] = "3";
            o["on_error"] = "skip";
            o["FanOut"] = "true";
            o["grace"] = "00:00:07";
            o["window"] = 1 << 20;
            o.Start = DateTimeOffset.FromUnixTimeMilliseconds(1234);
            Assert.Equal(TimeSpan.FromSeconds(5), o.LeaseTime);
            Assert.Equal(OnError.Skip, o.OnError);
            Assert.Equal(TimeSpan.FromSeconds(1), o.PollIdle);
            var wire = o.Wire();
            Assert.Equal("3 skip True 7000000 1048576 1234000", string.Join(" ", new[] { "max_attempts", "on_error", "fan_out", "grace", "window", "start" }.Select(n => wire[n])));
            Assert.Equal(7, wire.Count);
        }

        public void WhatIsWrongIsNamed()
        {
            Assert.Contains("did you mean Linger?", Assert.Throws<BadOptionException>(() => new ProducerOptions()["linge"] = 1).Message);
            Assert.Contains("did you mean LeaseTime?", Assert.Throws<BadOptionException>(() => new ConsumerOptions()["lease-tim"] = 1).Message);
            Assert.Contains("Grace", Assert.Throws<BadOptionException>(() => new ConsumerOptions()["grace"] = 5).Message);
            Assert.Contains("hold, skip, stop", Assert.Throws<BadOptionException>(() => new ConsumerOptions()["on_error"] = "never").Message);
            Assert.Throws<BadOptionException>(() => new ProducerOptions().Linger = TimeSpan.FromSeconds(-1));
            Assert.Throws<BadOptionException>(() => new ProducerOptions().MaxRequests = -1);
            Assert.Throws<BadOptionException>(() => new ConsumerOptions()["on_error"] = OnTrimmed.Stop);
        }

        public void StatisticsHaveAPeriod()
        {
            Assert.Equal(10_000_000L, new ProducerOptions { OnStats = _ => { } }.Wire()["stats_every"]);
        }

        public void LookingAtAnExceptionIsSeen()
        {
            VegasException e = new ThrottledException("x", "wait");
            Assert.True(!e.Looked && e.Words == "x: wait");
            Assert.Equal("x", e.Text);
            Assert.True(e.Looked);
            e = new ThrottledException("x");
            var task = new Sent();
            task.Fail(e);
            Assert.True(!e.Looked);
            Assert.Throws<ThrottledException>(() => task.Task.GetAwaiter().GetResult());
            Assert.True(e.Looked);
        }
    }
}

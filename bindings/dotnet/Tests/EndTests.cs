using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Tests
{
    public class EndTests : Case
    {
        private static void KillEngine(string path = "")
        {
            using var engine = Process.GetProcessById(Engine.Get(path).Connect().ProcessId);
            engine.Kill();
            engine.WaitForExit();
        }

        // A path of its own for the engine: an engine of its own.
        private string OwnEngine()
        {
            var folder = Keep(new Removed(Program.Folder())).Folder;
            var path = Path.Combine(folder, "engine");
            Program.Sh($"ln -s '{Program.Engine}' '{path}'");
            return path;
        }

        private sealed class Removed : IDisposable
        {
            public readonly string Folder;

            public Removed(string folder) => Folder = folder;

            public void Dispose() => Directory.Delete(Folder, true);
        }

        public async Task TheEngineIsKilled()
        {
            var box = new Box<string>();
            var p = Producer(o => o.Linger = TimeSpan.FromMinutes(1));
            Consumer(r => box.Put(r.Text), o => o.LeaseTime = TimeSpan.FromSeconds(1));
            Send("before");
            box.Wait(1);
            var open = p.SendAsync("k", "open");
            await p.StatsAsync(); // it is with the engine
            KillEngine();
            var e = await Assert.Throws<EngineGoneException>(() => open);
            Assert.True(e.Unknown);
            Send("after");
            box.Wait(all => all.Contains("after"));
        }

        public async Task WithFailKeyWhatComesBehindUnknownRecordsFails()
        {
            var own = OwnEngine();
            var p = Producer(o => (o.Linger, o.BufferBytes, o.OnFailure, o.Engine) = (TimeSpan.FromMinutes(1), 1, OnFailure.FailKey, own));
            var open = p.SendAsync("k", "open");
            var waits = p.SendAsync("k", "waits for room");
            await p.StatsAsync(); // the first is with the engine
            KillEngine(own);
            Assert.True((await Assert.Throws<EngineGoneException>(() => open)).Unknown);
            Assert.True(!(await Assert.Throws<EarlierFailedException>(() => waits)).Unknown);
        }

        public async Task WhatAWrongReportNamesHasAResult()
        {
            var own = OwnEngine();
            var p = Producer(o => (o.Linger, o.Engine) = (TimeSpan.FromMinutes(1), own));
            var open = p.SendAsync("k", "open");
            await p.StatsAsync(); // it is with the engine
            var report = new Bytes();
            report.U32(0); // producer
            report.U32(1); // group, with record 0, and one that was never sent
            report.U8(Spec.StatusStored);
            report.U8(0);
            report.U16(0);
            report.U32(2);
            foreach (var n in new[] { 0, 0, 77, 0 })
            {
                report.I64(n);
            }
            Assert.Throws<ProtocolException>(() => ((IClient)p).Frame(Engine.Get(own).Connect(), Spec.KindReport, report.Data, 0, report.Count));
            Assert.True((await Assert.Throws<EngineGoneException>(() => open)).Unknown);
        }

        public async Task WhatCouldNotBeOpenedIsNotOpenedAnew()
        {
            var own = OwnEngine();
            var p = Producer(o => o.Engine = own);
            var odd = new[] { new Dictionary<string, object?> { ["dedupe"] = new object() } };
            Assert.Throws<BadOptionException>(() => new Consumer(Stream, "g", r => { }, o => (o.Extensions, o.Engine) = (odd, own)));
            KillEngine(own);
            try
            {
                await p.SendAsync("k", "x");
            }
            catch (EngineGoneException)
            {
                await p.SendAsync("k", "x"); // the first one was on its way to the engine that died
            }
        }

        public async Task CloseBetweenTwoEnginesLeavesNothingOpen()
        {
            var own = OwnEngine();
            var folder = Keep(new Removed(Program.Folder())).Folder;
            var p = Producer(o => (o.Engine, o.Durable) = (own, folder));
            KillEngine(own);
            await p.CloseAsync(TimeSpan.Zero);
            var q = Producer(o => (o.Engine, o.Durable) = (own, folder)); // the folder is nobody's
            await q.SendAsync("k", "x");
            await q.CloseAsync();
        }

        private sealed class Blocked : SynchronizationContext
        {
            public override void Post(SendOrPostCallback call, object? state)
            {
                // Its one thread waits for the end of Dispose.
            }
        }

        public void DisposeWaitsForNothingInItsOwnThread()
        {
            var p = Producer();
            p.SendAsync("k", "x");
            SynchronizationContext.SetSynchronizationContext(new Blocked());
            try
            {
                p.Dispose();
            }
            finally
            {
                SynchronizationContext.SetSynchronizationContext(null);
            }
        }

        public async Task AHandlerEndsBehindTheGraceTime()
        {
            Send("x");
            var began = new ManualResetEventSlim();
            var go = new ManualResetEventSlim();
            var box = new Box<StopReason>();
            var c = Consumer(
                r =>
                {
                    began.Set();
                    go.Wait();
                    box.Put(r.Stopping);
                },
                o => o.Grace = TimeSpan.FromSeconds(0.1));
            began.Wait();
            await c.CloseAsync();
            var over = await Assert.Throws<GraceOverException>(() => c.Completion);
            Assert.Contains("(unfinished records: 1)", over.Text);
            Assert.Contains("grace-over", over.Remedy!);
            await Assert.Throws<GraceOverException>(() => c.RunAsync());
            go.Set();
            Assert.Equal(StopReason.GraceOver, box.Wait(1)[0]);
            var again = new Box<int>();
            Consumer(r => again.Put(r.Attempt));
            Assert.Equal(1, again.Wait(1)[0]);
        }

        public async Task ATokenEndsWhatDoesNotCount()
        {
            Send("x");
            var box = new Box<string>();
            var c = Keep(new Consumer(Stream, "g", async (r, cancel) =>
            {
                box.Put("began");
                try
                {
                    await Task.Delay(-1, cancel);
                }
                finally
                {
                    box.Put("ended");
                }
            }, o => Fast(o, x => x.Grace = TimeSpan.FromSeconds(0.1))));
            box.Wait(1);
            await c.CloseAsync();
            box.Wait(2);
        }

        public void ExternalThatFailsAtFirst()
        {
            var calls = 0;
            var box = new Box<string>();
            Consumer(r => box.Put(r.Text), o => o.External = shard => Interlocked.Increment(ref calls) <= 2 ? throw new Exception("not yet") : Task.FromResult<Position?>(null));
            Send("x");
            box.Wait(1);
        }

        public void TheHostIsKilled()
        {
            var process = Program.Start("killed", Stream);
            Assert.Equal("12", process.StandardOutput.ReadLine() + process.StandardOutput.ReadLine());
            var box = new Box<string>();
            Consumer(r => box.Put(r.Text));
            process.Kill();
            Program.End(process);
            Send("3");
            // The engine saw its end, and gave the shards back before the lease did.
            box.Wait(all => all.Contains("3"));
        }

        public void ADurableProducerWhoseHostIsKilled()
        {
            var folder = Program.Folder();
            var process = Program.Start("durable", Stream, folder);
            Assert.Equal("True", process.StandardOutput.ReadLine()!);
            process.Kill();
            Program.End(process);
            var box = new Box<int>();
            Consumer(r => box.Put(int.Parse(r.Text)));
            Assert.Eventually(() =>
            {
                try
                {
                    Producer(o => o.Durable = folder);
                    return true;
                }
                catch (VegasException)
                {
                    return false; // the engine of the host that died is ending
                }
            }, 30_000);
            Assert.Equal(Enumerable.Range(0, 1000).ToArray(), box.Wait(1000).ToArray());
        }

        public void TheSampleAndOneCtrlC()
        {
            for (var i = 0; i < 2; i++)
            {
                var process = Program.Start("sample");
                Assert.Equal("Consumer is running. Press ctrl+c to stop", process.StandardOutput.ReadLine()!);
                // Once each: the first one's lease was given back, with its checkpoint.
                Assert.Equal("partition-key:message", process.StandardOutput.ReadLine()!);
                Program.Signal(process, "INT", group: true);
                var clock = Stopwatch.StartNew();
                var (status, text, err) = Program.End(process);
                if (Type.GetType("Mono.Runtime") != null)
                {
                    // It sees a Ctrl-C at a terminal only: here that kills the program, and the engine ends the rest.
                    Assert.Equal(130, status);
                    continue;
                }
                Assert.Equal((0, "", ""), (status, text, err));
                Assert.True(clock.ElapsedMilliseconds < 8000);
            }
        }

        public void EndWhileBusy()
        {
            var (status, text, err) = Program.End(Program.Start("busy", Stream));
            Assert.Equal((0, "", ""), (status, text, err));
            var box = new Box<string>();
            Consumer(r => box.Put(r.Text));
            Assert.Equal(20_000, box.Wait(20_000).Distinct().Count());
        }

        public void EndBesideAHandlerThatNeverReturns()
        {
            var process = Program.Start("endless", Stream);
            Assert.Equal("began", process.StandardOutput.ReadLine()!);
            var clock = Stopwatch.StartNew();
            var (status, _, err) = Program.End(process);
            Assert.True(status == 0 && clock.ElapsedMilliseconds < 4000, $"{status} {clock.ElapsedMilliseconds} {err}");
            var box = new Box<string>();
            Consumer(r => box.Put(r.Text));
            box.Wait(1);
        }

        public void EndWithoutAService()
        {
            var (status, _, err) = Program.End(Program.Start("alone"));
            Assert.Equal(0, status);
            Assert.Contains("10 records", err);
        }
    }

    public class EngineTests
    {
        private static EngineMissingException Missing(string text, string mode = "755")
        {
            var folder = Program.Folder();
            var path = Path.Combine(folder, "engine");
            if (text != "")
            {
                File.WriteAllText(path, text);
                Program.Sh($"chmod {mode} '{path}'");
            }
            try
            {
                return Assert.Throws<EngineMissingException>(() => new Producer("s", o => o.Engine = path));
            }
            finally
            {
                Directory.Delete(folder, true);
            }
        }

        public void AForeignEngine()
        {
            Assert.Contains("no such file", Missing("").Message);
            Assert.Contains("execute permission", Missing("#!/bin/sh\n", "644").Message);
            Assert.Contains("no vegas engine", Missing("#!/bin/sh\necho usage: something\n").Message);
            Assert.Contains("exit status 3", Missing("#!/bin/sh\ncat >/dev/null & exit 3\n").Message);
            Missing("\u007fELF garbage");
        }

        public void AnotherProtocol()
        {
            var folder = Program.Folder();
            var path = Path.Combine(folder, "engine");
            var hello = Wire.Frame(Spec.KindHello, new System.Collections.Generic.Dictionary<string, object?> { ["protocol"] = 99 });
            File.WriteAllBytes(path + ".hello", hello);
            File.WriteAllText(path, $"#!/bin/sh\ncat '{path}.hello'\ncat >/dev/null\n");
            Program.Sh($"chmod 755 '{path}'");
            Assert.Contains("99", Assert.Throws<VersionException>(() => new Producer("s", o => o.Engine = path)).Message);
            Directory.Delete(folder, true);
        }
    }
}

using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas
{
    using Map = Dictionary<string, object?>;

    /// <summary>Somebody who has frames for the engine when its writer comes.</summary>
    internal interface IGathers
    {
        /// <summary>Called by the writer after Post: puts what has gathered into the session.</summary>
        void Take(Session session);
    }

    /// <summary>One process, from its start to its end: its pipes, the frames that cross, and the calls
    /// that wait for an answer.</summary>
    internal sealed class Session
    {
        private const int BufferBytes = 256 << 10;
        private const int HelloBytes = 64 << 10;
        private readonly string path;
        private readonly Process process;
        private readonly Stream input;
        private readonly Stream output;
        private readonly Queue<object?> queue = new Queue<object?>();
        private readonly Dictionary<long, Action<Map?, VegasException?>> calls = new Dictionary<long, Action<Map?, VegasException?>>();
        private readonly byte[] small = new byte[128 << 10]; // small frames on their way out
        private int smallCount;
        private byte[] buffer = new byte[BufferBytes]; // what was read: from start to end
        private int start;
        private int end;
        private long lastCall;
        private VegasException? ended;
        private VegasException? reason;

        /// <summary>Starts an engine. Throws EngineMissingException where there is none.</summary>
        public Session(string path)
        {
            this.path = path;
            try
            {
                process = Process.Start(new ProcessStartInfo(path)
                {
                    UseShellExecute = false,
                    CreateNoWindow = true,
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                })!;
            }
            catch (Exception e)
            {
                throw Missing(path, e);
            }
            input = process.StandardInput.BaseStream;
            output = process.StandardOutput.BaseStream;
        }

        public int ProcessId => process.Id;

        public bool Over => Volatile.Read(ref ended) != null;

        /// <summary>Shakes hands. Throws where this is no engine of ours.</summary>
        public void Hello()
        {
            var silent = 0;
            var late = new Timer(_ =>
            {
                Interlocked.Exchange(ref silent, 1);
                Stop();
            }, null, Spec.HelloTimeout / 1000, Timeout.Infinite);
            try
            {
                var hello = Wire.Frame(Spec.KindHello, new Map
                {
                    ["protocol"] = new object[] { Spec.Protocol, Spec.Protocol },
                    ["language"] = "csharp",
                    ["version"] = typeof(Session).Assembly.GetName().Version!.ToString(3),
                    ["pid"] = Process.GetCurrentProcess().Id,
                    ["log"] = VegasLog.LevelWord,
                });
                input.Write(hello, 0, hello.Length);
                input.Flush();
                if (!ReadFrame(HelloBytes, out var kind, out var from, out var to))
                {
                    throw new ProtocolException("it ended before its hello");
                }
                if (kind == Spec.KindFail)
                {
                    throw Wire.Error(Wire.DecodeMap(buffer, from, to).Get("error"));
                }
                var answer = kind == Spec.KindHello ? Wire.DecodeMap(buffer, from, to) : new Map();
                if (!(answer.Get("protocol") is long protocol))
                {
                    throw new ProtocolException("its first words are not the engine's");
                }
                if (protocol != Spec.Protocol)
                {
                    throw new VersionException(
                        $"the engine {path} of version {answer.Text("version")} speaks protocol {protocol}, this package {Spec.Protocol}", "use the engine that comes with the package");
                }
            }
            catch (Exception e) when (e is IOException || e is ObjectDisposedException || e is ProtocolException)
            {
                Kill();
                var why = e is ProtocolException p ? p.PlainText : e.Message;
                why = Volatile.Read(ref silent) == 1 ? $"the engine {path} did not say hello within {Spec.HelloTimeout / 1_000_000} s" : $"{path} is no vegas engine: {why} ({Status()})";
                throw new EngineMissingException(why, NameOne, false, e);
            }
            catch (VegasException)
            {
                Kill();
                throw;
            }
            finally
            {
                late.Dispose();
            }
            new Thread(Writing) { IsBackground = true, Name = "vegas-writer" }.Start();
        }

        // Out.

        /// <summary>Leaves a frame, or somebody who has some, to the writer. Waits for nobody.</summary>
        public void Post(object frameOrGatherer)
        {
            lock (queue)
            {
                queue.Enqueue(frameOrGatherer);
                Monitor.Pulse(queue);
            }
        }

        /// <summary>Writes a part of a frame: the writer's, for those who gather.</summary>
        public void Put(byte[] b, int offset, int count)
        {
            if (count > small.Length - smallCount)
            {
                Flush();
            }
            if (count >= small.Length / 2)
            {
                Flush();
                input.Write(b, offset, count);
                return;
            }
            Buffer.BlockCopy(b, offset, small, smallCount, count);
            smallCount += count;
        }

        /// <summary>Calls the engine; done is called once, by the reader, with results or an error.</summary>
        public void Call(string method, Map arguments, Action<Map?, VegasException?> done)
        {
            VegasException? over;
            var number = Interlocked.Increment(ref lastCall);
            var frame = Wire.Frame(Spec.KindCall, new Map(arguments) { ["call"] = number, ["method"] = method });
            lock (calls)
            {
                over = ended;
                if (over == null)
                {
                    calls[number] = done;
                }
            }
            if (over != null)
            {
                done(null, over);
                return;
            }
            Post(frame);
        }

        public Task<Map> CallAsync(string method, Map arguments)
        {
            var answer = new TaskCompletionSource<Map>(TaskCreationOptions.RunContinuationsAsynchronously);
            Call(method, arguments, (results, error) =>
            {
                if (error != null)
                {
                    answer.TrySetException(error.Again());
                    _ = answer.Task.Exception; // nobody may wait any more
                }
                else
                {
                    answer.TrySetResult(results!);
                }
            });
            return answer.Task;
        }

        public void Answer(long call, Map results)
        {
            results["call"] = call;
            Post(Wire.Frame(Spec.KindAnswer, results));
        }

        public void AnswerError(long call, string code, string text) =>
            Answer(call, new Map { ["error"] = new Map { ["code"] = code, ["text"] = Wire.Lenient.GetString(Wire.Bounded(text)) } });

        /// <summary>Says that the engine does not keep to the protocol.</summary>
        public void Fail(VegasException why) =>
            Post(Wire.Frame(Spec.KindFail, new Map { ["error"] = new Map { ["code"] = why.PlainCode, ["text"] = why.PlainText } }));

        private void Writing()
        {
            var taken = new List<object?>();
            try
            {
                while (true)
                {
                    lock (queue)
                    {
                        while (queue.Count == 0)
                        {
                            Monitor.Wait(queue);
                        }
                        taken.AddRange(queue);
                        queue.Clear();
                    }
                    foreach (var item in taken)
                    {
                        if (item == null)
                        {
                            Flush();
                            return;
                        }
                        if (item is byte[] frame)
                        {
                            Put(frame, 0, frame.Length);
                        }
                        else
                        {
                            ((IGathers)item).Take(this);
                        }
                    }
                    taken.Clear();
                    Flush();
                }
            }
            catch (Exception e) when (e is IOException || e is ObjectDisposedException)
            {
                // The reader sees the end, and why.
            }
            finally
            {
                HangUp();
            }
        }

        private void Flush()
        {
            if (smallCount > 0)
            {
                input.Write(small, 0, smallCount);
                smallCount = 0;
            }
            input.Flush();
        }

        private void HangUp()
        {
            try
            {
                input.Dispose();
            }
            catch (Exception e) when (e is IOException || e is ObjectDisposedException)
            {
                // It is gone already.
            }
        }

        // In.

        // ReadFrame says where in the buffer the next frame's body is. false: the engine has ended.
        private bool ReadFrame(int most, out byte kind, out int from, out int to)
        {
            kind = 0;
            from = to = 0;
            if (!Have(5))
            {
                return false;
            }
            long size = LittleEndian.U32(buffer, start);
            if (size < 1 || size > most)
            {
                throw new ProtocolException($"a frame of {size} bytes begins");
            }
            if (!Have(4 + (int)size))
            {
                return false;
            }
            kind = buffer[start + 4];
            from = start + 5;
            to = start + 4 + (int)size;
            start = to;
            return true;
        }

        private bool Have(int n)
        {
            if (start == end)
            {
                start = end = 0;
                if (buffer.Length > 4 * BufferBytes)
                {
                    buffer = new byte[BufferBytes];
                }
            }
            if (n > buffer.Length - start)
            {
                var to = n > buffer.Length ? new byte[Math.Max(n, BufferBytes)] : buffer;
                Buffer.BlockCopy(buffer, start, to, 0, end - start);
                end -= start;
                start = 0;
                buffer = to;
            }
            while (end - start < n)
            {
                var got = output.Read(buffer, end, buffer.Length - end);
                if (got == 0)
                {
                    return false;
                }
                end += got;
            }
            return true;
        }

        /// <summary>Takes in frames until there are no more, and says why.</summary>
        public VegasException Read(Engine engine)
        {
            try
            {
                while (ReadFrame(Spec.FrameBytes, out var kind, out var from, out var to))
                {
                    Take(engine, kind, from, to);
                }
            }
            catch (Exception e) when (e is IOException || e is ObjectDisposedException)
            {
                // The pipe has ended.
            }
            catch (Exception e)
            {
                reason = e as VegasException ?? new FailedException("the binding has failed: " + e);
                Fail(reason);
            }
            Kill();
            return new EngineGoneException($"the engine has ended ({reason?.PlainText ?? Status()})", null, true);
        }

        private void Take(Engine engine, byte kind, int from, int to)
        {
            switch (kind)
            {
                case Spec.KindReport:
                case Spec.KindDeliver:
                case Spec.KindStop:
                    engine.Client(new Cursor(buffer, from, to).U32())?.Frame(this, kind, buffer, from, to);
                    return;
                case Spec.KindAnswer:
                    Answered(Wire.DecodeMap(buffer, from, to));
                    return;
                case Spec.KindCall:
                    var call = Wire.DecodeMap(buffer, from, to);
                    var called = engine.Client(call.Number("consumer"));
                    if (called == null)
                    {
                        AnswerError(call.Number("call"), "closed", "there is no such consumer any more");
                    }
                    else
                    {
                        called.Called(this, call.Number("call"), call);
                    }
                    return;
                case Spec.KindEvent:
                    var told = Wire.DecodeMap(buffer, from, to);
                    if (told.Text("event") == "log")
                    {
                        VegasLog.Write(told);
                    }
                    else
                    {
                        engine.Client(told.Number(told.ContainsKey("producer") ? "producer" : "consumer"))?.Event(told);
                    }
                    return;
                case Spec.KindFail:
                    reason = Wire.Error(Wire.DecodeMap(buffer, from, to).Get("error"));
                    return;
                default:
                    return; // of a later release
            }
        }

        private void Answered(Map answer)
        {
            Action<Map?, VegasException?> done;
            lock (calls)
            {
                var number = answer.Number("call");
                if (!calls.TryGetValue(number, out done!))
                {
                    throw new ProtocolException("the engine answers what nobody asked");
                }
                calls.Remove(number);
            }
            var error = answer.Get("error");
            done(answer, error == null ? null : Wire.Error(error));
        }

        // The end.

        /// <summary>Fails what was asked and not answered.</summary>
        public void End(VegasException why)
        {
            List<Action<Map?, VegasException?>> open;
            lock (calls)
            {
                ended = why;
                open = new List<Action<Map?, VegasException?>>(calls.Values);
                calls.Clear();
            }
            CloseInput();
            foreach (var done in open)
            {
                done(null, why);
            }
        }

        /// <summary>Closes the engine's input behind what was posted, and gives it time to end.</summary>
        public void Close(int ms)
        {
            CloseInput();
            process.WaitForExit(ms);
        }

        private void CloseInput()
        {
            lock (queue)
            {
                queue.Enqueue(null);
                Monitor.Pulse(queue);
            }
        }

        private void Stop()
        {
            try
            {
                process.Kill();
            }
            catch (Exception e) when (e is InvalidOperationException || e is Win32Exception)
            {
                // It has ended.
            }
        }

        private void Kill()
        {
            Stop();
            process.WaitForExit(5000);
            output.Dispose();
        }

        private string Status()
        {
            if (!process.HasExited)
            {
                return "it does not end";
            }
            var code = process.ExitCode;
            return code > 128 && Path.DirectorySeparatorChar == '/' ? $"signal {code - 128}" : $"exit status {code}";
        }

        private const string NameOne = "name one by the option Engine or VEGAS_ENGINE, or unset it for the one in the package";

        private static EngineMissingException Missing(string path, Exception e)
        {
            var platform = $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.ProcessArchitecture}";
            string remedy;
            switch ((e as Win32Exception)?.NativeErrorCode)
            {
                case 2:
                    remedy = "there is no such file: " + NameOne;
                    break;
                case 5:
                case 13:
                    remedy = "give it execute permission; on a file system mounted noexec nothing can be started";
                    break;
                case 8:
                case 193:
                case 216:
                    remedy = $"it is of another system or architecture than this one ({platform})";
                    break;
                default:
                    remedy = File.Exists(path) ? NameOne : "there is no such file: " + NameOne;
                    break;
            }
            return new EngineMissingException($"the engine {path} cannot be started: {e.Message}", remedy, false, e);
        }
    }
}

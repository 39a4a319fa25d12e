using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Libvegas.Testing;

namespace Libvegas.Tests
{
    /// <summary>Runs tests; or, of its own accord, one of the programs that tests start.</summary>
    internal static class Program
    {
        private static int Main(string[] args)
        {
            if (args.Length > 0 && args[0] == "program")
            {
                Programs.Run(args[1], args.Skip(2).ToArray());
                return 0;
            }
            // The server is in an engine of its own, since others are killed here.
            var folder = Folder();
            var server = Path.Combine(folder, "server-engine");
            Sh($"ln -s '{Engine}' '{server}'");
            var streams = Enumerable.Range(0, 60).ToDictionary(i => $"stream-{i}", _ => 2);
            streams["stream-name"] = 1;
            try
            {
                using var local = new LocalKinesis(streams, o =>
                {
                    o.Engine = server;
                    o.NoLimits = true;
                    o.RecordBytes = 10 << 20;
                });
                foreach (var pair in local.Environment)
                {
                    Environment.SetEnvironmentVariable(pair.Key, pair.Value);
                }
                return TestRunner.Run(args.FirstOrDefault() ?? "") == 0 ? 0 : 1;
            }
            finally
            {
                Directory.Delete(folder, true);
            }
        }

        public static string Engine => Path.GetFullPath(Environment.GetEnvironmentVariable("VEGAS_ENGINE") ?? throw new Exception("VEGAS_ENGINE is not set"));

        public static string Folder()
        {
            var folder = Path.Combine(Path.GetTempPath(), "vegas-dotnet-" + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            return folder;
        }

        public static void Sh(string script)
        {
            using var sh = Process.Start(new ProcessStartInfo("/bin/sh", "-c \"" + script.Replace("\"", "\\\"") + "\"") { UseShellExecute = false })!;
            sh.WaitForExit();
            Assert.True(sh.ExitCode == 0, script + " failed");
        }

        /// <summary>Starts one of our programs, with the runtime that we have.</summary>
        public static Process Start(string program, params string[] args)
        {
            var runtime = Process.GetCurrentProcess().MainModule!.FileName!;
            var self = typeof(Program).Assembly.Location;
            if (Path.GetFileNameWithoutExtension(runtime) == Path.GetFileNameWithoutExtension(self))
            {
                self = ""; // a binary made of it
            }
            // setsid: a group of its own, which signals go to as they do at a terminal.
            var words = new[] { runtime, self, "program", program }.Concat(args).Where(w => w != "").Select(w => "\"" + w + "\"");
            return Process.Start(new ProcessStartInfo("setsid", string.Join(" ", words))
            {
                UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
        }

        public static void Signal(Process process, string signal, bool group = false) => Sh($"kill -{signal} {(group ? "-" : "")}{process.Id}");

        /// <summary>Waits for the end of a program; its output and errors.</summary>
        public static (int Status, string Out, string Err) End(Process process)
        {
            process.StandardInput.Dispose();
            var err = process.StandardError.ReadToEndAsync();
            var text = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(60_000))
            {
                process.Kill();
                throw new Exception("the program did not end");
            }
            return (process.ExitCode, text.Result, err.Result);
        }
    }
}

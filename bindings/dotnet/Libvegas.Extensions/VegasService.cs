using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Libvegas.Extensions
{
    /// <summary>The producers of a host. They live until the host's services do: other services may send while
    /// they stop.</summary>
    internal sealed class MessageSender : IMessageSender, IDisposable, IAsyncDisposable
    {
        private readonly VegasBuilder builder;
        private readonly Dictionary<string, Lazy<Producer>> producers;
        private readonly Dictionary<string, bool> headers;

        public MessageSender(VegasBuilder builder, ILoggerFactory loggers)
        {
            this.builder = builder;
            VegasLogging.Connect(loggers);
            producers = builder.Producers.ToDictionary(p => p.Stream, p => new Lazy<Producer>(() => new Producer(p.Stream, p.Configure)));
            headers = builder.Producers.ToDictionary(p => p.Stream, p =>
            {
                var options = new ProducerOptions();
                p.Configure(options);
                return options.Aggregate; // without aggregates records have none
            });
        }

        public void Start()
        {
            foreach (var producer in producers.Values)
            {
                _ = producer.Value;
            }
        }

        public Task<Receipt> SendAsync<T>(T message)
        {
            var streams = builder.Producers.Where(p => p.Routes.ContainsKey(typeof(T))).ToList();
            if (streams.Count != 1)
            {
                throw new InvalidOperationException(streams.Count == 0
                    ? $"no stream is for messages of the type {typeof(T)}: add one with Producer(…).Message<{typeof(T).Name}>(…)"
                    : $"messages of the type {typeof(T)} go to {streams.Count} streams: name one");
            }
            return Send(streams[0], message);
        }

        public Task<Receipt> SendAsync<T>(string stream, T message)
        {
            var to = builder.Producers.FirstOrDefault(p => p.Stream == stream && p.Routes.ContainsKey(typeof(T)));
            return Send(to ?? throw new InvalidOperationException($"the stream {stream} is not for messages of the type {typeof(T)}"), message);
        }

        public Producer Producer(string stream) => producers.TryGetValue(stream, out var producer)
            ? producer.Value
            : throw new InvalidOperationException($"there is no producer of {stream}: add one with Producer");

        private Task<Receipt> Send<T>(StreamProducer to, T message) =>
            ((Route<T>)to.Routes[typeof(T)]).Send(producers[to.Stream].Value, headers[to.Stream], message);

        private IEnumerable<Producer> Started => producers.Values.Where(p => p.IsValueCreated).Select(p => p.Value);

        /// <summary>Waits for what was sent; what failed is told one by one.</summary>
        public Task FlushAsync(Action<VegasException> failed, CancellationToken cancellation) => Task.WhenAll(Started.Select(async p =>
        {
            try
            {
                await p.FlushAsync(null, cancellation);
            }
            catch (VegasException e)
            {
                failed(e);
            }
        }));

        public void Dispose()
        {
            foreach (var producer in Started)
            {
                producer.Dispose();
            }
        }

        public ValueTask DisposeAsync() => new ValueTask(Task.Run(Dispose));
    }

    /// <summary>Runs the consumers of a host from its start to its end.</summary>
    internal sealed class VegasService : IHostedService, IDisposable
    {
        private readonly VegasBuilder builder;
        private readonly MessageSender sender;
        private readonly IServiceProvider services;
        private readonly IHostApplicationLifetime lifetime;
        private readonly ILogger logger;
        private readonly List<Consumer> consumers = new List<Consumer>();
        private volatile bool stopping;

        public VegasService(
            VegasBuilder builder, MessageSender sender, IServiceProvider services, IHostApplicationLifetime lifetime, ILoggerFactory loggers)
        {
            this.builder = builder;
            this.sender = sender;
            this.services = services;
            this.lifetime = lifetime;
            logger = loggers.CreateLogger(VegasLogging.Category);
        }

        // Out of the host's thread: the engine is started, and options are checked there.
        public Task StartAsync(CancellationToken cancellation) => Task.Run(
            () =>
            {
                sender.Start();
                foreach (var stream in builder.Consumers)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var consumer = new Consumer(stream.Stream, stream.Group, (record, cancel) => Handle(stream, record, cancel), stream.Configure);
                    consumers.Add(consumer);
                    _ = Watch(consumer);
                }
            },
            cancellation);

        public async Task StopAsync(CancellationToken cancellation)
        {
            stopping = true;
            var closed = Task.WhenAll(consumers.Select(c => c.CloseAsync()));
            try
            {
                await closed.Within(null, cancellation);
                await sender.FlushAsync(e => logger.LogError(e, "records were not sent"), cancellation);
            }
            catch (OperationCanceledException)
            {
                logger.LogWarning("the host ends while vegas closes: give it more time by HostOptions.ShutdownTimeout");
            }
        }

        /// <summary>A host that did not start, or is not stopped, ends here.</summary>
        public void Dispose()
        {
            stopping = true;
            Task.WhenAll(consumers.Select(c => c.CloseAsync())).GetAwaiter().GetResult();
        }

        private async Task Handle(StreamConsumer stream, Record record, CancellationToken cancellation)
        {
            using var scope = Scope();
            await stream.Handle(new MessageContext(record, scope.ServiceProvider, cancellation));
        }

        private IServiceScope Scope()
        {
            try
            {
                return services.CreateScope();
            }
            catch (ObjectDisposedException)
            {
                throw new NotBegunException(); // the host ends: that is no failure of the record
            }
        }

        private async Task Watch(Consumer consumer)
        {
            try
            {
                await consumer.Completion;
            }
            catch (VegasException e) when (builder.StopHostOnFailure && !stopping)
            {
                logger.LogCritical(e, "{Consumer} has ended: the host stops", consumer);
                Environment.ExitCode = 1;
                lifetime.StopApplication();
            }
            catch (VegasException)
            {
                // The consumer has logged it.
            }
        }
    }

    /// <summary>Gives the words of vegas to a host's logging.</summary>
    internal static class VegasLogging
    {
        public const string Category = "Libvegas";

        public static void Connect(ILoggerFactory loggers)
        {
            var logger = loggers.CreateLogger(Category);
            var lowest = Array.FindIndex(Levels, logger.IsEnabled);
            VegasLog.Level = lowest < 0 ? VegasLogLevel.Error : (VegasLogLevel)lowest;
            VegasLog.Handler = (level, text, attributes) =>
            {
                var state = attributes.Append(new KeyValuePair<string, object?>("{OriginalFormat}", text)).ToList();
                logger.Log(Levels[(int)level], default, state, null, (s, _) => text + string.Concat(attributes.Select(a => $" {a.Key}={a.Value}")));
            };
        }

        private static readonly LogLevel[] Levels = { LogLevel.Debug, LogLevel.Information, LogLevel.Warning, LogLevel.Error };
    }
}

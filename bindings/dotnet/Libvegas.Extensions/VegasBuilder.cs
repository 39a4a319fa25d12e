using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Libvegas.Extensions
{
    /// <summary>Which streams a host sends to and receives from.</summary>
    public sealed class VegasBuilder
    {
        internal const string TypeHeader = "type";
        private readonly IServiceCollection services;
        private readonly List<Action<VegasOptions>> defaults = new List<Action<VegasOptions>>();

        internal VegasBuilder(IServiceCollection services) => this.services = services;

        /// <summary>How messages are written where nothing else is said. Default: JSON.</summary>
        public IMessageSerializer Serializer { get; set; } = new JsonMessageSerializer();

        /// <summary>Whether the host stops when a consumer ended by an error. Default: yes.</summary>
        public bool StopHostOnFailure { get; set; } = true;

        internal List<StreamProducer> Producers { get; } = new List<StreamProducer>();

        internal List<StreamConsumer> Consumers { get; } = new List<StreamConsumer>();

        /// <summary>Options of all producers and consumers that have them, by their names: such as Region, Endpoint
        /// and Store.</summary>
        public VegasBuilder Defaults(IConfiguration section)
        {
            foreach (var entry in section.GetChildren().Where(c => c.Value != null).ToList())
            {
                if (!new ProducerOptions().Knows(entry.Key))
                {
                    new ConsumerOptions()[entry.Key] = entry.Value; // throws where none has it
                }
                defaults.Add(o =>
                {
                    if (o.Knows(entry.Key))
                    {
                        o[entry.Key] = entry.Value;
                    }
                });
            }
            return this;
        }

        /// <summary>A stream to send to.</summary>
        public StreamProducer Producer(string stream, Action<ProducerOptions>? configure = null)
        {
            if (Producers.Any(p => p.Stream == stream))
            {
                throw new ArgumentException($"there is a producer of {stream} already", nameof(stream));
            }
            var producer = new StreamProducer(this, stream, o =>
            {
                defaults.ForEach(d => d(o));
                configure?.Invoke(o);
            });
            Producers.Add(producer);
            return producer;
        }

        /// <summary>A stream to receive from, as a worker of a group.</summary>
        public StreamConsumer Consumer(string stream, string group, Action<ConsumerOptions>? configure = null)
        {
            var consumer = new StreamConsumer(this, services, stream, group, o =>
            {
                defaults.ForEach(d => d(o));
                configure?.Invoke(o);
            });
            Consumers.Add(consumer);
            return consumer;
        }

        internal static string NameOf<T>(string? name) => name ?? typeof(T).Name;
    }

    /// <summary>A stream that is sent to, and the messages that go there.</summary>
    public sealed class StreamProducer
    {
        private readonly VegasBuilder builder;

        internal StreamProducer(VegasBuilder builder, string stream, Action<ProducerOptions> configure)
        {
            this.builder = builder;
            Stream = stream;
            Configure = configure;
        }

        internal string Stream { get; }

        internal Action<ProducerOptions> Configure { get; }

        internal Dictionary<Type, object> Routes { get; } = new Dictionary<Type, object>();

        /// <summary>Messages of a type go to this stream, each with the partition key that a function makes of it.</summary>
        /// <param name="key">The partition key of a message.</param>
        /// <param name="name">What its header "type" says. Default: the type's name.</param>
        /// <param name="serializer">Default: the builder's.</param>
        public StreamProducer Message<T>(Func<T, string> key, string? name = null, IMessageSerializer? serializer = null)
        {
            Routes.Add(typeof(T), new Route<T>(key, VegasBuilder.NameOf<T>(name), () => serializer ?? builder.Serializer));
            return this;
        }
    }

    /// <summary>How messages of a type become records.</summary>
    internal sealed class Route<T>
    {
        private readonly Func<T, string> key;
        private readonly string name;
        private readonly Func<IMessageSerializer> serializer;

        public Route(Func<T, string> key, string name, Func<IMessageSerializer> serializer)
        {
            this.key = key;
            this.name = name;
            this.serializer = serializer;
        }

        public Task<Receipt> Send(Producer producer, bool headers, T message) => producer.SendAsync(
            key(message), serializer().Serialize(message), headers ? new Headers { { VegasBuilder.TypeHeader, name } } : null);
    }

    /// <summary>A stream that is received from, and who handles the messages that come.</summary>
    public sealed class StreamConsumer
    {
        private readonly VegasBuilder builder;
        private readonly IServiceCollection services;
        private readonly Dictionary<string, Func<MessageContext, Task>> handlers = new Dictionary<string, Func<MessageContext, Task>>();
        private Func<MessageContext, Task>? other;

        internal StreamConsumer(VegasBuilder builder, IServiceCollection services, string stream, string group, Action<ConsumerOptions> configure)
        {
            this.builder = builder;
            this.services = services;
            Stream = stream;
            Group = group;
            Configure = configure;
        }

        internal string Stream { get; }

        internal string Group { get; }

        internal Action<ConsumerOptions> Configure { get; }

        /// <summary>Messages of a type are handled by a class that the host makes.</summary>
        public StreamConsumer OnMessage<T, THandler>(string? name = null, IMessageSerializer? serializer = null)
            where THandler : class, IMessageHandler<T>
        {
            services.TryAddScoped<THandler>();
            return OnMessage<T>((message, context) => context.Services.GetRequiredService<THandler>().HandleAsync(message, context), name, serializer);
        }

        /// <summary>Messages of a type are handled by a function.</summary>
        /// <param name="handler">Handles a message.</param>
        /// <param name="name">What the header "type" of these messages says. Default: the type's name. Where a
        /// consumer has one type only, records without such a header are of it.</param>
        /// <param name="serializer">Default: the builder's.</param>
        public StreamConsumer OnMessage<T>(Func<T, MessageContext, Task> handler, string? name = null, IMessageSerializer? serializer = null)
        {
            handlers.Add(VegasBuilder.NameOf<T>(name), context => handler((serializer ?? builder.Serializer).Deserialize<T>(context.Record.Data), context));
            return this;
        }

        /// <summary>What becomes of records that no handler is for. Without it they are failures.</summary>
        public StreamConsumer OnOther(Func<MessageContext, Task> handler)
        {
            other = handler;
            return this;
        }

        internal Task Handle(MessageContext context)
        {
            var name = context.Record.Headers.Text(VegasBuilder.TypeHeader);
            if (name == null && handlers.Count == 1)
            {
                return handlers.Values.First()(context);
            }
            if (name != null && handlers.TryGetValue(name, out var handler))
            {
                return handler(context);
            }
            return other?.Invoke(context) ?? throw new InvalidOperationException(
                $"no handler of {Stream} is for {(name == null ? "a record without the header type" : "messages of the type " + name)}: add one with OnMessage, or OnOther");
        }
    }
}

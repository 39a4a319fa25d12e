using System;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Libvegas.Extensions
{
    /// <summary>Turns messages into bytes and back. It is used by many threads.</summary>
    public interface IMessageSerializer
    {
        /// <summary>A message's bytes.</summary>
        byte[] Serialize<T>(T message);

        /// <summary>The message that bytes stand for. What it throws is a failure of the record.</summary>
        T Deserialize<T>(byte[] data);
    }

    /// <summary>JSON by System.Text.Json.</summary>
    public sealed class JsonMessageSerializer : IMessageSerializer
    {
        private readonly JsonSerializerOptions? options;

        /// <summary>With that library's options.</summary>
        public JsonMessageSerializer(JsonSerializerOptions? options = null) => this.options = options;

        /// <inheritdoc/>
        public byte[] Serialize<T>(T message) => JsonSerializer.SerializeToUtf8Bytes(message, options);

        /// <inheritdoc/>
        public T Deserialize<T>(byte[] data) => JsonSerializer.Deserialize<T>(data, options);
    }

    /// <summary>What a handler gets beside a message.</summary>
    public sealed class MessageContext
    {
        internal MessageContext(Record record, IServiceProvider services, CancellationToken cancellation)
        {
            Record = record;
            Services = services;
            Cancellation = cancellation;
        }

        /// <summary>What the message came in.</summary>
        public Record Record { get; }

        /// <summary>A scope of the message's own.</summary>
        public IServiceProvider Services { get; }

        /// <summary>Cancelled when what the handler finishes does not count any more.</summary>
        public CancellationToken Cancellation { get; }
    }

    /// <summary>Handles messages of a type. One is made for each message, in a scope of its own, with what its
    /// constructor asks for.</summary>
    public interface IMessageHandler<in T>
    {
        /// <summary>The message is done with when the task has ended; what it throws is a failure.</summary>
        Task HandleAsync(T message, MessageContext context);
    }

    /// <summary>Sends messages to the streams that their types were registered for.</summary>
    public interface IMessageSender
    {
        /// <summary>Sends a message to the stream of its type.</summary>
        Task<Receipt> SendAsync<T>(T message);

        /// <summary>Sends a message to one of the streams of its type.</summary>
        Task<Receipt> SendAsync<T>(string stream, T message);

        /// <summary>The producer of a stream, for records that are no messages.</summary>
        Producer Producer(string stream);
    }
}

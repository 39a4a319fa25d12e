#if !NETSTANDARD2_0
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

namespace Libvegas
{
    public sealed partial class Consumer : IAsyncDisposable
    {
        /// <summary>Closes, and waits for it.</summary>
        public ValueTask DisposeAsync() => new ValueTask(CloseAsync());

        /// <summary>The records of a stream, for await foreach. A record is done with when the loop comes for the
        /// next one. Leaving the loop closes the consumer, and the record of that turn comes again. Where the option
        /// Checkpoint is Manual, record.Consumer.CheckpointAsync(record) moves the group's position.</summary>
        public static async IAsyncEnumerable<Record> ReadAsync(
            string stream, string group, Action<ConsumerOptions>? configure = null, [EnumeratorCancellation] CancellationToken cancellation = default)
        {
            var offers = Channel.CreateUnbounded<Offer>();
            var consumer = await Task.Run(
                () => new Consumer(stream, group, (record, cancel) => Offer.Make(offers.Writer, record, cancel), configure), cancellation).ConfigureAwait(false);
            _ = consumer.Completion.ContinueWith(
                t => offers.Writer.TryComplete(t.Exception?.InnerException), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            Offer? current = null;
            try
            {
                while (await offers.Reader.WaitToReadAsync(cancellation).ConfigureAwait(false))
                {
                    while (offers.Reader.TryRead(out var offer))
                    {
                        if (offer.Result.Task.IsCompleted)
                        {
                            continue; // taken back meanwhile
                        }
                        current = offer;
                        yield return offer.Record;
                        current = null;
                        offer.Result.TrySetResult(true);
                    }
                }
            }
            finally
            {
                offers.Writer.TryComplete();
                consumer.BeginClose();
                current?.TakeBack();
                while (offers.Reader.TryRead(out var offer))
                {
                    offer.TakeBack();
                }
                await consumer.CloseAsync().ConfigureAwait(false);
            }
        }

        private sealed class Offer
        {
            public readonly Record Record;
            public readonly TaskCompletionSource<bool> Result = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);

            private Offer(Record record) => Record = record;

            public static async Task Make(ChannelWriter<Offer> writer, Record record, CancellationToken cancellation)
            {
                var offer = new Offer(record);
                if (!writer.TryWrite(offer))
                {
                    throw new NotBegunException();
                }
                using (cancellation.Register(offer.TakeBack))
                {
                    await offer.Result.Task.ConfigureAwait(false);
                }
            }

            public void TakeBack() => Result.TrySetException(new NotBegunException());
        }
    }
}
#endif

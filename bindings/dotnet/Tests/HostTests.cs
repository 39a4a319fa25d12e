#if !NETSTANDARD2_0
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Libvegas.Extensions;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Libvegas.Tests
{
    public class IterationTests : Case
    {
        public async Task AwaitForEach()
        {
            var seen = new List<string>();
            Send("1", "2", "3");
            await foreach (var r in Libvegas.Consumer.ReadAsync(Stream, "g", o => Fast(o)))
            {
                seen.Add(r.Text);
                if (r.Text == "2")
                {
                    break; // and so it comes again
                }
            }
            await foreach (var r in Libvegas.Consumer.ReadAsync(Stream, "g", o => Fast(o)))
            {
                seen.Add(r.Text);
                if (r.Text == "3")
                {
                    break;
                }
            }
            Assert.Equal("1223", string.Concat(seen));
            await using var p = new Producer(Stream);
            await p.SendAsync("k", "4");
        }
    }

    public class CheckpointTests : Case
    {
        public async Task ManualInAwaitForEach()
        {
            Send("1", "2", "3");
            void Manual(ConsumerOptions o) => Fast(o, x => x.Checkpoint = CheckpointMode.Manual);
            await foreach (var r in Libvegas.Consumer.ReadAsync(Stream, "g", Manual))
            {
                if (r.Text == "2")
                {
                    await r.Consumer.CheckpointAsync(r);
                    break;
                }
            }
            await foreach (var r in Libvegas.Consumer.ReadAsync(Stream, "g", Manual))
            {
                Assert.Equal("3", r.Text);
                break;
            }
        }
    }

    public class Order
    {
        public string Customer { get; set; } = "";

        public int Amount { get; set; }
    }

    public class Cancelled
    {
        public string Customer { get; set; } = "";
    }

    public class Bills
    {
        internal Box<string> Box { get; } = new Box<string>();
    }

    public class BillOrder : IMessageHandler<Order>
    {
        private readonly Bills bills;

        public BillOrder(Bills bills) => this.bills = bills;

        public Task HandleAsync(Order order, MessageContext context)
        {
            bills.Box.Put($"{context.Record.PartitionKey} {order.Amount}");
            return Task.CompletedTask;
        }
    }

    public class HostTests : Case
    {
        private IHost Host(Action<VegasBuilder> configure, Bills bills) => new HostBuilder()
            .ConfigureServices(services =>
            {
                services.AddSingleton(bills);
                services.AddVegas(configure);
            })
            .Build();

        public async Task MessagesOfTypes()
        {
            var bills = new Bills();
            var settings = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string>
            {
                ["PollIdle"] = "50ms", ["linger"] = "1ms",
            }).Build();
            using (var host = Host(
                vegas =>
                {
                    vegas.Defaults(settings);
                    vegas.Producer(Stream).Message<Order>(o => o.Customer).Message<Cancelled>(c => c.Customer, "cancelled");
                    vegas.Consumer(Stream, "g", o => Fast(o))
                        .OnMessage<Order, BillOrder>()
                        .OnMessage<Cancelled>((m, context) =>
                        {
                            bills.Box.Put("cancelled " + m.Customer);
                            return Task.CompletedTask;
                        }, "cancelled")
                        .OnOther(context =>
                        {
                            bills.Box.Put(context.Record.Text);
                            return Task.CompletedTask;
                        });
                }, bills))
            {
                await host.StartAsync();
                var sender = host.Services.GetRequiredService<IMessageSender>();
                await sender.SendAsync(new Order { Customer = "ada", Amount = 7 });
                await sender.SendAsync(new Cancelled { Customer = "bob" });
                await sender.Producer(Stream).SendAsync("k", "other");
                Assert.Equal("ada 7, cancelled bob, other", string.Join(", ", bills.Box.Wait(3).OrderBy(x => x)));
                await Assert.Throws<InvalidOperationException>(() => sender.SendAsync("a string"));
                await host.StopAsync();
            }
            Assert.Equal(3, bills.Box.Items.Count);
        }

        public async Task AConsumerThatFailsStopsTheHost()
        {
            using var host = Host(
                vegas => vegas.Consumer(Stream, "g", o => Fast(o, x => (x.OnError, x.MaxAttempts) = (OnError.Stop, 1))).OnMessage<Order, BillOrder>(), new Bills());
            await host.StartAsync();
            Send("no JSON");
            var stopped = new TaskCompletionSource<bool>();
            host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(() => stopped.SetResult(true));
            Assert.True(await Task.WhenAny(stopped.Task, Task.Delay(30_000)) == stopped.Task);
            await host.StopAsync();
            Environment.ExitCode = 0;
        }

        public async Task AHostThatIsNotStoppedKeepsNoRecord()
        {
            var bills = new Bills();
            using (var host = Host(
                vegas => vegas.Consumer(Stream, "g", o => Fast(o, x => (x.OnError, x.MaxAttempts) = (OnError.Skip, 1))).OnMessage<Order, BillOrder>(), bills))
            {
                await host.StartAsync();
            }
            Send("1");
            var box = new Box<string>();
            Consumer(r => box.Put(r.Text));
            Assert.Equal("1", box.Wait(1)[0]);
        }

        public void WhatTheHostLogsIsTheEnginesLevel()
        {
            VegasLogLevel With(LogLevel lowest)
            {
                using var services = new ServiceCollection().AddLogging(b => b.AddConsole().SetMinimumLevel(LogLevel.Trace).AddFilter("Libvegas", lowest))
                    .AddVegas(v => v.Producer("none")).BuildServiceProvider();
                services.GetRequiredService<IMessageSender>();
                return VegasLog.Level;
            }
            Assert.Equal(VegasLogLevel.Debug, With(LogLevel.Trace));
            Assert.Equal(VegasLogLevel.Warn, With(LogLevel.Warning));
            Assert.Equal(VegasLogLevel.Error, With(LogLevel.None));
        }

        public void AnUnknownSetting()
        {
            var settings = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string> { ["lingr"] = "1" }).Build();
            Assert.Throws<BadOptionException>(() => new ServiceCollection().AddVegas(v => v.Defaults(settings)));
        }
    }
}
#endif

using System;
using System.Linq;
using Libvegas;
using Libvegas.Extensions;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Microsoft.Extensions.DependencyInjection
{
    /// <summary>Vegas in a host.</summary>
    public static class VegasExtensions
    {
        /// <summary>Adds streams to send to and to receive from. IMessageSender sends; consumers run from the host's
        /// start to its end.</summary>
        public static IServiceCollection AddVegas(this IServiceCollection services, Action<VegasBuilder> configure)
        {
            var builder = services.Select(s => s.ImplementationInstance).OfType<VegasBuilder>().FirstOrDefault();
            if (builder == null)
            {
                builder = new VegasBuilder(services);
                services.AddSingleton(builder);
                services.AddSingleton<MessageSender>();
                services.AddSingleton<IMessageSender>(s => s.GetRequiredService<MessageSender>());
                services.AddSingleton<IHostedService, VegasService>();
            }
            configure(builder);
            return services;
        }

        /// <summary>Takes options by their names out of a section of a configuration.</summary>
        public static void Read(this VegasOptions options, IConfiguration section)
        {
            foreach (var entry in section.GetChildren().Where(c => c.Value != null))
            {
                options[entry.Key] = entry.Value;
            }
        }
    }
}

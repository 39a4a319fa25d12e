#if !NETSTANDARD2_0
using System;
using System.Threading.Tasks;

namespace Libvegas
{
    public sealed partial class Producer : IAsyncDisposable
    {
        /// <summary>Closes, and throws failures that nobody has looked at.</summary>
        public ValueTask DisposeAsync() => new ValueTask(CloseAsync());
    }
}
#endif

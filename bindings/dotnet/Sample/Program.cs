using System;
using Libvegas;

class Program
{
    static void Main()
    {
        var p = new Producer("stream-name");
        p.SendAsync("partition-key", "message");

        static void ProcessRecord(Record r) => Console.WriteLine(r.PartitionKey + ":" + r.Text);

        var c = new Consumer("stream-name", "efo-arn", ProcessRecord); // group name or EFO consumer ARN; runs at once
        Console.WriteLine("Consumer is running. Press ctrl+c to stop");
        c.Run();
    }
}

package localkinesis

//go:generate go test -run TestSupportTable -update .

import (
	"fmt"
	"strings"
)

// supportTable is docs/localkinesis.md, made from the table of operations.
func supportTable() string {
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("\n## Operations\n\n| Operation | Support | Calls a second |\n|---|---|---|\n")
	for i := range operations {
		op := &operations[i]
		support, rate := "full", "no limit of its own"
		switch {
		case op.serve == nil:
			support, rate = "refused by name: "+strings.TrimSuffix(op.Note, "."), "-"
		case op.Kept:
			support = "stored and given back"
		}
		if op.Rate > 0 {
			rate = fmt.Sprintf("%v an account", op.Rate)
			if op.PerStream {
				rate = fmt.Sprintf("%v a stream", op.Rate)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", op.Name, support, rate)
	}
	b.WriteString("\nWhere the service documents no rate, 5 calls a second stand for the ones its other operations have.\n" +
		"\n## What is asserted, and by which source\n\n| Operation | Behaviour | Source |\n|---|---|---|\n")
	for i := range operations {
		for _, c := range operations[i].Claims {
			source := c.Source
			if source == "" {
				source = "none: a choice of this server"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", operations[i].Name, c.What, source)
		}
	}
	b.WriteString("\n## Faults\n\n" +
		"From Go by `Server.Inject(localkinesis.Fault{…})`, over HTTP by `POST /_vegas/faults` with the same fields in JSON\n" +
		"(`do`, `op`, `stream`, `shard`, `after`, `count`, `rate`, `entries`, `entry_rate`, `code`, `delay`, `requests`, `target`).\n" +
		"`Server.Faults` and `GET /_vegas/faults` tell how often each was seen and happened.\n\n")
	for _, k := range allKinds {
		fmt.Fprintf(&b, "- `%s` %s.\n", k.kind, k.what)
	}
	b.WriteString(docsTail)
	return b.String()
}

const docsHead = `# The embedded Kinesis server

<!-- Generated from localkinesis/table.go by go generate ./localkinesis. Do not edit. -->

Package localkinesis is a strict Amazon Kinesis Data Streams inside a Go process. In a test:

` + "```go" + `
srv := localkinesis.Start(t, func(o *localkinesis.Options) {
	o.Streams = map[string]int{"orders": 2} // name: shards
})
client := kinesis.NewFromConfig(srv.AWS())
` + "```" + `

Start serves on an in-memory network and works inside a testing/synctest bubble. New with Serve or ServeTLS serves real
sockets: HTTP/1.1 and HTTP/2 cleartext (prior knowledge) on one port, both over TLS on another; bodies in JSON 1.1 and
CBOR 1.1. Any signature is believed, a request without one is refused.

Limits on throughput and call rates are on; Options.NoLimits turns them off. Limits on sizes and counts stay. Records are
kept in memory until their stream's retention ends, and at most Options.MemoryBytes of them (1 GiB, 128 bytes a record
included): a put above that is refused with LimitExceededException, which names the remedy.

The clock is the process's, and moves forward by hand with Server.Advance or POST /_vegas/clock {"advance":"5m"}.

What it puts through for a second of its CPU time stands in [benchmarks.md](benchmarks.md#the-embedded-server), with the
command that measures yours.
`

const docsTail = `
## Not like the service

- An on-demand stream does not scale itself: use Server.Split, Merge and Scale.
- Nothing is encrypted, measured or authorized; quotas of shards and on-demand streams per account are told but not enforced.
- A stream in DELETING refuses records at once; the service may take some more.
- Records are visible to readers as soon as they are stored.
- StreamId is ignored ("Not Implemented. Reserved for future use.").
`

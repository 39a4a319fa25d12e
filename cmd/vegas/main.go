// Command vegas sends and receives records of Amazon Kinesis Data Streams, shows
// and reshapes streams, and carries a Kinesis of its own to try all that
// without an account.
//
//	vegas demo                          watch a fleet lose workers, and no record
//	vegas demo --outage                 watch a producer lose its stream, and no record
//	vegas dev --stream orders:2         run an embedded Kinesis; prints what to export
//	vegas streams describe orders       shards as a tree
//	vegas produce orders < lines.txt    a line is a record
//	vegas produce orders --durable DIR  lines are safe before the stream has them
//	vegas buffer inspect DIR            what waits there
//	vegas consume orders --until-tip    a record is a line
//	vegas leases billing                who reads what in a group, and how far it is
//
// The command is a thin user of the public packages: whatever it does, a
// program can do with github.com/libvegas/vegas and its stores. The files in
// testdata/script are its tests and the precise documentation of its behaviour;
// "vegas help exit-codes" and "vegas help environment" describe what scripts
// rely on. Flags and the fields of its JSON output are kept stable; text meant
// for people may change at any time.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/libvegas/vegas/cmd/vegas/internal/command"
)

func main() { os.Exit(run()) }

// run ends its context at the first interrupt, so that commands end in order;
// a second interrupt kills the process.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return command.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

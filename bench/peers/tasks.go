package main

import (
	"fmt"

	"github.com/libvegas/vegas/bench/contest"
)

// task is a table: what all of its contenders do.
type task struct {
	side       contest.Side
	name       string // "100 B, aggregated"
	size       int
	aggregated bool
	records    int
	shape
}

// shape is how the records of a task are spread.
type shape struct {
	shards, keys int
	producers    int // in one process
	seconds      int // 0: as fast as it goes
}

// Shards and keys of every task that all contenders do.
const (
	shards = 4
	keys   = 10_000
)

var ofAll = shape{shards: shards, keys: keys, producers: 1}

// tasks are all of them. records is how many of 100 bytes a client in Go has to
// do; larger ones are fewer, so that they take about as long. By polling, clients
// that keep to the service's limits read 2 MiB a second of a shard.
func tasks(records int) []*task {
	return []*task{
		{contest.Produce, "100 B, aggregated", 100, true, records, ofAll},
		{contest.Produce, "1 KiB, aggregated", 1 << 10, true, records / 4, ofAll},
		{contest.Produce, "1 KiB, not aggregated", 1 << 10, false, records / 4, ofAll},
		{contest.Consume, "100 B, aggregated", 100, true, records, ofAll},
		{contest.Consume, "1 KiB, not aggregated", 1 << 10, false, records / 6, ofAll},
	}
}

// stream is the one that consumers of the task read.
func (t *task) stream() string { return fmt.Sprintf("consume-%d-%d", t.size, t.shards) }

// work is the task for a contender, without what is known at its run only.
func (t *task) work(c *contest.Contender) contest.Work {
	w := contest.Work{
		Shards: t.shards, Keys: t.keys, Producers: t.producers, Seconds: t.seconds,
		Size: t.size, Aggregated: t.aggregated,
		Records: t.records, Warm: t.records / 10,
	}
	if t.side == contest.Consume { // an answer may hold a tenth of the stream
		w.Warm, w.Last = t.records/5, t.records/5
	}
	if c.Java != "" {
		// A JVM needs long to be warm. A consumer has to read the same stream as the
		// others; a producer needs not do as much, being slower by a factor of tens.
		if t.side == contest.Produce {
			w.Records /= 5
		}
		w.Warm = w.Records / 2
	}
	return w
}

// takes tells whether c does the task.
func (t *task) takes(c *contest.Contender) bool {
	w := t.work(c)
	return c.Side == t.side && (c.Not == nil || c.Not(&w) == "")
}

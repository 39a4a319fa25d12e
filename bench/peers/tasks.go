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
	// A consumer's start is measured too, and all of its records.
	started bool
}

// Shards and keys of every task that all contenders do.
const (
	shards = 4
	keys   = 10_000
)

var ofAll = shape{shards: shards, keys: keys, producers: 1}

// tasks are all of them. records is how many of 100 bytes a client in Go has to
// send; larger ones are fewer, so that they take about as long. Where it is 1,500,000
// a consumer reads 8.2 answers of each shard, as large as answers become: 84,665 records
// of 100 bytes, 10,000 of 1 KiB.
func tasks(records int) []*task {
	return []*task{
		{contest.Produce, "100 B, aggregated", 100, true, records, ofAll},
		{contest.Produce, "1 KiB, aggregated", 1 << 10, true, records / 4, ofAll},
		{contest.Produce, "1 KiB, not aggregated", 1 << 10, false, records / 4, ofAll},
		{contest.Consume, "100 B, aggregated", 100, true, records * 24 / 13, ofAll},
		{contest.Consume, "1 KiB, not aggregated", 1 << 10, false, records * 22 / 100, ofAll},
	}
}

// stream is the one that consumers read who have this work.
func stream(w *contest.Work) string {
	return fmt.Sprintf("consume-%d-%d-%d", w.Size, w.Shards, w.Records)
}

// work is the task for a contender, without what is known at its run only.
func (t *task) work(c *contest.Contender) contest.Work {
	w := contest.Work{
		Shards: t.shards, Keys: t.keys, Producers: t.producers, Seconds: t.seconds,
		Size: t.size, Aggregated: t.aggregated,
		Records: t.records, Warm: t.records / 10,
	}
	java := c.Java != ""
	switch {
	// A JVM needs long to be warm, and need not send as much, being slower by a factor of
	// tens.
	case java && t.side == contest.Produce:
		w.Records /= 6
		w.Warm = w.Records / 2
	case t.side == contest.Produce:
	case t.started:
		w.Warm = 0
	// What is measured of a consumer begins and ends in the middle of full answers, some
	// whole ones later, so that an answer is in it as often as its records are, however
	// much of it a client does before it hands on the first of them: from 1.4 answers of
	// each shard to 3.4 of 4.1, else to 7.4 of 8.2, of a JVM from 4.4.
	case c.Paced:
		w.Records /= 2
		w.Warm, w.Last = w.Records*14/41, w.Records*7/41
	case java:
		w.Warm, w.Last = w.Records*22/41, w.Records*4/41
	default:
		w.Warm, w.Last = w.Records*7/41, w.Records*4/41
	}
	return w
}

// takes tells whether c does the task.
func (t *task) takes(c *contest.Contender) bool {
	w := t.work(c)
	return c.Side == t.side && (c.Not == nil || c.Not(&w) == "")
}

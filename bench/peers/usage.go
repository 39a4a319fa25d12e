package main

import (
	"os"
	"time"

	"github.com/libvegas/vegas/bench/contest"
)

// readingOf looks at a contender's process, with all that it has started, and at
// the server's. A child that has ended is not counted.
func readingOf(client, server int) (r contest.Reading, err error) {
	r.At = time.Now()
	if r.Server, err = cpuOf(server); err != nil {
		return r, err
	}
	for i, pid := range treeOf(client) {
		cpu, err := cpuOf(pid)
		if err != nil && i == 0 { // a child may have ended since
			return r, err
		}
		r.Client += cpu
	}
	return r, nil
}

// readingOfSelf is readingOf for a contender that looks itself, and has no children:
// to look for them reads all of /proc, which takes as long as 10,000 records.
func readingOfSelf(server int) (r contest.Reading, err error) {
	r.At = time.Now()
	if r.Client, err = cpuOf(os.Getpid()); err != nil {
		return r, err
	}
	r.Server, err = cpuOf(server)
	return r, err
}

// peakOf is the most memory that a contender's processes had resident, in bytes:
// the sum of each one's peak.
func peakOf(client int) (int64, error) {
	var sum int64
	for i, pid := range treeOf(client) {
		resident, err := residentOf(pid)
		if err != nil && i == 0 {
			return 0, err
		}
		sum += resident
	}
	return sum, nil
}

// Package usage reads what processes cost, as the system counts it.
package usage

import (
	"os"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/contest"
)

// Of looks at a contender's process, with all that it has started, and at
// the server's. A child that has ended is not counted.
func Of(client, server int) (r contest.Reading, err error) {
	r.At = time.Now()
	if r.Server, err = CPU(server); err != nil {
		return r, err
	}
	for i, pid := range Tree(client) {
		cpu, err := CPU(pid)
		if err != nil && i == 0 { // a child may have ended since
			return r, err
		}
		r.Client += cpu
	}
	return r, nil
}

// OfSelf is Of for a contender that looks itself, and has no children:
// to look for them reads all of /proc, which takes as long as 10,000 records.
func OfSelf(server int) (r contest.Reading, err error) {
	r.At = time.Now()
	if r.Client, err = CPU(os.Getpid()); err != nil {
		return r, err
	}
	r.Server, err = CPU(server)
	return r, err
}

// Peak is the most memory that a contender's processes had resident, in bytes:
// the sum of each one's peak.
func Peak(client int) (int64, error) {
	var sum int64
	for i, pid := range Tree(client) {
		resident, err := residentPeak(pid)
		if err != nil && i == 0 {
			return 0, err
		}
		sum += resident
	}
	return sum, nil
}

// Model is the processor of this machine.
func Model() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

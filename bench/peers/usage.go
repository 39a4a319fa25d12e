package main

import "time"

// usage is what a process and its children have cost so far.
type usage struct {
	at       time.Time
	cpu      time.Duration
	resident int64 // at most, in bytes; the sum of each one's peak
}

// usageOf looks at the process and at all that it started. One that ended before
// is not counted.
func usageOf(pid int) (usage, error) {
	u := usage{at: time.Now()}
	for i, p := range treeOf(pid) {
		cpu, err := cpuOf(p)
		if err == nil {
			u.cpu += cpu
			var resident int64
			resident, err = residentOf(p)
			u.resident += resident
		}
		if err != nil && i == 0 { // a child may have ended since
			return u, err
		}
	}
	return u, nil
}

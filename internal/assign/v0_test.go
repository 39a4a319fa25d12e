package assign

// What another version of the rules may look like: it knows nothing of limits,
// gives one at a time to whoever has the least and two fewer, and takes as if all
// were equal. Between it and ours a fleet must come to rest.

func naiveTake(me string, workers []Worker, leases int, free []string) []string {
	running, have := 0, 0
	for _, w := range workers {
		if !w.Stopping {
			running++
		}
		if w.ID == me {
			have = w.Leases
			if w.Stopping {
				return nil
			}
		}
	}
	want := (leases+running-1)/running - have
	return free[:min(len(free), max(0, want))]
}

func naiveGive(me string, mine []string, workers []Worker, _ int) []Move {
	var my Worker
	least := Worker{Leases: 1 << 30}
	for _, w := range workers {
		if w.ID == me {
			my = w
		} else if !w.Stopping && w.Leases < least.Leases {
			least = w
		}
	}
	if len(mine) == 0 || least.ID == "" && !my.Stopping || !my.Stopping && my.Leases-least.Leases < 2 {
		return nil
	}
	return []Move{{mine[0], least.ID}}
}

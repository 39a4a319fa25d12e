//go:build linux

package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// textBytes is how long data is that drivers tell as text; they tell size and sum of
// what is longer, or not printable ASCII.
const textBytes = 1024

// filled is data of a size.
func filled(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// described is how drivers tell data.
func described(data []byte) string {
	printable := !slices.ContainsFunc(data, func(c byte) bool { return c < ' ' || c > '~' })
	if printable && len(data) <= textBytes {
		return strings.TrimRight(string(data), ".")
	}
	return fmt.Sprintf("%d/%d", len(data), crc32.ChecksumIEEE(data))
}

// outcome is what a sender knows of a record.
type outcome int

const (
	open outcome = iota // no result, or nobody asked
	stored
	notStored
	unknown
)

// account is what was sent in a scenario, and what came of it.
type account struct {
	records map[string]*entry
	keys    map[string]int // records of each, in the order of sending
	sent    int
	groups  map[string]*group
}

type entry struct {
	key   string
	place int // among those of its key
	state outcome
	at    string // of its receipt, where it has one
}

// position is where a receipt or an event says that a record lies.
func position(m map[string]any) string {
	return fmt.Sprintf("%v %v/%v", m["shard"], m["sequence"], m["sub"])
}

// group is what the consumers of one have received.
type group struct {
	seen    map[string]int    // how often
	at      map[string]string // position of the first arrival
	last    map[string]int    // place of the last first arrival of a key
	again   int               // deliveries of what had come before, other than attempts
	wrong   []string
	records int
}

func newAccount() *account {
	return &account{records: map[string]*entry{}, keys: map[string]int{}, groups: map[string]*group{}}
}

func identity(key, described string) string { return key + "\x00" + described }

// send notes that a record is on its way.
func (a *account) send(key, described string) {
	id := identity(key, described)
	if a.records[id] != nil {
		return // the same again
	}
	a.records[id] = &entry{key: key, place: a.keys[key]}
	a.keys[key]++
	a.sent++
}

// result notes what its sender was told of a record, and where it lies, if that was
// told.
func (a *account) result(key, described string, o outcome, at string) {
	if e := a.records[identity(key, described)]; e != nil {
		e.state, e.at = o, at
	}
}

// received notes an arrival.
func (a *account) received(name, key, described string, attempt int, at string) {
	g := a.groups[name]
	if g == nil {
		g = &group{seen: map[string]int{}, at: map[string]string{}, last: map[string]int{}}
		a.groups[name] = g
	}
	g.records++
	id := identity(key, described)
	e := a.records[id]
	if e == nil {
		g.fault("a record %.40q of key %.40q arrived, which nobody sent", described, key)
		return
	}
	g.seen[id]++
	if g.seen[id] > 1 {
		if attempt <= 1 {
			g.again++
		}
		return
	}
	g.at[id] = at
	if last, ok := g.last[key]; ok && e.place < last {
		g.fault("record %d of key %.40q came behind record %d", e.place, key, last)
	}
	g.last[key] = max(e.place, g.last[key])
}

func (g *group) fault(format string, args ...any) {
	if len(g.wrong) < 5 {
		g.wrong = append(g.wrong, fmt.Sprintf(format, args...))
	}
}

// distinct is how many different records a group has received, or all of them.
func (a *account) distinct(name string) int {
	if g := a.groups[name]; g != nil {
		return len(g.seen)
	}
	return 0
}

// missing is what was acknowledged and has not come to a group.
func (a *account) missing(name string) []string {
	var seen map[string]int
	if g := a.groups[name]; g != nil {
		seen = g.seen
	}
	var missing []string
	for id, e := range a.records {
		if e.state == stored && seen[id] == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// audit compares the accounts: nothing is lost, and nothing wrong.
func (a *account) audit(name string, again, calm bool) error {
	var lost error
	if missing := a.missing(name); len(missing) > 0 {
		slices.Sort(missing)
		lost = fmt.Errorf("group %s: %d of %d records are lost, such as %q", name, len(missing), a.sent, missing[:min(3, len(missing))])
	}
	return errors.Join(lost, a.arrivals(name, again, calm))
}

// arrivals looks at what has come to a group. Where no requests failed nothing was sent twice, and
// records have arrived from where their receipts say (calm).
func (a *account) arrivals(name string, again, calm bool) error {
	g := a.groups[name]
	if g == nil {
		return fmt.Errorf("group %s has received nothing", name)
	}
	var phantom, moved []string
	for id, e := range a.records {
		if calm && e.at != "" && g.seen[id] > 0 && g.at[id] != e.at {
			moved = append(moved, fmt.Sprintf("%q: %s by its receipt, %s by its arrival", id, e.at, g.at[id]))
		}
		if e.state == notStored && g.seen[id] > 0 {
			phantom = append(phantom, show(id))
		}
	}
	var wrong []error
	for _, w := range g.wrong {
		wrong = append(wrong, errors.New(w))
	}
	if len(phantom) > 0 {
		wrong = append(wrong, fmt.Errorf("%d records arrived that were said not to be stored, such as %s", len(phantom), phantom[0]))
	}
	if len(moved) > 0 {
		wrong = append(wrong, fmt.Errorf("%d records lie elsewhere than their receipts say, such as %s", len(moved), moved[0]))
	}
	if g.again > 0 && !again {
		wrong = append(wrong, fmt.Errorf("%d records arrived again", g.again))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("group %s: %w", name, err)
	}
	return nil
}

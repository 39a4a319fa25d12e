package assign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/story"
)

// TestStories plays the scripts of testdata. See package story.
//
// The fleet is set up with
//
//	fleet WORKER=LEASES[/LIMIT][!]... [free=N]    ! is stopping; the leases are a1 a2 …, the free ones f1 f2 …
//	join WORKER[/LIMIT] | stop WORKER | leave WORKER | die WORKER
//
// and goes on with
//
//	shares               everybody's share
//	take, give           what each would do, and then does, all by one view
//	settle               take and give until nothing happens
func TestStories(t *testing.T) {
	story.Play(t, func() func(string) []string {
		f := newFleet()
		return func(line string) []string { return do(f, line) }
	})
}

func do(f *fleet, line string) []string {
	cmd, rest, _ := strings.Cut(line, " ")
	args := strings.Fields(rest)
	switch cmd {
	case "fleet":
		*f = *newFleet()
		for _, a := range args {
			id, n, ok := strings.Cut(strings.TrimSuffix(a, "!"), "=")
			if !ok {
				panic(line)
			}
			n, limit, _ := strings.Cut(n, "/")
			owner := id
			if id == "free" {
				id, owner = "f", ""
			} else {
				f.workers[id] = &member{limit: atoi(limit), stopping: strings.HasSuffix(a, "!")}
			}
			for i := range atoi(n) {
				f.owner[id+strconv.Itoa(i+1)] = owner
			}
		}
	case "join":
		id, limit, _ := strings.Cut(args[0], "/")
		f.workers[id] = &member{limit: atoi(limit)}
	case "stop":
		f.workers[args[0]].stopping = true
	case "leave", "die":
		f.remove(args[0])
	case "shares":
		return []string{f.shares()}
	case "take":
		return f.act(f.takes(f.view()))
	case "give":
		return f.act(f.gives(f.view()))
	case "settle":
		var out []string
		for {
			v := f.view()
			step := f.act(append(f.takes(v), f.gives(v)...))
			if len(step) == 0 {
				return append(out, f.shares())
			}
			out = append(out, step...)
		}
	default:
		panic(line)
	}
	return nil
}

func (f *fleet) shares() string {
	v := f.view()
	var out []string
	for _, w := range v.workers {
		out = append(out, fmt.Sprintf("%s has %d of %d", w.ID, w.Leases, Share(w.ID, v.workers, v.leases)))
	}
	if n := len(v.free); n > 0 {
		out = append(out, fmt.Sprintf("%d free", n))
	}
	return strings.Join(out, ", ")
}

// act carries out what was decided, and tells it.
func (f *fleet) act(all []change) (out []string) {
	for _, c := range all {
		f.owner[c.lease] = c.to
	}
	for len(all) > 0 {
		from, to := all[0].from, all[0].to
		var leases []string
		all = slices.DeleteFunc(all, func(c change) bool {
			if c.from == from && c.to == to {
				leases = append(leases, c.lease)
				return true
			}
			return false
		})
		switch list := strings.Join(leases, " "); {
		case from == "":
			out = append(out, to+" takes "+list)
		case to == "":
			out = append(out, from+" gives "+list+" up")
		default:
			out = append(out, from+" gives "+list+" to "+to)
		}
	}
	return out
}

func atoi(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

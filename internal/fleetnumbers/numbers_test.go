//go:build unix

package fleetnumbers

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

var (
	kills = flag.Int("kills", 10, "how many workers are killed, three of ten of them with the default lease time; as many are stopped")
	whole = flag.Bool("whole", false, "whole hours of what a group costs its store, and a table at the end")
)

var numbers Table

func TestMain(m *testing.M) {
	flag.Parse()
	Main(m, func() {
		if *whole {
			if err := numbers.Print(os.Stdout); err != nil {
				fmt.Println(err)
			}
		}
	})
}

// rounds is how many workers a test ends.
func rounds(n int) int {
	if testing.Short() {
		return min(n, 2)
	}
	return n
}

func TestWorkersKilled(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name   string
		lease  time.Duration
		goal   time.Duration
		rounds int
	}{
		{"2 s lease", 2 * time.Second, 3 * time.Second, *kills - *kills*3/10},
		{"default lease, 5 s", 0, 6 * time.Second, *kills * 3 / 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Kills(t, Options{Store: "file:" + t.TempDir(), Lease: c.lease, Rounds: rounds(c.rounds), Workers: 4, Shards: 12})
			t.Logf("%+v", r)
			numbers.Add(Number{
				Rank: i, What: "kill -9 -> its shards flow again, " + c.name,
				Goal: fmt.Sprintf("p99 < %v", c.goal), Measured: r.Silent.String(), Met: r.Silent.Of(0.99) < c.goal,
			})
			if r.Silent.Of(0.5) > c.goal || r.Silent.Of(1) > 4*c.goal {
				t.Errorf("silent for %v, want less than %v", r.Silent, c.goal)
			}
			if r.Missing > 0 {
				t.Errorf("%d records were lost", r.Missing)
			}
		})
	}
}

func TestWorkersStopped(t *testing.T) {
	t.Parallel()
	const goal = 500 * time.Millisecond
	r := Stops(t, Options{Store: "file:" + t.TempDir(), Rounds: rounds(*kills), Workers: 4, Shards: 12})
	t.Logf("%+v", r)
	numbers.Add(Number{
		Rank: 10, What: "orderly stop -> next owner reads", Goal: fmt.Sprintf("< %v, none twice", goal),
		Measured: fmt.Sprintf("%v; %d twice", r.Silent, r.Repeated), Met: r.Silent.Of(1) < goal && r.Repeated == 0,
	})
	if r.Silent.Of(0.5) > goal || r.Silent.Of(1) > 8*goal {
		t.Errorf("silent for %v, want less than %v", r.Silent, goal)
	}
	// Only a process that stood still for the lease time excuses repetitions.
	if r.Repeated > 0 && r.Lost == 0 {
		t.Errorf("%d records were delivered twice", r.Repeated)
	}
	if r.Missing > 0 {
		t.Errorf("%d records were lost", r.Missing)
	}
}

func TestOneJoinsTen(t *testing.T) {
	o := JoinOptions{Workers: 10, Shards: 100}
	if testing.Short() {
		o = JoinOptions{Workers: 3, Shards: 12}
	}
	j := Join(t, o)
	t.Logf("%+v", j)
	const goal, silent = 5 * time.Second, 500 * time.Millisecond
	numbers.Add(Number{
		Rank: 20, What: fmt.Sprintf("one joins %d on %d shards -> balanced", o.Workers, o.Shards),
		Goal:     fmt.Sprintf("< %v, none twice, silent < %v", goal, silent),
		Measured: fmt.Sprintf("%.2f s; %d twice; silent %v (before: max %.2f s)", j.Balanced.Seconds(), j.Repeated, j.During, j.Before.Of(1).Seconds()),
		Met:      j.Balanced < goal && j.Repeated == 0 && j.During.Of(1) <= silent,
	})
	if j.Balanced > 4*goal {
		t.Errorf("balanced after %v, want %v", j.Balanced, goal)
	}
	if j.During.Of(0.9) > 2*silent || j.During.Of(1) > 8*silent {
		t.Errorf("shards were silent for %v, want less than %v", j.During, silent)
	}
	if j.Repeated > 0 && j.Lost == 0 {
		t.Errorf("%d records were delivered twice", j.Repeated)
	}
	if j.Missing > 0 {
		t.Errorf("%d records were lost", j.Missing)
	}
}

func TestFirstWorker(t *testing.T) {
	shards, linger := 1000, 3*time.Second
	if testing.Short() {
		shards = 100
	}
	if *whole {
		linger = 20 * time.Second
	}
	took, cpu, resident := First(t, shards, "file:"+t.TempDir(), linger)
	t.Logf("%v, CPU %v, %d MiB", took, cpu, resident>>20)
	const goal, memory = 5 * time.Second, 150 << 20
	numbers.Add(Number{
		Rank: 30, What: fmt.Sprintf("first worker, %d shards -> all read", shards), Goal: fmt.Sprintf("< %v, < %d MiB resident", goal, memory>>20),
		Measured: fmt.Sprintf("%.2f s (CPU %.2f s), %d MiB", took.Seconds(), cpu.Seconds(), resident>>20), Met: took < goal && resident < memory,
	})
	if took > 4*goal {
		t.Errorf("it took %v, want %v", took, goal)
	}
	if resident > memory && !testing.Short() { // the race detector has memory of its own
		t.Errorf("%d MiB resident, want less than %d", resident>>20, memory>>20)
	}
}

// What removing duplicates takes of the instructions of a consumer; only in the
// whole run, which says so where valgrind is missing.
func TestDeduplication(t *testing.T) {
	if !*whole {
		return
	}
	const goal = 0.03
	n := Number{Rank: 70, What: "de-duplication", Goal: "< 3 % of consume instructions", Measured: "not counted: needs valgrind 3.19 or later"}
	if valgrind, err := exec.LookPath("valgrind"); err == nil {
		i := CountRemoval(t, valgrind, 300_000)
		n.Measured = fmt.Sprintf("%.2f %% (%.1f of %.0f million)", 100*i.Share(), i.Removal, i.All)
		n.Met = i.Share() < goal
	}
	numbers.Add(n)
}

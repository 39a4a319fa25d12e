package file

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/libvegas/vegas/store"
)

const programs = 3

// lives of each program: -args -lives=100 for a long run.
var lives = flag.Int("lives", 6, "how often each program is killed")

// Several programs write to one directory and are killed at any moment, again
// and again. What they had been told is there; what they were doing is there
// whole or not at all; and they do not hinder each other.
func TestKilledPrograms(t *testing.T) {
	if dir := os.Getenv("VEGAS_TEST_COUNT_IN"); dir != "" {
		countForever(dir, os.Getenv("VEGAS_TEST_PROGRAM"))
	}
	dir := t.TempDir()
	var mu sync.Mutex
	told := map[uint64]bool{} // revisions
	shared := 0               // increments of the shared row that were acknowledged
	var wg sync.WaitGroup
	for i := range programs {
		own := 0 // likewise, of the program's own
		program := strconv.Itoa(i)
		wg.Go(func() {
			for life := range *lives {
				dead := 5 + rand.IntN(60)
				err := run(t.Context(), dir, program, dead, func(what string, n int, revision uint64) {
					mu.Lock()
					defer mu.Unlock()
					if told[revision] {
						t.Errorf("revision %d was given twice", revision)
					}
					told[revision] = true
					if what == "own" {
						own = n
					} else {
						shared++
					}
				})
				if err != nil {
					t.Errorf("program %s, life %d: %v", program, life, err)
					return
				}
				got, err := New(dir).Get(t.Context(), "g", "worker#"+program)
				n, _ := strconv.Atoi(got.Fields["n"])
				if err != nil || n != own && n != own+1 || len(got.Body) != bodyOf(n) {
					t.Errorf("program %s was told %d, found is %d with %d bytes, %v", program, own, n, len(got.Body), err)
				}
				own = n
			}
		})
	}
	wg.Wait()
	got, err := New(dir).Get(t.Context(), "g", "counter")
	n, _ := strconv.Atoi(got.Fields["n"])
	if err != nil || n < shared || n > shared+programs**lives {
		t.Errorf("%d increments were acknowledged, %d are there, %v", shared, n, err)
	}
	if _, err := New(dir).Swap(t.Context(), got); err != nil {
		t.Error(err)
	}
}

// run starts a program, kills it when it has been told of some writes, and hears
// what it has to tell.
func run(ctx context.Context, dir, program string, writes int, told func(what string, n int, revision uint64)) error {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledPrograms$")
	cmd.Env = append(os.Environ(), "VEGAS_TEST_COUNT_IN="+dir, "VEGAS_TEST_PROGRAM="+program)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }() // killed
	lines := bufio.NewScanner(out)
	for heard := 0; lines.Scan(); heard++ {
		var what string
		var n int
		var revision uint64
		if _, err := fmt.Sscan(lines.Text(), &what, &n, &revision); err != nil {
			_ = cmd.Process.Kill()
			return errors.New(lines.Text())
		}
		told(what, n, revision)
		if heard == writes {
			if err := cmd.Process.Kill(); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

func bodyOf(n int) int { return n % 100 * 50 }

// countForever is such a program: it counts in a row of its own, and in one of
// all.
func countForever(dir, program string) {
	s := New(dir)
	ctx := context.Background()
	g, err := s.use(ctx, "g")
	if err == nil {
		g.slack = 10 << 10 // so that many die while they begin a new log
	}
	for err == nil {
		if err = count(ctx, s, "worker#"+program, "own"); err == nil {
			err = count(ctx, s, "counter", "shared")
		}
	}
	fmt.Println("failed:", err)
	os.Exit(1)
}

func count(ctx context.Context, s *Store, id, what string) error {
	for {
		row, err := s.Get(ctx, "g", id)
		if errors.Is(err, store.ErrNotFound) {
			row, err = store.Row{Group: "g", ID: id}, nil
		}
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(row.Fields["n"])
		row.Fields, row.Body = map[string]string{"n": strconv.Itoa(n + 1)}, make([]byte, bodyOf(n+1))
		row, err = s.Swap(ctx, row)
		if err == nil {
			fmt.Println(what, n+1, row.Revision)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

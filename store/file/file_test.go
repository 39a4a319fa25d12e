package file

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/storetest"
)

func TestFileStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return New(filepath.Join(t.TempDir(), "store")) })
}

func TestHandlesShareADirectory(t *testing.T) {
	dir := t.TempDir()
	storetest.Shared(t, func(*testing.T) store.Store { return New(dir) })
}

// Consumers that start at the same moment all make the directory.
func TestManyMakeTheDirectoryAtOnce(t *testing.T) {
	for i := range 30 {
		dir := filepath.Join(t.TempDir(), "a", "store")
		start := make(chan struct{})
		var wg sync.WaitGroup
		for j := range 8 {
			wg.Go(func() {
				<-start
				if _, err := New(dir).Swap(t.Context(), store.Row{Group: fmt.Sprint("g", j), ID: "lease#1"}); err != nil {
					t.Errorf("round %d: %v", i, err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
}

func TestFileStoreWorksInABubble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := New(dir)
		for i := range 20 {
			go func() {
				if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: strconv.Itoa(i)}); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(time.Second)
		rows, err := s.List(t.Context(), "g", "")
		if err != nil || len(rows) != 20 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
}

func TestWhatIsNotOursIsRefusedWithARemedy(t *testing.T) {
	rowOf := func(dir string) string { return filepath.Join(dir, "r-g", "r-lease=231.row") }
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		"a directory with other files": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "thesis.txt"), "…")
		}, []string{"thesis.txt", "name an empty directory"}},
		"a marker from elsewhere": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, marker), `{"name": "npm"}`)
		}, []string{marker, "not a file of a vegas store", "name another directory"}},
		"a marker that is not JSON": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, marker), "hello")
		}, []string{marker, "not a file of a vegas store", "name another directory"}},
		"a store of a newer version": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, marker), `{"format":"vegas store","version":2}`)
		}, []string{marker, "newer vegas", "update this program"}},
		"a row from elsewhere": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, rowOf(dir), "\x00\x01")
		}, []string{rowOf(""), "not a file of a vegas store", "move it away"}},
		"a row of a newer version": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, rowOf(dir), `{"format":"vegas row","version":7,"shape":"unknown"}`)
		}, []string{rowOf(""), "newer vegas", "update this program"}},
		"a row cut short": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, rowOf(dir), `{"format":"vegas row","ver`)
		}, []string{rowOf(""), "move it away"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.spoil(t, dir)
			s := New(dir)
			_, getErr := s.Get(t.Context(), "g", "lease#1")
			_, listErr := s.List(t.Context(), "g", "")
			_, swapErr := s.Swap(t.Context(), store.Row{Group: "g", ID: "lease#1"})
			for what, err := range map[string]error{"Get": getErr, "List": listErr, "Swap": swapErr} {
				if err == nil {
					t.Errorf("%s took it", what)
					continue
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v: want %q in it", what, err, want)
					}
				}
			}
		})
	}
}

func TestAFileCannotBeADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	for _, dir := range []string{path, filepath.Join(path, "below"), ""} {
		if _, err := New(dir).List(t.Context(), "g", ""); err == nil {
			t.Errorf("%q was taken for a directory", dir)
		}
	}
}

// Whatever a killed writer leaves behind: an unfinished next file, a lock file
// without a holder.
func TestLeftoversOfACrashAreHarmless(t *testing.T) {
	dir := t.TempDir()
	old := made(t, dir)
	write(t, filepath.Join(dir, "r-g", "next"), `{"format":"vegas row","versi`)
	s := New(dir)
	got, err := s.Get(t.Context(), "g", "lease#1")
	if err != nil || got.Revision != old.Revision {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := s.Swap(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if rows, err := s.List(t.Context(), "g", ""); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestAHeldLockEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	row := made(t, dir)
	lock, err := os.OpenFile(filepath.Join(dir, "r-g", "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if ok, err := tryLock(lock); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := New(dir).Swap(ctx, row); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got, err := New(dir).Get(t.Context(), "g", "lease#1"); err != nil || got.Revision != row.Revision {
		t.Errorf("reading needs no lock: %v, %v", got, err)
	}
}

// A process is killed while it counts; what it had been told is there, and what
// it was doing is there whole or not at all.
func TestKillLeavesOldOrNew(t *testing.T) {
	if dir := os.Getenv("VEGAS_TEST_COUNT_IN"); dir != "" {
		countForever(dir)
	}
	dir := t.TempDir()
	for range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillLeavesOldOrNew$")
		cmd.Env = append(os.Environ(), "VEGAS_TEST_COUNT_IN="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		told := -1
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if told, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("the counting process says %s", lines.Text())
			}
			if n == 20 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		got, err := New(dir).Get(t.Context(), "g", "counter")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(got.Fields["n"]); err != nil || n != told && n != told+1 || len(got.Body) != n%1000*10 {
			t.Errorf("told %d, found %d with %d bytes, %v", told, n, len(got.Body), err)
		}
	}
}

func countForever(dir string) {
	s := New(dir)
	ctx := context.Background()
	for {
		row, err := s.Get(ctx, "g", "counter")
		if errors.Is(err, store.ErrNotFound) {
			row, err = store.Row{Group: "g", ID: "counter"}, nil
		}
		n, _ := strconv.Atoi(row.Fields["n"])
		n++
		row.Fields, row.Body = map[string]string{"n": strconv.Itoa(n)}, make([]byte, n%1000*10)
		if err == nil {
			_, err = s.Swap(ctx, row)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestEscapedNamesAreApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "A", "=41", "a.", "a=", strings.Repeat("a", 300), strings.Repeat("a", 301), "long", "l-a", "r-a", ""} {
		e := strings.ToLower(escape(name))
		if old, ok := seen[e]; ok {
			t.Errorf("%q and %q are both %s", old, name, e)
		}
		if len(e)+len(rowSuffix) > 255 {
			t.Errorf("%.20q…: a name of %d bytes", name, len(e))
		}
		seen[e] = name
	}
}

func BenchmarkSwap(b *testing.B) {
	for _, rows := range []int{1, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := New(b.TempDir())
			var row store.Row
			for i := range rows {
				var err error
				row, err = s.Swap(b.Context(), store.Row{Group: "g", ID: "lease#" + strconv.Itoa(i), Fields: map[string]string{"sequence": strings.Repeat("4", 56)}})
				if err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				var err error
				if row, err = s.Swap(b.Context(), row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkList1000(b *testing.B) {
	s := New(b.TempDir())
	for i := range 1000 {
		if _, err := s.Swap(b.Context(), store.Row{Group: "g", ID: "lease#" + strconv.Itoa(i), Fields: map[string]string{"sequence": strings.Repeat("4", 56)}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if rows, err := s.List(b.Context(), "g", "lease#"); err != nil || len(rows) != 1000 {
			b.Fatal(len(rows), err)
		}
	}
}

func made(t *testing.T, dir string) store.Row {
	t.Helper()
	row, err := New(dir).Swap(t.Context(), store.Row{Group: "g", ID: "lease#1", Fields: map[string]string{"owner": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	var h head
	text, err := os.ReadFile(filepath.Join(dir, marker))
	if err != nil || json.Unmarshal(text, &h) != nil || h != (head{storeFormat, version}) {
		t.Fatalf("marker %s, %v", text, err)
	}
	return row
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

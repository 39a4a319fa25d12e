package file

import (
	"encoding/json"
	"fmt"
	"os"
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

func TestFileStoreNeedsNoClock(t *testing.T) {
	dir := t.TempDir()
	storetest.AnyClock(t, func(*testing.T) store.Store { return New(dir) })
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
	logOf := func(dir string) string { return filepath.Join(dir, "r-g", "log") }
	line := func(t *testing.T, h header) string {
		text, err := seal(nil, h)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
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
			write(t, filepath.Join(dir, marker), `{"format":"vegas store","version":3}`)
		}, []string{marker, "newer vegas", "update this program"}},
		"a log from elsewhere": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, logOf(dir), "\x00\x01")
		}, []string{logOf(""), "not a file of a vegas store", "move the file away"}},
		"an empty log": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, logOf(dir), "")
		}, []string{logOf(""), "not a file of a vegas store", "move the file away"}},
		"a log of a newer version": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, logOf(dir), line(t, header{head: head{logFormat, 7}, Group: "g"}))
		}, []string{logOf(""), "newer vegas", "update this program"}},
		"a log of another group": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, logOf(dir), line(t, header{head: head{logFormat, version}, Group: "h"}))
		}, []string{logOf(""), `"h"`, "move the file away"}},
		"a log without its rows": {func(t *testing.T, dir string) {
			made(t, dir)
			write(t, logOf(dir), line(t, header{head: head{logFormat, version}, Group: "g"}))
		}, []string{logOf(""), "damaged in line 2", "the file ends before", "move the file away"}},
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
				for _, want := range append(c.want, "docs/troubleshooting.md#store-file") {
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
	write(t, filepath.Join(dir, "r-g", "next"), `0a1b2c3d {"format":"vegas gro`)
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

func TestEscapedNamesAreApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "A", "=41", "a.", "a=", strings.Repeat("a", 300), strings.Repeat("a", 301), "long", "l-a", "r-a", ""} {
		e := strings.ToLower(escape(name))
		if old, ok := seen[e]; ok {
			t.Errorf("%q and %q are both %s", old, name, e)
		}
		if len(e) > 255 {
			t.Errorf("%.20q…: a name of %d bytes", name, len(e))
		}
		seen[e] = name
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

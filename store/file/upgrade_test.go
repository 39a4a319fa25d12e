package file

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/libvegas/vegas/store"
)

// oldStore is a store as version 1 wrote it, with a long name and a group whose
// highest revision is that of a row that is gone.
func oldStore(t *testing.T) (dir string, rows []store.Row) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, marker), `{"format":"vegas store","version":1}`)
	for i, r := range []store.Row{
		{Group: "g", ID: "lease#1", Revision: 7, Fields: map[string]string{"owner": "a", "unknown": "x"}},
		{Group: "g", ID: "mark#1", Revision: 3, Body: []byte{0, 1, 255}},
		{Group: "another [group]*", ID: "lease#" + strings.Repeat("long", 80), Revision: 1},
	} {
		text, err := json.Marshal(map[string]any{
			"format": "vegas row", "version": 1,
			"group": r.Group, "id": r.ID, "revision": r.Revision, "fields": r.Fields, "body": r.Body,
		})
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, escape(r.Group))
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(at, "lock"), "")
		write(t, filepath.Join(at, "r-"+strconv.Itoa(i)+".row"), string(text)+"\n")
		rows = append(rows, r)
	}
	write(t, filepath.Join(dir, "r-g", "floor"), "41")
	return dir, rows
}

func TestAStoreOfVersion1IsUpgraded(t *testing.T) {
	dir, old := oldStore(t)
	checkUpgraded(t, dir, old)
	if v, err := marked(dir); v != version || err != nil {
		t.Errorf("afterwards the store is of version %d, %v", v, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*", "*.row")); err != nil || len(left) > 0 {
		t.Errorf("%s are still there, %v", left, err)
	}
	checkUpgraded(t, dir, old) // it stays so
}

// At any of its steps the upgrade may stop, and rows may neither be lost nor go
// back when it is gone on with.
func TestAnUpgradeCutShortGoesOn(t *testing.T) {
	for steps := 0; ; steps++ {
		dir, old := oldStore(t)
		d := &failing{disk: machine{}, until: steps}
		err := upgrade(t.Context(), d, dir)
		checkUpgraded(t, dir, old)
		if err == nil {
			if steps < 10 {
				t.Errorf("the upgrade took %d steps only", steps)
			}
			return
		}
	}
}

func TestOldFilesThatAreNotOursAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir string) (file, text string){
		"a row cut short":           func(dir string) (string, string) { return filepath.Join(dir, "r-0.row"), `{"format":"vegas row","ver` },
		"a row from elsewhere":      func(dir string) (string, string) { return filepath.Join(dir, "r-0.row"), `{"name":"npm"}` },
		"a floor that is no number": func(dir string) (string, string) { return filepath.Join(dir, "floor"), "first" },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := oldStore(t)
			file, text := spoil(filepath.Join(dir, "r-g"))
			write(t, file, text)
			_, err := New(dir).List(t.Context(), "g", "")
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "docs/troubleshooting.md#store-file") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func checkUpgraded(t *testing.T, dir string, old []store.Row) {
	t.Helper()
	s := New(dir)
	for _, want := range old {
		got, err := s.Get(t.Context(), want.Group, want.ID)
		if err != nil || got.Revision != want.Revision || len(got.Fields) != len(want.Fields) || string(got.Body) != string(want.Body) {
			t.Errorf("%v: got %v, %v", want, got, err)
		}
	}
	next, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "lease#new"})
	if err != nil || next.Revision <= 41 {
		t.Errorf("a new row has revision %d, which may have been given before, %v", next.Revision, err)
	}
	if err := s.Delete(t.Context(), next); err != nil {
		t.Error(err)
	}
}

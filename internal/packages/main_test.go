package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a machine lacks is an error, and with -partial it is told.
func TestLeaveOut(t *testing.T) {
	lacks := kind{name: "none", title: "No language", needs: []string{"a-program-that-nobody-has"}}
	tr := &tree{out: t.TempDir()}
	stale := filepath.Join(tr.dist("none"), "stale")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tr.one(t.Context(), "build", lacks); err == nil || !strings.Contains(err.Error(), "-partial") {
		t.Errorf("without the program: %v", err)
	}
	tr.partial = true
	if err := tr.one(t.Context(), "build", lacks); err != nil {
		t.Errorf("with -partial: %v", err)
	}
	if len(tr.left) != 1 || !strings.Contains(tr.left[0], "No language") {
		t.Errorf("left out is %q", tr.left)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("what was built before is still there: %v", err)
	}
}

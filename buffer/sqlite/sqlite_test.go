package sqlite_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/buffertest"
	"github.com/libvegas/vegas/buffer/sqlite"
	"github.com/libvegas/vegas/record"
)

func quiet(o *sqlite.Options) { o.Logger = slog.New(slog.DiscardHandler) }

func place(dir string, limit int64) buffertest.Place {
	return buffertest.Place{
		New: func(*testing.T) buffer.Buffer {
			return sqlite.New(filepath.Join(dir, "buffer %?#.db"), quiet, func(o *sqlite.Options) { o.Bytes = limit })
		},
		Copy: func(t *testing.T) buffertest.Place {
			to := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			return place(to, limit)
		},
	}
}

func TestSuite(t *testing.T) {
	buffertest.Run(t, func(t *testing.T, limit int64) buffertest.Place { return place(t.TempDir(), limit) })
}

func TestWhatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(dir, "taken.db")
	owner := sqlite.New(taken, quiet)
	if err := owner.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	for path, word := range map[string]string{
		"": "want that of a file", ":memory:": "want that of a file", "a\x00b": "NUL",
		text:                             "#buffer-foreign",
		taken:                            "#buffer-locked",
		filepath.Join(dir, "no", "x.db"): "#buffer-directory",
	} {
		b := sqlite.New(path, quiet)
		if err := b.Open(t.Context()); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, want an error with %q", path, err, word)
		}
		if err := b.Close(); err != nil {
			t.Errorf("%q: close: %v", path, err)
		}
	}
	if _, err := owner.Append(t.Context(), []*record.Record{{PartitionKey: "k"}}, nil); err != nil {
		t.Errorf("the owner, after others tried: %v", err)
	}
}

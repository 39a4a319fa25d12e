package disk

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/buffertest"
)

// silent keeps logs out of the output of tests.
func silent(o *Options) { o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) }

func placeIn(dir string, opts ...func(*Options)) buffertest.Place {
	var l *Log
	return buffertest.Place{
		New: func(*testing.T) buffer.Buffer {
			l = New(dir, append(opts, silent)...)
			return l
		},
		Copy: func(t *testing.T) buffertest.Place {
			to := filepath.Join(t.TempDir(), "copy")
			l.keep <- struct{}{} // no file comes or goes meanwhile
			defer l.letGo()
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			return placeIn(to, opts...)
		},
	}
}

func TestBuffer(t *testing.T) {
	for name, segment := range map[string]int64{"default segments": 0, "small segments": 3000} {
		t.Run(name, func(t *testing.T) {
			buffertest.Run(t, func(t *testing.T, limit int64) buffertest.Place {
				return placeIn(filepath.Join(t.TempDir(), "buffer"), func(o *Options) { o.Bytes, o.SegmentBytes = limit, segment })
			})
		})
	}
}

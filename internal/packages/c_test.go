package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The same files make the same tarball, whenever they were written, and links stay links.
func TestTarball(t *testing.T) {
	var all [2][]byte
	for i := range all {
		folder := filepath.Join(t.TempDir(), "stage")
		if err := os.MkdirAll(filepath.Join(folder, "lib"), 0o755); err != nil {
			t.Fatal(err)
		}
		library := filepath.Join(folder, "lib", "libvegas.so.0.1.0")
		readable := []os.FileMode{0, 0o077}[i] // as two umasks leave it
		err := errors.Join(
			os.WriteFile(library, []byte("library"), 0o755),
			os.Chmod(library, 0o755&^readable),
			os.Symlink("libvegas.so.0.1.0", filepath.Join(folder, "lib", "libvegas.so")),
			os.WriteFile(filepath.Join(folder, "README.md"), []byte("page"), 0o644&^readable),
			os.Chtimes(library, time.Time{}, time.Unix(int64(i+1)*1e9, 0)),
		)
		if err != nil {
			t.Fatal(err)
		}
		file := folder + ".tar.gz"
		if err := writeTarball(file, folder, "libvegas"); err != nil {
			t.Fatal(err)
		}
		if all[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Error("the same files make two tarballs")
	}
	zipped, err := gzip.NewReader(bytes.NewReader(all[0]))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for from := tar.NewReader(zipped); ; {
		h, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %s", h.Name, h.Mode, h.Linkname))
	}
	want := []string{"libvegas/README.md 644 ", "libvegas/lib/libvegas.so 777 libvegas.so.0.1.0", "libvegas/lib/libvegas.so.0.1.0 755 "}
	if !slices.Equal(got, want) {
		t.Errorf("the tarball has %q: want %q", got, want)
	}
}

func TestGlibcIsTheHighestOfItsSymbols(t *testing.T) {
	if got := glibcOf([]string{"GLIBC_2.2.5", "", "GCC_3.0", "GLIBC_2.34", "GLIBC_2.4"}); got != [2]int{2, 34} {
		t.Error(got)
	}
	page, err := os.ReadFile("../../docs/c.md")
	if err != nil {
		t.Fatal(err)
	}
	if says := fmt.Sprintf("needs glibc %d.%d ", glibcMost[0], glibcMost[1]); !bytes.Contains(page, []byte(says)) {
		t.Errorf("docs/c.md does not say that it %s", says)
	}
}

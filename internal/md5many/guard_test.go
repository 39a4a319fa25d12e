//go:build darwin || linux

package md5many

import (
	"os"
	"syscall"
	"testing"
)

// TestNothingIsReadBehindAMessage: messages end where memory ends.
func TestNothingIsReadBehindAMessage(t *testing.T) {
	page := os.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(memory) }()
	if err := syscall.Mprotect(memory[page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for i := range memory[:page] {
		memory[i] = byte(i)
	}
	end := func(n int) []byte { return memory[page-n : page : page] }
	for n := range 400 {
		for lanes := 2; lanes <= AtOnce; lanes++ {
			var alike, unlike [][]byte
			for i := range lanes {
				alike, unlike = append(alike, end(n)), append(unlike, end(n+i*(n%70)))
			}
			check(t, alike)
			check(t, unlike)
		}
	}
}

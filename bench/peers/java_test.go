//go:build unix

package main

import (
	"strings"
	"testing"
	"time"
)

func TestTableService(t *testing.T) {
	start := func(script string, patience time.Duration) (*tableService, error) {
		return startTables([]string{"sh", "-c", script}, patience)
	}
	s, err := start("echo hello; echo listening on http://127.0.0.1:1; exec sleep 100", time.Minute)
	if err != nil || s.endpoint != "http://127.0.0.1:1" {
		t.Fatalf("%+v, %v", s, err)
	}
	s.stop()
	if _, err := start("echo no memory >&2; exit 3", time.Minute); err == nil || !strings.Contains(err.Error(), "exit status 3\nno memory") {
		t.Errorf("of a process that fails: %v", err)
	}
	if _, err := start("exec sleep 100", time.Millisecond); err == nil || !strings.Contains(err.Error(), "not ready after 1ms") {
		t.Errorf("of a process that says nothing: %v", err)
	}
}

//go:build linux

package main

import "testing"

// TestParts: everything that is sent arrives, in each part.
func TestParts(t *testing.T) {
	for name := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := partCommand(name)(t.Context(), []string{"-short"}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

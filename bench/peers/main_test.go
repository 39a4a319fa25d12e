package main

import (
	"os"
	"testing"
)

// TestMain makes this binary what main starts: the server, and clients.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "client") {
		main()
		return
	}
	os.Exit(m.Run())
}

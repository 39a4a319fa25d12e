//go:build race

package simulate

// raced: the race detector makes a run ten times as long, and has little to
// look for in one goroutine.
const raced = true

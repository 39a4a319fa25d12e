package memory_test

import (
	"testing"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
	"github.com/libvegas/vegas/store/storetest"
)

func TestMemoryStoreConforms(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}

func TestMemoryStoreNeedsNoClock(t *testing.T) {
	s := memory.New()
	storetest.AnyClock(t, func(*testing.T) store.Store { return store.Separate(s) })
}

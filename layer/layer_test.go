package layer_test

import (
	"context"
	"slices"
	"testing"

	"github.com/libvegas/vegas/layer"
)

func TestAShardIsFoundInTheContextsOfItsHandlers(t *testing.T) {
	if s := layer.Of(t.Context()); s != nil {
		t.Errorf("%v of a context without a shard", s)
	}
	s := &layer.Shard{ID: "shardId-1", Rows: "layer#stream:"}
	ctx, cancel := context.WithCancel(layer.With(t.Context(), s))
	defer cancel()
	if got := layer.Of(ctx); got != s {
		t.Errorf("%v", got)
	}
	if id := s.RowID("shardId-0", "windows"); id != "layer#stream:shardId-0:windows" {
		t.Error(id)
	}
}

func TestEveryLayerHasAStateOfItsOwn(t *testing.T) {
	s := new(layer.Shard)
	begin := func() any { return new(int) }
	a, b := s.State("a", begin), s.State("b", begin)
	if a == b || s.State("a", begin) != a || s.State("b", begin) != b {
		t.Error("states are mixed up")
	}
}

func TestTheEndComesOnceTheLastFirst(t *testing.T) {
	s := new(layer.Shard)
	var got []int
	for i := range 3 {
		s.AtEnd(func(context.Context) { got = append(got, i) })
	}
	s.End(t.Context())
	s.AtEnd(func(context.Context) { got = append(got, 9) })
	s.End(t.Context())
	if !slices.Equal(got, []int{2, 1, 0}) {
		t.Error(got)
	}
}

package shard

import (
	"slices"
	"testing"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
)

// What fits is what aggregate.Decode takes for an aggregate, whoever asks first, and
// whatever stands beside it.
func TestSumsTellAggregates(t *testing.T) {
	whole := packed(t, 1, nil, 0, "a", "b")
	entry := func(kind int) fetch.Record {
		r := whole
		r.Data = slices.Clone(r.Data)
		switch kind {
		case 1:
			r.Data[len(r.Data)-1]++ // another sum
		case 2:
			r.Data[6]++ // of another message
		case 3:
			r.Data = []byte("plain")
		case 4:
			r.Data = nil
		case 5:
			r.Data = r.Data[:aggregate.Overhead]
		}
		return r
	}
	var s sums
	for story := range 200 {
		var answer []fetch.Record
		for i := range story % 23 {
			answer = append(answer, entry((story*7+i*i)%11)) // from 6 on whole ones
		}
		s.start()
		for i := range answer {
			message, ok := s.fit(answer, i)
			var a aggregate.Aggregate
			if want := aggregate.Decode(answer[i].Data, &a) == nil; ok != want {
				t.Fatalf("story %d, entry %d of %d: %v", story, i, len(answer), ok)
			}
			if ok && (aggregate.DecodeMessage(message, &a) != nil || len(a.Subs) != 2) {
				t.Fatalf("story %d, entry %d: another message", story, i)
			}
		}
	}
}

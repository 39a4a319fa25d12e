package send

import (
	"context"
	"slices"
	"strings"

	"github.com/libvegas/vegas/record"
)

// Row is a record of somebody who sends many and is told of the ends of many at once,
// for a third less than a callback for each takes.
type Row struct {
	Record record.Record
	Number uint64 // the sender's, for its End
	Cost   uint32 // likewise
}

// End is how a row ended.
type End struct {
	Number  uint64
	Cost    uint32
	Receipt record.Receipt
	Err     error
}

// TellEnds has f called with the ends of rows, one call at a time, in the order of
// callbacks; with none when there are no more at present, for which Flush does not wait.
// It is called on the sending path: it must be quick and not call the engine. It is set
// once, before any row.
func (e *Engine) TellEnds(f func([]End)) { e.tell = f }

// SendRows accepts rows in their order and returns how many it did, and why not the
// one behind those. Texts and data are lent to it until it returns. ctx bounds the wait
// for room.
func (e *Engine) SendRows(ctx context.Context, rows []Row) (n int, err error) {
	var some [few]draft
	for n < len(rows) && err == nil {
		ds := some[:0]
		for i := n; i < len(rows) && len(ds) < few; i++ {
			d := &some[len(ds)]
			*d = draft{waiter: waiter{row: true, at: int(rows[i].Number), cost: rows[i].Cost}}
			if err = e.check(d, &rows[i].Record); err != nil {
				break
			}
			d.explicit = strings.Clone(d.explicit)
			if d.owned { // its key will not be copied with it
				d.key = strings.Clone(d.key)
			}
			ds = ds[:len(ds)+1]
		}
		hash(ds)
		for len(ds) > 0 {
			accepted, failed := e.accept(ctx, ds)
			ds, n = ds[accepted:], n+accepted
			if failed != nil {
				return n, e.refused(&rows[n].Record, failed)
			}
		}
	}
	return n, err
}

// tellRows tells of the ends of rows, a few at a time so that they are still near to
// the processor when they are let go of.
func (e *Engine) tellRows(ps []*parcel) {
	if len(ps) == 0 {
		return
	}
	for some := range slices.Chunk(ps, tellEvery) {
		ends := e.told[:0]
		for _, p := range some {
			at, err := e.result(p)
			ends = append(ends, End{Number: uint64(p.at), Cost: p.cost, Receipt: at, Err: err})
		}
		e.tell(ends)
		clear(ends)
		e.told = ends
		e.called(some)
	}
	e.tell(nil)
}

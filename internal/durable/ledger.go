package durable

import (
	"context"
	"log/slog"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Stored acknowledges records in the buffer and tells those who wait for them.
// Only the engine's loop calls it.
func (p *Producer) Stored(stored []send.Stored) {
	p.mu.Lock()
	for i := range stored {
		p.end(stored[i].Seq, stored[i].Receipt, nil)
	}
	p.call() // unlocks
	p.numbers = p.numbers[:0]
	for i := range stored {
		p.numbers = append(p.numbers, stored[i].Seq)
	}
	p.buf.Ack(p.numbers)
	p.mu.Lock()
	p.change()
	p.mu.Unlock()
}

// Bury makes dead letters and tells those who wait for them.
func (p *Producer) Bury(ctx context.Context, dead []buffer.Dead, errs []error) error {
	p.mu.Lock()
	p.burying++
	p.mu.Unlock()
	err := p.buf.Bury(ctx, dead)
	p.mu.Lock()
	p.burying--
	if err != nil {
		p.mu.Unlock()
		return err
	}
	for i := range dead {
		p.end(dead[i].Seq, record.Receipt{}, errs[i])
	}
	p.change()
	p.call() // unlocks
	for i := range dead {
		p.warn.Warn("a record became a dead letter of the durable buffer (vegas buffer inspect, replay)", slog.Any("reason", errs[i]))
	}
	if o := p.watch.observer; o != nil {
		o.Count(observe.RecordsDead, p.at, int64(len(dead)))
	}
	return nil
}

package vegas

import (
	"context"
	"fmt"

	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/internal/durable"
	"github.com/libvegas/vegas/internal/send"
)

// newDurable puts the buffer that the options ask for before the engine.
func newDurable(o *ProducerOptions, c send.Config) (*durable.Producer, error) {
	b, place := o.Buffer, o.Durable
	if b != nil {
		place = fmt.Sprintf("%T", b)
	} else {
		b = disk.New(o.Durable, func(d *disk.Options) {
			d.Label, d.Bytes, d.Logger = c.Stream, o.DurableBytes, o.Logger
		})
	}
	c.Deadline = o.DurableAge
	return durable.New(context.Background(), durable.Config{Buffer: b, Place: place, WaitStored: o.WaitStored, Send: c})
}

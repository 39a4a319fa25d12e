package kinesisapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/libvegas/vegas/internal/wire"
)

// events is the protocol of one subscription, which reads its events itself. All
// else is the SDK's, from a protocol object that no other subscription uses: the
// SDK's decodes the events of all its streams into one buffer (smithy-go 1.28.9,
// internal/eventstream/codec.go), so that streams side by side spoil each other's.
type events struct {
	guarded

	out  chan *wire.Answer // closed when there are no more, and err is set
	err  error
	done chan struct{} // closed when nobody wants any more
	once sync.Once
}

func newEvents(own smithyhttp.ClientProtocol) *events {
	return &events{guarded: guarded{own}, out: make(chan *wire.Answer), done: make(chan struct{})}
}

// stop is told that nobody wants any more events.
func (e *events) stop() { e.once.Do(func() { close(e.done) }) }

// DeserializeEventMessage is called by the goroutine that the SDK has for a
// subscription, and hands out all of its events: it returns at their end only, and
// never with one.
func (e *events) DeserializeEventMessage(schema *smithy.Schema, types *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	defer close(e.out)
	for {
		a, err := e.read(schema, types, r)
		if err != nil {
			select {
			case <-e.done: // and so the connection was closed
			default:
				if err != io.EOF { //nolint:errorlint // one that is wrapped is a torn event
					e.err = err
				}
			}
			return nil, err
		}
		if a == nil {
			continue
		}
		select {
		case e.out <- a:
		case <-e.done:
			return nil, io.EOF
		}
	}
}

// read reads the next frame; nil: it is nothing that anybody asked for. io.EOF is
// the end, in a frame too, as for the SDK.
func (e *events) read(schema *smithy.Schema, registry *smithy.TypeRegistry, r io.Reader) (*wire.Answer, error) {
	// Nothing is held while waiting for an event.
	var prelude [wire.PreludeSize]byte
	if _, err := io.ReadFull(r, prelude[:]); err != nil {
		return nil, ended(err)
	}
	size, ok := wire.FrameSize(prelude[:])
	if !ok {
		return e.leave(schema, registry, io.MultiReader(bytes.NewReader(prelude[:]), r))
	}
	d := answers.take()
	defer answers.giveBack(d)
	d.grow(int64(size))
	frame := d.body[:size]
	copy(frame, prelude[:])
	if _, err := io.ReadFull(r, frame[len(prelude):]); err != nil {
		return nil, ended(err)
	}
	if payload, ok := wire.EventPayload(frame); ok {
		if a, ok := d.Event(payload); ok {
			return a, nil
		}
	}
	return e.leave(schema, registry, bytes.NewReader(frame))
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return fmt.Errorf("decode event: %w", err)
}

// leave leaves a frame to the SDK.
func (e *events) leave(schema *smithy.Schema, registry *smithy.TypeRegistry, r io.Reader) (*wire.Answer, error) {
	event, err := e.guarded.DeserializeEventMessage(schema, registry, r)
	if err != nil {
		return nil, err
	}
	if event, ok := event.(*types.SubscribeToShardEvent); ok {
		return wire.OfEvent(event), nil
	}
	return nil, nil
}

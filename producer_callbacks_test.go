package vegas_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

func TestCallbacksRunInOrderPerKeyOffTheSendingPath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 4)
		last := map[string]int{}
		n := 0
		hold := make(chan struct{})
		for i := range 1000 {
			key := fmt.Sprint(i % 10)
			err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: key, Data: []byte("d")}, func(_ vegas.Receipt, err error) {
				if n == 0 {
					<-hold
				}
				n++
				if err != nil || last[key] > i {
					t.Errorf("record %d of key %s after %d, %v", i, key, last[key], err)
				}
				last[key] = i
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		<-time.After(time.Second)
		if s := p.Stats(); s.Sent != 1000 {
			t.Errorf("a callback that hangs holds up sending: %d sent", s.Sent)
		}
		close(hold)
		p.Flush(t.Context())
		if n != 1000 {
			t.Errorf("%d callbacks after Flush", n)
		}
	})
}

// Records that fail while an earlier one of their key is under way wait with
// their callbacks: for a deadline, a refusal of all, and the end of Close's
// context.
func TestCallbacksRunInOrderPerKeyAlsoWhenRecordsFail(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, srv *localkinesis.Server, p *vegas.Producer, send func(key string)){
		"deadline": func(t *testing.T, srv *localkinesis.Server, p *vegas.Producer, send func(string)) {
			slowly(srv, "PutRecords", 9*time.Second, 1)
			for range 5 {
				send("a")
				<-time.After(100 * time.Millisecond)
			}
			p.Flush(t.Context())
		},
		"access denied": func(t *testing.T, srv *localkinesis.Server, p *vegas.Producer, send func(string)) {
			slowly(srv, "PutRecords", time.Second, 1)
			send("a")
			<-time.After(100 * time.Millisecond)
			srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail, Code: "AccessDeniedException"})
			for i := range 10 {
				send(fmt.Sprint("a b c d e"[i%3*2 : i%3*2+1]))
			}
			p.Flush(t.Context())
		},
		"close": func(t *testing.T, srv *localkinesis.Server, p *vegas.Producer, send func(string)) {
			slowly(srv, "PutRecords", 9*time.Second, 1)
			for range 5 {
				send("a")
				<-time.After(100 * time.Millisecond)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p.Close(ctx)
		},
	} {
		for _, aggregate := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " aggregate=", aggregate), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					srv, p := start(t, 2, func(o *vegas.ProducerOptions) { o.Deadline, o.Linger, o.Aggregate = 3*time.Second, 0, aggregate })
					if err := p.Send(t.Context(), "a", nil); err != nil {
						t.Fatal(err)
					}
					sent, ended := 0, map[string][]int{}
					f(t, srv, p, func(key string) {
						n := sent
						sent++
						p.SendAsync(t.Context(), &vegas.Record{PartitionKey: key}, func(vegas.Receipt, error) { ended[key] = append(ended[key], n) })
					})
					synctest.Wait()
					total := 0
					for key, ns := range ended {
						total += len(ns)
						if !slices.IsSorted(ns) {
							t.Errorf("callbacks of key %s: %v", key, ns)
						}
					}
					if total != sent {
						t.Errorf("%d sent, %d callbacks", sent, total)
					}
				})
			})
		}
	}
}

func TestCallbacksMaySendAndNeverWaitForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 3 << 10 })
		errs := make(chan error, 10)
		big := &vegas.Record{PartitionKey: "k", Data: make([]byte, 1500)}
		small := &vegas.Record{PartitionKey: "k", Data: []byte("d")}
		err := p.SendAsync(t.Context(), big, func(vegas.Receipt, error) {
			errs <- p.SendAsync(t.Context(), big, func(vegas.Receipt, error) {}) // no room
			errs <- p.SendAsync(t.Context(), small, func(_ vegas.Receipt, err error) { errs <- err })
			_, err := p.SendRecord(t.Context(), big)
			errs <- err
			errs <- p.Send(t.Context(), "k", []byte("d")) // a result to wait for comes without the dispatcher
			errs <- p.Flush(t.Context())
			errs <- p.Close(t.Context())
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Flush(t.Context())
		p.Flush(t.Context())
		var got []string
		for range 7 {
			got = append(got, fmt.Sprint(<-errs))
		}
		for i, want := range []string{"buffer full", "<nil>", "buffer full", "<nil>", "called by a callback", "called by a callback", "<nil>"} {
			if !strings.Contains(got[i], want) {
				t.Errorf("%d: got %s, want %s", i, got[i], want)
			}
		}
	})
}

func TestAPanicInACallbackConcernsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		_, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		n := 0
		for i := range 30 {
			p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k", Data: []byte("d")}, func(vegas.Receipt, error) {
				n++
				switch i {
				case 3:
					panic("oh no")
				case 5:
					runtime.Goexit() // as t.FailNow does
				}
			})
		}
		if err := p.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n != 30 {
			t.Errorf("%d of 30 callbacks ran", n)
		}
		if s := log.String(); !strings.Contains(s, "oh no") || !strings.Contains(s, "producer_callbacks_test.go") {
			t.Errorf("the log does not tell what panicked and where: %s", s)
		}
		if s := p.Stats(); s.BufferBytes != 0 {
			t.Errorf("%d bytes are still held", s.BufferBytes)
		}
	})
}

// Who waits for room gets what a slow callback gives back at once, not when a
// whole run of callbacks is through.
func TestASlowCallbackGivesItsRoomBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 12 << 10 })
		r := &vegas.Record{PartitionKey: "k", Data: make([]byte, 600)}
		slow := func(vegas.Receipt, error) { <-time.After(time.Second) }
		for range 10 {
			if err := p.SendAsync(t.Context(), r, slow); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond) // all are stored, the first callback runs
		began := time.Now()
		for range 5 {
			if err := p.SendAsync(t.Context(), r, slow); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("waited %v", d)
		}
	})
}

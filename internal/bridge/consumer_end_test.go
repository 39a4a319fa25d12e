package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestADeadProgramsRecordsAreFound(t *testing.T) {
	inWorld(t, "a death counts", 1, func(w *world) {
		w.puts(10)
		p := w.program()
		p.handle = func(d *delivery) { d.settle(false, ranges(0, 3)) }
		p.consume(nil)
		time.Sleep(10 * time.Second)
		if err := p.kill(); err != nil {
			t.Error(err)
		}
		if w.lease("takeovers") != "1" || w.lease("owner") != "" {
			t.Error(w.lease("takeovers"), w.lease("owner"))
		}
		next := w.program()
		next.consume(nil)
		time.Sleep(2 * time.Second) // its lease is free at once
		if got := strings.Join(next.handled(), " "); got != numbers(3, 10) || next.started[0]["takeovers"] != int64(1) {
			t.Error(got, next.started)
		}
	})
	inWorld(t, "not of one that has closed", 1, func(w *world) {
		w.puts(10)
		p := w.program()
		p.handle = func(*delivery) {}
		p.consume(nil)
		time.Sleep(10 * time.Second)
		go func() { _, _ = p.call(methodCloseConsumer, results{"consumer": 1}) }()
		time.Sleep(time.Second)
		if err := p.kill(); err != nil {
			t.Error(err)
		}
		if w.lease("takeovers") != "" || w.lease("owner") != "" {
			t.Error(w.lease("takeovers"), w.lease("owner"))
		}
	})
	inWorld(t, "in mid-frame, nothing of it counts", 1, func(w *world) {
		w.puts(10)
		p := w.program()
		p.handle = func(d *delivery) {
			b := d.frame(true, ranges(0, 10))
			p.send(b[:len(b)-1])
		}
		p.consume(nil)
		time.Sleep(10 * time.Second)
		if err := p.kill(); err == nil {
			t.Error("no error")
		}
		if w.lease("takeovers") != "1" || w.lease("sequence") != "TRIM_HORIZON" {
			t.Error(w.lease("takeovers"), w.lease("sequence"))
		}
	})
	inWorld(t, "one that kills is given up", 1, func(w *world) {
		w.puts(10)
		handled := []string{}
		for deaths := 0; ; deaths++ {
			if deaths > 6 {
				t.Fatal("it kills on", handled)
			}
			p := w.program()
			died := make(chan struct{})
			p.handle = func(d *delivery) {
				for i, r := range d.rs {
					if d.stopped() {
						d.settle(true, nil)
						return
					}
					if string(r.Data) == "5" {
						close(died)
						return
					}
					d.note(i)
					d.settle(i == len(d.rs)-1, ranges(i, i+1))
				}
			}
			p.consume(map[string]any{"on_error": "skip"})
			select {
			case <-died:
			case <-time.After(time.Minute):
			}
			_ = p.kill()
			handled = append(handled, p.handled()...)
			if slices.Contains(handled, "9") {
				break
			}
		}
		if got := strings.Join(handled, " "); got != "0 1 2 3 4 6 7 8 9" {
			t.Error(got)
		}
	})
}

func TestAProgramIsStoppedWithinAChunk(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(10)
		p := w.program()
		p.handle = func(d *delivery) {
			d.note(0)
			d.settle(false, ranges(0, 1))
			<-d.at.stop
			d.note(1)
			d.settle(true, ranges(1, 2))
		}
		p.consume(nil)
		time.Sleep(10 * time.Second)
		if w.lease("sequence") == "TRIM_HORIZON" {
			t.Error("no checkpoint of what is done while the chunk is open")
		}
		if err := p.close(); err != nil || len(p.handled()) != 2 {
			t.Error(err, p.handled())
		}
		if why := p.shards[1].why; string(why) != "\x01" {
			t.Error(why)
		}
		next := w.program()
		next.consume(nil)
		time.Sleep(10 * time.Second)
		if got := strings.Join(next.handled(), " "); got != numbers(2, 10) {
			t.Error(got)
		}
	})
	inWorld(t, "and does not come to an end", 1, func(w *world) {
		w.puts(10)
		p := w.program()
		p.handle = func(*delivery) {}
		p.consume(map[string]any{"grace": 2_000_000})
		time.Sleep(10 * time.Second)
		began := time.Now()
		if err := p.close(); err["code"] != codeGraceOver || !strings.Contains(fmt.Sprint(err["text"]), "shardId-000000000000 (unfinished records: 10)") || time.Since(began) > 5*time.Second {
			t.Error(err, time.Since(began))
		}
		if why := p.shards[1].why; string(why) != "\x01\x04" {
			t.Error(why)
		}
		if err := p.kill(); err != nil {
			t.Error(err)
		}
	})
}

func TestSettlingNonsenseEndsTheSession(t *testing.T) {
	for name, frames := range map[string]func(d *delivery) [][]byte{
		"a range beyond":      func(d *delivery) [][]byte { return [][]byte{d.frame(true, ranges(0, 6))} },
		"a range backwards":   func(d *delivery) [][]byte { return [][]byte{d.frame(true, ranges(3, 2))} },
		"a record twice":      func(d *delivery) [][]byte { return [][]byte{d.frame(false, ranges(0, 3)), d.frame(true, ranges(2, 5))} },
		"failed and done":     func(d *delivery) [][]byte { return [][]byte{d.frame(true, ranges(0, 3), failedRecord{2, "x"})} },
		"a failure beyond":    func(d *delivery) [][]byte { return [][]byte{d.frame(true, nil, failedRecord{5, "x"})} },
		"the last word twice": func(d *delivery) [][]byte { return [][]byte{d.frame(true, ranges(0, 5)), d.frame(true, nil)} },
		"no such chunk":       func(d *delivery) [][]byte { d.chunk += 3; return [][]byte{d.frame(true, nil)} },
		"no such shard":       func(d *delivery) [][]byte { d.shard += 3; return [][]byte{d.frame(true, nil)} },
		"no such consumer":    func(d *delivery) [][]byte { d.consumer += 3; return [][]byte{d.frame(true, nil)} },
		"a text that is short": func(d *delivery) [][]byte {
			b := d.frame(true, nil, failedRecord{0, "x"})
			return [][]byte{endFrame(b[:len(b)-1], 0)}
		},
		"bytes left over": func(d *delivery) [][]byte { return [][]byte{endFrame(append(d.frame(true, nil), 0), 0)} },
	} {
		inWorld(t, name, 1, func(w *world) {
			w.puts(5)
			p := w.program()
			p.handle = func(d *delivery) {
				for _, b := range frames(d) {
					p.send(b)
				}
			}
			p.consume(nil)
			if err := <-p.dead; err == nil || p.failed["code"] != codeProtocol {
				t.Error(err, p.failed)
			}
		})
	}
}

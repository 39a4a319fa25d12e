package bridge

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/record"
)

func numbers(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return strings.Join(out, " ")
}

func TestAProgramReadsAStreamAndGoesOnFromItsCheckpoint(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(20)
		for round := range 2 {
			p := w.program()
			p.consume(nil)
			time.Sleep(10 * time.Second)
			if got := strings.Join(p.handled(), " "); got != numbers(20*round, 20*round+20) {
				t.Error(got)
			}
			stats, failed := p.call(methodStats, results{"consumer": 1})
			if s := stats["stats"].(map[string]any); failed != nil || s["records_received"] != int64(20) || len(s["shards"].([]any)) != 1 || s["window_bytes"] != int64(0) {
				t.Error(stats)
			}
			if _, failed := p.call(methodCheck, results{"consumer": 1}); failed != nil {
				t.Error(failed)
			}
			if err := p.close(); err != nil || p.endings() != "shardId-000000000000 shutdown" {
				t.Error(err, p.endings())
			}
			if _, failed := p.call(methodStats, results{"consumer": 1}); failed["code"] != codeClosed {
				t.Error(failed)
			}
			if err := p.kill(); err != nil {
				t.Error(err)
			}
			if s := append(p.started, arguments{})[0]; s["stream"] != "orders" || s["takeovers"] != int64(0) || round == 0 && s["sequence"] != "TRIM_HORIZON" || round == 1 && s["sequence"] == "TRIM_HORIZON" {
				t.Error(s)
			}
			w.puts(20)
		}
	})
}

func TestFailuresMeetThePolicy(t *testing.T) {
	// "2" fails as often as it comes.
	failing := func(d *delivery) {
		for i, r := range d.rs {
			switch {
			case d.flags == flagDeadLetters:
				d.p.log = append(d.p.log, "buried "+string(r.Data)+": "+d.text)
			case string(r.Data) == "2":
				d.note(i)
				d.settle(true, ranges(0, i), failedRecord{i, "bad record\n  at line 7"})
				return
			default:
				d.note(i)
			}
		}
		d.settle(true, ranges(0, len(d.rs)))
	}
	for _, c := range []struct {
		name    string
		options map[string]any
		want    string
		code    string
	}{
		{"skip", map[string]any{"on_error": "skip", "max_attempts": 3}, "0 1 2 2 2 3 4", ""},
		{"dead letter", map[string]any{"dead_letter": true, "max_attempts": 2}, "0 1 2 2 buried 2: bad record\n  at line 7 3 4", ""},
		{"stop", map[string]any{"on_error": "stop"}, "0 1 2 2 2 2 2", codeHandler},
		{"manual", map[string]any{"on_error": "stop", "checkpoint": "manual", "max_attempts": 2}, "0 1 2 0 1 2", codeHandler},
	} {
		inWorld(t, c.name, 1, func(w *world) {
			w.puts(5)
			p := w.program()
			p.handle = failing
			p.consume(c.options)
			time.Sleep(time.Minute)
			if c.code == "" {
				if err := p.close(); err != nil {
					t.Error(err)
				}
			} else if err := p.ended(); err["code"] != c.code || !strings.Contains(err["text"].(string), "line 7") {
				t.Error(err)
			}
			if got := strings.Join(p.handled(), " "); got != c.want {
				t.Errorf("%q", got)
			}
			if c.name == "manual" && p.endings() != "shardId-000000000000 restart, shardId-000000000000 restart" {
				t.Error(p.endings())
			}
		})
	}
	inWorld(t, "attempts", 1, func(w *world) {
		w.puts(3)
		p := w.program()
		p.handle = func(d *delivery) {
			if d.rs[0].attempt < 4 {
				d.settle(true, nil, failedRecord{0, "no"})
				return
			}
			d.handleAll()
		}
		p.consume(nil)
		time.Sleep(time.Minute)
		if got := strings.Join(p.handled(), " "); got != "0 1 2" {
			t.Error(got)
		}
	})
}

func TestABatchIsDoneOrFailsAsAWhole(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(5)
		p := w.program()
		p.handle = func(d *delivery) {
			for i := range d.rs {
				d.note(i)
			}
			if d.rs[0].attempt == 1 {
				d.settle(true, nil, failedRecord{0, "no"})
				return
			}
			d.settle(true, ranges(0, len(d.rs)))
		}
		p.consume(map[string]any{"batch": true})
		time.Sleep(time.Minute)
		if got := strings.Join(p.handled(), " "); got != "0 1 2 3 4 0 1 2 3 4" {
			t.Error(got)
		}
	})
}

func TestManualCheckpoints(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(5)
		p := w.program()
		var at []record.Position
		p.handle = func(d *delivery) {
			for _, r := range d.rs {
				at = append(at, r.Position)
			}
			d.handleAll()
		}
		p.consume(map[string]any{"checkpoint": "manual"})
		time.Sleep(10 * time.Second)
		checkpoint := func(shard int, at record.Position) map[string]any {
			_, failed := p.call(methodCheckpoint, results{"consumer": 1, "shard": shard, "sequence": at.Sequence, "sub": at.SubSequence})
			return failed
		}
		if failed := checkpoint(1, at[2]); failed != nil || w.lease("sequence") != at[2].Sequence {
			t.Error(failed, w.lease("sequence"))
		}
		later := at[4]
		later.Sequence += "0"
		for name, failed := range map[string]map[string]any{
			codeBadOption: checkpoint(1, later), "2 " + codeBadOption: checkpoint(7, at[3]), "3 " + codeBadOption: checkpoint(1, record.Position{Sequence: "x"}),
		} {
			if failed["code"] != codeBadOption {
				t.Error(name, failed)
			}
		}
		// Somebody else takes the shard.
		rows, err := w.rows.List(w.Context(), "g", "lease#")
		if err != nil {
			t.Fatal(err)
		}
		rows[0].Fields["possession"] += "0"
		if _, err := w.rows.Swap(w.Context(), rows[0]); err != nil {
			t.Fatal(err)
		}
		if failed := checkpoint(1, at[3]); failed["code"] != codeLeaseLost {
			t.Error(failed)
		}
		time.Sleep(30 * time.Second)
		if failed := checkpoint(1, at[3]); failed["code"] != codeLeaseLost {
			t.Error(failed)
		}
		// It comes back, from its checkpoint.
		if got := strings.Join(p.handled(), " "); got != "0 1 2 3 4 3 4" || !strings.HasPrefix(p.endings(), "shardId-000000000000 lost") {
			t.Error(got, p.endings())
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	inWorld(t, "of a shard that has not begun", 1, func(w *world) {
		w.puts(5)
		p := w.program()
		var failed map[string]any
		p.start = func(m arguments) results {
			_, failed = p.call(methodCheckpoint, results{"consumer": 1, "shard": m["shard"], "sequence": "SHARD_END"})
			return nil
		}
		p.consume(map[string]any{"checkpoint": "manual"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if failed["code"] != codeBadOption || len(p.handled()) != 5 {
			t.Error(failed, p.handled())
		}
	})
	inWorld(t, "of a consumer that writes them itself", 1, func(w *world) {
		p := w.program()
		p.consume(nil)
		if _, failed := p.call(methodCheckpoint, results{"consumer": 1, "shard": 1, "sequence": "1"}); failed["code"] != codeBadOption {
			t.Error(failed)
		}
	})
}

// TestAConsumerThatIsClosedBeforeItBeginsEnds closes one in the moment that its host
// learns that it is open.
func TestAConsumerThatIsClosedBeforeItBeginsEnds(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		var written bytes.Buffer
		s := &session{cfg: Config{aws: &w.cfg}, ctx: w.Context(), gone: make(chan struct{}), out: newOutput(&written)}
		s.log, s.awses.s = slog.New(slog.DiscardHandler), s
		c, _, err := s.openConsumer(w.Context(), 3, arguments{"stream": "orders", "group": "g", "options": map[string]any{"store": "memory"}})
		if err != nil {
			w.Fatal(err)
		}
		if err := c.close(w.Context()); err != nil {
			w.Error(err)
		}
		c.begin()
		s.out.close()
		s.out.run()
		_, body, err := newFrameReader(&written).next()
		if m, _ := parseMap(body); err != nil || m["event"] != "consumer_ended" || m["consumer"] != int64(3) {
			w.Error(m, err)
		}
	})
}

func TestPositionsThatTheProgramKeeps(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(6)
		kept := record.Position{}
		seen := []string{}
		for round := range 3 {
			p := w.program()
			p.handle = func(d *delivery) {
				for i, r := range d.rs {
					d.note(i)
					if kept = r.Position; string(r.Data) == "3" && round == 0 {
						return // and then it is killed
					}
				}
				d.settle(true, ranges(0, len(d.rs)))
			}
			p.start = func(m arguments) results {
				seen = append(seen, m["sequence"].(string))
				switch {
				case kept.Sequence == "":
					return nil
				case round == 2:
					return results{"sequence": "SHARD_END"}
				}
				return results{"sequence": kept.Sequence, "sub": kept.SubSequence}
			}
			p.consume(map[string]any{"external": true})
			time.Sleep(10 * time.Second)
			want := []string{"0 1 2 3", "4 5", ""}[round]
			if got := strings.Join(p.handled(), " "); got != want {
				t.Errorf("round %d: %s", round, got)
			}
			if err := p.kill(); err != nil {
				t.Error(err)
			}
		}
		if seen[0] != "TRIM_HORIZON" || seen[1] != "TRIM_HORIZON" || len(seen) < 4 {
			t.Error(seen)
		}
	})
}

func TestSplitsAndMergesKeepTheOrder(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		w.puts(70)
		p := w.program()
		refused := false
		p.end = func(m arguments) results {
			if m["why"] == "shard_end" && !refused {
				refused = true
				return results{"error": results{"code": "failed", "text": "not yet"}}
			}
			return nil
		}
		p.consume(nil)
		low, up, err := w.srv.Split("orders", "shardId-000000000000", "")
		if err != nil {
			t.Fatal(err)
		}
		w.puts(70)
		time.Sleep(20 * time.Second)
		if _, err := w.srv.Merge("orders", low, up); err != nil {
			t.Fatal(err)
		}
		w.puts(70)
		time.Sleep(20 * time.Second)
		last := map[int]int{}
		got := p.handled()
		for _, one := range got {
			var n int
			_, _ = fmt.Sscan(one, &n)
			if before, ok := last[n%7]; ok && n != before+7 {
				t.Errorf("%d behind %d", n, before)
			}
			last[n%7] = n
		}
		if err := p.close(); err != nil || len(got) != 210 {
			t.Error(err, len(got))
		}
		if want := "shardId-000000000000 shard_end, shardId-000000000000 shard_end, "; !strings.HasPrefix(p.endings(), want) || !strings.HasSuffix(p.endings(), "shardId-000000000003 shutdown") {
			t.Error(p.endings())
		}
		for _, s := range p.started {
			if s["id"] == "shardId-000000000003" && len(s["parents"].([]any)) != 2 {
				t.Error(s)
			}
		}
	})
}

func TestTwoProgramsShareTheShards(t *testing.T) {
	inWorld(t, "", 4, func(w *world) {
		w.puts(100)
		first := w.program()
		first.consume(nil)
		time.Sleep(10 * time.Second)
		second := w.program()
		second.consume(nil)
		time.Sleep(time.Minute)
		w.puts(100)
		time.Sleep(10 * time.Second)
		if n := len(second.started); n != 2 || strings.Count(first.endings(), "handoff") != 2 {
			t.Error(n, first.endings())
		}
		if err := first.close(); err != nil {
			t.Error(err)
		}
		w.puts(100)
		time.Sleep(5 * time.Second)
		if n := len(second.started); n != 4 {
			t.Error(n, "shards")
		}
		all := append(first.handled(), second.handled()...)
		slices.Sort(all)
		if n := len(all); n != 300 || len(slices.Compact(all)) != 300 {
			t.Error(n, "handled")
		}
	})
}

func TestASlowShardBoundsItsMemoryAndHoldsUpNoOther(t *testing.T) {
	inWorld(t, "", 2, func(w *world) {
		hash := []string{"0", "340282366920938463463374607431768211455"}
		for range 60 {
			for i := range 2 {
				if _, err := w.srv.Put("orders", fmt.Sprint("k", i), hash[i], make([]byte, 20<<10)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		p := w.program()
		out := map[uint32]int{}
		most := 0
		p.handle = func(d *delivery) {
			size := 0
			for i := range d.rs {
				size += deliverCost(&d.rs[i].Record)
				d.note(i)
			}
			p.mu.Lock()
			out[d.shard] = size
			sum := 0
			for _, n := range out {
				sum += n
			}
			most = max(most, sum)
			p.mu.Unlock()
			if d.at.id == "shardId-000000000000" {
				<-d.at.stop
			}
			p.mu.Lock()
			out[d.shard] = 0
			p.mu.Unlock()
			d.settle(true, ranges(0, len(d.rs)))
		}
		p.consume(map[string]any{"window": 100 << 10})
		time.Sleep(time.Minute)
		stats, _ := p.call(methodStats, results{"consumer": 1})
		if n := stats["stats"].(map[string]any)["window_bytes"].(int64); n > 100<<10 || n < 50<<10 {
			t.Error(n, "bytes in the window")
		}
		if n := len(p.handled()); n < 60+3 || n > 60+5 || most > 100<<10+64<<10 {
			t.Error(n, "handled,", most, "bytes at once")
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestLayersOfTheEngine(t *testing.T) {
	odd := Extension{Name: "odd", Consumer: func(settings map[string]any) (func(record.Handler) record.Handler, error) {
		if len(settings) > 0 {
			return nil, fmt.Errorf("it has no settings, and got %d", len(settings))
		}
		return func(next record.Handler) record.Handler {
			return func(ctx context.Context, r *record.Record) error {
				if (r.Data[len(r.Data)-1]-'0')%2 == 0 {
					return nil
				}
				return next(ctx, r)
			}
		}, nil
	}}
	for _, parallel := range []int{1, 64} { // lanes by a random hash: so many that five keys do not share one
		inWorld(t, fmt.Sprint(parallel), 1, func(w *world) {
			w.puts(10)
			p := w.program(odd)
			most := 0
			p.handle = func(d *delivery) {
				most = max(most, len(d.rs))
				var done [][2]int
				var failed []failedRecord
				for i, r := range d.rs {
					time.Sleep(10 * time.Millisecond)
					if string(r.Data) == "7" && r.attempt < 3 {
						failed = append(failed, failedRecord{i, "no"})
						continue
					}
					d.note(i)
					done = append(done, [2]int{i, i + 1})
				}
				d.settle(true, done, failed...)
			}
			p.consume(map[string]any{"extensions": []any{map[string]any{"odd": nil}}, "parallel": parallel})
			time.Sleep(time.Minute)
			got := p.handled()
			slices.Sort(got)
			if strings.Join(got, " ") != "1 3 5 7 9" || (most > 1) != (parallel > 1) {
				t.Error(got, most)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
			for want, asked := range map[string]any{
				`this engine has no "even"`: []any{map[string]any{"even": nil}}, "it has no settings": []any{map[string]any{"odd": map[string]any{"x": int64(1)}}}, "want a list of maps": []any{"odd"}, "are no map": []any{map[string]any{"odd": int64(1)}},
			} {
				_, failed := p.call(methodOpenConsumer, results{"consumer": len(want) + 10, "stream": "orders", "group": "g", "options": map[string]any{"extensions": asked}})
				if failed["code"] != codeBadOption || !strings.Contains(failed["text"].(string), want) {
					t.Error(failed, want)
				}
			}
		})
	}
}

// TestALayerThatTakesNoNoticeOfErrorsLosesNothing lets the program be stopped, and die,
// with a record that it has not handled.
func TestALayerThatTakesNoNoticeOfErrorsLosesNothing(t *testing.T) {
	deaf := Extension{Name: "deaf", Consumer: func(map[string]any) (func(record.Handler) record.Handler, error) {
		return func(next record.Handler) record.Handler {
			return func(ctx context.Context, r *record.Record) error {
				_ = next(ctx, r)
				return nil
			}
		}, nil
	}}
	for name, end := range map[string]func(p *program){
		"stopped": func(p *program) { _ = p.close() },
		"killed":  func(*program) {},
	} {
		inWorld(t, name, 1, func(w *world) {
			w.puts(10)
			all := []string{}
			for round := range 2 {
				p := w.program(deaf)
				p.handle = func(d *delivery) {
					if string(d.rs[0].Data) == "3" && round == 0 {
						select {
						case <-d.at.stop:
							d.settle(true, nil)
						case <-p.heard:
						}
						return
					}
					d.handleAll()
				}
				p.consume(map[string]any{"extensions": []any{map[string]any{"deaf": nil}}})
				time.Sleep(10 * time.Second)
				end(p)
				if err := p.kill(); err != nil {
					t.Error(err)
				}
				all = append(all, p.handled()...)
			}
			if got := strings.Join(all, " "); got != numbers(0, 10) {
				t.Error(got)
			}
		})
	}
}

func TestConsumerOptionsAreChecked(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		p := w.program()
		number := 1
		for want, options := range map[string]map[string]any{
			"did you mean on_error":    {"on_eror": "skip"},
			"on_error is":              {"on_error": "explode"},
			"leave one of them out":    {"checkpoint": "manual", "dead_letter": true},
			"window is 0":              {"window": 0},
			": lease_time is":          {"lease_time": 1},
			"want dynamodb":            {"store": "nowhere:x"},
			"without SQLite":           {"store": "sqlite:x.db"},
			"trim_horizon, latest":     {"start": "yesterday"},
			"extensions and batch":     {"extensions": []any{map[string]any{"e": nil}}, "batch": true},
			"extensions and checkpoin": {"extensions": []any{map[string]any{"e": nil}}, "checkpoint": "manual"},
		} {
			number++
			_, failed := p.call(methodOpenConsumer, results{"consumer": number, "stream": "orders", "group": "g", "options": options})
			if failed["code"] != codeBadOption || !strings.Contains(failed["text"].(string), want) && !strings.HasPrefix(want, "extensions") {
				t.Error(failed, want)
			}
		}
		if _, failed := p.call(methodOpenConsumer, results{"consumer": 1, "stream": "", "group": "g", "options": map[string]any{"store": "shared:x"}}); failed["code"] != codeBadOption {
			t.Error(failed)
		}
	})
	inWorld(t, "latest", 1, func(w *world) {
		w.puts(3)
		time.Sleep(5 * time.Second)
		p := w.program()
		p.consume(map[string]any{"start": "latest", "worker": "me", "fan_out": true, "stats_every": 1_000_000, "parallel": 3})
		time.Sleep(5 * time.Second)
		w.puts(3)
		time.Sleep(20 * time.Second)
		got := p.handled()
		slices.Sort(got)
		if strings.Join(got, " ") != "3 4 5" {
			t.Error(got)
		}
		synctest.Wait()
		if !slices.ContainsFunc(p.events, func(e arguments) bool { return e["event"] == "stats" && e["consumer"] == int64(1) }) {
			t.Error("no statistics")
		}
	})
	inWorld(t, "no such stream", 1, func(w *world) {
		p := w.program()
		if _, failed := p.call(methodOpenConsumer, results{"consumer": 1, "stream": "other", "group": "g", "options": map[string]any{"store": "shared:x"}}); failed != nil {
			t.Error(failed)
		}
		time.Sleep(10 * time.Second)
		if err := p.ended(); err["code"] != codeNotFound {
			t.Error(err)
		}
	})
}

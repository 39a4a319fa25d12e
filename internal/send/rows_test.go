package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/record"
)

// lent is a row whose texts and data are lent. One in four has an explicit hash key.
func lent(n int, key string, size int) (r Row, memory []byte) {
	hash := ""
	if n%4 == 0 {
		hash = fmt.Sprint(n % 3)
	}
	memory = append([]byte(key+hash), bytes.Repeat([]byte{byte(n % 10)}, size)...)
	texts := unsafe.String(unsafe.SliceData(memory), len(key+hash))
	r = Row{Number: uint64(n), Cost: uint32(n) * 10}
	r.Record.PartitionKey, r.Record.ExplicitHashKey, r.Record.Data = texts[:len(key)], texts[len(key):], memory[len(texts):]
	return r, memory
}

func TestRowsAreToldOfOnceAndTheirMemoryIsTheSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newScript()
		e := engine(t, api, func(c *Config) { c.BufferBytes = 40 << 10 }) // rows wait for room
		const rows, refused = 300, 77
		told, paused := map[uint64]End{}, true
		last := map[byte]uint64{}
		e.TellEnds(func(ends []End) {
			paused = len(ends) == 0
			for _, end := range ends {
				key := byte(end.Number % 3)
				if _, twice := told[end.Number]; twice || end.Number < last[key] {
					t.Errorf("row %d ended twice or too early", end.Number)
				}
				told[end.Number], last[key] = end, end.Number
			}
		})
		for n := 0; n < rows; {
			var some []Row
			var memory [][]byte
			for i := n; i < min(n+50, rows); i++ {
				key := fmt.Sprintf("key-%d", i%3)
				if i == refused {
					key = ""
				}
				r, m := lent(i, key, []int{0, 100, keepBuffer, keepBuffer + 1, 9 << 10}[i%5])
				some, memory = append(some, r), append(memory, m)
			}
			for len(some) > 0 {
				accepted, err := e.SendRows(t.Context(), some)
				some, n = some[accepted:], n+accepted
				if err == nil {
					continue
				}
				var failed *record.SendError
				if n != refused || !errors.As(err, &failed) || !strings.Contains(err.Error(), "#partition-key") {
					t.Fatalf("row %d: %v", n, err)
				}
				some, n = some[1:], n+1
			}
			for _, m := range memory {
				for i := range m {
					m[i] = '!'
				}
			}
		}
		err := e.Flush(t.Context())
		ended := len(told)
		if synctest.Wait(); err != nil || ended != rows-1 || !paused {
			t.Errorf("flush: %v, with %d of %d rows told of, paused: %t", err, ended, rows, paused)
		}
		for n, end := range told {
			if end.Err != nil || end.Cost != uint32(n)*10 || end.Receipt.Position.Sequence != "49" {
				t.Errorf("row %d: %+v", n, end)
			}
		}
		next := map[string]int{}
		for _, entry := range api.took {
			a, err := aggregate.DecodeBytes(entry.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range a.Subs {
				if strings.Contains(s.Key+s.ExplicitHashKey, "!") || len(s.Data) > 0 && s.Data[0] == '!' {
					t.Fatalf("it kept what was lent: %q, %q, %.20q", s.Key, s.ExplicitHashKey, s.Data)
				}
				next[s.Key]++
			}
		}
		if fmt.Sprint(next) != "map[key-0:100 key-1:100 key-2:99]" {
			t.Errorf("arrived: %v", next)
		}
	})
}

func TestRowsOfAClosedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newScript()
		api.err = errors.New("away")
		e := engine(t, api, func(*Config) {})
		told := 0
		e.TellEnds(func(ends []End) {
			for _, end := range ends {
				if told++; !errors.Is(end.Err, record.ErrClosed) {
					t.Errorf("%+v", end)
				}
			}
		})
		r, _ := lent(1, "k", 10)
		if n, err := e.SendRows(t.Context(), []Row{r, r}); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Close(ctx); err == nil || told != 2 {
			t.Errorf("close: %v, %d rows told of", err, told)
		}
		if n, err := e.SendRows(t.Context(), []Row{r}); n != 0 || !errors.Is(err, record.ErrClosed) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

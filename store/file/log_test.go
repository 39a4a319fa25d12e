package file

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/libvegas/vegas/store"
)

// written is a log, and what it says up to each of its lines.
type written struct {
	text []byte
	ends []int // of lines
	rows []map[string]string
}

// writeLog makes a log that began with rows and was written to since.
func writeLog(t *testing.T) (w written) {
	t.Helper()
	dir := t.TempDir()
	s := New(dir)
	note := func() {
		text, err := os.ReadFile(filepath.Join(dir, "r-g", "log"))
		if err != nil {
			t.Fatal(err)
		}
		w.text = text
		w.ends = append(w.ends, len(text))
		w.rows = append(w.rows, contents(t, s))
	}
	write := func(row store.Row) store.Row {
		row, err := s.Swap(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		note()
		return row
	}
	one := write(store.Row{Group: "g", ID: "lease#1", Fields: map[string]string{"owner": "a"}})
	two := write(store.Row{Group: "g", ID: "lease#2", Fields: map[string]string{"owner": "a"}})
	one.Body = []byte("body")
	write(one)
	if err := s.Delete(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	note()
	write(store.Row{Group: "g", ID: "lease#2", Fields: map[string]string{"owner": "b"}})
	return w
}

func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	rows, err := s.List(t.Context(), "g", "")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range rows {
		found[r.ID] = content(r)
	}
	return found
}

// place is where a group's log lies, in memory.
type place struct{ disk *forgetful }

func newPlace() place { return place{newForgetful(nil)} }

func (p place) open() *Store {
	s := New(storeDir)
	s.disk, s.ready = p.disk, true
	return s
}

// put puts a log there and lists its rows.
func (p place) put(t *testing.T, text []byte) (*Store, map[string]string, error) {
	t.Helper()
	p.disk.names[filepath.Join(groupDir, "log")] = &inode{data: text}
	s := p.open()
	if _, err := s.List(t.Context(), "g", ""); err != nil {
		return s, nil, err
	}
	return s, contents(t, s), nil
}

// A writer that dies leaves any part of its line. Readers do not see it, and the
// next writer writes where it began.
func TestALogCutAtEveryByte(t *testing.T) {
	w := writeLog(t)
	p := newPlace()
	whole := 0 // lines
	for cut := range len(w.text) {
		s, found, err := p.put(t, bytes.Clone(w.text[:cut]))
		if cut < w.ends[0] { // a log has its name when all that it began with is on disk
			if err == nil {
				t.Fatalf("cut at %d, within what it began with: found %v", cut, found)
			}
			continue
		}
		for w.ends[whole+1] <= cut {
			whole++
		}
		if err != nil || !maps.Equal(found, w.rows[whole]) {
			t.Fatalf("cut at %d: found %v, %v, want %v", cut, found, err, w.rows[whole])
		}
		if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "worker#1"}); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		delete(found, "worker#1")
		if again := contents(t, p.open()); len(again) != len(found)+1 || again["worker#1"] == "" {
			t.Fatalf("cut at %d and written to: %v after %v", cut, again, found)
		}
	}
}

// What was on disk and is not any more as it was is not a crash: nobody may go
// on from it as if a write had not been. In the last line the two cannot be
// told apart.
func TestALogWithAnyByteFlipped(t *testing.T) {
	w := writeLog(t)
	p := newPlace()
	last := len(w.ends) - 1
	for at := range w.text {
		for _, flip := range []byte{0x01, 0x80, w.text[at] ^ '\n', w.text[at] ^ '0'} {
			text := bytes.Clone(w.text)
			text[at] ^= flip
			_, found, err := p.put(t, text)
			switch {
			case err != nil && at >= w.ends[last-1]:
				t.Fatalf("byte %d, in the last line: %v", at, err)
			case err != nil:
				if !strings.Contains(err.Error(), filepath.Join(groupDir, "log")) || !strings.Contains(err.Error(), "move the file away") {
					t.Fatalf("byte %d: %v", at, err)
				}
			case flip != 0 && at < w.ends[last-1], !maps.Equal(found, w.rows[last]) && !maps.Equal(found, w.rows[last-1]):
				t.Fatalf("byte %d changed by %x: found %v", at, flip, found)
			}
		}
	}
}

// Whatever lies where a log belongs, it is refused or read, and what was read is
// what the log that is begun from it says.
func FuzzLog(f *testing.F) {
	header, err := seal(nil, header{head{logFormat, version}, "g", "LOG", 3})
	if err != nil {
		f.Fatal(err)
	}
	for _, rows := range []string{
		``, `[]`, `[]|[{"id":"a","revision":4,"fields":{"n":"1"},"body":"AAE="}]`, `[{"id":"b","revision":2}]|[]|[{"id":"b","revision":2,"gone":true}]`,
		`[]|[{"id":"a","revision":4},{"id":"a","revision":5}]`, `[]|null`, `[null]|[]`, `[]|{}`, `[]|[{"id":1}]`,
	} {
		f.Add(rows, 0)
		f.Add(rows, 5)
	}
	f.Fuzz(func(t *testing.T, rows string, cut int) {
		text := bytes.Clone(header)
		for line := range strings.SplitSeq(rows, "|") {
			text = fmt.Appendf(text, "%0*x %s\n", sumBytes, crc32.Checksum([]byte(line), castagnoli), line)
		}
		text = text[:len(text)-min(max(cut, 0), len(text))]
		var v, again view
		if v.begin("log", "g", text) != nil || v.read("log", text[v.end:]) != nil {
			return
		}
		text, err := v.with("g", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.begin("log", "g", text); err != nil {
			t.Fatal(err)
		}
		if err := again.read("log", text[again.end:]); err != nil {
			t.Fatal(err)
		}
		if again.last != v.last || len(again.rows) != len(v.rows) {
			t.Errorf("%d rows up to revision %d became %d up to %d", len(v.rows), v.last, len(again.rows), again.last)
		}
		for i, r := range again.rows {
			if was := v.rows[i]; r.ID != was.ID || r.Revision != was.Revision || !maps.Equal(r.Fields, was.Fields) || !bytes.Equal(r.Body, was.Body) {
				t.Errorf("%+v became %+v", was, r)
			}
		}
	})
}

// As the message about a damaged line advises.
func TestADamagedLineCanBeDeleted(t *testing.T) {
	w := writeLog(t)
	p := newPlace()
	for line := 1; line < bytes.Count(w.text, []byte{'\n'}); line++ {
		lines := bytes.SplitAfter(w.text, []byte{'\n'})
		spoilt := bytes.Clone(w.text)
		spoilt[len(bytes.Join(lines[:line], nil))+3] ^= 1
		_, _, err := p.put(t, spoilt)
		if line == len(lines)-2 { // the last
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "damaged in line "+strconv.Itoa(line+1)+" ") {
			t.Errorf("line %d: %v", line+1, err)
		}
		if string(lines[line][sumBytes+1:]) == "[]\n" {
			continue // the line that ends what the log began with holds nothing
		}
		if _, _, err := p.put(t, bytes.Join(append(lines[:line:line], lines[line+1:]...), nil)); err != nil {
			t.Errorf("without line %d: %v", line+1, err)
		}
	}
}

func TestALogIsBegunAnewWhenItIsLong(t *testing.T) {
	s := New(t.TempDir())
	row := store.Row{Group: "g", ID: "worker#1", Body: make([]byte, 10_000)}
	longest := int64(0)
	logs := map[string]bool{}
	for range 100 {
		var err error
		if row, err = s.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		g := s.groups["g"]
		longest = max(longest, g.view.end)
		logs[string(g.view.first)] = true
	}
	if longest > 400<<10 || len(logs) < 3 || len(logs) > 6 {
		t.Errorf("%d logs of up to %d bytes for 100 writes of 10,000", len(logs), longest)
	}
}

// Readers of other handles go on when the log is replaced, and when somebody
// removes the directory.
func TestReadersFollowANewLog(t *testing.T) {
	dir := t.TempDir()
	a, b := New(dir), New(dir)
	row := store.Row{Group: "g", ID: "worker#1"}
	for i := range 30 {
		g, err := a.use(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		g.slack = int64(i%3) * 100
		if row, err = a.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(t.Context(), "g", "worker#1"); err != nil || got.Revision != row.Revision {
			t.Fatalf("write %d: %v, %v, want revision %d", i, got, err, row.Revision)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "r-g")); err != nil {
		t.Fatal(err)
	}
	if rows, err := b.List(t.Context(), "g", ""); err != nil || len(rows) > 0 {
		t.Errorf("%v, %v", rows, err)
	}
	if _, err := a.Swap(t.Context(), store.Row{Group: "g", ID: "worker#2"}); err != nil {
		t.Error(err)
	}
	if rows, err := b.List(t.Context(), "g", ""); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
}

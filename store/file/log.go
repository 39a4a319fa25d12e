package file

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/store"
)

const logFormat = "vegas group"

// A log is lines. The first is its header; then come the rows that the group had
// when the log was begun, one a line, and an empty line of rows that ends them;
// then what was written since, a line for each batch of writes:
//
//	5c1a0f3e {"format":"vegas group","version":2,"group":"billing","log":"QJ6R…","revision":17}
//	0b7741d2 [{"id":"lease#orders:0","revision":16,"fields":{"owner":"a"}}]
//	a96cf21e []
//	93c0d5b8 [{"id":"lease#orders:0","revision":18,"fields":{"owner":"b"}},{"id":"worker#a","revision":12,"gone":true}]
//
// Each starts with a checksum of its JSON, which has no line breaks: lines are
// found again behind a damaged one.

// header is the first line of a log.
type header struct {
	head
	Group string `json:"group"`
	// Log tells this log from every other, also from the one whose place it took.
	Log string `json:"log"`
	// Revision is the highest that the group has given, to rows that are gone as
	// well: none up to it is given again.
	Revision uint64 `json:"revision"`
}

// saved is a row in a log, or that it is gone.
type saved struct {
	ID       string            `json:"id"`
	Revision uint64            `json:"revision"`
	Gone     bool              `json:"gone,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
	Body     []byte            `json:"body,omitempty"`
}

// row is a copy for a caller.
func (r *saved) row(group string) store.Row {
	return store.Row{Group: group, ID: r.ID, Revision: r.Revision, Fields: r.Fields, Body: r.Body}.Clone()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumBytes is the checksum at the start of a line: eight hexadecimal digits.
const sumBytes = 8

// seal appends v to text as a line.
func seal(text []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	text = fmt.Appendf(text, "%0*x ", sumBytes, crc32.Checksum(data, castagnoli))
	return append(append(text, data...), '\n'), nil
}

// unseal cuts a line off text and returns its JSON, if the line is whole.
func unseal(text []byte) (data, rest []byte, whole bool) {
	line, rest, ended := bytes.Cut(text, []byte{'\n'})
	if !ended || len(line) <= sumBytes || line[sumBytes] != ' ' {
		return nil, rest, false
	}
	data = line[sumBytes+1:]
	sum, err := strconv.ParseUint(string(line[:sumBytes]), 16, 32)
	return data, rest, err == nil && crc32.Checksum(data, castagnoli) == uint32(sum)
}

// errDamaged: bytes changed that were on disk, which no crash explains.
var errDamaged = errors.New("damaged")

// view is what a log says, as far as it was read. The zero value is that of no
// log, which has no rows.
type view struct {
	first []byte   // the header's line; nil: no log
	lines int      // how many were read
	base  int64    // where the rows that it began with end; 0: not read so far
	end   int64    // where the last line that was read ends
	last  uint64   // the highest revision given
	rows  []*saved // ordered by ID; what they point to does not change
}

// begin reads the header at the start of text.
func (v *view) begin(path, group string, text []byte) error {
	data, rest, whole := unseal(text)
	if !whole {
		return fmt.Errorf("%s is not a file of a vegas store, or its first line is %w: move the file away, and the group starts anew"+help, path, errDamaged)
	}
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		return fmt.Errorf("%s is not a file of a vegas store (%w): move the file away"+help, path, err)
	}
	if err := h.check(path, logFormat); err != nil {
		return err
	}
	if h.Group != group {
		return fmt.Errorf("%s holds the group %.80q, %.80q belongs there: move the file away"+help, path, h.Group, group)
	}
	first := text[:len(text)-len(rest)]
	*v = view{first: bytes.Clone(first), lines: 1, end: int64(len(first)), last: h.Revision}
	return nil
}

// read goes on with text, which starts at v.end. Since every line is on disk
// before the next one is written, a crash can spoil the last one only: that is
// not there, its writer died or is still at it. Any other bad line is damage.
func (v *view) read(path string, text []byte) error {
	for len(text) > 0 {
		data, rest, whole := unseal(text)
		if !whole {
			if v.base == 0 || holdsWhole(text) {
				return v.damage(path, "its checksum is wrong")
			}
			return nil
		}
		var rows []saved
		if err := json.Unmarshal(data, &rows); err != nil {
			return v.damage(path, err.Error())
		}
		for _, r := range rows { // r: no row keeps its neighbours in memory
			v.apply(&r)
		}
		v.lines++
		v.end += int64(len(text) - len(rest))
		if v.base == 0 && len(rows) == 0 {
			v.base = v.end
		}
		text = rest
	}
	if v.base == 0 {
		return v.damage(path, "the file ends before")
	}
	return nil
}

// holdsWhole tells whether a whole line of rows starts anywhere in text, be it
// that the break before it is lost.
func holdsWhole(text []byte) bool {
	for {
		at := bytes.Index(text, []byte(" ["))
		if at < 0 {
			return false
		}
		if at >= sumBytes {
			if _, _, whole := unseal(text[at-sumBytes:]); whole {
				return true
			}
		}
		text = text[at+1:]
	}
}

func (v *view) damage(path, what string) error {
	return fmt.Errorf("%s is %w in line %d (%s): delete that line, and rows in it are as they were before; or move the file away, and the group starts anew"+help, path, errDamaged, v.lines+1, what)
}

func (v *view) apply(r *saved) {
	v.last = max(v.last, r.Revision)
	at, found := v.search(r.ID)
	switch {
	case r.Gone && found:
		v.rows = slices.Delete(v.rows, at, at+1)
	case r.Gone:
	case found:
		v.rows[at] = r
	default:
		v.rows = slices.Insert(v.rows, at, r)
	}
}

func (v *view) search(id string) (int, bool) {
	return slices.BinarySearchFunc(v.rows, id, func(r *saved, id string) int { return strings.Compare(r.ID, id) })
}

// find is a row, or nil.
func (v *view) find(id string) *saved {
	if at, found := v.search(id); found {
		return v.rows[at]
	}
	return nil
}

// list is the rows whose ID starts with prefix.
func (v *view) list(prefix string) []*saved {
	at, _ := v.search(prefix)
	end := at
	for end < len(v.rows) && strings.HasPrefix(v.rows[end].ID, prefix) {
		end++
	}
	return slices.Clone(v.rows[at:end])
}

// decide tells which changes of a batch meet the revision that they expect, one
// after the other, and gives those their new ones.
func (v *view) decide(batch []*change) (accepted []*change, rows []saved) {
	last := v.last
	ahead := map[string]uint64{} // revisions after the changes so far; 0: no row
	for _, c := range batch {
		now, changed := ahead[c.row.ID]
		if old := v.find(c.row.ID); !changed && old != nil {
			now = old.Revision
		}
		switch {
		case c.row.Revision != now, c.row.Gone && now == 0:
			continue
		case c.row.Gone:
			ahead[c.row.ID] = 0
		default:
			last++
			c.row.Revision = last
			ahead[c.row.ID] = last
		}
		accepted, rows = append(accepted, c), append(rows, c.row)
	}
	return accepted, rows
}

// with is a new log that begins with the view's rows and changes.
func (v *view) with(group string, changes []saved) ([]byte, error) {
	next := view{last: v.last, rows: slices.Clone(v.rows)}
	for _, r := range changes {
		next.apply(&r)
	}
	text, err := seal(nil, header{head{logFormat, version}, group, rand.Text(), next.last})
	for _, r := range next.rows {
		if err == nil {
			text, err = seal(text, []*saved{r})
		}
	}
	if err == nil {
		text, err = seal(text, []saved{})
	}
	return text, err
}

// full tells whether a log is so much longer than what it began with that a new
// one is worth its price: whoever opens the log reads all of it.
func (v *view) full(slack int64) bool { return v.end > 4*v.base+slack }

package disk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
)

// Report is what is in a directory.
type Report struct {
	// Directory is its name, Label what its records are for, and Version that of
	// its files.
	Directory string `json:"directory"`
	Label     string `json:"label"`
	Version   int    `json:"version"`
	// Held: a process has it open.
	Held bool `json:"held"`
	// Items are the records that are neither acknowledged nor dead, Oldest is when
	// about the first was accepted (zero: there are none), Bytes what the segments
	// take.
	Items  int64     `json:"items"`
	Oldest time.Time `json:"oldest,omitzero"`
	Bytes  int64     `json:"bytes"`
	// Dead are the dead letters, and DeadBytes what they take.
	Dead      int64 `json:"dead"`
	DeadBytes int64 `json:"dead_bytes"`
	// Lost are records that could not be read any more, and Quarantined the bytes
	// that were set aside.
	Lost        int64 `json:"lost"`
	Quarantined int64 `json:"quarantined"`
	// Segments are the files of records, in order.
	Segments []Segment `json:"segments"`
	// Problems is how many Verify told of that are damage, and LostNow the records
	// in them.
	Problems int   `json:"problems"`
	LostNow  int64 `json:"lost_now"`
	// Spare is the room that is kept for when the disk is full, beside all others.
	Spare int64 `json:"spare"`
}

// Segment is a file of records.
type Segment struct {
	File string `json:"file"`
	// Producer is the producer id, in hexadecimal, of its records.
	Producer string `json:"producer"`
	// First and Last are the numbers that it stands for; First is higher: none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Bytes int64  `json:"bytes"`
	// Items are its records that are neither acknowledged nor dead.
	Items int64 `json:"items"`
	// Remainder: it holds what was left of one or several.
	Remainder bool      `json:"remainder"`
	Created   time.Time `json:"created"`
}

// Problem is something that is not as it should be.
type Problem struct {
	// File is its name, and From to To where in it.
	File string `json:"file"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	// What is said for people.
	What string `json:"what"`
	// Records are lost by it.
	Records int64 `json:"records"`
	// Harmless: it is no damage, or costs nothing.
	Harmless bool `json:"harmless"`
}

// Inspect reports what is in a directory. It only reads, also beside a process
// that has the buffer open.
func Inspect(dir string) (*Report, error) {
	v, err := look(dir)
	if err != nil {
		return nil, err
	}
	return v.report, nil
}

// Verify reads everything in a directory, and calls f with each problem, in the
// order of files. It only reads, also beside a process that has the buffer open.
func Verify(dir string, f func(Problem)) (*Report, error) {
	v, err := look(dir)
	if err != nil {
		return nil, err
	}
	v.tell = f
	if v.acks != "" {
		if err := v.verifyPlain(v.acks, kindAcks); err != nil {
			return nil, err
		}
	}
	for i, s := range v.log.segments {
		if err := v.verifySegment(s, i == len(v.log.segments)-1); err != nil {
			return nil, err
		}
	}
	for _, d := range v.log.dead {
		if err := v.verifyPlain(filepath.Base(d.path), kindDead); err != nil {
			return nil, err
		}
	}
	return v.report, nil
}

// Dead calls f with the dead letters in a directory, oldest first, until it
// returns false. It only reads, also beside a process that has the buffer open.
func Dead(dir string, f func(*buffer.Dead) bool) error {
	v, err := look(dir)
	if err != nil {
		return err
	}
	for _, d := range v.log.dead {
		more, err := eachDead(v.log.disk, d, func(_ *event, dead *buffer.Dead) bool { return f(dead) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("durable buffer %s: %w", dir, err)
		}
		if err == nil && !more {
			return nil
		}
	}
	return nil
}

// view is a look at a directory: a log that is never opened.
type view struct {
	log    *Log
	report *Report
	acks   string // the name of the file, if there is one
	ends   int64  // how far the last segment is written
	tell   func(Problem)
}

// look reads what opening would read. Files may come and go meanwhile.
func look(dir string) (*view, error) {
	for try := 0; ; try++ {
		v, err := lookOnce(dir)
		if !errors.Is(err, fs.ErrNotExist) || try == 10 {
			return v, err
		}
	}
}

func lookOnce(dir string) (*view, error) {
	disk := filesys.OS{}
	m, err := readMarker(disk, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noBuffer(dir)
	}
	if err != nil {
		return nil, err
	}
	l := New(dir)
	v := &view{log: l, report: &Report{Directory: dir, Label: m.Label, Version: m.Version}}
	names, err := disk.List(dir)
	if err != nil {
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	for _, name := range names {
		if name == lockName {
			v.report.Held = held(disk, filepath.Join(dir, name))
		}
	}
	if l.segments, _, err = listSegments(disk, dir, names); err != nil {
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	acks, newest, err := readAcks(disk, dir, names)
	if err != nil {
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	v.acks = newest
	if err := v.end(acks.last); err != nil {
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	l.apply(acks)
	for _, s := range l.segments {
		l.items += s.live()
	}
	l.countAside(names)
	l.findSpare()
	v.report.Spare = l.spare.size
	if err := v.countDead(names); err != nil {
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	v.sum()
	return v, nil
}

// held tells whether a process has a lock. It takes the lock for a moment if
// nobody does; who opens the buffer just then waits for it.
func held(disk filesys.FS, path string) bool {
	lock, err := disk.Lock(path)
	if err == nil {
		_ = lock.Close()
	}
	return errors.Is(err, filesys.ErrLocked)
}

// end finds out where the last segment ends.
func (v *view) end(acked uint64) error {
	n := len(v.log.segments)
	if n == 0 {
		return nil
	}
	s := v.log.segments[n-1]
	v.ends = s.size
	if s.closed {
		return nil
	}
	scan, err := openFile(v.log.disk, s.path, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	if errors.Is(err, errHeader) {
		return nil
	}
	if err != nil {
		return err
	}
	found := findEnd(scan, acked, noRule)
	s.end, v.ends, s.size = found.last, found.cut, scan.size
	return nil
}

func (v *view) countDead(names []string) error {
	for _, name := range names {
		number, ok := numbered(name, deadPrefix)
		if !ok {
			continue
		}
		d, err := readDeadFile(v.log.disk, filepath.Join(v.log.dir, name), number)
		if err != nil {
			return err
		}
		v.log.dead = append(v.log.dead, d)
		v.report.Dead += d.count
		v.report.DeadBytes += d.at
	}
	return nil
}

func (v *view) sum() {
	l, r := v.log, v.report
	r.Items, r.Lost, r.Quarantined = l.items, l.lost, l.aside
	for _, s := range l.segments {
		r.Bytes += s.size
		r.Segments = append(r.Segments, Segment{
			File: filepath.Base(s.path), Producer: hex.EncodeToString(s.head.producer[:]),
			First: s.head.first, Last: s.end, Bytes: s.size, Items: s.live(),
			Remainder: s.remainder(), Created: unixNano(s.head.created),
		})
	}
	if s := l.advance(); s != nil && s.live() > 0 {
		l.date(s)
		_, r.Oldest = l.oldest()
	}
}

func (v *view) problem(p Problem) {
	if !p.Harmless {
		v.report.Problems++
		v.report.LostNow += p.Records
	}
	v.tell(p)
}

// openAgain opens a file of the first look; nil: it is not there any more.
func (v *view) openAgain(name string, kind byte) (*scanner, error) {
	scan, err := openFile(v.log.disk, filepath.Join(v.log.dir, name), kind)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errHeader):
		return scan, err
	case err != nil:
		return nil, fmt.Errorf("durable buffer: %w", err)
	}
	b := scan.view(0, dataStart)
	for _, at := range []int{0, headerCopy} {
		var h header
		if at > len(b) || !h.get(b[at:]) {
			v.problem(Problem{File: name, From: int64(at), To: int64(at + headerBytes), What: "one of the two copies of the header is damaged", Harmless: true})
		}
	}
	return scan, nil
}

// verifySegment compares a segment with what it should hold.
func (v *view) verifySegment(s *segment, last bool) error {
	name := filepath.Base(s.path)
	scan, err := v.openAgain(name, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	if errors.Is(err, errHeader) {
		v.problem(Problem{File: name, To: scan.size, What: "both copies of the header are damaged: nothing can be read", Records: s.live()})
		return nil
	}
	if err != nil || scan == nil || scan.head.salt != s.head.salt { // removed or replaced since
		return err
	}
	if last && !s.closed {
		scan.size = v.ends
	}
	expect := s.head.first
	var holes []Problem
	read := int64(0)
	for {
		e, err := scan.next()
		if errors.Is(err, io.EOF) || e.frame != nil && e.frame.seq > s.end {
			break
		}
		switch {
		case e.frame != nil:
			v.settle(s, holes, expect, e.frame.seq)
			holes, expect = nil, e.frame.seq+1
			read++
		case e.group == nil:
			holes = append(holes, damageAt(name, e))
		}
	}
	if s.remainder() {
		if lost := int64(s.head.count) - read; lost > 0 || len(holes) > 0 {
			holes = append(holes, Problem{File: name, From: scan.size, To: scan.size, What: "records are missing"})
			holes[0].Records = max(0, lost)
		}
		expect = s.end + 1
	}
	if len(holes) == 0 {
		holes = append(holes, Problem{File: name, From: scan.size, To: scan.size, What: "the end is missing", Harmless: true})
	}
	v.settle(s, holes, expect, s.end+1)
	if last && !s.closed && !v.report.Held && v.ends < s.size {
		v.problem(Problem{
			File: name, From: v.ends, To: s.size, Harmless: true,
			What: "an unfinished write, of which nobody was told that it is durable: it is set aside at the next opening",
		})
	}
	return nil
}

func damageAt(name string, e event) Problem {
	what := "damaged"
	if e.unread {
		what = "cannot be read"
	}
	return Problem{File: name, From: e.offset, To: e.end, What: what}
}

// settle tells of holes, and of the records between two numbers that were in
// them.
func (v *view) settle(s *segment, holes []Problem, from, to uint64) {
	lost := int64(0)
	if !s.remainder() {
		for ; from < to; from++ {
			if !s.isGone(from) {
				lost++
			}
		}
	}
	for i, p := range holes {
		if i == 0 {
			p.Records += lost
		}
		if p.From == p.To && p.Records == 0 {
			continue
		}
		p.Harmless = p.Harmless && p.Records == 0
		v.problem(p)
	}
}

// verifyPlain looks for damage in a file in which nothing is expected.
func (v *view) verifyPlain(name string, kind byte) error {
	scan, err := v.openAgain(name, kind)
	if scan != nil {
		defer scan.close()
	}
	if errors.Is(err, errHeader) {
		v.problem(Problem{File: name, To: scan.size, What: "both copies of the header are damaged: nothing can be read"})
		return nil
	}
	if err != nil || scan == nil {
		return err
	}
	for {
		e, err := scan.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if e.frame != nil || e.group != nil {
			continue
		}
		p := damageAt(name, e)
		switch {
		case e.end == scan.size && v.report.Held:
			return nil // it may be being written
		case strings.HasPrefix(name, acksPrefix):
			p.What += ": records come out again that were acknowledged"
			p.Harmless = e.end == scan.size // an unfinished write
		}
		v.problem(p)
	}
}

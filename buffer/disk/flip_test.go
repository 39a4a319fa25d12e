package disk

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/record"
)

var damageSeed = flag.Uint64("damage-seed", 1, "which damages TestManyDamages draws")

// sample is a log as a killed process left it: several segments, of which the
// last has no closing group, acknowledgements and dead letters. Payloads are
// hostile: frames, whole segments, pieces of the very file that they stand in.
type sample struct {
	image map[string][]byte
	debts *debts
	// placed is where each record stands, by its Seq.
	placed map[uint64]place
	files  map[string][]frameGroup
	acked  map[uint64]bool
	reads  int
}

type place struct {
	file  string
	group int
	from  int
	to    int
}

// frameGroup is a group as README.md draws it. It is read here by other code
// than the log's, which might agree with itself in an error.
type frameGroup struct {
	from, to int
	synced   int
	closing  bool
	frames   []place
	seqs     []uint64
}

func parse(file string, b []byte) (groups []frameGroup) {
	le := binary.LittleEndian
	for at := 1024; at < len(b); {
		if string(b[at:at+4]) != "vgG1" {
			panic(fmt.Sprintf("%s has no group at %d", file, at))
		}
		g := frameGroup{from: at, to: at + 40 + int(le.Uint64(b[at+8:])), synced: int(le.Uint64(b[at+24:])), closing: le.Uint32(b[at+32:])&1 != 0}
		for f := at + 40; f < g.to; {
			if string(b[f:f+4]) != "vgF1" {
				panic(fmt.Sprintf("%s has no frame at %d", file, f))
			}
			end := f + 32 + int(le.Uint32(b[f+4:]))
			g.frames = append(g.frames, place{file, len(groups), f, end})
			g.seqs = append(g.seqs, le.Uint64(b[f+8:]))
			f = end
		}
		groups = append(groups, g)
		at = g.to
	}
	return groups
}

func isSegment(name string) bool { return strings.HasSuffix(name, ".log") }

// newSample makes one.
func newSample(t *testing.T) *sample {
	s := &sample{
		debts: newDebts(&violations{}, newRegistry()), placed: map[uint64]place{},
		files: map[string][]frameGroup{}, acked: map[uint64]bool{},
	}
	fs := crashfs.New(crashDir)
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var hostile [][]byte // what payloads are made of
		for life := range 2 {
			l := New(bufferDir, func(o *Options) {
				o.Label, o.SegmentBytes, o.FS, o.Logger = "orders", 8192, fs, slog.New(slog.DiscardHandler)
			})
			must(t, l.Open(t.Context()))
			o := newOpening(s.debts)
			fill := func(groups int) {
				for group := range groups {
					var records []*record.Record
					for range 1 + group%3 {
						n++
						r := &record.Record{PartitionKey: fmt.Sprintf("key %d", n%5), Data: fmt.Appendf(nil, "%d ", n)}
						if len(hostile) > 0 && n%2 == 0 {
							r.Data = append(r.Data, hostile[n/2%len(hostile)]...)
						}
						if n%3 == 0 {
							r.Headers = []record.Header{{Key: "trace", Value: fmt.Sprint(n)}}
						}
						s.debts.add(n, r)
						s.debts.set(mustCome, []int{n})
						records = append(records, r)
					}
					last, err := l.Append(t.Context(), records, nil)
					must(t, err)
					must(t, l.Sync(t.Context(), last+uint64(len(records))-1))
					if life == 0 && group%4 == 3 { // what stands in the file already
						image := fs.Image(bufferDir)
						for _, name := range slices.Sorted(maps.Keys(image)) {
							if data := image[name]; isSegment(name) && len(data) > 1024 {
								hostile = append(hostile, data[:min(len(data), 1500)], data[1024:min(len(data), 2500)], data[max(0, len(data)-300):])
							}
						}
					}
				}
			}
			fill(9)
			items, err := o.drain(l)
			must(t, err)
			// Holes in the acknowledgements, and two dead letters.
			var seqs []uint64
			for i, it := range items {
				switch {
				case i%7 == 3:
					seqs = append(seqs, it.Seq)
					s.acked[it.Seq] = true
					s.debts.set(wasAcked, []int{numberOf(it.Data)})
				case life == 1 && i%11 == 5:
					dead := buffer.Dead{Item: it, Reason: "too large", At: time.Now()}
					dead.Data = bytes.Clone(it.Data)
					s.debts.all[numberOf(it.Data)].dead = dead
					s.debts.set(isDead, []int{numberOf(it.Data)})
					must(t, l.Bury(t.Context(), []buffer.Dead{dead}))
					s.acked[it.Seq] = true
				}
			}
			l.Ack(seqs)
			fill(4) // of which nothing is acknowledged
			_, err = o.drain(l)
			must(t, err)
			synctest.Wait()
			if life == 0 {
				must(t, l.Close())
				continue
			}
			dead := fs
			fs = fs.Kill()
			dead.Stop()
			_ = l.Close()
		}
	})
	s.image = fs.Image(bufferDir)
	for name, data := range s.image {
		if !isSegment(name) {
			continue
		}
		s.files[name] = parse(name, data)
		for _, g := range s.files[name] {
			for i, f := range g.frames {
				s.placed[g.seqs[i]] = f
			}
		}
	}
	if found := s.debts.violations.found(); len(found) > 0 {
		t.Fatal(found)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// last is the segment that was written to when the process was killed.
func (s *sample) last() string {
	names := slices.Sorted(maps.Keys(s.files))
	return names[len(names)-1]
}

// found is what a damaged log still gave.
type found struct {
	refused error
	seqs    []uint64
	image   map[string][]byte
	stats   buffer.Stats
	letters int
}

// read opens an image and takes all there is; now and then, twice.
func (s *sample) read(t *testing.T, image map[string][]byte, broken rule) (f found, v *violations) {
	v = &violations{}
	d := s.debts.clone()
	d.violations = v
	fs := crashfs.Of(bufferDir, image)
	synctest.Test(t, func(t *testing.T) {
		for again := range 2 {
			l := New(bufferDir, func(o *Options) { o.SegmentBytes, o.FS, o.Logger = 8192, fs, slog.New(slog.DiscardHandler) })
			l.broken = broken
			if f.refused = l.Open(t.Context()); f.refused != nil {
				return
			}
			o := newOpening(d)
			items, err := o.drain(l)
			if err != nil {
				v.add(invWorks, "next: %v", err)
			}
			var seqs []uint64
			for i := range items {
				seqs = append(seqs, items[i].Seq)
			}
			if again == 1 && !slices.Equal(seqs, f.seqs) {
				v.add(invKept, "at the next opening %v came out, it was %v", seqs, f.seqs)
			}
			f.seqs, f.letters = seqs, 0
			if err := l.Dead(t.Context(), func(dead *buffer.Dead) bool {
				f.letters++
				d.compare(&dead.Item, "Dead")
				return true
			}); err != nil {
				v.add(invWorks, "dead: %v", err)
			}
			synctest.Wait()
			if was := f.stats; again == 1 && (was.Lost != l.Stats().Lost || was.Quarantined != l.Stats().Quarantined) {
				v.add(invUncounted, "at the next opening %d are lost and %d bytes aside, it was %d and %d", l.Stats().Lost, l.Stats().Quarantined, was.Lost, was.Quarantined)
			}
			f.stats = l.Stats()
			if err := l.Close(); err != nil {
				v.add(invWorks, "close: %v", err)
			}
			if again == 0 {
				f.image = fs.Image(bufferDir)
				if s.reads++; s.reads%4 > 0 {
					return
				}
			}
		}
	})
	return f, v
}

// damage is what happened to some bytes of a file.
type damage struct {
	file     string
	from, to int
	bytes    []byte // instead of what was there; nil: the file ends at from
}

func (d damage) String() string {
	if d.bytes == nil {
		return fmt.Sprintf("%s cut at %d", d.file, d.from)
	}
	return fmt.Sprintf("%s damaged at %d to %d", d.file, d.from, d.to)
}

type damages []damage

func (ds damages) apply(image map[string][]byte) map[string][]byte {
	damaged := maps.Clone(image)
	for _, d := range ds {
		b := bytes.Clone(damaged[d.file])
		if d.bytes == nil {
			b = b[:min(d.from, len(b))]
		} else {
			copy(b[d.from:], d.bytes)
		}
		damaged[d.file] = b
	}
	return damaged
}

func (ds damages) hit(file string, from, to int) bool {
	return slices.ContainsFunc(ds, func(d damage) bool {
		return d.file == file && d.from < to && (d.bytes == nil || d.to > from)
	})
}

// beheaded tells that both copies of a file's header may be gone.
func (ds damages) beheaded(file string) bool { return ds.hit(file, 0, 96) && ds.hit(file, 512, 608) }

// check damages the sample and reports what should not have become of it.
func (s *sample) check(t *testing.T, ds damages, broken rule) []string {
	image := ds.apply(s.image)
	f, v := s.read(t, image, broken)
	if s.clean(ds) { // so that the burials are not known
		v.list = slices.DeleteFunc(v.list, func(found string) bool { return strings.HasPrefix(found, invDead) })
	}
	if f.refused != nil {
		if !ds.hit(marker, 0, 1<<20) || !strings.Contains(f.refused.Error(), "docs/troubleshooting.md#") {
			v.add(invWorks, "open: %v", f.refused)
		}
		return v.found()
	}
	came := map[uint64]bool{}
	for _, seq := range f.seqs {
		came[seq] = true
	}
	// What is missing has to have been damaged.
	var lost int64
	for seq, p := range s.placed {
		if came[seq] || s.acked[seq] {
			continue
		}
		group := s.files[p.file][p.group]
		switch {
		case p.file == s.last() && (ds.beheaded(p.file) || !s.witnessed(ds, p.file, group)) && ds.hit(p.file, 0, group.to):
			// Nothing proves that it had been synced.
		case !ds.hit(p.file, p.from, p.to) && !ds.beheaded(p.file):
			v.add(invKept, "record %d of %s at %d to %d, which are whole", seq, p.file, p.from, p.to)
		default:
			lost++
		}
	}
	if f.stats.Lost != lost {
		v.add(invUncounted, "%d count as lost, %d are", f.stats.Lost, lost)
	}
	s.checkAside(ds, image, f, lost > 0, v)
	return v.found()
}

// clean tells that acknowledgements were cut off where a frame ends, which nobody
// can see.
func (s *sample) clean(ds damages) bool {
	d := ds[0]
	if !strings.HasPrefix(d.file, acksPrefix) || d.bytes != nil || len(ds) > 1 {
		return false
	}
	at := 1024
	for at < d.from {
		at += 32 + int(binary.LittleEndian.Uint32(s.image[d.file][at+4:]))
	}
	return at == d.from
}

// witnessed tells that something intact behind a group proves that it had been
// synced: a later group, or the acknowledgement of a later record.
func (s *sample) witnessed(ds damages, file string, group frameGroup) bool {
	for _, g := range s.files[file] {
		if g.from >= group.to && g.synced >= group.to && !ds.hit(file, g.from, g.from+40) {
			return true
		}
	}
	for seq := range s.acked {
		if p := s.placed[seq]; p.file == file && p.from >= group.from {
			return true
		}
	}
	return false
}

// checkAside checks that what nothing could be made of was kept.
func (s *sample) checkAside(ds damages, image map[string][]byte, f found, lost bool, v *violations) {
	var aside int64
	kept := false
	for name, data := range f.image {
		parts := strings.Split(name, "-")
		if parts[0] != "lost" {
			continue
		}
		aside += int64(len(data))
		if len(parts) != 4 { // not of a segment
			continue
		}
		file := parts[1] + ".log"
		at, err := strconv.ParseInt(parts[2], 16, 64)
		if err != nil || int(at)+len(data) > len(image[file]) || !bytes.Equal(data, image[file][at:int(at)+len(data)]) {
			v.add(invKept, "%s is not what stood there", name)
		}
		kept = kept || ds.hit(file, int(at), int(at)+len(data))
	}
	if aside != f.stats.Quarantined {
		v.add(invKept, "%d bytes count as set aside, %d are", f.stats.Quarantined, aside)
	}
	if lost && !kept && ds[0].bytes != nil {
		v.add(invKept, "the damaged bytes were not set aside")
	}
}

// Every byte of every file is changed, and every file is cut at every place.
// Whatever was not hit comes out, nothing else does, and what is missing is
// counted and set aside.
func TestCutAndFlip(t *testing.T) {
	s := newSample(t)
	stride, total := 1, 0
	if testing.Short() {
		stride = 23
	}
	for name, data := range s.image {
		total += len(data)
		t.Run(name, func(t *testing.T) {
			for at := 0; at < len(data); at += stride {
				for _, d := range []damage{
					{file: name, from: at},
					{file: name, from: at, to: at + 1, bytes: []byte{data[at] ^ byte(1+at%255)}},
				} {
					s.must(t, damages{d})
				}
			}
		})
	}
	t.Logf("%d bytes in %d files", total, len(s.image))
}

// must fails the test if the damage did more than it may.
func (s *sample) must(t *testing.T, ds damages) {
	t.Helper()
	if found := s.check(t, ds, noRule); len(found) > 0 {
		t.Fatalf("%v:\n\t%s", ds, strings.Join(found, "\n\t"))
	}
}

// Sectors are zeros, and two bytes are changed at once, anywhere.
func TestManyDamages(t *testing.T) {
	s := newSample(t)
	random := rand.New(rand.NewPCG(*damageSeed, 0))
	names := slices.Sorted(maps.Keys(s.image))
	var segments []string
	for name := range s.files {
		segments = append(segments, name)
	}
	slices.Sort(segments)
	zeros := make([]byte, 512)
	for _, name := range names {
		for at := 0; at+512 <= len(s.image[name]); at += 512 {
			s.must(t, damages{{file: name, from: at, to: at + 512, bytes: zeros}})
		}
	}
	times := 2000
	if testing.Short() {
		times = 100
	}
	for range times {
		var ds damages
		for range 2 + random.IntN(3) {
			name := segments[random.IntN(len(segments))]
			at := random.IntN(len(s.image[name]))
			ds = append(ds, damage{file: name, from: at, to: at + 1, bytes: []byte{s.image[name][at] ^ byte(1+random.IntN(255))}})
		}
		s.must(t, ds)
	}
}

// A checksum that does not cover the sequence, and witnesses that nobody
// believes, are missed.
func TestPlantedDamagesAreCaught(t *testing.T) {
	s := newSample(t)
	caught := func(invariant string, ds damages, broken rule) bool {
		return slices.ContainsFunc(s.check(t, ds, broken), func(f string) bool { return strings.HasPrefix(f, invariant) })
	}
	// As it would be read, if the checksum did not cover the sequence.
	for name, groups := range s.files {
		group := groups[slices.IndexFunc(groups, func(g frameGroup) bool { return len(g.frames) > 1 && !s.acked[g.seqs[1]] })]
		frame := group.frames[0]
		head := bytes.Clone(s.image[name][frame.from : frame.from+frameBytes])
		endian.PutUint64(head[8:], group.seqs[1])
		var h header
		if !h.get(s.image[name]) {
			t.Fatal("no header")
		}
		endian.PutUint32(head[28:], checksum(h.salt, int64(frame.from), head[:28]))
		if !caught(invIdentity, damages{{file: name, from: frame.from, to: frame.from + frameBytes, bytes: head}}, noRule) {
			t.Errorf("%s: a changed sequence is not noticed", name)
		}
	}
	groups := s.files[s.last()]
	group := groups[len(groups)-2]
	if !caught(invKept, damages{{file: s.last(), from: group.from, to: group.from + 1, bytes: []byte{0}}}, believeWitnesses) {
		t.Error("a synced group that is taken for a torn tail is not missed")
	}
}

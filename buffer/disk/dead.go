package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

const (
	deadPrefix = "dead-"
	// deadFileBytes is about how large a file of dead letters grows. It is small
	// because replay removes it as a whole: what is replayed when the process ends
	// comes twice.
	deadFileBytes = 1 << 20
)

// deadFile is a file of dead letters.
type deadFile struct {
	path   string
	number uint64
	// from is how far it was replayed, at how far it is synced, and count the
	// dead letters between; guarded by Log.mu.
	from, at, count int64
	tail            int64   // where the last group begins that an earlier opening left
	damaged         bool    // its header is
	revived         revival // guarded by Log.mu, too

	file filesys.File // of the one that is buried in
	salt uint64       // likewise
}

// revival are dead letters that were appended again, and may not be durable yet.
type revival struct {
	last  uint64 // Seq of the last of them; 0: none
	count int64
	upTo  int64 // where they end in their file
}

// Bury makes items dead letters; see buffer.Buffer.
func (l *Log) Bury(ctx context.Context, dead []buffer.Dead) error {
	if err := l.hold(ctx); err != nil {
		return err
	}
	defer l.letGo()
	for i := range dead { // usually they have been read
		l.mu.Lock()
		s := l.segmentOf(dead[i].Seq)
		l.mu.Unlock()
		if s == nil {
			continue
		}
		if err := l.learn(s); err != nil {
			return fmt.Errorf("durable buffer %s: bury: %w", l.dir, err)
		}
	}
	err := l.bury(dead)
	if isFull(err) && l.drawSpare(l.spareBytes()/4) {
		err = l.bury(dead)
	}
	if err != nil {
		return fmt.Errorf("durable buffer %s: bury %d records: %w %s", l.dir, len(dead), err, help(err))
	}
	l.keeper.wake()
	return nil
}

// bury writes dead letters, syncs them, and only then acknowledges the records.
func (l *Log) bury(dead []buffer.Dead) error {
	l.mu.Lock()
	var left []*buffer.Dead
	for i := range dead {
		if s := l.segmentOf(dead[i].Seq); s != nil && !s.isGone(dead[i].Seq) {
			left = append(left, &dead[i])
		}
	}
	l.mu.Unlock()
	if len(left) > 0 {
		if l.broken == buryFirst {
			l.exhume(left, nil)
			if err := firstOf(l.writeAcks(), l.syncAcks()); err != nil {
				return err
			}
		}
		if err := l.writeDead(left); err != nil {
			return err
		}
	}
	// Also those of a call before, which failed here.
	return firstOf(l.writeAcks(), l.syncAcks())
}

// exhume takes records off the log that are in a file of dead letters now.
func (l *Log) exhume(dead []*buffer.Dead, file *deadFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range dead {
		if s := l.segmentOf(d.Seq); s != nil && s.mark(d.Seq) {
			l.items--
			l.acked = append(l.acked, d.Seq)
		}
	}
	if file != nil {
		file.count += int64(len(dead))
	}
	l.wakeAppender()
}

func (l *Log) writeDead(dead []*buffer.Dead) error {
	if err := l.openBurial(); err != nil {
		return err
	}
	d := l.burial
	b := make([]byte, groupBytes)
	for _, it := range dead {
		b = appendFrame(b, it.Seq, it.Accepted.UnixNano(), func(b []byte) []byte { return appendDead(b, it) })
	}
	seal(b, groupHead{count: uint32(len(dead)), first: dead[0].Seq, synced: d.at}, d.salt, d.at)
	_, err := d.file.WriteAt(b, d.at)
	if isFull(err) && d.file.Truncate(d.at) == nil {
		// The next burial writes at the same place. Elsewhere, what is there of
		// this one might come back in a crash and be a second letter.
		return err
	}
	if err == nil && l.broken != syncData {
		err = d.file.Sync()
	}
	if err != nil {
		// The next burial begins a new file. What is there of this one might come
		// back in a crash and be a second letter: this sync is of the cut alone, all
		// before it was synced.
		if d.file.Truncate(d.at) == nil {
			_ = d.file.Sync()
		}
		l.endBurial()
		l.removeEmpty(d)
		return err
	}
	l.mu.Lock()
	d.at += int64(len(b))
	l.mu.Unlock()
	l.exhume(dead, d)
	return nil
}

// openBurial begins a file if there is none, or it is full.
func (l *Log) openBurial() error {
	if l.burial != nil && l.burial.at < deadFileBytes {
		return nil
	}
	l.endBurial()
	l.mu.Lock()
	number := l.buried + 1
	l.mu.Unlock()
	d := &deadFile{number: number, path: filepath.Join(l.dir, fmt.Sprintf("%s%016x", deadPrefix, number)), from: dataStart, at: dataStart, salt: salt()}
	h := header{kind: kindDead, salt: d.salt, first: number}
	f, err := l.newFile(d.path, h.start())
	if err != nil {
		return err
	}
	d.file = f
	l.burial = d
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buried = number
	l.dead = append(l.dead, d)
	return nil
}

// removeEmpty removes a file in which nothing was buried: as often as that is
// tried again on a full disk, each would take room.
func (l *Log) removeEmpty(d *deadFile) {
	if d.at > dataStart || l.disk.Remove(d.path) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = slices.DeleteFunc(l.dead, func(x *deadFile) bool { return x == d })
}

func (l *Log) endBurial() {
	if l.burial == nil {
		return
	}
	_ = l.burial.file.Close()
	l.burial.file = nil
	l.burial = nil
}

// deadFiles are the files with dead letters, as they are now.
func (l *Log) deadFiles() []deadFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	var files []deadFile
	for _, d := range l.dead {
		files = append(files, *d)
	}
	return files
}

// Dead calls f with every dead letter; see buffer.Buffer.
func (l *Log) Dead(ctx context.Context, f func(*buffer.Dead) bool) error {
	if err := l.usable(); err != nil {
		return err
	}
	for _, d := range l.deadFiles() {
		more, err := eachDead(l.disk, &d, func(e *event, dead *buffer.Dead) bool {
			dead.Data = bytes.Clone(dead.Data)
			return ctx.Err() == nil && f(dead)
		})
		if errors.Is(err, fs.ErrNotExist) { // replayed meanwhile
			continue
		}
		if err != nil {
			return fmt.Errorf("durable buffer %s: dead letters: %w", l.dir, err)
		}
		if err := ctx.Err(); err != nil || !more {
			return err
		}
	}
	return nil
}

// eachDead calls f with what can be read of a file, until it returns false.
func eachDead(disk filesys.FS, d *deadFile, f func(*event, *buffer.Dead) bool) (more bool, err error) {
	s, err := openFile(disk, d.path, kindDead)
	if s != nil {
		defer s.close()
	}
	if errors.Is(err, errHeader) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s.at, s.size = d.from, min(s.size, d.at)
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if e.frame == nil {
			continue
		}
		dead := buffer.Dead{Item: buffer.Item{Seq: e.frame.seq, Accepted: unixNano(e.frame.accepted)}}
		if readDead(e.body, &dead) == nil && !f(&e, &dead) {
			return false, nil
		}
	}
}

// Replay appends the dead letters again; see buffer.Buffer.
func (l *Log) Replay(ctx context.Context) (int, error) {
	select {
	case l.replaying <- struct{}{}: // one at a time: two would append each twice
		defer func() { <-l.replaying }()
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.done:
		return 0, l.errClosed()
	}
	if err := l.hold(ctx); err != nil {
		return 0, err
	}
	l.endBurial() // what is buried from now on goes to another file, which is not replayed
	l.mu.Lock()
	files := slices.Clone(l.dead)
	l.mu.Unlock()
	l.letGo()
	total := 0
	for _, d := range files {
		n, err := l.replay(ctx, d)
		if total += n; err != nil {
			return total, fmt.Errorf("durable buffer %s: replay: %w", l.dir, err)
		}
	}
	return total, nil
}

// replayBytes is about how much replay appends at once: a whole file, unless a
// large burial is in it.
const replayBytes = 4 << 20

func (l *Log) replay(ctx context.Context, d *deadFile) (int, error) {
	total, err := l.revive(ctx, d) // what a replay did not wait for
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	view := *d
	l.mu.Unlock()
	var batch []*record.Record
	size := 0
	var failed error
	appendBatch := func(upTo int64) bool {
		if len(batch) == 0 {
			return true
		}
		n := len(batch)
		_, failed = l.Append(ctx, batch, func(first uint64) { // l.mu is held: Close finds both or neither
			d.revived = revival{first + uint64(n) - 1, int64(n), upTo}
		})
		if failed != nil {
			return false
		}
		if n, failed = l.revive(ctx, d); failed != nil {
			return false
		}
		total += n
		batch, size = batch[:0], 0
		return true
	}
	_, err = eachDead(l.disk, &view, func(e *event, dead *buffer.Dead) bool {
		batch = append(batch, &record.Record{
			PartitionKey: dead.Key, ExplicitHashKey: dead.ExplicitHashKey,
			Data: bytes.Clone(dead.Data), Headers: dead.Headers,
		})
		size += len(dead.Data)
		return size < replayBytes || appendBatch(e.end)
	})
	if err == nil && failed == nil {
		appendBatch(view.at)
	}
	if err := firstOf(err, failed); err != nil {
		return total, err
	}
	if err := l.hold(ctx); err != nil {
		return total, err
	}
	defer l.letGo()
	return total, l.removeDead(d)
}

// revive waits until the dead letters of a file that were appended again are
// durable, and takes them off it. When ctx ends first the next call goes on.
func (l *Log) revive(ctx context.Context, d *deadFile) (int, error) {
	l.mu.Lock()
	r := d.revived
	l.mu.Unlock()
	if r.last == 0 {
		return 0, nil
	}
	err := l.Sync(ctx, r.last)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.revived != r { // Close came before
		return 0, l.errClosed()
	}
	d.revived = revival{}
	if err != nil {
		return 0, err
	}
	d.from, d.count = r.upTo, d.count-r.count
	return int(r.count), nil
}

// removeRevived removes files whose dead letters are all records again, but whose
// replay did not get so far. What was appended is durable, or known to have failed.
func (l *Log) removeRevived() error {
	var failed error
	for _, d := range slices.Clone(l.dead) {
		l.mu.Lock()
		if r := d.revived; r.last > 0 && l.failed.of(r.last) == nil {
			d.from, d.count, d.revived = r.upTo, d.count-r.count, revival{}
		}
		done := d.from > dataStart && d.from == d.at
		l.mu.Unlock()
		if done {
			failed = firstOf(failed, l.removeDead(d))
		}
	}
	return failed
}

// removeDead removes a file whose dead letters are records again.
func (l *Log) removeDead(d *deadFile) error {
	l.mu.Lock()
	lost := d.count
	l.mu.Unlock()
	if lost > 0 || d.damaged { // damaged ones: the file is kept for what can be made of them
		if err := l.setAside(d.path, 0, d.at, int(lost)); err != nil {
			return err
		}
		l.o.Logger.Error("a file of dead letters is damaged: some cannot be read (see docs/troubleshooting.md#buffer-corrupt)", "file", d.path, "lost", lost)
	}
	if err := l.disk.Remove(d.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	l.dead = slices.DeleteFunc(l.dead, func(x *deadFile) bool { return x == d })
	l.mu.Unlock()
	return l.syncNames()
}

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const asidePrefix = "lost-"

// asideName is where bytes of a file are kept: its name says where they were,
// and how many records were in them.
func asideName(path string, from int64, records int) string {
	return asidePlace(path, from) + strconv.Itoa(records)
}

func asidePlace(path string, from int64) string {
	return fmt.Sprintf("%s%s-%016x-", asidePrefix, strings.TrimSuffix(filepath.Base(path), ".log"), from)
}

// asideRecords is the number of records in a name, if it is one of ours.
func asideRecords(name string) (int64, bool) {
	if !strings.HasPrefix(name, asidePrefix) {
		return 0, false
	}
	n, err := strconv.ParseInt(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
	return n, err == nil && n >= 0
}

// setAside copies bytes of a file to one of their own. It does nothing if they
// were copied before.
func (l *Log) setAside(path string, from, to int64, records int) error {
	place, name := asidePlace(path, from), asideName(path, from, records)
	l.mu.Lock()
	others := l.asides[place]
	l.mu.Unlock()
	for _, n := range others {
		if before, _ := asideRecords(n); before >= int64(records) {
			return nil
		}
	}
	full := filepath.Join(l.dir, name)
	if err := l.copyBytes(path, full+tempSuffix, from, to); err != nil {
		_ = l.disk.Remove(full + tempSuffix)
		return err
	}
	if err := l.disk.Rename(full+tempSuffix, full); err != nil {
		_ = l.disk.Remove(full + tempSuffix)
		return err
	}
	for _, n := range others {
		l.forgetAside(n)
	}
	if err := l.syncNames(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asides[place] = []string{name}
	l.lost += int64(records)
	l.aside += to - from
	return nil
}

// forgetAside removes what was set aside from a place before, when less was known.
func (l *Log) forgetAside(name string) {
	path := filepath.Join(l.dir, name)
	info, err := l.disk.Stat(path)
	if err != nil || l.disk.Remove(path) != nil {
		return
	}
	records, _ := asideRecords(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost -= records
	l.aside -= info.Size()
}

// copyBytes copies a part of a file to one that is new, and syncs it.
func (l *Log) copyBytes(from, to string, at, end int64) error {
	in, err := l.disk.Open(from, os.O_RDONLY, 0)
	if err != nil {
		if at == end && errors.Is(err, fs.ErrNotExist) { // the whole file is lost: an empty one says so
			return l.writeFile(to, nil)
		}
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := l.disk.Open(to, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, min(readAhead, max(0, end-at)))
	for start := at; at < end; {
		part := b[:min(int64(len(b)), end-at)]
		if n, err := in.ReadAt(part, at); n < len(part) {
			_ = out.Close()
			return fmt.Errorf("read %s at %d: %w", from, at, err)
		}
		if _, err := out.WriteAt(part, at-start); err != nil {
			_ = out.Close()
			return err
		}
		at += int64(len(part))
	}
	return firstOf(out.Sync(), out.Close())
}

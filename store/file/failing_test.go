package file

import (
	"context"
	"errors"
	"sync/atomic"
)

var errBroken = errors.New("the disk is broken")

// failing is a disk under a program that is killed at a step, so that it does
// none any more; or, with once, a disk that fails at that step alone. What reads
// is no step.
type failing struct {
	disk
	until int // steps that succeed
	once  bool
	steps atomic.Int64
	torn  func(n int) int // how much of a write of n bytes is done when it fails
}

func (f *failing) step() error {
	n := int(f.steps.Add(1))
	if n <= f.until || f.once && n > f.until+1 {
		return nil
	}
	return errBroken
}

func (f *failing) open(path string, flag int) (opened, error) {
	o, err := f.disk.open(path, flag)
	if err != nil {
		return nil, err
	}
	return &failingFile{o, f}, nil
}

func (f *failing) rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.disk.rename(from, to)
}

func (f *failing) remove(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.disk.remove(path)
}

func (f *failing) syncDir(dir string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.disk.syncDir(dir)
}

func (f *failing) lock(ctx context.Context, dir string) (func(), error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.disk.lock(ctx, dir)
}

type failingFile struct {
	opened
	f *failing
}

func (o *failingFile) WriteAt(p []byte, at int64) (int, error) {
	if err := o.f.step(); err != nil {
		n := 0
		if o.f.torn != nil {
			n, _ = o.opened.WriteAt(p[:o.f.torn(len(p))], at)
		}
		return n, err
	}
	return o.opened.WriteAt(p, at)
}

func (o *failingFile) Sync() error {
	if err := o.f.step(); err != nil {
		if lost, ok := o.opened.(interface{ forget() }); ok && o.f.once {
			lost.forget()
		}
		return err
	}
	return o.opened.Sync()
}

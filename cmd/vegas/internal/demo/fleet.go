package demo

import (
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/internal/tail"
	"github.com/libvegas/vegas/observe"
)

// fleet is the consumer group, each of its workers a process.
type fleet struct {
	w     *world
	audit *audit.Reader
	rate  meter
	delay histogram // from sending to the books

	mu      sync.Mutex
	members []*member // in the order of their starts
	owners  map[string]string
	silence *silence
	failed  error // of a worker that ended by itself
}

// member is one worker, seen from outside.
type member struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  tail.Tail // on its standard error
	ended chan struct{}
	rate  meter

	// Guarded by the fleet's mutex.
	state memberState
	since time.Duration // in that state
}

type memberState uint8

const (
	starting memberState = iota
	running              // has read a shard
	stopping
	stopped
	killed
)

func (m memberState) String() string {
	return [...]string{"starting", "running", "stopping", "stopped", "killed -9"}[m]
}

func (m memberState) lives() bool { return m <= stopping }

func newFleet(w *world) *fleet {
	return &fleet{w: w, audit: w.auditor.Reader(), owners: map[string]string{}, silence: newSilence()}
}

// add starts a worker.
func (f *fleet) add() (*member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := &member{name: fmt.Sprintf("w%d", len(f.members)+1), ended: make(chan struct{}), since: f.w.now()}
	args := f.w.Command(Worker{Endpoint: f.w.server.endpoint, Store: f.w.dir, Name: m.name, LeaseTime: f.w.LeaseTime})
	// The process ends when its standard input does, with this one at the latest.
	m.cmd = &exec.Cmd{Path: args[0], Args: args[1:], Stderr: io.MultiWriter(&m.said, f.w.Errors)}
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	f.members = append(f.members, m)
	go f.listen(m, out)
	return m, nil
}

// listen puts to the books what a worker tells, until it ends.
func (f *fleet) listen(m *member, out io.Reader) {
	defer close(m.ended)
	dec := gob.NewDecoder(out)
	for {
		var got message
		if dec.Decode(&got) != nil {
			break // its end; what it could not tell to the end, it has not handled
		}
		if got.Event != "" {
			f.step(m, &got)
			continue
		}
		f.handled(m, &got)
		_, _ = m.stdin.Write([]byte{0}) // to nobody, if it has been killed
	}
	err := m.cmd.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case m.state == killed:
	case m.state == stopping && err == nil:
		m.state, m.since = stopped, f.w.now()
	default:
		m.state = stopped
		if f.failed == nil {
			f.failed = fmt.Errorf("worker %s ended by itself (%v): %s", m.name, m.cmd.ProcessState, m.said.String())
		}
	}
}

// handled books records.
func (f *fleet) handled(m *member, got *message) {
	now := time.Now()
	at := now.Sub(f.w.started)
	oldest := now
	for _, r := range got.Records {
		// What is not the auditor's was counted as corrupt by it, and is done with.
		if s, err := f.audit.Deliver(r.Key, r.Data); err == nil {
			f.delay.add(at, now.Sub(s.Sent))
			if s.Sent.Before(oldest) {
				oldest = s.Sent
			}
		}
	}
	f.rate.add(at, int64(len(got.Records)))
	m.rate.add(at, int64(len(got.Records)))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silence.handled(got.Shard, at, oldest.Sub(f.w.started))
}

// step books who owns which shard.
func (f *fleet) step(m *member, got *message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch got.Event {
	case observe.Acquired:
		f.owners[got.Shard] = m.name
		if m.state == starting {
			m.state, m.since = running, f.w.now()
		}
		return
	case observe.Ended:
		f.silence.ended(got.Shard)
	}
	if f.owners[got.Shard] == m.name { // the next owner may have told before
		delete(f.owners, got.Shard)
	}
}

// stop tells a worker to stop in order.
func (f *fleet) stop(m *member) {
	f.mu.Lock()
	m.state, m.since = stopping, f.w.now()
	f.mu.Unlock()
	if m.cmd.Process.Signal(syscall.SIGTERM) != nil { // Windows has no such signal
		_ = m.stdin.Close()
	}
}

// kill ends a worker at once.
func (f *fleet) kill(m *member) {
	f.mu.Lock()
	m.state, m.since = killed, f.w.now()
	f.mu.Unlock()
	_ = m.cmd.Process.Kill()
}

// close stops all workers, and kills those that do not.
func (f *fleet) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var left []*member
	for _, m := range f.list() {
		if f.stateOf(m).lives() {
			f.stop(m)
			left = append(left, m)
		}
	}
	var errs []error
	for _, m := range left {
		select {
		case <-m.ended:
			continue
		case <-ctx.Done():
		}
		f.kill(m)
		<-m.ended
		errs = append(errs, fmt.Errorf("worker %s did not stop: %s", m.name, m.said.String()))
	}
	return errors.Join(append(errs, f.failure())...)
}

func (f *fleet) list() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.members)
}

func (f *fleet) stateOf(m *member) memberState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return m.state
}

// running are the workers that read, by the order of their starts.
func (f *fleet) running() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return m.state != running })
}

// next is the name of the worker that add starts next.
func (f *fleet) next() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("w%d", len(f.members)+1)
}

// fail ends the demo with an error, if it is one.
func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

func (f *fleet) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// reads names the shards of a worker, for people.
func (f *fleet) reads(m *member) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for _, shard := range slices.SortedFunc(maps.Keys(f.owners), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	}) {
		if f.owners[shard] == m.name {
			ids = append(ids, shardtree.Short(shard))
		}
	}
	switch len(ids) {
	case 0:
		return "no shard"
	case 1:
		return "shard " + ids[0]
	}
	return "shards " + strings.Join(ids[:len(ids)-1], ", ") + " and " + ids[len(ids)-1]
}

// begin opens the account of an incident, before it happens.
func (f *fleet) begin(i *Incident) {
	i.repeatedBefore = f.audit.Live().Duplicated
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silence.repeated(i.repeatedBefore)
	i.At = f.w.now()
	f.silence.incidents = append(f.silence.incidents, i)
}

// flows tells that each open shard has been heard of since the last incident.
func (f *fleet) flows(open []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.silence.incidents)
	return n == 0 || f.silence.flows(open, f.silence.incidents[n-1].At)
}

// incidents are the accounts so far.
func (f *fleet) incidents() []Incident {
	total := f.audit.Live().Duplicated
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silence.repeated(total)
	var all []Incident
	for _, i := range f.silence.incidents {
		all = append(all, *i)
	}
	return all
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/bench/contest"
)

// TestLoad is a process that is counted, or tries every load with one batch.
func TestLoad(t *testing.T) {
	if text := os.Getenv(processVariable); text != "" {
		var p process
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		for i := range loads {
			if loads[i].name == p.Load {
				a := loads[i].work(t, p)
				b, _ := json.Marshal(a)
				fmt.Println(string(b))
			}
		}
		return
	}
	for i := range loads {
		l := &loads[i]
		r, err := newRecorder()
		if err != nil {
			t.Fatal(err)
		}
		p := process{l.name, l.batch, filepath.Join(t.TempDir(), "answers")}
		if err := l.send(t.Context(), r.config(), 0, l.batch, func() {}); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		if err := r.record(t.Context(), l, p.Answers); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		r.server.Close()
		if a := l.work(t, p); a.Bytes == 0 || a.Objects == 0 {
			t.Errorf("%s: nothing was allocated", l.name)
		}
	}
}

// work does a process's work and tells what that has allocated.
func (l *load) work(t *testing.T, p process) (a allocated) {
	synctest.Test(t, func(t *testing.T) {
		s := newCanned()
		if err := s.load(p.Answers); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var err error
		if l.side == contest.Produce {
			err = l.send(t.Context(), s.config(), 0, p.Records, func() { time.Sleep(time.Second) })
		} else {
			err = l.receive(t.Context(), s.config(), p.Records)
		}
		if err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		runtime.ReadMemStats(&after)
		a = allocated{float64(after.TotalAlloc - before.TotalAlloc), float64(after.Mallocs - before.Mallocs)}
	})
	return a
}

func TestGroups(t *testing.T) {
	for function, want := range map[string]group{
		"github.com/libvegas/vegas.(*Producer).Send":                        own,
		"github.com/libvegas/vegas/internal/lane.(*Machine).Accept":         own,
		"crypto/internal/fips140/sha256.blockGeneric":                       bulk,
		"crypto/md5.block.abi0":                                             bulk,
		"runtime.memmove":                                                   none,
		"indexbytebody":                                                     bulk,
		"encoding/base64.(*Encoding).Encode":                                bulk,
		"github.com/aws/aws-sdk-go-v2/service/kinesis.(*Client).PutRecords": others,
		"sync.(*Mutex).Lock":                                                others,
		"internal/runtime/maps.(*table).Delete":                             others,
		"runtime.mapassign_faststr":                                         others,
		"slices.SortFunc[go.shape.*github.com/libvegas/vegas/internal/lane.Item,go.shape.int]": others,
		"runtime.schedule":                      none,
		"main.(*canned).Do":                     none,
		module + "/bench/gate.(*canned).Do":     none,
		"_dl_relocate_object":                   none,
		"testing.tRunner":                       others,
		"github.com/libvegas/vegas.glob..func1": own,
	} {
		if got := groupOf(function); got != want {
			t.Errorf("%s is in group %d, want %d", function, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := parse([]byte("desc: I1 cache:\ncmd: ./load\nevents: Ir\nfl=a.go\nfn=sync.(*Mutex).Lock\n12 3\n0 40\n" +
		"fn=github.com/libvegas/vegas/internal/lane.(*Machine).Accept\n7 500\nfn=runtime.schedule\n1 9\nsummary: 552\n"))
	if want := (instructions{own: 500, others: 43}); err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err := parse([]byte("events: Dr\nfn=a\n1 2\n")); err == nil {
		t.Error("other events are taken for instructions")
	}
}

func TestBaseline(t *testing.T) {
	was := &baseline{toolchain: "go1.26 amd64", costs: map[string]cost{
		"send/100B": {1000, 5000, 100, 200, 1.05}, "send/100B" + unordered: {990, 5000, 100, 200, 1.05},
	}}
	read, err := parseBaseline(was.String())
	if err != nil || read.String() != was.String() {
		t.Fatalf("%v, %v comes back as %v", err, was, read)
	}
	change := func(name string, at int, by float64) *baseline {
		b, _ := parseBaseline(was.String())
		c := b.costs[name]
		c[at] *= by
		b.costs[name] = c
		return b
	}
	for _, c := range []struct {
		now           *baseline
		from          int
		failure, note string
	}{
		{was, 0, "", ""},
		{change("send/100B", int(own), 1.019), 0, "", ""},
		{change("send/100B", int(own), 1.021), 0, "2.1 % above", ""},
		{change("send/100B", int(own), 1.021), allocs, "", ""},
		{change("send/100B", int(own), 0.94), 0, "", "6.0 % below"},
		{change("send/100B", allocs, 1.02), allocs, "bytes allocated", ""},
		{change("send/100B", objects, 1.005), 0, "", ""},
	} {
		failures, notes := compare(was, c.now, c.from)
		for _, k := range []struct {
			got  []string
			want string
		}{{failures, c.failure}, {notes, c.note}} {
			if got := strings.Join(k.got, "\n"); (got == "") != (k.want == "") || !strings.Contains(got, k.want) {
				t.Errorf("told %q, want %q", got, k.want)
			}
		}
	}
	if got := change("send/100B", int(bulk), 1.04).order(); len(got) != 1 {
		t.Errorf("of order that costs 3.5 %%: %q", got)
	}
	if got := was.order(); len(got) != 0 {
		t.Error(got)
	}
	if _, err := parseBaseline("send/100B 1 2"); err == nil {
		t.Error("a line without all figures is taken")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"-run: error parsing regexp", []string{"-run", "("}},
		{"-run sends: there is no such load", []string{"-run", "sends"}},
	} {
		if err := command(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
	all, some := regexp.MustCompile(""), regexp.MustCompile("^send")
	b := &baseline{toolchain: "go1.0 amd64", costs: map[string]cost{"send/100B": {}, "poll/100B": {}}}
	if err := b.mayChange(some, true); err == nil || !strings.Contains(err.Error(), "poll/100B too: update all loads") {
		t.Errorf("some loads, by another toolchain: %v", err)
	}
	if err := b.mayChange(all, true); err != nil {
		t.Errorf("all loads, by another toolchain: %v", err)
	}
	if err := b.mayChange(all, false); err == nil {
		t.Error("instructions that were not counted would be written")
	}
	if b.toolchain = toolchain(); b.mayChange(some, true) != nil {
		t.Error("some loads, by the same toolchain, are refused")
	}
}

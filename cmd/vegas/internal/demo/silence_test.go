package demo

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestSilenceIsOfTheLastIncident(t *testing.T) {
	s := newSilence()
	s.know("a", 0)
	s.know("b", 0)
	s.handled("a", 900*ms, 100*ms) // the group's start is nobody's fault
	s.handled("b", 950*ms, 100*ms)
	kill := &Incident{At: time.Second, Kind: Kill, Goal: 2 * time.Second}
	s.incidents = append(s.incidents, kill)
	s.handled("a", 1100*ms, 905*ms)
	if s.flows([]string{"a", "b"}, kill.At) {
		t.Error("b has said nothing since")
	}
	if got := s.now("b", 2000*ms); got != 1050*ms {
		t.Errorf("b is silent for %v", got)
	}
	s.handled("b", 3450*ms, 960*ms)
	if kill.Silent != 2490*ms || kill.Shard != "b" || kill.Met() {
		t.Errorf("%+v: the first record waited for 2490 ms, since it was sent", kill)
	}
	if !s.flows([]string{"a", "b"}, kill.At) {
		t.Error("both flow")
	}
	calm := &Incident{At: 4 * time.Second, Kind: Stop, Goal: 500 * ms}
	s.incidents = append(s.incidents, calm)
	s.handled("b", 5000*ms, 4900*ms) // nothing was sent for a while
	if calm.Silent != 100*ms || !calm.Met() || kill.Silent != 2490*ms {
		t.Errorf("%+v, %+v", calm, kill)
	}
}

func TestSilenceGoesOnInChildren(t *testing.T) {
	s := newSilence()
	s.know("p", 0)
	s.know("q", 0)
	s.handled("p", 1000*ms, 0)
	s.handled("q", 1200*ms, 0)
	merge := &Incident{At: 1300 * ms, Kind: Merge}
	s.incidents = append(s.incidents, merge)
	s.know("c", 1300*ms, "p", "q")
	s.know("c1", 1350*ms, "c", "")
	if got := s.now("c1", 2000*ms); got != 800*ms {
		t.Errorf("a grandchild is silent for %v, want since q was heard", got)
	}
	s.ended("q")
	if got := s.now("q", 2000*ms); got != 0 {
		t.Errorf("a shard that has ended is silent for %v", got)
	}
	s.handled("c1", 2100*ms, 1000*ms)
	if merge.Silent != 900*ms || merge.Shard != "c1" || !merge.Met() {
		t.Errorf("%+v", merge)
	}
	if s.now("nowhere", time.Second) != 0 || s.flows([]string{"nowhere"}, 0) {
		t.Error("an unknown shard speaks")
	}
}

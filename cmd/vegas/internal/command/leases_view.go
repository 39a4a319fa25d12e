package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/record"
)

// groupView is a group as it is shown; its JSON form is part of the contract.
type groupView struct {
	Group   string         `json:"group"`
	Streams []streamLeases `json:"streams"`
}

type streamLeases struct {
	Stream  string       `json:"stream"`
	Gone    bool         `json:"gone,omitempty"` // the stream does not exist any more
	Workers []workerView `json:"workers"`
	Shards  []leaseView  `json:"shards"`
}

type workerView struct {
	Worker string `json:"worker"`
	ID     string `json:"id"`
	State  string `json:"state"`
	Shards int    `json:"shards"`
	// By the clock of its machine, in milliseconds.
	LastBeat  int64 `json:"last_heartbeat"`
	LeaseTime int64 `json:"lease_time_ms"`
	// Silent for longer than its lease time.
	Silent bool `json:"silent"`
}

type leaseView struct {
	Shard       string   `json:"shard"`
	Parents     []string `json:"parents,omitempty"`
	State       string   `json:"state"`
	Owner       string   `json:"owner,omitempty"`
	Heir        string   `json:"heir,omitempty"`
	Possession  uint64   `json:"possession"`
	Sequence    string   `json:"sequence"`
	SubSequence int64    `json:"sub_sequence"`
	Start       int64    `json:"start,omitempty"` // in milliseconds, while nothing was read
	Saved       int64    `json:"saved,omitempty"` // in milliseconds, by the clock of its owner
	LagMillis   *int64   `json:"lag_ms,omitempty"`
	Takeovers   int      `json:"takeovers,omitempty"`
}

// States of a shard.
const (
	shardReading = "reading"
	shardHanding = "handing over"
	shardWaiting = "waiting"
	shardUnowned = "unowned"
	shardEnded   = "ended"
)

func viewLeases(stream string, s admin.State, now time.Time) streamLeases {
	v := streamLeases{Stream: stream, Workers: []workerView{}, Shards: []leaseView{}}
	for _, w := range s.Workers {
		v.Workers = append(v.Workers, workerView{
			Worker: w.Name, ID: w.ID, State: w.State, Shards: w.Leases, LastBeat: w.LastBeat.UnixMilli(),
			LeaseTime: w.LeaseTime.Milliseconds(), Silent: w.State != "dead" && now.Sub(w.LastBeat) > w.LeaseTime,
		})
	}
	slices.SortFunc(v.Workers, func(a, b workerView) int {
		return cmp.Or(strings.Compare(a.Worker, b.Worker), strings.Compare(a.ID, b.ID))
	})
	gone := map[string]bool{}
	for _, w := range s.Workers {
		gone[w.ID] = w.State == "dead"
	}
	unread := map[string]bool{}
	for _, l := range s.Leases {
		unread[l.Shard] = !l.Ended()
	}
	for _, l := range s.Leases {
		one := leaseView{
			Shard: l.Shard, Parents: l.Parents, State: shardReading, Owner: l.Owner, Heir: l.Heir, Possession: l.Possession,
			Sequence: l.Checkpoint.Sequence, SubSequence: l.Checkpoint.SubSequence, Takeovers: l.Takeovers,
		}
		if one.Sequence == "" {
			one.Sequence = record.SequenceTrimHorizon
		}
		if !l.Start.IsZero() {
			one.Start = l.Start.UnixMilli()
		}
		if !l.Moved.IsZero() {
			one.Saved = l.Moved.UnixMilli()
		}
		if l.Known {
			ms := l.Behind.Milliseconds()
			one.LagMillis = &ms
		}
		switch {
		case l.Ended():
			one.State = shardEnded
		case gone[l.OwnerID]: // whoever comes takes it at once
			one.State = shardUnowned
		case l.Owner != "" && l.Heir != "":
			one.State = shardHanding
		case l.Owner != "":
		case slices.ContainsFunc(l.Parents, func(p string) bool { return unread[p] }):
			one.State = shardWaiting
		default:
			one.State = shardUnowned
		}
		v.Shards = append(v.Shards, one)
	}
	slices.SortFunc(v.Shards, func(a, b leaseView) int {
		return cmp.Or(cmp.Compare(len(a.Shard), len(b.Shard)), strings.Compare(a.Shard, b.Shard))
	})
	return v
}

// draw is the group for people.
func (v *groupView) draw(now time.Time, style terminal.Style) []string {
	var lines []string
	for i, s := range v.Streams {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, s.draw(v.Group, now, style)...)
	}
	return lines
}

func (v *streamLeases) draw(group string, now time.Time, style terminal.Style) []string {
	title := style.Bold(group) + " reads " + style.Bold(v.Stream) + "  "
	if v.Gone {
		return []string{title + style.Warn("the stream does not exist any more")}
	}
	count := map[string]int{}
	for _, s := range v.Shards {
		count[s.State]++
	}
	alive := 0
	for _, w := range v.Workers {
		if w.State != "dead" && !w.Silent {
			alive++
		}
	}
	facts := []string{plural(alive, "worker")}
	for _, state := range []string{shardReading, shardHanding, shardWaiting, shardUnowned, shardEnded} {
		if n := count[state]; n > 0 {
			facts = append(facts, plural(n, "shard")+" "+state)
		}
	}
	lines := []string{title + strings.Join(facts, ", ")}
	if len(v.Workers) > 0 {
		rows := [][]string{{"worker", "state", "shards", "heartbeat", "lease time"}}
		for _, w := range v.Workers {
			state, beat := style.Good(w.State), ago(now, w.LastBeat)
			switch {
			case w.Silent:
				state, beat = style.Bad("silent"), style.Bad(beat)
			case w.State == "dead": // it stopped, or was declared so
				state = style.Dim("gone")
			case w.State != "running":
				state = style.Warn(w.State)
			}
			rows = append(rows, []string{style.Accent(w.Worker), state, fmt.Sprint(w.Shards), beat, brief(time.Duration(w.LeaseTime) * time.Millisecond)})
		}
		lines = append(append(lines, ""), terminal.Table("llrrr", rows, style)...)
	}
	if len(v.Shards) == 0 {
		return lines
	}
	rows := [][]string{{"shard", "state", "owner", "position", "lag", "saved"}}
	for _, s := range v.Shards {
		rows = append(rows, s.row(now, style))
	}
	return append(append(lines, ""), terminal.Table("rlllrr", rows, style)...)
}

func (s *leaseView) row(now time.Time, style terminal.Style) []string {
	owner, state, lag, saved := style.Accent(s.Owner), s.State, "", ""
	if s.Heir != "" {
		owner += style.Dim(" → ") + style.Accent(s.Heir)
	}
	switch s.State {
	case shardReading:
		state = style.Good(state)
	case shardUnowned:
		state = style.Bad(state)
	case shardEnded:
		state = style.Dim(state)
	default:
		state = style.Warn(state)
	}
	if s.LagMillis != nil {
		d := time.Duration(*s.LagMillis) * time.Millisecond
		if lag = brief(d); d == 0 {
			lag = style.Good("at the tip")
		}
	}
	if s.Saved != 0 && s.State != shardEnded {
		saved = ago(now, s.Saved)
	}
	return []string{shardtree.Short(s.Shard), state, owner, s.position(), lag, saved}
}

// position is where the shard is, the sequence number by its end.
func (s *leaseView) position() string {
	p := vegas.Position{Sequence: s.Sequence}
	switch {
	case p.IsShardEnd():
		return "end"
	case p.IsStart() && s.Start != 0:
		return "start, at " + time.UnixMilli(s.Start).UTC().Format(time.RFC3339)
	case p.IsStart():
		return "start"
	}
	text := s.Sequence
	if len(text) > 12 {
		text = "…" + text[len(text)-12:]
	}
	if s.SubSequence > 0 {
		text += fmt.Sprintf("/%d", s.SubSequence)
	}
	return text
}

// ago is how long a time in milliseconds is past; clocks of other machines may be
// ahead.
func ago(now time.Time, ms int64) string {
	return brief(max(now.Sub(time.UnixMilli(ms)), 0)) + " ago"
}

// brief writes a duration with two digits or so.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

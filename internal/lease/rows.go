package lease

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// What a group remembers. STREAM is account:name:creation, so that a stream
// that was made anew under an old name has rows of its own.
//
//	stream#STREAM          where the group starts: written once
//	consumer#STREAM        who consumes: heartbeat and fence
//	lease#STREAM:SHARD     position and possession of a shard
//	mark#STREAM:SHARD      marks of a shard, in the body
//
// Each has a version; a row of a later one is refused. Fields that are not
// known are left as they are.
const rowVersion = "1"

// Fields of rows.
const (
	fieldVersion     = "version"
	fieldStart       = "start"       // stream: TRIM_HORIZON or AT_TIMESTAMP
	fieldStartTime   = "start_ms"    // stream, lease: Unix milliseconds
	fieldWorker      = "worker"      // consumer, lease
	fieldIncarnation = "incarnation" // consumer: one run of a worker
	fieldBeat        = "beat"        // consumer: rises
	fieldState       = "state"       // consumer
	fieldSequence    = "sequence"    // lease
	fieldSub         = "sub_sequence"
	fieldPossession  = "possession" // lease, mark
	fieldParents     = "parents"    // lease: IDs with spaces between
	fieldChildren    = "children"   // lease, once ended
	fieldFirst       = "first_hash" // lease
	fieldLast        = "last_hash"
	fieldSeen        = "seen_ms"   // lease: what arrived before is done with; Unix milliseconds
	fieldTakeovers   = "takeovers" // lease: owners that died at exactly this position
	fieldSuspect     = "suspect"   // lease: it is read carefully
	fieldTried       = "tried"     // lease: times that the next record was tried without an end
)

const (
	startHorizon = "TRIM_HORIZON"
	startTime    = "AT_TIMESTAMP"

	stateRunning = "running"
	stateStopped = "stopped"
)

// streamID names a stream for good.
func streamID(s kinesisapi.Summary) string {
	account := ""
	if parts := strings.Split(s.ARN, ":"); len(parts) > 4 {
		account = parts[4]
	}
	return fmt.Sprintf("%s:%s:%d", account, s.Name, s.Created.UnixMilli())
}

// checkVersion refuses rows that a later release wrote.
func checkVersion(r store.Row) error {
	if v := r.Fields[fieldVersion]; v != rowVersion {
		return fmt.Errorf("store row %q/%q: version %q, this program knows %s: a newer vegas has used the group, update this program", r.Group, r.ID, v, rowVersion)
	}
	return nil
}

func newRow(group, id string) store.Row {
	return store.Row{Group: group, ID: id, Fields: map[string]string{fieldVersion: rowVersion}}
}

// set sets a field; an empty value takes it away.
func set(r *store.Row, field, value string) {
	if r.Fields == nil {
		r.Fields = map[string]string{}
	}
	if value == "" {
		delete(r.Fields, field)
		return
	}
	r.Fields[field] = value
}

// entry is a lease row, read.
type entry struct {
	id         string // of the shard
	parents    []string
	hashes     keyspace.Range
	at         record.Position
	start      time.Time // where to begin while at is a start; zero: the oldest record
	possession uint64
	seen       time.Time // zero: unknown
	takeovers  int
	suspect    bool
	tried      int
	row        store.Row
}

func (e *entry) ended() bool { return e.at.IsShardEnd() }

// readEntry reads a lease row.
func readEntry(r store.Row, prefix string) (*entry, error) {
	if err := checkVersion(r); err != nil {
		return nil, err
	}
	bad := func(field string, err error) error {
		return fmt.Errorf("store row %q/%q: field %s is %.60q: %w: delete the row to read the shard from its start", r.Group, r.ID, field, r.Fields[field], err)
	}
	e := &entry{id: strings.TrimPrefix(r.ID, prefix), parents: strings.Fields(r.Fields[fieldParents]), row: r}
	var err error
	if e.possession, err = strconv.ParseUint(r.Fields[fieldPossession], 10, 64); err != nil {
		return nil, bad(fieldPossession, err)
	}
	if e.hashes, err = keyspace.ParseRange(r.Fields[fieldFirst], r.Fields[fieldLast]); err != nil {
		return nil, bad(fieldFirst, err)
	}
	e.at.Sequence = r.Fields[fieldSequence]
	if !e.at.IsStart() && !e.at.IsShardEnd() {
		if err := record.CheckSequence(e.at.Sequence); err != nil {
			return nil, bad(fieldSequence, err)
		}
	}
	if sub := r.Fields[fieldSub]; sub != "" {
		if e.at.SubSequence, err = strconv.ParseInt(sub, 10, 64); err != nil {
			return nil, bad(fieldSub, err)
		}
	}
	e.suspect = r.Fields[fieldSuspect] != ""
	for field, n := range map[string]*int{fieldTakeovers: &e.takeovers, fieldTried: &e.tried} {
		if text := r.Fields[field]; text != "" {
			if *n, err = strconv.Atoi(text); err != nil {
				return nil, bad(field, err)
			}
		}
	}
	for field, t := range map[string]*time.Time{fieldStartTime: &e.start, fieldSeen: &e.seen} {
		if ms := r.Fields[field]; ms != "" {
			n, err := strconv.ParseInt(ms, 10, 64)
			if err != nil {
				return nil, bad(field, err)
			}
			*t = time.UnixMilli(n)
		}
	}
	return e, nil
}

// setCount sets a number; none where it is 0.
func setCount(r *store.Row, field string, n int) {
	text := ""
	if n != 0 {
		text = strconv.Itoa(n)
	}
	set(r, field, text)
}

// setPosition writes a position into a lease row. The position of a record
// replaces where the shard was to start; a shard that ended without any keeps it.
func setPosition(r *store.Row, p record.Position) {
	if !p.IsStart() && !p.IsShardEnd() {
		set(r, fieldStartTime, "")
	}
	set(r, fieldSequence, p.Sequence)
	sub := ""
	if p.SubSequence != 0 {
		sub = strconv.FormatInt(p.SubSequence, 10)
	}
	set(r, fieldSub, sub)
}

// leaseRow is a new lease row. A child starts with its oldest record, a shard
// that nobody has led up to where the group starts.
func leaseRow(group, prefix string, s Shard, start time.Time, possession uint64) store.Row {
	r := newRow(group, prefix+s.ID)
	setPosition(&r, record.Position{Sequence: record.SequenceTrimHorizon})
	if !start.IsZero() {
		set(&r, fieldStartTime, strconv.FormatInt(start.UnixMilli(), 10))
	}
	set(&r, fieldPossession, strconv.FormatUint(possession, 10))
	set(&r, fieldParents, strings.Join(s.Parents, " "))
	set(&r, fieldFirst, s.Range.First.String())
	set(&r, fieldLast, s.Range.Last.String())
	return r
}

package lease

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// What a group remembers. STREAM is account:name:creation, so that a stream
// that was made anew under an old name has rows of its own, and one group may
// read several streams.
//
//	group#STREAM           where the group starts, and the floor of possession numbers
//	worker#STREAM:ID       a worker: heartbeat, death fence and doorbell
//	lease#STREAM:SHARD     position and possession of a shard
//	mark#STREAM:SHARD      marks of a shard, in the body
//
// Each has a version; a row of a later one is refused. Fields that are not
// known are left as they are.
const rowVersion = "1"

// Fields of rows.
const (
	fieldVersion = "version"

	fieldStart     = "start"    // group: TRIM_HORIZON or AT_TIMESTAMP
	fieldStartTime = "start_ms" // group, lease: Unix milliseconds
	fieldFloor     = "floor"    // group: no possession number up to this one is given to a new lease
	fieldReset     = "reset"    // group: a reset or deletion has begun and not ended

	fieldName  = "name"     // worker: for people
	fieldState = "state"    // worker: see fleet.State
	fieldBeat  = "beat"     // worker: rises
	fieldLimit = "limit"    // worker: the most leases it takes
	fieldLease = "lease_ms" // worker: how long it must have been seen silent to be dead
	fieldSent  = "sent_ms"  // worker: when the last heartbeat left, by its own clock, for people
	fieldRings = "rings"    // worker: how many changes of leases it made
	fieldBell  = "bell"     // worker: whose the latest were

	fieldSequence   = "sequence" // lease
	fieldSub        = "sub_sequence"
	fieldMoved      = "moved_ms"   // lease: when the position moved, by the clock of its owner
	fieldSeen       = "seen_ms"    // lease: what arrived before is done with; Unix milliseconds
	fieldPossession = "possession" // lease, mark
	fieldOwner      = "owner"      // lease: ID of a worker
	fieldWorker     = "worker"     // lease: the owner's name, for people
	fieldHeir       = "heir"       // lease: ID of a worker
	fieldParents    = "parents"    // lease: IDs with spaces between
	fieldChildren   = "children"   // lease, once ended
	fieldFirst      = "first_hash" // lease
	fieldLast       = "last_hash"
	fieldTakeovers  = "takeovers" // lease: owners that died at this position
	fieldSuspect    = "suspect"   // lease: a record behind it is thought to have killed them
	fieldTried      = "tried"     // lease: times that the next record was tried without an end
)

const (
	startHorizon = "TRIM_HORIZON"
	startTime    = "AT_TIMESTAMP"
	yes          = "1"
)

// streamID names a stream for good.
func streamID(s kinesisapi.Summary) string {
	account := ""
	if parts := strings.Split(s.ARN, ":"); len(parts) > 4 {
		account = parts[4]
	}
	return fmt.Sprintf("%s:%s:%d", account, s.Name, s.Created.UnixMilli())
}

var errNewer = errors.New("newer vegas has used the group")

// checkVersion refuses rows that a later release wrote.
func checkVersion(r store.Row) error {
	if v := r.Fields[fieldVersion]; v != rowVersion {
		return fmt.Errorf("store row %q/%q: version %q, this program knows %s: a %w, update this program (see docs/troubleshooting.md#newer-rows)", r.Group, r.ID, v, rowVersion, errNewer)
	}
	return nil
}

// newer tells that a later release wrote a row.
func newer(r store.Row) bool {
	v := r.Fields[fieldVersion]
	return v != "" && v != rowVersion
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

func setNumber[N int | int64 | uint64](r *store.Row, field string, n N) {
	value := ""
	if n != 0 {
		value = fmt.Sprint(n)
	}
	set(r, field, value)
}

// fields reads the fields of a row; err is the first that does not parse.
type fields struct {
	row store.Row
	err error
}

func (f *fields) bad(field string, err error) {
	if f.err == nil && err != nil {
		f.err = fmt.Errorf("store row %q/%q: field %s is %.60q: %w: delete the row to read the shard from its start (see docs/troubleshooting.md#bad-row)",
			f.row.Group, f.row.ID, field, f.row.Fields[field], err)
	}
}

// number is 0 for a field that is not there.
func (f *fields) number(field string) uint64 {
	value := f.row.Fields[field]
	if value == "" {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 64)
	f.bad(field, err)
	return n
}

func (f *fields) time(field string) time.Time {
	if ms := f.number(field); ms != 0 {
		return time.UnixMilli(int64(ms))
	}
	return time.Time{}
}

func (f *fields) position() record.Position {
	p := record.Position{Sequence: f.row.Fields[fieldSequence], SubSequence: int64(f.number(fieldSub))}
	if !p.IsStart() && !p.IsShardEnd() {
		f.bad(fieldSequence, record.CheckSequence(p.Sequence))
	}
	return p
}

// readLease reads the row of a lease.
func readLease(r store.Row, shard string) (fleet.Lease, error) {
	if err := checkVersion(r); err != nil {
		return fleet.Lease{}, err
	}
	f := fields{row: r}
	l := fleet.Lease{
		Shard:      fleet.Shard{ID: shard, Parents: strings.Fields(r.Fields[fieldParents])},
		At:         f.position(),
		Start:      f.time(fieldStartTime),
		Seen:       f.time(fieldSeen),
		Children:   strings.Fields(r.Fields[fieldChildren]),
		Owner:      r.Fields[fieldOwner],
		Heir:       r.Fields[fieldHeir],
		Possession: f.number(fieldPossession),
		Takeovers:  int(f.number(fieldTakeovers)),
		Suspect:    r.Fields[fieldSuspect] != "",
		Tried:      int(f.number(fieldTried)),
	}
	var err error
	l.Range, err = keyspace.ParseRange(r.Fields[fieldFirst], r.Fields[fieldLast])
	f.bad(fieldFirst, err)
	return l, f.err
}

// writeLease puts into a lease's row what an Ask may change. The position is
// left alone unless the shard ended: it belongs to checkpoints.
func writeLease(r *store.Row, l fleet.Lease, ownerName string) {
	set(r, fieldOwner, l.Owner)
	set(r, fieldWorker, ownerName)
	set(r, fieldHeir, l.Heir)
	set(r, fieldPossession, strconv.FormatUint(l.Possession, 10))
	setNumber(r, fieldTakeovers, l.Takeovers)
	if l.Ended() {
		setPosition(r, l.At)
		set(r, fieldChildren, strings.Join(l.Children, " "))
	}
}

// setPosition writes a position into a lease row. The position of a record
// replaces where the shard was to start; a shard that ended without any keeps it.
// Nobody has died at a position that is new.
func setPosition(r *store.Row, p record.Position) {
	if !p.IsStart() && !p.IsShardEnd() {
		set(r, fieldStartTime, "")
	}
	set(r, fieldSequence, p.Sequence)
	setNumber(r, fieldSub, p.SubSequence)
	set(r, fieldTakeovers, "")
	set(r, fieldTried, "")
}

// leaseRow is a new lease row. A child starts with its oldest record, a shard
// that nobody has led up to where the group starts.
func leaseRow(group, id string, s fleet.Shard, start time.Time, possession uint64) store.Row {
	r := newRow(group, id)
	setPosition(&r, record.Position{Sequence: record.SequenceTrimHorizon})
	if !start.IsZero() {
		setNumber(&r, fieldStartTime, start.UnixMilli())
	}
	setNumber(&r, fieldPossession, possession)
	set(&r, fieldParents, strings.Join(s.Parents, " "))
	set(&r, fieldFirst, s.Range.First.String())
	set(&r, fieldLast, s.Range.Last.String())
	return r
}

var states = map[string]fleet.State{}

func init() {
	for _, s := range []fleet.State{fleet.Joining, fleet.Running, fleet.Stopping, fleet.Dead} {
		states[s.String()] = s
	}
}

// readWorker reads the row of a worker.
func readWorker(r store.Row, id string) (fleet.Worker, error) {
	if err := checkVersion(r); err != nil {
		return fleet.Worker{}, err
	}
	f := fields{row: r}
	w := fleet.Worker{ID: id, Name: r.Fields[fieldName], Beat: f.number(fieldBeat), Limit: int(f.number(fieldLimit)),
		Lease: time.Duration(f.number(fieldLease)) * time.Millisecond, Bell: fleet.Bell{Count: f.number(fieldRings)}}
	for short := range strings.FieldsSeq(r.Fields[fieldBell]) {
		w.Bell.Leases = append(w.Bell.Leases, longShard(short))
	}
	state, ok := states[r.Fields[fieldState]]
	if !ok {
		return w, fmt.Errorf("store row %q/%q: state is %.40q", r.Group, r.ID, r.Fields[fieldState])
	}
	w.State = state
	return w, f.err
}

func writeWorker(r *store.Row, w fleet.Worker) {
	set(r, fieldName, w.Name)
	set(r, fieldState, w.State.String())
	set(r, fieldBeat, strconv.FormatUint(w.Beat, 10))
	setNumber(r, fieldLimit, w.Limit)
	setNumber(r, fieldLease, w.Lease.Milliseconds())
	setNumber(r, fieldSent, time.Now().UnixMilli())
	setNumber(r, fieldRings, w.Bell.Count)
	short := make([]string, len(w.Bell.Leases))
	for i, id := range w.Bell.Leases {
		short[i] = shortShard(id)
	}
	set(r, fieldBell, strings.Join(short, " "))
}

// shardPrefix starts the IDs of all shards that the service makes, followed by
// twelve digits or more.
const shardPrefix = "shardId-"

// shortShard keeps worker rows small: the number of a shard's ID, where it has
// the usual form.
func shortShard(id string) string {
	if digits, ok := strings.CutPrefix(id, shardPrefix); ok {
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil && longShard(strconv.FormatUint(n, 10)) == id {
			return strconv.FormatUint(n, 10)
		}
	}
	return id
}

func longShard(short string) string {
	if n, err := strconv.ParseUint(short, 10, 64); err == nil {
		return fmt.Sprintf("%s%012d", shardPrefix, n)
	}
	return short
}

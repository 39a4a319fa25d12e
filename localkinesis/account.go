package localkinesis

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// account owns everything the service remembers. Whoever holds mu may read and
// change streams, shards and records; nobody waits while holding it.
type account struct {
	mu sync.Mutex

	region, id string
	delay      time.Duration // how long CREATING, UPDATING and DELETING last
	limits     bool
	bytesMax   int64

	streams map[string]*stream
	serial  uint64 // of the last stream made
	bytes   int64  // held by all stored records
	expiry  uint64 // rises when all shard iterators are made to expire
	rates   rates
	billing billing
}

// find gives the stream of that name as it is now.
func (a *account) find(name string, now time.Time) (*stream, *failure) {
	if st := a.streams[name]; st != nil {
		if st.settle(now); a.streams[name] == st {
			return st, nil
		}
	}
	return nil, refuse(codeNotFound, "Stream %s under account %s not found.", name, a.id)
}

// live gives a stream whose records can be written and read: ACTIVE or
// UPDATING. Source: "You should perform read and write operations only on an
// ACTIVE stream", API_CreateStream; "You can continue to read and write data to
// your stream while its status is UPDATING", API_UpdateShardCount. A stream in
// DELETING "might continue to accept" them, API_DeleteStream; here it does not.
func (a *account) live(name string, now time.Time) (*stream, *failure) {
	st, f := a.find(name, now)
	if f == nil && st.status != statusActive && st.status != statusUpdating {
		return nil, refuse(codeNotFound, "Stream %s under account %s not found.", name, a.id)
	}
	return st, f
}

// idle gives a stream that can be changed: ACTIVE. Source: "For successful
// operation, the resource must be in the ACTIVE state", ResourceInUseException
// of every operation that changes a stream.
func (a *account) idle(name string, now time.Time) (*stream, *failure) {
	st, f := a.find(name, now)
	if f == nil && st.status != statusActive {
		return nil, refuse(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", name, a.id, st.status)
	}
	return st, f
}

// settle brings every stream to now.
func (a *account) settle(now time.Time) {
	for _, st := range a.streams {
		st.settle(now)
	}
}

// sorted gives all streams by name.
func (a *account) sorted(now time.Time) []*stream {
	a.settle(now)
	out := make([]*stream, 0, len(a.streams))
	for _, st := range a.streams {
		out = append(out, st)
	}
	slices.SortFunc(out, func(x, y *stream) int { return cmp.Compare(x.name, y.name) })
	return out
}

// room makes sure that n more bytes can be stored, trimming what has expired.
func (a *account) room(n int64, now time.Time) *failure {
	if a.bytes+n <= a.bytesMax {
		return nil
	}
	for _, st := range a.streams {
		st.settle(now)
		for _, sh := range st.shards {
			sh.trim(now)
		}
	}
	if a.bytes+n <= a.bytesMax {
		return nil
	}
	return refuse(codeLimit, "The embedded server holds %d bytes of records and %d more would pass its limit of %d: "+
		"raise Options.MemoryBytes, delete a stream, or let records expire.", a.bytes, n, a.bytesMax)
}

func (a *account) streamARN(name string) string {
	return "arn:aws:kinesis:" + a.region + ":" + a.id + ":stream/" + name
}

// streamNameOK is the pattern of StreamName in API_CreateStream.
var streamNameOK = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// nameOfARN gives the stream's name in an ARN of a stream or of its consumer.
func (a *account) nameOfARN(arn string) (string, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:kinesis:"+a.region+":"+a.id+":stream/")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "/")
	return name, streamNameOK.MatchString(name)
}

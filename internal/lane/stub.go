package lane

import (
	"math"
	"time"

	"github.com/libvegas/vegas/internal/shardmap"
)

// Machine is the state of one producer on one stream.
type Machine struct{ lane *lane }

type lane struct{}

// Never is a time that does not come.
const Never = time.Duration(math.MaxInt64)

// Turn is what Poll asks its caller to do.
type Turn struct {
	// Requests are to be sent now, each answered once by Answer or Fail. The
	// caller bounds the time that each takes.
	Requests []*Request
	// Refresh asks for a listing of the shards, and for the stream's record
	// distribution: the answer goes to SetLaned and Learn, or to LearnFailed.
	// At most one is under way.
	Refresh bool
	// Wake is when Poll has something to do at the latest, unless Accept,
	// Answer, Fail or Learn come first; Never if only these can bring work.
	Wake time.Duration
}

// New is a machine without a map: the first Poll asks for one. It starts laned.
func New(c Config) *Machine { return nil }

// Form tells how an item of this size can travel: its share of an aggregate
// counts key, explicit hash key, data and headers.
func (m *Machine) Form(it *Item) Form { return 0 }

// Form is how a record travels.
type Form uint8

// Forms.
const (
	Shared   Form = iota // in an aggregate with others
	Wrapped              // in an aggregate by itself
	Single               // as it is: it has no identity and can carry no headers
	TooLarge             // the stream takes no record of this size
)

// Accept takes in an item, assigns its counter and puts it at the end of its
// lane's queue; before the first map is learnt it is kept in order of arrival.
// It reports whether Poll is due earlier than its last Wake said.
func (m *Machine) Accept(now time.Duration, it *Item) (early bool) { return false }

// Withdraw takes an item back if it never left; it then does not come out of
// TakeFinished. Records behind it are not failed by it.
func (m *Machine) Withdraw(it *Item) bool { return false }

// Flush lets all that is queued now leave without linger.
func (m *Machine) Flush(now time.Duration) {}

// Poll ends what is past its deadline and says what to do.
func (m *Machine) Poll(now time.Duration) Turn { return Turn{} }

// Answer takes the answer to a request, one result per entry.
func (m *Machine) Answer(now time.Duration, r *Request, results []Result) {}

// Fail takes the failure of a whole request; any Status but Stored.
func (m *Machine) Fail(now time.Duration, r *Request, s Status, err error) {}

// Learn takes in a listing of shards, possibly stale, and ends the refresh that
// Poll asked for.
func (m *Machine) Learn(now time.Duration, listing []shardmap.Shard) shardmap.Change {
	return shardmap.Change{}
}

// LearnFailed ends the refresh that Poll asked for; it is asked for again with
// backoff.
func (m *Machine) LearnFailed(now time.Duration) {}

// SetLaned says whether the service routes by hash. If not (record distribution
// AUTO) aggregates are not laned, every answer is final, and nothing is
// promised about order.
func (m *Machine) SetLaned(now time.Duration, laned bool) {}

// SetRecordBytes changes Config.RecordBytes for what is accepted from now on.
func (m *Machine) SetRecordBytes(n int) {}

// FailQueued ends every item that is not under way: not stored, or unknown if
// an earlier attempt was.
func (m *Machine) FailQueued(now time.Duration, err error) {}

// Abort ends every item, those under way as unknown. Answers that come later
// are ignored.
func (m *Machine) Abort(now time.Duration, err error) {}

// TakeFinished appends the items that have ended since the last call, in the
// order in which they ended; that of one hash is the order of acceptance,
// unless Config.FailKey is off and an earlier one failed by its deadline. Every
// accepted item comes out once.
func (m *Machine) TakeFinished(dst []*Item) []*Item { return dst }

// Open is how many accepted items have not ended.
func (m *Machine) Open() int { return 0 }

// Lanes reports every lane; for Stats.
func (m *Machine) Lanes(now time.Duration, f func(Depth)) {}

// Depth is the state of a lane.
type Depth struct {
	Shard     string
	Records   int           // queued or under way
	Bytes     int           // their share of aggregates
	InFlight  int           // entries under way or parked
	Oldest    time.Duration // when the oldest of them was accepted; Never if none
	PaceBytes int           // what the lane allows itself a second
	Draining  bool          // its shard has given way
}

// Counts are sums since New.
type Counts struct {
	Entries, Resent, Throttled, Unknown, Misplaced, Refreshes uint64
}

// Counts reports them.
func (m *Machine) Counts() Counts { return Counts{} }

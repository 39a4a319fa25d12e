package localkinesis

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// iterator is what a shard iterator says. It carries everything, so that the
// server remembers none of them.
type iterator struct {
	stream uint64 // serial
	name   string
	shard  uint32
	from   sequence // the first record to read is at or above
	issued int64    // milliseconds
	expiry uint64   // the account's when issued
}

const (
	tokenIterator = 1
	tokenShards   = 2
	tokenNames    = 3
)

func seal(kind byte, b []byte) string {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.StdEncoding.EncodeToString(b)
}

func unseal(kind byte, s string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) < 5 {
		return nil, false
	}
	n := len(b) - 4
	if crc32.ChecksumIEEE(b[:n]) != binary.BigEndian.Uint32(b[n:]) || b[n-1] != kind {
		return nil, false
	}
	return b[:n-1], true
}

func (it iterator) String() string {
	b := make([]byte, 0, 60+len(it.name))
	b = binary.BigEndian.AppendUint64(b, it.stream)
	b = binary.BigEndian.AppendUint32(b, it.shard)
	b = binary.BigEndian.AppendUint64(b, uint64(it.issued))
	b = binary.BigEndian.AppendUint64(b, it.expiry)
	var q [24]byte
	it.from.put(q[:])
	b = append(b, q[:]...)
	b = append(b, it.name...)
	return seal(tokenIterator, b)
}

// parseIterator reads an iterator; one that this server cannot have given is
// an InvalidArgumentException.
func parseIterator(s string) (iterator, *failure) {
	b, ok := unseal(tokenIterator, s)
	if !ok || len(b) < 53 {
		return iterator{}, refuse(codeArgument, "Invalid ShardIterator.")
	}
	return iterator{
		stream: binary.BigEndian.Uint64(b), shard: binary.BigEndian.Uint32(b[8:]),
		issued: int64(binary.BigEndian.Uint64(b[12:])), expiry: binary.BigEndian.Uint64(b[20:]),
		from: readSequence(b[28:]), name: string(b[52:]),
	}, nil
}

// expired tells whether the iterator can no longer be used. Source: "A shard
// iterator expires 5 minutes after it is returned to the requester",
// API_GetShardIterator.
func (it iterator) expired(now time.Time, expiry uint64) *failure {
	issued := time.UnixMilli(it.issued)
	if it.expiry == expiry && now.Sub(issued) <= limits.IteratorLife {
		return nil
	}
	const form = "Mon Jan 02 15:04:05 UTC 2006"
	return refuse(codeExpiredIterator, "Iterator expired. The iterator was created at time %s while right now it is %s "+
		"which is further in the future than the tolerated delay of %d milliseconds.",
		issued.UTC().Format(form), now.UTC().Format(form), limits.IteratorLife.Milliseconds())
}

// pageToken is a NextToken: which list of which stream goes on after what.
type pageToken struct {
	issued int64 // milliseconds
	stream uint64
	after  string // the last name or id given
	name   string // of the stream
	filter string // what the first page was asked for
}

func (p pageToken) seal(kind byte) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.issued))
	b = binary.BigEndian.AppendUint64(b, p.stream)
	for _, s := range []string{p.after, p.name, p.filter} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return seal(kind, b)
}

// parsePage reads a NextToken. Source: "Tokens expire after 300 seconds",
// API_ListShards.
func parsePage(kind byte, s string, now time.Time) (p pageToken, f *failure) {
	bad := refuse(codeArgument, "Invalid NextToken.")
	b, ok := unseal(kind, s)
	if !ok || len(b) < 16 {
		return p, bad
	}
	p.issued, p.stream = int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
	b = b[16:]
	for _, to := range []*string{&p.after, &p.name, &p.filter} {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return p, bad
		}
		n := int(binary.BigEndian.Uint16(b))
		*to, b = string(b[2:2+n]), b[2+n:]
	}
	if now.Sub(time.UnixMilli(p.issued)) > limits.TokenLife {
		return p, refuse(codeExpiredToken, "The NextToken expired: it was given more than %v ago.", limits.TokenLife)
	}
	return p, nil
}

package bridge

import (
	"encoding/binary"
	"unsafe"

	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/record"
)

var littleEndian = binary.LittleEndian

const (
	sendHead  = 16 // producer, first, count
	sendRow   = 12
	reportRow = 16
)

// sendFrame is the body of a send frame that was checked.
type sendFrame struct {
	producer uint32
	first    uint64
	count    int
	rows     []byte
	bytes    []byte
}

// parseSend checks the body of a send frame: that its rows and the bytes that they
// speak of fill it. What is in the records, their reader finds.
func parseSend(body []byte) (sendFrame, error) {
	var f sendFrame
	if len(body) < sendHead {
		return f, protocolf("send: cut off")
	}
	f.producer, f.first = littleEndian.Uint32(body), littleEndian.Uint64(body[4:])
	count := uint64(littleEndian.Uint32(body[12:]))
	rest := body[sendHead:]
	if count == 0 || count*sendRow > uint64(len(rest)) {
		return f, protocolf("send: %d records in %d bytes", count, len(rest))
	}
	f.count = int(count)
	f.rows, f.bytes = rest[:count*sendRow], rest[count*sendRow:]
	sum := uint64(0)
	for r := f.rows; len(r) > 0; r = r[sendRow:] {
		sum += uint64(littleEndian.Uint32(r)) + uint64(littleEndian.Uint32(r[4:])) + uint64(littleEndian.Uint16(r[8:])) + uint64(r[10])
	}
	if sum != uint64(len(f.bytes)) {
		return f, protocolf("send: the records have %d bytes and the frame %d", sum, len(f.bytes))
	}
	return f, nil
}

// fill takes records out of the frame until there are no more, or no more rows. It tells
// how many, and what is wrong with the one behind them.
func (f *sendFrame) fill(rows []send.Row) (n int, bad error) {
	for ; n < len(rows) && f.count > 0; n++ {
		if bad := f.next(&rows[n]); bad != nil {
			return n, bad
		}
	}
	return n, nil
}

// next takes the first record out of the frame, into a row, whose headers are made
// use of again. All but the headers is part of the frame.
func (f *sendFrame) next(row *send.Row) (err error) {
	data, headers := int(littleEndian.Uint32(f.rows)), int(littleEndian.Uint32(f.rows[4:]))
	key, hash := int(littleEndian.Uint16(f.rows[8:])), int(f.rows[10])
	f.rows = f.rows[sendRow:]
	bytes := key + hash + headers + data
	b := f.bytes[:bytes]
	f.bytes = f.bytes[bytes:]
	row.Number, row.Cost = f.first, uint32(bytes+recordCost)
	f.first++
	f.count--
	r := &row.Record
	r.PartitionKey, b = text(b[:key]), b[key:]
	r.ExplicitHashKey, b = text(b[:hash]), b[hash:]
	r.Headers, err = parseHeaders(r.Headers[:0], b[:headers])
	r.Data = b[headers:]
	return err
}

// text is b as a string, which changes if b does.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseHeaders appends the headers that b is.
func parseHeaders(to []record.Header, b []byte) ([]record.Header, error) {
	if len(b) == 0 {
		return to, nil
	}
	if len(b) < 2 {
		return to, errCut
	}
	n := int(littleEndian.Uint16(b))
	for b = b[2:]; n > 0; n-- {
		if len(b) < 6 {
			return to, errCut
		}
		key, value := int(littleEndian.Uint16(b)), uint64(littleEndian.Uint32(b[2:]))
		if b = b[6:]; uint64(key)+value > uint64(len(b)) {
			return to, errCut
		}
		end := key + int(value)
		to = append(to, record.Header{Key: string(b[:key]), Value: string(b[key:end])})
		b = b[end:]
	}
	if len(b) > 0 {
		return to, errCut
	}
	return to, nil
}

// appendHeaders appends headers as records carry them: nothing for none.
func appendHeaders(b []byte, hs []record.Header) []byte {
	if len(hs) == 0 {
		return b
	}
	b = littleEndian.AppendUint16(b, uint16(len(hs)))
	for i := range hs {
		b = littleEndian.AppendUint16(b, uint16(len(hs[i].Key)))
		b = littleEndian.AppendUint32(b, uint32(len(hs[i].Value)))
		b = append(append(b, hs[i].Key...), hs[i].Value...)
	}
	return b
}

// headersBytes is what appendHeaders appends.
func headersBytes(hs []record.Header) int {
	n := 0
	for i := range hs {
		n += 6 + len(hs[i].Key) + len(hs[i].Value)
	}
	if n > 0 {
		n += 2
	}
	return n
}

// reports are report frames in the making. Records of one Kinesis record, or of one
// failure, that are added one after the other come into one group.
type reports struct {
	b      []byte
	frame  int // where the last frame begins
	group  int // where its last group begins
	groups uint32
	count  uint32 // records of that group

	status          byte // of that group
	shard, sequence string
	text            string // of a failure
}

// reportBytes is where a frame of reports ends and another one begins, also within what
// would be one group.
const reportBytes = 256 << 10

// add adds the result of a record: where it was stored, or with another status the
// text.
func (r *reports) add(producer uint32, number uint64, status byte, at *record.Receipt, text string) {
	if r.groups == 0 || len(r.b)-r.frame > reportBytes || status != r.status || at.Shard != r.shard || at.Position.Sequence != r.sequence || text != r.text {
		r.begin(producer, status, at, text)
	}
	r.b = littleEndian.AppendUint64(r.b, number)
	r.b = littleEndian.AppendUint64(r.b, uint64(at.Position.SubSequence))
	r.count++
}

// begin begins a group.
func (r *reports) begin(producer uint32, status byte, at *record.Receipt, text string) {
	r.endGroup()
	if r.groups > 0 && len(r.b)-r.frame > reportBytes {
		r.endFrame()
	}
	if r.groups == 0 {
		r.frame = len(r.b)
		r.b = littleEndian.AppendUint32(beginFrame(r.b, kindReport), producer)
		r.b = littleEndian.AppendUint32(r.b, 0)
	}
	r.groups++
	r.group, r.count = len(r.b), 0
	r.status, r.shard, r.sequence, r.text = status, at.Shard, at.Position.Sequence, text
	size := len(text)
	if status == statusStored {
		size = len(at.Shard) + 1 + len(at.Position.Sequence)
	}
	r.b = append(r.b, status, 0)
	r.b = littleEndian.AppendUint16(r.b, uint16(size))
	r.b = littleEndian.AppendUint32(r.b, 0)
	if status == statusStored {
		r.b = append(append(append(r.b, at.Shard...), 0), at.Position.Sequence...)
	} else {
		r.b = append(r.b, text...)
	}
}

func (r *reports) endGroup() {
	if r.groups > 0 {
		littleEndian.PutUint32(r.b[r.group+4:], r.count)
	}
}

func (r *reports) endFrame() {
	littleEndian.PutUint32(r.b[r.frame+frameHead+4:], r.groups)
	r.b = endFrame(r.b, r.frame)
	r.groups = 0
}

// take appends the frames to b, and begins anew.
func (r *reports) take(b []byte) []byte {
	if r.groups > 0 {
		r.endGroup()
		r.endFrame()
	}
	b = append(b, r.b...)
	if cap(r.b) > keptBytes {
		r.b = nil
	}
	*r = reports{b: r.b[:0]}
	return b
}

package dedupe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"slices"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/store"
)

// Keys lie in rows that are only ever added, as they were handled:
//
//	layer#STREAM:SHARD:dedupe-KEY:POSSESSION:NUMBER
//
// KEY is a checksum of the key's text. The rows of a shard that was split or merged are read
// by the owners of those that came of it, and not copied: that would be all of them at
// once. The last row of a possession is written anew until it has sealEntries, so that
// few keys do not make many rows; those before are left alone until all in them is over.
// No row is written by two possessions: one that is late, of an owner that is none any
// more, harms nobody: what lies before a checkpoint was handled.
//
// The body, all numbers big-endian:
//
//	"vd" | version 1 | for each: key (16 bytes) | origin, 8 | arrival, Unix milliseconds, 8
//	| CRC-32C of all before, 4 bytes
const (
	bodyMagic  = "vd\x01"
	entryBytes = 32

	sealEntries = 16 << 10 / entryBytes
	rowEntries  = 12_000 // what fits into a row of any store, beside its names

	fieldVersion = "version"
	rowVersion   = "1"

	clearAtOnce = 64 // rows are deleted behind one writing at most

	// ancestorsRead are the nearest ones: shards that are split and merged more often
	// than that within a window let duplicates pass.
	ancestorsRead = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errDamaged = errors.New("damaged")
	errNewer   = errors.New("a later release of vegas has written it")
)

// rows are those of one possession, and of those before that are not over.
type rows struct {
	shard *layer.Shard
	name  string // of the layer
	limit int    // keys worth keeping

	number int     // rows made
	tail   []entry // in the last one, if it was made here
	stored []stored
	keys   int // in all of stored
}

// stored is a row as it is stored.
type stored struct {
	row    store.Row // without its body
	keys   int
	newest int64 // arrival
}

// read is what was saved, the oldest first: of the shards that this one comes from, and
// of itself.
func (rs *rows) read(ctx context.Context, warn func(string, ...any)) (all []entry, err error) {
	for _, id := range rs.shard.Ancestors[:min(len(rs.shard.Ancestors), ancestorsRead)] {
		entries, _, err := rs.list(ctx, id, warn)
		if err != nil {
			return nil, err
		}
		all = append(entries, all...)
	}
	var own []entry
	own, rs.stored, err = rs.list(ctx, rs.shard.ID, warn)
	rs.keys = 0
	for _, s := range rs.stored {
		rs.keys += s.keys
	}
	return append(all, own...), err
}

func (rs *rows) list(ctx context.Context, shard string, warn func(string, ...any)) (all []entry, from []stored, err error) {
	found, err := rs.shard.Store.List(ctx, rs.shard.Group, rs.shard.RowID(shard, rs.name)+":")
	if err != nil {
		return nil, nil, err
	}
	for _, row := range found {
		entries, err := decode(row)
		switch {
		case errors.Is(err, errNewer):
			warn("saved keys are not used: duplicates are possible (see docs/troubleshooting.md#dedupe-store)", slog.String("row", row.ID), slog.Any("error", err))
			continue
		case err != nil: // and deleted with the next writing
			warn("saved keys are not used: duplicates are possible (see docs/troubleshooting.md#dedupe-store)", slog.String("row", row.ID), slog.Any("error", err))
		}
		row.Body = nil
		from = append(from, stored{row, len(entries), newest(entries)})
		all = append(all, entries...)
	}
	return all, from, nil
}

// write adds entries, and tells how many of them are stored for certain.
func (rs *rows) write(ctx context.Context, news []entry) (written int, err error) {
	for written < len(news) {
		row := store.Row{Group: rs.shard.Group, Fields: map[string]string{fieldVersion: rowVersion}}
		again := len(rs.tail) > 0 && len(rs.tail) < sealEntries
		if again {
			row = rs.stored[len(rs.stored)-1].row
		} else {
			rs.number++
			rs.tail = nil
			row.ID = fmt.Sprintf("%s:%016x:%06d", rs.shard.RowID(rs.shard.ID, rs.name), rs.shard.Possession, rs.number)
		}
		n := min(len(news)-written, rowEntries-len(rs.tail))
		tail := append(slices.Clip(rs.tail), news[written:written+n]...)
		row.Body = encode(tail)
		out, err := rs.shard.Store.Swap(ctx, row)
		if errors.Is(err, store.ErrConflict) {
			rs.tail = nil // an earlier try was stored after all, or it was deleted: it is left alone
			continue
		}
		if err != nil {
			return written, err
		}
		out.Body = nil
		s := stored{out, len(tail), newest(tail)}
		if again {
			rs.stored[len(rs.stored)-1] = s
		} else {
			rs.stored = append(rs.stored, s)
		}
		rs.tail, rs.keys, written = tail, rs.keys+n, written+n
	}
	return written, nil
}

// clear deletes rows in which all arrived at the time over or before, and the oldest
// ones of more keys than are remembered. The last one stays, to be added to.
func (rs *rows) clear(ctx context.Context, over int64) error {
	for range clearAtOnce {
		i := slices.IndexFunc(rs.stored, func(s stored) bool { return s.newest <= over })
		if i < 0 && len(rs.stored) > 0 && rs.keys-rs.stored[0].keys >= rs.limit {
			i = 0
		}
		if i < 0 || i == len(rs.stored)-1 && len(rs.tail) > 0 {
			return nil
		}
		if err := rs.shard.Store.Delete(ctx, rs.stored[i].row); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		rs.keys -= rs.stored[i].keys
		rs.stored = slices.Delete(rs.stored, i, i+1)
	}
	return nil
}

// newest is the latest arrival.
func newest(entries []entry) int64 {
	at := int64(math.MinInt64)
	for _, e := range entries {
		at = max(at, e.at)
	}
	return at
}

func encode(entries []entry) []byte {
	b := make([]byte, 0, len(bodyMagic)+len(entries)*entryBytes+crc32.Size)
	b = append(b, bodyMagic...)
	for _, e := range entries {
		b = append(b, e.key[:]...)
		b = binary.BigEndian.AppendUint64(b, e.origin)
		b = binary.BigEndian.AppendUint64(b, uint64(e.at))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decode reads what encode wrote.
func decode(row store.Row) ([]entry, error) {
	b := row.Body
	switch v := row.Fields[fieldVersion]; {
	case v != rowVersion && v != "":
		return nil, fmt.Errorf("version %.20q: %w", v, errNewer)
	case len(b) < len(bodyMagic)+crc32.Size || string(b[:len(bodyMagic)]) != bodyMagic || (len(b)-len(bodyMagic)-crc32.Size)%entryBytes != 0:
		return nil, fmt.Errorf("%d bytes: %w", len(b), errDamaged)
	}
	rest, want := b[:len(b)-crc32.Size], binary.BigEndian.Uint32(b[len(b)-crc32.Size:])
	if crc32.Checksum(rest, castagnoli) != want {
		return nil, fmt.Errorf("checksum differs: %w", errDamaged)
	}
	rest = rest[len(bodyMagic):]
	entries := make([]entry, 0, len(rest)/entryBytes)
	for ; len(rest) > 0; rest = rest[entryBytes:] {
		e := entry{key: hash(rest), origin: binary.BigEndian.Uint64(rest[16:]), at: int64(binary.BigEndian.Uint64(rest[24:]))}
		if e.at < -maxTime || e.at > maxTime {
			return nil, fmt.Errorf("a time of %d ms: %w", e.at, errDamaged)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// maxTime is further away than any record, and differences of such times fit.
const maxTime = 1 << 60

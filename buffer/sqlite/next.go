package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// Next returns the next items.
func (b *Buffer) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	for {
		b.mu.Lock()
		usable, wait := b.usable(), b.changed
		b.mu.Unlock()
		if usable != nil {
			return nil, io.EOF
		}
		if items, err := b.read(bytes); len(items) > 0 || err != nil {
			return items, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// read reads on, up to the last record that is durable.
func (b *Buffer) read(bytes int) ([]buffer.Item, error) {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	if b.usable() != nil {
		b.mu.Unlock()
		return nil, io.EOF
	}
	b.settle()
	durable := b.durable
	b.mu.Unlock()
	if b.file.at > durable {
		return nil, nil
	}
	items, err := b.file.items(durable, bytes)
	if err != nil {
		return nil, b.fail("read on", err)
	}
	return items, nil
}

func (f *file) items(last uint64, bytes int) (items []buffer.Item, err error) {
	rows, err := f.stmt[selectItems].QueryContext(whole, f.at, last)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var it buffer.Item
		if err := scan(rows, &it, nil); err != nil {
			return nil, err
		}
		if bytes -= len(it.Data); bytes < 0 && len(items) > 0 {
			f.at = it.Seq
			return items, nil
		}
		items = append(items, it)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	f.at = last + 1
	return items, nil
}

// scan reads the columns of an item, with some before and behind.
func scan(rows *sql.Rows, it *buffer.Item, before []any, behind ...any) error {
	var producer, key, hash, headers []byte
	var accepted int64
	columns := append(before, &it.Seq, &producer, &accepted, &key, &hash, &headers, &it.Data)
	if err := rows.Scan(append(columns, behind...)...); err != nil {
		return err
	}
	copy(it.Producer[:], producer)
	it.Accepted = time.UnixMilli(accepted)
	it.Key, it.ExplicitHashKey, it.Headers = string(key), string(hash), headersOf(headers)
	return nil
}

// Bury moves items to the dead letters. Those that are not here any more it
// ignores.
func (b *Buffer) Bury(ctx context.Context, dead []buffer.Dead) error {
	if err := ctx.Err(); err != nil {
		return b.fail("bury", err)
	}
	err := b.transact(func(f *file) error {
		for i := range dead {
			d := &dead[i]
			was, err := f.delete(d.Seq)
			if err != nil {
				return err
			}
			if !was {
				continue
			}
			r := rowOf(recordOf(&d.Item))
			if _, err := f.stmt[insertDead].ExecContext(whole, d.Seq, d.Producer[:], d.Accepted.UnixMilli(), r.key, r.hash, r.headers, r.data,
				d.Reason, d.Unknown, d.At.UnixMilli()); err != nil {
				return err
			}
			f.sums.dead++
		}
		return nil
	})
	if err != nil {
		return b.fail(fmt.Sprintf("bury %d records", len(dead)), err)
	}
	return nil
}

// transact commits what do does, together with the transaction under way.
func (b *Buffer) transact(do func(f *file) error) error {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	err := b.usable()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	if err = b.file.begin(); err == nil {
		err = do(&b.file)
	}
	err = b.file.end(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.undo()
	b.change() // there may be room
	return err
}

func recordOf(it *buffer.Item) *record.Record {
	return &record.Record{PartitionKey: it.Key, ExplicitHashKey: it.ExplicitHashKey, Data: it.Data, Headers: it.Headers}
}

// letter is a dead letter and its row.
type letter struct {
	buffer.Dead
	id int64
}

// page is how many bytes of dead letters are read at once.
const page = 1 << 20

// letters reads the dead letters behind one; at most a page, and none at the end.
func (b *Buffer) letters(after int64) (letters []letter, err error) {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	err = b.usable()
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	rows, err := b.file.stmt[selectDead].QueryContext(whole, after)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for bytes := 0; bytes < page && rows.Next(); {
		var l letter
		var at int64
		if err := scan(rows, &l.Item, []any{&l.id}, &l.Reason, &l.Unknown, &at); err != nil {
			return nil, err
		}
		l.At = time.UnixMilli(at)
		letters = append(letters, l)
		bytes += 100 + len(l.Data)
	}
	return letters, rows.Err()
}

// Dead calls f with every dead letter.
func (b *Buffer) Dead(ctx context.Context, f func(*buffer.Dead) bool) error {
	last := int64(0)
	for {
		letters, err := b.letters(last)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return b.fail("dead letters", err)
		}
		if len(letters) == 0 {
			return nil
		}
		for i := range letters {
			last = letters[i].id
			if !f(&letters[i].Dead) {
				return nil
			}
		}
	}
}

// Replay appends dead letters again, a page at a time, and deletes the page when
// the records are durable.
func (b *Buffer) Replay(ctx context.Context) (int, error) {
	select {
	case <-b.again:
		defer func() { b.again <- struct{}{} }()
	case <-ctx.Done():
		return 0, b.fail("replay", ctx.Err())
	}
	n, all := 0, int(b.Stats().Dead) // not what dies meanwhile
	for {
		letters, err := b.letters(0)
		if err != nil {
			return n, b.fail("replay", err)
		}
		if letters = letters[:min(len(letters), all-n)]; len(letters) == 0 {
			return n, nil
		}
		records := make([]*record.Record, len(letters))
		for i := range letters {
			records[i] = recordOf(&letters[i].Item)
		}
		first, err := b.Append(ctx, records, nil)
		if err == nil {
			err = b.Sync(ctx, first+uint64(len(records))-1)
		}
		if err == nil {
			err = b.transact(func(f *file) error { return f.forget(letters) })
		}
		if err != nil {
			return n, fmt.Errorf("replay: %w", err)
		}
		n += len(letters)
	}
}

func (f *file) forget(letters []letter) error {
	for i := range letters {
		done, err := f.stmt[deleteDead].ExecContext(whole, letters[i].id)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		f.sums.dead -= n
	}
	return nil
}

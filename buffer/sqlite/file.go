package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/libvegas/vegas/record"
)

// tables are made where they are missing. Key and hash are blobs for SQL too:
// they come back byte for byte.
const tables = `
CREATE TABLE IF NOT EXISTS vegas_item (
	seq      INTEGER PRIMARY KEY,
	producer BLOB NOT NULL,
	accepted INTEGER NOT NULL, -- milliseconds since 1970
	key      BLOB NOT NULL,
	hash     BLOB NOT NULL,
	headers  BLOB NOT NULL, -- lengths, as of encoding/binary, and texts in turn
	data     BLOB NOT NULL,
	size     INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS vegas_dead (
	id       INTEGER PRIMARY KEY, -- in the order of burying
	seq      INTEGER NOT NULL,
	producer BLOB NOT NULL,
	accepted INTEGER NOT NULL,
	key      BLOB NOT NULL,
	hash     BLOB NOT NULL,
	headers  BLOB NOT NULL,
	data     BLOB NOT NULL,
	reason   TEXT NOT NULL,
	unknown  INTEGER NOT NULL,
	at       INTEGER NOT NULL -- milliseconds since 1970
);
CREATE TABLE IF NOT EXISTS vegas_buffer (
	version INTEGER PRIMARY KEY CHECK (version = 1),
	next    INTEGER NOT NULL, -- number to be given; never goes back
	items   INTEGER NOT NULL,
	bytes   INTEGER NOT NULL,
	dead    INTEGER NOT NULL
);
INSERT INTO vegas_buffer VALUES (1, 1, 0, 0, 0) ON CONFLICT DO NOTHING`

const (
	insertItem = iota
	deleteItem
	selectItems
	selectFirst
	insertDead
	deleteDead
	selectDead
	updateSums
	selectSums
)

var statements = []string{
	insertItem:  `INSERT INTO vegas_item VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
	deleteItem:  `DELETE FROM vegas_item WHERE seq = ? RETURNING size`,
	selectItems: `SELECT seq, producer, accepted, key, hash, headers, data FROM vegas_item WHERE seq >= ? AND seq <= ? ORDER BY seq`,
	selectFirst: `SELECT seq, accepted FROM vegas_item ORDER BY seq LIMIT 1`,
	insertDead:  `INSERT INTO vegas_dead VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	deleteDead:  `DELETE FROM vegas_dead WHERE id = ?`,
	selectDead:  `SELECT id, seq, producer, accepted, key, hash, headers, data, reason, unknown, at FROM vegas_dead WHERE id > ? ORDER BY id`,
	updateSums:  `UPDATE vegas_buffer SET next = ?, items = ?, bytes = ?, dead = ?`,
	selectSums:  `SELECT next, items, bytes, dead FROM vegas_buffer`,
}

// errCommit marks an error after which a transaction may have happened or not.
var errCommit = errors.New("COMMIT")

// file is the one connection to the database. A transaction is open nearly always;
// whoever needs it durable commits it.
type file struct {
	mu   sync.Mutex
	db   *sql.DB
	conn *sql.Conn
	stmt []*sql.Stmt

	begun  bool
	sums   sums     // with the transaction under way
	undone []uint64 // what it deletes
	at     uint64   // the number that Next goes on at
	used   atomic.Int64
}

// sums are the row of vegas_buffer.
type sums struct {
	next               uint64
	items, bytes, dead int64
}

// Statements are not interrupted: a transaction would go with them.
var whole = context.Background()

func (f *file) open(ctx context.Context, path string) (err error) {
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") { // a drive
		name = "/" + name
	}
	name = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(name)
	// Exclusive before the WAL: then SQLite takes the file for this connection.
	f.db, err = sql.Open("sqlite", "file:"+name+"?_pragma=locking_mode(exclusive)&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	var mode string
	if err := f.conn.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	} else if mode != "wal" {
		return fmt.Errorf("the journal mode is %q, want WAL: put the file on a disk of this machine (see docs/troubleshooting.md#buffer-directory)", mode)
	}
	if _, err := f.conn.ExecContext(ctx, `BEGIN IMMEDIATE;`+tables+`;COMMIT`); err != nil {
		return err
	}
	for _, text := range statements {
		s, err := f.conn.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		f.stmt = append(f.stmt, s)
	}
	return f.load()
}

// load reads the sums.
func (f *file) load() error {
	err := f.stmt[selectSums].QueryRowContext(whole).Scan(&f.sums.next, &f.sums.items, &f.sums.bytes, &f.sums.dead)
	f.used.Store(f.sums.bytes)
	return err
}

func (f *file) close() error {
	var errs []error
	for _, s := range f.stmt {
		errs = append(errs, s.Close())
	}
	f.stmt = nil
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.conn, f.db = nil, nil
	return errors.Join(errs...)
}

func (f *file) begin() error {
	if f.begun {
		return nil
	}
	_, err := f.conn.ExecContext(whole, `BEGIN IMMEDIATE`)
	f.begun = err == nil
	return err
}

// end commits the transaction under way, after a step of it that failed with err
// or did not; a failed one is taken back.
func (f *file) end(err error) error {
	if err == nil {
		_, err = f.stmt[updateSums].ExecContext(whole, f.sums.next, f.sums.items, f.sums.bytes, f.sums.dead)
	}
	if err == nil {
		if _, err = f.conn.ExecContext(whole, `COMMIT`); err == nil {
			f.begun, f.undone = false, f.undone[:0]
			f.used.Store(f.sums.bytes)
			return nil
		}
		err = fmt.Errorf("%w: %w", errCommit, err)
	}
	f.begun = false
	_, _ = f.conn.ExecContext(whole, `ROLLBACK`) // unless SQLite did that itself
	next := f.sums.next                          // numbers were given all the same
	if again := f.load(); again != nil {
		err = errors.Join(err, again)
	}
	f.sums.next = max(f.sums.next, next)
	return err
}

// insert commits rows, and all that the transaction under way has.
func (f *file) insert(rows []row) error {
	if len(rows) == 0 && !f.begun {
		return nil
	}
	err := f.begin()
	if len(rows) > 0 {
		f.sums.next = rows[len(rows)-1].seq + 1
	}
	for i := 0; i < len(rows) && err == nil; i++ {
		r := &rows[i]
		_, err = f.stmt[insertItem].ExecContext(whole, r.seq, r.producer[:], r.accepted, r.key, r.hash, r.headers, r.data, r.size())
		f.sums.items++
		f.sums.bytes += r.size()
	}
	return f.end(err)
}

// remove deletes items, without a commit.
func (f *file) remove(seqs []uint64) error {
	if err := f.begin(); err != nil {
		return err
	}
	for _, seq := range seqs {
		if _, err := f.delete(seq); err != nil {
			return err
		}
		f.undone = append(f.undone, seq)
	}
	f.used.Store(f.sums.bytes)
	return nil
}

// delete takes an item out, and tells whether it was there.
func (f *file) delete(seq uint64) (bool, error) {
	if seq >= f.sums.next { // also what no INTEGER can hold
		return false, nil
	}
	var size int64
	switch err := f.stmt[deleteItem].QueryRowContext(whole, seq).Scan(&size); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	f.sums.items--
	f.sums.bytes -= size
	return true, nil
}

func (f *file) first() (seq uint64, accepted int64, err error) {
	err = f.stmt[selectFirst].QueryRowContext(whole).Scan(&seq, &accepted)
	return seq, accepted, err
}

// row is a record in a table.
type row struct {
	seq                      uint64
	producer                 [16]byte
	accepted                 int64
	key, hash, headers, data []byte
}

// rowOf copies a record. No column is NULL.
func rowOf(r *record.Record) row {
	text := func(s string) []byte { return append([]byte{}, s...) }
	headers := []byte{}
	for _, h := range r.Headers {
		for _, s := range []string{h.Key, h.Value} {
			headers = append(binary.AppendUvarint(headers, uint64(len(s))), s...)
		}
	}
	return row{key: text(r.PartitionKey), hash: text(r.ExplicitHashKey), headers: headers, data: append([]byte{}, r.Data...)}
}

// size is about what the row takes in the file.
func (r *row) size() int64 {
	return int64(64 + len(r.key) + len(r.hash) + len(r.headers) + len(r.data))
}

// headersOf reads what rowOf wrote; what is damaged is left out.
func headersOf(data []byte) []record.Header {
	var headers []record.Header
	next := func() (string, bool) {
		n, width := binary.Uvarint(data)
		if width <= 0 || n > uint64(len(data)-width) {
			return "", false
		}
		s := string(data[width : width+int(n)])
		data = data[width+int(n):]
		return s, true
	}
	for len(data) > 0 {
		key, ok := next()
		value, ok2 := next()
		if !ok || !ok2 {
			break
		}
		headers = append(headers, record.Header{Key: key, Value: value})
	}
	return headers
}

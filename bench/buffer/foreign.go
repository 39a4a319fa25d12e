package buffer

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite" // the driver, the same as that of buffer/sqlite
)

// SQLite in WAL mode with synchronous=FULL: a group is one transaction of
// INSERTs into a table of number, key and data, by one prepared statement.
func openSQLite(ctx context.Context, dir string) (appender, error) {
	db, err := sqliteIn(dir)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE item (seq INTEGER PRIMARY KEY, key TEXT, data BLOB)`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	insert, err := db.PrepareContext(ctx, `INSERT INTO item VALUES (NULL, ?, ?)`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return newGather(func(records [][]byte) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		statement := tx.StmtContext(ctx, insert)
		for _, r := range records {
			if _, err := statement.ExecContext(ctx, key, r); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	}, func() error { return errors.Join(insert.Close(), db.Close()) }), nil
}

func sqliteIn(dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "x.db"))+"?_pragma=locking_mode(exclusive)&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func readSQLite(ctx context.Context, dir string, f func([]byte)) (err error) {
	db, err := sqliteIn(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `SELECT data FROM item ORDER BY seq`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return err
		}
		f(data)
	}
	return rows.Err()
}

// bbolt with its defaults (fdatasync at each commit), but for what is good for
// appending: pages are filled up, and the free list is not written.
type bolt struct{ *bbolt.DB }

var bucket = []byte("items")

func boltIn(dir string) (bolt, error) {
	db, err := bbolt.Open(filepath.Join(dir, "x.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return bolt{}, err
	}
	return bolt{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func put(tx *bbolt.Tx, records ...[]byte) error {
	b := tx.Bucket(bucket)
	b.FillPercent = 1
	for _, r := range records {
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(nil, n), append([]byte(key), r...)); err != nil {
			return err
		}
	}
	return nil
}

// DB.Batch with its defaults: it waits for company for 10 ms, up to 1,000.
func openBoltBatch(_ context.Context, dir string) (appender, error) { return boltIn(dir) }

func (b bolt) append(_ context.Context, data []byte) error {
	return b.Batch(func(tx *bbolt.Tx) error { return put(tx, data) })
}

func (b bolt) close() error { return b.Close() }

// A group is one DB.Update.
func openBoltGrouped(_ context.Context, dir string) (appender, error) {
	b, err := boltIn(dir)
	if err != nil {
		return nil, err
	}
	return newGather(func(records [][]byte) error {
		return b.Update(func(tx *bbolt.Tx) error { return put(tx, records...) })
	}, b.Close), nil
}

func readBolt(_ context.Context, dir string, f func([]byte)) error {
	b, err := boltIn(dir)
	if err != nil {
		return err
	}
	err = b.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(_, v []byte) error {
			f(v[len(key):])
			return nil
		})
	})
	return errors.Join(err, b.Close())
}

// Pebble's record log, as Pebble writes its WAL: a LogWriter in the newest format
// on a file that is preallocated by a memtable's size and a tenth and synced by
// fdatasync. The log gathers by itself; its callers write one at a time.
type pebble struct {
	mu    sync.Mutex
	log   *record.LogWriter
	slots chan struct{} // of its queue
}

func openPebble(_ context.Context, dir string) (appender, error) {
	f, err := vfs.Default.Create(filepath.Join(dir, "x.log"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	slots := make(chan struct{}, record.SyncConcurrency)
	return &pebble{slots: slots, log: record.NewLogWriter(
		vfs.NewSyncingFile(f, vfs.SyncingFileOptions{PreallocateSize: 4<<20 + 4<<20/10}), 1,
		record.LogWriterConfig{QueueSemChan: slots, WriteWALSyncOffsets: func() bool { return true }},
	)}, nil
}

func (p *pebble) append(_ context.Context, data []byte) error {
	framed := append(append(make([]byte, 0, len(key)+len(data)), key...), data...)
	var done sync.WaitGroup
	var failed error
	done.Add(1)
	p.slots <- struct{}{}
	p.mu.Lock()
	_, err := p.log.SyncRecord(framed, &done, &failed)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	done.Wait()
	return failed
}

func (p *pebble) close() error { return p.log.Close() }

func readPebble(_ context.Context, dir string, f func([]byte)) error {
	file, err := os.Open(filepath.Join(dir, "x.log"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for log := record.NewReader(file, 1); ; {
		r, err := log.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		framed, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		f(framed[len(key):])
	}
}

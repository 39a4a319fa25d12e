package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A store of version 1 had no logs: DIR/GROUP/ID.row held a row as JSON, and
// DIR/GROUP/floor a number up to which no revision was given to a new row.

// upgrade makes a store of version 1 one of today's. Programs of that time must
// not run any more. If it is cut short, the next one goes on with it.
func upgrade(ctx context.Context, disk disk, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("file store: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		group := filepath.Join(dir, e.Name())
		unlock, err := disk.lock(ctx, group)
		if err != nil {
			return fmt.Errorf("file store: upgrade %s from version 1: %w", group, err)
		}
		err = upgradeGroup(disk, group)
		unlock()
		if err != nil {
			return fmt.Errorf("file store: upgrade %s from version 1: %w", group, err)
		}
	}
	return mark(disk, dir)
}

func upgradeGroup(disk disk, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".row") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil
	}
	log, floor := filepath.Join(dir, "log"), filepath.Join(dir, "floor")
	if _, err := os.Stat(log); errors.Is(err, fs.ErrNotExist) {
		var v view
		if v.last, err = oldFloor(floor); err != nil {
			return err
		}
		name := ""
		for _, path := range paths {
			r, err := readOld(path)
			if err != nil {
				return err
			}
			name = r.Group
			v.apply(&r.saved)
		}
		text, err := v.with(name, nil)
		if err != nil {
			return err
		}
		if err := replace(disk, log, "next", text); err != nil {
			return err
		}
	}
	// Should a program of version 1 run nevertheless: it finds no row to change,
	// and this keeps it from making one.
	if err := replace(disk, floor, "next", []byte("the store has a newer version")); err != nil {
		return err
	}
	for _, path := range paths {
		if err := disk.remove(path); err != nil {
			return err
		}
	}
	return disk.syncDir(dir)
}

type oldRow struct {
	head
	Group string `json:"group"`
	saved
}

func readOld(path string) (r oldRow, err error) {
	text, err := readFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is not a file of a vegas store (%w): move it away"+help, path, err)
	}
	return r, r.check(path, "vegas row")
}

func oldFloor(path string) (uint64, error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %.40q where a number belongs: write a number above every revision in the directory into it"+help, path, text)
	}
	return n, nil
}

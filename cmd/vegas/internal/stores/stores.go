// Package stores opens the store that a text names, as --store and VEGAS_STORE
// do: all those that vegas has, each a line of the table below.
package stores

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/cmd/vegas/internal/extensions"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/dynamodb"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
	"github.com/libvegas/vegas/store/sqlite"
)

// Help describes the texts, a line for each.
const Help = `  dynamodb, dynamodb:TABLE   a DynamoDB table, "vegas" or another, made where it is missing
  file:DIR                   files in a directory, for processes of one machine
  sqlite:PATH                a table in an SQLite file, for processes of one machine
  postgres:URL               a table in PostgreSQL, such as postgres://host/database
  memory                     in this process, forgotten at its end`

// Wants lists the texts for an error.
const Wants = "dynamodb, dynamodb:TABLE, file:DIR, sqlite:PATH, postgres:URL or memory"

// Options of a store.
type Options struct {
	// AWS is asked for at most once, and only for a store that needs it.
	AWS func() (aws.Config, error)
	Log *slog.Logger
}

// kind is a kind of store; place is what follows its name in the text.
type kind struct {
	name  string
	place bool // without one the text names no store
	alone bool // with one it names none
	open  func(place string, o Options) (store.Store, error)
}

var kinds = []kind{
	{name: "dynamodb", open: openTable},
	{name: "file", place: true, open: func(dir string, _ Options) (store.Store, error) { return file.New(dir), nil }},
	{name: "sqlite", place: true, open: openSQLite},
	{name: "postgres", place: true, open: openPostgres},
	{name: "postgresql", place: true, open: openPostgres}, // the other usual scheme of its URLs
	{name: "memory", alone: true, open: func(string, Options) (store.Store, error) { return memory.New(), nil }},
}

// Open makes the store that text names. It does no I/O: what is wrong with the
// place is an error of the first use.
func Open(text string, o Options) (store.Store, error) {
	name, place, _ := strings.Cut(text, ":")
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 || kinds[i].place && place == "" || kinds[i].alone && place != "" {
		return nil, fmt.Errorf("%.80q: want %s", text, Wants)
	}
	return kinds[i].open(place, o)
}

// Empty tells that no other process can have written to the store that text
// names: there is nothing at its place. It spares those who only look the
// making of one.
func Empty(text string) bool {
	name, place, _ := strings.Cut(text, ":")
	switch name {
	case "memory":
		return true
	case "file", "sqlite":
		_, err := os.Stat(place)
		return place != "" && errors.Is(err, fs.ErrNotExist)
	}
	return false
}

func openTable(table string, o Options) (store.Store, error) {
	cfg, err := o.AWS()
	if err != nil {
		return nil, err
	}
	return dynamodb.New(func(d *dynamodb.Options) {
		if d.AWS, d.Logger = cfg, o.Log; table != "" {
			d.Table = table
		}
	}), nil
}

func openPostgres(place string, o Options) (store.Store, error) {
	return extensions.Postgres(place, o.Log)
}

func openSQLite(path string, o Options) (store.Store, error) {
	return sqlite.New(path, func(s *sqlite.Options) { s.Logger = o.Log }), nil
}

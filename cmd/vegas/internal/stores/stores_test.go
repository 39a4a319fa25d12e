package stores

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestTextsNameStores(t *testing.T) {
	asked := 0
	o := Options{Log: slog.New(slog.DiscardHandler), AWS: func() (aws.Config, error) { asked++; return aws.Config{}, nil }}
	for text, want := range map[string]string{
		"dynamodb":                              "*dynamodb.Store",
		"dynamodb:":                             "*dynamodb.Store",
		"dynamodb:positions":                    "*dynamodb.Store",
		"file:a b":                              "*file.Store",
		`file:C:\positions`:                     "*file.Store",
		"sqlite:p.db":                           "*sqlite.Store",
		"postgres://u:p@host:5432/d?sslmode=no": "*postgres.Store",
		"postgresql://host/d":                   "*postgres.Store",
		"postgres:postgres://host/d":            "*postgres.Store",
		"postgres:host=h dbname=d":              "*postgres.Store",
		"memory":                                "*memory.Store",
		"memory:":                               "*memory.Store",
	} {
		s, err := Open(text, o)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := fmt.Sprintf("%T", s); got != want {
			t.Errorf("%s is a %s, want a %s", text, got, want)
		}
		if err := s.Close(); err != nil && !strings.HasPrefix(text, "postgres") {
			t.Errorf("%s: close: %v", text, err)
		}
	}
	if asked != 3 {
		t.Errorf("AWS was asked for %d times by 3 stores in DynamoDB", asked)
	}
	for _, text := range []string{"", ":", "floppy:a", "file", "file:", "sqlite:", "postgres:", "memory:x", "DYNAMODB", "vegas"} {
		if s, err := Open(text, o); err == nil || !strings.Contains(err.Error(), "want dynamodb") {
			t.Errorf("%q: %T, %v", text, s, err)
		}
	}
	broken := errors.New("no region")
	if _, err := Open("dynamodb", Options{AWS: func() (aws.Config, error) { return aws.Config{}, broken }}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestWhereNothingIsIsEmpty(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]bool{
		"memory": true, "file:" + dir: false, "file:" + dir + "/x": true, "sqlite:" + dir + "/x.db": true, "file:": false,
		"dynamodb": false, "postgres://host/d": false, "": false,
	} {
		if got := Empty(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

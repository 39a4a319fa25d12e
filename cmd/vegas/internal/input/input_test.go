package input

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func zipped(t *testing.T, text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func all(r *Reader) (lines []string, err error) {
	for {
		l, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return lines, err
		}
		lines = append(lines, string(l.Text))
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one", "a\n", []string{"a"}},
		{"no newline at the end", "a\nb", []string{"a", "b"}},
		{"empty lines are lines", "\n\na\n", []string{"", "", "a"}},
		{"other bytes stay", "a\r\n\x00\n", []string{"a\r", "\x00"}},
		{"longer than the buffer", "a\n" + long + "\n" + long, []string{"a", long, long}},
	} {
		for how, stdin := range map[string][]byte{"plain": []byte(c.text), "gzip": zipped(t, c.text)} {
			r, err := Open(nil, bytes.NewReader(stdin))
			if err != nil {
				t.Fatal(err)
			}
			got, err := all(r)
			if err != nil || strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%s, %s: %d lines, %v", c.name, how, len(got), err)
			}
		}
	}
}

func TestFilesAndTheirProgress(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b.gz")
	for name, text := range map[string][]byte{a: []byte("1\n2\n"), b: zipped(t, "3\n")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open([]string{a, b, "-"}, strings.NewReader("4\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{a + " line 1", a + " line 2", b + " line 1", "standard input line 1"} {
		l, err := r.Next()
		if err != nil || l.Place() != want || string(l.Text) != string(rune('1'+i)) {
			t.Errorf("%s %q, %v, want %s", l.Place(), l.Text, err, want)
		}
	}
	if _, total := r.Progress(); total != -1 {
		t.Errorf("a pipe has no total, yet %d", total)
	}
	if r, err = Open([]string{a, b}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := all(r); err != nil {
		t.Error(err)
	}
	if read, total := r.Progress(); read != total || total != 4+int64(len(zipped(t, "3\n"))) {
		t.Errorf("read %d of %d", read, total)
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	broken := zipped(t, strings.Repeat("text that is long enough\n", 100))
	broken[len(broken)-5] ^= 1 // its checksum
	for name, c := range map[string]struct {
		files []string
		stdin []byte
		want  string
	}{
		"missing":     {[]string{filepath.Join(dir, "none")}, nil, "none: no such file"},
		"directory":   {[]string{dir}, nil, "it is a directory"},
		"bad gzip":    {nil, []byte("\x1f\x8bnothing"), "standard input: it starts like gzip"},
		"broken gzip": {nil, broken, "read standard input after line 100: gzip: invalid checksum"},
		"cut gzip":    {nil, zipped(t, "a\nb\n")[:20], "unexpected EOF"},
		"no lines":    {nil, bytes.Repeat([]byte("x"), LineBytes+1), "longer than 16 MiB"},
	} {
		r, err := Open(c.files, bytes.NewReader(c.stdin))
		if err == nil {
			_, err = all(r)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name            string
		split           Split
		line, key, data string
		err             string
	}{
		{"constant", Constant("k"), "a", "k", "a", ""},
		{"hash", Hash, "a", "af63dc4c8601ec8c", "a", ""},
		{"hash of nothing", Hash, "", "cbf29ce484222325", "", ""},
		{"delimiter", Delimiter("\t"), "k\ta\tb", "k", "a\tb", ""},
		{"delimiter missing", Delimiter(":"), "a", "", "", `the delimiter ":" does not occur`},
		{"delimiter first", Delimiter(":"), ":a", "", "", "is empty"},
		{"field", JSON("id"), `{"id":"x","n":1}`, "x", `{"id":"x","n":1}`, ""},
		{"escaped field", JSON("id"), `{"id":"\u00e4"}`, "ä", `{"id":"\u00e4"}`, ""},
		{"number", JSON("n"), `{"n":12.50}`, "12.50", `{"n":12.50}`, ""},
		{"path", JSON("a.b"), `{"a":{"b":true}}`, "true", `{"a":{"b":true}}`, ""},
		{"field missing", JSON("x"), `{"n":1}`, "", "", "the field is missing"},
		{"path through text", JSON("a.b"), `{"a":"x"}`, "", "", `"b" is no object's field`},
		{"null", JSON("a"), `{"a":null}`, "", "", "neither text nor a number"},
		{"empty text", JSON("a"), `{"a":""}`, "", "", "the value is empty"},
		{"no JSON", JSON("a"), `{`, "", "", "the line is not JSON"},
	} {
		key, data, err := c.split([]byte(c.line))
		if key != c.key || string(data) != c.data || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %q, %v", c.name, key, data, err)
		}
	}
}

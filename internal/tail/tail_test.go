package tail

import (
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	var last Tail
	if last.String() != "" {
		t.Errorf("of nothing: %q", &last)
	}
	for range 1000 {
		if n, err := last.Write([]byte("something\n")); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	last.Write([]byte("the end\n"))
	if s := last.String(); !strings.HasSuffix(s, "something\nthe end") || len(s) > 4<<10 || len(s) < 4000 {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}

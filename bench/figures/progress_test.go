package figures

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	p := &Progress{began: time.Now().Add(-99 * time.Second), done: 1, All: 5}
	if got, want := p.Next(), " 1:39,  2:28 left:"; got != want && got != " 1:39,  2:29 left:" {
		t.Errorf("after two of five turns %q, want %q", got, want)
	}
}

package lease

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/record"
)

// family reads "id<parent,parent position" lines; a position is -, a number or
// END, and @ says that the shard starts where the group does.
func family(t *testing.T, text string) tree {
	t.Helper()
	out := tree{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		id, parents, _ := strings.Cut(f[0], "<")
		e := &entry{id: id}
		if parents != "" {
			e.parents = strings.Split(parents, ",")
		}
		switch f[1] {
		case "-":
		case "END":
			e.at = record.ShardEnd
		default:
			e.at.Sequence = f[1]
		}
		if len(f) > 2 {
			e.start = time.UnixMilli(1)
		}
		out[id] = e
	}
	return out
}

func ids(es []*entry) string {
	var out []string
	for _, e := range es {
		out = append(out, e.id)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestParentsFirst(t *testing.T) {
	for name, c := range map[string]struct{ family, ready string }{
		"no reshard":                        {"0 -\n1 7", "0 1"},
		"a split":                           {"0 7\n1<0 -\n2<0 -", "0"},
		"a split, parent finished":          {"0 END\n1<0 -\n2<0 -", "1 2"},
		"a split of a split":                {"0 END\n1<0 4\n2<0 END\n3<1 -\n4<1 -\n5<2 -\n6<2 -", "1 5 6"},
		"a merge":                           {"0 END\n1 5\n2<0,1 -", "1"},
		"a merge, both finished":            {"0 END\n1 END\n2<0,1 -", "2"},
		"children of different ages merged": {"0 END\n1<0 END\n2<0 END\n3<2 END\n4<2 9\n5<1,3 -\n6<5,4 -", "4 5"},
		"a parent whose records were gone long ago":   {"7<3 -\n8 -", "7 8"},
		"a shard that ended before the group started": {"0 - @\n1<0 - @\n2<0 - @", "0"},
	} {
		if got := ids(family(t, c.family).ready()); got != c.ready {
			t.Errorf("%s: ready %q, want %q", name, got, c.ready)
		}
	}
}

func TestAMergesUnknownParentIsLookedFor(t *testing.T) {
	tr := family(t, "0 END\n2<0,1 -\n3 9")
	if e := tr.unknownParent(map[string]bool{}); e == nil || e.id != "2" {
		t.Errorf("%v", e)
	}
	if e := tr.unknownParent(map[string]bool{"1": true}); e != nil {
		t.Errorf("parent 1 is gone, yet %v waits", e.id)
	}
	if e := family(t, "2<0,1 5").unknownParent(nil); e != nil {
		t.Error("a shard that is being read waits for its parents")
	}
}

// However often something else happens meanwhile.
func TestAnUnknownParentIsLookedForOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{tree: family(t, "0 END\n2<0,1 -"), listed: time.Now()}
		looks := 0
		for range 100 {
			select {
			case <-s.wake():
				looks++
				s.listed = time.Now()
			case <-time.After(100 * time.Millisecond):
			}
		}
		if looks < 8 || looks > 10 {
			t.Errorf("%d looks in ten seconds", looks)
		}
	})
}

func TestWhereAShardStarts(t *testing.T) {
	for name, c := range map[string]struct {
		family  string
		horizon bool
	}{
		"a first shard":                       {"0 - @", false},
		"its parent ended before the group":   {"1 END @\n0<1 - @", false},
		"something of its parent was read":    {"1 END\n0<1 - @", true},
		"something of one parent was read":    {"1 END @\n2 END\n0<1,2 - @", true},
		"its parent has not been read so far": {"1 - @\n0<1 - @", false},
	} {
		tr := family(t, c.family)
		if got := tr.startOf(tr["0"]); got.IsZero() != c.horizon {
			t.Errorf("%s: starts at %v", name, got)
		}
	}
}

func TestLeasesAreForgottenWhenNobodyNeedsThem(t *testing.T) {
	for name, c := range map[string]struct{ family, listed, forgotten string }{
		"still in the listing":                {"0 END\n1<0 5\n2<0 5", "0 1 2", ""},
		"out of the listing":                  {"0 END\n1<0 5\n2<0 5", "1 2", "0"},
		"a child has not begun":               {"0 END\n1<0 5\n2<0 -", "1 2", ""},
		"the listing is older than its child": {"0 END\n1<0 5\n2<0 5", "9", ""},
		"generations out of the listing":      {"0 END\n1<0 END\n2<0 END\n3<1,2 END\n4<3 END\n5<4 7", "5", "0 1 2 3 4"},
		"not ended":                           {"0 4\n1<0 -", "1", ""},
	} {
		var all []Shard
		for id := range strings.FieldsSeq(c.listed) {
			all = append(all, Shard{ID: id})
		}
		if got := ids(family(t, c.family).outlived(all)); got != c.forgotten {
			t.Errorf("%s: forgotten %q, want %q", name, got, c.forgotten)
		}
	}
}

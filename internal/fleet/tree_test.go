package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/record"
)

// family is a machine that knows leases: "id<parent,parent position" lines, where
// a position is -, a number or END, and @ says that the shard starts where the
// group does.
func family(text string) *Machine {
	m := New(Config{ID: "a", Timing: TimingOf(4 * time.Second)})
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		id, parents, _ := strings.Cut(f[0], "<")
		row := Lease{Shard: Shard{ID: id}}
		if parents != "" {
			row.Parents = strings.Split(parents, ",")
		}
		switch f[1] {
		case "-":
		case "END":
			row.At = record.ShardEnd
		default:
			row.At.Sequence = f[1]
		}
		if len(f) > 2 {
			row.Start = time.UnixMilli(1)
		}
		m.accept(0, row, 0)
	}
	return m
}

func ids(m *Machine, which func(l *entry) bool) string {
	var out []string
	for _, l := range m.sorted() {
		if which(l) {
			out = append(out, l.id)
		}
	}
	return strings.Join(out, " ")
}

func TestParentsFirst(t *testing.T) {
	for name, c := range map[string]struct{ family, ready, seek string }{
		"no reshard":                                  {"0 -\n1 7", "0 1", ""},
		"a split":                                     {"0 7\n1<0 -\n2<0 -", "0", ""},
		"a split, parent finished":                    {"0 END\n1<0 -\n2<0 -", "1 2", ""},
		"a split of a split":                          {"0 END\n1<0 4\n2<0 END\n3<1 -\n4<1 -\n5<2 -\n6<2 -", "1 5 6", ""},
		"a merge":                                     {"0 END\n1 5\n2<0,1 -", "1", ""},
		"a merge, both finished":                      {"0 END\n1 END\n2<0,1 -", "2", ""},
		"children of different ages merged":           {"0 END\n1<0 END\n2<0 END\n3<2 END\n4<2 9\n5<1,3 -\n6<5,4 -", "4 5", ""},
		"a parent may turn up":                        {"7<3 -\n8 -", "8", "7"},
		"a parent of a merge may turn up":             {"0 END\n2<0,1 -\n3 9", "3", "2"},
		"one that was begun had its parents finished": {"7<3 5", "7", ""},
		"a shard that ended before the group started": {"0 - @\n1<0 - @\n2<0 - @", "0", ""},
	} {
		m := family(c.family)
		got := ids(m, func(l *entry) bool { return !l.row.Ended() && !m.orphan(l.row.Parents, l.row.At.IsStart()) })
		if seek := ids(m, m.unknownParent); got != c.ready || seek != c.seek {
			t.Errorf("%s: ready %q, want %q; to seek %q, want %q", name, got, c.ready, seek, c.seek)
		}
	}
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
		m := family(c.family)
		if got := m.startOf(m.leases["0"]); got.IsZero() != c.horizon {
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
		m := family(c.family)
		gone := m.outlived(parseShards(strings.Fields(c.listed)))
		if got := ids(m, func(l *entry) bool { return slices.Contains(gone, l) }); got != c.forgotten {
			t.Errorf("%s: forgotten %q, want %q", name, got, c.forgotten)
		}
	}
}

package figures

// Goal is what a figure is to be.
type Goal struct {
	What     string
	Most     float64
	Measured Spread
	// Account is the section of the page that says where the figure comes from, and
	// why it is no better, such as "receiving". A goal that is missed points there.
	Account string
}

// Goals are a table.
func Goals(goals []Goal) *Table {
	t := &Table{Head: []string{"", "goal at most", "measured", "met"}}
	for i := range goals {
		g := &goals[i]
		t.Add(g.What, Number(g.Most), g.Measured.Text(), g.met())
	}
	return t
}

func (g *Goal) met() string {
	switch {
	case g.Measured.N == 0:
		return "not measured"
	case g.Measured.Median <= g.Most:
		return "yes"
	case g.Account == "":
		return "no"
	}
	return "no: [why](#" + g.Account + ")"
}

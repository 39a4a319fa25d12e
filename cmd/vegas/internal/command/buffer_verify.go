package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newBufferVerify(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Read all of a buffer, and find what is damaged",
		Long: `Read all of a buffer, and find what is damaged. It changes nothing, and may look at a
buffer while a producer uses it.

Damage is mended by whoever opens the buffer and comes upon it: what cannot be read
is set aside in a file that begins with lost-, and counted, and all other records
are sent. What is called harmless costs no record, such as the unfinished write of a
process that was killed.

Exit code 0 says that nothing is damaged, 3 that something is.`,
		Args: exactArgs("DIR"),
		RunE: func(_ *cobra.Command, args []string) error { return e.verifyBuffer(args[0]) },
	}
}

// verification is what is told of a buffer that was read.
type verification struct {
	*disk.Report
	Found []disk.Problem `json:"found"`
}

func (e *env) verifyBuffer(dir string) error {
	v, style := verification{Found: []disk.Problem{}}, terminal.StyleFor(e.out)
	var failed error
	var err error
	v.Report, err = disk.Verify(dir, func(p disk.Problem) {
		if e.json() {
			v.Found = append(v.Found, p)
			return
		}
		what := style.Bad(p.What)
		if p.Harmless {
			what = p.What + style.Dim(" (harmless)")
		}
		if p.Records > 0 {
			what += style.Bad("; " + plural(int(p.Records), "record") + " lost")
		}
		if _, err := fmt.Fprintf(e.out, "%s, bytes %s to %s: %s\n", p.File, thousands(p.From), thousands(p.To), what); failed == nil {
			failed = err
		}
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case e.json():
		err = e.printJSON(v)
	case v.Problems == 0:
		_, err = fmt.Fprintf(e.out, "%s: %s for %s in %s: %s\n", dir, plural(int(v.Items), "record"), v.Label, plural(len(v.Segments), "file"), style.Good("nothing is damaged"))
	}
	if err != nil || v.Problems == 0 {
		return err
	}
	lost := "which costs no record"
	if v.LostNow > 0 {
		lost = "which costs " + plural(int(v.LostNow), "record")
	}
	return &partlyError{fmt.Errorf("durable buffer %s: damaged in %s, %s: the next producer, or \"vegas buffer drain\", sets aside what cannot be read and sends the rest (see docs/troubleshooting.md#buffer-corrupt)",
		dir, plural(v.Problems, "place"), lost)}
}

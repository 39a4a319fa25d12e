package command

import (
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/buffer/disk"
)

func newBuffer(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:     "buffer",
		Short:   "Look into a durable buffer, empty it, mend it",
		GroupID: "records",
		Long: `Look into the directory of a durable producer ("vegas produce --durable", or
o.Durable in a program), which keeps records until the stream has them.

  inspect   what is in it: how many records wait, since when, dead letters
  verify    read all of it, and find what is damaged
  drain     send all that waits
  replay    bring dead letters back

inspect and verify only read, and may look at a buffer while a producer uses it.
drain and replay need it for themselves: a producer that runs sends what is in its
buffer anyway, and makes them say so.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newBufferInspect(e), newBufferVerify(e), newBufferDrain(e), newBufferReplay(e))
	for _, sub := range c.Commands() {
		sub.ValidArgsFunction = completeDirectory
	}
	return c
}

// completeDirectory has the shell offer directories for DIR.
func completeDirectory(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// deadLetters counts those that are in a directory; if it is none, opening it
// tells.
func deadLetters(dir string) int64 {
	r, err := disk.Inspect(dir)
	if err != nil {
		return 0
	}
	return r.Dead
}

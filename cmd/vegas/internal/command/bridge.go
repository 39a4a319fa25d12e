package command

import (
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/engine"
)

func newBridge(_ *env) *cobra.Command {
	return &cobra.Command{
		Use:   "bridge",
		Short: "Be the engine of a program in another language",
		Long: `Be the engine of a program in another language.

The packages of Python, JavaScript and the others bring an engine of their own
along, start it and talk to it over its standard input and output. This is the
same one: VEGAS_ENGINE may name a script that runs "vegas bridge". It ends when
its standard input does, and ignores interrupts.`,
		Hidden: true,
		Args:   exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			engine.Main(stores.Extensions()...)
			return nil
		},
	}
}

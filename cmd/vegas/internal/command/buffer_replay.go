package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/disk"
)

func newBufferReplay(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "replay DIR",
		Short: "Bring dead letters back",
		Long: `Bring dead letters back: each becomes a record of the buffer again, behind those
that are in it, and is sent by the next producer or by "vegas buffer drain".

Mend first what made them dead letters; "vegas buffer inspect --dead" tells the
reasons. They get new identities, since consumers may have gone past the old ones.
So those of unknown outcome, which may be in the stream already, may then be there
twice: how many that concerns is said.`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.replay(cmd.Context(), args[0])
		},
	}
}

type replaySummary struct {
	Directory string `json:"directory"`
	Stream    string `json:"stream"`
	Replayed  int    `json:"replayed"`
	Unknown   int    `json:"unknown"` // of these: they may become duplicates
	Left      int64  `json:"left"`    // records that are now to be sent
}

func (e *env) replay(ctx context.Context, dir string) (err error) {
	label, err := disk.Label(dir) // it is not to make a buffer where there is none
	if err != nil {
		return err
	}
	log := disk.New(dir, func(o *disk.Options) { o.Logger = e.logger() })
	if err := log.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	s := replaySummary{Directory: dir, Stream: label}
	if err := log.Dead(ctx, func(d *buffer.Dead) bool {
		if d.Unknown {
			s.Unknown++
		}
		return true
	}); err != nil {
		return err
	}
	if s.Replayed, err = log.Replay(ctx); err != nil {
		return err
	}
	s.Left = log.Stats().Items
	if e.json() {
		return e.printJSON(s)
	}
	if s.Replayed == 0 {
		_, err = fmt.Fprintf(e.out, "%s: there are no dead letters\n", dir)
		return err
	}
	text := fmt.Sprintf("%s: %s came back, under new identities", dir, plural(s.Replayed, "dead letter"))
	if s.Unknown > 0 {
		text += fmt.Sprintf("; %s of them may be in the stream already, and become duplicates", thousands(int64(s.Unknown)))
	}
	if _, err := fmt.Fprintln(e.out, text); err != nil {
		return err
	}
	e.say("The next producer sends %s, or \"vegas buffer drain %s\".", plural(int(s.Left), "record"), dir)
	return nil
}

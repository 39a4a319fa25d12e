package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/input"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newProduce(e *env) *cobra.Command {
	p := &produce{e: e}
	c := &cobra.Command{
		Use:     "produce STREAM [FILE...]",
		Aliases: []string{"put"},
		Short:   "Send lines of text as records",
		GroupID: "records",
		Long: `Send lines of text as records, from files or standard input.

A line is a record, without its newline. What is compressed with gzip is unpacked.
Records of one partition key are stored in the order of their lines.
Where the key comes from:
  -K DELIMITER      what is before the first DELIMITER in the line; the rest is sent
  --key-json FIELD  a field of the JSON in the line, such as customer.id
  --key KEY         the same key for all lines: one order, and one shard
  (none of these)   a hash of the line: lines spread over all shards

A line that cannot be sent does not stop the others. It is told on standard
error and, with --failed, written to a file that can be sent again. The exit
code is 0 if all lines were stored and 3 if some were not.

` + durableHelp,
		Example: `  vegas produce orders < orders.txt
  vegas produce orders -K '\t' --failed failed.txt orders-*.tsv.gz
  tail -f app.log | vegas produce logs --key-json request.user
  tail -f app.log | vegas produce logs --durable /var/spool/logs`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("STREAM is missing")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return e.completeFirst(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p.keySet = cmd.Flags().Changed("key")
			if err := p.durable.check(cmd.Flags()); err != nil {
				return err
			}
			return p.run(cmd.Context(), args[0], args[1:])
		},
	}
	f := c.Flags()
	f.StringVarP(&p.delimiter, "key-delimiter", "K", "", "`text` between key and data; \\t is a tab")
	f.StringVar(&p.field, "key-json", "", "`field` of the line's JSON that holds the key")
	f.StringVar(&p.key, "key", "", "one `key` for all lines")
	f.StringVar(&p.failedFile, "failed", "", "`file` for lines that could not be sent")
	f.DurationVar(&p.linger, "linger", 10*time.Millisecond, "how long a record may wait for company")
	f.DurationVar(&p.deadline, "deadline", 2*time.Minute, "how long a record is tried; 0: for ever")
	f.BoolVar(&p.single, "no-aggregate", false, "a Kinesis record per line, for readers that cannot take aggregates apart; slow for few keys")
	p.durable.add(c)
	return c
}

type produce struct {
	e          *env
	delimiter  string
	field      string
	key        string
	keySet     bool
	failedFile string
	linger     time.Duration
	deadline   time.Duration
	single     bool
	durable    durable

	lines    *input.Reader
	split    input.Split
	producer *vegas.Producer
	started  time.Time

	read, accepted, bytes, notStored, unknown atomic.Int64 // accepted: stored, or safe in the directory

	mu        sync.Mutex
	failed    *bufio.Writer // nil without --failed
	failedErr error
	told      int
}

func (p *produce) run(ctx context.Context, stream string, files []string) error {
	var err error
	if p.split, err = p.chooseKey(); err != nil {
		return err
	}
	name, err := parseStream(stream)
	if err != nil {
		return err
	}
	if p.linger < 0 {
		return usagef("--linger %v: want 0 or more", p.linger)
	}
	if p.deadline < 0 {
		return usagef("--deadline %v: want 0 or more", p.deadline)
	}
	if p.lines, err = input.Open(files, p.e.in); err != nil {
		return err
	}
	cfg, err := p.e.awsConfig(ctx, name)
	if err != nil {
		return err
	}
	p.durable.dead = deadLetters(p.durable.dir)
	p.producer, err = vegas.NewProducer(stream, func(o *vegas.ProducerOptions) {
		o.AWS, o.Linger, o.Deadline, o.Aggregate, o.Logger = cfg, p.linger, p.deadline, !p.single, p.e.logger()
		o.Durable, o.DurableBytes, o.DurableAge = p.durable.dir, int64(p.durable.bytes), p.durable.age
	})
	switch {
	case err != nil && p.durable.dir != "":
		return err // of the directory
	case err != nil:
		return &usageError{err}
	}
	if p.durable.dir == "" { // lines that are kept are taken whatever the stream does
		if err := p.producer.Check(ctx); err != nil {
			return errors.Join(err, closeNow(p.producer))
		}
	}
	closeFailed, err := p.openFailed()
	if err != nil {
		return errors.Join(err, closeNow(p.producer))
	}
	p.started = time.Now()
	stopProgress, stopReport := p.progress(), p.durable.reportSafe(p.e.out)
	failure := p.sendAll(ctx)
	failure = errors.Join(failure, p.close(ctx))
	stopProgress()
	failure = errors.Join(failure, stopReport(), closeFailed())
	if p.durable.dir != "" {
		return p.keptLines(ctx, stream, failure)
	}
	if err := p.summary(stream); err != nil {
		return err
	}
	return p.verdict(ctx, stream, failure)
}

// close brings home what was accepted, also of an interrupted run.
func (p *produce) close(ctx context.Context) error {
	if p.durable.dir != "" {
		return p.leave(ctx)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(p.deadline, 30*time.Second))
	if ctx.Err() != nil {
		cancel()
		closing, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	}
	defer cancel()
	return p.producer.Close(closing)
}

// verdict is how the run ended.
func (p *produce) verdict(ctx context.Context, stream string, failure error) error {
	switch bad := p.notStored.Load() + p.unknown.Load(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case failure != nil && p.accepted.Load() > 0:
		return &partlyError{failure}
	case failure != nil:
		return failure
	case bad > 0:
		text := plural(int(bad), "line")
		if p.failedFile != "" {
			text += ", written to " + p.failedFile + ","
		}
		return &partlyError{fmt.Errorf("stream %q: %s could not be sent", stream, text)}
	}
	return nil
}

// closeNow closes a producer that has nothing to send.
func closeNow(p *vegas.Producer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return p.Close(ctx)
}

func (p *produce) chooseKey() (input.Split, error) {
	given := 0
	split := input.Split(input.Hash)
	if p.delimiter != "" {
		given++
		split = input.Delimiter(unescape(p.delimiter))
	}
	if p.field != "" {
		given++
		split = input.JSON(p.field)
	}
	if p.keySet {
		given++
		split = input.Constant(p.key)
	}
	if given > 1 {
		return nil, usagef("--key-delimiter, --key-json and --key exclude each other")
	}
	return split, nil
}

// unescape reads \t, \n, \0 and \\ as a shell's user writes them.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r", `\0`, "\x00").Replace(s)
}

// sendAll reads and sends until the input or ctx ends. Reading may block for
// ever, on a terminal say: it is then left behind.
func (p *produce) sendAll(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.durable.stop = stop
	ended := make(chan error, 1)
	go func() { ended <- p.sendLines(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *produce) sendLines(ctx context.Context) error {
	r := &vegas.Record{}
	for n := int64(1); ; n++ {
		line, err := p.lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.read.Add(1)
		key, data, err := p.split(line.Text)
		if err != nil {
			p.refused(n, line, err)
			continue
		}
		r.PartitionKey, r.Data = key, data
		if err := p.producer.SendAsync(ctx, r, p.answer(n, line, len(data))); err != nil {
			if ctx.Err() != nil || errors.Is(err, vegas.ErrClosed) {
				p.read.Add(-1)
				return err
			}
			p.refused(n, line, err)
		}
	}
}

// refused books a line that no attempt would send.
func (p *produce) refused(n int64, line input.Line, err error) {
	p.notStored.Add(1)
	p.tell(line.Place(), line.Text, err)
	p.durable.refused(n, err)
}

// answer books the result of the n-th line. It keeps the line's text only if a file
// wants it.
func (p *produce) answer(n int64, line input.Line, bytes int) func(vegas.Receipt, error) {
	source, number := line.Source, line.Number
	var text []byte
	if p.failed != nil {
		text = append(text, line.Text...)
	}
	return func(_ vegas.Receipt, err error) {
		if err == nil {
			p.accepted.Add(1)
			p.bytes.Add(int64(bytes))
			p.durable.settled(n)
			return
		}
		var failed *vegas.SendError
		if errors.As(err, &failed) && failed.Outcome == vegas.NotStored {
			p.notStored.Add(1)
		} else {
			p.unknown.Add(1)
		}
		p.tell(input.Line{Source: source, Number: number}.Place(), text, err)
		p.durable.failed(err)
	}
}

const toldAtMost = 10

// tell reports a failed line, the first few of them on standard error.
func (p *produce) tell(place string, text []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil && p.failedErr == nil {
		_, werr := p.failed.Write(append(slices.Clip(text), '\n'))
		p.failedErr = werr
	}
	switch p.told++; {
	case p.told <= toldAtMost:
		p.e.say("%s: %v", place, err)
	case p.told == toldAtMost+1:
		p.e.say("further lines that fail are counted, not told")
	}
}

// openFailed makes the file for failed lines and returns how to finish it.
func (p *produce) openFailed() (func() error, error) {
	if p.failedFile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(p.failedFile)
	if err != nil {
		return nil, fmt.Errorf("--failed: %w", err)
	}
	p.failed = bufio.NewWriter(f)
	return func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := errors.Join(p.failedErr, p.failed.Flush(), f.Close()); err != nil {
			return fmt.Errorf("--failed %s: %w", p.failedFile, err)
		}
		return nil
	}, nil
}

// progress shows how far it is: a bar on a terminal, otherwise a line now and
// then. It returns how to end it.
func (p *produce) progress() (stop func()) {
	if terminal.Is(p.e.err) && terminal.Is(p.e.in) {
		if _, total := p.lines.Progress(); total < 0 {
			p.e.say("Type lines, each is a record. Ctrl-D ends the input.")
			return func() {}
		}
	}
	return p.e.showWhile(p.bar)
}

func (p *produce) bar() string {
	read, total := p.lines.Progress()
	took := time.Since(p.started).Seconds()
	text := fmt.Sprintf("%s %s, %s/s", thousands(p.accepted.Load()), p.durable.done(), thousands(int64(float64(p.accepted.Load())/took)))
	if p.durable.dir != "" {
		text += fmt.Sprintf(", %s to send", thousands(p.producer.Stats().Durable.Items))
	}
	if bad := p.notStored.Load() + p.unknown.Load(); bad > 0 {
		text += fmt.Sprintf(", %s failed", thousands(bad))
	}
	if total <= 0 {
		return text
	}
	return gauge(float64(read)/float64(total)) + "  " + text
}

type produceSummary struct {
	Stream    string  `json:"stream"`
	Lines     int64   `json:"lines"`
	Stored    int64   `json:"stored"`
	Bytes     int64   `json:"bytes"`
	NotStored int64   `json:"not_stored"`
	Unknown   int64   `json:"unknown"`
	Seconds   float64 `json:"seconds"`
	Failed    string  `json:"failed_file,omitempty"`
}

func (p *produce) summary(stream string) error {
	s := produceSummary{stream, p.read.Load(), p.accepted.Load(), p.bytes.Load(), p.notStored.Load(), p.unknown.Load(),
		time.Since(p.started).Seconds(), p.failedFile}
	if p.e.json() {
		return p.e.printJSON(s)
	}
	style := terminal.StyleFor(p.e.out)
	text := fmt.Sprintf("%s: %s of %s stored, %s in %.1f s, %s/s", stream, style.Bold(thousands(s.Stored)), plural(int(s.Lines), "line"),
		size(float64(s.Bytes)), s.Seconds, thousands(int64(float64(s.Stored)/s.Seconds)))
	if s.NotStored > 0 {
		text += style.Bad(fmt.Sprintf("; %s not stored", thousands(s.NotStored)))
	}
	if s.Unknown > 0 {
		text += style.Bad(fmt.Sprintf("; %s of unknown outcome: sending them again may store them twice", thousands(s.Unknown)))
	}
	_, err := fmt.Fprintln(p.e.out, text)
	return err
}

// thousands writes a number with its thousands set apart.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/server"
	"github.com/libvegas/vegas/bench/usage"
	"github.com/libvegas/vegas/internal/foreign"
	"github.com/libvegas/vegas/internal/tail"
)

// runTime bounds one turn. The slowest take ten seconds.
const runTime = 2 * time.Minute

var errLate = fmt.Errorf("not done after %s", runTime)

// told is what a program says behind "done".
type told struct {
	Handled int       `json:"handled"`
	Twice   int       `json:"twice"`
	Seconds float64   `json:"seconds"` // from the first record that was handled to the last
	Micros  []float64 `json:"micros"`  // of each record, from send to its result
}

// result is what a turn has shown.
type result struct {
	turn
	records int // measured
	cpu     time.Duration
	wall    time.Duration
	told    told
	program int64 // bytes resident at most
	engine  int64
	err     error
}

// cpuMicros is the CPU time of a record.
func (r *result) cpuMicros() float64 { return float64(r.cpu) / 1e3 / float64(r.records) }

// rate is in records a second. A consumer's clock begins with its first record: what
// starting takes is in its CPU time only.
func (r *result) rate() float64 {
	return float64(r.records) / r.seconds()
}

// seconds is how long it took.
func (r *result) seconds() float64 { return cmp.Or(r.told.Seconds, r.wall.Seconds()) }

func (r *result) line(rounds int) string {
	head := fmt.Sprintf("%d/%d %-8s %-22s %-10s", r.round+1, rounds, r.role, r.task.name, r.language.name)
	switch {
	case r.err != nil:
		return head + " FAILED: " + r.err.Error()
	case r.role == latency:
		return fmt.Sprintf("%s p50 %.0f us, p99 %.0f us", head, quantile(r.told.Micros, 0.5), quantile(r.told.Micros, 0.99))
	case r.role == idle:
		return fmt.Sprintf("%s program %.1f MiB, engine %.1f MiB", head, mib(r.program), mib(r.engine))
	}
	return fmt.Sprintf("%s %7.2f us CPU %9.0f/s %5.1f s", head, r.cpuMicros(), r.rate(), r.seconds())
}

// runner runs programs one after the other.
type runner struct {
	server *server.Server
	aws    *kinesis.Client
	engine string
	short  bool
	rates  map[turn]float64 // records a second, by pace
	filled map[string]bool
	runs   int
	leave  []string // consumers of the turn
}

func newRunner(ctx context.Context, engine string, short bool) (*runner, error) {
	if _, err := usage.CPU(os.Getpid()); err != nil {
		return nil, err
	}
	srv, err := server.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &runner{server: srv, aws: kinesisAt(srv.Endpoint), engine: engine, short: short, rates: map[turn]float64{}, filled: map[string]bool{}}, nil
}

// kinesisAt is an SDK client for the server at an endpoint.
func kinesisAt(endpoint string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("AKIDPEER", "peer", "")),
	})
}

func (r *runner) close() error {
	var exit *exec.ExitError
	if err := r.server.Stop(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// run has a program take its turn.
func (r *runner) run(ctx context.Context, t turn) *result {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, errLate)
	defer cancel()
	res := &result{turn: t}
	res.err = r.measure(ctx, res)
	return res
}

func (r *runner) measure(ctx context.Context, res *result) (err error) {
	r.runs++
	records, warm := res.amount(r.short, r.rates[res.pace()])
	w := contest.Work{
		Stream: fmt.Sprintf("run-%d", r.runs), Shards: shards, Keys: keys,
		Size: res.task.size, Aggregated: res.task.aggregated, Records: records, Warm: warm,
	}
	res.records = w.Measured()
	defer func() {
		for _, arn := range r.leave {
			_, _ = r.aws.DeregisterStreamConsumer(context.WithoutCancel(ctx), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &arn})
		}
		r.leave = nil
	}()
	group, warmStream, warmGroup := "-", "-", "-"
	switch res.role {
	case consume, lines:
		res.records = records
		if w.Stream, group, err = r.filledStream(ctx, w, records); err == nil {
			warmStream, warmGroup, err = r.filledStream(ctx, w, warm)
		}
	default:
		_, err = r.server.Tell(server.Create, &w)
		defer func() {
			_, gone := r.server.Tell(server.Delete, &w)
			err = errors.Join(err, gone)
		}()
	}
	if err != nil {
		return err
	}
	aggregated := "0"
	if w.Aggregated {
		aggregated = "1"
	}
	args := []string{string(res.role), w.Stream, group, warmStream, warmGroup}
	for _, n := range []int{w.Size, records, warm, keys} {
		args = append(args, strconv.Itoa(n))
	}
	args = append(append(append([]string{}, res.language.program.args...), args...), aggregated)
	if res.role == lines {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		args = append([]string{exe, "daemon", w.Stream, warmStream, strconv.Itoa(records), strconv.Itoa(warm), r.warmTime(res.language).String()}, args...)
	}
	if err := r.watch(ctx, res, args); err != nil {
		return err
	}
	return r.complete(res, &w)
}

// warmTime is how long the daemon warms a program up.
func (r *runner) warmTime(l *language) time.Duration {
	switch {
	case r.short:
		return 0
	case l.compiles:
		return 2 * time.Second
	}
	return 500 * time.Millisecond
}

// filledStream is a stream of so many records, and a consumer for fan-out of this turn
// alone.
func (r *runner) filledStream(ctx context.Context, w contest.Work, records int) (stream, arn string, err error) {
	w.Stream, w.Records = fmt.Sprintf("filled-%d-%d", w.Size, records), records
	if !r.filled[w.Stream] {
		for _, do := range []string{server.Create, server.Fill} {
			if _, err := r.server.Tell(do, &w); err != nil {
				return "", "", err
			}
		}
		r.filled[w.Stream] = true
	}
	st, err := r.aws.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &w.Stream})
	if err != nil {
		return "", "", err
	}
	stream = *st.StreamDescriptionSummary.StreamARN
	c, err := r.aws.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: &stream, ConsumerName: aws.String(fmt.Sprintf("run-%d", r.runs)),
	})
	if err != nil {
		return "", "", err
	}
	r.leave = append(r.leave, *c.Consumer.ConsumerARN)
	return w.Stream, *c.Consumer.ConsumerARN, nil
}

// watch runs a program, and reads what it cost between its "begin" and its "end".
func (r *runner) watch(ctx context.Context, res *result, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = foreign.Environment(append(res.language.program.env, "AWS_ENDPOINT_URL="+r.server.Endpoint, "VEGAS_ENGINE="+r.engine)...)
	var said tail.Tail
	cmd.Stderr, cmd.WaitDelay = &said, time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	err = r.between(res, in, out, cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_ = in.Close()
	if ended := cmd.Wait(); err != nil || ended != nil {
		return fmt.Errorf("%w in %s %s\n%s", errors.Join(err, ended, context.Cause(ctx)), res.language.title, res.role, &said)
	}
	return nil
}

// between reads the program's lines. It answers "begin" and "end" when it has looked:
// the program waits for that, or it would be far ahead where the machine is busy.
func (r *runner) between(res *result, in io.Writer, out io.Reader, pid int) error {
	var begin, end contest.Reading
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var err error
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "begin":
			if begin, err = usage.Of(pid, r.server.PID()); err == nil {
				begin.At = time.Now() // looking has taken a while
				_, err = io.WriteString(in, "\n")
			}
		case "end":
			if end, err = usage.Of(pid, r.server.PID()); err == nil {
				_, err = io.WriteString(in, "\n")
			}
		case "done":
			if begin.At.IsZero() || end.At.IsZero() {
				return errors.New(`"done" without a "begin" and an "end"`)
			}
			res.cpu, res.wall = end.Client-begin.Client, end.At.Sub(begin.At)
			if res.program, res.engine, err = residents(pid); err != nil {
				return err
			}
			return json.Unmarshal([]byte(rest), &res.told)
		}
		if err != nil {
			return err
		}
	}
	return errors.New(`it ended without a "done"`)
}

// residents are what a program and those that it has started had resident at most.
func residents(pid int) (program, children int64, err error) {
	program, err = usage.Peak(pid)
	tree := usage.Tree(pid)
	if err != nil || len(tree) == 1 {
		return program, 0, err
	}
	children, err = usage.Peak(tree[1])
	return program - children, children, err
}

// complete tells what is missing after a turn.
func (r *runner) complete(res *result, w *contest.Work) error {
	switch res.role {
	case consume, lines, idle:
		if res.told.Handled != w.Records || res.told.Twice > 0 {
			return fmt.Errorf("%d of %d records were handled, and %d of them again", res.told.Handled, w.Records, res.told.Twice)
		}
		return nil
	case latency:
		if len(res.told.Micros) != res.records {
			return fmt.Errorf("%d of %d records were timed", len(res.told.Micros), res.records)
		}
	}
	s, err := r.server.Tell(server.Count, w)
	if err != nil {
		return err
	}
	if s.Distinct != w.Records || s.Wrong > 0 || s.Rekeyed > 0 {
		return fmt.Errorf("%d of %d records are stored, %d that are none of them, %d under another's key", s.Distinct, w.Records, s.Wrong, s.Rekeyed)
	}
	if res.role != sdk && (s.Twice > 0 || s.Behind > 0) {
		return fmt.Errorf("%d records are stored twice, %d behind a newer one of their key", s.Twice, s.Behind)
	}
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

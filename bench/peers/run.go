package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/server"
	"github.com/libvegas/vegas/bench/usage"
	"github.com/libvegas/vegas/internal/foreign"
	"github.com/libvegas/vegas/internal/tail"
)

// runTime bounds one run of one contender. The slowest take a minute.
const runTime = 3 * time.Minute

var errLate = fmt.Errorf("not done after %s", runTime)

// result is what one run of one contender has shown.
type result struct {
	contender *contest.Contender
	task      *task
	round     int
	records   int // measured
	cpu       time.Duration
	server    time.Duration // of CPU, over the same time
	wall      time.Duration
	done      contest.Done
	resident  int64
	stored    server.Stored // of a producer
	err       error
}

func (r *result) cpuMicros() float64    { return r.perRecord(float64(r.cpu) / 1e3) }
func (r *result) serverMicros() float64 { return r.perRecord(float64(r.server) / 1e3) }
func (r *result) allocated() float64    { return r.perRecord(float64(r.done.Allocated)) }
func (r *result) residentMiB() float64  { return float64(r.resident) / (1 << 20) }
func (r *result) rate() float64         { return float64(r.records) / r.wall.Seconds() }

func (r *result) perRecord(x float64) float64 { return x / float64(r.records) }

// runner runs contenders one after the other.
type runner struct {
	server  *server.Server
	aws     *kinesis.Client // for what is done over the wire, outside of what is measured
	dir     string          // of this session
	profile string          // "" or a directory
	java    *javaParts      // nil: no Java
	filled  map[string]bool
	begun   func() // nil, or called when a client is warm
	runs    int
}

// run has c do its task once.
func (r *runner) run(ctx context.Context, c *contest.Contender, t *task, round int) *result {
	res := &result{contender: c, task: t, round: round}
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, errLate)
	defer cancel()
	res.err = r.measure(ctx, res)
	if res.err == nil {
		res.err = complete(res)
	}
	return res
}

func (r *runner) measure(ctx context.Context, res *result) (err error) {
	r.runs++
	w := res.task.work(res.contender)
	w.Endpoint, w.TLS, w.ServerPID = r.server.Endpoint, r.server.TLS, r.server.PID()
	w.Dir = filepath.Join(r.dir, fmt.Sprintf("run-%d", r.runs))
	if err := os.Mkdir(w.Dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(w.Dir)
	switch res.task.side {
	case contest.Produce:
		w.Stream = fmt.Sprintf("run-%d", r.runs)
		if _, err := r.server.Tell(server.Create, &w); err != nil {
			return err
		}
		defer func() {
			if _, gone := r.server.Tell(server.Delete, &w); gone != nil {
				err = errors.Join(err, gone)
			}
		}()
	case contest.Consume:
		w.Stream = stream(&w)
		if err := r.fill(&w); err != nil {
			return err
		}
		arn, leave, err := r.register(ctx, w.Stream)
		if err != nil {
			return err
		}
		defer leave()
		w.ConsumerARN = arn
	}
	if res.contender.DynamoDB {
		if w.DynamoDB, err = r.java.tables(ctx); err != nil {
			return err
		}
	}
	res.records = w.Measured()
	if err := r.watch(ctx, res, &w); err != nil {
		return err
	}
	if res.task.side == contest.Produce {
		res.stored, err = r.server.Tell(server.Count, &w)
	}
	return err
}

// fill makes the stream that consumers who have this work read, once.
func (r *runner) fill(w *contest.Work) error {
	if r.filled[w.Stream] {
		return nil
	}
	if _, err := r.server.Tell(server.Create, w); err != nil {
		return err
	}
	if _, err := r.server.Tell(server.Fill, w); err != nil {
		return err
	}
	r.filled[w.Stream] = true
	return nil
}

// register makes a consumer for fan-out, of this run alone: positions of another
// one's subscription are not in its way.
func (r *runner) register(ctx context.Context, stream string) (arn string, leave func(), err error) {
	st, err := r.aws.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
	if err != nil {
		return "", nil, err
	}
	c, err := r.aws.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: st.StreamDescriptionSummary.StreamARN, ConsumerName: aws.String(fmt.Sprintf("run-%d", r.runs)),
	})
	if err != nil {
		return "", nil, err
	}
	return *c.Consumer.ConsumerARN, func() {
		_, _ = r.aws.DeregisterStreamConsumer(context.WithoutCancel(ctx), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: c.Consumer.ConsumerARN})
	}, nil
}

// watch runs the contender's process and reads what it cost between its "begin"
// and its "end".
func (r *runner) watch(ctx context.Context, res *result, w *contest.Work) error {
	cmd, err := r.command(ctx, res, w)
	if err != nil {
		return err
	}
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
		return err
	}
	err = r.between(res, out, cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_ = in.Close()
	if ended := cmd.Wait(); err != nil || ended != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(err, cause)
		}
		return fmt.Errorf("%w %w\n%s", errors.Join(err, ended), errRun, &said)
	}
	return nil
}

var errRun = errors.New("in the contender's process")

// between reads the process's lines.
func (r *runner) between(res *result, out io.Reader, pid int) error {
	var begin, end contest.Reading
	look := func(rest string) (reading contest.Reading, err error) {
		if rest != "" {
			return reading, json.Unmarshal([]byte(rest), &reading)
		}
		return usage.Of(pid, r.server.PID())
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var err error
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "begin":
			begin, err = look(rest)
			if r.begun != nil {
				r.begun()
			}
		case "end":
			end, err = look(rest)
		case "done":
			if begin.At.IsZero() || end.At.IsZero() {
				return errors.New(`"done" without a "begin" and an "end"`)
			}
			res.cpu, res.wall, res.server = end.Client-begin.Client, end.At.Sub(begin.At), end.Server-begin.Server
			if res.resident, err = usage.Peak(pid); err != nil {
				return err
			}
			return json.Unmarshal([]byte(rest), &res.done)
		} // what libraries print is passed over
		if err != nil {
			return err
		}
	}
	return errors.New(`it ended without a "done"`)
}

// command is the contender's process.
func (r *runner) command(ctx context.Context, res *result, w *contest.Work) (*exec.Cmd, error) {
	work, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	c := res.contender
	if c.Java != "" {
		return r.java.command(ctx, c, string(work)), nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"client"}
	if r.profile != "" {
		name := strings.Trim(notWord.ReplaceAllString(fmt.Sprintf("%s-%s-%s", c.Side, c.Name, res.task.name), "-"), "-")
		args = append(args, "-profile", filepath.Join(r.profile, fmt.Sprintf("%s-%d.prof", name, res.round)))
	}
	cmd := exec.CommandContext(ctx, exe, append(args, string(c.Side), c.Name, string(work))...)
	cmd.Env = foreign.Environment()
	return cmd, nil
}

var notWord = regexp.MustCompile(`\W+`)

// complete tells what is missing after a run. Others' duplicates and their order
// are told of; vegas' are failures.
func complete(r *result) error {
	records := r.task.work(r.contender).Records
	if r.task.side == contest.Consume {
		if r.done.Handled != records {
			return fmt.Errorf("%d of %d records were handled", r.done.Handled, records)
		}
		if ours(r.contender) && r.done.Twice > 0 {
			return fmt.Errorf("%d records were handled twice", r.done.Twice)
		}
		return nil
	}
	s := r.stored
	if s.Distinct != records || s.Wrong > 0 {
		return fmt.Errorf("%d of %d records are stored, and %d that are none of them", s.Distinct, records, s.Wrong)
	}
	if ours(r.contender) && r.remark() != "" {
		return errors.New(strings.TrimPrefix(r.remark(), ", "))
	}
	return nil
}

// ours tells vegas from its peers.
func ours(c *contest.Contender) bool { return strings.HasPrefix(c.Name, "vegas") }

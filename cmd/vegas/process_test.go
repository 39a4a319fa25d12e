package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"go/build"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store/file"
)

// serve runs an embedded Kinesis without limits for processes of this test.
func serve(t *testing.T, shards int) (*localkinesis.Server, []string) {
	t.Helper()
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.NoLimits, o.StateDelay = true, 0
		o.Streams = map[string]int{"orders": shards}
	})
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// Its first answer says that it serves, which Server.AWS needs.
	answer, err := http.Get("http://" + l.Addr().String() + "/_vegas/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return srv, append(os.Environ(), "AWS_ENDPOINT_URL_KINESIS=http://"+l.Addr().String(),
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
}

// cli is vegas as a process: this test's own binary.
func cli(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Path: self, Args: append([]string{"vegas"}, args...), Env: env}
}

// draw is what a test draws from, anew each time unless the flag of that name sets
// its seed, and how to draw the same again.
func draw(t *testing.T, flag string, seed uint64) (random *rand.Rand, again string) {
	t.Helper()
	if seed == 0 {
		seed = rand.Uint64()
	}
	again = fmt.Sprintf("-%s=%d", flag, seed)
	t.Log(again)
	return rand.New(rand.NewPCG(seed, 1)), again
}

// reshapes splits and merges the shards of orders, one step a call, while there are
// steps.
func reshapes(t *testing.T, srv *localkinesis.Server) (next func()) {
	steps := []func() error{
		func() error { _, _, err := srv.Split("orders", "shardId-000000000000", ""); return err },
		func() error {
			_, err := srv.Merge("orders", "shardId-000000000001", "shardId-000000000002")
			return err
		},
	}
	return func() {
		t.Helper()
		if len(steps) == 0 {
			return
		}
		if err := steps[0](); err != nil {
			t.Fatal(err)
		}
		steps = steps[1:]
	}
}

// TestRealFileComesBack sends the source of the standard library, each line
// under the name of its file, while shards split and merge, and puts the files
// together again from what arrives.
func TestRealFileComesBack(t *testing.T) {
	const linesMax = 300_000
	if testing.Short() {
		t.Skip("some seconds of work")
	}
	srv, env := serve(t, 3)
	want := map[string]*bytes.Buffer{}
	lines := 0
	name := filepath.Join(t.TempDir(), "source.gz")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	zipped, _ := gzip.NewWriterLevel(out, gzip.BestSpeed)
	src := filepath.Join(build.Default.GOROOT, "src")
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || lines >= linesMax {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, _ := filepath.Rel(src, path)
		want[key] = &bytes.Buffer{}
		for line := range bytes.Lines(text) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			fmt.Fprintf(want[key], "%s\n", line)
			fmt.Fprintf(zipped, "%s\t%s\n", key, line)
			lines++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if lines < linesMax {
		t.Fatalf("%s has %d lines: is that the standard library?", src, lines)
	}

	reshape := []*localkinesis.Injected{
		srv.Inject(localkinesis.Fault{Do: localkinesis.Split, Op: "PutRecords", After: 4, Count: 1}),
		srv.Inject(localkinesis.Fault{Do: localkinesis.Merge, Op: "PutRecords", After: 8, Count: 1}),
		srv.Inject(localkinesis.Fault{Do: localkinesis.Split, Op: "PutRecords", After: 12, Count: 1}),
	}
	produce := cli(t, env, "produce", "orders", "-K", `\t`, name)
	told, err := produce.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var sums bytes.Buffer
	produce.Stdout = &sums
	if err := produce.Start(); err != nil {
		t.Fatal(err)
	}
	var errors bytes.Buffer
	_, _ = errors.ReadFrom(told)
	if err := produce.Wait(); err != nil {
		t.Fatalf("produce: %v: %s", err, &errors)
	}
	for _, step := range reshape {
		if step.Fired() != 1 {
			t.Error("a split or merge did not happen: fewer requests than thought")
		}
	}
	t.Logf("%s", bytes.TrimSpace(sums.Bytes()))

	consume := cli(t, env, "consume", "orders", "--until-tip", "--format", `%k\t%v\n`)
	got, err := consume.Output()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]*bytes.Buffer{}
	for line := range bytes.Lines(got) {
		key, text, _ := bytes.Cut(line, []byte("\t"))
		b := have[string(key)]
		if b == nil {
			b = &bytes.Buffer{}
			have[string(key)] = b
		}
		b.Write(text)
	}
	for key, text := range want {
		if have[key] == nil && text.Len() > 0 || have[key] != nil && !bytes.Equal(have[key].Bytes(), text.Bytes()) {
			t.Errorf("%s did not come back as it was", key)
		}
	}
	if len(have) > len(want) {
		t.Errorf("%d keys became %d", len(want), len(have))
	}
}

// TestKilledConsumerLosesNothing kills a consumer at any moment and compares
// what its reader got with what it had checkpointed: every record that a
// checkpoint covers must have been written.
func TestKilledConsumerLosesNothing(t *testing.T) {
	records, rounds := 20_000, 6
	if testing.Short() {
		rounds = 2
	}
	_, env := serve(t, 2)
	produce := cli(t, env, "produce", "orders")
	var input bytes.Buffer
	for i := range records {
		fmt.Fprintf(&input, "record %d %s\n", i, strings.Repeat(".", 100))
	}
	produce.Stdin = &input
	if out, err := produce.CombinedOutput(); err != nil {
		t.Fatalf("produce: %v: %s", err, out)
	}
	all, err := cli(t, env, "consume", "orders", "--until-tip", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]record.Position{}
	for line := range bytes.Lines(all) {
		shard, p := parse(t, line)
		stored[shard] = append(stored[shard], p)
	}

	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	checkpoints := 0
	for round := range rounds {
		group := fmt.Sprintf("g%d", round)
		consume := cli(t, append(env, "VEGAS_STORE=file:"+dir), "consume", "orders", "--group", group, "-o", "json", "--save-every", "1ms")
		out, err := consume.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := consume.Start(); err != nil {
			t.Fatal(err)
		}
		got := map[string]map[record.Position]bool{}
		lines := bufio.NewReader(out)
		for n, kill := 0, 1100+random.IntN(records-2200); ; n++ {
			if n == kill {
				standStill(t, dir, group)
				if err := consume.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			line, err := lines.ReadBytes('\n')
			if err != nil {
				break // the end; a line that was cut by the kill was not checkpointed either
			}
			shard, p := parse(t, line)
			if got[shard] == nil {
				got[shard] = map[record.Position]bool{}
			}
			got[shard][p] = true
		}
		_ = consume.Wait() // killed

		for shard, at := range checkpointed(t, dir, group) {
			if at.IsStart() {
				continue
			}
			checkpoints++
			if stored[shard] == nil {
				t.Fatalf("the store names a shard %q that has no records", shard)
			}
			for _, p := range stored[shard] {
				if p.Compare(at) <= 0 && !got[shard][p] {
					t.Errorf("round %d: %s is checkpointed at %v, but %v was not written", round, shard, at, p)
					break
				}
			}
		}
	}
	if checkpoints < rounds {
		t.Errorf("%d checkpoints in %d rounds: nothing was put to the test", checkpoints, rounds)
	}
}

func parse(t *testing.T, line []byte) (shard string, p record.Position) {
	t.Helper()
	var r struct {
		Shard, Sequence string
		Sub             int64 `json:"sub_sequence"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return r.Shard, record.Position{Sequence: r.Sequence, SubSequence: r.Sub}
}

// standStill returns when the group has positions and they do not move any more:
// the consumer waits for its reader.
func standStill(t *testing.T, dir, group string) {
	t.Helper()
	last := checkpointed(t, dir, group)
	for same := 0; same < 300; same++ {
		now := checkpointed(t, dir, group)
		started := false
		for _, p := range now {
			started = started || !p.IsStart()
		}
		if !started || !maps.Equal(now, last) {
			same, last = 0, now
		}
	}
}

// checkpointed reads a group's positions from its rows.
func checkpointed(t *testing.T, dir, group string) map[string]record.Position {
	t.Helper()
	s := file.New(dir)
	defer func() { _ = s.Close() }()
	rows, err := s.List(context.Background(), group, "lease#")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]record.Position{}
	for _, row := range rows {
		p := record.Position{Sequence: row.Fields["sequence"]}
		_, _ = fmt.Sscan(row.Fields["sub_sequence"], &p.SubSequence)
		out[row.ID[strings.LastIndexByte(row.ID, ':')+1:]] = p // lease#STREAM:shardId-…
	}
	return out
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/foreign"
	"github.com/libvegas/vegas/internal/tail"
)

// javaParts are the peers that run in a JVM, and the table service that some want.
type javaParts struct {
	root      string
	classPath string
	dynamo    *tableService // nil until somebody wants it
}

// errNotWanted: nobody who was chosen needs Java.
var errNotWanted = errors.New("none of the chosen contenders needs it")

// findJava compiles the classes of bench/peers/java with jars of Maven Central,
// once; they stay in .cache. Its error says what is missing.
func findJava(ctx context.Context, root string, s *settings) (*javaParts, error) {
	wanted := false
	for _, t := range tasks(s.records) {
		for _, i := range s.chosen(t) {
			wanted = wanted || contenders[i].Java != "" || contenders[i].DynamoDB
		}
	}
	if !wanted {
		return nil, errNotWanted
	}
	if err := foreign.Need("java", "a JDK 17 or later"); err != nil {
		return nil, err
	}
	p := foreign.Place{Cache: filepath.Join(root, ".cache", "bench"), Sources: filepath.Join(root, "bench", "peers", "java")}
	jars, err := p.Install(ctx, "jars", []string{"pom.xml"}, func(ctx context.Context, dir string) error {
		return foreign.Jars(ctx, filepath.Join(p.Sources, "pom.xml"), dir)
	})
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(p.Sources, "*.java"))
	if err != nil {
		return nil, err
	}
	inputs := []string{"pom.xml"}
	for _, file := range files {
		inputs = append(inputs, filepath.Base(file))
	}
	classes, err := p.Install(ctx, "classes", inputs, func(ctx context.Context, dir string) error {
		return foreign.Classes(ctx, jars, dir, files...)
	})
	if err != nil {
		return nil, err
	}
	return &javaParts{root: root, classPath: foreign.ClassPath(classes, jars)}, nil
}

// command is the process of a contender in a JVM.
func (j *javaParts) command(ctx context.Context, c *contest.Contender, work string) *exec.Cmd {
	args := append([]string{"-cp", j.classPath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", c.Java}, c.JavaArgs...)
	cmd := exec.CommandContext(ctx, "java", append(args, work)...)
	cmd.Env = foreign.Environment()
	return cmd
}

// tables gives the endpoint of DynamoDB Local, which it starts when it is asked
// first.
func (j *javaParts) tables(ctx context.Context) (string, error) {
	if j.dynamo == nil {
		argv, err := foreign.DynamoDB(ctx, j.root)
		if err != nil {
			return "", err
		}
		if j.dynamo, err = startTables(argv, time.Minute); err != nil {
			return "", fmt.Errorf("DynamoDB Local: %w", err)
		}
	}
	return j.dynamo.endpoint, nil
}

// stop ends the table service.
func (j *javaParts) stop() {
	if j != nil && j.dynamo != nil {
		j.dynamo.stop()
	}
}

// tableService is a process of DynamoDB Local.
type tableService struct {
	endpoint string
	end      context.CancelFunc
	ended    chan struct{}
}

// startTables waits until the process says where it listens.
func startTables(argv []string, patience time.Duration) (*tableService, error) {
	ctx, end := context.WithCancel(context.Background()) // until stop
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said tail.Tail
	cmd.Env, cmd.Stderr, cmd.WaitDelay = foreign.Environment(), &said, time.Second
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		end()
		return nil, err
	}
	s := &tableService{end: end, ended: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), foreign.DynamoDBReady); ok && len(ready) == 0 {
				ready <- at
			}
		}
		_ = cmd.Wait() // ProcessState has what it tells
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case s.endpoint = <-ready:
		return s, nil
	case <-s.ended:
		s.stop()
		return nil, fmt.Errorf("it ended before it was ready: %s\n%s", cmd.ProcessState, &said)
	case <-late.C:
		s.stop()
		return nil, fmt.Errorf("it was not ready after %s\n%s", patience, &said)
	}
}

func (s *tableService) stop() {
	s.end()
	<-s.ended
}

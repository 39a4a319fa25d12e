package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/contest"
)

// installTime bounds one command of an installation.
const installTime = 15 * time.Minute

// javaParts are the peers that run in a JVM, and the table service that some want.
type javaParts struct {
	root, cache string
	classPath   string
	dynamo      *exec.Cmd // nil until somebody wants it
	dynamoAt    string
	dynamoIn    context.CancelFunc
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
	for program, what := range map[string]string{"java": "a JDK 17 or later", "javac": "a JDK 17 or later", "mvn": "Maven 3.8 or later"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not on the PATH: install %s", program, what)
		}
	}
	j := &javaParts{root: root, cache: filepath.Join(root, ".cache", "bench")}
	sources := filepath.Join(root, "bench", "peers", "java")
	pom := filepath.Join(sources, "pom.xml")
	jars, err := j.install(ctx, "jars", []string{pom}, func(dir string) error {
		return command(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	})
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(sources, "*.java"))
	if err != nil {
		return nil, err
	}
	classes, err := j.install(ctx, "classes", append(slices.Clone(files), pom), func(dir string) error {
		args := []string{"-proc:none", "-cp", filepath.Join(jars, "*"), "-d", dir} // there are processors among the jars, and they take a minute
		return command(ctx, "javac", append(args, files...)...)
	})
	if err != nil {
		return nil, err
	}
	j.classPath = classes + string(filepath.ListSeparator) + filepath.Join(jars, "*")
	return j, nil
}

// command is the process of a contender in a JVM.
func (j *javaParts) command(ctx context.Context, c *contest.Contender, work string) *exec.Cmd {
	args := append([]string{"-cp", j.classPath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", c.Java}, c.JavaArgs...)
	cmd := exec.CommandContext(ctx, "java", append(args, work)...)
	cmd.Env = environment()
	return cmd
}

// tables gives the endpoint of DynamoDB Local, which it starts when it is asked
// first.
func (j *javaParts) tables(ctx context.Context) (string, error) {
	if j.dynamo != nil {
		return j.dynamoAt, nil
	}
	sources := filepath.Join(j.root, "peers", "dynamodb")
	pom, class := filepath.Join(sources, "pom.xml"), filepath.Join(sources, "DynamoLocal.java")
	dir, err := j.install(ctx, "dynamodb", []string{pom, class}, func(dir string) error {
		if err := command(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+dir); err != nil {
			return err
		}
		// The libraries of SQLite are looked for without their versions.
		const version = "-1.0.392"
		natives, err := filepath.Glob(filepath.Join(dir, "*"+version+".*"))
		if err != nil {
			return err
		}
		for _, file := range natives {
			if strings.HasSuffix(file, ".jar") {
				continue
			}
			if err := os.Rename(file, strings.Replace(file, version, "", 1)); err != nil {
				return err
			}
		}
		return command(ctx, "javac", "-proc:none", "-cp", filepath.Join(dir, "*"), "-d", dir, class)
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until stop
	cmd := exec.CommandContext(ctx, "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djava.library.path="+dir,
		"-cp", dir+string(filepath.ListSeparator)+filepath.Join(dir, "*"), "DynamoLocal")
	cmd.Env = environment()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return "", err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "listening on "); ok {
			j.dynamo, j.dynamoAt, j.dynamoIn = cmd, at, cancel
			go func() { // what it says later is in nobody's way
				for lines.Scan() {
				}
			}()
			return at, nil
		}
	}
	cancel()
	return "", fmt.Errorf("DynamoDB Local did not start: %w", cmd.Wait())
}

// stop ends the table service.
func (j *javaParts) stop() {
	if j != nil && j.dynamo != nil {
		j.dynamoIn()
		_ = j.dynamo.Wait()
	}
}

// install runs build for an empty folder of its own, unless that was done before
// with the same contents of inputs.
func (j *javaParts) install(_ context.Context, name string, inputs []string, build func(dir string) error) (string, error) {
	hash := sha256.New()
	for _, file := range inputs {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("install %s: %w", name, err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(b), b)
	}
	dir := filepath.Join(j.cache, name+"-"+hex.EncodeToString(hash.Sum(nil))[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(j.cache, 0o755); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	// It gets its name when it is whole, so that a half is never taken for it.
	making, err := os.MkdirTemp(j.cache, name+"-making-")
	if err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	defer os.RemoveAll(making)
	if err := build(making); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	if err := os.Rename(making, dir); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return dir, nil
}

// command runs one step of an installation. Its error carries the command and the
// end of what it printed: a registry that refuses says so there.
func command(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	last := bytes.Join(lines[max(0, len(lines)-15):], []byte("\n"))
	return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, last)
}

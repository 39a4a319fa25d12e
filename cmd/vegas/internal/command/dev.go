package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/localkinesis"
)

func newDev(e *env) *cobra.Command {
	var d dev
	c := &cobra.Command{
		Use:     "dev [flags] [-- COMMAND [ARGUMENT...]]",
		Short:   "Run an embedded Kinesis for any AWS SDK",
		GroupID: "try",
		Long: `Run an embedded Kinesis for any AWS SDK, on this machine, without an account.

It prints what to export; standard output is a piece of shell that can be read
with "." by one, or with --output json one line of JSON. Everything it stores is
in memory and gone when it ends. It is strict: the limits, states and errors are
those of the service, so that a program that works here works there.

With a COMMAND it runs that with the environment set, and ends with it.

Misbehaviour can be ordered while it runs (throttling, dropped answers and
more): see docs/localkinesis.md.`,
		Example: `  vegas dev --stream orders:2
  vegas dev --port 0 --stream orders:4 -- npm test
  vegas dev > env.sh & sleep 1; . ./env.sh; vegas streams list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usagef("unexpected argument %q: a command to run comes after --", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d.e, d.command = e, args
			return d.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.StringArrayVar(&d.streams, "stream", nil, "`name:shards` of a stream to create; may be repeated")
	f.IntVar(&d.port, "port", 4567, "TCP port on the loopback interface; 0 takes a free one")
	f.StringVar(&d.listen, "listen", "127.0.0.1", "`address` of the interface to listen on")
	f.BoolVar(&d.tls, "tls", false, "serve HTTPS, with a certificate authority of its own")
	f.StringVar(&d.store, "store", "", "`directory` for the positions of consumer groups; default: one per port in the user's cache directory")
	f.BoolVar(&d.noLimits, "no-limits", false, "do not enforce the service's limits on throughput and call rates")
	f.DurationVar(&d.delay, "state-delay", 500*time.Millisecond, "how long streams stay CREATING, UPDATING and DELETING")
	return c
}

type dev struct {
	e        *env
	streams  []string
	port     int
	listen   string
	tls      bool
	store    string
	noLimits bool
	delay    time.Duration
	command  []string

	authority string // file of the certificate to trust, with TLS
}

func (d *dev) run(ctx context.Context) error {
	if d.port < 0 || d.port > 65535 {
		return usagef("--port %d: want 1 to 65535, or 0 for a free one", d.port)
	}
	shards := map[string]int{}
	for _, s := range d.streams {
		name, n, err := parseStreamShards(s)
		if err != nil {
			return err
		}
		if _, twice := shards[name]; twice {
			return usagef("--stream %s: the stream is named twice", s)
		}
		shards[name] = n
	}
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.Streams, o.NoLimits, o.StateDelay = shards, d.noLimits, d.delay
		if d.e.verbose {
			o.Log = d.e.logger()
		}
	})
	l, err := localkinesis.Listen(net.JoinHostPort(d.listen, strconv.Itoa(d.port)))
	if err != nil {
		if strings.Contains(err.Error(), "in use") {
			return fmt.Errorf("%w: choose another --port, or 0 for a free one", err)
		}
		return err
	}
	served := make(chan error, 1)
	ended := make(chan error, 1)
	go func() {
		if d.tls {
			served <- srv.ServeTLS(l)
			return
		}
		served <- srv.Serve(l)
	}()
	vars, err := d.environment(l)
	if err == nil {
		err = awaitServing(ctx, vars[0].value)
	}
	if err == nil && d.tls {
		err = d.writeAuthority(srv)
	}
	if err == nil {
		if len(d.command) > 0 {
			go func() { ended <- d.runCommand(ctx, vars) }()
		} else if err = d.announce(d.e.out, vars, shards); err == nil {
			context.AfterFunc(ctx, func() { ended <- nil })
		}
	}
	if err == nil {
		select {
		case err = <-served:
			return err // it ended by itself
		case err = <-ended:
		}
	}
	return errors.Join(err, srv.Close(), <-served)
}

// parseStreamShards reads "name:shards" or "name".
func parseStreamShards(s string) (string, int, error) {
	name, count, given := strings.Cut(s, ":")
	if err := parseNewStream(name); err != nil {
		return "", 0, err
	}
	if !given {
		return name, 1, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 10000 {
		return "", 0, usagef("--stream %s: want name:shards with 1 to 10000 shards", s)
	}
	return name, n, nil
}

type variable struct{ name, value string }

// environment is what a program needs to find the server.
func (d *dev) environment(l net.Listener) ([]variable, error) {
	scheme := "http"
	if d.tls {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	own := filepath.Join(cache, "vegas", "dev-"+port)
	if d.store == "" {
		d.store = filepath.Join(own, "positions")
	}
	if d.store, err = filepath.Abs(d.store); err != nil {
		return nil, err
	}
	vars := []variable{
		{"AWS_ENDPOINT_URL_KINESIS", scheme + "://" + net.JoinHostPort(host, port)},
		{"AWS_REGION", "us-east-1"},
		{"AWS_ACCESS_KEY_ID", "local"},
		{"AWS_SECRET_ACCESS_KEY", "local"},
		{"VEGAS_STORE", "file:" + d.store},
	}
	if d.tls {
		d.authority = filepath.Join(own, "ca.pem")
		vars = append(vars, variable{"AWS_CA_BUNDLE", d.authority}, variable{"NODE_EXTRA_CA_CERTS", d.authority})
	}
	return vars, nil
}

// awaitServing returns at the server's first answer: what is announced can be
// used at once.
func awaitServing(ctx context.Context, endpoint string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/_vegas/health", nil)
	if err != nil {
		return err
	}
	blind := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // our own server; nothing is sent
	defer blind.CloseIdleConnections()
	answer, err := blind.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("serve %s: %w", endpoint, err)
	}
	return answer.Body.Close()
}

// writeAuthority writes the certificate that clients have to trust. It is made
// anew at every start; its key is never written.
func (d *dev) writeAuthority(srv *localkinesis.Server) error {
	if err := os.MkdirAll(filepath.Dir(d.authority), 0o700); err != nil {
		return err
	}
	return os.WriteFile(d.authority, srv.CertificateAuthority(), 0o600)
}

// announce prints the environment as a piece of shell, what people want to know
// in its comments.
func (d *dev) announce(w io.Writer, vars []variable, shards map[string]int) error {
	if d.e.json() {
		all := map[string]string{}
		for _, v := range vars {
			all[v.name] = v.value
		}
		return d.e.printJSON(map[string]any{"endpoint": vars[0].value, "environment": all, "streams": shards})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Kinesis is at %s for any AWS SDK and for vegas. In another terminal:\n", vars[0].value)
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, quote(v.value))
	}
	if d.tls {
		fmt.Fprintf(&b, "# Trust this certificate authority, made for this run: %s\n", d.authority)
	}
	for _, s := range d.streams {
		name, n, _ := parseStreamShards(s)
		fmt.Fprintf(&b, "# The stream %s has %s.\n", name, plural(n, "shard"))
	}
	if len(shards) == 0 {
		fmt.Fprintf(&b, "# There is no stream yet: vegas streams create NAME, or start with --stream name:shards.\n")
	}
	fmt.Fprintf(&b, "# Ctrl-C ends it, and everything in it.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// quote makes a value safe for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// runCommand runs the user's command with the environment set. An interrupt is
// passed on; its exit code becomes ours.
func (d *dev) runCommand(ctx context.Context, vars []variable) error {
	c := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
	c.Env = os.Environ()
	for _, v := range vars {
		c.Env = append(c.Env, v.name+"="+v.value)
	}
	c.Stdin, c.Stdout, c.Stderr = d.e.in, d.e.out, d.e.err
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return &exitError{exit.ExitCode()}
	case err != nil && c.ProcessState == nil:
		return fmt.Errorf("run %s: %w", d.command[0], err)
	}
	return err
}

// Package engine is vegas as a process of its own, for programs in other languages:
// the packages of Python, JavaScript and the others start one and talk to it over
// its standard input and output. They bring along the one that is built from
// github.com/libvegas/vegas/cmd/vegas/vegas-engine.
//
// A program of ten lines makes an engine with extensions of one's own, written in
// Go and used from any language by name:
//
//	func main() {
//		engine.Main(engine.Extension{
//			Name: "redact",
//			Consumer: func(settings map[string]any) (func(vegas.Handler) vegas.Handler, error) {
//				return func(next vegas.Handler) vegas.Handler {
//					return func(ctx context.Context, r *vegas.Record) error {
//						…
//						return next(ctx, r)
//					}
//				}, nil
//			},
//		})
//	}
//
// The option engine of a language's package, or the environment variable
// VEGAS_ENGINE, names it, and the option extensions of a consumer asks for it:
// extensions=[{"redact": {"field": "email"}}].
package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/libvegas/vegas/internal/bridge"
)

// Extension is something that an engine can do beyond what is built in, by name: a
// layer around handlers, a store, or both.
//
// Its Consumer makes a layer of the settings that a program gave to the extension
// (numbers are int64 or float64, lists []any, maps map[string]any); its error is that
// of opening the consumer. Handlers of several records may run at once, as with
// [github.com/libvegas/vegas.ConsumerOptions.Use].
//
// Its Store makes a store of what follows "NAME:" in a consumer's option store. It
// does no I/O.
type Extension = bridge.Extension

// Main serves the program that started this process, over standard input and output,
// until that closes them. Then it gives its shards back, sends what producers have
// within their grace time, and exits. It does not return.
//
// SIGINT, SIGTERM and SIGHUP are ignored, and where there are process groups it has
// one of its own: what ends the engine is the end of its standard input, so that a
// Ctrl-C is the program's to handle.
func Main(extensions ...Extension) {
	if stat, err := os.Stdin.Stat(); err == nil && stat.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintln(os.Stderr, "This is the engine of vegas for programs in other languages, which start it themselves\n"+
			"and speak a binary protocol with it: there is nothing to type here.")
		os.Exit(2)
	}
	alone()
	if err := Serve(context.Background(), os.Stdin, os.Stdout, extensions...); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Serve is Main over any stream, for tests: it returns when the other end has closed
// r or broken the protocol, or when ctx is over. It closes r if that is a Closer.
func Serve(ctx context.Context, r io.Reader, w io.Writer, extensions ...Extension) error {
	return bridge.Serve(ctx, r, w, bridge.Config{Version: version(), Extensions: extensions, Stderr: os.Stderr})
}

const module = "github.com/libvegas/vegas"

// release is the version that a package was built as: its build sets it, since one of
// the tree itself knows none (go build -ldflags='-X …/engine.release=v1.2.3').
var release string

// version is that of the core in this binary.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == module && m.Version != "" && m.Version != "v0.0.0" {
			return m.Version
		}
	}
	if info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

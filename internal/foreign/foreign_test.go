package foreign

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsInstalledIsLeftAlone(t *testing.T) {
	p, builds := Place{Cache: t.TempDir(), Sources: t.TempDir()}, 0
	build := func(context.Context, string) error { builds++; return nil }
	for _, content := range []string{"1", "1", "2"} {
		if err := os.WriteFile(filepath.Join(p.Sources, "input"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Install(t.Context(), "self-test", []string{"input"}, build); err != nil {
			t.Fatal(err)
		}
	}
	if builds != 2 {
		t.Errorf("built %d times for contents 1, 1, 2; want 2", builds)
	}
	if kept, _ := filepath.Glob(filepath.Join(p.Cache, "self-test-*")); len(kept) != 1 {
		t.Errorf("what is there: %q, want the last one", kept)
	}
}

func TestFailureIsNotKeptAndNamesItsCommand(t *testing.T) {
	p := Place{Cache: t.TempDir()}
	for range 2 {
		dir, err := p.Install(t.Context(), "self-fail", nil, func(ctx context.Context, dir string) error {
			return Run(ctx, dir, "go", "no-such-command")
		})
		if err == nil || !strings.Contains(err.Error(), "install self-fail: go no-such-command: exit status") || !strings.Contains(err.Error(), "unknown command") {
			t.Fatalf("install = %q, %v; want an error with the command and its output", dir, err)
		}
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	err := Need("no-such-program", "No Such Thing 3")
	if err == nil || !strings.Contains(err.Error(), "no-such-program") || !strings.Contains(err.Error(), "No Such Thing 3") {
		t.Fatal(err)
	}
}

func TestEnvironmentHasNothingOfTheMachines(t *testing.T) {
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("AWS_REGION", "eu-west-1")
	env := Environment("A=b")
	if slices.Contains(env, "AWS_PROFILE=production") || slices.Contains(env, "AWS_REGION=eu-west-1") || env[len(env)-1] != "A=b" {
		t.Errorf("%q", env)
	}
}

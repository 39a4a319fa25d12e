package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The go command's settings of whoever builds are none of an engine's.
func TestGoEnv(t *testing.T) {
	for name, value := range map[string]string{
		"GOAMD64": "v3", "GOARM64": "v9.0", "GOFLAGS": "-tags=own", "GOEXPERIMENT": "noswissmap", "GOWORK": "off", "GOFIPS140": "latest",
		"GOENV": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(name, value)
	}
	tr := &tree{root: "/somewhere"}
	for _, p := range platforms {
		out, err := output(t.Context(), t.TempDir(), tr.goEnv(p), "go", "env", "-json", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOFLAGS", "GOEXPERIMENT", "GOWORK", "GOFIPS140", "GOENV")
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"GOOS": p.os, "GOARCH": p.arch, "GOFLAGS": "", "GOEXPERIMENT": "", "GOWORK": "/somewhere/go.work", "GOFIPS140": "off", "GOENV": ""}
		switch p.arch {
		case "amd64":
			want["GOAMD64"] = "v1"
		case "arm64":
			want["GOARM64"] = "v8.0"
		}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %q: want %q", p, name, got[name], value)
			}
		}
	}
}

// An engine says that it is a release only when its tag is checked out and unchanged.
func TestEngineVersion(t *testing.T) {
	root := written(t, map[string]string{"bindings/c/include/vegas.h": "#define VEGAS_VERSION_TEXT \"1.2.3\"\n"})
	tr := &tree{root: root}
	git := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}, args...)...)
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
	is := func(when, want string) {
		t.Helper()
		got, err := tr.engineVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		commit := strings.TrimPrefix(got, "v1.2.3+dev.")
		if len(commit) > 12 {
			got = strings.Replace(got, commit[:12], "COMMIT", 1)
		} else if len(commit) == 12 && commit != got {
			got = "v1.2.3+dev.COMMIT"
		}
		if got != want {
			t.Errorf("%s an engine is %q: want %q", when, got, want)
		}
	}
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(root))
	is("without git", "v1.2.3+dev")
	git("init", "-q")
	git("add", "bindings")
	git("commit", "-q", "-m", "Begin")
	git("tag", "v1.2.2")
	is("behind another tag", "v1.2.3+dev.COMMIT")
	git("tag", "v1.2.3")
	is("of its tag", "v1.2.3")
	if err := os.WriteFile(filepath.Join(root, "new.go"), []byte("package new\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	is("with a new file", "v1.2.3+dev.COMMIT.changed")
	git("add", "new.go")
	git("commit", "-q", "-m", "Go on")
	is("after its tag", "v1.2.3+dev.COMMIT")
}

// What a test is built as is no engine: it has symbols.
func TestCheckEngine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range everyPlatform {
		if err := checkEngine(self, p); err == nil {
			t.Errorf("this test passes for an engine of %s", p)
		}
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, mostBytes+1); err != nil {
		t.Fatal(err)
	}
	if err := checkEngine(big, everyPlatform[0]); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("an engine of %d bytes: %v", mostBytes+1, err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	if err := checkEngine(shell, platform{"linux", runtime.GOARCH}); err == nil || !strings.Contains(err.Error(), "not static") {
		t.Errorf("the shell: %v", err)
	}
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	if err := checkEngine(shell, platform{"linux", other}); err == nil || !strings.Contains(err.Error(), "it is for") {
		t.Errorf("the shell as one of %s: %v", other, err)
	}
}

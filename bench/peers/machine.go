package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/usage"
)

// machine is where figures come from.
type machine struct {
	cpu, system, goVersion, java string
}

func thisMachine() machine {
	return machine{
		cpu:       fmt.Sprintf("%d virtual CPUs of an %s", runtime.NumCPU(), usage.Model()),
		system:    runtime.GOOS + "/" + runtime.GOARCH,
		goVersion: runtime.Version(),
		java:      javaVersion(),
	}
}

// measured says when and on what figures were taken.
func (m *machine) measured(began time.Time) string {
	return fmt.Sprintf("Measured on %s on %s, %s, %s", began.Format("2 January 2006"), m.cpu, m.system, m.goVersion)
}

func javaVersion() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return ""
	}
	_, version, _ := strings.Cut(string(out), `"`)
	version, _, _ = strings.Cut(version, `"`)
	return version
}

// moduleVersion is the version of a module in this program; "" if it is not there.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

// jarVersion is the version of an artifact that the pom of the Java peers names.
func jarVersion(root, artifact string) string {
	b, err := os.ReadFile(filepath.Join(root, "bench", "peers", "java", "pom.xml"))
	if err != nil {
		return ""
	}
	var pom struct {
		Dependencies []struct {
			Artifact string `xml:"artifactId"`
			Version  string `xml:"version"`
		} `xml:"dependencies>dependency"`
	}
	if xml.Unmarshal(b, &pom) != nil {
		return ""
	}
	for _, d := range pom.Dependencies {
		if d.Artifact == artifact {
			return d.Version
		}
	}
	return ""
}

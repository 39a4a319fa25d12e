package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// mavenSettings have Maven take packages from one folder, and all that it would look for
// in Central from another.
func mavenSettings(packages, central string) string {
	return `<settings>
  <mirrors>
    <mirror><id>local</id><mirrorOf>central</mirrorOf><url>file://` + central + `</url></mirror>
  </mirrors>
  <profiles>
    <profile>
      <id>packages</id>
      <repositories>
        <repository><id>packages</id><url>file://` + packages + `</url></repository>
      </repositories>
    </profile>
  </profiles>
  <activeProfiles><activeProfile>packages</activeProfile></activeProfiles>
</settings>
`
}

var dependencies = regexp.MustCompile(`(?s)<dependencies>.*</dependencies>`)

// warmMaven downloads what Maven itself needs to build a program, without what the
// program depends on, into a folder; once.
func warmMaven(ctx context.Context, program, into string) error {
	b, err := os.ReadFile(filepath.Join(program, "pom.xml"))
	if err != nil {
		return err
	}
	pom := dependencies.ReplaceAll(b, nil)
	done := filepath.Join(into, "pom.xml")
	if had, err := os.ReadFile(done); err == nil && string(had) == string(pom) {
		return nil
	}
	fmt.Println("downloading Maven's plugins from Central, once")
	scratch, err := os.MkdirTemp("", "vegas-maven-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	sources := filepath.Join(scratch, "src", "main", "java")
	if err := os.MkdirAll(sources, 0o755); err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(scratch, "pom.xml"), pom, 0o644),
		os.WriteFile(filepath.Join(sources, "module-info.java"), []byte("module consumer {}\n"), 0o644),
	)
	if err != nil {
		return err
	}
	if err := run(ctx, scratch, os.Environ(), "mvn", "-q", "-B", "-Dmaven.repo.local="+into, "compile", "dependency:copy-dependencies"); err != nil {
		return err
	}
	return os.WriteFile(done, pom, 0o644)
}

// javaHome is the folder of the JDK that java is of.
func javaHome(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, jdk("java"), "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " = "); name == "java.home" {
			return value, nil
		}
	}
	return "", errors.New("java -XshowSettings:properties tells no java.home")
}

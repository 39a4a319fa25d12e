package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// versionForm is a semantic version that needs no /v2 in module paths.
var versionForm = regexp.MustCompile(`^v[01]\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// tag commits the versions of a release and tags every released module with it.
// It pushes nothing. A dry run does the same in a clone, shows it and drops it.
func tag(ctx context.Context, t *tree, version string, dry bool, out io.Writer) error {
	if !versionForm.MatchString(version) {
		return fmt.Errorf("release %q: not a version: want v0.MINOR.PATCH or v1.MINOR.PATCH", version)
	}
	if dirty, err := t.git(ctx, "status", "--porcelain"); err != nil {
		return err
	} else if dirty != "" {
		return fmt.Errorf("release %s: the tree has changes; commit them or put them away:\n%s", version, dirty)
	}
	if problems := t.problems(); len(problems) > 0 {
		return fmt.Errorf("release %s:\n%s", version, strings.Join(problems, "\n"))
	}
	if dry {
		return dryRun(ctx, t, version, out)
	}
	var tags []string
	for _, m := range t.modules {
		if m.isReleased() {
			tags = append(tags, m.tag(version))
		}
	}
	if existing, err := t.git(ctx, append([]string{"tag", "--list"}, tags...)...); err != nil {
		return err
	} else if existing != "" {
		return fmt.Errorf("release %s: already tagged, and a published version never changes; take the next:\n%s", version, existing)
	}

	if err := writeRelease(ctx, t, version); err != nil {
		return err
	}
	if _, err := t.git(ctx, "commit", "--all", "--message", "Release "+version); err != nil {
		return err
	}
	for _, name := range tags {
		if _, err := t.git(ctx, "tag", "--annotate", "--message", "Release "+version, name); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "tagged %s\nto publish: git push --atomic origin HEAD %s\n",
		strings.Join(tags, " "), strings.Join(tags, " "))
	return nil
}

// writeRelease writes the version into every go.mod, go.work, the packages of other
// languages and the changelog.
// go.sum stays as it is: users of a version take the sums from the checksum
// database, and a clone builds by go.work.
func writeRelease(ctx context.Context, t *tree, version string) error {
	work := []string{"work", "edit"}
	for _, r := range t.work.Replace {
		if t.owns(r.Old.Path) {
			work = append(work, "-dropreplace="+r.Old.Path+"@"+r.Old.Version,
				"-replace="+r.Old.Path+"@"+version+"="+r.New.Path)
		}
	}
	if _, err := command(ctx, t.root, nil, "go", append(work, t.path("go.work"))...); err != nil {
		return err
	}
	for _, m := range t.modules {
		if err := setRequirements(ctx, t, m, t.path(path.Join(m.Dir, "go.mod")), version); err != nil {
			return err
		}
	}
	if err := writePackageVersions(t, version); err != nil {
		return err
	}
	return writeChangelog(t.path("CHANGELOG.md"), version, time.Now())
}

// unreleasedHeading is where changes collect until the next release.
var unreleasedHeading = regexp.MustCompile(`(?m)^## \[?Unreleased\]?[ \t]*$`)

// writeChangelog puts the version's heading below the one for what is to come.
func writeChangelog(file, version string, day time.Time) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	at := unreleasedHeading.FindIndex(data)
	if at == nil {
		return errors.New("changelog: no heading \"## Unreleased\" to release")
	}
	heading := fmt.Sprintf("\n\n## %s (%s)", version, day.UTC().Format(time.DateOnly))
	return os.WriteFile(file, []byte(string(data[:at[1]])+heading+string(data[at[1]:])), 0o644)
}

func dryRun(ctx context.Context, t *tree, version string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "vegas-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "clone")
	if _, err := t.git(ctx, "clone", "--quiet", t.root, root); err != nil {
		return err
	}
	clone, err := open(ctx, root)
	if err != nil {
		return err
	}
	// The clone does not inherit who commits.
	for _, key := range []string{"user.name", "user.email"} {
		value, err := t.git(ctx, "config", key)
		if err != nil {
			continue // from the environment, then
		}
		if _, err := clone.git(ctx, "config", key, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	if err := tag(ctx, clone, version, false, io.Discard); err != nil {
		return err
	}
	shown, err := clone.git(ctx, "show", "HEAD")
	if err != nil {
		return err
	}
	tags, err := clone.git(ctx, "tag", "--points-at", "HEAD")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nwould tag:\n%s", shown, tags)
	return nil
}

func (t *tree) git(ctx context.Context, args ...string) (string, error) {
	return command(ctx, t.root, nil, "git", args...)
}

package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

var (
	relationship = regexp.MustCompile(` Id="[^"]*"`)
	modifiedBy   = regexp.MustCompile(`<lastModifiedBy>[^<]*</lastModifiedBy>`)
)

// settleNuGet writes a package anew without what differs each time that it is packed, or
// from machine to machine: times, names by chance, the version of the kernel. It also names
// the README, which the tried SDK does not do yet.
func settleNuGet(from, into string) error {
	r, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	const core = "package/services/metadata/core-properties/"
	chance := ""
	for _, f := range r.File {
		if strings.HasPrefix(f.Name, core) {
			chance = path.Base(f.Name)
		}
	}
	if chance == "" {
		return fmt.Errorf("%s has nothing in %s: is it a package of NuGet's?", from, core)
	}
	var entries []entry
	for _, f := range r.File {
		b, err := content(f)
		if err != nil {
			return err
		}
		name := f.Name
		switch {
		case name == core+chance:
			name = core + "core.psmdcp"
			b = modifiedBy.ReplaceAll(b, []byte("<lastModifiedBy>NuGet</lastModifiedBy>"))
		case name == "_rels/.rels":
			b = bytes.ReplaceAll(b, []byte(chance), []byte("core.psmdcp"))
			n := 0
			b = relationship.ReplaceAllFunc(b, func([]byte) []byte {
				n++
				return fmt.Appendf(nil, ` Id="R%d"`, n)
			})
		case path.Ext(name) == ".nuspec" && strings.HasSuffix(from, ".nupkg"):
			if b, err = nameReadme(b); err != nil {
				return fmt.Errorf("%s: %s: %w", from, name, err)
			}
		}
		e, err := pack(name, b)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	return writeZip(into, entries)
}

// nameReadme adds to a package's description what README is called, where it is not said.
func nameReadme(nuspec []byte) ([]byte, error) {
	const readme = "<readme>README.md</readme>"
	if !bytes.Contains(nuspec, []byte("<readme>")) {
		nuspec = bytes.Replace(nuspec, []byte("<description>"), []byte(readme+"\n    <description>"), 1)
	}
	if bytes.Count(nuspec, []byte(readme)) != 1 {
		return nil, fmt.Errorf("it does not say %s once", readme)
	}
	return nuspec, nil
}

func content(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

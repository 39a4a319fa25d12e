package main

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"os"
	"strings"
)

// mostBytes is what an engine may take.
const mostBytes = 20_000_000

// checkEngine makes sure that a binary is what packages promise of an engine: for its
// platform, small, stripped, and on Linux in want of nothing on the machine.
func checkEngine(file string, p platform) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > mostBytes {
		return fmt.Errorf("%s has %d bytes: want at most %d", file, info.Size(), mostBytes)
	}
	var sections []string
	switch p.os {
	case "linux":
		sections, err = sectionsOfELF(file, p.arch)
	case "darwin":
		sections, err = sectionsOfMachO(file, p.arch)
	case "windows":
		sections, err = sectionsOfPE(file, p.arch)
	default:
		err = errors.New("nothing is known of binaries of " + p.os)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range sections {
		// Go's linker makes an empty .symtab for Windows all the same.
		if name == ".symtab" && p.os != "windows" || strings.Contains(name, "debug_") {
			return fmt.Errorf("%s is not stripped: it has %s", file, name)
		}
	}
	return nil
}

func sectionsOfELF(file, arch string) (names []string, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; f.Machine != want {
		return nil, fmt.Errorf("it is for %s: want %s", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return nil, fmt.Errorf("it is not static: it has a %s", p.Type)
		}
	}
	for _, s := range f.Sections {
		names = append(names, s.Name)
	}
	return names, nil
}

func sectionsOfMachO(file, arch string) (names []string, err error) {
	f, err := macho.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if want := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[arch]; f.Cpu != want {
		return nil, fmt.Errorf("it is for %s: want %s", f.Cpu, want)
	}
	for _, s := range f.Sections {
		names = append(names, s.Name)
	}
	return names, nil
}

func sectionsOfPE(file, arch string) (names []string, err error) {
	f, err := pe.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if want := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64}[arch]; f.Machine != want {
		return nil, fmt.Errorf("it is for the machine %#x: want %#x", f.Machine, want)
	}
	for _, s := range f.Sections {
		names = append(names, s.Name)
	}
	return names, nil
}

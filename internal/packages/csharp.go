package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// csharp are Libvegas and Libvegas.Extensions for NuGet, and what debuggers want of them.
// One package has the engines of all platforms, as NuGet's own users have it: a program
// that is published for one platform takes along that one's.
var csharp = kind{
	name: "csharp", title: "C#",
	needs:   sdkNeeds(),
	build:   buildCSharp,
	install: installCSharp,
}

// runtimeID is what .NET calls a platform.
func runtimeID(p platform) string {
	system := map[string]string{"linux": "linux", "darwin": "osx", "windows": "win"}[p.os]
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[p.arch]
	return system + "-" + arch
}

// sdkNeeds are the programs that install an SDK, where DOTNET names none.
func sdkNeeds() []string {
	if os.Getenv("DOTNET") != "" {
		return nil
	}
	return []string{"npm", "pip", "unzip", "sha256sum", "sha512sum"}
}

// sdk is the command of a .NET SDK and the folder that it has its runtime in: DOTNET, as
// in the Makefile, or the script that installs one.
func (t *tree) sdk() (command []string, root string, err error) {
	if command = strings.Fields(os.Getenv("DOTNET")); len(command) == 0 {
		command = []string{filepath.Join(t.binding("dotnet"), "sdk.sh"), filepath.Join(t.root, ".cache", "dotnet", "sdk")}
	}
	if command[0], err = exec.LookPath(command[0]); err != nil {
		return nil, "", err
	}
	for i := range command { // it runs in other folders, too
		if command[i], err = filepath.Abs(command[i]); err != nil {
			return nil, "", err
		}
	}
	if len(command) > 1 {
		return command, filepath.Join(command[1], "package"), nil
	}
	program, err := filepath.EvalSymlinks(command[0])
	return command, filepath.Dir(program), err
}

func buildCSharp(ctx context.Context, t *tree) error {
	work := filepath.Join(t.out, "csharp")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	natives, packed := filepath.Join(work, "runtimes"), filepath.Join(work, "packed")
	for _, p := range platforms {
		folder := filepath.Join(natives, runtimeID(p), "native")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		b, err := os.ReadFile(t.engine(p))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, p.binary()), b, 0o755); err != nil {
			return err
		}
	}
	sdk, _, err := t.sdk()
	if err != nil {
		return err
	}
	for _, name := range []string{"Libvegas", "Libvegas.Extensions"} {
		args := append(slices.Clip(sdk), "pack", "-nologo", "-v", "quiet", "-c", "Release", "-o", packed,
			"-p:Built="+filepath.Join(work, "built")+"/", "-p:Natives="+natives, "-p:Notices="+t.notices(), filepath.Join(t.binding("dotnet"), name))
		if err := run(ctx, t.root, os.Environ(), args[0], args[1:]...); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(packed)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := settleNuGet(filepath.Join(packed, f.Name()), filepath.Join(t.dist("csharp"), f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// nugetConfig has NuGet take packages from one folder and from nowhere else.
func nugetConfig(feed string) string {
	return `<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources>
    <clear />
    <add key="packages" value="` + feed + `" />
  </packageSources>
  <fallbackPackageFolders>
    <clear />
  </fallbackPackageFolders>
</configuration>
`
}

// installCSharp builds a program that depends on the packages by their names, and runs
// it: as it is built, as it is published for this platform, the same as one file, and
// with mono, where there is one. The packages are then in the folder of that name.
func installCSharp(ctx context.Context, t *tree) error {
	sdk, root, err := t.sdk()
	if err != nil {
		return err
	}
	if err := run(ctx, t.root, os.Environ(), sdk[0], append(sdk[1:len(sdk):len(sdk)], "--version")...); err != nil {
		return err
	}
	into := t.installed("csharp")
	if err := os.CopyFS(into, os.DirFS(filepath.Join(t.root, "internal", "packages", "consumers", "csharp"))); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(into, "nuget.config"), []byte(nugetConfig(t.dist("csharp"))), 0o644); err != nil {
		return err
	}
	i := slices.IndexFunc(platforms, isHere)
	if i < 0 {
		return fmt.Errorf("there is no engine for %s on %s: install on one of %v", runtime.GOOS, runtime.GOARCH, platforms)
	}
	here := runtimeID(platforms[i])
	programs := []string{"sh", "find", "head", "chmod", "dirname"}
	build := []string{"build", "-nologo", "-v", "quiet"}
	facades, err := monoFacades()
	if err != nil {
		if err := t.leaveOut("C# with mono", err); err != nil {
			return err
		}
	} else {
		programs = append(programs, "mono")
		build = append(build, "-p:Mono="+filepath.Dir(facades))
	}
	return inEmpty(func(a *alone) error {
		dotnet := func(args ...string) error {
			args = append(slices.Clip(sdk), args...)
			env := []string{"NUGET_PACKAGES=" + filepath.Join(into, "packages"), "NUGET_FALLBACK_PACKAGES=", "DOTNET_CLI_HOME=" + filepath.Join(a.dir, "home")}
			return a.run(ctx, into, env, args[0], args[1:]...)
		}
		built := filepath.Join(into, "bin", "Debug", "netcoreapp3.1")
		published, single := filepath.Join(into, "published"), filepath.Join(into, "single")
		publish := []string{"publish", "-nologo", "-v", "quiet", "-f", "netcoreapp3.1", "-r", here, "--self-contained", "false", "-o"}
		err := dotnet(build...)
		if err == nil {
			err = noticesIn(filepath.Join(into, "packages", "libvegas", "*"))
		}
		if err == nil {
			err = dotnet("exec", filepath.Join(built, "Consumer.dll"), filepath.Join(built, "runtimes", here, "native", "vegas-engine"))
		}
		if err == nil && facades != "" {
			built := filepath.Join(into, "bin", "Debug", "net472")
			err = a.run(ctx, into, nil, "mono", filepath.Join(built, "Consumer.exe"), filepath.Join(built, "runtimes", here, "native", "vegas-engine"))
		}
		if err == nil {
			err = dotnet(append(publish, published)...)
		}
		if err == nil {
			err = dotnet("exec", filepath.Join(published, "Consumer.dll"), filepath.Join(published, "vegas-engine"))
		}
		if err == nil {
			err = dotnet(append(publish, single, "-p:PublishSingleFile=true")...)
		}
		if err == nil {
			env := []string{"DOTNET_ROOT=" + root, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"}
			err = a.run(ctx, into, env, filepath.Join(single, "Consumer"), filepath.Join(single, "vegas-engine"))
		}
		for _, folder := range []string{filepath.Join(built, "runtimes", here, "native"), published, single} {
			if err == nil {
				err = forAll(filepath.Join(folder, "vegas-engine"))
			}
		}
		return err
	}, programs...)
}

// forAll tells whether every user may execute a file.
func forAll(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o555 != 0o555 {
		err = fmt.Errorf("%s is %v: not every user may execute it", path, info.Mode())
	}
	return err
}

func isHere(p platform) bool { return p.os == runtime.GOOS && p.arch == runtime.GOARCH }

// monoFacades is the folder where mono has what a program needs to use an assembly for
// netstandard.
func monoFacades() (string, error) {
	program, err := exec.LookPath("mono")
	if err != nil {
		return "", err
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return "", err
	}
	facades := filepath.Join(filepath.Dir(program), "..", "lib", "mono", "4.5", "Facades")
	if _, err := os.Stat(filepath.Join(facades, "netstandard.dll")); err != nil {
		return "", fmt.Errorf("mono-devel is not installed: %w", err)
	}
	return facades, nil
}

// Command vegas sends and receives records of Amazon Kinesis Data Streams.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	_ "github.com/libvegas/vegas/record" // what the commands are made of
)

func main() {
	if len(os.Args) != 2 || os.Args[1] != "version" {
		fmt.Fprintln(os.Stderr, "usage: vegas version")
		os.Exit(2)
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	fmt.Println("vegas", version)
}

// Command vegas-engine is vegas for programs in other languages. Their packages
// bring it along, start it and talk to it over its standard input and output; nobody
// runs it by hand. It has no command line: "vegas bridge" is the same within the
// command.
package main

import (
	"github.com/libvegas/vegas/cmd/vegas/internal/extensions"
	"github.com/libvegas/vegas/engine"
)

func main() { engine.Main(extensions.Packaged()...) }

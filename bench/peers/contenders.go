package main

import (
	"github.com/libvegas/vegas/bench/contest"
	_ "github.com/libvegas/vegas/bench/peers/protoclash" // first, whoever else is imported
)

// contenders are all of them, in the order in which they stand in the tables. A
// peer more is one file and one line here.
var contenders = []contest.Contender{
	produceVegas,
	produceAll,
	produceDurable,
	produceSDK,
	produceA8M,
	produceKPL,
	produceKPLTuned,
	produceFloor,
	produceFloorCached,
	produceFloorCBOR,
	produceFloorCachedCBOR,

	consumeVegas,
	consumeBatches,
	consumeFanOut,
	consumeSDK,
	consumeHarlow,
	consumeVMware,
	consumeKCL,
	consumeKCLFanOut,
	consumeFloor,
	consumeFloorFanOut,
	consumeFloorCBOR,
}

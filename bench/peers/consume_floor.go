package main

import (
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/floor"
)

const floorConsumes = "bench/floor; one call after the other for each shard, all side by side; decoded in place, memory used again"

var consumeFloor = contest.Contender{
	Name: "wire floor, JSON, polling", Side: contest.Consume, Protocol: "JSON", Floor: true,
	Settings: floorConsumes,
	Run:      floor.Consume(floor.JSON),
}

var consumeFloorCBOR = contest.Contender{
	Name: "wire floor, CBOR, polling", Side: contest.Consume, Protocol: "CBOR", Floor: true,
	Settings: floorConsumes,
	Run:      floor.Consume(floor.CBOR),
}

var consumeFloorFanOut = contest.Contender{
	Name: "wire floor, JSON, fan-out", Side: contest.Consume, Protocol: "JSON", FanOut: true, Floor: true,
	Settings: floorConsumes,
	Run:      floor.FanOut,
}

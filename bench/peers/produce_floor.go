package main

import (
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/floor"
)

const floorProduces = "bench/floor; aggregated: 256 KiB each; not aggregated: 500 records a call; a call under way for each shard"

var produceFloor = contest.Contender{
	Name: "wire floor, JSON", Side: contest.Produce, Protocol: "JSON", Floor: true,
	Settings: floorProduces,
	Run:      floor.Produce(floor.JSON, false),
}

var produceFloorCBOR = contest.Contender{
	Name: "wire floor, CBOR", Side: contest.Produce, Protocol: "CBOR", Floor: true,
	Settings: floorProduces,
	Run:      floor.Produce(floor.CBOR, false),
}

var produceFloorCached = contest.Contender{
	Name: "wire floor, JSON, hashes of keys cached", Side: contest.Produce, Protocol: "JSON", Floor: true, Remembers: true,
	Settings: floorProduces,
	Not:      hashesKeys,
	Run:      floor.Produce(floor.JSON, true),
}

var produceFloorCachedCBOR = contest.Contender{
	Name: "wire floor, CBOR, hashes of keys cached", Side: contest.Produce, Protocol: "CBOR", Floor: true, Remembers: true,
	Settings: floorProduces,
	Not:      hashesKeys,
	Run:      floor.Produce(floor.CBOR, true),
}

// hashesKeys is the Contender.Not of those that differ in how they hash keys.
func hashesKeys(w *contest.Work) string {
	if w.Aggregated {
		return ""
	}
	return "nobody but the service hashes the keys of records that are not aggregated"
}

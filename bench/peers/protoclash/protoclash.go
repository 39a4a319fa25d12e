// Package protoclash lets several peers bring the same Protobuf messages along.
//
// a8m/kinesis-producer and the two versions of awslabs/kinesis-aggregation each
// register the messages of the KPL's format under the same names, which Protobuf
// answers with a panic while the program starts. Each uses its own types, not the
// registry, so the clash changes nothing about what they do.
//
// Packages without imports of their own are initialised before those that wait for
// Protobuf's, so importing this one is enough.
package protoclash

import "os"

var _ = os.Setenv("GOLANG_PROTOBUF_REGISTRATION_CONFLICT", "ignore")

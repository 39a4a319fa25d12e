package shard

import "crypto/md5"

// aggregateOf wraps a protobuf message, sound or not, as an aggregate.
func aggregateOf(message []byte) []byte {
	sum := md5.Sum(message)
	return append(append([]byte("\xf3\x89\x9a\xc2"), message...), sum[:]...)
}

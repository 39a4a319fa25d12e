// Package buffer measures durable appends: records of 1 KB, each of which its
// writer waits for, by several writers at once. make bench-buffer prints how the
// buffers of vegas compare with others; as a test the same programs write a
// little, and every record has to be there when they are opened again.
//
// All have the same work and the same durability: when an append returns, its
// record is on stable storage, by fdatasync or what the program has for it, and
// writers that wait meanwhile share the next write. How each is configured stands
// beside it in contenders.go and foreign.go.
package buffer

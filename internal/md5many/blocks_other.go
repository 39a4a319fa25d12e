//go:build !amd64 || purego

package md5many

const several = false

func blocks(*state, *[lanes]*byte, int) { panic("md5many: not on this processor") }

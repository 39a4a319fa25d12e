package floor

import (
	"encoding/base64"
	"encoding/binary"
)

// Base64 by tables, two characters at a time: twice as fast as encoding/base64.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// characters are the two of 12 bits, as a little-endian number.
var characters = func() *[1 << 12]uint16 {
	var c [1 << 12]uint16
	for i := range c {
		c[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return &c
}()

// values are the 12 bits of two characters.
var values = func() *[1 << 16]uint16 {
	var v [1 << 16]uint16
	for i := range v {
		v[i] = 1<<16 - 1
	}
	for i, c := range characters {
		v[c] = uint16(i)
	}
	return &v
}()

// encodeBase64 encodes src into dst, which has the right length.
func encodeBase64(dst, src []byte) {
	for len(src) >= 8 && len(dst) >= 8 {
		x := binary.BigEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, uint64(characters[x>>52])|uint64(characters[x>>40&0xfff])<<16|
			uint64(characters[x>>28&0xfff])<<32|uint64(characters[x>>16&0xfff])<<48)
		dst, src = dst[8:], src[6:]
	}
	base64.StdEncoding.Encode(dst, src)
}

// decodeBase64 decodes src into dst, which may be src, and tells how long it is.
func decodeBase64(dst, src []byte) (int, bool) {
	var seen uint16
	n := 0
	for len(src) > 16 {
		x, y := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		a, b, c, d := values[uint16(x)], values[uint16(x>>16)], values[uint16(x>>32)], values[x>>48]
		e, f, g, h := values[uint16(y)], values[uint16(y>>16)], values[uint16(y>>32)], values[y>>48]
		seen |= a | b | c | d | e | f | g | h
		to := dst[n : n+14 : n+14]
		binary.BigEndian.PutUint64(to, uint64(a)<<52|uint64(b)<<40|uint64(c)<<28|uint64(d)<<16)
		binary.BigEndian.PutUint64(to[6:], uint64(e)<<52|uint64(f)<<40|uint64(g)<<28|uint64(h)<<16)
		n, src = n+12, src[16:]
	}
	k, err := base64.StdEncoding.Decode(dst[n:], src)
	return n + k, err == nil && seen>>12 == 0
}

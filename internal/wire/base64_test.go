package wire

import (
	"bytes"
	"encoding/base64"
	"testing"
)

func TestBase64OfEveryLengthAndByte(t *testing.T) {
	all := make([]byte, 300)
	for i := range all {
		all[i] = byte(i * 7)
	}
	for n := range all {
		src := []byte(base64.StdEncoding.EncodeToString(all[:n]))
		room := bytes.Repeat([]byte{0xee}, n+16) // what lies behind is not touched
		if !decodeBase64(room[:n:n], src) || !bytes.Equal(room[:n], all[:n]) || !bytes.Equal(room[n:], bytes.Repeat([]byte{0xee}, 16)) {
			t.Fatalf("%d bytes: %x", n, room)
		}
	}
	src := []byte(base64.StdEncoding.EncodeToString(all[:60]))
	for at := range src {
		for c := range 256 {
			b := bytes.Clone(src)
			b[at] = byte(c)
			want, err := base64.StdEncoding.DecodeString(string(b))
			got := make([]byte, 60)
			if ok := decodeBase64(got, b); ok != (err == nil && len(want) == 60) || ok && !bytes.Equal(got, want) {
				t.Fatalf("byte %#x at %d: %v, %x; the standard library: %v, %x", c, at, ok, got, err, want)
			}
		}
	}
}

func TestBase64IsWrittenAsTheStandardLibraryDoes(t *testing.T) {
	all := make([]byte, 1<<17) // every 12 bits, and every rest of them
	for i := range all {
		all[i] = byte(i>>8 ^ i*7)
	}
	for n := range 300 {
		for _, src := range [][]byte{all[:n], all[n:]} {
			want := "before" + base64.StdEncoding.EncodeToString(src)
			if got := appendBase64([]byte("before"), src); string(got) != want {
				t.Fatalf("%d bytes", len(src))
			}
		}
	}
}

func BenchmarkBase64Append(b *testing.B) {
	src := bytes.Repeat([]byte{0, 255, 'a', 13, 200}, 5000)
	dst := make([]byte, 0, base64.StdEncoding.EncodedLen(len(src)))
	b.Run("wire", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			appendBase64(dst, src)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			base64.StdEncoding.AppendEncode(dst, src)
		}
	})
}

func BenchmarkBase64(b *testing.B) {
	want := bytes.Repeat([]byte{0, 255, 'a', 13, 200}, 5000)
	src := []byte(base64.StdEncoding.EncodeToString(want))
	dst := make([]byte, len(want))
	b.Run("wire", func(b *testing.B) {
		b.SetBytes(int64(len(dst)))
		for b.Loop() {
			decodeBase64(dst, src)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.SetBytes(int64(len(dst)))
		for b.Loop() {
			base64.StdEncoding.Decode(dst, src)
		}
	})
}

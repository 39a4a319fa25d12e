package wire

import (
	"bytes"
	"encoding/base64"
	"testing"

	vector "github.com/emmansun/base64"
)

// decodeGuarded decodes into memory that is as large as it has to be, and tells
// whether anything around it was touched.
func decodeGuarded(size int, src []byte) (got []byte, ok, touched bool) {
	const guard = 64
	room := bytes.Repeat([]byte{0xee}, guard+size+guard)
	got = room[guard : guard+size : guard+size]
	ok = decodeBase64(got, src)
	around := append(bytes.Clone(room[:guard]), room[guard+size:]...)
	return got, ok, !bytes.Equal(around, bytes.Repeat([]byte{0xee}, 2*guard))
}

// checkDecode compares decoding, into as much room as src says, with the standard
// library's.
func checkDecode(t *testing.T, src []byte) {
	t.Helper()
	size, whole := base64Size(src)
	want, err := base64.StdEncoding.DecodeString(string(src))
	got, ok, touched := decodeGuarded(size, src)
	switch {
	case touched:
		t.Fatalf("%q: bytes before or behind %d were written", src, size)
	case ok != (whole && err == nil && len(want) == size):
		t.Fatalf("%q: %v; the standard library: %v, %d of %d bytes", src, ok, err, len(want), size)
	case ok && !bytes.Equal(got, want):
		t.Fatalf("%q: %x, want %x", src, got, want)
	}
}

func TestBase64OfEveryLengthAndByte(t *testing.T) {
	all := make([]byte, 300)
	for i := range all {
		all[i] = byte(i * 7)
	}
	for n := range all {
		src := []byte(base64.StdEncoding.EncodeToString(all[:n]))
		if got, ok, touched := decodeGuarded(n, src); !ok || touched || !bytes.Equal(got, all[:n]) {
			t.Fatalf("%d bytes: %v, %v, %x", n, ok, touched, got)
		}
		for at := range src {
			for _, c := range "\n=-_*\x00\x80\xff" {
				b := bytes.Clone(src)
				b[at] = byte(c)
				checkDecode(t, b)
			}
		}
	}
	src := []byte(base64.StdEncoding.EncodeToString(all[:120]))
	for at := range src {
		for c := range 256 {
			b := bytes.Clone(src)
			b[at] = byte(c)
			checkDecode(t, b)
		}
	}
}

// Nothing is written where there is less room than src says, or more.
func TestBase64OfAnotherSizeIsNone(t *testing.T) {
	src := []byte(base64.StdEncoding.EncodeToString(make([]byte, 300)))
	for size := range 400 {
		if _, ok, touched := decodeGuarded(size, src); ok != (size == 300) || touched {
			t.Fatalf("%d bytes: %v, %v", size, ok, touched)
		}
	}
	for n := range 4 {
		if _, ok, touched := decodeGuarded(len(src)/4*3, append(src, "AAAA"[:n]...)); ok != (n == 0) || touched {
			t.Fatalf("%d characters more: %v, %v", n, ok, touched)
		}
	}
}

func FuzzBase64(f *testing.F) {
	f.Add([]byte("QUJD"))
	f.Add([]byte("="))
	f.Add(bytes.Repeat([]byte("+/ab"), 20))
	f.Add([]byte("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=\n==="))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkDecode(t, b)
		src := base64.StdEncoding.AppendEncode(nil, b)
		room := bytes.Repeat([]byte{0xee}, len(src)+64)
		if got := vector.StdEncoding.AppendEncode(room[:0], b); !bytes.Equal(got, src) || !bytes.Equal(room[len(src):], bytes.Repeat([]byte{0xee}, 64)) {
			t.Fatalf("%x: %q, want %q", b, got, src)
		}
		checkDecode(t, src)
	})
}

func TestBase64IsWrittenAsTheStandardLibraryDoes(t *testing.T) {
	all := make([]byte, 1<<17) // every 12 bits, and every rest of them
	for i := range all {
		all[i] = byte(i>>8 ^ i*7)
	}
	for n := range 300 {
		for _, src := range [][]byte{all[:n], all[n:]} {
			want := "before" + base64.StdEncoding.EncodeToString(src)
			if got := vector.StdEncoding.AppendEncode([]byte("before"), src); string(got) != want {
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
			vector.StdEncoding.AppendEncode(dst, src)
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

package localkinesis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unicode/utf8"
)

// CBOR (RFC 8949) as the Java SDKs write it for Kinesis: blobs are byte
// strings, timestamps tag 1 with whole milliseconds, objects and lists of
// definite or indefinite length.

const (
	cborUint    = 0 << 5
	cborNegInt  = 1 << 5
	cborBytes   = 2 << 5
	cborText    = 3 << 5
	cborArray   = 4 << 5
	cborMap     = 5 << 5
	cborTag     = 6 << 5
	cborSimple  = 7 << 5
	cborMajor   = 7 << 5
	cborBreak   = 0xff
	cborUnknown = -1 // length of what ends at a break
)

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, cborNegInt, uint64(-1-n))
	}
	return appendHead(b, cborUint, uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

func appendCBOR(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, cborMap)
		}
		return appendCBOR(b, v.Elem())
	case reflect.String:
		return appendText(b, v.String())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return appendInt(b, v.Int())
	case reflect.Bool:
		if v.Bool() {
			return append(b, cborSimple|21)
		}
		return append(b, cborSimple|20)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(appendHead(b, cborBytes, uint64(v.Len())), v.Bytes()...)
		}
		b = appendHead(b, cborArray, uint64(v.Len()))
		for i := range v.Len() {
			b = appendCBOR(b, v.Index(i))
		}
		return b
	case reflect.Map:
		b = appendHead(b, cborMap, uint64(v.Len()))
		for _, k := range sortedKeys(v) {
			b = appendText(b, k)
			b = appendCBOR(b, v.MapIndex(reflect.ValueOf(k)))
		}
		return b
	case reflect.Struct:
		if v.Type() == momentType {
			return appendInt(append(b, cborTag|1), v.Interface().(moment).UnixMilli())
		}
		fields := membersOf(v.Type())
		n := 0
		for _, m := range fields {
			if !absent(v.FieldByIndex(m.path)) {
				n++
			}
		}
		b = appendHead(b, cborMap, uint64(n))
		for _, m := range fields {
			if f := v.FieldByIndex(m.path); !absent(f) {
				b = appendText(b, m.name)
				b = appendCBOR(b, f)
			}
		}
		return b
	}
	return append(b, cborSimple|22)
}

// cborReader decodes one document into structs.
type cborReader struct {
	b     []byte
	depth int
}

var errCBOR = errors.New("the request is not well-formed CBOR")

const cborDepthMax = 32

func decodeCBOR(b []byte, in any) error {
	r := &cborReader{b: b}
	if err := r.into(reflect.ValueOf(in).Elem(), "request"); err != nil {
		return err
	}
	if len(r.b) != 0 {
		return fmt.Errorf("%w: %d bytes follow its end", errCBOR, len(r.b))
	}
	return nil
}

// head reads the head of the next item; n is cborUnknown for an indefinite one.
func (r *cborReader) head() (major byte, info byte, n int64, err error) {
	if len(r.b) == 0 {
		return 0, 0, 0, errCBOR
	}
	major, info = r.b[0]&cborMajor, r.b[0]&31
	r.b = r.b[1:]
	var width int
	switch {
	case info < 24:
		return major, info, int64(info), nil
	case info <= 27:
		width = 1 << (info - 24)
	case info == 31:
		return major, info, cborUnknown, nil
	default:
		return 0, 0, 0, errCBOR
	}
	if len(r.b) < width {
		return 0, 0, 0, errCBOR
	}
	var u uint64
	for _, c := range r.b[:width] {
		u = u<<8 | uint64(c)
	}
	r.b = r.b[width:]
	if major == cborSimple {
		return major, info, int64(u), nil // the bits of a float
	}
	if u > math.MaxInt64 {
		return 0, 0, 0, errCBOR
	}
	return major, info, int64(u), nil
}

// done tells whether a list or map that had n items to come has ended, and
// takes the break of an indefinite one.
func (r *cborReader) done(n *int64) (bool, error) {
	if *n == cborUnknown {
		if len(r.b) == 0 {
			return false, errCBOR
		}
		if r.b[0] != cborBreak {
			return false, nil
		}
		r.b = r.b[1:]
		return true, nil
	}
	*n--
	return *n < 0, nil
}

// text reads what follows the head of a byte or text string.
func (r *cborReader) text(major byte, n int64) ([]byte, error) {
	if n != cborUnknown {
		if int64(len(r.b)) < n {
			return nil, errCBOR
		}
		out := r.b[:n:n]
		r.b = r.b[n:]
		return out, nil
	}
	out := []byte{}
	for {
		if end, err := r.done(&n); err != nil || end {
			return out, err
		}
		m, _, k, err := r.head()
		if err != nil || m != major || k == cborUnknown {
			return nil, errCBOR
		}
		part, err := r.text(m, k)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
}

func (r *cborReader) key() (string, error) {
	major, _, n, err := r.head()
	if err != nil || major != cborText {
		return "", errCBOR
	}
	b, err := r.text(major, n)
	return string(b), err
}

func (r *cborReader) skip() error {
	if r.depth++; r.depth > cborDepthMax {
		return errCBOR
	}
	defer func() { r.depth-- }()
	major, info, n, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case cborUint, cborNegInt:
		if n == cborUnknown {
			return errCBOR
		}
	case cborBytes, cborText:
		_, err = r.text(major, n)
		return err
	case cborTag:
		return r.skip()
	case cborSimple:
		if info == 31 {
			return errCBOR
		}
	case cborArray, cborMap:
		for {
			if end, err := r.done(&n); err != nil || end {
				return err
			}
			if major == cborMap {
				if err := r.skip(); err != nil {
					return err
				}
			}
			if err := r.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

// into decodes the next item into v; at names it in errors.
func (r *cborReader) into(v reflect.Value, at string) error {
	if r.depth++; r.depth > cborDepthMax {
		return errCBOR
	}
	defer func() { r.depth-- }()
	if len(r.b) > 0 && (r.b[0] == cborSimple|22 || r.b[0] == cborSimple|23) { // null, undefined
		if r.depth == 1 {
			return errors.New("the request is null")
		}
		r.b = r.b[1:]
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return r.into(v.Elem(), at)
	}
	major, info, n, err := r.head()
	if err != nil {
		return err
	}
	mismatch := fmt.Errorf("a CBOR item of major type %d can not be converted to %s at %s", major>>5, v.Type(), at)
	if v.Type() == momentType {
		return r.moment(v, major, info, n, mismatch)
	}
	switch v.Kind() {
	case reflect.String:
		if major != cborText {
			return mismatch
		}
		b, err := r.text(major, n)
		if err == nil && !utf8.Valid(b) {
			return errCBOR
		}
		v.SetString(string(b))
		return err
	case reflect.Int32, reflect.Int64:
		if major != cborUint && major != cborNegInt || n == cborUnknown {
			return mismatch
		}
		if major == cborNegInt {
			n = -1 - n
		}
		if v.OverflowInt(n) {
			return mismatch
		}
		v.SetInt(n)
		return nil
	case reflect.Bool:
		if major != cborSimple || info != 20 && info != 21 {
			return mismatch
		}
		v.SetBool(info == 21)
		return nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if major != cborBytes {
				return mismatch
			}
			b, err := r.text(major, n)
			v.SetBytes(append(make([]byte, 0, len(b)), b...))
			return err
		}
		if major != cborArray {
			return mismatch
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for {
			if end, err := r.done(&n); err != nil || end {
				return err
			}
			v.Grow(1)
			v.SetLen(v.Len() + 1)
			if err := r.into(v.Index(v.Len()-1), at); err != nil {
				return err
			}
		}
	case reflect.Map:
		if major != cborMap {
			return mismatch
		}
		v.Set(reflect.MakeMap(v.Type()))
		for {
			if end, err := r.done(&n); err != nil || end {
				return err
			}
			k, err := r.key()
			if err != nil {
				return err
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if err := r.into(e, at+"."+k); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.Struct:
		if major != cborMap {
			return mismatch
		}
		return r.object(v, n, at)
	}
	return mismatch
}

func (r *cborReader) object(v reflect.Value, n int64, at string) error {
	fields := membersOf(v.Type())
	for {
		if end, err := r.done(&n); err != nil || end {
			return err
		}
		k, err := r.key()
		if err != nil {
			return err
		}
		known := false
		for _, m := range fields {
			if m.name == k {
				known = true
				err = r.into(v.FieldByIndex(m.path), k)
				break
			}
		}
		if !known {
			err = r.skip()
		}
		if err != nil {
			return err
		}
	}
}

// moment reads tag 1 with a whole number of milliseconds, or an untagged one.
func (r *cborReader) moment(v reflect.Value, major, info byte, n int64, mismatch error) error {
	if major == cborTag {
		if n != 1 {
			return mismatch
		}
		var err error
		if major, info, n, err = r.head(); err != nil {
			return err
		}
	}
	var ms float64
	switch {
	case major == cborUint && n != cborUnknown:
		ms = float64(n)
	case major == cborNegInt && n != cborUnknown:
		ms = float64(-1 - n)
	case major == cborSimple && info == 27:
		ms = math.Float64frombits(uint64(n))
	case major == cborSimple && info == 26:
		ms = float64(math.Float32frombits(uint32(n)))
	default:
		return mismatch
	}
	if math.IsNaN(ms) || math.Abs(ms) > 1e15 {
		return mismatch
	}
	v.Set(reflect.ValueOf(moment{time.UnixMilli(int64(ms))}))
	return nil
}

package floor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

// signer signs requests: Signature Version 4, over the headers that every call to
// Kinesis has.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type signer struct {
	id, secret, region, service string
	today                       *today
}

// today has the key of a day: it is derived once a day.
type today struct {
	sync.Mutex
	day string
	key []byte
}

func newSigner(id, secret, region, service string) signer {
	return signer{id, secret, region, service, new(today)}
}

const signed = "content-type;host;x-amz-date;x-amz-target"

func (s *signer) sign(h http.Header, host string, body []byte, now time.Time) {
	date := now.UTC().Format("20060102T150405Z")
	payload := sha256.Sum256(body)
	var scratch [512]byte

	canonical := append(scratch[:0], "POST\n/\n\ncontent-type:"...)
	canonical = append(canonical, h["Content-Type"][0]...)
	canonical = append(append(canonical, "\nhost:"...), host...)
	canonical = append(append(canonical, "\nx-amz-date:"...), date...)
	canonical = append(append(canonical, "\nx-amz-target:"...), h["X-Amz-Target"][0]...)
	canonical = append(canonical, "\n\n"+signed+"\n"...)
	canonical = hex.AppendEncode(canonical, payload[:])
	request := sha256.Sum256(canonical)

	scope := date[:8] + "/" + s.region + "/" + s.service + "/aws4_request"
	text := append(scratch[:0], "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"...)
	text = hex.AppendEncode(text, request[:])
	signature := hex.EncodeToString(mac(s.key(date[:8]), text))

	h["X-Amz-Date"] = []string{date}
	h["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + s.id + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + signature}
}

func (s *signer) key(day string) []byte {
	s.today.Lock()
	defer s.today.Unlock()
	if s.today.day != day {
		key := []byte("AWS4" + s.secret)
		for _, part := range []string{day, s.region, s.service, "aws4_request"} {
			key = mac(key, []byte(part))
		}
		s.today.day, s.today.key = day, key
	}
	return s.today.key
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

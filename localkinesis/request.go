package localkinesis

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	contentJSON = "application/x-amz-json-1.1"
	contentCBOR = "application/x-amz-cbor-1.1"

	// target is the prefix of X-Amz-Target: the service and its API version.
	target = "Kinesis_20131202"

	// bodyMax bounds a request: 10 MiB of records in base64, and what is around
	// them.
	bodyMax = 24 << 20
)

// call is one request on its way through the server.
type call struct {
	server *Server
	op     *operation
	ctx    context.Context
	w      http.ResponseWriter
	r      *http.Request
	cbor   bool
	body   []byte
	// failure is what the request was refused with.
	failure *failure
	effects
}

func (c *call) now() time.Time { return c.server.clock.now() }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler) // as if the connection had ended before
	}
	defer s.running.Done()
	h := w.Header()
	// Every answer has these; SDKs print the first and correct their clocks by
	// the date.
	var id [12]byte
	_, _ = rand.Read(id[:])
	text := hex.EncodeToString(id[:])
	h["X-Amzn-Requestid"] = []string{text[:8] + "-" + text[8:12] + "-4" + text[13:16] + "-8" + text[17:20] + "-" + text[12:24]}
	h["X-Amz-Id-2"] = []string{base64.StdEncoding.EncodeToString(id[:])}
	h["Date"] = []string{s.clock.now().UTC().Format(http.TimeFormat)}

	if strings.HasPrefix(r.URL.Path, adminPath) {
		s.serveAdmin(w, r)
		return
	}
	c := &call{server: s, ctx: r.Context(), w: w, r: r}
	if s.log.Enabled(c.ctx, slog.LevelDebug) {
		defer c.log(time.Now())
	}
	if c.failure = c.serve(); c.failure != nil {
		c.answerFailure(c.failure)
	}
}

// log tells of a request once it is over; never of keys or data.
func (c *call) log(started time.Time) {
	outcome := "answered"
	switch {
	case c.failure != nil:
		outcome = c.failure.Error()
	case c.drop || c.late != nil:
		outcome = "connection closed by a fault"
	}
	c.server.log.Debug("request", "operation", c.r.Header.Get("X-Amz-Target"), "stream", c.stream, "outcome", outcome,
		"took", time.Since(started))
}

// serve handles one request of the service's protocol. The order of checks is
// the service's as kinesalite recorded it, index.js in
// https://github.com/mhart/kinesalite.
func (c *call) serve() *failure {
	r := c.r
	content, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch content = strings.TrimSpace(content); {
	case r.Method != http.MethodPost:
		return &failure{http.StatusForbidden, "AccessDeniedException", "Unable to determine service/operation name to be authorized"}
	case content == contentCBOR:
		c.cbor = true
	case content != contentJSON:
		return &failure{http.StatusNotFound, codeUnknown, "Content-Type " + content + " is not " + contentJSON + " or " + contentCBOR + "."}
	}
	service, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if service != target {
		return refuse(codeUnknown, "The embedded server speaks %s, not %q: point only Kinesis clients at it.", target, service)
	}
	if c.op = operationNamed(name); c.op == nil {
		return refuse(codeUnknown, "%q is no operation of %s that the embedded server knows.", name, target)
	}
	if f := signed(r); f != nil {
		return f
	}
	if c.op.serve == nil {
		return refuse(codeUnknown, "The embedded server does not support %s: %s", name, c.op.Note)
	}
	buffer := c.server.buffers.Get().(*[]byte)
	defer func() { c.server.recycle(buffer, c.body) }()
	if f := c.read(*buffer); f != nil {
		return f
	}
	err := c.op.serve(c)
	var f *failure
	if err != nil && !errors.As(err, &f) {
		f = internalFailure(err.Error())
	}
	return f
}

// signed wants a signature to be there; it believes any. Source:
// MissingAuthenticationToken, "The request must contain either a valid
// (registered) AWS access key ID or X.509 certificate", CommonErrors.
func signed(r *http.Request) *failure {
	header := r.Header.Get("Authorization")
	if header == "" {
		if r.URL.Query().Get("X-Amz-Signature") != "" {
			return nil
		}
		return refuse(codeNoToken, "Missing Authentication Token")
	}
	missing := ""
	for _, p := range []string{"Credential", "Signature", "SignedHeaders"} {
		if !strings.Contains(header, p+"=") {
			missing += "Authorization header requires '" + p + "' parameter. "
		}
	}
	if missing != "" {
		return refuse("IncompleteSignatureException", "%sAuthorization=%s", missing, header)
	}
	return nil
}

func (c *call) read(into []byte) *failure {
	n := c.r.ContentLength
	if n > bodyMax {
		return &failure{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request is larger than the service takes."}
	}
	if int64(cap(into)) < n+bytes.MinRead {
		into = make([]byte, 0, n+bytes.MinRead)
	}
	b := bytes.NewBuffer(into[:0])
	_, err := b.ReadFrom(io.LimitReader(c.r.Body, bodyMax+1))
	c.body = b.Bytes()
	switch {
	case err != nil:
		return &failure{http.StatusRequestTimeout, "RequestTimeout", "The body of the request did not arrive: " + err.Error()}
	case len(c.body) > bodyMax:
		return &failure{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request is larger than the service takes."}
	}
	return nil
}

// recycle keeps the memory of a body for the next one, within reason.
func (s *Server) recycle(buffer *[]byte, used []byte) {
	if cap(used) > 0 && cap(used) <= 32<<20 {
		*buffer = used[:0]
	}
	s.buffers.Put(buffer)
}

// answer encodes and sends what the operation gave.
func (c *call) answer(out any) {
	buffer := c.server.buffers.Get().(*[]byte)
	b := c.encode((*buffer)[:0], out)
	c.send(http.StatusOK, b)
	c.server.recycle(buffer, b)
}

func (c *call) answerFailure(f *failure) {
	c.send(f.status, c.encode(nil, map[string]string{"__type": f.code, "message": f.message}))
}

func (c *call) send(status int, b []byte) {
	h := c.w.Header()
	h["Content-Type"] = []string{contentJSON}
	if c.cbor {
		h["Content-Type"] = []string{contentCBOR}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b) // a client that has gone is no concern of ours
}

// abort ends the connection (HTTP/1.1) or the stream (HTTP/2) without an
// answer; net/http recovers this panic, it is made for that.
func (c *call) abort() { panic(http.ErrAbortHandler) }

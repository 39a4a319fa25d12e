package localkinesis_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

// serve runs a server on a real listener and gives its address once it answers.
func serve(t *testing.T, srv *localkinesis.Server, by func(net.Listener) error, client *http.Client, scheme string) string {
	t.Helper()
	l, err := localkinesis.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- by(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	url := scheme + "://" + l.Addr().String()
	resp, err := client.Get(url + "/_vegas/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("health is %d", resp.StatusCode)
	}
	return url
}

func TestRealSockets(t *testing.T) {
	for name, tc := range map[string]struct {
		tls    bool
		adjust []func(*http.Transport)
		proto  string
	}{
		"HTTP/1.1":      {false, nil, "HTTP/1.1"},
		"HTTP/2":        {false, []func(*http.Transport){localkinesis.HTTP2}, "HTTP/2.0"},
		"TLS":           {true, nil, "HTTP/2.0"},
		"TLS, HTTP/1.1": {true, []func(*http.Transport){func(t *http.Transport) { t.ForceAttemptHTTP2 = false; t.TLSNextProto = noProtos }}, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := localkinesis.New(oneShard)
			if tc.tls {
				insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // only to wait
				serve(t, srv, srv.ServeTLS, insecure, "https")
				if !x509.NewCertPool().AppendCertsFromPEM(srv.CertificateAuthority()) {
					t.Error("the authority is not PEM")
				}
			} else {
				serve(t, srv, srv.Serve, http.DefaultClient, "http")
			}
			cfg := srv.AWS(tc.adjust...)
			c := kinesis.NewFromConfig(cfg)
			put(t, c, "a", "one")
			out := get(t, c, iterate(t, c, "shardId-000000000000", types.ShardIteratorTypeTrimHorizon))
			if got := fmt.Sprint(texts(out.Records)); got != "[one]" {
				t.Errorf("got %s", got)
			}
			resp, err := cfg.HTTPClient.Do(must(http.NewRequest(http.MethodGet, *cfg.BaseEndpoint+"/_vegas/clock", nil)))
			if err != nil || resp.Proto != tc.proto {
				t.Fatalf("spoke %v, %v", resp, err)
			}
			_ = resp.Body.Close()
		})
	}
}

// TestPlainAndTLS: AWS speaks to the first listener, whatever came later.
func TestPlainAndTLS(t *testing.T) {
	srv := localkinesis.New(oneShard)
	serve(t, srv, srv.Serve, http.DefaultClient, "http")
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // only to wait
	serve(t, srv, srv.ServeTLS, insecure, "https")
	put(t, kinesis.NewFromConfig(srv.AWS()), "a", "one")
}

var noProtos = map[string]func(string, *tls.Conn) http.RoundTripper{}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAdmin(t *testing.T) {
	srv := localkinesis.New(oneShard)
	url := serve(t, srv, srv.Serve, http.DefaultClient, "http")
	do := func(method, path, body string, origin ...string) (int, string) {
		t.Helper()
		r := must(http.NewRequest(method, url+path, strings.NewReader(body)))
		for _, o := range origin {
			r.Header.Set("Origin", o)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
	}
	status, body := do("POST", "/_vegas/faults", `{"do":"fail","op":"PutRecord","count":1,"code":"KMSDisabledException","delay":"1s"}`)
	if status != http.StatusCreated || !strings.Contains(body, `"id":1`) || !strings.Contains(body, `"delay":"1s"`) {
		t.Errorf("injected: %d %s", status, body)
	}
	c := kinesis.NewFromConfig(srv.AWS())
	_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: aws.String("a"), Data: []byte("x")})
	if _, ok := errors.AsType[*types.KMSDisabledException](err); !ok {
		t.Errorf("put: %v", err)
	}
	_, body = do("GET", "/_vegas/faults", "")
	var list []struct {
		Fired  int
		Active bool
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 || list[0].Fired != 1 || list[0].Active {
		t.Errorf("faults: %s", body)
	}
	for _, bad := range []string{`{`, `{"do":"nonsense"}`, `{"do":"fail","op":"Nonsense"}`, `{"do":"fail","typo":1}`, `{"do":"delay","delay":"soon"}`, `{"do":"drop-answer","op":"SubscribeToShard"}`, `{"do":"stale-shards","op":"PutRecord"}`} {
		if status, body := do("POST", "/_vegas/faults", bad); status != http.StatusBadRequest || !strings.Contains(body, "error") {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, _ := do("DELETE", "/_vegas/faults/1", ""); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	before := srv.Now()
	if status, body := do("POST", "/_vegas/clock", `{"advance":"1h"}`); status != http.StatusOK || srv.Now().Sub(before) < time.Hour {
		t.Errorf("clock: %d %s", status, body)
	}
	if status, _ := do("POST", "/_vegas/clock", `{"advance":"-1h"}`); status != http.StatusBadRequest {
		t.Errorf("backwards: %d", status)
	}
	if status, _ := do("GET", "/_vegas/faults", "", "https://example.com"); status != http.StatusForbidden {
		t.Errorf("a browser: %d", status)
	}
	if status, _ := do("GET", "/_vegas/nothing", ""); status != http.StatusNotFound {
		t.Errorf("nothing: %d", status)
	}
}

// TestRefusals are requests that no SDK sends.
func TestRefusals(t *testing.T) {
	srv := localkinesis.Start(t, oneShard)
	cfg := srv.AWS()
	signed := "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x"
	const list, jsonType = "Kinesis_20131202.ListStreams", "application/x-amz-json-1.1"
	for name, tc := range map[string]struct {
		method, target, content, auth, body string
		status                              int
		kind                                string
	}{
		"fine":                {"POST", list, jsonType, signed, `{}`, 200, ""},
		"fine, with charset":  {"POST", list, jsonType + "; charset=utf-8", signed, `{}`, 200, ""},
		"GET":                 {"GET", list, jsonType, signed, ``, 403, "AccessDeniedException"},
		"plain JSON":          {"POST", list, "application/json", signed, `{}`, 404, "UnknownOperationException"},
		"unsigned":            {"POST", list, jsonType, "", `{}`, 400, "MissingAuthenticationTokenException"},
		"half signed":         {"POST", list, jsonType, "AWS4 Credential=x", `{}`, 400, "IncompleteSignatureException"},
		"another service":     {"POST", "DynamoDB_20120810.ListTables", jsonType, signed, `{}`, 400, "UnknownOperationException"},
		"unknown operation":   {"POST", "Kinesis_20131202.Dance", jsonType, signed, `{}`, 400, "UnknownOperationException"},
		"channels":            {"POST", "Kinesis_20131202.CreateChannel", jsonType, signed, `{}`, 400, "UnknownOperationException"},
		"no body":             {"POST", list, jsonType, signed, ``, 400, "SerializationException"},
		"null":                {"POST", list, jsonType, signed, `null`, 400, "SerializationException"},
		"not JSON":            {"POST", list, jsonType, signed, `{`, 400, "SerializationException"},
		"wrong type":          {"POST", list, jsonType, signed, `{"Limit":"ten"}`, 400, "SerializationException"},
		"put: no body":        {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, ``, 400, "SerializationException"},
		"put: not JSON":       {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"Records":[`, 400, "SerializationException"},
		"put: wrong type":     {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"Records":{}}`, 400, "SerializationException"},
		"put: not base64":     {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders","Records":[{"PartitionKey":"a","Data":"!"}]}`, 400, "SerializationException"},
		"put: empty":          {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders","Records":[]}`, 400, "ValidationException"},
		"put: no records":     {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders"}`, 400, "ValidationException"},
		"put: no data":        {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders","Records":[{"PartitionKey":"a"}]}`, 400, "ValidationException"},
		"put: no key":         {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders","Records":[{"Data":""}]}`, 400, "ValidationException"},
		"put: fine":           {"POST", "Kinesis_20131202.PutRecords", jsonType, signed, `{"StreamName":"orders","Records":[{"PartitionKey":"\u00fc","Data":"AA\u003d\u003d","x":[1,{"y":null}]}]}`, 200, ""},
		"CBOR: not CBOR":      {"POST", list, "application/x-amz-cbor-1.1", signed, "\xff", 400, ""},
		"CBOR: wrong type":    {"POST", list, "application/x-amz-cbor-1.1", signed, "\xa1\x65Limit\x63ten", 400, ""},
		"CBOR: half a string": {"POST", list, "application/x-amz-cbor-1.1", signed, "\xa1\x65Lim", 400, ""},
		"CBOR: fine":          {"POST", list, "application/x-amz-cbor-1.1", signed, "\xbf\x65Limit\x0a\xff", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := must(http.NewRequest(tc.method, *cfg.BaseEndpoint, bytes.NewReader([]byte(tc.body))))
			r.Header.Set("X-Amz-Target", tc.target)
			r.Header.Set("Content-Type", tc.content)
			if tc.auth != "" {
				r.Header.Set("Authorization", tc.auth)
			}
			resp, err := cfg.HTTPClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body := must(io.ReadAll(resp.Body))
			var e struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if resp.Header.Get("Content-Type") == jsonType {
				if err := json.Unmarshal(body, &e); err != nil {
					t.Fatalf("%s: %v", body, err)
				}
			}
			if resp.StatusCode != tc.status || e.Type != tc.kind || (e.Type != "") != (e.Message != "") {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			for _, h := range []string{"X-Amzn-Requestid", "X-Amz-Id-2", "Date"} {
				if resp.Header.Get(h) == "" {
					t.Errorf("no header %s", h)
				}
			}
		})
	}
}

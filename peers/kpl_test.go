//go:build peers && unix

package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// What the Kinesis Producer Library stores decodes here, byte for byte as our
// own builder writes it.
func TestKPL(t *testing.T) {
	long(t)
	t.Parallel()
	p := java(t, "Kpl")
	const stream = "kpl"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := serveLocal(t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}), func(o *localkinesis.Options) {
		o.Streams = map[string]int{stream: 2}
	})

	in := struct {
		Port      int     `json:"port"`
		Stream    string  `json:"stream"`
		Directory string  `json:"directory"` // where it unpacks its native program
		Records   []entry `json:"records"`
	}{Port: l.Addr().(*net.TCPAddr).Port, Stream: stream, Directory: need(t, javaParts)}
	for i := range 300 {
		e := entry{Key: fmt.Sprintf("key-%d", i%37), Data: fmt.Appendf(nil, "record %d ☃", i)}
		if i%3 == 0 {
			e.HashKey = keyspace.Split(10)[i%10].First.String()
		}
		in.Records = append(in.Records, e)
	}
	in.Records = append(in.Records, entry{Key: "ключ ☃", Data: []byte{0}}, entry{Key: "empty", Data: []byte{}})
	var out struct {
		Stored []place `json:"stored"`
	}
	p.run(t, in, &out)

	aggregates, found := 0, map[place][]entry{}
	st, err := srv.Stream(stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range st.Shards {
		records, err := srv.Records(stream, sh.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			at := place{sh.ID, r.Sequence}
			a, err := aggregate.DecodeBytes(r.Data)
			if err != nil { // the KPL sends a record that was alone in its batch as it is
				found[at] = append(found[at], entry{Key: r.PartitionKey, Data: r.Data})
				continue
			}
			aggregates++
			if a.HasIdentity || a.IdentityError != nil {
				t.Errorf("%v has an identity: %v", at, a.IdentityError)
			}
			var b aggregate.Builder
			for i, s := range a.Subs {
				if err := b.Add(s, 0); err != nil {
					t.Fatal(err)
				}
				found[at] = append(found[at], entry{s.Key, s.ExplicitHashKey, s.Data})
				h, err := s.Hash()
				if err != nil {
					t.Fatal(err)
				}
				if own := (shard{First: sh.First, Last: sh.Last}); !own.holds(hashOf(entry{HashKey: h.String()})) {
					t.Errorf("%v: sub-record %d of hash key %s in a shard of %s to %s", at, i, h, sh.First, sh.Last)
				}
			}
			if ours := b.AppendTo(nil); !bytes.Equal(ours, r.Data) {
				t.Errorf("%v: the KPL writes %d bytes\n%.300x\nours are %d\n%.300x", at, len(r.Data), r.Data, len(ours), ours)
			}
			if r.PartitionKey != aggregate.PartitionKey {
				t.Errorf("%v: partition key %q, want %q", at, r.PartitionKey, aggregate.PartitionKey)
			}
		}
	}
	if aggregates < 2 {
		t.Errorf("%d aggregates, want one in each shard at least", aggregates)
	}
	for i, e := range in.Records {
		n := slices.IndexFunc(found[out.Stored[i]], func(f entry) bool {
			return f.Key == e.Key && bytes.Equal(f.Data, e.Data) && (f.HashKey == e.HashKey || f.HashKey == "")
		})
		if n < 0 {
			t.Errorf("record %d (%q %q) is not where the KPL says it stored it, %v", i, e.Key, e.Data, out.Stored[i])
			continue
		}
		found[out.Stored[i]] = slices.Delete(found[out.Stored[i]], n, n+1)
	}
	for at, more := range found {
		if len(more) > 0 {
			t.Errorf("%v holds %d records more than were sent", at, len(more))
		}
	}

	// And a consumer takes them apart, each where it is.
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(plain) }() // until the server is closed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := stream
	received, _ := receive(ctx, t, goSDK{client: goClient("http://"+plain.Addr().String(), false), stream: &name}, len(in.Records))
	text := func(shard, key string, data []byte) string { return fmt.Sprintf("%s %q %q", shard, key, data) }
	var got, want []string
	for _, r := range received {
		got = append(got, text(r.Shard, r.PartitionKey, r.Data))
	}
	for i, e := range in.Records {
		want = append(want, text(out.Stored[i].Shard, e.Key, e.Data))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("a consumer receives %d records\n%.2000q\nwant %d\n%.2000q", len(got), got, len(want), want)
	}
}

// certificate is good for 127.0.0.1 today, and nobody vouches for it.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

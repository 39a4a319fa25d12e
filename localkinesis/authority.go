package localkinesis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// authority is the server's own certificate authority and the one certificate
// it has signed: for localhost, the loopback addresses and the host of its
// listener. It lives as long as the process; its key is never written.
type authority struct {
	pool *x509.CertPool
	pem  []byte
	leaf tls.Certificate
}

func newAuthority(host string) (*authority, error) {
	fail := func(err error) (*authority, error) {
		return nil, fmt.Errorf("localkinesis: make certificates: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vegas localkinesis"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	} else if host != "" && host != "localhost" {
		leaf.DNSNames = append(leaf.DNSNames, host)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), key)
	if err != nil {
		return fail(err)
	}
	a := &authority{
		pool: x509.NewCertPool(),
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		leaf: tls.Certificate{Certificate: [][]byte{leafDER, der}, PrivateKey: leafKey},
	}
	a.pool.AppendCertsFromPEM(a.pem)
	return a, nil
}

func (a *authority) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
}

// ServeTLS answers requests over TLS, HTTP/1.1 and HTTP/2, on l until Close;
// then it returns nil. Clients must trust [Server.CertificateAuthority].
func (s *Server) ServeTLS(l net.Listener) error {
	host, _, _ := net.SplitHostPort(l.Addr().String())
	s.mu.Lock()
	if s.tls == nil {
		a, err := newAuthority(host)
		if err != nil {
			s.mu.Unlock()
			_ = l.Close()
			return err
		}
		s.tls = a
	}
	leaf := s.tls.leaf
	s.mu.Unlock()
	if err := s.begin(l, true); err != nil {
		return err
	}
	defer s.running.Done()
	return s.ended(s.http.Serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{leaf}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	})))
}

// CertificateAuthority is the certificate, in PEM, that clients of ServeTLS must
// trust: write it to a file for AWS_CA_BUNDLE or NODE_EXTRA_CA_CERTS. It is nil
// before ServeTLS.
func (s *Server) CertificateAuthority() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls == nil {
		return nil
	}
	return s.tls.pem
}

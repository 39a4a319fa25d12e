package localkinesis

import (
	"crypto/tls"
	"crypto/x509"
)

// authority is the server's own certificate authority.
type authority struct {
	pool *x509.CertPool
}

func (a *authority) clientConfig() *tls.Config {
	return &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
}

package localkinesis

import "time"

// encryptionInput is what both encryption operations ask for.
type encryptionInput struct {
	streamRef
	EncryptionType string
	KeyId          string
}

func (in *encryptionInput) validate(v *violations) {
	in.check(v)
	v.required("encryptionType", in.EncryptionType != "")
	v.oneOf("encryptionType", in.EncryptionType, "NONE", "KMS")
	v.required("keyId", in.KeyId != "")
	v.length("keyId", in.KeyId, 1, 2048)
}

// encrypt sets what records say of their encryption; data is not encrypted.
func (in *encryptionInput) encrypt(c *call, kind, key string) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if in.EncryptionType != "KMS" {
		return nil, refuse(codeArgument, "The only valid EncryptionType is KMS, not %s.", in.EncryptionType)
	}
	st.enter(statusUpdating, c.now(), func(st *stream, _ time.Time) { st.encryption, st.keyID = kind, key })
	return &empty{}, nil
}

type startStreamEncryptionInput struct{ encryptionInput }

func startStreamEncryption(c *call, in *startStreamEncryptionInput) (*empty, error) {
	return in.encrypt(c, "KMS", in.KeyId)
}

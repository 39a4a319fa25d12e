package localkinesis

type stopStreamEncryptionInput struct{ encryptionInput }

func stopStreamEncryption(c *call, in *stopStreamEncryptionInput) (*empty, error) {
	return in.encrypt(c, "NONE", "")
}

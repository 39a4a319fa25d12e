package localkinesis

import "github.com/libvegas/vegas/internal/limits"

type updateMaxRecordSizeInput struct {
	streamRef
	MaxRecordSizeInKiB *int32
}

func (in *updateMaxRecordSizeInput) validate(v *violations) {
	in.check(v)
	v.required("maxRecordSizeInKiB", in.MaxRecordSizeInKiB != nil)
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, limits.RecordBytes>>10, limits.RecordBytesMax>>10)
}

func updateMaxRecordSize(c *call, in *updateMaxRecordSizeInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	st.recordMax = int(*in.MaxRecordSizeInKiB) << 10
	return &empty{}, nil
}

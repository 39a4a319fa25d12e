package command

import (
	"testing"

	"github.com/libvegas/vegas/internal/kinesisapi"
)

// The ARN of a stream names its region where nothing else does.
func TestRegion(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	orders := kinesisapi.Name{Stream: "orders"}
	far := kinesisapi.Name{Stream: "orders", ARN: "arn:aws:kinesis:ap-south-1:123456789012:stream/orders", Region: "ap-south-1"}
	for _, c := range []struct {
		env  env
		name kinesisapi.Name
		want string
	}{
		{env{}, orders, ""},
		{env{}, far, "ap-south-1"},
		{env{region: "eu-west-1"}, orders, "eu-west-1"},
		{env{endpoint: "http://127.0.0.1:4567"}, orders, "us-east-1"},
	} {
		cfg, err := c.env.awsConfig(t.Context(), c.name)
		if cfg.Region != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v %v: region %q, %v; want %q", c.env, c.name, cfg.Region, err, c.want)
		}
	}
}

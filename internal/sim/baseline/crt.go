package baseline

import (
	"math"
	"time"
)

// Constants of the AWS Common Runtime's S3 client.
const (
	crtGbpsEach    = 0.4 // expected of one connection
	crtDefaultGbps = 10
	crtMin         = 10
	crtMax         = 10_000
)

// crt is a fixed number of connections, from the bandwidth that the host promises.
//
// Source: s3_client.c of https://github.com/awslabs/aws-c-s3.
type crt struct{ connections int }

func newCRT(e Env) Limiter {
	gbps := e.NIC * 8 / 1e9
	if gbps <= 0 {
		gbps = crtDefaultGbps
	}
	return &crt{int(min(crtMax, max(crtMin, math.Ceil(gbps/crtGbpsEach))))}
}

func (c *crt) Limit(time.Time) (int, float64) { return c.connections, 0 }

func (c *crt) Start(time.Time, int) {}

func (c *crt) Done(time.Time, Result) {}

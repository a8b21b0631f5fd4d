//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/lab"
)

// front is a lab in front of the S3 server, in the network of the cluster.
type front struct {
	// endpoint is the URL that pods reach it by.
	endpoint string
	// side reaches its statistics, on a socket that this network has, too.
	side *http.Client
}

// startLab starts a lab with further arguments for the length of a spec.
func startLab(arguments ...string) *front {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "lab")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	socket := filepath.Join(dir, "stats")
	server, err := figures.StartLab("nsenter", append([]string{"--target", strconv.Itoa(it.Cluster.PID), "--net", "--",
		filepath.Join(it.Root, "bin", "s3lab"), "--backend", "http://192.0.2.1:7070", "--listen", "192.0.2.1:0", "--stats", "unix:" + socket}, arguments...)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error {
		_, err := server.Stop()
		return err
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	DeferCleanup(transport.CloseIdleConnections)
	return &front{endpoint: server.Endpoint, side: &http.Client{Transport: transport}}
}

// labWith starts one under conditions.
func labWith(conditions string) *front {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "conditions.yaml")
	Expect(os.WriteFile(path, []byte(conditions), 0o600)).To(Succeed())
	return startLab("--conditions", path)
}

// reset returns what the lab has seen since the last time.
func (f *front) reset(ctx context.Context) (seen lab.Stats, err error) {
	answer, err := f.post(ctx, "/reset", "")
	if err != nil {
		return seen, err
	}
	err = json.Unmarshal(answer, &seen)
	return seen, err
}

// change replaces the conditions that are named.
func (f *front) change(ctx context.Context, conditions string) {
	GinkgoHelper()
	_, err := f.post(ctx, "/conditions", conditions)
	Expect(err).NotTo(HaveOccurred())
}

func (f *front) post(ctx context.Context, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := f.side.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST %s: %s: %s", path, response.Status, answer)
	}
	return answer, err
}

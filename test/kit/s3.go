package kit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/loopback"
	"cargoship.dev/operator/test/kit/process"
)

const (
	// s3Health is the path at which the server tells that it serves.
	s3Health = "/healthz"
	// s3Region is the region the server takes signatures for.
	s3Region = "us-east-1"
)

// S3Access is what a client of an S3 server needs to know.
type S3Access struct {
	// Endpoint is the URL that workers use, such as http://127.0.0.1:41234. It stays
	// the same over restarts.
	Endpoint string
	// Address is the host and port at which programs of this machine reach it.
	Address string
	// Region is what requests must be signed for.
	Region string
	// AccessKey and SecretKey are random for each server.
	AccessKey, SecretKey string
}

// S3 is a running versitygw whose objects are files under a directory.
type S3 struct {
	S3Access

	opts  Options
	data  string
	log   *os.File
	child *process.Process
	// release gives the address back.
	release func()
}

// StartS3 starts an S3 server, on a free loopback port or at opts.Address, with its
// objects in the directory s3 under opts.Dir, which must allow extended attributes.
func StartS3(ctx context.Context, opts Options) (*S3, error) {
	s := &S3{
		S3Access: S3Access{
			Region:    s3Region,
			AccessKey: "local" + rand.Text()[:11],
			SecretKey: rand.Text() + rand.Text()[:14],
		},
		opts: opts,
		data: filepath.Join(opts.Dir, "s3"),
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("create the S3 server's directory: %w", err)
	}
	var err error
	if s.Address, s.release, err = opts.s3Address(); err != nil {
		return nil, err
	}
	s.Endpoint = "http://" + s.Address
	s.log, err = os.OpenFile(filepath.Join(opts.Dir, "versitygw.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.release()
		return nil, fmt.Errorf("open the S3 server's log: %w", err)
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Restart starts the server again after Kill, on the same port with the same
// objects and keys, and waits until it serves.
func (s *S3) Restart(ctx context.Context) error {
	cmd := s.opts.command(assets.S3Server, "--port", s.Address, "--region", s.Region, "--health", s3Health,
		"--keep-alive", "--quiet", "posix", s.data)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	child, err := process.Start(cmd)
	if err != nil {
		return err
	}
	s.child = child
	return s.awaitHealth(ctx)
}

func (s *S3) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if err := s.health(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the S3 server at %s: %w", s.Endpoint, ctx.Err())
		case <-s.child.Done():
			return fmt.Errorf("the S3 server ended (log in %s): %w", s.log.Name(), s.child.Err())
		case <-time.After(pollInterval):
		}
	}
}

func (s *S3) health(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+s3Health, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// Kill ends the server at once, as a crash would.
func (s *S3) Kill() error { return s.child.Stop(0) }

// Stop ends the server. Its objects stay.
func (s *S3) Stop() error {
	defer s.release()
	var err error
	if s.child != nil {
		err = s.child.Stop(stopGrace)
	}
	return errors.Join(err, s.log.Close())
}

// Client returns an S3 client that shares no code with the one under test.
func (a S3Access) Client() (*minio.Client, error) {
	client, err := minio.New(a.Address, &minio.Options{
		Creds:        credentials.NewStaticV4(a.AccessKey, a.SecretKey, ""),
		Region:       a.Region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("make an S3 client: %w", err)
	}
	return client, nil
}

// s3Address is where the S3 server listens, and what to call when it has ended for good.
func (o Options) s3Address() (address string, release func(), err error) {
	if o.Address != "" {
		return net.JoinHostPort(o.Address, S3Port), func() {}, nil
	}
	return loopback.Reserve()
}

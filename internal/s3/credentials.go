package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// credentialsError says that there are no credentials to sign with.
type credentialsError struct{ err error }

func (e credentialsError) Error() string { return "no credentials: " + e.err.Error() }

func (e credentialsError) Unwrap() error { return e.err }

// credentialFiles reads credentials from files that may be replaced at any time, as
// those of a mounted Secret are.
type credentialFiles struct{ dir string }

// rereadEvery is how long credentials from files are kept.
const rereadEvery = 5 * time.Second

// Retrieve implements aws.CredentialsProvider. It reads until two readings agree, so
// that it never returns a pair of which one half has been replaced.
func (c credentialFiles) Retrieve(ctx context.Context) (aws.Credentials, error) {
	before, err := c.read()
	for range 5 {
		if err != nil {
			break
		}
		var again aws.Credentials
		if again, err = c.read(); err == nil && again == before {
			before.CanExpire, before.Expires = true, time.Now().Add(rereadEvery)
			return before, nil
		}
		before = again
	}
	if err == nil {
		err = fmt.Errorf("the files in %s keep changing", c.dir)
	}
	return aws.Credentials{}, err
}

func (c credentialFiles) read() (aws.Credentials, error) { return readCredentials(c.value) }

// credentialValues are credentials in memory, by the names of those files.
type credentialValues struct{ of map[string][]byte }

// Retrieve implements aws.CredentialsProvider.
func (c credentialValues) Retrieve(context.Context) (aws.Credentials, error) {
	return readCredentials(func(name string) (string, error) {
		value := strings.TrimSpace(string(c.of[name]))
		if value == "" && name != "AWS_SESSION_TOKEN" {
			return "", fmt.Errorf("%s is missing", name)
		}
		return value, nil
	})
}

func readCredentials(value func(name string) (string, error)) (aws.Credentials, error) {
	id, err := value("AWS_ACCESS_KEY_ID")
	if err != nil {
		return aws.Credentials{}, err
	}
	secret, err := value("AWS_SECRET_ACCESS_KEY")
	if err != nil {
		return aws.Credentials{}, err
	}
	token, err := value("AWS_SESSION_TOKEN")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return aws.Credentials{}, err
	}
	return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Source: "files"}, nil
}

// value reads one file, without the line end that editors and echo leave.
func (c credentialFiles) value(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(content))
	if value == "" && name != "AWS_SESSION_TOKEN" {
		return "", fmt.Errorf("%s is empty", filepath.Join(c.dir, name))
	}
	return value, nil
}

// markedProvider marks the errors of another provider as credentialsErrors.
type markedProvider struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (p markedProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = credentialsError{err}
	}
	return c, err
}

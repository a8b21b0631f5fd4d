package s3

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"gopkg.in/ini.v1"
)

// settings are what the environment and the profile of the AWS tools say, and what
// Options say instead.
type settings struct {
	aws.Config
	roots *x509.CertPool
	// style is the profile's section s3.
	style s3Section
}

// s3Section is what a profile says below "s3 =". The SDK reads none of it; the rest of
// it tunes transfers of the AWS CLI.
type s3Section struct {
	addressingStyle         string
	dualStack, acceleration bool
}

// ambient says that environment and profile count where an option is empty.
func (o Options) ambient() bool { return o.CredentialsDir == "" && o.Secret == nil || o.Ambient }

// loadSettings returns an *Error.
func loadSettings(ctx context.Context, o Options) (settings, error) {
	s := settings{Config: aws.Config{Region: defaultRegion}}
	var err error
	if o.ambient() {
		if s, err = ambientSettings(ctx); err != nil {
			return s, &Error{Class: Configuration, Reason: ReasonConfigurationRejected, Op: "configure bucket", Key: o.Bucket, Err: err,
				advice: "correct the environment or the files of the AWS tools"}
		}
	}
	s.Region = cmp.Or(o.Region, s.Region, defaultRegion)
	switch {
	case o.Secret != nil:
		s.Credentials = credentialValues{o.Secret}
	case o.CredentialsDir != "":
		s.Credentials = credentialFiles{o.CredentialsDir}
	}
	switch {
	case o.CA != nil:
		s.roots, err = parseRoots("the CA bundle", o.CA)
	case o.CAFile != "":
		s.roots, err = trustedRoots(o.CAFile)
	}
	if err != nil {
		return s, misconfigured("configure bucket", o.Bucket, ReasonCABundleInvalid, err)
	}
	return s, nil
}

// ambientSettings reads environment and profile.
func ambientSettings(ctx context.Context) (settings, error) {
	var s settings
	var err error
	if s.Config, err = config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{})); err != nil {
		return s, err
	}
	// With a bundle of certificates of its own the SDK makes a client that trusts them.
	if client, ok := s.HTTPClient.(*awshttp.BuildableClient); ok {
		if t := client.GetTransport().TLSClientConfig; t != nil {
			s.roots = t.RootCAs
		}
	}
	s.style, err = readS3Section()
	return s, err
}

// readS3Section reads what the chosen profile says below "s3 =".
func readS3Section() (s3Section, error) {
	file := cmp.Or(os.Getenv("AWS_CONFIG_FILE"), config.DefaultSharedConfigFilename())
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s3Section{}, nil
	}
	if err != nil {
		return s3Section{}, err
	}
	content, err := ini.LoadSources(ini.LoadOptions{AllowNestedValues: true, SkipUnrecognizableLines: true, Loose: true}, text)
	if err != nil {
		return s3Section{}, fmt.Errorf("read %s: %w", file, err)
	}
	profile := cmp.Or(os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE"), "default")
	var s s3Section
	for _, name := range []string{profile, "profile " + profile} {
		if name == profile && profile != "default" || !content.HasSection(name) {
			continue
		}
		for _, line := range content.Section(name).Key("s3").NestedValues() {
			key, value, _ := strings.Cut(line, "=")
			s.set(strings.TrimSpace(key), strings.ToLower(strings.TrimSpace(value)))
		}
	}
	return s, nil
}

func (s *s3Section) set(key, value string) {
	switch key {
	case "addressing_style":
		s.addressingStyle = value
	case "use_dualstack_endpoint":
		s.dualStack = value == "true"
	case "use_accelerate_endpoint":
		s.acceleration = value == "true"
	}
}

// apply has the options and the profile's section s3 say how the bucket is reached.
func (s settings) apply(o Options, to *s3.Options) {
	to.UsePathStyle = o.PathStyle || !o.StyleGiven && s.style.addressingStyle == "path"
	if o.Endpoint != "" {
		to.BaseEndpoint = aws.String(o.Endpoint)
		return
	}
	to.UseAccelerate = s.style.acceleration
	if s.style.dualStack && to.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateUnset {
		to.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}
}

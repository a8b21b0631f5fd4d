package tracing

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// The variables of the OpenTelemetry specification that are read here; the SDK reads
// the others.
const (
	EndpointEnv       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointEnv = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	headersEnv        = "OTEL_EXPORTER_OTLP_HEADERS"
	tracesHeadersEnv  = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	timeoutEnv        = "OTEL_EXPORTER_OTLP_TIMEOUT"
	tracesTimeoutEnv  = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"
	protocolEnv       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	tracesProtocolEnv = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	disabledEnv       = "OTEL_SDK_DISABLED"
	exporterEnv       = "OTEL_TRACES_EXPORTER"
	samplerEnv        = "OTEL_TRACES_SAMPLER"
	samplerArgEnv     = "OTEL_TRACES_SAMPLER_ARG"
)

const (
	// tracesPath follows the endpoint that is for all kinds of telemetry.
	tracesPath = "/v1/traces"
	// defaultTimeout of an export is that of the specification.
	defaultTimeout = 10 * time.Second
)

// settings say where spans are sent, and how.
type settings struct {
	url     string // "" for nowhere
	header  http.Header
	timeout time.Duration
}

// readSettings reads the environment.
func readSettings() (settings, error) {
	s := settings{timeout: defaultTimeout}
	if off() {
		return s, nil
	}
	var err error
	if s.url, err = readURL(); s.url == "" || err != nil {
		return s, err
	}
	if name, protocol := firstSet(tracesProtocolEnv, protocolEnv); protocol != "" && protocol != "http/protobuf" {
		return s, fmt.Errorf("%s is %q: only http/protobuf is supported", name, protocol)
	}
	if s.header, err = readHeader(); err != nil {
		return s, err
	}
	if name, text := firstSet(tracesTimeoutEnv, timeoutEnv); text != "" {
		ms, err := strconv.ParseInt(text, 10, 32)
		if err != nil || ms <= 0 {
			return s, fmt.Errorf("%s is %q: it must be a number of milliseconds", name, text)
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	return s, checkRatio()
}

// off tells that the environment switches tracing off, whatever endpoint it names.
func off() bool {
	return strings.EqualFold(os.Getenv(disabledEnv), "true") || os.Getenv(exporterEnv) == "none"
}

// firstSet returns the first variable that is set, and what to.
func firstSet(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// readURL returns the URL to post to, "" without an endpoint.
func readURL() (string, error) {
	name, text := firstSet(tracesEndpointEnv, EndpointEnv)
	if name == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The text is left out, since a password may be in it.
		return "", fmt.Errorf("%s must be like http://collector.example:4318, without user, password or query; credentials belong in %s", name, headersEnv)
	}
	if name == EndpointEnv {
		u = u.JoinPath(tracesPath)
	}
	return u.String(), nil
}

// readHeader reads pairs NAME=VALUE, separated by commas, whose values are escaped as in URLs.
func readHeader() (http.Header, error) {
	name, text := firstSet(tracesHeadersEnv, headersEnv)
	header := http.Header{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, fmt.Errorf("%s must hold pairs NAME=VALUE, separated by commas", name)
		}
		header.Set(key, value)
	}
	return header, nil
}

// checkRatio finds a ratio of which the SDK would only complain.
func checkRatio() error {
	text := os.Getenv(samplerArgEnv)
	if text == "" || !strings.HasSuffix(os.Getenv(samplerEnv), "traceidratio") {
		return nil
	}
	if ratio, err := strconv.ParseFloat(text, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
		return errors.New(samplerArgEnv + " must be a number between 0 and 1")
	}
	return nil
}

// Handed returns the variables, as NAME=VALUE, that have another process of the product
// send its spans to the same collector; none while nothing is traced. Headers are secret, and
// not among them.
func Handed() []string {
	if off() {
		return nil
	}
	if name, _ := firstSet(tracesEndpointEnv, EndpointEnv); name == "" {
		return nil
	}
	var handed []string
	for _, name := range []string{EndpointEnv, tracesEndpointEnv, samplerEnv, samplerArgEnv} {
		if value := os.Getenv(name); value != "" {
			handed = append(handed, name+"="+value)
		}
	}
	return handed
}

package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"k8s.io/utils/clock"
)

const (
	// timeout bounds one attempt.
	timeout = 10 * time.Second
	// drained is how much of an answer is read, so that its connection is used again; it tells nothing.
	drained = 64 << 10
	// leastSecret is the shortest key, in bytes, that Standard Webhooks allow.
	leastSecret = 24
	// encodedSecret begins a key that is given in base64.
	encodedSecret = "whsec_"
)

// Sender sends events to one receiver.
type Sender struct {
	to         *url.URL
	secretFile string
	client     *http.Client
	clock      clock.PassiveClock
}

// NewSender checks where events go and the key that they are signed with. The file of the key is read for
// each event, so that it may be rotated.
func NewSender(to, secretFile string, c clock.PassiveClock) (*Sender, error) {
	u, err := url.Parse(to)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be parsed") // The error would show it.
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("the URL must begin with https:// or http:// and name a host")
	case u.User != nil:
		return nil, errors.New("the URL must hold no user and no password: events are signed instead")
	}
	s := &Sender{to: u, secretFile: secretFile, clock: c, client: &http.Client{
		Timeout: timeout,
		// What is signed is for this receiver.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	_, err = s.secret()
	return s, err
}

// secret reads the key.
func (s *Sender) secret() ([]byte, error) {
	text, err := os.ReadFile(s.secretFile)
	if err != nil {
		return nil, fmt.Errorf("read the key that events are signed with: %w", err)
	}
	key := bytes.TrimRight(text, "\r\n")
	if encoded, ok := strings.CutPrefix(string(key), encodedSecret); ok {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("read the key that events are signed with: %s is no base64 after %s", s.secretFile, encodedSecret)
		}
	}
	if len(key) < leastSecret {
		return nil, fmt.Errorf("read the key that events are signed with: %s has less than %d bytes", s.secretFile, leastSecret)
	}
	return key, nil
}

// Send sends an event once. The receiver has it if there is no error. No error shows the URL, whose path
// or query may be secret, nor what the receiver says.
func (s *Sender) Send(ctx context.Context, e event.Event) error {
	attempted := fmt.Sprintf("send event %s to %s", e.Type(), s.to.Host)
	key, err := s.secret()
	if err != nil {
		return fmt.Errorf("%s: %w", attempted, err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%s: %w", attempted, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", attempted, bare(err))
	}
	at := strconv.FormatInt(s.clock.Now().Unix(), 10)
	r.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
	r.Header.Set("Webhook-Id", e.ID())
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", Sign(key, e.ID(), at, body))
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", attempted, bare(err))
	}
	_, _ = io.CopyN(io.Discard, answer.Body, drained)
	_ = answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s: it answers %d %s", attempted, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil
}

// Sign is the signature of a body, as Standard Webhooks define it (standardwebhooks.com).
func Sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// bare is an error of a request without its URL.
func bare(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

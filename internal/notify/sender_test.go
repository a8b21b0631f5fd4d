package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

const key = "a key of more than 24 bytes"

// received is a request as a receiver gets it.
type received struct {
	headers http.Header
	body    []byte
}

// receiver answers with the codes in turn, and keeps what it gets.
func receiver(t *testing.T, codes ...int) (*httptest.Server, *[]received) {
	t.Helper()
	var all []received
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		all = append(all, received{r.Header, body})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(codes[min(len(all), len(codes))-1])
		_, _ = io.WriteString(w, "what the receiver says")
	}))
	t.Cleanup(s.Close)
	return s, &all
}

func keyFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func sender(t *testing.T, to, file string) *Sender {
	t.Helper()
	s, err := NewSender(to, file, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var end = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// failed is a transfer that has failed.
func failed() *workload.Workload {
	at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "media", Name: "photos", UID: "some-uid"}}
	at.Spec.Destination.Location = v1alpha1.Location{Bucket: "archive", Prefix: "photos", Credentials: v1alpha1.Credentials{SecretName: "keys"}}
	at.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonFilesFailed, Message: "2 files failed"}}
	at.Status.StartTime, at.Status.CompletionTime = ptr.To(metav1.NewTime(end.Add(-time.Hour))), ptr.To(metav1.NewTime(end))
	tally := func(n int64) *v1alpha1.Tally { return &v1alpha1.Tally{Files: &n, Bytes: ptr.To(100 * n)} }
	at.Status.Progress = &v1alpha1.Progress{Planned: tally(10), Done: tally(7), Failed: tally(2), Skipped: tally(1), BytesPerSecond: ptr.To(int64(5))}
	return workload.Of(at)
}

// A receiver gets a valid CloudEvent whose signature it can verify with the key alone.
func TestTheReceiverGetsASignedEvent(t *testing.T) {
	to, got := receiver(t, http.StatusAccepted)
	e, err := Event(failed())
	if err != nil {
		t.Fatal(err)
	}
	s := sender(t, to.URL+"/hook?token=x", keyFile(t, key+"\n"))
	if err := s.Send(t.Context(), e); err != nil || len(*got) != 1 {
		t.Fatalf("%d requests, %v", len(*got), err)
	}
	r := (*got)[0]
	var parsed event.Event
	if err := json.Unmarshal(r.body, &parsed); err != nil || parsed.Validate() != nil {
		t.Fatalf("%s: %v, %v", r.body, err, parsed.Validate())
	}
	if parsed.Type() != "dev.cargoship.transfer.failed" || parsed.Subject() != "media/photos" || parsed.ID() != "some-uid" || !parsed.Time().Equal(end) ||
		parsed.Source() != "/apis/transfer.cargoship.dev/v1alpha1/namespaces/media/archivetransfers/photos" {
		t.Errorf("the event is %v", parsed)
	}
	want := Ended{Kind: "ArchiveTransfer", Namespace: "media", Name: "photos", UID: "some-uid", Outcome: "Failed", Reason: "FilesFailed", Message: "2 files failed",
		Bucket: "archive", Prefix: "photos", StartTime: end.Add(-time.Hour), CompletionTime: end,
		Files: Counts{10, 7, 2, 1}, Bytes: Counts{1000, 700, 200, 100}, BytesPerSecond: 5}
	var data Ended
	if err := parsed.DataAs(&data); err != nil || !cmp.Equal(data, want) {
		t.Errorf("%v: (-got +want)\n%s", err, cmp.Diff(data, want))
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(r.headers.Get("webhook-id") + "." + r.headers.Get("webhook-timestamp") + "." + string(r.body)))
	if sign := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.headers.Get("webhook-signature") != sign || r.headers.Get("webhook-id") != "some-uid" {
		t.Errorf("signed %q, want %q: %v", r.headers.Get("webhook-signature"), sign, r.headers)
	}
	if r.headers.Get("content-type") != "application/cloudevents+json" {
		t.Errorf("content type %q", r.headers.Get("content-type"))
	}
}

// The example of the specification of Standard Webhooks.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	s := sender(t, "https://receiver.test", keyFile(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	k, err := s.secret()
	if err != nil {
		t.Fatal(err)
	}
	if got := Sign(k, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signed %s", got)
	}
}

// What fails is an error that shows neither the URL, which may hold a token, nor the key, nor what
// the receiver says; a redirect is not followed.
func TestErrorsShowNoSecret(t *testing.T) {
	e, err := Event(failed())
	if err != nil {
		t.Fatal(err)
	}
	gone, _ := receiver(t, http.StatusOK)
	gone.Close()
	for name, code := range map[string]int{"an error": http.StatusInternalServerError, "a redirect": http.StatusTemporaryRedirect, "nobody": 0} {
		to, got := receiver(t, code)
		if code == 0 {
			to = gone
		}
		err := sender(t, to.URL+"/secret-path?token=secret-token", keyFile(t, key)).Send(t.Context(), e)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "says") {
			t.Errorf("%s: %v", name, err)
		}
		if code > 0 && len(*got) != 1 {
			t.Errorf("%s: %d requests", name, len(*got))
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sender(t, "https://receiver.test/secret-path", keyFile(t, key)).Send(canceled, e); err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("canceled: %v", err)
	}
}

func TestARotatedKeySignsTheNextEvent(t *testing.T) {
	to, got := receiver(t, http.StatusOK)
	file := keyFile(t, key)
	s := sender(t, to.URL, file)
	e, err := Event(failed())
	if err != nil {
		t.Fatal(err)
	}
	next := bytes.Repeat([]byte("n"), 32)
	for _, k := range [][]byte{[]byte(key), next} {
		if err := os.WriteFile(file, k, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		r := (*got)[len(*got)-1]
		if want := Sign(k, "some-uid", r.headers.Get("webhook-timestamp"), r.body); r.headers.Get("webhook-signature") != want {
			t.Errorf("signed %s, want %s", r.headers.Get("webhook-signature"), want)
		}
	}
}

func TestWhatCannotBeSentToIsRefused(t *testing.T) {
	good := keyFile(t, key)
	for name, tc := range map[string]struct{ to, file string }{
		"no scheme":      {"receiver.test/hook", good},
		"another scheme": {"ftp://receiver.test", good},
		"no host":        {"https:///hook", good},
		"a password":     {"https://user:secret@receiver.test", good},
		"no URL":         {"https://receiver.test:secret\x7f", good},
		"no key":         {"https://receiver.test", filepath.Join(t.TempDir(), "none")},
		"a short key":    {"https://receiver.test", keyFile(t, "secret")},
		"a broken key":   {"https://receiver.test", keyFile(t, "whsec_secret!")},
	} {
		if _, err := NewSender(tc.to, tc.file, clock.RealClock{}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	running := failed()
	running.Status.CompletionTime = nil
	if _, err := Event(running); err == nil {
		t.Error("the event of a transfer that runs")
	}
}

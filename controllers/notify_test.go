package controllers_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	notifycontroller "cargoship.dev/operator/controllers/notify"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/notify"
)

// hook is a receiver that fails at first, and keeps what it is told.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	asked  map[string]int // by subject
	events []event.Event
	forged int
}

const hookKey = "a key of more than 24 bytes"

// failing is how often the receiver is away, for each that has ended.
const failing = 2

func startHook() *hook {
	h := &hook{asked: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		var e event.Event
		if err := json.Unmarshal(body, &e); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if h.asked[e.Subject()]++; h.asked[e.Subject()] <= failing {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("webhook-signature") != notify.Sign([]byte(hookKey), r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body) {
			h.forged++
		}
		h.events = append(h.events, e)
	}))
	DeferCleanup(h.Close)
	return h
}

// told are the types of the events of a namespace, as they came.
func (h *hook) told(namespace string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var types []string
	for _, e := range h.events {
		if strings.HasPrefix(e.Subject(), namespace+"/") {
			types = append(types, e.Type())
		}
	}
	return types
}

// startNotifier runs the reconciler alone.
func startNotifier(to string) (registry *prometheus.Registry, stop func()) {
	GinkgoHelper()
	key := filepath.Join(GinkgoT().TempDir(), "key")
	Expect(os.WriteFile(key, []byte(hookKey), 0o600)).To(Succeed())
	sender, err := notify.NewSender(to, key, clock.RealClock{})
	Expect(err).NotTo(HaveOccurred())
	mgr := newManager()
	registry = prometheus.NewRegistry()
	m, err := metrics.New(registry)
	Expect(err).NotTo(HaveOccurred())
	Expect((&notifycontroller.Reconciler{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Clock: clock.RealClock{}, Sender: sender, Metrics: m}).SetupWithManager(mgr)).To(Succeed())
	return registry, start(mgr)
}

var _ = Describe("A receiver of notifications", func() {
	It("is told once of each end, as soon as it answers, and not of what ended long ago", func(ctx SpecContext) {
		h := startHook()
		registry, stop := startNotifier(h.URL)
		s := makeStage(ctx, nil)
		s.end(ctx, v1alpha1.ConditionComplete, time.Now())
		Eventually(func() []string { return h.told(s.namespace) }).Should(Equal([]string{"dev.cargoship.transfer.completed"}))
		Eventually(func() string { return s.transfer(ctx).Annotations["transfer.cargoship.dev/notified"] }).Should(Equal(string(s.transfer(ctx).UID)))
		Expect(testutil.GatherAndCount(registry, "cargoship_notifications_total")).To(Equal(2)) // delivered and failed
		Consistently(func() []string { return h.told(s.namespace) }).WithTimeout(2 * time.Second).Should(HaveLen(1))
		stop()

		By("starting another manager, which knows what was told")
		old := makeStage(ctx, nil)
		old.end(ctx, v1alpha1.ConditionComplete, time.Now().Add(-25*time.Hour))
		failed := makeStage(ctx, nil)
		failed.end(ctx, v1alpha1.ConditionFailed, time.Now())
		_, stop = startNotifier(h.URL)
		defer stop()
		Eventually(func() []string { return h.told(failed.namespace) }).Should(Equal([]string{"dev.cargoship.transfer.failed"}))
		Consistently(func() []string { return append(h.told(s.namespace), h.told(old.namespace)...) }).WithTimeout(2 * time.Second).
			Should(Equal([]string{"dev.cargoship.transfer.completed"}))
		Expect(h.forged).To(BeZero())
	})
})

// end writes the status of a transfer that has ended.
func (s *stage) end(ctx SpecContext, outcome string, at time.Time) {
	GinkgoHelper()
	t := s.transfer(ctx)
	t.Status.CompletionTime = ptr.To(metav1.NewTime(at))
	t.Status.Conditions = []metav1.Condition{{Type: outcome, Status: metav1.ConditionTrue, Reason: "Because", LastTransitionTime: metav1.NewTime(at)}}
	Expect(api.Status().Update(ctx, t)).To(Succeed())
}

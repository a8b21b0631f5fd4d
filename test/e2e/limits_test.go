//go:build e2e

package e2e

import (
	"fmt"
	"math"
	"time"
	_ "time/tzdata" // for schedules, whatever this machine has

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

const (
	// zone is one whose hours begin at other minutes than those of UTC.
	zone = "Asia/Kathmandu"
	// bytesLimit holds always, requestsLimit by schedule; requests carry limitedSize bytes, so it is the lower of the two.
	bytesLimit, requestsLimit, limitedSize = 4_000_000, 30, 64 << 10
	inFlightLimit                          = 16
	// limitsKept is what the spec records its figures by.
	limitsKept = "limits, and two minutes of a lower one by schedule"

	// obeyed is how soon workers keep to another limit: in 4 s, and on a busy machine a little later.
	obeyed = 6 * time.Second
	// limitSpan is the time over which limits hold, leastUsed what is made of them. They are kept to 2 %; but the lab counts a body
	// once it has all of it, and where it is late itself, as on a busy machine, more of them fall into ten seconds.
	limitSpan           = 10 * time.Second
	mostOver, leastUsed = 1.05, 0.97
	// each is how long each part of the schedule lasts.
	each      = 40 * time.Second
	leastJain = 0.98
)

var _ = Describe("A CoordinationPolicy", func() {
	It("keeps its limits through a switch, with the next manager and without any", Label("outage"), func(ctx SpecContext) {
		f := labWith(fmt.Sprintf("partitions: [{keys: %q, requestsPerSecond: 10000}]\n", filesPart))
		c := furnish(ctx, 0, 0, 0)
		c.fill(24_000, limitedSize)
		begin := time.Now().Add(80 * time.Second).Truncate(time.Minute).Add(time.Minute)
		end := begin.Add(3 * each)
		p := c.limit(ctx, begin, end)
		c.start(ctx, c.through(f))
		w := keepWatch(f, c.key.Namespace)

		By("keeping to the one that always holds")
		Eventually(func() float64 { return w.used(time.Now().Add(-5*time.Second), time.Now(), limit{"", sent, bytesLimit}) }).Should(BeNumerically(">", 0.9))
		always := time.Now()
		Expect(always).To(BeTemporally("<", begin.Add(-limitSpan)), "the workers began too late")
		time.Sleep(time.Until(begin))
		By("switching at " + begin.UTC().Format(time.TimeOnly) + " UTC")
		Eventually(func() []string { return inForce(ctx, p).Limits }).Should(ConsistOf("always", "busy-hours"))
		Expect(inForce(ctx, p).Until.Time).To(BeTemporally("==", end))
		time.Sleep(time.Until(begin.Add(each)))
		By("killing the manager that leads")
		epoch := c.epoch(ctx)
		leader, err := it.Leader(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(it.Cluster.KillPod(string(leader.UID))).To(Succeed())
		Eventually(func() int64 { return c.epoch(ctx) }).Should(BeNumerically(">", epoch), "nobody leads")
		time.Sleep(time.Until(begin.Add(2 * each)))
		By("stopping every manager, also when the schedule switches back")
		scaleManagers(ctx, 0)
		led := end.Add(each / 2)
		time.Sleep(time.Until(led))
		scaleManagers(ctx, managers)
		Eventually(func() []string { return inForce(ctx, p).Limits }).Should(ConsistOf("always"))
		Eventually(func() float64 { return w.used(time.Now().Add(-5*time.Second), time.Now(), limit{"", sent, bytesLimit}) }).Should(BeNumerically(">", 0.9))
		lifted := time.Now()
		time.Sleep(2 * limitSpan)

		bytes := limit{"4 MB/s", sent, bytesLimit}
		requests := limit{"30 requests/s", started, requestsLimit}
		var kept []limited
		for _, s := range []stretch{
			{"always in force", always, begin, bytes},
			{"by schedule", begin.Add(obeyed), begin.Add(each), requests},
			{"the leader is killed, another one leads", begin.Add(each), begin.Add(2 * each), requests},
			{"nobody leads", begin.Add(2 * each), end, requests},
			{"nobody leads, and the schedule has ended", end, led, requests},
			{"somebody leads", lifted, time.Now(), bytes},
		} {
			kept = append(kept, w.limited(s))
		}
		ended := time.Now()
		expectLimited(kept)
		all := w.measure("all", filesPart, always, time.Now()) // A manifest is beside the window.
		Expect(all.InFlight).To(BeNumerically("<=", inFlightLimit))
		Expect(all.Over).To(BeZero(), "%v", all)

		By("taking the policy away")
		Expect(it.Client.Delete(ctx, p)).To(Succeed())
		c.expectInOrder(ctx, w)
		record(recorded{Head: w.head, Name: limitsKept, Limits: kept, Stored: w.bySecond(always, ended),
			From: begin.Sub(always).Seconds(), Until: end.Sub(always).Seconds()})
	}, SpecTimeout(20*time.Minute))

	It("divides a destination between namespaces", func(ctx SpecContext) {
		f := labWith("bandwidth: {sharedMegabits: 48}\npartitions: [{keys: \"base-?/\", requestsPerSecond: 10000}]\n")
		large, small := furnish(ctx, 0, 0, 0), furnish(ctx, 0, 0, 0)
		small.to.Bucket = large.to.Bucket
		p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: large.key.Name}, Spec: v1alpha1.CoordinationPolicySpec{
			Match:      v1alpha1.DestinationMatch{Bucket: large.to.Bucket},
			Namespaces: []v1alpha1.NamespaceShare{{Name: large.key.Namespace, Weight: 3}, {Name: small.key.Namespace, Weight: 1}},
		}}
		Expect(it.Client.Create(ctx, p)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) error { return client.IgnoreNotFound(it.Client.Delete(ctx, p)) })
		for i, c := range []*cargo{large, small} {
			c.to.Prefix, c.to.Shared = fmt.Sprintf("base-%d", i), true
			c.fill(6_000, limitedSize)
			c.start(ctx, c.through(f))
		}
		w := keepWatch(f, large.key.Namespace)
		both := func(from, to time.Time) (phase, phase) {
			return w.measure("weight 3", "base-0/", from, to), w.measure("weight 1", "base-1/", from, to)
		}
		Eventually(func() float64 {
			three, one := both(time.Now().Add(-5*time.Second), time.Now())
			return jain(three.perSecond()/3, one.perSecond())
		}).Should(BeNumerically(">", 0.9))
		from := time.Now()
		time.Sleep(2 * limitSpan)
		three, one := both(from, time.Now())
		GinkgoWriter.Printf("%v\n%v\n", three, one)
		Expect(jain(three.perSecond()/3, one.perSecond())).To(BeNumerically(">=", leastJain), "Jain's index of %.0f and %.0f bytes/s", three.perSecond(), one.perSecond())

		f.change(ctx, "bandwidth: {}")
		for _, c := range []*cargo{large, small} {
			c.expectComplete(ctx)
			c.expectVerified(ctx)
		}
	}, SpecTimeout(5*time.Minute))
})

// through has three workers write through a lab.
func (c *cargo) through(f *front) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) {
		at.Spec.Destination.Endpoint = f.endpoint
		at.Spec.Workers.Count = 3
	}
}

// limit makes a policy for the cargo's bucket: bytes always, requests from a minute to another, by the clocks of a zone.
func (c *cargo) limit(ctx SpecContext, from, to time.Time) *v1alpha1.CoordinationPolicy {
	GinkgoHelper()
	there, err := time.LoadLocation(zone)
	Expect(err).NotTo(HaveOccurred())
	const clock = "15:04"
	p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: c.key.Namespace}, Spec: v1alpha1.CoordinationPolicySpec{
		Match: v1alpha1.DestinationMatch{Bucket: c.to.Bucket},
		Limits: []v1alpha1.DestinationLimit{
			{Name: "always", BytesPerSecond: resource.NewQuantity(bytesLimit, resource.DecimalSI), RequestsInFlight: ptr.To(int32(inFlightLimit))},
			{Name: "busy-hours", RequestsPerSecond: ptr.To(int32(requestsLimit)), Schedule: &v1alpha1.LimitSchedule{
				From: from.In(there).Format(clock), To: to.In(there).Format(clock), TimeZone: zone,
			}},
		},
	}}
	Expect(it.Client.Create(ctx, p)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) error { return client.IgnoreNotFound(it.Client.Delete(ctx, p)) })
	return p
}

func inForce(ctx SpecContext, p *v1alpha1.CoordinationPolicy) v1alpha1.LimitsInForce {
	GinkgoHelper()
	Expect(it.Client.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	return ptr.Deref(p.Status.InForce, v1alpha1.LimitsInForce{})
}

// limit is what bounds something, per second.
type limit struct {
	name string
	of   func(interval) float64
	most float64
}

// What limits bound.
func sent(i interval) float64    { return float64(i.Total.BytesIn + i.Total.BytesOut) }
func started(i interval) float64 { return float64(i.Total.Requests) }

// stretch is a time in which one limit is the lowest.
type stretch struct {
	name     string
	from, to time.Time
	limit    limit
}

// limited is how a limit was kept in a stretch: what was used of it, and of that over any ten seconds the least and the most.
type limited struct {
	Name    string  `json:"name"`
	Limit   string  `json:"limit"`
	Seconds float64 `json:"seconds"`
	Used    float64 `json:"used"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
}

// used is what part of a limit was used in a time.
func (w *watch) used(from, to time.Time, l limit) float64 {
	sum, seconds := 0., 0.
	for _, i := range w.between(from, to) {
		sum += l.of(i)
		seconds += i.Seconds
	}
	return sum / max(seconds, 1e-9) / l.most
}

// limited looks at every ten seconds of a stretch.
func (w *watch) limited(s stretch) limited {
	all := w.between(s.from, s.to)
	kept := limited{s.name, s.limit.name, s.to.Sub(s.from).Seconds(), w.used(s.from, s.to, s.limit), math.Inf(1), 0}
	for first := range all {
		sum, seconds := 0., 0.
		for _, i := range all[first:] {
			sum += s.limit.of(i)
			seconds += i.Seconds
			if seconds >= limitSpan.Seconds() {
				part := sum / seconds / s.limit.most
				kept.Least, kept.Most = min(kept.Least, part), max(kept.Most, part)
				break
			}
		}
	}
	return kept
}

// expectLimited expects that every limit is kept over any ten seconds, and used.
func expectLimited(all []limited) {
	GinkgoHelper()
	for _, l := range all {
		GinkgoWriter.Printf("%-42s %3.0f s: %.4f of %s, over ten seconds %.4f to %.4f\n", l.Name, l.Seconds, l.Used, l.Limit, l.Least, l.Most)
	}
	for _, l := range all {
		Expect(l.Most).To(And(BeNumerically(">", 0), BeNumerically("<=", mostOver)), "more than the limit over ten seconds: %s", l.Name)
		Expect(l.Used).To(BeNumerically(">=", leastUsed), "the limit is not used: %s", l.Name)
	}
}

// jain is Jain's index of two shares: 1 if they are equal, a half if one of them has nothing.
func jain(a, b float64) float64 {
	if a == 0 && b == 0 {
		return 0
	}
	return (a + b) * (a + b) / (2 * (a*a + b*b))
}

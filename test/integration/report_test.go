package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/test/kit/assets"
)

// reported is what `kubectl cargoship report` prints of the transfer, for an administrator.
func (c *cargo) reported(ctx SpecContext, args ...string) string {
	GinkgoHelper()
	root, err := assets.RepositoryRoot()
	Expect(err).NotTo(HaveOccurred())
	kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(ship.Cluster.UserKubeconfig(kubeconfig, "reader", "system:masters")).To(Succeed())
	cmd := exec.CommandContext(ctx, filepath.Join(root, "bin", "kubectl-cargoship"), append([]string{"report", "-n", c.namespace, c.key.Name}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "AWS_REGION="+ship.S3.Region, "AWS_ENDPOINT_URL="+ship.S3.Endpoint,
		"AWS_ACCESS_KEY_ID="+ship.S3.AccessKey, "AWS_SECRET_ACCESS_KEY="+ship.S3.SecretKey)
	cmd.Stderr = GinkgoWriter
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred())
	return string(out)
}

// sending is what the report has of what was sent, whose curve adds up to it.
func (c *cargo) sending(ctx SpecContext) *report.Sending {
	GinkgoHelper()
	var r report.Report
	Expect(json.Unmarshal([]byte(c.reported(ctx, "-o", "json")), &r)).To(Succeed())
	s := r.Sending
	Expect(s).NotTo(BeNil(), "the report does not say what was sent")
	var sum int64
	for _, n := range s.Curve.Bytes {
		sum += n
	}
	Expect(sum).To(Equal(s.Bytes))
	Expect(s.Curve.Throttled).To(HaveLen(len(s.Curve.Bytes)))
	return s
}

// sum is what the status holds of the curve.
func sum(s *v1alpha1.SendingStatus) (bytes int64) {
	if s != nil {
		for _, n := range s.Bytes {
			bytes += n
		}
	}
	return bytes
}

var _ = Describe("The report of a transfer", func() {
	It("has the curve of what was sent", func(ctx SpecContext) {
		c := furnish(ctx, "curve", 200, 20, 20)
		c.start(ctx, nil)
		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		c.expectVerified(ctx)
		// What a worker sent that was too slow to report it, and another one found in the bucket, is
		// in no report; so the sum is that of the reports, which the tests of controllers compare.
		s := c.sending(ctx)
		Expect(s.Bytes).To(And(BeNumerically(">", 0), Equal(sum(c.transfer(ctx).Status.Sending))))
		Expect(s.Requests).To(BeNumerically(">", 0))
		Expect(s.UnwatchedSeconds).To(BeZero())
		Expect(c.reported(ctx)).To(And(ContainSubstring("by the workers"), MatchRegexp(`throughput +.* on average, at most`)))
		Expect(c.reported(ctx, "-o", "html")).To(ContainSubstring(`<polyline points="0.0,`))
	}, SpecTimeout(2*time.Minute))

	It("has the curve of what was sent while there was no manager, too", func(ctx SpecContext) {
		c := furnish(ctx, "curvekilled", 2000, 40, 60, 80, 100)
		c.start(ctx, slowly)
		Eventually(func() int64 { return sum(c.transfer(ctx).Status.Sending) }).WithPolling(10 * time.Millisecond).ShouldNot(BeZero())
		Expect(ship.KillManager()).To(Succeed())
		before := c.transfer(ctx).Status
		Expect(before.CompletionTime).To(BeNil(), "the transfer was over too soon to be disturbed")
		time.Sleep(2 * time.Second)
		Expect(ship.StartManager(ctx)).To(Succeed())

		Eventually(c.condition(ctx, v1alpha1.ConditionComplete)).Should(Equal("True/Complete"))
		c.expectVerified(ctx)
		s := c.sending(ctx)
		Expect(s.Started).To(BeTemporally("==", before.Sending.StartTime.Time), "the curve begins with the second manager")
		Expect(s.Bytes).To(BeNumerically(">", sum(before.Sending)), "nothing was counted after the first manager")
	}, SpecTimeout(4*time.Minute))
})

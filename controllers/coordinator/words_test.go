package coordinator

import (
	"strings"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestFailuresAreShownInWordsThatCanBePrinted(t *testing.T) {
	c := newClaim(v1alpha1.ArchiveTransferStatus{})
	got := failures(c, protocol.Progress{Prefixes: []protocol.PrefixProgress{{Prefix: "p", Failures: []protocol.FailedArchive{
		{Reason: "Changed", Message: "reading a/b: it changed"},
		{Reason: "all\tis well; \x1b[31m", Message: "a\nb\x1b" + strings.Repeat("x", 1000)},
		{Reason: "…"},
	}}}})
	if got[0].Reason != "Changed" || got[0].Message != "reading a/b: it changed" {
		t.Errorf("an honest failure became %+v", got[0])
	}
	if want := "Alliswell31m"; got[1].Reason != want {
		t.Errorf("the reason is %q, want %q", got[1].Reason, want)
	}
	if m := got[1].Message; strings.ContainsAny(m, "\n\x1b") || len(m) > objects.MaxWorkerMessage {
		t.Errorf("the message is %q, of %d bytes", m, len(m))
	}
	if got[2].Reason != v1alpha1.ReasonUnspecified {
		t.Errorf("what is no word became %q", got[2].Reason)
	}
}

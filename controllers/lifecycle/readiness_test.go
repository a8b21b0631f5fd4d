package lifecycle

import (
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// kstatus, as Flux has it, and the rule for Argo CD, in the interpreter that it has, judge
// what the conditions say.
func TestToolsThatKnowNoTransfers(t *testing.T) {
	suspend := func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(true) }
	removed := func(at *v1alpha1.ArchiveTransfer) {
		at.DeletionTimestamp = ptr.To(metav1.NewTime(time.Unix(1, 0)))
	}
	edit := func(at *v1alpha1.ArchiveTransfer) { at.Generation++ }
	for name, tc := range map[string]struct {
		decision decision
		before   func(*v1alpha1.ArchiveTransfer)
		after    func(*v1alpha1.ArchiveTransfer)
		want     status.Status
		argo     string
	}{
		"moving":    {decision: decision{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}, want: status.InProgressStatus, argo: "Progressing"},
		"suspended": {decision: decision{action: actRunWorkers, reason: v1alpha1.ReasonSuspended}, before: suspend, want: status.InProgressStatus, argo: "Suspended"},
		"blocked":   {decision: decision{action: actHold, reason: v1alpha1.ReasonSecretNotFound}, want: status.FailedStatus, argo: "Degraded"},
		"complete":  {decision: decision{action: actEnd, reason: v1alpha1.ReasonComplete}, want: status.CurrentStatus, argo: "Healthy"},
		"failed":    {decision: decision{action: actEnd, failed: true, reason: v1alpha1.ReasonFilesFailed}, want: status.FailedStatus, argo: "Degraded"},
		"deleted":   {decision: decision{action: actEnd, reason: v1alpha1.ReasonComplete}, after: removed, want: status.TerminatingStatus, argo: "Healthy"},
		"edited":    {decision: decision{action: actEnd, reason: v1alpha1.ReasonComplete}, after: edit, want: status.InProgressStatus, argo: "Progressing"},
	} {
		t.Run(name, func(t *testing.T) {
			at := &v1alpha1.ArchiveTransfer{ObjectMeta: metav1.ObjectMeta{Name: "photos", Generation: 1}}
			if tc.before != nil {
				tc.before(at)
			}
			at.Status = statusOf(input{now: time.Unix(1e9, 0), transfer: workload.Of(at)}, tc.decision)
			if tc.after != nil {
				tc.after(at)
			}
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(at)
			if err != nil {
				t.Fatal(err)
			}
			u := &unstructured.Unstructured{Object: content}
			u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(workload.KindTransfer))
			got, err := status.Compute(u)
			if err != nil || got.Status != tc.want {
				t.Errorf("kstatus says %+v, %v; want %s", got, err, tc.want)
			}
			if got := argoHealth(t, content); got != tc.argo {
				t.Errorf("Argo CD says %s, want %s", got, tc.argo)
			}
		})
	}
}

// argoHealth is what our rule for Argo CD makes of an object.
func argoHealth(t *testing.T, object map[string]any) string {
	t.Helper()
	vm := lua.NewState()
	defer vm.Close()
	vm.SetGlobal("obj", luaValue(vm, object))
	if err := vm.DoFile("../../config/argocd/health.lua"); err != nil {
		t.Fatal(err)
	}
	health, ok := vm.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the rule returns %v", vm.Get(-1))
	}
	return health.RawGetString("status").String()
}

func luaValue(vm *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := vm.NewTable()
		for name, v := range value {
			table.RawSetString(name, luaValue(vm, v))
		}
		return table
	case []any:
		table := vm.NewTable()
		for _, v := range value {
			table.Append(luaValue(vm, v))
		}
		return table
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	}
	return lua.LNil
}

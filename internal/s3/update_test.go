package s3

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"cargoship.dev/operator/internal/s3/s3test"
)

// isConditional chooses requests that must not replace an object.
func isConditional(r *http.Request) bool { return r.Header.Get("If-None-Match") == anyETag }

// isOver chooses requests that may replace one object only, or none.
func isOver(r *http.Request) bool {
	return r.Method == http.MethodPut && (isConditional(r) || r.Header.Get("If-Match") != "")
}

func TestUpdateLosesNoOtherWritersChange(t *testing.T) {
	r := newRig(t)
	const writers, each = 4, 5
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range each {
				line := fmt.Sprintf("%d-%d\n", w, n)
				if err := r.Update(t.Context(), "book", func(old []byte) ([]byte, error) {
					return append(old, line...), nil
				}); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	group.Wait()
	body, err := r.Get(t.Context(), "book")
	if lines := strings.Count(string(body), "\n"); err != nil || lines != writers*each {
		t.Errorf("%d of %d lines are left: %v", lines, writers*each, err)
	}
}

func TestUpdateWhereNothingChanges(t *testing.T) {
	r := newRig(t)
	if err := r.Put(t.Context(), "book", []byte("as it is")); err != nil {
		t.Fatal(err)
	}
	before := r.proxy.Requests(s3test.IsPut)
	same := func(old []byte) ([]byte, error) { return old, nil }
	if err := r.Update(t.Context(), "book", same); err != nil {
		t.Error(err)
	}
	refused := errors.New("not that")
	if err := r.Update(t.Context(), "book", func([]byte) ([]byte, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("Update: %v, want the error of the change", err)
	}
	if after := r.proxy.Requests(s3test.IsPut); after != before {
		t.Errorf("%d objects were written", after-before)
	}
}

// The answer to a write that got through is lost: what stands then is the change itself.
func TestUpdateWhoseAnswerIsLost(t *testing.T) {
	r := newRig(t)
	r.proxy.Times(1, s3test.IsPut, r.proxy.Lose)
	add := func(old []byte) ([]byte, error) {
		if strings.Contains(string(old), "mine") {
			return old, nil
		}
		return append(old, "mine"...), nil
	}
	for range 2 {
		if err := r.Update(t.Context(), "book", add); err != nil {
			t.Errorf("Update: %v", err)
		}
	}
	r.wantStored(t, "book", []byte("mine"))
}

func TestUpdateWhereNoConditionIsKnown(t *testing.T) {
	r := newRig(t)
	r.proxy.Times(s3test.Always, isOver, s3test.Refuse(501, "NotImplemented"))
	for _, text := range []string{"first", "second"} {
		if err := r.Update(t.Context(), "book", func([]byte) ([]byte, error) { return []byte(text), nil }); err != nil {
			t.Errorf("Update: %v", err)
		}
		r.wantStored(t, "book", []byte(text))
	}
}

func TestUpdateGivesUp(t *testing.T) {
	r := newRig(t)
	r.proxy.Times(s3test.Always, isOver, s3test.Refuse(412, "PreconditionFailed"))
	err := r.Update(t.Context(), "book", func([]byte) ([]byte, error) { return []byte("x"), nil })
	if err == nil || !strings.Contains(err.Error(), "other writers came first") {
		t.Errorf("Update: %v", err)
	}
}

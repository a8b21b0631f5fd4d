package upload

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/s3/s3test"
)

// The parts that are under way when one of them meets what blocks everything are stored, and are not sent again once
// it is over.
func TestPartsUnderWayOutliveWhatBlocks(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(64 * mebi)
	r.keepOpen = true
	var others sync.WaitGroup
	others.Add(firstParts - 1)
	refuse := s3test.Refuse(http.StatusForbidden, "ExpiredToken")
	r.proxy.Do(func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case !s3test.IsPart(req):
			return false
		case req.URL.Query().Get("partNumber") == "1":
			others.Wait() // they have begun
			return refuse(w, req)
		}
		others.Done()
		time.Sleep(300 * time.Millisecond) // so that they end after it
		return false
	})
	_, err := r.Upload(t.Context(), f.file("key"))
	e := asError(t, err, s3.Credentials, s3.ReasonCredentialsExpired)
	if e.LeftOpen == nil {
		t.Fatal("the upload is not left open")
	}
	r.proxy.Do(nil)
	left, err := r.client.ListParts(t.Context(), *e.LeftOpen, s3.ChecksumCRC64NVME)
	if err != nil || len(left.Parts) != firstParts-1 {
		t.Errorf("%d parts are stored (%v), want the %d that were under way", len(left.Parts), err, firstParts-1)
	}
	before := r.proxy.Requests(s3test.Every)
	file := f.file("key")
	file.ResumableUploads = []s3.OpenUpload{*e.LeftOpen}
	if _, err := r.Upload(t.Context(), file); err != nil {
		t.Fatalf("Upload: %v", err)
	}
	if sent := r.proxy.PartsSince(before); slices.Contains(sent, "2") || !slices.Contains(sent, "1") {
		t.Errorf("parts %v are sent then", sent)
	}
	r.wantStored(t, "key", f.content)
}

// What concerns the object alone ends its other parts at once.
func TestPartsUnderWayEndWithTheirObject(t *testing.T) {
	r := newRig(t, nil)
	f := newFile(64 * mebi)
	refuse := s3test.Refuse(http.StatusForbidden, "AccessDenied")
	r.proxy.Do(func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case !s3test.IsPart(req):
			return false
		case req.URL.Query().Get("partNumber") == "1":
			return refuse(w, req)
		}
		return s3test.Hang(req)
	})
	ctx, cancel := context.WithTimeout(t.Context(), blockedPatience/2) // in which those that hang would still be waited for
	defer cancel()
	_, err := r.Upload(ctx, f.file("key"))
	wantError(t, err, s3.Permission, s3.ReasonPermissionDenied)
	if ctx.Err() != nil {
		t.Error("the other parts went on")
	}
}

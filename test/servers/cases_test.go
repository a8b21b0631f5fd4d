package servers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/worker"
	"cargoship.dev/operator/lab"
)

// files copies small, empty and large files; the cell is the proof.
func files(t *testing.T, r *rig) string {
	for name, size := range map[string]int64{"empty": 0, "a/small": 1000, "b/whole": 3 * mebi, "b/parts": 2*partSize + 12345, "parts": 3 * partSize} {
		r.write(t, name, size)
	}
	o := r.copy(t)
	r.wantWhole(t, o)
	return o.Checksum
}

// damaged changes a byte of the first bodies.
func damaged(t *testing.T, r *rig) string {
	r.write(t, "small", 1000)
	r.write(t, "whole", 3*mebi)
	r.write(t, "large", 3*partSize)
	r.lab.Set(lab.Conditions{Faults: []lab.Fault{{Kind: lab.DamageRequest, Share: 1, Operations: []string{"PutObject", "UploadPart"}, Most: 4}}})
	o := r.copy(t)
	if r.lab.Stats().Faults[lab.DamageRequest] == 0 {
		t.Error("nothing was damaged")
	}
	r.wantWhole(t, o)
	return "detected and resent"
}

// oddNames are those that people and programs make. What a server can't keep fails by name.
func oddNames(t *testing.T, r *rig) string {
	for _, name := range []string{
		"a b", "plus+percent%20", "ü ö/日本語", `quote"and'apostrophe`, "semi;colon&amp", "#hash?question", "~tilde", "[brackets]", "a=b,c@d:e", `back\slash`,
	} {
		r.write(t, name, 100)
	}
	o := r.copy(t)
	if o.code == 0 {
		r.wantWhole(t, o)
		return yes
	}
	return rejected(t, o)
}

// rejected is the cell of what the server rejects, of which a sentence tells.
func rejected(t *testing.T, o outcome) string {
	t.Helper()
	lines := strings.Split(o.stderr, "\n")
	last := lines[len(lines)-1]
	if o.code == 0 || len(last) < 20 || o.took > time.Minute {
		t.Errorf("exit code %d after %v, said %q, want an error that says why, soon", o.code, o.took, o.stderr)
	}
	return "rejected"
}

// slowly lets a copy be stopped in its midst.
func slowly() lab.Conditions { return lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 400}} }

// kills is how many copies are killed where the server drops an upload of which a part broke off.
const kills = 5

// settles is how long a server takes to see that the requests of a killed copy have broken off.
const settles = time.Second / 2

// resumed kills copies in the midst of a large file and runs them again, until the server has kept
// what a killed one had stored.
func resumed(t *testing.T, r *rig) string {
	r.write(t, "large", 6*partSize)
	for range kills {
		again := r.killedAndRerun(t)
		switch {
		case again.sent < 5*partSize:
			return "resumes"
		case !again.listed:
			return "restarts: the server lists no uploads"
		case again.kept && !strings.Contains(again.stderr, "InvalidPart"):
			t.Errorf("all of the file was sent again, though the server kept the upload: %s", again.stderr)
			return ""
		}
		t.Logf("the server dropped the upload: %s", again.stderr)
	}
	t.Errorf("the server dropped the uploads of %d killed copies", kills)
	return ""
}

// rerun is the outcome of a copy after one that was killed.
type rerun struct {
	outcome
	sent int64
	// listed tells that the server lists uploads, kept that it listed that of the killed copy.
	listed, kept bool
}

// killedAndRerun kills a copy once some parts are stored and runs it again.
func (r *rig) killedAndRerun(t *testing.T) rerun {
	t.Helper()
	stored := r.lab.Stats().Total.AcceptedBytesIn
	r.lab.Set(slowly())
	w := r.begin(t, "copy", r.source, r.target())
	await(t, "parts to be stored", func() bool { return r.lab.Stats().Total.AcceptedBytesIn-stored > 2*partSize })
	_ = w.child.Stop(0)
	r.lab.Set(lab.Conditions{})
	time.Sleep(settles)
	open, listed := r.openAt(t, r.base+"/large")
	before := r.sent()
	o := r.copy(t)
	r.wantWhole(t, o)
	return rerun{outcome: o, sent: r.sent() - before, listed: listed, kept: len(open) > 0}
}

// closed is the cell of what must leave no upload open.
func (r *rig) closed(t *testing.T) string {
	t.Helper()
	if !r.wantNoUploads(t) {
		return "the server lists no uploads"
	}
	return "no upload left open"
}

// interrupted stops a copy in the midst of a large file.
func interrupted(t *testing.T, r *rig) string {
	r.write(t, "large", 6*partSize)
	r.lab.Set(slowly())
	w := r.begin(t, "copy", r.source, r.target())
	await(t, "some of the file to be sent", func() bool { return r.sent() > 2*partSize })
	w.stop()
	wantStopped(t, w.end(t))
	return r.closed(t)
}

func wantStopped(t *testing.T, o outcome) {
	t.Helper()
	if o.code == 0 || !strings.Contains(o.stderr, "stopped") || o.took > 20*time.Second {
		t.Errorf("exit code %d after %v, said %q, want it stopped at once", o.code, o.took, o.stderr)
	}
}

// fault strikes the first creation of a multipart upload.
func creation(kind lab.FaultKind, d time.Duration) lab.Conditions {
	return lab.Conditions{Faults: []lab.Fault{{Kind: kind, Share: 1, Operations: []string{"CreateMultipartUpload"}, Most: 1, Duration: d}}}
}

// interruptedCreation stops a copy while the server answers.
func interruptedCreation(t *testing.T, r *rig) string {
	r.write(t, "large", 3*partSize)
	r.lab.Set(creation(lab.SlowAnswer, 300*time.Millisecond))
	w := r.begin(t, "copy", r.source, r.target())
	await(t, "the creation", func() bool { return r.lab.Stats().Faults[lab.SlowAnswer] > 0 })
	w.stop()
	wantStopped(t, w.end(t))
	return r.closed(t)
}

// lostCreation has the server create an upload and cuts its answer.
func lostCreation(t *testing.T, r *rig) string {
	r.write(t, "large", 3*partSize)
	r.lab.Set(creation(lab.ResetAnswer, 0))
	o := r.copy(t)
	if r.lab.Stats().Faults[lab.ResetAnswer] == 0 {
		t.Error("no answer was lost")
	}
	r.wantWhole(t, o)
	return r.closed(t)
}

// noOverwrite copies new files, and then others to the same keys.
func noOverwrite(t *testing.T, r *rig) string {
	r.write(t, "small", 1000)
	r.write(t, "large", 2*partSize+1)
	r.wantWhole(t, r.copy(t, "--no-overwrite"))
	first := r.source
	r.source = t.TempDir()
	r.write(t, "small", 1001)
	r.write(t, "large", 2*partSize+2)
	if o := r.copy(t, "--no-overwrite"); o.code == 0 || o.Failed != 2 || !strings.Contains(o.stderr, s3.ReasonObjectExists) {
		t.Errorf("exit code %d, %d failed, want both rejected: %s", o.code, o.Failed, o.stderr)
	}
	r.source = first
	r.wantSame(t)
	return yes
}

// synced copies twice; nothing is to be sent the second time.
func synced(t *testing.T, r *rig, how string) string {
	r.write(t, "small", 1000)
	r.write(t, "whole", 3*mebi)
	r.write(t, "large", 2*partSize+1)
	r.wantWhole(t, r.copy(t))
	before := r.sent()
	o := r.copy(t, "--sync", how)
	r.wantWhole(t, o)
	// Manifests are sent anew.
	if o.Kept == 3 && r.sent()-before < mebi {
		return "keeps the existing object"
	}
	t.Errorf("%d of 3 files kept, %d bytes sent", o.Kept, r.sent()-before)
	return ""
}

func syncTime(t *testing.T, r *rig) string     { return synced(t, r, "size-and-time") }
func syncChecksum(t *testing.T, r *rig) string { return synced(t, r, "checksum") }

// pack copies a tree as archives.
func (r *rig) pack(t *testing.T) {
	t.Helper()
	for i := range 20 {
		r.write(t, fmt.Sprintf("d%d/f%02d", i%3, i), int64(1000*i))
	}
	r.write(t, "large", 3*partSize)
	if o := r.copy(t, "--packing", "tar", "--large-file-threshold", "16Mi"); o.code != 0 {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
}

// verified asks the server for what it keeps.
func verified(t *testing.T, r *rig) string {
	r.pack(t)
	o := r.work(t, "verify", r.target())
	if o.code != 0 || o.Wrong != 0 {
		t.Errorf("exit code %d, %d wrong: %s", o.code, o.Wrong, o.stderr)
	}
	if strings.Contains(o.stderr, "--read-back") {
		return "by the ETag, with a warning"
	}
	return "by the checksum"
}

// restored reads everything back.
func restored(t *testing.T, r *rig) string {
	r.pack(t)
	if o := r.work(t, "verify", r.target(), "--read-back"); o.code != 0 || o.Wrong != 0 {
		t.Errorf("exit code %d, %d wrong: %s", o.code, o.Wrong, o.stderr)
	}
	to := filepath.Join(t.TempDir(), "restored")
	if o := r.work(t, "restore", r.target(), to); o.code != 0 {
		t.Fatalf("exit code %d: %s", o.code, o.stderr)
	}
	got := digests(t, to)
	for name, want := range digests(t, r.source) {
		if got[name] != want {
			t.Errorf("%s came back otherwise, or not", name)
		}
	}
	return yes
}

// ours is a client of ours without the lab.
func (r *rig) ours(t *testing.T) *s3.Client {
	t.Helper()
	client, err := s3.NewClient(t.Context(), s3.Options{
		Bucket: bucket, Endpoint: r.endpoint, Region: region, PathStyle: true, CredentialsDir: r.credentials,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// pages lists more objects than a page has.
func pages(t *testing.T, r *rig) string {
	const many = 1050
	for i := range many {
		_, err := r.client.Client.PutObject(t.Context(), bucket, fmt.Sprintf("%s/%04d", r.base, i), strings.NewReader("x"), 1, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := r.ours(t).List(t.Context(), r.base+"/")
	if err != nil || len(keys) != many {
		t.Errorf("%d keys of %d are listed: %v", len(keys), many, err)
	}
	return yes
}

// lastPod plans a transfer, has a worker die with an upload open, and closes it.
func lastPod(t *testing.T, r *rig) string {
	r.write(t, "d/large", 3*partSize)
	r.write(t, "d/small", 10)
	var at v1alpha1.ArchiveTransfer
	at.Name, at.Namespace, at.UID = "t", "default", "uid-1"
	at.Spec.Destination.Location = v1alpha1.Location{
		Bucket: bucket, Prefix: r.base, Region: region, Endpoint: r.endpoint, AddressingStyle: v1alpha1.AddressingPath,
		Credentials: v1alpha1.Credentials{SecretName: "s"},
	}
	source, err := archive.OpenSource(r.source, "")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close() //nolint:errcheck // It is only read.
	planner := &archive.Planner{Source: source, Store: r.ours(t), Layout: archive.Layout{Base: r.base, Pattern: archive.Mirror, UID: "uid-1"}}
	if _, err := planner.Run(t.Context(), func(archive.Plan) {}); err != nil {
		t.Fatal(err)
	}
	key, stranger := r.base+"/d/large", r.base+"/stranger"
	for _, k := range []string{key, stranger} {
		if _, err := r.client.NewMultipartUpload(t.Context(), bucket, k, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	site := worker.Site{Transfer: at, SourceDir: r.source, Access: worker.Access{CredentialsDir: r.credentials}}
	if err := site.Finish(t.Context(), worker.FinishOptions{AbortOnly: true}, slog.New(slog.NewTextHandler(io.Discard, nil))); err != nil {
		t.Errorf("Finish: %v", err)
	}
	open, listed := r.openAt(t, key)
	if !listed {
		return "the server lists no uploads"
	}
	others, _ := r.openAt(t, stranger)
	if len(open) != 0 || len(others) != 1 {
		t.Errorf("open are %q of the transfer, %q of others, want none and one", open, others)
	}
	return yes
}

// metadata is kept with the object.
func metadata(t *testing.T, r *rig) string {
	r.write(t, "file", 10)
	if err := os.Chmod(filepath.Join(r.source, "file"), 0o640); err != nil {
		t.Fatal(err)
	}
	r.wantWhole(t, r.copy(t))
	info, err := r.ours(t).Stat(context.WithoutCancel(t.Context()), r.base+"/file")
	if err != nil || info.Metadata["mode"] != "0640" || info.Metadata["mtime"] == "" {
		t.Errorf("metadata is %v: %v", info.Metadata, err)
	}
	return "kept"
}

// nonsense asks for a storage class that does not exist.
func nonsense(t *testing.T, r *rig) string {
	r.write(t, "file", 10)
	r.write(t, "large", 2*partSize+1)
	o := r.copy(t, "--storage-class", "NONSENSE")
	if o.code == 0 {
		r.wantWhole(t, o)
		return "the server accepts any"
	}
	return rejected(t, o)
}

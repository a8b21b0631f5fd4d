package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/tracing"
	"cargoship.dev/operator/internal/upload"
)

const (
	// mayBeMultipart is a size in bytes below which no file is sent in parts.
	mayBeMultipart = 8 << 20

	// reasonNotSent is the verdict on files that an attempt has given up on before
	// they were begun.
	reasonNotSent = "NotSent"
	// reasonNotListed: the inventory does not hold the archive assigned.
	reasonNotListed = "NotInInventory"
	// reasonUnknown stands for errors that say no word of their own.
	reasonUnknown = "Error"
)

// stage is how far an attempt has come.
type stage int

const (
	// stageOpen: the content of the archive is to be fetched.
	stageOpen stage = iota
	// stageSend: its files are being sent.
	stageSend
	// stageClose: its manifest is to be written.
	stageClose
	// stageRestore: it is being restored.
	stageRestore
)

// attempt is the work on one archive. The engine's lock guards it.
type attempt struct {
	assignment
	// begun is the grant that the attempt was begun under.
	begun  protocol.GrantID
	ctx    context.Context
	cancel context.CancelFunc
	span   tracing.Span
	// withdrawn attempts are canceled and wait for what is running.
	withdrawn bool
	stage     stage
	// running counts the goroutines at work for the attempt.
	running int

	layout  archive.Layout
	content archive.Archive
	// queue holds the entries still to be begun, as places in content.
	queue   []int
	members []archive.Member
	// packs: there are entries that go into a tar, for which the first of them stands
	// in the queue. object tells of it once it stands.
	packs  bool
	object *archive.Object
	// trouble is the first failure that another attempt may get over.
	trouble  *verdict
	troubles int
}

// verdict is why something failed.
type verdict struct{ reason, message string }

// unsent says that there are files the attempt has yet to begin.
func (a *attempt) unsent() bool {
	return a.stage == stageOpen || a.stage == stageSend && len(a.queue) > 0
}

// begin makes the attempt that an assignment asks for.
func (e *Engine) begin(as assignment) *attempt {
	a := &attempt{assignment: as, begun: grantID(e.grant)}
	a.ctx, a.cancel = context.WithCancel(e.ctx)
	a.trace()
	e.attempts[as.archiveID] = a
	return a
}

// advance starts whatever the attempt can do next.
func (e *Engine) advance(w *prefixWork, a *attempt) {
	switch {
	case a.stage == stageOpen && a.running == 0 && e.options.Restore != nil:
		e.beginRestore(w, a)
	case a.stage == stageOpen && a.running == 0:
		e.launch(w, a, 0, e.open)
	case a.stage == stageSend:
		e.sendFiles(w, a)
	case a.stage == stageClose && a.running == 0:
		e.launch(w, a, 0, e.close)
	}
}

// launch starts work for an attempt that sends a number of files of the prefix. The
// work runs without the lock and returns what is to be done under it.
func (e *Engine) launch(w *prefixWork, a *attempt, files int, work func(*attempt) (settle func())) {
	a.running++
	w.files += files
	e.start(func(context.Context) {
		settle := work(a)
		e.mu.Lock()
		defer e.mu.Unlock()
		a.running--
		w.files -= files
		if !a.withdrawn && a.ctx.Err() == nil {
			settle()
		}
		e.retire(a)
		e.pump(w)
	})
}

// retire lets go of a withdrawn attempt once nothing runs for it.
func (e *Engine) retire(a *attempt) {
	if a.withdrawn && a.running == 0 {
		a.traced(outcomeWithdrawn)
		delete(e.attempts, a.archiveID)
		notify(e.wake)
	}
}

// open fetches the content of an archive, and finds what an earlier attempt at it may
// have left.
func (e *Engine) open(a *attempt) func() {
	layout, content, err := e.fetch(a)
	return func() {
		if err != nil {
			e.fail(a, "fetch archive", err)
			return
		}
		a.layout, a.content, a.stage = layout, content, stageSend
		a.members = make([]archive.Member, len(content.Entries))
		a.queue = make([]int, 0, len(content.Entries))
		for i, entry := range content.Entries {
			a.members[i] = entry.Member()
			if entry.Sendable() && (!a.packs || entry.Object) {
				a.queue = append(a.queue, i)
				a.packs = layout.Tar != nil && (a.packs || entry.Packable())
			}
		}
	}
}

func (e *Engine) fetch(a *attempt) (archive.Layout, archive.Archive, error) {
	layout, err := e.options.Layout(a.ctx)
	if err != nil {
		return layout, archive.Archive{}, err
	}
	content, err := e.options.Fetch(a.ctx, a.prefix, a.number)
	if err != nil {
		return layout, content, err
	}
	if e.again(a) || e.options.AskLeft {
		err = e.findLeft(a.ctx, layout, content)
	}
	return layout, content, err
}

// again says that there may have been an attempt before this one.
func (e *Engine) again(a *attempt) bool { return a.attempt > 1 || e.options.Restarted }

// fail takes in an error that concerns the archive as a whole: one that blocks
// leaves the attempt where it is until that is fixed.
func (e *Engine) fail(a *attempt, what string, err error) {
	if te := blocking(err); te != nil {
		e.block(te)
		return
	}
	v := verdictOf(fmt.Errorf("%s %d of prefix %q: %w", what, a.number, a.prefix, err))
	a.trouble = cmp.Or(a.trouble, &v)
	e.finish(a)
}

// sendFiles begins as many files as the prefix has room for. Once all have ended
// the attempt closes.
func (e *Engine) sendFiles(w *prefixWork, a *attempt) {
	for len(a.queue) > 0 && w.files < w.limit {
		i := a.queue[0]
		a.queue = a.queue[1:]
		files := 1
		send := func(a *attempt) func() { return e.sendFile(a, i) }
		if a.packs && a.content.Entries[i].Packable() {
			files = partsAtOnce(a.content)
			send = func(a *attempt) func() { return e.sendTar(a, i) }
		}
		e.launch(w, a, files, send)
	}
	if len(a.queue) == 0 && a.running == 0 {
		a.stage = stageClose
		e.launch(w, a, 0, e.close)
	}
}

func (e *Engine) sendFile(a *attempt, i int) func() {
	entry := a.content.Entries[i]
	key := a.layout.Key(a.prefix, entry.Path)
	sync, earlier, err := e.syncOf(a, entry)
	if err != nil {
		return func() { e.sent(a, i, upload.Receipt{}, err) }
	}
	var kept []archive.Xattr
	var others []string
	open, taken := e.options.Source.Open, e.left.take(key)
	receipt, err := e.options.Uploader.Upload(a.ctx, upload.File{
		Prefix:   a.prefix,
		Key:      key,
		Size:     entry.Size,
		Metadata: metadata(entry),
		Sync:     sync,
		Earlier:  earlier,
		Open: func() (upload.SourceFile, error) {
			file, err := open(entry)
			if err != nil {
				return nil, err
			}
			open = func(archive.Entry) (*archive.SourceFile, error) { return e.options.Source.Reopen(file) }
			// The object holds none of them, its member in the manifest does.
			if kept, others, err = file.Xattrs(); err != nil {
				_ = file.Close() // Nothing was read of it.
				return nil, err
			}
			return file, nil
		},
		ResumableUploads: taken,
		MayExist:         e.again(a),
	})
	e.leave(err, taken)
	return func() {
		a.members[i].Xattrs, a.members[i].NotKept = kept, others
		e.sent(a, i, receipt, err)
	}
}

// sent records what became of a file.
func (e *Engine) sent(a *attempt, i int, receipt upload.Receipt, err error) {
	m := &a.members[i]
	te, _ := errors.AsType[*s3.Error](err)
	switch {
	case err == nil:
		e.blockage.cleared()
		m.Outcome, m.Key, m.ETag = archive.Done, cmp.Or(receipt.Key, a.layout.Key(a.prefix, m.Path)), receipt.ETag
		m.Checksum, m.ChecksumAlgorithm = receipt.Checksum, receipt.ChecksumAlgorithm
		m.Kept = receipt.Kept
		return
	case blocking(err) != nil:
		a.queue = append(a.queue, i)
		e.block(te)
		return
	}
	v := verdictOf(err)
	m.Outcome, m.Reason, m.Message = archive.Failed, v.reason, v.message
	if te != nil && te.Class == s3.Source {
		return
	}
	a.trouble = cmp.Or(a.trouble, &v)
	if a.troubles++; a.troubles >= protocol.MaxTroubles {
		a.giveUp()
	}
}

// giveUp has no more files begin.
func (a *attempt) giveUp() {
	for _, i := range a.queue {
		if a.packs && a.content.Entries[i].Packable() {
			a.failTar(verdict{reasonNotSent, notBegun})
			continue
		}
		m := &a.members[i]
		m.Outcome, m.Reason, m.Message = archive.Failed, reasonNotSent, notBegun
	}
	a.queue = nil
}

const notBegun = "not started, since other files of the archive had failed"

// close writes the manifest.
func (e *Engine) close(a *attempt) func() {
	if e.options.Manifests == nil {
		return func() { e.finish(a) }
	}
	stands, err := e.writeManifest(a)
	return func() {
		if err != nil {
			e.fail(a, "write manifest", err)
			return
		}
		// What is reported is what the manifest holds.
		if a.members = stands.Members; stands.Whole() {
			a.trouble = nil
		}
		e.finish(a)
	}
}

func (e *Engine) writeManifest(a *attempt) (archive.Manifest, error) {
	archive.BoundXattrs(a.members)
	if n := lacking(a.members); n > 0 {
		e.options.Logger.Info("extended attributes not archived", "prefix", a.prefix, "number", a.number, "files", n)
	}
	key := a.layout.ManifestKey(a.layout.Index(a.prefix), a.number)
	return e.options.Manifests(a.ctx, key, archive.Manifest{
		Transfer: a.layout.UID,
		Prefix:   a.prefix,
		Number:   a.number,
		Attempt:  int(a.attempt),
		Object:   a.object,
		Members:  a.members,
	})
}

// lacking counts the members some of whose extended attributes are not archived.
func lacking(members []archive.Member) (n int) {
	for _, m := range members {
		if len(m.NotKept) > 0 {
			n++
		}
	}
	return n
}

// finish ends an attempt and queues its report.
func (e *Engine) finish(a *attempt) {
	a.cancel()
	delete(e.attempts, a.archiveID)
	e.ended[a.archiveID] = a.attempt
	result := a.result()
	a.traced(string(result.Result))
	e.finished = append(e.finished, finishedArchive{FinishedArchive: result, attempt: a.attempt, begun: a.begun})
	if a.trouble != nil {
		e.options.Logger.Warn("archive not finished", "prefix", a.prefix, "number", a.number,
			"attempt", a.attempt, "reason", a.trouble.reason, "error", a.trouble.message)
	}
	if e.starving(e.prefix(a.prefix)) {
		notify(e.eager)
	}
	notify(e.wake)
}

// metadata is what is kept of a file beside its content: the time of its last
// change in seconds since 1970, and its permissions in octal.
func metadata(entry archive.Entry) map[string]string {
	t := entry.ModTime
	return map[string]string{
		upload.MetadataTime: strconv.FormatInt(t.Unix(), 10) + fmt.Sprintf(".%09d", t.Nanosecond()),
		"mode":              archive.FormatMode(entry.Mode),
	}
}

// verdictOf puts an error into a machine-readable word and a line for people.
func verdictOf(err error) verdict {
	v := verdict{reason: reasonUnknown, message: err.Error()}
	var worded interface{ Reason() string }
	te, isTransfer := errors.AsType[*s3.Error](err)
	switch {
	case isTransfer && te.Reason != "":
		v.reason = te.Reason
	case errors.As(err, &worded):
		v.reason = worded.Reason()
	case errors.Is(err, archive.ErrNotListed):
		v.reason = reasonNotListed
	}
	return v
}

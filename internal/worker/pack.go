package worker

import (
	"cmp"
	"errors"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/upload"
)

// A tar of many parts counts as several files, since several parts of it are sent at
// once: so there are no more compressors at work, whose memory nobody counts, than it
// takes to fill the window.
const (
	partReckoned    = 8 << 20
	mostPartsAtOnce = 4
)

// partsAtOnce returns how many files the tar of an archive counts as.
func partsAtOnce(content archive.Archive) int {
	return int(min(mostPartsAtOnce, 1+archive.PlannedSize(content)/partReckoned))
}

// sendTar sends the tar of the archive, which is packed on the way; i is the entry
// that stands for it.
func (e *Engine) sendTar(a *attempt, i int) func() {
	if kept, err := e.earlier(a); kept != nil || err != nil {
		return func() { e.keptTar(a, i, kept, err) }
	}
	key, _ := a.layout.TarKey(a.content)
	compressor, err := e.compressor(*a.layout.Tar)
	if err != nil {
		return func() { e.tarFailed(a, i, err) }
	}
	taken := e.left.take(key)
	packer := archive.NewPacker(e.options.Source, compressor, a.layout.Tar.DigestAlgorithm(), a.content)
	receipt, err := e.options.Uploader.UploadStream(a.ctx, upload.Stream{
		Prefix: a.prefix, Key: key, Size: archive.PlannedSize(a.content),
		Parts:            packer,
		ResumableUploads: taken,
	})
	if err != nil {
		e.leave(err, taken)
		return func() { e.tarFailed(a, i, err) }
	}
	object := &archive.Object{
		Key: key, Size: receipt.Bytes, Compression: a.layout.Tar.Compression,
		ETag: receipt.ETag, Checksum: receipt.Checksum, ChecksumAlgorithm: receipt.ChecksumAlgorithm,
	}
	return func() {
		e.blockage.cleared()
		a.object = object
		packed := packer.Packed()
		for k := range packed {
			if a.content.Entries[k].Packable() {
				settle(&a.members[k], &packed[k])
			}
		}
	}
}

// compressor returns the one compressor of the transfer.
func (e *Engine) compressor(t archive.Tar) (*archive.Compressor, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	if e.frames == nil {
		e.frames, err = archive.NewCompressor(t)
	}
	return e.frames, err
}

// earlier returns the manifest of a tar that holds just what is planned for this one; nil
// if there is none.
func (e *Engine) earlier(a *attempt) (*archive.Manifest, error) {
	if e.options.Earlier == nil {
		return nil, nil
	}
	m, err := e.options.Earlier.Archive(a.ctx, a.content)
	if m == nil || err != nil {
		return nil, err
	}
	// They change without size and time.
	if !e.options.Source.SameAttributes(a.ctx, a.content, *m) {
		return nil, a.ctx.Err()
	}
	return m, nil
}

// syncOf says how to find out whether a file need not be sent, and the key of the object
// that may be kept if it isn't the file's own. With packing Tar the keys are those of the
// run, so what another run has stored is elsewhere, and what is at the file's own key is
// from an earlier attempt of this run.
func (e *Engine) syncOf(a *attempt, entry archive.Entry) (sync upload.Sync, earlier string, err error) {
	if a.layout.Run == "" {
		return e.options.Sync, "", nil
	}
	if e.options.Earlier != nil {
		if earlier, err = e.options.Earlier.Key(a.ctx, a.prefix, entry); err != nil {
			return "", "", err
		}
	}
	switch {
	case earlier != "":
		return e.options.Sync, earlier, nil
	case e.again(a):
		return upload.SyncSizeAndTime, "", nil
	default:
		return upload.SyncNone, "", nil
	}
}

// keptTar records that an existing tar is kept.
func (e *Engine) keptTar(a *attempt, i int, m *archive.Manifest, err error) {
	if err != nil {
		e.tarFailed(a, i, err)
		return
	}
	e.blockage.cleared()
	a.object = m.Object
	for k, entry := range a.content.Entries {
		if entry.Packable() {
			a.members[k] = m.Members[k]
			a.members[k].Kept = true
		}
	}
}

// tarFailed records that there is no tar. Another attempt leaves out what has
// changed meanwhile, so it may always get over it.
func (e *Engine) tarFailed(a *attempt, i int, err error) {
	if te := blocking(err); te != nil {
		a.queue = append(a.queue, i)
		e.block(te)
		return
	}
	v := verdictOf(err)
	a.trouble = cmp.Or(a.trouble, &v)
	a.failTar(v)
}

// failTar gives all members of the tar the same verdict.
func (a *attempt) failTar(v verdict) {
	for k, entry := range a.content.Entries {
		if m := &a.members[k]; entry.Packable() {
			m.Outcome, m.Reason, m.Message = archive.Failed, v.reason, v.message
		}
	}
}

// settle records what became of a member of a stored tar.
func settle(m *archive.Member, p *archive.Packed) {
	m.Outcome = archive.Done
	if p.In {
		m.Tar = &p.Place
		m.Xattrs, m.NotKept = p.Xattrs, p.NotKept
	}
	if p.Err != nil {
		m.Outcome, m.Reason, m.Message = archive.Failed, reasonUnknown, p.Err.Error()
		if fe, ok := errors.AsType[*archive.FileError](p.Err); ok {
			m.Reason = fe.Reason()
		}
	}
}

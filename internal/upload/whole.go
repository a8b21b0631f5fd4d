package upload

import (
	"context"
	"encoding/hex"
	"errors"

	"cargoship.dev/operator/internal/s3"
)

// findStored returns a receipt if an earlier attempt has stored the whole file, and its
// process died before the response came. An archive is not made again to find out.
func (o *object) findStored(ctx context.Context) (Receipt, bool, error) {
	file, again := o.source.(*fileSource)
	if !again {
		return Receipt{}, false, nil
	}
	object, found, err := o.lookUp(ctx, o.file.Key)
	if e := (*s3.Error)(nil); errors.As(err, &e) && e.Class == s3.Permission {
		return Receipt{}, false, nil // Without the right to read, the file is sent again.
	}
	if err != nil || !found || object.Size != o.file.Size || object.Metadata[MetadataTime] != o.file.Metadata[MetadataTime] {
		return Receipt{}, false, err
	}
	checksum := object.Checksums[o.bodies.algorithm]
	want, err := file.whole(ctx, checksum == "")
	if err != nil || ctx.Err() != nil {
		return Receipt{}, false, err
	}
	same := want.checksum == checksum
	if checksum == "" {
		same = want.etag == object.ETag
	}
	return o.receipt(object.ETag, want.checksum, want.parts, o.file.Size), same, nil
}

// wholeObject is what a server would say of the file, sent in its parts.
type wholeObject struct {
	checksum string
	// etag is taken only where it is asked for, since it costs most; only is that of an
	// object that was not sent in parts, if there is but one.
	etag, only string
	parts      int
}

// whole reads the whole file.
func (f *fileSource) whole(ctx context.Context, withETag bool) (wholeObject, error) {
	parts, digests, err := f.sums(ctx, withETag)
	if err == nil {
		err = f.unchanged()
	}
	if err != nil {
		return wholeObject{}, s3.SourceError("read", f.key, err)
	}
	w := wholeObject{checksum: s3.ObjectChecksum(f.algorithm, parts), parts: len(parts)}
	if withETag {
		w.etag = s3.CompositeETag(digests)
		if len(digests) == 1 {
			w.only = hex.EncodeToString(digests[0])
		}
	}
	return w, nil
}

// sums returns the checksums of all parts and, if wanted, their MD5s.
func (f *fileSource) sums(ctx context.Context, withMD5 bool) (parts []s3.Part, digests [][]byte, err error) {
	for n := 0; ctx.Err() == nil; n++ {
		if more, _ := f.more(ctx, n); !more {
			break
		}
		b, err := f.sum(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		if withMD5 {
			digest, err := b.MD5(ctx)
			if err != nil {
				return nil, nil, err
			}
			digests = append(digests, digest)
		}
		parts = append(parts, s3.Part{Sum: b.Sum(), Length: b.Length})
	}
	return parts, digests, nil
}

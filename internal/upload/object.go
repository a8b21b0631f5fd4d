package upload

import (
	"context"
	"errors"
	"sync/atomic"

	"cargoship.dev/operator/internal/s3"
)

// object is the upload of one object with one checksum algorithm.
type object struct {
	*Uploader
	file   File
	source source
	// bodies is that of the source, with the algorithm.
	bodies *bodies
	// whole: the object is expected to fit into one request.
	whole bool
	// cutOff: a part was sent to which no answer came.
	cutOff atomic.Bool
	// spread bounds the parts.
	spread *spread
	// empty are uploads found at the key that may be of an earlier attempt.
	empty []emptyUpload
	// stored are the parts of the object in the upload that is resumed.
	stored storedParts
	// own: the upload was created here, with the metadata and settings asked for.
	own bool
}

// store sends an object with the first checksum algorithm that the server takes.
func (u *Uploader) store(ctx context.Context, f File, with func(algorithm string) *object) (receipt Receipt, err error) {
	err = u.client.WithChecksum(func(algorithm string) (err error) {
		receipt, err = with(algorithm).put(ctx)
		return err
	})
	if err != nil {
		return Receipt{}, s3.Classify("store", f.Key, err)
	}
	return receipt, nil
}

func (o *object) put(ctx context.Context) (Receipt, error) {
	if o.whole {
		receipt, err := o.putWhole(ctx)
		if !errors.Is(err, errLonger) {
			return receipt, err
		}
	}
	return o.putParts(ctx)
}

// putWhole sends the object in one request. errors.Is(err, errLonger) if it has more than
// one part.
func (o *object) putWhole(ctx context.Context) (Receipt, error) {
	sent := request{
		op: "put object", key: o.file.Key, prefix: o.file.Prefix, from: o.source, part: part{whole: true},
		store: func(ctx context.Context, b *s3.Body) (string, error) {
			return o.client.PutFile(ctx, o.object(), o.bodies.algorithm, b)
		},
	}
	if err := o.do(ctx, &sent); err != nil {
		return Receipt{}, err
	}
	s := sent.stored
	return o.receipt(s.etag, s.sum.Encode(o.bodies.algorithm), 0, s.length), nil
}

// control sends a request without data.
func (o *object) control(ctx context.Context, op string, send func(context.Context) error) error {
	return o.do(ctx, &request{op: op, key: o.file.Key, prefix: o.file.Prefix, send: send})
}

// cleanup sends a request that clears away.
func (o *object) cleanup(ctx context.Context, op string, send func(context.Context) error) error {
	return o.do(ctx, &request{op: op, key: o.file.Key, prefix: o.file.Prefix, clears: true, send: send})
}

// object is what the server is told of it.
func (o *object) object() s3.Object { return s3.Object{Key: o.file.Key, Metadata: o.file.Metadata} }

// receipt tells of an object with a checksum by the object's algorithm.
func (o *object) receipt(etag, sum string, parts int, bytes int64) Receipt {
	return Receipt{ETag: etag, Checksum: sum, ChecksumAlgorithm: s3.ChecksumName(o.bodies.algorithm), Parts: parts, Bytes: bytes}
}

// lookUp asks for the object with a key.
func (o *object) lookUp(ctx context.Context, key string) (info s3.ObjectInfo, found bool, err error) {
	err = o.control(ctx, "look up object", func(ctx context.Context) (err error) {
		info, err = o.client.StatOnce(ctx, key)
		found = err == nil
		if errors.Is(err, s3.ErrNotFound) {
			return nil
		}
		return err
	})
	return info, found, err
}

package archive

import (
	"bytes"
	"cmp"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
)

// Bounds of what is read from the bucket, which anybody may have written.
const (
	// maxDecodedBytes bounds what a compressed bookkeeping object may expand to.
	// The largest one, a manifest of maxTarFiles paths that are as long as they can be,
	// stays below half of it.
	maxDecodedBytes = 64 << 20
	// maxWindow bounds the memory of a zstd decoder; encoders use no more.
	maxWindow = 8 << 20
	// maxRecord bounds one member in JSON: path, target and key of 4 KiB each, escaped,
	// the names of 64 KiB of extended attributes, twice, and values of maxMemberXattrs.
	maxRecord = 1 << 20
	// maxMembers bounds the members of an archive.
	maxMembers = 16 << 10
	// maxPlainJSON bounds plans and indexes, which describe MaxPrefixes prefixes, and the
	// headers of shards.
	maxPlainJSON = 1 << 20
)

// newDecoder returns a zstd decoder of bounded memory.
func newDecoder(r io.Reader) (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxDecodedBytes), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("start zstd decoder: %w", err)
	}
	return dec, nil
}

// expand decompresses all frames of data.
func expand(data []byte) ([]byte, error) {
	dec, err := newDecoder(nil)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	raw, err := dec.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return raw, nil
}

// recordReader fails when a decoder wants more than maxRecord bytes for one record.
type recordReader struct {
	from io.Reader
	// read counts bytes, of which no more than allowed may be read.
	read, allowed int64
}

var errTooLong = errors.New("longer than this program writes")

// Read implements io.Reader.
func (r *recordReader) Read(p []byte) (int, error) {
	left := min(r.allowed, maxDecodedBytes) - r.read
	if left <= 0 {
		return 0, errTooLong
	}
	n, err := r.from.Read(p[:min(int64(len(p)), left)])
	r.read += int64(n)
	return n, err
}

// manifestReader reads a manifest member by member.
type manifestReader struct {
	json *jsontext.Decoder
	from *recordReader
	head wireHead
}

// scanManifest reads a compressed manifest in bounded memory and hands each member on. The
// head comes before the members.
func scanManifest(data []byte, member func(wireHead, Member) error) (wireHead, error) {
	dec, err := newDecoder(bytes.NewReader(data))
	if err != nil {
		return wireHead{}, err
	}
	defer dec.Close()
	from := &recordReader{from: dec, allowed: maxRecord}
	r := manifestReader{json: jsontext.NewDecoder(from), from: from}
	if err := r.scan(member); err != nil {
		return r.head, fmt.Errorf("decode manifest: %w", err)
	}
	return r.head, nil
}

// next allows another record to be read.
func (r *manifestReader) next() { r.from.allowed = r.json.InputOffset() + maxRecord }

func (r *manifestReader) scan(member func(wireHead, Member) error) error {
	if err := r.delim(jsontext.BeginObject); err != nil {
		return err
	}
	fields := map[string]stdjson.RawMessage{}
	for r.more(jsontext.EndObject) {
		token, err := r.json.ReadToken()
		if err != nil {
			return notJSON(err)
		}
		name := token.String()
		if name == "members" {
			if err := r.begin(fields); err != nil {
				return err
			}
			return r.members(member)
		}
		r.next()
		value, err := r.json.ReadValue()
		if err != nil {
			return notJSON(err)
		}
		if len(fields) < maxFields {
			fields[name] = stdjson.RawMessage(value.Clone())
		}
	}
	return r.begin(fields)
}

// maxFields bounds the fields of a head.
const maxFields = 32

// begin decodes the head.
func (r *manifestReader) begin(fields map[string]stdjson.RawMessage) error {
	raw, err := stdjson.Marshal(fields)
	if err != nil {
		return notJSON(err)
	}
	return decodeVersioned(raw, &r.head, &r.head.Version)
}

func (r *manifestReader) members(member func(wireHead, Member) error) error {
	if err := r.delim(jsontext.BeginArray); err != nil {
		return err
	}
	names := 0
	for n := 0; r.more(jsontext.EndArray); n++ {
		if n == maxMembers {
			return fmt.Errorf("it has more than %d members", maxMembers)
		}
		var w wireMember
		if err := json.UnmarshalDecode(r.json, &w); err != nil {
			return fmt.Errorf("member %d: %w", n, notJSON(err))
		}
		m, err := w.member(r.head)
		if err != nil {
			return fmt.Errorf("member %d: %w", n, err)
		}
		if err := m.stored(); err != nil {
			return fmt.Errorf("member %d: %w", n, err)
		}
		if names += m.names(); names > maxNames {
			return fmt.Errorf("it has more than %d names of extended attributes", maxNames)
		}
		if err := member(r.head, m); err != nil {
			return err
		}
	}
	r.next()
	return cmp.Or(r.delim(jsontext.EndArray), r.delim(jsontext.EndObject))
}

// more says that something else than the end of an object or array follows.
func (r *manifestReader) more(end jsontext.Token) bool {
	r.next()
	return r.json.PeekKind() != end.Kind()
}

func (r *manifestReader) delim(want jsontext.Token) error {
	got, err := r.json.ReadToken()
	if err == nil && got.Kind() != want.Kind() {
		err = fmt.Errorf("unexpected %v instead of %v", got, want)
	}
	return notJSON(err)
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("unexpected JSON: %w", err)
}

// member checks a member and returns it.
func (w wireMember) member(head wireHead) (Member, error) {
	p, err := w.name()
	if err != nil {
		return Member{}, err
	}
	mode, err := ParseMode(w.Mode)
	if err != nil {
		return Member{}, fmt.Errorf("%q: %w", p, err)
	}
	if !w.consistent() || w.Tar != nil && head.Object == nil || w.Size < 0 {
		return Member{}, fmt.Errorf("%q is inconsistent", p)
	}
	xattrs, err := fromWireXattrs(w.Xattrs)
	if err != nil {
		return Member{}, fmt.Errorf("%q: %w", p, err)
	}
	place, err := w.Tar.place()
	if err != nil {
		return Member{}, fmt.Errorf("%q: %w", p, err)
	}
	m := Member{
		p, w.Key, w.Kind, w.link(), w.UID, w.GID, place, w.Size, mode, w.time(),
		w.ETag, w.Checksum, w.ChecksumAlgorithm, w.Outcome, w.Kept, w.Reason, w.Message, xattrs, w.NotKept,
	}
	if m.names() > maxMemberNames {
		return Member{}, fmt.Errorf("%q has more than %d names of extended attributes", p, maxMemberNames)
	}
	return m, nil
}

// stored returns an error unless it is known where a member is that is Done.
func (m Member) stored() error {
	if m.Outcome == Done && m.Key == "" && m.Tar == nil {
		return fmt.Errorf("%q is stored nowhere", m.Path)
	}
	return nil
}

// checkLinks returns an error unless hard links in a tar lead to files in it.
func checkLinks(members []Member) error {
	inTar := map[string]bool{}
	for _, f := range members {
		inTar[f.Path] = f.Kind == File && f.Outcome == Done && f.Tar != nil
	}
	for _, f := range members {
		if f.Kind == HardLink && f.Outcome == Done && !inTar[f.Link] {
			return fmt.Errorf("decode manifest: hard link %q leads to %q, which is not in the archive", f.Path, f.Link)
		}
	}
	return nil
}

// names counts the names of extended attributes.
func (m Member) names() int {
	n := len(m.Xattrs) + len(m.NotKept)
	if m.Tar != nil {
		n += len(m.Tar.Attributes)
	}
	return n
}

// DecodeManifest reads what Encode has written.
func DecodeManifest(data []byte) (Manifest, error) {
	members := []Member{}
	head, err := scanManifest(data, func(_ wireHead, m Member) error {
		members = append(members, m)
		return nil
	})
	if err == nil {
		err = checkLinks(members)
	}
	if err != nil {
		return Manifest{}, err
	}
	return Manifest{head.Version, head.Transfer, head.Prefix, head.Number, head.Attempt, head.Object, members}, nil
}

// TallyManifest counts the members of a manifest without keeping them, which the
// manifest that it returns lacks.
func TallyManifest(data []byte) (Manifest, Tally, error) {
	var t Tally
	head, err := scanManifest(data, func(_ wireHead, m Member) error {
		t.Add(m)
		return nil
	})
	return Manifest{head.Version, head.Transfer, head.Prefix, head.Number, head.Attempt, head.Object, nil}, t, err
}
